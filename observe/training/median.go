package training

import (
	"cmp"
	"slices"
)

// window holds the last values of a stream, as they came and in ascending order.
// Its memory is that of init; adding a value takes O(log n) comparisons and moves
// at most n values in memory.
type window[T cmp.Ordered] struct {
	ring   []T // a ring once it is full
	sorted []T
	next   int // place in ring of the oldest value, once it is full
}

func (w *window[T]) init(size int) {
	memory := make([]T, 2*size)
	w.ring, w.sorted, w.next = memory[:0:size], memory[size:size:2*size], 0
}

// ready reports whether init was called.
func (w *window[T]) ready() bool { return cap(w.ring) > 0 }

func (w *window[T]) full() bool { return len(w.ring) == cap(w.ring) }

// add puts x in the place of the oldest value.
func (w *window[T]) add(x T) {
	if !w.full() {
		w.ring = append(w.ring, x)
		w.sorted = slices.Insert(w.sorted, place(w.sorted, x), x)
		return
	}
	old := w.ring[w.next]
	w.ring[w.next] = x
	if w.next++; w.next == len(w.ring) {
		w.next = 0
	}
	// Moved one by one: with copy, each value would wait for the copy before.
	s, i := w.sorted, place(w.sorted, old)
	for ; i+1 < len(s) && s[i+1] < x; i++ {
		s[i] = s[i+1]
	}
	for ; i > 0 && s[i-1] > x; i-- {
		s[i] = s[i-1]
	}
	s[i] = x
}

// set replaces everything by as many values as the window holds.
func (w *window[T]) set(values []T) {
	w.ring = append(w.ring[:0], values...)
	w.sorted = append(w.sorted[:0], values...)
	slices.Sort(w.sorted)
	w.next = 0
}

// rank returns the smallest value that a percentage of the values does not exceed.
// There must be a value.
func (w *window[T]) rank(percent int) T {
	n := len(w.sorted)
	return w.sorted[max((percent*n+99)/100, 1)-1]
}

// place returns where x belongs in ascending values: before the first that is not
// smaller. The next step is chosen without a branch, which could not be predicted.
func place[T cmp.Ordered](sorted []T, x T) int {
	from, n := 0, len(sorted)
	for n > 1 {
		half, step := n/2, 0
		if sorted[from+half-1] < x {
			step = half
		}
		from += step
		n -= half
	}
	if n == 1 && sorted[from] < x {
		from++
	}
	return from
}

// median returns the median of ascending values, of which there must be one.
func median(sorted []float64) float64 {
	n := len(sorted)
	return middle(sorted[(n-1)/2], sorted[n/2])
}

// medianDeviation returns the median of the distances of ascending values from
// their median.
func medianDeviation(sorted []float64, median float64) float64 {
	n := len(sorted)
	return middle(nearest(sorted, median, (n+1)/2), nearest(sorted, median, n/2+1))
}

// nearest returns the k-th smallest distance of ascending values from center. The
// k nearest values stand side by side, so that it is enough to find where they
// begin.
func nearest(sorted []float64, center float64, k int) float64 {
	from, to := 0, len(sorted)-k
	for from < to {
		mid := (from + to) / 2
		if center-sorted[mid] > sorted[mid+k]-center {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return max(center-sorted[from], sorted[from+k-1]-center)
}

// middle returns the mean of two values without passing their range.
func middle(a, b float64) float64 {
	if a == b {
		return a
	}
	return a/2 + b/2
}
