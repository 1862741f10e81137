package observelive

import "math"

const (
	chunkPoints = 128
	pointBytes  = 4
)

// A ring is a curve of float32 points over a shared axis, in chunks that are made when the first
// real point falls into them. A missing point is NaN. Every step writes one position, so what is
// older than the ring is overwritten even where it is a gap.
type ring struct {
	chunks [][]float32
	points int
}

func newRing(points int) ring {
	return ring{chunks: make([][]float32, (points+chunkPoints-1)/chunkPoints), points: points}
}

// set writes position i and returns the bytes newly held.
func (r *ring) set(i int, v float32) int64 {
	c := i / chunkPoints
	chunk := r.chunks[c]
	if chunk == nil {
		if v != v {
			return 0
		}
		chunk = make([]float32, min(chunkPoints, r.points-c*chunkPoints))
		for k := range chunk {
			chunk[k] = nan32()
		}
		r.chunks[c] = chunk
		chunk[i%chunkPoints] = v
		return int64(len(chunk)) * pointBytes
	}
	chunk[i%chunkPoints] = v
	return 0
}

// read copies the points of the steps from step on into p, no more than the ring has.
func (r *ring) read(p []float32, step int) {
	for len(p) > 0 {
		i := step % r.points
		c := i / chunkPoints
		n := min(len(p), chunkPoints-i%chunkPoints, r.points-i)
		if chunk := r.chunks[c]; chunk != nil {
			copy(p[:n], chunk[i%chunkPoints:])
		} else {
			for k := range n {
				p[k] = nan32()
			}
		}
		p, step = p[n:], step+n
	}
}

// held is the memory of the points, in bytes.
func (r *ring) held() int64 {
	var n int64
	for _, c := range r.chunks {
		n += int64(len(c)) * pointBytes
	}
	return n
}

// An axis is the shared time axis of rings: step n stands at position n modulo its length.
type axis struct {
	ms   []int64
	next int // steps taken
}

func (a *axis) push(ms int64) {
	a.ms[a.next%len(a.ms)] = ms
	a.next++
}

// pos is the position of the newest step.
func (a *axis) pos() int { return (a.next - 1) % len(a.ms) }

// since returns the first step still held that is later than ms.
func (a *axis) since(ms int64) int {
	lo, hi := max(0, a.next-len(a.ms)), a.next
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if a.ms[mid%len(a.ms)] > ms {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// A track is one plotted curve: its fine points, and mean and maximum of each minute.
type track struct {
	id   int
	part string // what it is of its series: rate, value, p50, ...
	fine ring
	mean ring
	max  ring
	sum  float64 // of the minute under way
	top  float64
	n    int
}

// put writes the point of this step; a value no float32 holds is a gap.
func (t *track) put(fine, coarse int, v float64) (grown int64) {
	p := float32(v)
	if math.IsInf(float64(p), 0) {
		p = nan32()
	}
	grown = t.fine.set(fine, p)
	if p == p {
		t.sum += v
		t.top = max(t.top, v)
		if t.n == 0 {
			t.top = v
		}
		t.n++
	}
	if t.n > 0 {
		grown += t.mean.set(coarse, float32(t.sum/float64(t.n)))
		grown += t.max.set(coarse, float32(t.top))
	} else {
		grown += t.mean.set(coarse, nan32())
		grown += t.max.set(coarse, nan32())
	}
	return grown
}

// minute begins a new coarse point.
func (t *track) minute() { t.sum, t.top, t.n = 0, 0, 0 }

func (t *track) held() int64 { return trackBytes + t.fine.held() + t.mean.held() + t.max.held() }

func nan32() float32 { return float32(math.NaN()) }
