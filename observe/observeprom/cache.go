package observeprom

import (
	"maps"
	"sync"
	"sync/atomic"
)

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
