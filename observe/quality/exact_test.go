package quality

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func outcomes(s string) []bool {
	y := make([]bool, len(s))
	for i := range s {
		y[i] = s[i] == '1'
	}
	return y
}

// The values of scikit-learn's docstrings.
func TestExactKnownValues(t *testing.T) {
	value := func(want float64) func(float64, error) {
		return func(got float64, err error) {
			t.Helper()
			require.NoError(t, err)
			near(t, want, got)
		}
	}
	value(0.75)(ROCAUC(outcomes("0011"), []float64{.1, .4, .35, .8}))
	value(0.833333)(AveragePrecision(outcomes("0011"), []float64{.1, .4, .35, .8}))
	value(0.0375)(Brier(outcomes("0110"), []float64{.1, .9, .8, .3}))
	value(0.216162)(LogLoss([]int{1, 0, 0, 1}, [][]float64{{.1, .9}, {.9, .1}, {.8, .2}, {.35, .65}}))
	value(0.75)(TopK([]int{0, 1, 2, 2}, [][]float64{{.5, .2, .2}, {.3, .4, .2}, {.2, .4, .3}, {.7, .2, .1}}, 2))

	curve, err := CalibrationCurve(outcomes("000011111"), []float64{.1, .2, .3, .4, .65, .7, .8, .9, 1}, 3)
	require.NoError(t, err)
	require.Len(t, curve, 3)
	for i, want := range [][3]float64{{3, .2, 0}, {2, .525, .5}, {4, .85, 1}} {
		assert.EqualValues(t, want[0], curve[i].N)
		near(t, want[1], curve[i].Predicted)
		near(t, want[2], curve[i].Observed)
	}
	value((3*.2 + 2*.025 + 4*.15) / 9)(ECE(outcomes("000011111"), []float64{.1, .2, .3, .4, .65, .7, .8, .9, 1}, 3))
}

func randomScores(r *rand.Rand, n int) (y []bool, s []float64) {
	y, s = make([]bool, n), make([]float64, n)
	coarse := []float64{4, 100, 1e9}[r.IntN(3)]
	for i := range y {
		y[i] = r.IntN(3) == 0
		s[i] = r.Float64()
		if y[i] {
			s[i] = math.Sqrt(s[i])
		}
		s[i] = math.Round(s[i]*coarse) / coarse
	}
	y[0], y[n-1] = true, false
	return y, s
}

// bruteAUC compares every pair.
func bruteAUC(y []bool, s []float64) float64 {
	won, pairs := 0.0, 0.0
	for i := range y {
		for j := range y {
			if y[i] && !y[j] {
				pairs++
				if s[i] > s[j] {
					won++
				} else if s[i] == s[j] {
					won += 0.5
				}
			}
		}
	}
	return won / pairs
}

// bruteAP goes through the thresholds.
func bruteAP(y []bool, s []float64) float64 {
	sum, before := 0.0, 0.0
	for _, threshold := range slices.Backward(slices.Compact(slices.Sorted(slices.Values(s)))) {
		tp, fp, all := 0.0, 0.0, 0.0
		for i := range y {
			if y[i] {
				all++
			}
			if s[i] >= threshold {
				if y[i] {
					tp++
				} else {
					fp++
				}
			}
		}
		sum += (tp/all - before) * tp / (tp + fp)
		before = tp / all
	}
	return sum
}

func TestExactAgainstEveryPair(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		y, s := randomScores(r, 2+r.IntN(20))
		auc, err := ROCAUC(y, s)
		require.NoError(t, err)
		require.InDelta(t, bruteAUC(y, s), auc, 1e-12, "%v %v", y, s)
		ap, err := AveragePrecision(y, s)
		require.NoError(t, err)
		require.InDelta(t, bruteAP(y, s), ap, 1e-12, "%v %v", y, s)

		// Any order, and any scale that keeps the order of scores.
		permutedY, permutedS := make([]bool, 0, len(y)), make([]float64, 0, len(y))
		shuffled(r, len(y), func(i int) { permutedY, permutedS = append(permutedY, y[i]), append(permutedS, 3*s[i]-1e6) })
		again, err := ROCAUC(permutedY, permutedS)
		require.NoError(t, err)
		require.InDelta(t, bruteAUC(permutedY, permutedS), again, 1e-12)

		// The other outcome has the rest of the area.
		for i := range y {
			y[i] = !y[i]
		}
		flipped, err := ROCAUC(y, s)
		require.NoError(t, err)
		require.InDelta(t, 1-auc, flipped, 1e-12)
	}
}

func TestExactInfinities(t *testing.T) {
	inf := math.Inf(1)
	auc, err := ROCAUC(outcomes("1010"), []float64{inf, -inf, -inf, inf})
	require.NoError(t, err)
	assert.Equal(t, 0.5, auc)
	auc, err = ROCAUC(outcomes("10"), []float64{0, math.Copysign(0, -1)})
	require.NoError(t, err)
	assert.Equal(t, 0.5, auc, "the zeros are equal")
}

func TestExactRefuses(t *testing.T) {
	nan := math.NaN()
	both, ok := outcomes("10"), []float64{.5, .25}
	refused := func(_ any, err error) {
		t.Helper()
		assert.ErrorIs(t, err, ErrInput)
	}
	vector := map[string]func([]bool, []float64) (float64, error){
		"ROCAUC": ROCAUC, "AveragePrecision": AveragePrecision, "Brier": Brier,
		"ECE":   func(y []bool, p []float64) (float64, error) { return ECE(y, p, 0) },
		"curve": func(y []bool, p []float64) (float64, error) { _, err := CalibrationCurve(y, p, 0); return 0, err },
	}
	for name, f := range vector {
		_, err := f(both, ok)
		assert.NoError(t, err, name)
		refused(f(nil, nil))
		refused(f(both, ok[:1]))
		refused(f(both[:1], ok))
		refused(f(both, []float64{nan, .5}))
		if name != "ROCAUC" && name != "AveragePrecision" {
			refused(f(both, []float64{1.5, .5}))
			refused(f(both, []float64{-1e-9, .5}))
			refused(f(both, []float64{math.Inf(1), .5}))
		}
	}
	refused(ROCAUC(outcomes("11"), ok))
	refused(ROCAUC(outcomes("00"), ok))
	refused(AveragePrecision(outcomes("00"), ok))
	refused(ECE(both, ok, -1))
	refused(ECE(both, ok, 10_001))

	rows := [][]float64{{.5, .5}, {.25, .75}}
	refused(LogLoss(nil, nil))
	refused(LogLoss([]int{0}, rows))
	refused(LogLoss([]int{0, 2}, rows))
	refused(LogLoss([]int{0, -1}, rows))
	refused(LogLoss([]int{0, 1}, [][]float64{{.5, .5}, {1}}))
	refused(LogLoss([]int{0, 0}, [][]float64{{1}, {1}}))
	refused(LogLoss([]int{0, 1}, [][]float64{{.5, nan}, {1, 0}}))
	refused(LogLoss([]int{0, 1}, [][]float64{{.5, 1.5}, {1, 0}}))
	refused(TopK([]int{0, 1}, rows, 0))
	refused(TopK([]int{0, 1}, [][]float64{{.5, nan}, {1, 0}}, 1))
	refused(TopK([]int{0, 1}, [][]float64{{}, {}}, 1))
}

// Rows are divided by their sum; a certain mistake costs a finite number.
func TestLogLossRows(t *testing.T) {
	loss, err := LogLoss([]int{0}, [][]float64{{.2, .6}})
	require.NoError(t, err)
	near(t, -math.Log(.25), loss)
	loss, err = LogLoss([]int{0}, [][]float64{{0, 1}})
	require.NoError(t, err)
	near(t, -math.Log(1e-15), loss)
	loss, err = LogLoss([]int{1}, [][]float64{{0, 0, 0}})
	require.NoError(t, err)
	near(t, math.Log(3), loss)
}

// Of equal scores the higher class ranks first.
func TestTopKTies(t *testing.T) {
	equal := [][]float64{{.5, .5, .5}}
	for class, want := range []float64{3, 2, 1} {
		for k := 1; k <= 5; k++ {
			got, err := TopK([]int{class}, equal, k)
			require.NoError(t, err)
			assert.Equal(t, float64(k) >= want, got == 1, "class %d, k %d", class, k)
		}
	}
}

// The two benchmarks have the same scores: ROCAUC may cost three times as much as
// sorting them.
func BenchmarkROCAUC(b *testing.B) {
	y, s := million()
	b.Run("ROCAUC", func(b *testing.B) {
		for b.Loop() {
			if _, err := ROCAUC(y, s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Sort", func(b *testing.B) {
		for b.Loop() {
			slices.Sort(slices.Clone(s))
		}
	})
}

func million() (y []bool, s []float64) {
	r := rand.New(rand.NewPCG(1, 1))
	y, s = make([]bool, 1<<20), make([]float64, 1<<20)
	for i := range y {
		y[i], s[i] = r.IntN(2) == 0, r.Float64()
	}
	return y, s
}
