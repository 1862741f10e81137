package drift

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Memory grows with the logarithm of the width: at most 5 buckets for each power of
// two.
func TestADWINMemory(t *testing.T) {
	var a ADWIN
	r := rand.New(rand.NewPCG(1, 2))
	for i := 1; i <= 1<<18; i++ {
		a.Update(float64(i % 2))
		if r.IntN(1000) == 0 || i < 100 {
			require.LessOrEqual(t, len(a.rows), int(math.Log2(float64(i)))+1, "after %d values", i)
			n := int64(0)
			for r := range a.rows {
				w := &a.rows[r]
				require.Positive(t, w.n)
				require.LessOrEqual(t, w.n, rowBuckets)
				n += int64(w.n) << r
			}
			require.Equal(t, a.width, n, "the buckets hold every value")
		}
	}
	assert.EqualValues(t, 1<<18, a.width)
	assert.LessOrEqual(t, len(a.rows), 18)
}

// The sums of the window are those of the values that it covers.
func TestADWINSums(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 15 {
		var a ADWIN
		var window []float64
		shift := 0.0
		for i := range 2000 {
			if a.drifted {
				window = window[:0]
			}
			if i%500 == 0 {
				shift = 4 * r.NormFloat64()
			}
			x := shift + r.NormFloat64()
			v := a.Update(x)
			window = append(window, x)
			require.LessOrEqual(t, v.N, int64(len(window)))
			window = window[int64(len(window))-v.N:]

			mean, squares := 0.0, 0.0
			for _, w := range window {
				mean += w / float64(len(window))
			}
			for _, w := range window {
				squares += (w - mean) * (w - mean)
			}
			require.InDelta(t, mean, v.Mean, 1e-9)
			require.InEpsilon(t, squares+1, a.variance+1, 1e-9)
			if v.Drift {
				require.Greater(t, v.Statistic, v.Limit)
				require.Positive(t, v.Limit)
			}
		}
	}
}

// A smaller Delta finds less, on the whole; what is out of range is the default.
func TestADWINDelta(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	count := map[float64]int{}
	for range 20 {
		xs := bernoulli(r, 3000)
		for _, delta := range []float64{1e-9, 0.002, 0.5} {
			count[delta] += len(drifts(&ADWIN{Delta: delta}, xs))
		}
		for _, delta := range []float64{0, -1, 1, 2, math.NaN(), math.Inf(1)} {
			require.Equal(t, drifts(&ADWIN{Delta: 0.002}, xs), drifts(&ADWIN{Delta: delta}, xs))
		}
	}
	assert.Less(t, count[1e-9], count[0.002])
	assert.Less(t, count[0.002], count[0.5])
}

// A change is looked for with every 32nd value only, and not among 10 values.
func TestADWINPeriod(t *testing.T) {
	for _, x := range drifts(&ADWIN{}, levelShift(t)) {
		assert.Equal(t, 31, x%32)
	}
	a := ADWIN{Delta: 0.999}
	for i := range 31 {
		require.False(t, a.Update(1e6*float64(i/16)).Drift)
	}
	assert.True(t, a.Update(1e6).Drift)
}

func BenchmarkUpdate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	xs := bernoulli(r, 4095)
	for _, c := range everyDetector {
		b.Run(c.name, func(b *testing.B) {
			d := c.fresh()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Update(xs[i%len(xs)])
			}
		})
	}
}

func BenchmarkDistance(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	reference, _ := NewReference(ReferenceConfig{Sample: normal(r, 1000, 0)})
	actual := normal(r, 999, 0.1)
	for b.Loop() {
		reference.Distance(actual)
	}
}
