package training

import (
	"time"

	"github.com/calmops/calm/observe"
)

// Snapshot is what a Recorder knows at one instant.
type Snapshot struct {
	Session Session   // run, rank, world
	At      time.Time // when it was taken
	Running bool      // Run is at work

	Phase      Phase         // the phase now
	PhaseFor   time.Duration // how long it has lasted, in PhaseStep since the last Step
	HangLimit  time.Duration // how long it may last; 0 is no limit
	Last       Step          // the last step, with its Duration; zero before the first
	LastAt     time.Time     // when it ended; zero before the first
	Checkpoint int64         // the newest checkpoint; 0 is none

	// Counters that go on after a restart. With Config.LedgerPath they are as of the
	// file's last save: one that was ahead of it would fall after a crash, which no
	// counter may.

	Steps      int64         // steps counted
	Skipped    int64         // of them not applied
	Clipped    int64         // of them with a GradNorm above ClipAt
	Tokens     int64         // tokens counted
	ModelFLOPs float64       // Tokens x Config.FLOPsPerToken
	Ledger     *LedgerTotals // the account of time; nil on all ranks but 0

	OutOfOrder int64   // steps of this process whose number was not above the one before
	PeakFLOPS  float64 // of all devices together, FLOP/s; 0 is not known

	StepSeconds observe.Distribution // of Step.Duration

	NonFiniteLoss      int64 // steps whose loss was NaN or infinite
	NonFiniteGradNorm  int64 // steps whose gradient norm was
	NonFiniteGradients int64 // tensors given to Gradients that held such values
	LossSpikes         int64 // episodes
	GradNormSpikes     int64 // episodes

	StragglerScore float64 // the worst of the last RankTimes; 0 is not known
	Stragglers     int     // ranks that lag now

	Sinks          []SinkStats // in the order of Config.Sinks, then the ledger file's, if there is one
	CallbackPanics int64       // panics of OnEvent, OnStep and Logger

	events [numEventKinds]int64
	seen   valueSet // which values any step has had
}

// Events is how many events of a kind there were.
func (s *Snapshot) Events(k EventKind) int64 {
	if k >= numEventKinds {
		return 0
	}
	return s.events[k]
}

// SinkStats says how a sink does.
type SinkStats struct {
	Name    string // Sink.Name, or "ledger"
	Dropped int64  // records that found the queue full, or that were left at the end
	Errors  int64  // calls that failed
}

// Snapshot returns the state of now. It takes the lock once; a nil Recorder's is
// zero.
func (r *Recorder) Snapshot() Snapshot {
	if r == nil {
		return Snapshot{}
	}
	now := time.Now()
	s := Snapshot{Session: r.session, At: now, Running: r.running.Load(), CallbackPanics: r.panics.Load()}
	if r.cfg.PeakFLOPS > 0 {
		s.PeakFLOPS = r.cfg.PeakFLOPS * float64(r.cfg.Devices)
	}
	for _, q := range r.queues {
		s.Sinks = append(s.Sinks, SinkStats{Name: q.name, Dropped: q.dropped.Load(), Errors: q.errors.Load()})
	}
	if r.cfg.LedgerPath != "" {
		s.Sinks = append(s.Sinks, SinkStats{Name: ledgerName, Errors: r.ledgerErrors.Load()})
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	st := &r.state
	s.Phase, s.PhaseFor, s.HangLimit = st.phase, max(now.Sub(st.mark), 0), st.hang.Limit(st.phase)
	s.Last, s.LastAt = st.last, st.lastAt
	if n := len(st.checkpoints); n > 0 {
		s.Checkpoint = st.checkpoints[n-1]
	}
	c := &st.count
	counters := c.ledgerCounters
	if st.ledger != nil {
		totals := st.ledger.Totals(now)
		s.Ledger = &totals
	}
	if st.saved != nil {
		counters, *s.Ledger = st.saved.counters, st.saved.totals
	}
	s.Steps, s.Skipped, s.Clipped, s.Tokens = counters.Steps, counters.Skipped, counters.Clipped, counters.Tokens
	s.ModelFLOPs = float64(s.Tokens) * r.cfg.FLOPsPerToken
	s.OutOfOrder = c.outOfOrder
	s.StepSeconds = st.took.distribution()
	s.NonFiniteLoss, s.NonFiniteGradNorm, s.NonFiniteGradients = c.badLoss, c.badNorm, c.badGrads
	s.LossSpikes, s.GradNormSpikes = c.lossSpikes, c.normSpikes
	s.StragglerScore, s.Stragglers = st.worst, st.stragglers
	s.events, s.seen = st.events, st.seen
	return s
}

// Goodput returns the account of time so far. It is zero for ranks that keep no
// ledger, and for a nil Recorder.
func (r *Recorder) Goodput() Goodput {
	if r == nil {
		return Goodput{}
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.ledger == nil {
		return Goodput{}
	}
	return r.state.ledger.Goodput(now)
}
