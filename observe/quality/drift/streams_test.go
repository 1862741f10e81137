package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// digits reads a stream of one-digit values, and checks that it is the one that
// river's docstrings make with Python's random.
func digits(t *testing.T, file, sum string) []float64 {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	xs := make([]float64, len(data))
	for i := range data {
		data[i] -= '0'
		xs[i] = float64(data[i])
	}
	hash := sha256.Sum256(data)
	require.Equal(t, sum, hex.EncodeToString(hash[:8]))
	return xs
}

// levelShift is r = random.Random(12345); r.choices([0, 1], k=1000) +
// r.choices(range(4, 8), k=1000).
func levelShift(t *testing.T) []float64 { return digits(t, "level_shift.txt", "538b22429f97d14c") }

// errorRate is r = random.Random(42); r.choices([0, 1], k=1000) +
// r.choices([0, 1], k=1000, weights=[.3, .7]).
func errorRate(t *testing.T) []float64 { return digits(t, "error_rate.txt", "81d3e9a2b979f5c0") }

// updater is what all detectors are.
type updater interface {
	Update(x float64) Verdict
	Refused() int64
}

// everyDetector makes one of each, and has a way to clone it.
var everyDetector = []struct {
	name  string
	fresh func() updater
	clone func(updater) updater
}{
	{"ADWIN", func() updater { return &ADWIN{} }, func(u updater) updater { return u.(*ADWIN).Clone() }},
	{"PageHinkley", func() updater { return &PageHinkley{Threshold: 25} }, func(u updater) updater { c := *u.(*PageHinkley); return &c }},
	{"DDM", func() updater { return &DDM{} }, func(u updater) updater { c := *u.(*DDM); return &c }},
}

func drifts(d updater, xs []float64) (at []int) {
	for i, x := range xs {
		if d.Update(x).Drift {
			at = append(at, i)
		}
	}
	return at
}

// Bernoulli is a stream of zeros and ones whose rate changes at each third.
func bernoulli(r *rand.Rand, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		rate := []float64{0.1, 0.5, 0.2}[i*3/n]
		if r.Float64() < rate {
			xs[i] = 1
		}
	}
	return xs
}

// The values are those of river's docstrings of drift.PageHinkley, drift.ADWIN and
// drift.binary.DDM.
func TestRiverDocstrings(t *testing.T) {
	shift := levelShift(t)
	assert.Equal(t, []int{1006}, drifts(&PageHinkley{}, shift))
	assert.Equal(t, []int{1023}, drifts(&ADWIN{}, shift))

	var d DDM
	var firstWarnings, found []int
	told := false
	for i, x := range errorRate(t) {
		v := d.Update(x)
		if v.Warning && !told {
			firstWarnings, told = append(firstWarnings, i), true
		}
		if v.Drift {
			found, told = append(found, i), false
			assert.False(t, v.Warning)
		}
	}
	assert.Equal(t, []int{1334}, found)
	assert.Equal(t, []int{1084, 1492}, firstWarnings)
}

// A clone made anywhere in a stream says the same as the original from there on,
// and the original is not changed by it.
func TestClonesSayTheSame(t *testing.T) {
	for _, c := range everyDetector {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			for range 20 {
				xs := bernoulli(r, 1500)
				at := r.IntN(len(xs))
				d, alone := c.fresh(), c.fresh()
				for i := range at {
					require.Equal(t, alone.Update(xs[i]), d.Update(xs[i]))
				}
				clone := c.clone(d)
				var said []Verdict
				for _, x := range xs[at:] {
					said = append(said, clone.Update(x))
				}
				for i, x := range xs[at:] {
					v := d.Update(x)
					require.Equal(t, said[i], v, "value %d, cloned at %d", at+i, at)
					require.Equal(t, alone.Update(x), v)
				}
			}
		})
	}
}

// A drift empties the detector: what follows is judged as by a new one.
func TestDriftStartsAnew(t *testing.T) {
	for _, c := range everyDetector {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, 2))
			xs := bernoulli(r, 6000)
			d, fresh := c.fresh(), c.fresh()
			found := 0
			for i, x := range xs {
				v := d.Update(x)
				if found > 0 {
					require.Equal(t, fresh.Update(x), v, "value %d", i)
				}
				if v.Drift {
					found++
					fresh = c.fresh()
				}
			}
			require.Positive(t, found)
		})
	}
}

// Values that are no numbers are counted and change nothing.
func TestRefusedValues(t *testing.T) {
	for _, c := range everyDetector {
		t.Run(c.name, func(t *testing.T) {
			d, clean := c.fresh(), c.fresh()
			for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				v := d.Update(x)
				assert.False(t, v.Drift || v.Warning)
				assert.Zero(t, v.N)
				assert.Zero(t, v.Mean)
			}
			xs := bernoulli(rand.New(rand.NewPCG(3, 3)), 3000)
			for i, x := range xs {
				before := d.Update(math.NaN())
				require.False(t, before.Drift || before.Warning)
				require.Equal(t, clean.Update(x), d.Update(x), "value %d", i)
			}
			assert.EqualValues(t, 3+len(xs), d.Refused())
			assert.Zero(t, clean.Refused())
		})
	}
}

// Giant, tiny and alternating values give finite numbers.
func TestHostileValues(t *testing.T) {
	streams := map[string]func(i int) float64{
		"largest":     func(int) float64 { return math.MaxFloat64 },
		"lowest":      func(int) float64 { return -math.MaxFloat64 },
		"alternating": func(i int) float64 { return math.MaxFloat64 * float64(1-2*(i%2)) },
		"denormal":    func(int) float64 { return math.SmallestNonzeroFloat64 },
		"constant":    func(int) float64 { return 0.1 },
		"zero":        func(int) float64 { return math.Copysign(0, -1) },
	}
	for _, c := range everyDetector {
		for name, value := range streams {
			d := c.fresh()
			for i := range 5000 {
				v := d.Update(value(i))
				require.False(t, math.IsNaN(v.Statistic) || math.IsInf(v.Statistic, 0), "%s: %s, value %d: %+v", c.name, name, i, v)
				require.False(t, math.IsNaN(v.Limit) || math.IsNaN(v.Mean) || math.IsInf(v.Mean, 0), "%s: %s, value %d: %+v", c.name, name, i, v)
				if name == "constant" || name == "zero" || name == "denormal" {
					require.False(t, v.Drift && c.name != "DDM", "%s: %s, value %d", c.name, name, i)
				}
			}
		}
	}
}

// A stream without a change gives few drifts, one with a change at least one soon.
// Without the change the same expectation has to fail: the negative control.
func TestChangeIsFound(t *testing.T) {
	for _, c := range everyDetector {
		t.Run(c.name, func(t *testing.T) {
			detected := func(after float64) (runs int) {
				for seed := range uint64(40) {
					r := rand.New(rand.NewPCG(seed, 4))
					d, late := c.fresh(), false
					for i := range 1400 {
						rate := 0.2
						if i >= 1000 {
							rate = after
						}
						x := 0.0
						if r.Float64() < rate {
							x = 1
						}
						late = d.Update(x).Drift && i >= 1000 || late
					}
					if late {
						runs++
					}
				}
				return runs
			}
			assert.GreaterOrEqual(t, detected(0.7), 38)
			assert.LessOrEqual(t, detected(0.2), 12, "the negative control")
		})
	}
}

func TestUpdateAllocatesNothing(t *testing.T) {
	for _, c := range everyDetector {
		d := c.fresh()
		xs := bernoulli(rand.New(rand.NewPCG(5, 5)), 9000)
		for _, x := range xs {
			d.Update(x)
		}
		i := 0
		assert.Zero(t, testing.AllocsPerRun(len(xs), func() {
			d.Update(xs[i%len(xs)])
			i++
		}), c.name)
	}
}
