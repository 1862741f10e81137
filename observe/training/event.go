package training

import "time"

// EventKind says what a detector found.
type EventKind uint8

// The kinds of events.
const (
	// EventNonFinite is a NaN or an infinity in Signal: "loss", "grad_norm" or
	// "gradients/" and a tag.
	EventNonFinite EventKind = iota
	// EventSpike is a value far above its recent median. Roll back to RollbackTo
	// and skip SkipMin to SkipMax batches.
	EventSpike
	// EventSpikeEnd is the end of a spike: Value is its peak, Detail has its length.
	EventSpikeEnd
	// EventLevelShift is a spike that did not end: the signal has a new level.
	EventLevelShift
	// EventDiverging is a loss that keeps rising.
	EventDiverging
	// EventPlateau is a loss that has not improved for long.
	EventPlateau
	// EventHang is a phase that takes longer than its limit: Since is its age,
	// Limit the limit in seconds, Detail the phase and where to look.
	EventHang
	// EventHangEnd is progress after a hang.
	EventHangEnd
	// EventStraggler is a Rank that lags behind the others; Score is its share of
	// their speed.
	EventStraggler
	// EventLedgerLost is a ledger file that could not be read; Detail says what
	// became of it.
	EventLedgerLost
	// EventSinkFailing is a sink that fails; Signal is its name, Detail its error.
	// There is one a spell of failures.
	EventSinkFailing

	numEventKinds
)

// String returns the kind as it stands in metrics and files: "non_finite",
// "spike", "spike_end", "level_shift", "diverging", "plateau", "hang",
// "hang_end", "straggler", "ledger_lost", "sink_failing".
func (k EventKind) String() string {
	if k >= numEventKinds {
		return "unknown"
	}
	return [numEventKinds]string{"non_finite", "spike", "spike_end", "level_shift", "diverging", "plateau",
		"hang", "hang_end", "straggler", "ledger_lost", "sink_failing"}[k]
}

// Event is something that a detector found, with the numbers it was found by and
// the advice that follows from them. Fields that do not belong to its kind are
// zero.
type Event struct {
	Kind  EventKind // what was found
	Step  int64     // the step at which it was found
	Onset int64     // the step at which it began
	At    time.Time // when it was found

	Signal string  // what it was found in: loss, grad_norm, gradients/..., a sink
	Value  float64 // the value found
	Limit  float64 // the limit that it passed, in the value's unit
	Score  float64 // the distance in the detector's unit: robust standard deviations, share of speed

	RollbackTo int64 // the checkpoint to return to: the state after this step; 0 is none
	SkipMin    int   // after the rollback, skip at least this many batches
	SkipMax    int   // and at most this many

	Rank   int           // of a straggler
	Since  time.Duration // how long it has lasted
	Detail string        // for people: what to look at
}
