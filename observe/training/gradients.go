package training

import (
	"iter"
	"math"
)

// defaultBuckets is how many buckets a Histogram has at most.
const defaultBuckets = 512

// GradientStats describes the values of a tensor, of any number of values, in one
// pass and fixed memory of 256 KiB: it counts them by sign, exponent and the first
// six bits of the mantissa. The zero value is ready, and Reset makes it so again.
// It is not safe for concurrent use.
//
// Counts are exact; a norm is as exact as float64. Quantiles are within 2^-7 (0.8
// %) of the value that they stand for, or within 1e-38 where that is less: below
// the smallest normal float32.
type GradientStats struct {
	counts  [2 * magnitudes]int64 // by magnitude; the negative ones after the others
	sum     float64               // of the finite values
	squares float64               // of the finite values
	largest float64               // square of a finite value
}

// Add counts values. NaN and infinities are counted as such, and enter nothing
// else. It allocates nothing.
func (s *GradientStats) Add(values []float32) {
	sum, squares, largest := s.count(values)
	if !finite(squares) {
		sum, squares, largest = sumFinite(values)
	}
	s.sum += sum
	s.squares += squares
	s.largest = max(s.largest, largest)
}

// count counts values, and returns their sum, the sum of their squares and the
// largest square if that is above s.largest. One value that is not finite makes the
// squares so.
func (s *GradientStats) count(values []float32) (sum, squares, largest float64) {
	n := &s.counts
	largest = s.largest
	for len(values) >= 4 {
		v := (*[4]float32)(values)
		values = values[4:]
		n[math.Float32bits(v[0])>>bucketShift]++
		n[math.Float32bits(v[1])>>bucketShift]++
		n[math.Float32bits(v[2])>>bucketShift]++
		n[math.Float32bits(v[3])>>bucketShift]++
		a, b, c, d := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		sum += (a + b) + (c + d)
		a, b, c, d = a*a, b*b, c*c, d*d
		four := (a + b) + (c + d)
		squares += four
		if four > largest { // else none of them is
			largest = larger(largest, a, b, c, d)
		}
	}
	for _, v := range values {
		n[math.Float32bits(v)>>bucketShift]++
		a := float64(v)
		sum += a
		squares += a * a
		largest = larger(largest, a*a, 0, 0, 0)
	}
	return sum, squares, largest
}

// larger returns the largest of its arguments. The comparisons are cheaper than max,
// which heeds NaN.
func larger(largest, a, b, c, d float64) float64 {
	if a > largest {
		largest = a
	}
	if b > largest {
		largest = b
	}
	if c > largest {
		largest = c
	}
	if d > largest {
		largest = d
	}
	return largest
}

// sumFinite returns what count returns, of the finite values alone.
func sumFinite(values []float32) (sum, squares, largest float64) {
	for _, v := range values {
		if a := float64(v); finite(a) {
			sum += a
			squares += a * a
			largest = max(largest, a*a)
		}
	}
	return sum, squares, largest
}

// AddBF16 counts values in bfloat16, the upper 16 bits of a float32. It allocates
// nothing.
func (s *GradientStats) AddBF16(values []uint16) {
	var block [256]float32
	for len(values) > 0 {
		n := min(len(values), len(block))
		for i, v := range values[:n] {
			block[i] = math.Float32frombits(uint32(v) << 16)
		}
		s.Add(block[:n])
		values = values[n:]
	}
}

// Merge adds the values counted by another; nil is none.
func (s *GradientStats) Merge(other *GradientStats) {
	if other == nil {
		return
	}
	for i, n := range &other.counts {
		s.counts[i] += n
	}
	s.sum += other.sum
	s.squares += other.squares
	s.largest = max(s.largest, other.largest)
}

// Reset forgets all values.
func (s *GradientStats) Reset() { *s = GradientStats{} }

// Count returns how many finite values there are.
func (s *GradientStats) Count() int64 {
	return total(s.counts[:notFinite]) + total(s.counts[magnitudes:magnitudes+notFinite])
}

// NonFinite returns how many values are NaN or infinite.
func (s *GradientStats) NonFinite() int64 {
	return total(s.counts[notFinite:magnitudes]) + total(s.counts[magnitudes+notFinite:])
}

func total(counts []int64) int64 {
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return sum
}

// Zeros returns how many values are zero, or nearer to it than 1.9e-40.
func (s *GradientStats) Zeros() int64 { return s.at(0) }

// L2 returns the Euclidean norm of the finite values; 0 if there is none.
func (s *GradientStats) L2() float64 { return math.Sqrt(s.squares) }

// MaxAbs returns the largest absolute value of a finite value; 0 if there is none.
func (s *GradientStats) MaxAbs() float64 { return math.Sqrt(s.largest) }

// at returns how many values have a magnitude, which is negative for negative
// values.
func (s *GradientStats) at(magnitude int) int64 {
	switch {
	case magnitude > 0:
		return s.counts[magnitude]
	case magnitude < 0:
		return s.counts[magnitudes-magnitude]
	default:
		return s.counts[0] + s.counts[magnitudes]
	}
}

// top returns the highest magnitude there is.
func (s *GradientStats) top() int { return magnitudeOf(s.MaxAbs()) }

// Quantile returns the value that the share q of the finite values does not exceed,
// 0 to 1. It is NaN if there is no value, or q is not in that range.
func (s *GradientStats) Quantile(q float64) float64 {
	left := nearestRank(q, s.Count())
	if left == 0 {
		return math.NaN()
	}
	top := s.top()
	for m := -top; m < top; m++ {
		if left -= s.at(m); left <= 0 {
			return s.value(m)
		}
	}
	return s.value(top)
}

// AbsQuantile returns the absolute value that the share q of the finite values does
// not exceed, 0 to 1. It is NaN if there is no value, or q is not in that range.
func (s *GradientStats) AbsQuantile(q float64) float64 {
	left := nearestRank(q, s.Count())
	if left == 0 {
		return math.NaN()
	}
	top := s.top()
	for m := range top {
		if left -= s.counts[m] + s.counts[magnitudes+m]; left <= 0 {
			return s.value(m)
		}
	}
	return s.value(top)
}

// nearestRank returns which of n values in ascending order, counted from 1, is the
// quantile q; 0 if there is none.
func nearestRank(q float64, n int64) int64 {
	if n == 0 || !(q >= 0 && q <= 1) {
		return 0
	}
	return min(max(int64(math.Ceil(q*float64(n))), 1), n)
}

// value returns the number that stands for a magnitude, of which the highest ones
// may end at MaxAbs.
func (s *GradientStats) value(magnitude int) float64 {
	if magnitude < 0 {
		return -s.value(-magnitude)
	}
	return min(center(magnitude), s.MaxAbs())
}

// Histogram returns the distribution of the finite values in at most so many
// buckets; below 1 is 512. Neighbouring buckets are joined, all by the same number
// of bits, until there are few enough. A gap between values is one bucket, of count
// 0. Min and Max may be up to 1.6 % outside of the true ones, but never outside of
// MaxAbs. Sum and SumSquares are exact to float64. Without values there is no
// bucket.
func (s *GradientStats) Histogram(atMost int) *Histogram {
	if atMost < 1 {
		atMost = defaultBuckets
	}
	drop, buckets := 0, s.countBuckets(0)
	for buckets > atMost {
		drop++
		buckets = s.countBuckets(drop)
	}
	h := &Histogram{Sum: s.sum, SumSquares: s.squares, Limits: make([]float64, 0, buckets), Counts: make([]int64, 0, buckets)}
	for limit, n := range s.buckets(drop) {
		h.Limits = append(h.Limits, limit)
		h.Counts = append(h.Counts, n)
		h.Count += n
	}
	h.Min, h.Max = s.extremes()
	return h
}

func (s *GradientStats) countBuckets(drop int) int {
	n := 0
	for range s.buckets(drop) {
		n++
	}
	return n
}

// buckets yields the upper limits and counts of the buckets of a Histogram. A group
// is what remains of a magnitude without its last bits, drop of them; that of zero
// has values of both signs.
func (s *GradientStats) buckets(drop int) iter.Seq2[float64, int64] {
	return func(yield func(float64, int64) bool) {
		var group int
		var count int64
		top := s.top()
		for m := -top; m <= top; m++ {
			n := s.at(m)
			if n == 0 {
				continue
			}
			g := m / (1 << drop) // towards zero
			if count > 0 && g != group {
				if !yield(groupLimit(group, drop), count) {
					return
				}
				if g > group+1 && !yield(groupLimit(g-1, drop), 0) {
					return
				}
				count = 0
			}
			group = g
			count += n
		}
		if count > 0 {
			yield(groupLimit(group, drop), count)
		}
	}
}

// groupLimit returns the highest value of a group of magnitudes.
func groupLimit(group, drop int) float64 {
	if group < 0 {
		return -lowest(-group << drop)
	}
	return highest(min((group+1)<<drop, notFinite) - 1)
}

// extremes returns limits of the lowest and the highest value.
func (s *GradientStats) extremes() (low, high float64) {
	top := s.top()
	for m := -top; m <= top; m++ {
		if s.at(m) > 0 {
			low = edge(m, m < 0)
			break
		}
	}
	for m := top; m >= -top; m-- {
		if s.at(m) > 0 {
			high = edge(m, m > 0)
			break
		}
	}
	return max(low, -s.MaxAbs()), min(high, s.MaxAbs())
}

// edge returns the end of a magnitude that is away from zero, or the one that is
// towards it.
func edge(magnitude int, away bool) float64 {
	end := lowest
	if away {
		end = highest
	}
	if magnitude < 0 {
		return -end(-magnitude)
	}
	return end(magnitude)
}
