package observelive

import "math"

const (
	windowBuckets = 15   // slots of a histogram's window
	windowSeconds = 30.0 // what the slots cover together
	slotSeconds   = windowSeconds / windowBuckets
	maxBuckets    = 256 // classic buckets a histogram may have; beyond, only its rate is plotted
)

// A slot is what a histogram counted from start until the next slot's start.
type slot struct {
	start  float64
	total  float64
	counts []float64
	native native
}

// A window is the last 30 s of a histogram, as the counts of 15 slots of at least 2 s. Times are
// seconds on the caller's clock.
type window struct {
	bounds   []float64 // classic upper bounds; nil for a native histogram
	isNative bool
	slots    [windowBuckets]slot
	head, n  int // the newest slot, how many
	sum      []float64
	total    float64
	scratch  native
}

// advance forgets what is older than the window and opens a new slot when the newest is full;
// since is when the coming counts began. It returns the bytes newly held.
func (w *window) advance(since, now float64) (grown int64) {
	full := w.n == 0 || now-w.slots[w.head].start > slotSeconds*1.25 // 1.25: jitter
	for w.n > 0 {
		old := &w.slots[(w.head-w.n+1+windowBuckets)%windowBuckets]
		if old.start > now-windowSeconds-0.1*slotSeconds && (!full || w.n < windowBuckets) {
			break
		}
		for i, c := range old.counts {
			w.sum[i] -= c
			old.counts[i] = 0
		}
		w.total -= old.total
		w.n--
	}
	if w.n > 0 && !full {
		return 0
	}
	w.head = (w.head + 1) % windowBuckets
	w.n++
	s := &w.slots[w.head]
	s.start, s.total = since, 0
	s.native.zero, s.native.pos, s.native.neg = 0, s.native.pos[:0], s.native.neg[:0]
	if s.counts == nil && !w.isNative {
		s.counts = make([]float64, len(w.bounds)+1)
		grown = int64(len(s.counts)) * 8
	}
	return grown
}

// add counts classic observations, one number a bucket, into the newest slot.
func (w *window) add(counts []float64) {
	s := &w.slots[w.head]
	for i, c := range counts {
		s.counts[i] += c
		w.sum[i] += c
		s.total += c
		w.total += c
	}
}

// addNative counts native observations into the newest slot.
func (w *window) addNative(d *native, total float64) (grown int64) {
	s := &w.slots[w.head]
	before := s.native.held()
	s.native.add(d)
	s.total += total
	w.total += total
	return s.native.held() - before
}

// rate is observations per second over the window.
func (w *window) rate(now float64) float64 {
	if w.n == 0 {
		return math.NaN()
	}
	oldest := w.slots[(w.head-w.n+1+windowBuckets)%windowBuckets].start
	if now <= oldest {
		return math.NaN()
	}
	return w.total / (now - oldest)
}

// quantiles writes the quantile of each q over the window; buckets is scratch that it returns.
func (w *window) quantiles(qs []float64, out []float64, buckets []nativeBucket) []nativeBucket {
	if !w.isNative {
		for i, q := range qs {
			out[i] = quantile(q, w.bounds, w.sum)
		}
		return buckets
	}
	w.scratch.zero, w.scratch.pos, w.scratch.neg = 0, w.scratch.pos[:0], w.scratch.neg[:0]
	for i := range w.n {
		s := &w.slots[(w.head-i+windowBuckets)%windowBuckets]
		if s.total > 0 {
			w.scratch.add(&s.native)
		}
	}
	buckets = w.scratch.buckets(buckets[:0])
	for i, q := range qs {
		out[i] = nativeQuantile(q, buckets)
	}
	return buckets
}
