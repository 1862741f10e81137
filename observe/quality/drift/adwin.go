package drift

import (
	"math"
	"slices"
)

// ADWIN finds any change of the mean. It holds a window of recent values whose
// length adapts: whenever two parts of it, an older and a newer one, have means too
// far apart to be of one distribution, the oldest values are dropped, and that is a
// drift. Parts of n0 and n1 values are too far apart if their means differ by more
// than
//
//	epsilon = sqrt(2 m s2 d) + 2/3 d m
//	m = 1/(n0-4) + 1/(n1-4)    d = ln(2 ln(width) / Delta)
//
// with s2, the variance of the window. Cuts are looked for with every 32nd value,
// between buckets of 1, 2, 4, ... values, so that memory and time grow with the
// logarithm of the width.
//
// Delta is set before the first Update. The zero value is ready. A copy shares its
// memory: use Clone. Not for concurrent use.
type ADWIN struct {
	// Delta bounds the chance of a false drift in a comparison: less finds less,
	// later. Above 0, below 1; what is out of range counts as the default.
	// Defaults to 0.002.
	Delta float64

	rows     []row // rows[r] has buckets of 2^r values; the last row has the oldest
	width    int64
	total    float64
	variance float64 // sum of squared distances from the mean
	drifted  bool
	ticks    int64 // values since the window was empty
	refused  int64
}

// row is a few buckets of one size, oldest first.
type row struct {
	n       int
	buckets [rowBuckets + 1]bucket
}

// bucket sums up neighbouring values.
type bucket struct {
	total    float64
	variance float64
}

const (
	rowBuckets = 5  // of one size; one more, and the two oldest become one
	period     = 32 // values from one search for cuts to the next
	minWidth   = 10 // no cut in a window as short as this
	minPart    = 5  // no part shorter than this
)

// Update takes the next value. One that is not finite is counted as refused and
// changes nothing; one beyond 1e100 counts as 1e100. Only a new power of two of the
// width allocates.
func (a *ADWIN) Update(x float64) Verdict {
	x, ok := admit(x, &a.refused)
	if !ok {
		return a.verdict()
	}
	if a.ticks == 0 && !(a.Delta > 0 && a.Delta < 1) {
		a.Delta = 0.002
	}
	if a.drifted {
		a.drifted = false
		a.rows = a.rows[:0]
		a.width, a.total, a.variance, a.ticks = 0, 0, 0, 0
	}
	a.insert(x)
	a.ticks++
	if a.ticks%period != 0 || a.width <= minWidth {
		return a.verdict()
	}
	var distance, epsilon float64
	for {
		d, e, found := a.cut()
		if !found {
			break
		}
		distance, epsilon, a.drifted = d, e, true
		a.dropOldest()
	}
	v := a.verdict()
	v.Drift, v.Statistic, v.Limit = a.drifted, distance, epsilon
	return v
}

// Refused is how many values were refused since the beginning.
func (a *ADWIN) Refused() int64 { return a.refused }

// Clone returns a detector in the same state that shares nothing.
func (a *ADWIN) Clone() *ADWIN {
	c := *a
	c.rows = slices.Clone(a.rows)
	return &c
}

func (a *ADWIN) verdict() Verdict {
	v := Verdict{N: a.width}
	if a.width > 0 {
		v.Mean = a.total / float64(a.width)
	}
	return v
}

// insert adds a value to the window, as a bucket of its own.
func (a *ADWIN) insert(x float64) {
	if a.width > 0 {
		before, now := float64(a.width), float64(a.width+1)
		away := x - a.total/before
		a.variance += before * away * away / now
	}
	a.width++
	a.total += x
	a.add(0, bucket{total: x})
}

// add puts a bucket at the new end of a row; where there are too many, the two
// oldest become one of the next row.
func (a *ADWIN) add(r int, b bucket) {
	if r == len(a.rows) {
		a.rows = append(a.rows, row{})
	}
	w := &a.rows[r]
	w.buckets[w.n] = b
	w.n++
	if w.n <= rowBuckets {
		return
	}
	older, newer, size := w.buckets[0], w.buckets[1], bucketSize(r)
	away := (older.total - newer.total) / size
	w.drop(2)
	a.add(r+1, bucket{
		total:    older.total + newer.total,
		variance: older.variance + newer.variance + size/2*away*away,
	})
}

// cut goes through the window from its oldest value on, looking for two parts whose
// means differ too much. The newest bucket of a row ends no older part.
func (a *ADWIN) cut() (distance, epsilon float64, found bool) {
	n0, total0 := 0.0, 0.0
	n1, total1 := float64(a.width), a.total
	for r := len(a.rows) - 1; r >= 0; r-- {
		w, size := &a.rows[r], bucketSize(r)
		for i := range w.n - 1 {
			n0, n1 = n0+size, n1-size
			total0, total1 = total0+w.buckets[i].total, total1-w.buckets[i].total
			if n0 < minPart || n1 < minPart {
				continue
			}
			distance, epsilon = math.Abs(total0/n0-total1/n1), a.epsilon(n0, n1)
			if distance > epsilon {
				return distance, epsilon, true
			}
		}
	}
	return 0, 0, false
}

// epsilon is the largest distance of the means of two parts that chance explains.
func (a *ADWIN) epsilon(n0, n1 float64) float64 {
	width := float64(a.width)
	d := math.Log(2 * math.Log(width) / a.Delta)
	m := 1/(n0-minPart+1) + 1/(n1-minPart+1)
	s2 := max(a.variance, 0) / width // rounding may leave less than 0
	return math.Sqrt(2*m*s2*d) + 2.0/3.0*d*m
}

// dropOldest takes the oldest bucket out of the window.
func (a *ADWIN) dropOldest() {
	last := len(a.rows) - 1
	w, size := &a.rows[last], bucketSize(last)
	b := w.buckets[0]
	a.width -= int64(size)
	a.total -= b.total
	rest := float64(a.width)
	away := b.total/size - a.total/rest
	a.variance -= b.variance + size*rest*away*away/(size+rest)
	if w.drop(1); w.n == 0 {
		a.rows = a.rows[:last]
	}
}

// drop takes out the oldest k buckets.
func (w *row) drop(k int) {
	copy(w.buckets[:], w.buckets[k:w.n])
	w.n -= k
}

func bucketSize(r int) float64 { return float64(int64(1) << r) }
