package training

import (
	"math"
	"time"
)

// InterruptionCause says why training stopped until another process took over.
type InterruptionCause uint8

// The causes of interruptions.
const (
	// InterruptedByCrash is a process that ended without a word: the last time that
	// is known of it is that of its ledger file.
	InterruptedByCrash InterruptionCause = iota
	// InterruptedPlanned is a process that ended in order.
	InterruptedPlanned
	// InterruptedBySupervisor is what somebody outside of the process has told.
	InterruptedBySupervisor

	// NumInterruptionCauses is how many causes there are.
	NumInterruptionCauses
)

// String returns the cause as it stands in metrics: "crash", "planned",
// "supervisor".
func (c InterruptionCause) String() string {
	if c >= NumInterruptionCauses {
		return "unknown"
	}
	return [NumInterruptionCauses]string{"crash", "planned", "supervisor"}[c]
}

// loss is why productive time was lost.
type loss uint8

const (
	lostRollback loss = iota
	lostInterruption
	numLosses
)

func (l loss) String() string { return [numLosses]string{"rollback", "interruption"}[l] }

// Ledger accounts for every nanosecond of a run, from events and their times. It
// has no clock of its own.
//
// An event books the time since the one before to the phase that the run was in.
// In PhaseStep that time is pending until Step says how much of it was productive;
// another phase in the middle of a step leaves it pending. A time before the last
// one books nothing, and is counted in LedgerTotals.ClockBackwards.
//
// A Ledger belongs to one goroutine. Make one with NewLedger; its zero value is
// only good for UnmarshalJSON. It holds about 90 kB, and only methods that
// return a Goodput or JSON allocate after the first step and checkpoint.
type Ledger struct {
	cursor     time.Time // everything up to here is accounted for
	phase      Phase
	recovering bool
	cause      InterruptionCause // while recovering

	// elapsed is the sum of pending, spent, lost and the productive time in sums. It
	// bounds them all, so that none can overflow.
	elapsed time.Duration
	pending time.Duration            // of the step that is in progress
	spent   [NumCauses]time.Duration // CauseWasted: only steps that an interruption ended
	lost    [numLosses]time.Duration // was productive, or pending in a rollback
	sums    sums

	interruptions  [NumInterruptionCauses]int64
	rollbacks      int64
	clockBackwards int64
	took           stepTimes
	reported       states // by Totals
}

// NewLedger returns the account of a run that starts in PhaseInit.
func NewLedger(start time.Time) *Ledger { return &Ledger{cursor: start} }

// Enter says that the run is in a phase from now on, and returns the one before. A
// phase that does not exist is PhaseCustom. During a recovery the time goes to
// CauseRecovery in every phase.
func (l *Ledger) Enter(p Phase, at time.Time) Phase {
	if p >= numPhases {
		p = PhaseCustom
	}
	l.book(at)
	before := l.phase
	l.phase = p
	return before
}

// Step says that a step has ended, of which dataWait was spent waiting for input.
// The step is all the time in PhaseStep since the last one; took is not needed
// then. In another phase it is the last took of the time since the last event, the
// rest goes to that phase, and the run is in PhaseStep from now on. During a
// recovery, Step begins with Resumed(n).
//
// A step whose number does not rise is booked to the newest one.
func (l *Ledger) Step(n int64, took, dataWait time.Duration, at time.Time) {
	took = max(took, 0)
	if l.recovering {
		l.Resumed(n, l.notBefore(at.Add(-took)))
	}
	if l.phase != PhaseStep {
		if began := at.Add(-took); began.After(l.cursor) {
			l.book(began)
		}
		l.phase = PhaseStep
	}
	l.book(at)
	step := l.pending
	l.pending = 0
	wait := min(max(dataWait, 0), step)
	l.spent[CauseDataWait] += wait
	l.sums.add(n, step-wait)
	l.took.add(step)
}

// Checkpointed says that the state after step n is durable. A rollback to it is
// exact for as long as it is one of the last 1024. The phase stays as it is.
func (l *Ledger) Checkpointed(n int64, at time.Time) {
	l.book(at)
	l.sums.checkpoint(n)
}

// RolledBack says that the state is again that after step to; below 0 is 0. What
// was productive after it is wasted, and so is the step in progress. The amount is
// exact for the last 4096 steps and for checkpoints; between those, the time is
// taken to be spread evenly over the steps.
func (l *Ledger) RolledBack(to int64, at time.Time) {
	l.book(at)
	l.rollbacks++
	l.undo(to, lostRollback)
}

// Interrupted says that training stopped. The step in progress is wasted, and all
// time from now on goes to CauseRecovery until Resumed, which counts the
// interruption. During a recovery it is no further interruption; only the word of a
// supervisor replaces the cause. A cause that does not exist is InterruptedByCrash.
func (l *Ledger) Interrupted(at time.Time, cause InterruptionCause) {
	if cause >= NumInterruptionCauses {
		cause = InterruptedByCrash
	}
	l.book(at)
	if l.recovering {
		if cause == InterruptedBySupervisor {
			l.cause = cause
		}
		return
	}
	l.spent[CauseWasted] += l.pending
	l.pending = 0
	l.recovering, l.cause, l.phase = true, cause, PhaseInit
}

// Resumed says that a process continues the run with step next, in PhaseInit. What
// was productive in that step and later ones is wasted. Without Interrupted before
// it, it counts no interruption, and its waste counts as that of a rollback.
func (l *Ledger) Resumed(next int64, at time.Time) {
	l.book(at)
	why := lostRollback
	if l.recovering {
		l.interruptions[l.cause]++
		why = lostInterruption
	}
	l.recovering, l.cause, l.phase = false, 0, PhaseInit
	l.undo(max(next, 1)-1, why)
}

// Phase returns the phase that the run is in: PhaseInit right after Interrupted.
func (l *Ledger) Phase() Phase { return l.phase }

// Recovering reports whether the run is between Interrupted and Resumed.
func (l *Ledger) Recovering() bool { return l.recovering }

// book accounts for the time up to an instant.
func (l *Ledger) book(at time.Time) {
	d := at.Sub(l.cursor)
	if d < 0 {
		l.clockBackwards++
		return
	}
	l.cursor = at
	d = min(d, math.MaxInt64-l.elapsed)
	l.elapsed += d
	switch {
	case l.recovering:
		l.spent[CauseRecovery] += d
	case l.phase == PhaseStep:
		l.pending += d
	default:
		l.spent[phaseCause(l.phase)] += d
	}
}

// undo wastes the step in progress and what was productive after a step.
func (l *Ledger) undo(to int64, why loss) {
	l.lost[why] += l.pending + l.sums.rollback(max(to, 0))
	l.pending = 0
}

// notBefore returns an instant, or the cursor where that is later.
func (l *Ledger) notBefore(at time.Time) time.Time {
	if at.Before(l.cursor) {
		return l.cursor
	}
	return at
}

// clamp brings the cursor back to an instant, if it is after it: the clock was
// wrong, and the account has to go on.
func (l *Ledger) clamp(now time.Time) {
	if l.cursor.After(now) {
		l.cursor = now
		l.clockBackwards++
	}
}

// clone returns a copy that shares no memory.
func (l *Ledger) clone() *Ledger {
	c := *l
	c.sums, c.took = l.sums.clone(), l.took.clone()
	return &c
}

// states is time by what it was spent on: by Cause, and in place NumCauses all
// time of steps, lost or not. In place of CauseWasted are only steps that never
// ended.
type states [NumCauses + 1]time.Duration

// LedgerTotals are monotone counters: none is ever below what an earlier one of the
// same Ledger said. Goodput over any window is the rise of Step, less that of
// LostToRollback and LostToInterruption, over the rise of Step and all of Spent.
type LedgerTotals struct {
	// Step is the time of steps, those undone later and the one in progress
	// included.
	Step time.Duration
	// Spent is all other time, by Cause. In place of CauseWasted it has the steps
	// that an interruption ended before they were done.
	Spent [NumCauses]time.Duration

	LostToRollback     time.Duration // the part of Step that was undone by RolledBack
	LostToInterruption time.Duration // the part of Step that was undone by Resumed

	Interruptions  [NumInterruptionCauses]int64 // how many have ended, by InterruptionCause
	ClockBackwards int64                        // times that were before an earlier one
}

// Totals returns the counters at an instant. Step and Spent add up to the time
// elapsed at the latest instant given so far.
//
// What an earlier call has reported can turn out otherwise: the step in progress
// waited for input, or was interrupted, or the run was interrupted some time ago.
// A counter that was too high then rests until its true value has caught up, and
// the others lack as much in the meantime. Goodput knows the truth. The account of
// time is the same whether Totals was called or not.
func (l *Ledger) Totals(at time.Time) LedgerTotals {
	now := *l
	now.book(at)
	l.report(now.states())
	t := LedgerTotals{
		Step:               l.reported[NumCauses],
		LostToRollback:     l.lost[lostRollback],
		LostToInterruption: l.lost[lostInterruption],
		Interruptions:      l.interruptions,
		ClockBackwards:     l.clockBackwards,
	}
	copy(t.Spent[:], l.reported[:])
	return t
}

// states returns where the time went.
func (l *Ledger) states() states {
	var s states
	copy(s[:], l.spent[:])
	s[NumCauses] = l.sums.newest().time + l.pending
	for _, d := range l.lost {
		s[NumCauses] += d
	}
	return s
}

// report raises what was reported to the truth, as far as its sum allows.
func (l *Ledger) report(truth states) {
	var ahead time.Duration
	for i, d := range truth {
		ahead += max(l.reported[i]-d, 0)
	}
	for i, d := range truth {
		if rise := d - l.reported[i]; rise > 0 {
			withheld := min(rise, ahead)
			ahead -= withheld
			l.reported[i] += rise - withheld
		}
	}
}
