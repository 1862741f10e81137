// Package cow holds small caches that are read all the time and written once in a
// while.
package cow

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Cache makes a value for each key at its first use and keeps it. A look-up is
// one atomic load and one map read; only a first use takes the lock. Nothing is
// removed, so the caller bounds the keys. A Cache must not be copied after its
// first use; it is safe for concurrent use.
type Cache[K comparable, V any] struct {
	m  atomic.Pointer[map[K]V]
	mu sync.Mutex // held to add

	// Open makes the value of a key, once for each. Required. If it panics the
	// key stays absent.
	Open func(K) V
}

// Get returns the value of a key.
func (c *Cache[K, V]) Get(k K) V {
	if m := c.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
	}
	return c.add(k)
}

func (c *Cache[K, V]) add(k K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[K]V)
	if m := c.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
		next = maps.Clone(*m)
	}
	v := c.Open(k)
	next[k] = v
	c.m.Store(&next)
	return v
}
