package observe

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stTick is a batch given to a clock.
type stTick struct {
	k       int
	now     time.Duration
	content bool
}

// stClock runs a clock and returns the gaps that it merged, in their order, and
// how often time went backwards.
func stClock(t *testing.T, ticks []stTick) (c tokenClock, gaps []time.Duration, back int) {
	var buf gapBuffer
	for _, b := range ticks {
		if c.batch(b.k, b.now, b.content) {
			back++
		}
		for c.gather(&buf) {
			require.Equal(t, maxGaps, c.pending)
			gaps = append(gaps, buf[:]...)
			c.pending = 0
		}
		require.Zero(t, c.left)
		require.Less(t, c.pending, maxGaps)
	}
	return c, append(gaps, buf[:c.pending]...), back
}

func TestTokenClock(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name                 string
		ticks                []stTick
		first, last, cont    time.Duration
		events, count        int
		sum, longest         time.Duration
		gaps                 []time.Duration
		back                 int
		hasFirst, hasContent bool
	}{
		{name: "nothing"},
		{"one token", []stTick{{1, 5 * ms, true}}, 5 * ms, 5 * ms, 5 * ms, 1, 0, 0, 0, nil, 0, true, true},
		{"first batch has no gap", []stTick{{9, 5 * ms, true}}, 5 * ms, 5 * ms, 5 * ms, 9, 0, 0, 0, nil, 0, true, true},
		{"batches share their gap", []stTick{{2, 0, true}, {3, 30 * ms, true}, {1, 35 * ms, true}}, 0, 35 * ms, 0, 6, 4, 35 * ms, 10 * ms,
			[]time.Duration{10 * ms, 10 * ms, 10 * ms, 5 * ms}, 0, true, true},
		{"a remainder is not lost", []stTick{{1, 0, true}, {3, 11, true}}, 0, 11, 0, 4, 3, 11, 4, []time.Duration{3, 4, 4}, 0, true, true},
		{"more tokens than nanoseconds", []stTick{{1, 0, true}, {3, 1, true}}, 0, 1, 0, 4, 3, 1, 1, []time.Duration{0, 0, 1}, 0, true, true},
		{"no time passes", []stTick{{1, 7, true}, {2, 7, true}}, 7, 7, 7, 3, 2, 0, 0, []time.Duration{0, 0}, 0, true, true},
		{"backwards", []stTick{{1, 10, true}, {1, 4, true}, {1, 12, true}}, 10, 12, 10, 3, 2, 2, 2, []time.Duration{0, 2}, 1, true, true},
		{"content later", []stTick{{1, 10, false}, {1, 14, true}, {1, 20, true}}, 10, 20, 14, 3, 2, 10, 6, []time.Duration{4, 6}, 0, true, true},
		{"content later, backwards", []stTick{{1, 10, false}, {1, 4, true}}, 10, 10, 10, 2, 1, 0, 0, []time.Duration{0}, 1, true, true},
		{"reasoning only", []stTick{{1, 10, false}}, 10, 10, 0, 1, 0, 0, 0, nil, 0, true, false},
	} {
		got, gaps, back := stClock(t, c.ticks)
		want := tokenClock{first: c.first, last: c.last, content: c.cont, hasFirst: c.hasFirst, hasContent: c.hasContent,
			events: c.events, count: c.count, sum: c.sum, longest: c.longest, pending: c.count % maxGaps}
		got.share, got.extra = 0, 0
		require.Equal(t, want, got, c.name)
		require.Equal(t, c.gaps, gaps, c.name)
		require.Equal(t, c.back, back, c.name)
	}
}

func TestTokenClockProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for range 10_000 {
		ticks := make([]stTick, 1+r.IntN(30))
		now, steps, high := time.Duration(r.IntN(1000)), 0, time.Duration(0)
		var want []stTick // gaps to be divided
		firstContent := time.Duration(-1)
		events := 0
		for i := range ticks {
			if r.IntN(6) == 0 {
				now -= time.Duration(r.IntN(500))
			} else {
				now += time.Duration(r.Int64N(1 << r.IntN(40)))
			}
			now = max(now, 0)
			b := stTick{1 + r.IntN(1<<r.IntN(9)), now, r.IntN(3) > 0}
			ticks[i] = b
			events += b.k
			if i == 0 {
				high = now
			} else {
				want = append(want, stTick{k: b.k, now: max(now-high, 0)})
				if now < high {
					steps++
				}
				high = max(high, now)
			}
			if b.content && firstContent < 0 {
				firstContent = high
			}
		}
		c, gaps, back := stClock(t, ticks)
		require.Equal(t, steps, back)
		require.Equal(t, ticks[0].now, c.first)
		require.Equal(t, high, c.last)
		require.Equal(t, c.last-c.first, c.sum, "the sum of the gaps")
		require.Equal(t, events, c.events)
		require.Equal(t, c.events-ticks[0].k, c.count, "the number of gaps")
		require.Len(t, gaps, c.count)
		require.Equal(t, firstContent >= 0, c.hasContent)
		if c.hasContent {
			require.Equal(t, firstContent, c.content)
		}
		longest, at := time.Duration(0), 0
		for _, b := range want {
			sum := time.Duration(0)
			for _, g := range gaps[at : at+b.k] {
				if share := b.now / time.Duration(b.k); g != share && g != share+1 {
					t.Fatalf("a gap of %v of %v among %d", g, b.now, b.k)
				}
				longest = max(longest, g)
				sum += g
			}
			require.Equal(t, b.now, sum)
			at += b.k
		}
		require.Equal(t, longest, c.longest)
	}
}

// TestHugeBatch: what one call can cost is bounded.
func TestHugeBatch(t *testing.T) {
	c, gaps, _ := stClock(t, []stTick{{1 << 40, 0, true}, {1 << 62, 1<<62 + 1, true}})
	require.Equal(t, 2*maxBatch, c.events)
	require.Equal(t, maxBatch, c.count)
	require.Len(t, gaps, maxBatch)
	require.Equal(t, time.Duration(1<<62+1), c.sum)
}
