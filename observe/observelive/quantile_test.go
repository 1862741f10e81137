package observelive

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Known values of histogram_quantile, from prometheus/prometheus,
// promql/promqltest/testdata/histograms.test.
func TestQuantileKnownValues(t *testing.T) {
	type shape struct{ bounds, counts []float64 }
	var (
		positive  = shape{[]float64{.1, .2, 1}, []float64{5, 2, 4, 1}}                               // testhistogram
		negative  = shape{[]float64{-.2, -.1, .3}, []float64{1, 1, 0, 1}}                            // testhistogram
		middle    = shape{[]float64{0, 2, 4, 6}, []float64{0, 1, 1, 1, 0}}                           // testhistogram2
		third     = shape{[]float64{0, .1, .2, 1}, []float64{0, 5, 2, 4, 0}}                         // testhistogram3
		thirdNeg  = shape{[]float64{-.25, -.2, -.1, .3}, []float64{0, 1, 1, 0, 0}}                   // testhistogram3
		durations = shape{[]float64{.1, .2}, []float64{1 + 2 + 3 + 4, 2 + 3 + 1 + 3, 1 + 1 + 2 + 2}} // request_duration_seconds, summed
	)
	for _, c := range []struct {
		name string
		s    shape
		q    float64
		want float64
	}{
		{"testhistogram positive", positive, .2, .048},
		{"testhistogram positive", positive, .5, .15},
		{"testhistogram positive", positive, .8, .72},
		{"testhistogram positive, in +Inf", positive, .99, 1},
		{"testhistogram negative", negative, .2, -.2},
		{"testhistogram negative", negative, .5, -.15},
		{"testhistogram negative", negative, .8, .3},
		{"testhistogram2", middle, 1. / 6, 1},
		{"testhistogram2", middle, .5, 3},
		{"testhistogram2", middle, 5. / 6, 5},
		{"testhistogram3 positive", third, .25, .055},
		{"testhistogram3 positive", third, .5, .125},
		{"testhistogram3 positive", third, .75, .45},
		{"testhistogram3 negative", thirdNeg, .25, -.225},
		{"testhistogram3 negative", thirdNeg, .5, -.2},
		{"testhistogram3 negative", thirdNeg, .75, -.15},
		{"request_duration_seconds", durations, .3, .075},
		{"request_duration_seconds", durations, .5, .1277777777777778},
	} {
		require.InDelta(t, c.want, quantile(c.q, c.s.bounds, c.s.counts), 1e-9, "%s q=%v", c.name, c.q)
	}
}

func TestQuantileWithoutObservations(t *testing.T) {
	require.True(t, math.IsNaN(quantile(.5, []float64{1, 2}, []float64{0, 0, 0})))
	require.True(t, math.IsNaN(quantile(.5, nil, []float64{7})), "a histogram without bounds")
	require.True(t, math.IsNaN(quantile(.5, []float64{1}, []float64{1})), "counts that do not fit")
	require.True(t, math.IsNaN(nativeQuantile(.5, nil)))
}

// Known values of native histograms, from prometheus/prometheus,
// promql/promqltest/testdata/native_histograms.test: there buckets:[...] begins at index 0, whose
// upper bound is 1.
func TestNativeQuantileKnownValues(t *testing.T) {
	side := func(counts ...float64) (out []sparse) {
		for k, n := range counts {
			if n > 0 {
				out = append(out, sparse{int32(k), n})
			}
		}
		return out
	}
	for _, c := range []struct {
		name string
		n    native
		q    float64
		want float64
	}{
		{"single_histogram", native{pos: side(1, 2, 1)}, .5, 1.414213562373095},
		{"incr_histogram", native{pos: side(1, 12, 1)}, .5, 1.414213562373095},
		{"negative_histogram", native{neg: side(1, 2, 1)}, .5, -1.414213562373095},
		{"single_zero_histogram", native{threshold: .5, zero: 1}, .5, 0},
		{"balanced_histogram", native{pos: side(1, 2, 1), neg: side(1, 2, 1)}, .5, .5},
		{"histogram_quantile_1", native{threshold: .001, zero: 2, pos: side(2, 3, 0, 1, 4)}, .99, 15.67072476139083},
		{"histogram_quantile_1", native{threshold: .001, zero: 2, pos: side(2, 3, 0, 1, 4)}, .9, 12.99603834169977},
		{"histogram_quantile_1", native{threshold: .001, zero: 2, pos: side(2, 3, 0, 1, 4)}, .6, 4.594793419988138},
		{"histogram_quantile_1", native{threshold: .001, zero: 2, pos: side(2, 3, 0, 1, 4)}, .5, 1.5874010519681994},
		{"histogram_quantile_1", native{threshold: .001, zero: 2, pos: side(2, 3, 0, 1, 4)}, .1, .0006},
		{"histogram_quantile_2", native{threshold: .001, zero: 2, neg: side(2, 3, 0, 1, 4)}, .99, -.00006},
		{"histogram_quantile_2", native{threshold: .001, zero: 2, neg: side(2, 3, 0, 1, 4)}, .9, -.0006},
		{"histogram_quantile_2", native{threshold: .001, zero: 2, neg: side(2, 3, 0, 1, 4)}, .5, -1.5874010519681996},
		{"histogram_quantile_2", native{threshold: .001, zero: 2, neg: side(2, 3, 0, 1, 4)}, .1, -12.996038341699768},
	} {
		require.InDelta(t, c.want, nativeQuantile(c.q, c.n.buckets(nil)), 1e-9, "%s q=%v", c.name, c.q)
	}
}

// A quantile lies in the bucket that holds its rank, and never falls as q rises.
func TestQuantileProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		n := 1 + rng.IntN(20)
		bounds, counts := make([]float64, n), make([]float64, n+1)
		var total float64
		for i := range bounds {
			bounds[i] = rng.Float64()
			if i > 0 {
				bounds[i] += bounds[i-1]
			}
		}
		for i := range counts {
			counts[i] = float64(rng.IntN(4))
			total += counts[i]
		}
		if total == 0 {
			continue
		}
		last := math.Inf(-1)
		for q := .05; q < 1; q += .05 {
			v := quantile(q, bounds, counts)
			if !(v >= last-1e-12) {
				t.Fatalf("q=%v: %v after %v", q, v, last)
			}
			last = v
			var below, rank float64 = 0, q * total
			i := 0
			for i < n && below+counts[i] < rank {
				below += counts[i]
				i++
			}
			from, to := math.Inf(-1), bounds[min(i, n-1)]
			switch {
			case i == n: // above every bound
				from = to
			case i > 0:
				from = bounds[i-1]
			}
			if !(v >= from-1e-12 && v <= to+1e-12) {
				t.Fatalf("q=%v: %v is not in (%v, %v]", q, v, from, to)
			}
		}
	}
}

// A native histogram of many observations gives their quantiles to the width of a bucket.
func TestNativeQuantileAgainstSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n := native{schema: 3, threshold: 1e-6}
	var values []float64
	for range 20000 {
		v := math.Exp(rng.NormFloat64())
		values = append(values, v)
		k := int32(math.Ceil(math.Log2(v) * 8))
		n.pos = addSparse(n.pos, []sparse{{k, 1}}, 1)
	}
	for _, q := range []float64{.1, .5, .9, .99} {
		want := nearestRank(values, q)
		require.InEpsilon(t, want, nativeQuantile(q, n.buckets(nil)), .05, "q=%v", q)
	}
}
