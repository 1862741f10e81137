package quality

import (
	"errors"
	"fmt"
	"time"
)

// Mergeable is what a Rolling window is made of: *Confusion, *Scores, *Perplexity,
// *text.BLEU, *text.ChrF, or a struct of several of them.
type Mergeable[T any] interface {
	// Merge adds what another holds, and does not change that one.
	Merge(other T) error
	// Reset takes everything out.
	Reset()
}

// RollingConfig says how long a window is.
type RollingConfig[T Mergeable[T]] struct {
	// New returns an empty value, the same each time: they have to be mergeable.
	// Required.
	New func() T
	// Every is how long one slot is filled: above 0. Required.
	Every time.Duration
	// Slots is how many slots make the window, the one that is being filled among
	// them: 1 to 10,000. Required.
	Slots int
}

// Rolling keeps what happened lately, of any kind that can be merged: a ring of
// Slots values, each for Every of time. The window is from (Slots - 1) x Every to
// Slots x Every long. It is for one goroutine at a time.
//
// Time goes forward only: an earlier time than the latest that was given counts as
// that one, so that nothing is lost, and no old slot comes back.
type Rolling[T Mergeable[T]] struct {
	config RollingConfig[T]
	slots  []slot[T]
	origin time.Time // the beginning of period 0
	period int64     // the period of now: of all times given, the latest
	begun  bool
}

// slot holds a period, at its number modulo Slots.
type slot[T any] struct {
	value  T
	period int64
	made   bool
}

// NewRolling returns an empty window, or every fault of the Config.
func NewRolling[T Mergeable[T]](config RollingConfig[T]) (*Rolling[T], error) {
	var faults []error
	if config.New == nil {
		faults = append(faults, errors.New("quality: RollingConfig.New is nil: want a func"))
	}
	if config.Every <= 0 {
		faults = append(faults, fmt.Errorf("quality: RollingConfig.Every is %v: want more than 0", config.Every))
	}
	if config.Slots < 1 || config.Slots > 10_000 {
		faults = append(faults, fmt.Errorf("quality: RollingConfig.Slots is %d: want 1 to 10000", config.Slots))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Rolling[T]{config: config, slots: make([]slot[T], config.Slots)}, nil
}

// At returns the value of the slot of now, to record in. It is valid until the next
// call. Only the first use of a slot calls New; after that it is Reset.
func (r *Rolling[T]) At(now time.Time) T {
	r.advance(now)
	s := &r.slots[r.period%int64(len(r.slots))]
	switch {
	case !s.made:
		s.value, s.made = r.config.New(), true
	case s.period != r.period:
		s.value.Reset()
	}
	s.period = r.period
	return s.value
}

// Value returns a new value with everything that the window holds. It fails with
// the error of Merge.
func (r *Rolling[T]) Value(now time.Time) (T, error) {
	r.advance(now)
	sum := r.config.New()
	oldest := r.period - int64(len(r.slots)) + 1
	for i := range r.slots {
		if s := &r.slots[i]; s.made && s.period >= oldest {
			if err := sum.Merge(s.value); err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}

// Reset empties the window.
func (r *Rolling[T]) Reset() {
	for i := range r.slots {
		if s := &r.slots[i]; s.made {
			s.value.Reset()
		}
	}
	r.begun = false
}

func (r *Rolling[T]) advance(now time.Time) {
	if !r.begun {
		r.begun, r.origin, r.period = true, now, 0
	}
	r.period = max(r.period, int64(now.Sub(r.origin)/r.config.Every))
}
