package training

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/calmops/calm/observe"
)

// stepBuckets returns the bounds of llm_train_step_seconds.
func stepBuckets() [numStepBuckets]float64 {
	return [numStepBuckets]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600}
}

const numStepBuckets = 16

// eighth returns the place of a number of [0.5, 1) among the upper limits of the
// eight parts, 2^(i/8-1).
func eighth(frac float64) int {
	limits := [8]float64{0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
		0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711}
	return sort.SearchFloat64s(limits[:], frac)
}

// The range of the finer buckets: from about a microsecond to 36 hours.
const (
	eighthsFrom = -8 * 20
	eighthsTo   = 8 * 17
)

// durations is a histogram of step times in two resolutions.
type durations struct {
	count  uint64
	sum    time.Duration
	counts [numStepBuckets + 1]uint64
	fine   [eighthsTo - eighthsFrom + 1]uint64
	tiny   uint64
}

func (d *durations) add(t time.Duration) {
	d.count++
	d.sum += min(t, math.MaxInt64-d.sum)
	s := t.Seconds()
	bounds := stepBuckets()
	d.counts[sort.SearchFloat64s(bounds[:], s)]++
	frac, exp := math.Frexp(s)
	i := eighth(frac) + 8*(exp-1)
	if s == 0 || i < eighthsFrom {
		d.tiny++
		return
	}
	d.fine[min(i, eighthsTo)-eighthsFrom]++
}

func (d *durations) distribution() observe.Distribution {
	return observe.Distribution{Count: d.count, Sum: d.sum.Seconds(), Counts: slices.Clone(d.counts[:]),
		Eighths: slices.Clone(d.fine[:]), EighthsFrom: eighthsFrom, Tiny: d.tiny}
}
