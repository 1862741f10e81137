package observeotel

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// family is a counter that requests move: a cell for each attribute set. The
// OpenTelemetry instrument reads the cells when it is collected, so that a
// request costs an atomic addition and no call.
type family struct {
	cells   atomic.Pointer[[]*cell] // append only: what was read stays valid
	mu      sync.Mutex              // held to add
	indexed map[attribute.Distinct]*cell
}

// cell is the count of one attribute set.
type cell struct {
	n    atomic.Int64
	opts []metric.ObserveOption
}

// cell returns the cell of an attribute set: the same for the same set, from
// whatever Recorder it is asked for.
func (f *family) cell(attrs ...attribute.KeyValue) *cell {
	set := attribute.NewSet(attrs...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.indexed[set.Equivalent()]; c != nil {
		return c
	}
	if f.indexed == nil {
		f.indexed = make(map[attribute.Distinct]*cell)
	}
	c := &cell{opts: []metric.ObserveOption{metric.WithAttributeSet(set)}}
	f.indexed[set.Equivalent()] = c
	var all []*cell
	if p := f.cells.Load(); p != nil {
		all = *p
	}
	all = append(all, c) // beyond the length that readers know
	f.cells.Store(&all)
	return c
}

// observe reports every cell.
func (f *family) observe(o metric.Observer, inst metric.Int64Observable) {
	p := f.cells.Load()
	if p == nil {
		return
	}
	for _, c := range *p {
		o.ObserveInt64(inst, c.n.Load(), c.opts...)
	}
}
