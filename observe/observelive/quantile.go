package observelive

import "math"

// quantile returns the q-quantile (0 < q < 1) of observations counted in classic buckets, by the
// definition of histogram_quantile: linear inside a bucket, from 0 in the first one if its bound
// is positive, and the highest finite bound for what lies above it. counts has one entry more
// than bounds: the observations in each bucket (not cumulative), the last above every bound. No
// observation, or no bound, gives NaN.
func quantile(q float64, bounds, counts []float64) float64 {
	var total float64
	for _, c := range counts {
		total += c
	}
	if total <= 0 || len(bounds) == 0 || len(counts) != len(bounds)+1 {
		return math.NaN()
	}
	rank := q * total
	var below float64
	for i, bound := range bounds {
		c := counts[i]
		if below+c < rank {
			below += c
			continue
		}
		if i == 0 && bound <= 0 {
			return bound
		}
		var from float64
		if i > 0 {
			from = bounds[i-1]
		}
		return from + (bound-from)*((rank-below)/c)
	}
	return bounds[len(bounds)-1]
}

// A nativeBucket is one bucket of a native histogram: observations in (lower, upper].
type nativeBucket struct {
	lower, upper, count float64
}

// nativeQuantile is quantile for native buckets in ascending order, as histogram_quantile of
// Prometheus 3 defines it: exponential inside a bucket, linear in the zero bucket, which begins
// at 0 when nothing is negative and ends at 0 when nothing is positive.
func nativeQuantile(q float64, buckets []nativeBucket) float64 {
	var total float64
	for _, b := range buckets {
		total += b.count
	}
	if total <= 0 {
		return math.NaN()
	}
	rank := q * total
	i, below := 0, 0.0
	if q < 0.5 {
		for ; i < len(buckets)-1 && (buckets[i].count == 0 || below+buckets[i].count < rank); i++ {
			below += buckets[i].count
		}
	} else { // from above, for the same rounding as the engine
		above, left := 0.0, (1-q)*total
		i = len(buckets) - 1
		for ; i > 0 && (buckets[i].count == 0 || above+buckets[i].count < left); i-- {
			above += buckets[i].count
		}
		rank, below = above+buckets[i].count-left, 0
	}
	b := buckets[i]
	if b.count == 0 {
		return math.NaN()
	}
	fraction := min(1, max(0, (rank-below)/b.count))
	if b.lower <= 0 && b.upper >= 0 {
		if b.lower < 0 && b.upper > 0 {
			switch only := len(buckets) == 1; {
			case i == 0 && !only:
				b.lower = 0
			case i == len(buckets)-1 && !only:
				b.upper = 0
			}
		}
		return b.lower + (b.upper-b.lower)*fraction
	}
	lower, upper := math.Log2(math.Abs(b.lower)), math.Log2(math.Abs(b.upper))
	if b.lower > 0 {
		return math.Exp2(lower + (upper-lower)*fraction)
	}
	return -math.Exp2(upper + (lower-upper)*(1-fraction))
}

// increasing reports whether bounds are finite and strictly increasing.
func increasing(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}
