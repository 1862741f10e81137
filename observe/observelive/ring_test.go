package observelive

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func nearestRank(values []float64, q float64) float64 {
	s := slices.Clone(values)
	slices.Sort(s)
	return s[int(math.Ceil(q*float64(len(s))))-1]
}

func TestRingWraps(t *testing.T) {
	for _, size := range []int{2, 127, 128, 129, 300} {
		r := newRing(size)
		ax := axis{ms: make([]int64, size)}
		for i := range 3*size + 1 {
			ax.push(int64(1000 + i))
			v := float32(i)
			if i%7 == 3 {
				v = nan32()
			}
			r.set(ax.pos(), v)
		}
		last := 3 * size
		require.Equal(t, last+1, ax.next)
		for step := ax.next - size; step < ax.next; step++ {
			require.Equal(t, int64(1000+step), ax.ms[step%size])
			got := r.at(step % size)
			if step%7 == 3 {
				require.True(t, got != got, "a gap stays a gap")
			} else {
				require.Equal(t, float32(step), got)
			}
		}
	}
}

// A curve without points holds nothing; its first point brings one chunk.
func TestRingIsMadeInChunks(t *testing.T) {
	r := newRing(900)
	require.Zero(t, r.set(5, nan32()))
	require.Zero(t, r.held())
	require.True(t, r.at(5) != r.at(5))
	require.EqualValues(t, chunkPoints*pointBytes, r.set(300, 1))
	require.Zero(t, r.set(301, 2))
	require.EqualValues(t, chunkPoints*pointBytes, r.held())
	require.EqualValues(t, (900-7*chunkPoints)*pointBytes, r.set(899, 1), "the last chunk is short")
}

func TestAxisSince(t *testing.T) {
	ax := axis{ms: make([]int64, 10)}
	require.Equal(t, 0, ax.since(0), "nothing yet")
	for i := range 25 {
		ax.push(int64(i * 100))
	}
	require.Equal(t, 15, ax.since(0), "the oldest held")
	require.Equal(t, 20, ax.since(1999))
	require.Equal(t, 21, ax.since(2000))
	require.Equal(t, 25, ax.since(2400), "nothing newer")
	require.Equal(t, 25, ax.since(1<<60))
}

func TestTrackKeepsMeanAndMaximumOfAMinute(t *testing.T) {
	tr := track{fine: newRing(10), mean: newRing(4), max: newRing(4)}
	tr.put(0, 0, -4)
	tr.put(1, 0, math.NaN())
	tr.put(2, 0, -2)
	require.Equal(t, float32(-3), tr.mean.at(0))
	require.Equal(t, float32(-2), tr.max.at(0))
	tr.minute()
	tr.put(3, 1, math.NaN())
	require.True(t, tr.mean.at(1) != tr.mean.at(1))
	tr.put(4, 1, 1e300) // larger than any float32
	require.True(t, tr.fine.at(4) != tr.fine.at(4))
	require.Equal(t, float32(-3), tr.mean.at(0))
}

func TestClockNeverGoesBack(t *testing.T) {
	at := epoch
	var c clock
	first := c.next(at)
	require.Equal(t, at.UnixMilli(), first)
	require.Equal(t, first+2000, c.next(at.Add(2e9)))
	require.Equal(t, first+2001, c.next(at.Add(-3600e9)), "set back by an hour")
	require.Greater(t, c.next(at.Add(-3599e9)), first+2001)
	var ahead clock
	ahead.next(at)
	require.Equal(t, at.UnixMilli()+7200e3, ahead.next(at.Add(7200e9)))
}

// read gives what at gives, over wraps and chunks that were never made.
func TestRingRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for range 2000 {
		points := 1 + rng.IntN(400)
		r := newRing(points)
		for range rng.IntN(2 * points) {
			r.set(rng.IntN(points), rng.Float32())
		}
		from, n := rng.IntN(3*points), rng.IntN(points+1)
		got := make([]float32, n)
		r.read(got, from)
		for k, v := range got {
			want := r.at((from + k) % points)
			require.True(t, v == want || v != v && want != want, "%d points, step %d", points, from+k)
		}
	}
}

// at is the point of one position.
func (r *ring) at(i int) float32 {
	chunk := r.chunks[i/chunkPoints]
	if chunk == nil {
		return nan32()
	}
	return chunk[i%chunkPoints]
}
