package observeotel

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// gapTable counts inter-token gaps in buckets of its own: the API of a histogram
// takes one value at a time, for 60 times the price of these additions.
type gapTable struct {
	bounds []time.Duration // upper bounds, ascending
	les    []string        // the same as attribute values, and +Inf

	cells   atomic.Pointer[[]*gapCell] // append only
	mu      sync.Mutex                 // held to add
	indexed map[attribute.Distinct]*gapCell
}

// gapCell holds the gaps of one attribute set.
type gapCell struct {
	bounds  []time.Duration
	buckets []atomic.Uint64 // one for each bound, and +Inf
	seconds atomic.Uint64   // sum, as the bits of a float64: nanoseconds of a busy server outgrow 64 bits in months
	opts    [][]metric.ObserveOption
	total   []metric.ObserveOption // without le
}

// maxGapBounds is more than the table of observe has.
const maxGapBounds = 32

func newGapTable() *gapTable {
	t := &gapTable{indexed: make(map[attribute.Distinct]*gapCell)}
	for _, b := range observe.Metrics()[observe.MetricInterTokenLatency].Buckets {
		t.bounds = append(t.bounds, time.Duration(math.Round(b*float64(time.Second))))
		t.les = append(t.les, strconv.FormatFloat(b, 'f', -1, 64))
	}
	t.les = append(t.les, "+Inf")
	return t
}

// cell returns the cell of an attribute set: the same for the same set.
func (t *gapTable) cell(attrs ...attribute.KeyValue) *gapCell {
	set := attribute.NewSet(attrs...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.indexed[set.Equivalent()]; c != nil {
		return c
	}
	c := &gapCell{
		bounds:  t.bounds,
		buckets: make([]atomic.Uint64, len(t.les)),
		total:   []metric.ObserveOption{metric.WithAttributeSet(set)},
	}
	for _, le := range t.les {
		c.opts = append(c.opts, []metric.ObserveOption{
			metric.WithAttributeSet(attribute.NewSet(append(slices.Clone(attrs), attribute.String(keyLE, le))...))})
	}
	t.indexed[set.Equivalent()] = c
	var all []*gapCell
	if p := t.cells.Load(); p != nil {
		all = *p
	}
	all = append(all, c)
	t.cells.Store(&all)
	return c
}

// add merges gaps.
func (c *gapCell) add(gaps []time.Duration) {
	var counts [maxGapBounds + 1]uint64
	var sum time.Duration
	for _, g := range gaps {
		i, _ := slices.BinarySearch(c.bounds, g) // a bound belongs to its bucket
		counts[i]++
		sum += g
	}
	for i := range c.buckets {
		if counts[i] > 0 {
			c.buckets[i].Add(counts[i])
		}
	}
	for {
		old := c.seconds.Load()
		if c.seconds.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+sum.Seconds())) {
			return
		}
	}
}

// observe reports every cell: cumulative counts, as a Prometheus histogram has
// them, and the sum.
func (t *gapTable) observe(o metric.Observer, counts metric.Int64Observable, seconds metric.Float64Observable) {
	p := t.cells.Load()
	if p == nil {
		return
	}
	for _, c := range *p {
		var n uint64
		for i := range c.buckets {
			n += c.buckets[i].Load()
			o.ObserveInt64(counts, int64(n), c.opts[i]...)
		}
		o.ObserveFloat64(seconds, math.Float64frombits(c.seconds.Load()), c.total...)
	}
}
