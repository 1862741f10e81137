package training

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// ledgerJSON is a Ledger as it is written. Times are in nanoseconds.
type ledgerJSON struct {
	Cursor         time.Time        `json:"cursor"`
	Phase          string           `json:"phase"`
	Recovering     string           `json:"recovering,omitempty"` // from an interruption of this cause
	Elapsed        int64            `json:"elapsed_ns"`
	Pending        int64            `json:"pending_ns"`
	Spent          map[string]int64 `json:"spent_ns"`
	Lost           map[string]int64 `json:"lost_ns"`
	Reported       map[string]int64 `json:"reported_ns"`
	Interruptions  map[string]int64 `json:"interruptions"`
	Rollbacks      int64            `json:"rollbacks"`
	ClockBackwards int64            `json:"clock_backwards"`
	From           int64            `json:"from"`
	Steps          [][2]int64       `json:"steps"`       // number, productive time up to it
	Checkpoints    [][2]int64       `json:"checkpoints"` // the same
	Took           []int64          `json:"took_ns"`
}

// The names of places in states and in causes of interruptions.
func stateName(i int) string {
	switch i {
	case int(NumCauses):
		return "step"
	case int(CauseWasted):
		return "interrupted_step"
	}
	return Cause(i).String()
}

func lossName(i int) string         { return loss(i).String() }
func interruptionName(i int) string { return InterruptionCause(i).String() }

// MarshalJSON returns the whole state. It fails for a Ledger whose last event was
// in no year from 0 to 9999.
func (l *Ledger) MarshalJSON() ([]byte, error) {
	w := ledgerJSON{
		Cursor:         l.cursor.UTC(),
		Phase:          l.phase.String(),
		Elapsed:        int64(l.elapsed),
		Pending:        int64(l.pending),
		Spent:          named(l.spent[:], stateName),
		Lost:           named(l.lost[:], lossName),
		Reported:       named(l.reported[:], stateName),
		Interruptions:  named(l.interruptions[:], interruptionName),
		Rollbacks:      l.rollbacks,
		ClockBackwards: l.clockBackwards,
		From:           l.sums.from,
		Steps:          make([][2]int64, l.sums.size),
		Checkpoints:    make([][2]int64, len(l.sums.saved)),
		Took:           make([]int64, 0, len(l.took.ring)),
	}
	if l.recovering {
		w.Recovering = l.cause.String()
	}
	for i := range w.Steps {
		x := l.sums.at(i)
		w.Steps[i] = [2]int64{x.step, int64(x.time)}
	}
	for i, x := range l.sums.saved {
		w.Checkpoints[i] = [2]int64{x.step, int64(x.time)}
	}
	for _, d := range l.took.ordered() {
		w.Took = append(w.Took, int64(d))
	}
	return json.Marshal(w)
}

// named returns what is not zero, by name.
func named[T ~int64](values []T, name func(int) string) map[string]int64 {
	m := make(map[string]int64)
	for i, v := range values {
		if v != 0 {
			m[name(i)] = int64(v)
		}
	}
	return m
}

// UnmarshalJSON replaces the state. A state that no Ledger can have is an error,
// and leaves the Ledger as it was.
func (l *Ledger) UnmarshalJSON(b []byte) error {
	var w ledgerJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("training: ledger: %w", err)
	}
	n, err := w.ledger()
	if err != nil {
		return fmt.Errorf("training: ledger: %w", err)
	}
	*l = *n
	return nil
}

// ledger returns the Ledger that was written, or why there can be no such one.
func (w *ledgerJSON) ledger() (*Ledger, error) {
	l := &Ledger{
		cursor:         w.Cursor,
		elapsed:        time.Duration(w.Elapsed),
		pending:        time.Duration(w.Pending),
		rollbacks:      w.Rollbacks,
		clockBackwards: w.ClockBackwards,
	}
	if w.Cursor.IsZero() {
		return nil, errors.New("no cursor")
	}
	var known bool
	if l.phase, known = find(w.Phase, numPhases); !known {
		return nil, fmt.Errorf("phase is %.40q", w.Phase)
	}
	if w.Recovering != "" {
		if l.cause, l.recovering = find(w.Recovering, NumInterruptionCauses); !l.recovering {
			return nil, fmt.Errorf("recovering is %.40q", w.Recovering)
		}
	}
	for _, c := range []struct {
		name  string
		value int64
	}{{"elapsed_ns", w.Elapsed}, {"pending_ns", w.Pending}, {"rollbacks", w.Rollbacks}, {"clock_backwards", w.ClockBackwards}} {
		if c.value < 0 {
			return nil, fmt.Errorf("%s is %d", c.name, c.value)
		}
	}
	if err := errors.Join(
		unnamed(l.spent[:], w.Spent, "spent_ns", stateName),
		unnamed(l.lost[:], w.Lost, "lost_ns", lossName),
		unnamed(l.reported[:], w.Reported, "reported_ns", stateName),
		unnamed(l.interruptions[:], w.Interruptions, "interruptions", interruptionName),
		w.sums(&l.sums),
		w.stepTimes(&l.took),
	); err != nil {
		return nil, err
	}
	return l, l.balanced()
}

// find returns the value of an enumeration that has a name.
func find[T interface {
	~uint8
	String() string
}](name string, end T) (T, bool) {
	for v := range end {
		if v.String() == name {
			return v, true
		}
	}
	return 0, false
}

// unnamed sets values by name. None is below 0, and their sum is no overflow.
func unnamed[T ~int64](values []T, m map[string]int64, field string, name func(int) string) error {
	room, found := int64(math.MaxInt64), 0
	for i := range values {
		v, ok := m[name(i)]
		if !ok {
			continue
		}
		if v < 0 || v > room {
			return fmt.Errorf("%s has a %s of %d", field, name(i), v)
		}
		room -= v
		found++
		values[i] = T(v)
	}
	if found < len(m) {
		return fmt.Errorf("%s has unknown names", field)
	}
	return nil
}

// sums sets the productive time by step.
func (w *ledgerJSON) sums(s *sums) error {
	s.from = w.From
	low := sum{step: w.From}
	for i, x := range w.Checkpoints {
		c := sum{x[0], time.Duration(x[1])}
		if c.step <= low.step || c.time < low.time {
			return fmt.Errorf("checkpoints: %d, %d ns does not rise", c.step, x[1])
		}
		if i >= keptCheckpoints {
			return fmt.Errorf("%d checkpoints: want at most %d", len(w.Checkpoints), keptCheckpoints)
		}
		s.saved, low = append(s.saved, c), c
	}
	low = sum{step: w.From}
	for i, x := range w.Steps {
		c := sum{x[0], time.Duration(x[1])}
		// After a rollback the first may be the step before any that was productive.
		if c.step < low.step || c.step == low.step && (i > 0 || c.time > 0) || c.time < low.time {
			return fmt.Errorf("steps: %d, %d ns does not rise", c.step, x[1])
		}
		if i > keptSteps {
			return fmt.Errorf("%d steps: want at most %d", len(w.Steps), keptSteps+1)
		}
		s.push(c)
		low = c
	}
	if w.From < -1 || s.newest().step < 0 || s.size == 0 && w.From != 0 {
		return fmt.Errorf("from is %d", w.From)
	}
	for _, c := range s.saved {
		before := s.after(c.step) == 0
		if c.step > s.newest().step || before && c.time > s.at(0).time || !before && c.time != s.upTo(c.step) {
			return fmt.Errorf("checkpoint %d, %d ns does not agree with the steps", c.step, c.time)
		}
	}
	return nil
}

// stepTimes sets the times of the last steps.
func (w *ledgerJSON) stepTimes(s *stepTimes) error {
	if len(w.Took) > lastSteps+earlySteps {
		return fmt.Errorf("%d times in took_ns: want at most %d", len(w.Took), lastSteps+earlySteps)
	}
	for _, d := range w.Took {
		if d < 0 {
			return fmt.Errorf("took_ns has %d", d)
		}
		s.add(time.Duration(d))
	}
	return nil
}

// balanced says whether everything adds up to the time elapsed.
func (l *Ledger) balanced() error {
	rest := l.elapsed
	take := func(d time.Duration) bool {
		rest -= d // neither is below 0
		return rest >= 0
	}
	ok := take(l.pending) && take(l.sums.newest().time)
	for _, d := range l.spent {
		ok = ok && take(d)
	}
	for _, d := range l.lost {
		ok = ok && take(d)
	}
	if !ok || rest != 0 {
		return fmt.Errorf("the parts do not add up to elapsed_ns %d", l.elapsed)
	}
	return nil
}
