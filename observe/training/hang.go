package training

import (
	"math"
	"time"
)

// The window of step times, and how many of them make a limit.
const (
	hangWindow = 512
	hangKnown  = 32
)

// Hang finds a phase that takes longer than its limit. The limit of a step follows
// the steps before it; each other phase has its own. A phase is left unwatched by
// a limit that it never reaches, such as a year.
//
// Parameters are set before the first call, which replaces each that is out of
// range by its default; a Recorder's New reports them instead. A Hang is not safe
// for concurrent use. A copy shares its memory, unless it was made before the
// first Step.
type Hang struct {
	// Factor is how many times the 99th percentile of the last 512 step times a
	// step may take: 1 to 1e6. Defaults to 3.
	Factor float64
	// StepFloor is the least limit of a step. Defaults to 60 s.
	StepFloor time.Duration
	// Init is the limit of PhaseInit, and of steps until 32 of them are known: the
	// first ones compile and warm up. Defaults to 30 min.
	Init time.Duration
	// Restore is the limit of PhaseCheckpointRestore. Defaults to 30 min.
	Restore time.Duration
	// Save is the limit of PhaseCheckpointSave. Defaults to 30 min.
	Save time.Duration
	// Eval is the limit of PhaseEval. Defaults to 60 min.
	Eval time.Duration
	// Custom is the limit of PhaseCustom. Defaults to 0: none.
	Custom time.Duration
	// Off switches the detector off.
	Off bool

	settled bool
	steps   window[time.Duration]

	hanging bool
	phase   Phase     // that hangs
	since   time.Time // when it made progress last
	limit   time.Duration
}

// HangVerdict is what a Hang says of a phase at one time.
type HangVerdict struct {
	Found bool // something is to be told now
	// Kind says what, if Found: EventHang once for each hang, EventHangEnd at the
	// progress after it.
	Kind EventKind

	Hanging bool          // the phase is over its limit
	Phase   Phase         // the phase; with EventHangEnd the one that hung
	Age     time.Duration // how long since it began or made progress; with EventHangEnd how long it was without
	Limit   time.Duration // the limit of Phase; 0 is none
}

// Step adds the time that a step took. A time of zero or less is ignored. Only the
// first call allocates.
func (h *Hang) Step(took time.Duration) {
	if h.Off || took <= 0 {
		return
	}
	h.start()
	if !h.steps.ready() {
		h.steps.init(hangWindow)
	}
	h.steps.add(took)
}

// Limit returns how long a phase may be without progress. 0 is no limit: that of
// PhaseIdle, and of any phase if the detector is off.
func (h *Hang) Limit(p Phase) time.Duration {
	if h.Off {
		return 0
	}
	h.start()
	switch p {
	case PhaseInit:
		return h.Init
	case PhaseStep:
		return h.stepLimit()
	case PhaseCheckpointSave:
		return h.Save
	case PhaseCheckpointRestore:
		return h.Restore
	case PhaseEval:
		return h.Eval
	case PhaseCustom:
		return h.Custom
	default:
		return 0
	}
}

func (h *Hang) stepLimit() time.Duration {
	if len(h.steps.ring) < hangKnown {
		return h.Init
	}
	limit := h.Factor * float64(h.steps.rank(99))
	if limit >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(limit), h.StepFloor)
}

// Check judges at time now a process that is in a phase, and that began it or made
// progress in it at since: for PhaseStep the end of the last step. A now before
// since is no hang. It allocates nothing.
func (h *Hang) Check(now time.Time, phase Phase, since time.Time) HangVerdict {
	if h.Off {
		return HangVerdict{}
	}
	if h.hanging && (phase != h.phase || !since.Equal(h.since)) {
		h.hanging = false
		return HangVerdict{Found: true, Kind: EventHangEnd, Phase: h.phase, Age: max(since.Sub(h.since), 0), Limit: h.limit}
	}
	v := HangVerdict{Phase: phase, Age: max(now.Sub(since), 0), Limit: h.Limit(phase)}
	if h.hanging {
		v.Hanging = true
		return v
	}
	if v.Limit > 0 && v.Age > v.Limit {
		h.hanging, h.phase, h.since, h.limit = true, phase, since, v.Limit
		v.Found, v.Kind, v.Hanging = true, EventHang, true
	}
	return v
}

func (h *Hang) start() {
	if !h.settled {
		h.settle("")
		h.settled = true
	}
}

// faults reports the parameters that are out of range, and a detector that was
// used.
func (h *Hang) faults(prefix string) []error {
	unused := *h
	return append(unused.settle(prefix), usedFault(prefix, h.settled)...)
}

// settle sets the defaults and returns the faults.
func (h *Hang) settle(prefix string) []error {
	p := parameters{prefix: prefix}
	limit := func(field string, value *time.Duration, def time.Duration) {
		param(&p, field, value, 1, math.MaxInt64, def)
	}
	param(&p, "Factor", &h.Factor, 1, 1e6, 3)
	limit("StepFloor", &h.StepFloor, time.Minute)
	limit("Init", &h.Init, 30*time.Minute)
	limit("Restore", &h.Restore, 30*time.Minute)
	limit("Save", &h.Save, 30*time.Minute)
	limit("Eval", &h.Eval, time.Hour)
	limit("Custom", &h.Custom, 0)
	return p.faults
}
