package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newReference(t *testing.T, bins int, sample ...float64) *Reference {
	t.Helper()
	r, err := NewReference(ReferenceConfig{Sample: sample, Bins: bins})
	require.NoError(t, err)
	return r
}

func normal(r *rand.Rand, n int, mean float64) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = mean + r.NormFloat64()
	}
	return xs
}

func TestReferenceConfigFaults(t *testing.T) {
	_, err := NewReference(ReferenceConfig{Sample: []float64{1, math.NaN()}})
	assert.ErrorContains(t, err, "Sample has 2 values: want at least 10")
	assert.ErrorContains(t, err, "Sample[1] is NaN")
	_, err = NewReference(ReferenceConfig{Sample: []float64{1, math.Inf(1)}, Bins: 1001})
	assert.ErrorContains(t, err, "Bins is 1001")
	assert.ErrorContains(t, err, "Sample[1] is +Inf")
	for _, bins := range []int{-1, 1} {
		_, err = NewReference(ReferenceConfig{Sample: []float64{1, 2}, Bins: bins})
		assert.ErrorContains(t, err, "Bins is")
	}
	_, err = NewReference(ReferenceConfig{})
	assert.ErrorContains(t, err, "Sample has 0 values")
}

// Each bin holds the same share; an edge belongs to the bin below it.
func TestReferenceBins(t *testing.T) {
	var sample []float64
	for i := 100; i >= 1; i-- {
		sample = append(sample, float64(i))
	}
	r := newReference(t, 0, sample...)
	assert.Equal(t, 10, r.Bins())
	assert.Equal(t, slices.Repeat([]int64{10}, 10), r.counts)
	for x, bin := range map[float64]int{
		math.Inf(-1): 0, 0: 0, 10: 0, 10.5: 1, 11: 1, 20: 1, 20.1: 2, 90: 8, 91: 9, 1e9: 9, math.Inf(1): 9, math.NaN(): -1,
	} {
		assert.Equal(t, bin, r.Bin(x), x)
	}
	assert.Equal(t, 100.0, sample[0], "the sample is not sorted in place")
}

// Values that come often make bins of their own, and both sides of them are seen.
func TestReferenceOfTies(t *testing.T) {
	for name, c := range map[string]struct {
		sample []float64
		bins   int
	}{
		"constant": {slices.Repeat([]float64{5}, 50), 3},
		"binary":   {append(slices.Repeat([]float64{0}, 30), slices.Repeat([]float64{1}, 70)...), 4},
		"lowest":   {append(slices.Repeat([]float64{-math.MaxFloat64}, 30), 1, 2, 3), 3},
	} {
		r := newReference(t, 0, c.sample...)
		assert.Equal(t, c.bins, r.Bins(), name)
		assert.Zero(t, r.counts[0], name)
		d := r.Distance(c.sample)
		assert.Zero(t, d.PSI, name)
		assert.Zero(t, d.JS, name)
		assert.Equal(t, KSResult{P: 1, Exact: true}, d.KS, name)
	}
	constant := newReference(t, 0, slices.Repeat([]float64{5}, 50)...)
	for _, x := range []float64{4.999, 5.001} {
		d := constant.Distance(slices.Repeat([]float64{x}, 20))
		assert.Greater(t, d.PSI, 10.0)
		assert.InDelta(t, math.Ln2, d.JS, 1e-9)
		assert.Equal(t, 1.0, d.KS.D)
	}
}

// A moved sample is far away, one of the same distribution near: the negative
// control.
func TestReferenceDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	reference := newReference(t, 0, normal(r, 2000, 0)...)
	for range 20 {
		same, moved := reference.Distance(normal(r, 2000, 0)), reference.Distance(normal(r, 2000, 1))
		assert.Less(t, same.PSI, 0.1)
		assert.Greater(t, moved.PSI, 0.25)
		assert.Less(t, same.JS*20, moved.JS)
		assert.Greater(t, same.KS.P, 1e-4)
		assert.Less(t, moved.KS.P, 1e-20)
		assert.InDelta(t, 0.383, moved.KS.D, 0.06, "2 Phi(1/2) - 1")
	}
}

// The distances are those of the functions over the counts of the bins.
func TestReferenceAgainstFunctions(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		sample := normal(r, 50+r.IntN(100), 0)
		reference := newReference(t, 2+r.IntN(20), sample...)
		actual := normal(r, 1+r.IntN(100), r.NormFloat64())
		p, q := make([]float64, reference.Bins()), make([]float64, reference.Bins())
		counts := make([]int64, reference.Bins())
		for _, x := range sample {
			p[reference.Bin(x)]++
		}
		for _, x := range actual {
			q[reference.Bin(x)]++
			counts[reference.Bin(x)]++
		}
		psi, err := PSI(p, q)
		require.NoError(t, err)
		js, err := JS(p, q)
		require.NoError(t, err)
		ks, err := KS(sample, actual)
		require.NoError(t, err)
		d := reference.Distance(actual)
		require.InDelta(t, psi, d.PSI, 1e-12)
		require.InDelta(t, js, d.JS, 1e-12)
		require.Equal(t, ks, d.KS)
		require.EqualValues(t, len(actual), d.N)

		byCounts, err := reference.DistanceCounts(counts)
		require.NoError(t, err)
		require.Equal(t, d.PSI, byCounts.PSI)
		require.Equal(t, d.JS, byCounts.JS)
		require.Equal(t, d.N, byCounts.N)
		require.LessOrEqual(t, byCounts.KS.D, d.KS.D+1e-12)
		require.GreaterOrEqual(t, byCounts.KS.P, d.KS.P*(1-1e-9))
	}
}

func TestReferenceRefuses(t *testing.T) {
	r := newReference(t, 2, 1, 2, 3, 4)
	nan := math.NaN()
	sample := []float64{nan, 4, nan, math.Inf(1), 1}
	d := r.Distance(sample)
	assert.EqualValues(t, 2, d.Refused)
	assert.EqualValues(t, 3, d.N)
	assert.True(t, math.IsNaN(sample[0]), "the sample is not changed")
	assert.False(t, math.IsNaN(d.PSI) || math.IsNaN(d.KS.D))

	for _, empty := range [][]float64{nil, {nan, nan}} {
		d = r.Distance(empty)
		assert.True(t, math.IsNaN(d.PSI) && math.IsNaN(d.JS) && math.IsNaN(d.KS.D) && math.IsNaN(d.KS.P))
		assert.Zero(t, d.N)
		assert.EqualValues(t, len(empty), d.Refused)
	}
	d, err := r.DistanceCounts([]int64{0, 0})
	require.NoError(t, err)
	assert.True(t, math.IsNaN(d.PSI) && math.IsNaN(d.KS.P))
	for _, counts := range [][]int64{nil, {1}, {1, 2, 3}, {-1, 2}, {math.MaxInt64, 1}} {
		_, err := r.DistanceCounts(counts)
		assert.ErrorIs(t, err, ErrInput)
	}
}

// A Reference is only read: any number of goroutines may.
func TestReferenceIsSafe(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	reference := newReference(t, 0, normal(r, 100, 0)...)
	actual := normal(r, 50, 0.5)
	want := reference.Distance(actual)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				assert.Equal(t, want, reference.Distance(actual))
			}
		})
	}
	group.Wait()
}
