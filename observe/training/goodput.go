package training

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Cause is what time that is not productive was spent on.
type Cause uint8

// The causes of badput, with the types of ml-goodput-measurement that they stand
// for.
const (
	// CauseInit is PhaseInit: TPU_INITIALIZATION, TRAINING_PREP, PROGRAM_STARTUP.
	CauseInit Cause = iota
	// CauseDataWait is waiting for input in a step: DATA_LOADING_SYNC.
	CauseDataWait
	// CauseCheckpointSave is PhaseCheckpointSave: UNPRODUCTIVE_CHECKPOINT_SAVE_TIME.
	CauseCheckpointSave
	// CauseCheckpointRestore is PhaseCheckpointRestore:
	// UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME.
	CauseCheckpointRestore
	// CauseWasted is steps that were undone by a rollback or an interruption, or
	// never ended: WASTED_PROGRESS_FROM_DISRUPTION.
	CauseWasted
	// CauseRecovery is from an interruption until another process goes on:
	// INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION.
	CauseRecovery
	// CauseEval is PhaseEval.
	CauseEval
	// CauseCustom is PhaseCustom: CUSTOM_BADPUT_EVENTS, and those that begin with
	// ELASTIC.
	CauseCustom
	// CauseIdle is PhaseIdle: OTHER.
	CauseIdle

	// NumCauses is how many causes there are.
	NumCauses
)

// String returns the cause: "init", "data_wait", "checkpoint_save",
// "checkpoint_restore", "wasted", "recovery", "eval", "custom", "idle".
func (c Cause) String() string {
	if c >= NumCauses {
		return "unknown"
	}
	return [NumCauses]string{"init", "data_wait", "checkpoint_save", "checkpoint_restore", "wasted", "recovery", "eval", "custom", "idle"}[c]
}

// phaseCause returns what time in a phase other than PhaseStep is spent on.
func phaseCause(p Phase) Cause {
	return [numPhases]Cause{PhaseInit: CauseInit, PhaseCheckpointSave: CauseCheckpointSave, PhaseCheckpointRestore: CauseCheckpointRestore,
		PhaseEval: CauseEval, PhaseCustom: CauseCustom, PhaseIdle: CauseIdle}[p]
}

// Goodput says where the time of a run went. Productive and all of Badput add up
// to Elapsed, to the nanosecond.
type Goodput struct {
	Elapsed    time.Duration            // since the run began
	Productive time.Duration            // of steps that were not undone, the one in progress included
	Ratio      float64                  // Productive / Elapsed, 0..1; 0 at the start
	Badput     [NumCauses]time.Duration // the rest, by Cause

	MaxProductiveStep int64 // number of the newest step; falls with a rollback; 0 before the first
	Interruptions     int64 // how many have ended, whatever their cause
	Rollbacks         int64 // calls of RolledBack

	// MTBF is Elapsed / Interruptions: the mean time between interruptions, the
	// planned ones among them. 0 where there was none. LedgerTotals counts them by
	// cause.
	MTBF time.Duration
	// StepDeviation is by how much the last steps are slower than those before: the
	// 90th percentile of the last 100 less the median of the 1000 before. A step's
	// time is that between two calls of Step, as far as it was in PhaseStep.
	// Negative is faster. 0 until there were 200 steps.
	StepDeviation time.Duration
	// IdealStep is the mean of those of the last 1100 steps that took no longer than
	// their median and three times the median distance from it. 0 before the first
	// step.
	IdealStep time.Duration
}

// Goodput returns the account at an instant: at the last event where that is
// later. It does not change the Ledger.
func (l *Ledger) Goodput(at time.Time) Goodput {
	now := *l
	now.book(at)
	g := Goodput{
		Elapsed:           now.elapsed,
		Productive:        now.sums.newest().time + now.pending,
		Badput:            now.spent,
		MaxProductiveStep: now.sums.newest().step,
		Rollbacks:         now.rollbacks,
		StepDeviation:     now.took.deviation(),
		IdealStep:         now.took.ideal(),
	}
	for _, d := range now.lost {
		g.Badput[CauseWasted] += d
	}
	for _, n := range now.interruptions {
		g.Interruptions += n
	}
	if g.Elapsed > 0 {
		g.Ratio = float64(g.Productive) / float64(g.Elapsed)
	}
	if g.Interruptions > 0 {
		g.MTBF = g.Elapsed / time.Duration(g.Interruptions)
	}
	return g
}

// String returns a table of several lines, for people. What is zero is left out.
func (g Goodput) String() string {
	var b strings.Builder
	line := func(name string, d time.Duration) {
		percent := 0.0
		if g.Elapsed > 0 {
			percent = 100 * float64(d) / float64(g.Elapsed)
		}
		fmt.Fprintf(&b, "%-20s %14s %6.1f %%\n", name, rounded(d), percent)
	}
	line("elapsed", g.Elapsed)
	line("productive", g.Productive)
	for c, d := range g.Badput {
		if d != 0 {
			line(Cause(c).String(), d)
		}
	}
	fact := func(name string, value any, is bool) {
		if is {
			fmt.Fprintf(&b, "%-20s %14v\n", name, value)
		}
	}
	fact("newest step", g.MaxProductiveStep, true)
	fact("rollbacks", g.Rollbacks, g.Rollbacks != 0)
	fact("interruptions", g.Interruptions, g.Interruptions != 0)
	fact("MTBF", rounded(g.MTBF), g.MTBF != 0)
	fact("ideal step", rounded(g.IdealStep), g.IdealStep != 0)
	fact("step deviation", rounded(g.StepDeviation), g.StepDeviation != 0)
	return b.String()
}

// rounded returns a duration to three or more digits.
func rounded(d time.Duration) time.Duration {
	for unit := time.Second; unit > 1; unit /= 1000 {
		if d >= 100*unit || d <= -100*unit {
			return d.Round(unit)
		}
	}
	return d
}

const (
	lastSteps   = 100  // compared with
	earlySteps  = 1000 // the ones before, of which
	fewestSteps = 100  // are enough
)

// stepTimes are the times of the last steps. Its zero value has none.
type stepTimes struct {
	ring []time.Duration // grows to lastSteps + earlySteps
	next int             // place of the oldest, once ring is full
}

func (s *stepTimes) add(d time.Duration) {
	if n := len(s.ring); n < lastSteps+earlySteps {
		s.ring = append(slices.Grow(s.ring, lastSteps+earlySteps-n), d)
		return
	}
	s.ring[s.next] = d
	s.next = (s.next + 1) % len(s.ring)
}

// ordered returns the times, the oldest first.
func (s *stepTimes) ordered() []time.Duration {
	return slices.Concat(s.ring[s.next:], s.ring[:s.next])
}

// deviation returns the 90th percentile of the last steps less the median of those
// before, and 0 where there are too few.
func (s *stepTimes) deviation() time.Duration {
	if len(s.ring) < lastSteps+fewestSteps {
		return 0
	}
	times := s.ordered()
	early, last := times[:len(times)-lastSteps], times[len(times)-lastSteps:]
	slices.Sort(early)
	slices.Sort(last)
	return last[lastSteps*9/10-1] - middleTime(early)
}

// ideal returns the mean of the steps that were not unusually slow.
func (s *stepTimes) ideal() time.Duration {
	if len(s.ring) == 0 {
		return 0
	}
	times := s.ordered()
	slices.Sort(times)
	median := middleTime(times)
	distances := make([]time.Duration, len(times))
	for i, d := range times {
		distances[i] = max(d-median, median-d)
	}
	slices.Sort(distances)
	limit := float64(median) + 3*float64(middleTime(distances))
	sum, n := 0.0, 0
	for _, d := range times {
		if float64(d) <= limit {
			sum += float64(d)
			n++
		}
	}
	const largest = 1<<63 - 1024 // that a float64 and a Duration can hold
	return time.Duration(math.Round(min(sum/float64(n), largest)))
}

// middleTime returns the median of ascending times, of which there must be one.
func middleTime(sorted []time.Duration) time.Duration {
	a, b := sorted[(len(sorted)-1)/2], sorted[len(sorted)/2]
	return a + (b-a)/2
}

func (s *stepTimes) clone() stepTimes {
	return stepTimes{slices.Clone(s.ring), s.next}
}
