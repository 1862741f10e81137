package drift

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scipy.stats.ks_2samp of {.1, .2, ... 1} and the same moved by a quarter.
func TestKSKnownValue(t *testing.T) {
	var a, b []float64
	for i := 1; i <= 10; i++ {
		a, b = append(a, float64(i)/10), append(b, float64(i)/10+.25)
	}
	r, err := KS(a, b)
	require.NoError(t, err)
	assert.InDelta(t, 0.3, r.D, 1e-12)
	assert.InDelta(t, 0.7869297885, r.P, 1e-9)
	assert.True(t, r.Exact)
	assert.Greater(t, math.Abs(kolmogorov(0.3*math.Sqrt(5))-r.P), 0.01, "the limit for large samples is another number")
}

func TestKSAgainstSciPy(t *testing.T) {
	for i, c := range readScipy(t).KS {
		r, err := KS(c.A, c.B)
		require.NoError(t, err)
		require.InDelta(t, c.D, r.D, 1e-9, "case %d", i)
		require.InDelta(t, c.P, r.P, 1e-9, "case %d", i)
		require.True(t, r.Exact)
	}
}

// everyPath counts the paths from (0, 0) to (n, m) that come to a point at least h
// away, in whole numbers.
func everyPath(n, m, h int64) float64 {
	g := gcd(n, m)
	inside := make([][]*big.Int, n+1)
	for i := range inside {
		inside[i] = make([]*big.Int, m+1)
		for j := range inside[i] {
			sum := new(big.Int)
			away := int64(i)*(m/g) - int64(j)*(n/g)
			switch {
			case max(away, -away) >= h:
			case i == 0 && j == 0:
				sum.SetInt64(1)
			default:
				if i > 0 {
					sum.Add(sum, inside[i-1][j])
				}
				if j > 0 {
					sum.Add(sum, inside[i][j-1])
				}
			}
			inside[i][j] = sum
		}
	}
	all := new(big.Int).Binomial(n+m, n)
	p, _ := new(big.Rat).SetFrac(new(big.Int).Sub(all, inside[n][m]), all).Float64()
	return p
}

// The chance is right to its last digits for every size and distance, however small
// it is: nothing is subtracted.
func TestLatticeAgainstEveryPath(t *testing.T) {
	for n := int64(1); n <= 14; n++ {
		for m := int64(1); m <= 14; m++ {
			g := gcd(n, m)
			for h := int64(1); h <= n/g*m; h++ {
				want := everyPath(n, m, h)
				require.InEpsilon(t, want, lattice(n, m, n/g, m/g, h), 1e-12, "%d %d %d", n, m, h)
				if n == m {
					require.InEpsilon(t, want, latticeEqual(n, h), 1e-12, "%d %d", n, h)
				}
			}
		}
	}
	// 2 / C(200, 100) and 2 / C(150, 50): samples that do not overlap.
	assert.InEpsilon(t, everyPath(100, 100, 100), latticeEqual(100, 100), 1e-12)
	assert.InEpsilon(t, everyPath(100, 50, 100), lattice(100, 50, 2, 1, 100), 1e-12)
	assert.Less(t, lattice(100, 50, 2, 1, 100), 1e-39)
}

// Both ways to compute it agree, and with the limit where samples are large.
func TestLatticeOfLargeSamples(t *testing.T) {
	for _, h := range []int64{1, 5, 40, 100, 200} {
		assert.InDelta(t, latticeEqual(2000, h), lattice(2000, 2000, 1, 1, h), 1e-11, "%d", h)
		limit := kolmogorov(float64(h) / 2000 * math.Sqrt(1000))
		assert.InDelta(t, limit, latticeEqual(2000, h), 0.02, "%d", h)
	}
}

// scipy.special.kolmogorov.
func TestKolmogorov(t *testing.T) {
	for x, want := range map[float64]float64{
		0.2: 0.999999999999495, 0.5: 0.9639452436648751, 1: 0.26999967167735456, 1.17: 0.12939004218561884,
		1.19: 0.11774229287977166, 2: 0.0006709252557796953, 5: 3.8574996959278356e-22,
	} {
		assert.InEpsilon(t, want, kolmogorov(x), 1e-12, "%v", x)
	}
	assert.Equal(t, 1.0, kolmogorov(0))
	before := 1.0
	for x := 0.0; x < 8; x += 0.001 {
		p := kolmogorov(x)
		require.True(t, p >= 0 && p <= before+1e-15, "%v: %v after %v", x, p, before)
		before = p
	}
}

// bruteD compares the two distribution functions at every value.
func bruteD(a, b []float64) (d float64) {
	share := func(s []float64, x float64) float64 {
		n := 0
		for _, v := range s {
			if v <= x {
				n++
			}
		}
		return float64(n) / float64(len(s))
	}
	for _, x := range slices.Concat(a, b) {
		d = max(d, math.Abs(share(a, x)-share(b, x)))
	}
	return d
}

func TestKSProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		a, b := make([]float64, 1+r.IntN(12)), make([]float64, 1+r.IntN(12))
		for i := range a {
			a[i] = float64(r.IntN(10))
		}
		for i := range b {
			b[i] = r.NormFloat64() * 5
		}
		before := slices.Clone(a)
		k, err := KS(a, b)
		require.NoError(t, err)
		require.Equal(t, before, a, "the sample is not sorted in place")
		require.InDelta(t, bruteD(a, b), k.D, 1e-12)
		require.True(t, k.P > 0 && k.P <= 1, k.P)
		back, err := KS(b, a)
		require.NoError(t, err)
		require.Equal(t, k.D, back.D)
		require.InEpsilon(t, k.P, back.P, 1e-12)
		same, err := KS(a, a)
		require.NoError(t, err)
		require.Equal(t, KSResult{D: 0, P: 1, Exact: true}, same)
	}
}

// Under the same distribution p is below a level about as often as the level says,
// never much more; under another one most of the time: the negative control.
func TestKSLevel(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	rejected := func(shift float64) (n int) {
		for range 2000 {
			a, b := make([]float64, 40), make([]float64, 60)
			for i := range a {
				a[i] = r.NormFloat64()
			}
			for i := range b {
				b[i] = r.NormFloat64() + shift
			}
			k, err := KS(a, b)
			require.NoError(t, err)
			if k.P <= 0.05 {
				n++
			}
		}
		return n
	}
	// 2000 x .05 = 100 at the most, and four standard deviations of 9.7.
	same := rejected(0)
	assert.LessOrEqual(t, same, 139)
	assert.Greater(t, same, 40)
	assert.Greater(t, rejected(1), 1900)
}

func TestKSCounts(t *testing.T) {
	k, err := KSCounts([]int64{1, 2, 4, 2, 1}, []int64{2, 2, 2, 2, 2})
	require.NoError(t, err)
	values, err := KS([]float64{0, 1, 1, 2, 2, 2, 2, 3, 3, 4}, []float64{0, 0, 1, 1, 2, 2, 3, 3, 4, 4})
	require.NoError(t, err)
	assert.Equal(t, values, k)

	k, err = KSCounts([]int64{math.MaxInt64, 0}, []int64{0, math.MaxInt64})
	require.NoError(t, err)
	assert.Equal(t, KSResult{D: 1}, k, "not exact")
	k, err = KSCounts([]int64{10_001, 0}, []int64{1, 0})
	require.NoError(t, err)
	assert.Equal(t, KSResult{P: 1}, k)

	for name, c := range map[string][2][]int64{
		"lengths":  {{1, 2}, {1}},
		"no bins":  {nil, nil},
		"zeros":    {{1}, {0}},
		"negative": {{1, 1}, {2, -1}},
		"sum":      {{math.MaxInt64, 1}, {1, 1}},
	} {
		_, err := KSCounts(c[0], c[1])
		assert.ErrorIs(t, err, ErrInput, name)
		_, err = KSCounts(c[1], c[0])
		assert.ErrorIs(t, err, ErrInput, name)
	}
}

func TestKSRefuses(t *testing.T) {
	ok := []float64{1, 2}
	for _, bad := range [][]float64{nil, {}, {1, math.NaN()}} {
		_, err := KS(ok, bad)
		assert.ErrorIs(t, err, ErrInput)
		_, err = KS(bad, ok)
		assert.ErrorIs(t, err, ErrInput)
	}
	k, err := KS([]float64{math.Inf(1), 1}, []float64{math.Inf(-1), 1})
	require.NoError(t, err)
	assert.Equal(t, 0.5, k.D)
}

// The largest samples whose chance is exact, at their worst.
func TestKSOfTheLargestExactSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a second")
	}
	p := lattice(10_000, 9_999, 10_000, 9_999, 2_000_000)
	assert.InDelta(t, kolmogorov(2_000_000.0/(10_000*9_999)*math.Sqrt(10_000*9_999/19_999.0)), p, 1e-2)
}
