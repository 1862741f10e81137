package drift

import (
	"cmp"
	"math"
)

// Verdict is what a detector says of one value, with the numbers that it compared.
type Verdict struct {
	// Warning says that a drift may be coming. Only DDM warns; a value with a
	// drift is no warning.
	Warning bool
	// Drift says that the distribution has changed. The next Update starts anew,
	// with that value as the first.
	Drift bool

	// Statistic is what was compared with Limit. ADWIN: the distance of the means
	// of the two parts, of the last cut that was made; 0 without one. PageHinkley:
	// the sum. DDM: error rate + its standard deviation.
	Statistic float64
	// Limit is what Statistic passes with a drift: ADWIN's epsilon of that cut,
	// PageHinkley's Threshold, DDM's limit of a drift (+Inf while it is warming up).
	Limit float64
	// Mean is the mean of the values that are held, this one with them.
	Mean float64
	// N is how many values are held: since the last drift, or ADWIN's width.
	N int64
}

// magnitude bounds values, so that no sum of squares overflows.
const magnitude = 1e100

// admit bounds a value. It is false, and counts, for one that is not finite.
func admit(x float64, refused *int64) (float64, bool) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		*refused++
		return 0, false
	}
	return min(max(x, -magnitude), magnitude), true
}

// settle replaces a parameter that is zero or out of range by its default.
func settle[T cmp.Ordered](parameter *T, low, high, def T) {
	if !(*parameter >= low && *parameter <= high) || *parameter == *new(T) {
		*parameter = def
	}
}
