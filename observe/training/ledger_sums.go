package training

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"time"
)

const (
	// keptSteps is how many steps a rollback can undo exactly.
	keptSteps = 4096
	// keptCheckpoints is how many checkpoints a rollback can return to exactly,
	// however long ago they were saved.
	keptCheckpoints = 1024
)

// sum is the productive time of all steps up to one, itself included.
type sum struct {
	step int64
	time time.Duration
}

// sums knows how much productive time belongs to the steps after any step: exactly
// for the last keptSteps and the last keptCheckpoints, in proportion to the number
// of steps between those. Its zero value has no steps.
type sums struct {
	from  int64 // no productive time belongs to this step and those before; at least -1
	ring  []sum // steps strictly ascending; one more than keptSteps
	head  int   // place of the oldest in ring
	size  int   // how many there are
	saved []sum // of checkpoints, steps strictly ascending; also of those still in ring
}

// at returns the sum in place i, the oldest is 0.
func (s *sums) at(i int) *sum {
	i += s.head
	if i >= len(s.ring) {
		i -= len(s.ring)
	}
	return &s.ring[i]
}

// newest returns the sum of the last step: 0 for step 0 when there was none.
func (s *sums) newest() sum {
	if s.size == 0 {
		return sum{}
	}
	return *s.at(s.size - 1)
}

// add books productive time of a step. One whose number does not rise is booked to
// the newest.
func (s *sums) add(step int64, took time.Duration) {
	last := s.newest()
	if step > last.step {
		if last.time == 0 {
			s.from, s.size, s.saved = step-1, 0, s.saved[:0]
		}
		s.push(sum{step, last.time + took})
		return
	}
	if s.size == 0 {
		s.push(last)
	}
	if last.time == 0 {
		s.from = min(s.from, last.step-1)
	}
	s.at(s.size - 1).time += took
	if n := len(s.saved); n > 0 && s.saved[n-1].step == last.step {
		s.saved[n-1].time += took
	}
}

// push appends a sum, and forgets the oldest when there is no room.
func (s *sums) push(x sum) {
	if s.ring == nil {
		s.ring = make([]sum, keptSteps+1)
	}
	if s.size == len(s.ring) {
		s.head, s.size = (s.head+1)%len(s.ring), s.size-1
	}
	s.size++
	*s.at(s.size - 1) = x
}

// checkpoint keeps the sum of a step. That of a step which has not ended is not
// known.
func (s *sums) checkpoint(step int64) {
	if step <= s.from || step > s.newest().step {
		return
	}
	i, known := slices.BinarySearchFunc(s.saved, step, func(x sum, step int64) int {
		return cmp.Compare(x.step, step)
	})
	if known {
		return
	}
	if len(s.saved) == keptCheckpoints {
		if i == 0 {
			return // older than all that are kept
		}
		s.saved = slices.Delete(s.saved, 0, 1)
		i--
	}
	s.saved = slices.Insert(slices.Grow(s.saved, keptCheckpoints-len(s.saved)), i, sum{step, s.upTo(step)})
}

// rollback makes to the newest step and returns the productive time of the steps
// after it. A step that has not ended is not returned to: it undoes nothing.
func (s *sums) rollback(to int64) (lost time.Duration) {
	last := s.newest()
	if to >= last.step {
		return 0
	}
	kept := sum{to, s.upTo(to)}
	s.from = min(s.from, to)
	s.size = s.after(to)
	s.saved = s.saved[:sort.Search(len(s.saved), func(i int) bool { return s.saved[i].step > to })]
	if s.size == 0 || s.newest().step != to {
		s.push(kept)
	}
	return last.time - kept.time
}

// after returns the place in ring of the first sum above a step.
func (s *sums) after(step int64) int {
	return sort.Search(s.size, func(i int) bool { return s.at(i).step > step })
}

// upTo returns the productive time of all steps up to one.
func (s *sums) upTo(step int64) time.Duration {
	if step <= s.from || s.size == 0 {
		return 0
	}
	if i := s.after(step); i > 0 {
		return s.at(i - 1).time
	}
	// The step is older than those in ring: between two sums that are kept.
	low, high := sum{step: s.from}, *s.at(0)
	i := sort.Search(len(s.saved), func(i int) bool { return s.saved[i].step > step })
	if i > 0 {
		low = s.saved[i-1]
	}
	if i < len(s.saved) && s.saved[i].step < high.step {
		high = s.saved[i]
	}
	return low.time + share(high.time-low.time, uint64(step-low.step), uint64(high.step-low.step))
}

// share returns whole x part / of, rounded down; part is below of.
func share(whole time.Duration, part, of uint64) time.Duration {
	hi, lo := bits.Mul64(uint64(whole), part)
	q, _ := bits.Div64(hi, lo, of)
	return time.Duration(q)
}

// clone returns a copy that shares no memory.
func (s *sums) clone() sums {
	c := *s
	c.ring, c.saved = slices.Clone(s.ring), slices.Clone(s.saved)
	return c
}
