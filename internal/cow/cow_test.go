package cow

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCacheOpensOnce(t *testing.T) {
	var opened atomic.Int64
	c := Cache[int, *int]{Open: func(k int) *int { opened.Add(1); return &k }}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for k := range 1000 {
				if got := c.Get(k); *got != k || got != c.Get(k) {
					t.Errorf("key %d has %d", k, *got)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1000, opened.Load())
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Get(500) }))
}

func TestCacheAfterAPanic(t *testing.T) {
	fail := true
	c := Cache[string, int]{Open: func(string) int {
		if fail {
			panic("not yet")
		}
		return 7
	}}
	assert.Panics(t, func() { c.Get("a") })
	fail = false
	assert.Equal(t, 7, c.Get("a"))
}
