package observeotel

import (
	"maps"
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

// cache keeps the handles of the few variants of one series. A look-up is one
// atomic load and one map read; only the first use of a variant takes the lock.
// The Recorder bounds the values that variants are made of.
type cache[K comparable, V any] struct {
	m    atomic.Pointer[map[K]V]
	mu   sync.Mutex // held to add
	open func(K) V
}

func (c *cache[K, V]) get(k K) V {
	if m := c.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
	}
	return c.add(k)
}

func (c *cache[K, V]) add(k K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[K]V)
	if m := c.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
		next = maps.Clone(*m)
	}
	v := c.open(k)
	next[k] = v
	c.m.Store(&next)
	return v
}
