package drift

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scipy is what SciPy says of some cases.
type scipy struct {
	Origin string
	KS     []struct {
		A, B []float64
		D, P float64
	}
	JS []struct {
		P, Q []float64
		JS   float64
	}
}

func readScipy(t *testing.T) (s scipy) {
	t.Helper()
	data, err := os.ReadFile("testdata/scipy.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &s))
	require.NotEmpty(t, s.Origin)
	require.NotEmpty(t, s.KS)
	require.NotEmpty(t, s.JS)
	return s
}

// By hand: sum (q-p) ln(q/p) = 2 x .1 ln 2 + .2 ln 2.
func TestDistanceKnownValues(t *testing.T) {
	p, q := []float64{.1, .2, .4, .2, .1}, []float64{.2, .2, .2, .2, .2}
	got, err := PSI(p, q)
	require.NoError(t, err)
	assert.InDelta(t, 0.277258872224, got, 1e-12)
	got, err = JS(p, q)
	require.NoError(t, err)
	assert.InDelta(t, 0.033979807359, got, 1e-12)

	counts, err := PSI([]float64{1, 2, 4, 2, 1}, []float64{7, 7, 7, 7, 7})
	require.NoError(t, err)
	assert.InDelta(t, 0.277258872224, counts, 1e-12, "counts are as good as shares")
}

func TestJSAgainstSciPy(t *testing.T) {
	for i, c := range readScipy(t).JS {
		got, err := JS(c.P, c.Q)
		require.NoError(t, err)
		require.InDelta(t, c.JS, got, 1e-9, "case %d", i)
	}
}

func TestDistanceProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		n := 1 + r.IntN(12)
		p, q, both := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range p {
			p[i], q[i] = float64(r.IntN(5)), math.Floor(math.Exp(5*r.NormFloat64()))
		}
		p[r.IntN(n)]++
		q[r.IntN(n)]++
		for name, f := range map[string]func(a, b []float64) (float64, error){"psi": PSI, "js": JS} {
			d, err := f(p, q)
			require.NoError(t, err)
			require.False(t, math.IsNaN(d) || math.IsInf(d, 0))
			require.GreaterOrEqual(t, d, 0.0, name)
			back, err := f(q, p)
			require.NoError(t, err)
			require.InDelta(t, d, back, 1e-9, "%s is symmetric", name)
			for i := range p {
				both[i] = 3 * p[i]
			}
			same, err := f(p, both)
			require.NoError(t, err)
			require.InDelta(t, 0, same, 1e-12, "%s of equal shares", name)
			if name == "js" {
				require.LessOrEqual(t, d, math.Ln2+1e-12)
			}
		}
	}
	apart, err := JS([]float64{1, 0}, []float64{0, 5})
	require.NoError(t, err)
	assert.InDelta(t, math.Ln2, apart, 1e-12)
	apart, err = PSI([]float64{1, 0}, []float64{0, 5})
	require.NoError(t, err)
	assert.InDelta(t, 2*(1-1e-4)*math.Log(1e4), apart, 1e-9, "a share of 0 is 1e-4")
}

func TestDistanceRefuses(t *testing.T) {
	for name, c := range map[string][2][]float64{
		"lengths":  {{1, 2}, {1}},
		"no bins":  {nil, nil},
		"zeros":    {{1, 2}, {0, 0}},
		"negative": {{1, -1}, {1, 1}},
		"NaN":      {{1, 1}, {math.NaN(), 1}},
		"infinite": {{math.Inf(1), 1}, {1, 1}},
		"sum":      {{math.MaxFloat64, math.MaxFloat64}, {1, 1}},
	} {
		for _, f := range []func(p, q []float64) (float64, error){PSI, JS} {
			_, err := f(c[0], c[1])
			assert.ErrorIs(t, err, ErrInput, name)
			_, err = f(c[1], c[0])
			assert.ErrorIs(t, err, ErrInput, name)
		}
	}
	tiny := []float64{math.SmallestNonzeroFloat64, 1}
	for _, f := range []func(p, q []float64) (float64, error){PSI, JS} {
		d, err := f(tiny, []float64{1, 1})
		require.NoError(t, err)
		assert.False(t, math.IsNaN(d) || math.IsInf(d, 0))
	}
}
