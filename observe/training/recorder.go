package training

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder is told what a training process does, and accounts for it. Step is
// called by one goroutine, every other method by any. A nil *Recorder does
// nothing. Make one with New and give Run a goroutine.
type Recorder struct {
	cfg     Config
	session Session
	mfu     float64 // MFU of one token a second; 0 is not known
	queues  []*queue
	dirty   chan struct{} // of one element: the ledger has something to lose
	running atomic.Bool
	ran     atomic.Bool
	panics  atomic.Int64

	ledgerErrors  atomic.Int64
	ledgerFailing bool // the goroutine of keepLedger only

	gradients struct { // held for as long as a tensor takes, so apart from mu
		sync.Mutex
		stats GradientStats
	}

	mu    sync.Mutex // held when the clock is read, so that times are in order
	state state
	hooks []*hook // replaced, never changed in place
}

// state is everything that mu guards.
type state struct {
	last   Step      // the last one, as given
	lastAt time.Time // when it ended
	newest int64     // number of the newest step; the next must be above
	seen   valueSet
	mark   time.Time // the last Step or change of phase
	phase  Phase

	checkpoints []int64 // their steps, ascending, the last maxCheckpoints
	count       counts
	took        durations
	events      [numEventKinds]int64
	ledger      *Ledger // nil on all ranks but 0
	saved       *saved  // nil without a ledger file
	nonfinite   NonFinite
	lossSpike   Spike
	normSpike   Spike
	trend       Trend
	hang        Hang
	straggler   Straggler
	lags        []Lag
	worst       float64 // straggler score; 0 is not known
	stragglers  int
}

// counts are the monotone counters. Those of Counters go on after a restart.
type counts struct {
	ledgerCounters
	outOfOrder                 int64
	badLoss, badNorm, badGrads int64
	lossSpikes, normSpikes     int64
}

// maxCheckpoints bounds how many checkpoints are remembered as places to return to.
const maxCheckpoints = 1024

// New returns a Recorder that is in PhaseInit, or every fault of the Config. If
// there is a file at LedgerPath, its account goes on; a file of another run is an
// error, one that cannot be read is put aside and told as EventLedgerLost. New
// starts no goroutine.
func New(cfg Config) (*Recorder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := &Recorder{cfg: cfg, session: Session{Run: cfg.Run, Rank: cfg.Rank, World: cfg.World}, dirty: make(chan struct{}, 1)}
	if cfg.FLOPsPerToken > 0 && cfg.PeakFLOPS > 0 {
		r.mfu = cfg.FLOPsPerToken / (cfg.PeakFLOPS * float64(cfg.Devices))
	}
	for _, s := range cfg.Sinks {
		r.queues = append(r.queues, newQueue(s, cfg.QueueSize))
	}
	r.state = state{mark: now, lossSpike: cfg.Spike, normSpike: cfg.Spike,
		trend: cfg.Trend, hang: cfg.Hang, straggler: cfg.Straggler}
	if cfg.Rank == 0 {
		if err := r.openLedger(now); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Step says that one optimizer step has ended now. It never blocks and allocates
// nothing. The counters hold the step before any detector looks at it, and the
// detectors are done before OnEvent is called.
func (r *Recorder) Step(s Step) {
	if r == nil {
		return
	}
	var found findings
	r.mu.Lock()
	now := time.Now()
	r.account(&s, now)
	inOrder := s.N > r.state.newest
	if inOrder {
		r.state.newest = s.N
	} else {
		r.state.count.outOfOrder++
	}
	r.record(&s, now)
	if inOrder {
		r.detect(&s, now, &found)
	}
	hooks := r.hooks
	r.mu.Unlock()
	r.tell(found)
	for _, h := range hooks {
		r.call(h, s)
	}
}

// account mends what cannot be true of a step, and books its time and its counters.
func (r *Recorder) account(s *Step, now time.Time) {
	st := &r.state
	if s.Duration <= 0 {
		s.Duration = 0
		if st.phase != PhaseInit {
			s.Duration = max(now.Sub(st.mark), 0)
		}
	}
	s.DataWait = min(max(s.DataWait, 0), s.Duration)
	s.Tokens = max(s.Tokens, 0)
	if st.ledger != nil {
		if st.ledger.Recovering() { // nobody said where this process goes on: here
			r.resume(s.N, st.ledger.notBefore(now.Add(-s.Duration)))
		}
		st.ledger.Step(s.N, s.Duration, s.DataWait, now)
	}
	r.phase(PhaseStep, now)
	st.mark, st.lastAt, st.last = now, now, *s

	c := &st.count
	c.Steps++
	c.Tokens += min(s.Tokens, math.MaxInt64-c.Tokens)
	if s.Skipped {
		c.Skipped++
	}
	if s.ClipAt > 0 && s.GradNorm > s.ClipAt {
		c.Clipped++
	}
	if !finite(s.Loss) {
		c.badLoss++
	}
	if !finite(s.GradNorm) {
		c.badNorm++
	}
	if s.Duration > 0 {
		st.took.add(s.Duration)
	}
}

// record puts a step into the queues.
func (r *Recorder) record(s *Step, now time.Time) {
	st := &r.state
	st.seen |= s.values()
	if r.mfu > 0 {
		st.seen |= hasMFU
	}
	r.put(&entry{kind: RecordStep, emit: st.seen, at: now, step: *s, tokens: st.count.Tokens, seconds: s.Duration.Seconds()})
}

// put gives an entry to every sink.
func (r *Recorder) put(e *entry) {
	for _, q := range r.queues {
		q.put(e)
	}
}

// phase notes a change of phase.
func (r *Recorder) phase(p Phase, now time.Time) Phase {
	st := &r.state
	before := st.phase
	if p != before {
		st.phase, st.mark = p, now
	}
	return before
}

// Enter says that the process is in a phase from now on, and returns the one
// before:
//
//	defer r.Enter(r.Enter(training.PhaseEval))
//
// A phase that does not exist is PhaseCustom.
func (r *Recorder) Enter(p Phase) Phase {
	if r == nil {
		return PhaseInit
	}
	if p >= numPhases {
		p = PhaseCustom
	}
	r.mu.Lock()
	now := time.Now()
	before := r.phase(p, now)
	if r.state.ledger != nil {
		r.state.ledger.Enter(p, now)
	}
	r.mu.Unlock()
	r.save()
	return before
}

// Scalar records any further value, at the newest step: call it after Step.
func (r *Recorder) Scalar(tag string, v float64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.put(&entry{kind: RecordScalar, at: time.Now(), step: Step{N: r.state.newest}, tag: tag, value: v})
	r.mu.Unlock()
}

// Gradients records the distribution of one tensor's gradient as "gradients/" and
// the tag, and its L2 norm as "gradients/", the tag and "/norm", at the newest step:
// call it after Step. One pass over g; the caller chooses how often that is worth
// its time. Values that are not finite
// are counted, and are an event. Concurrent calls wait for one another, and never
// hold up Step.
func (r *Recorder) Gradients(tag string, g []float32) {
	if r == nil || len(g) == 0 {
		return
	}
	tag = "gradients/" + tag
	r.gradients.Lock()
	stats := &r.gradients.stats
	stats.Reset()
	stats.Add(g)
	histogram, norm, bad := stats.Histogram(0), stats.L2(), stats.NonFinite()
	r.gradients.Unlock()

	var found findings
	r.mu.Lock()
	now, at := time.Now(), Step{N: r.state.newest}
	r.put(&entry{kind: RecordHistogram, at: now, step: at, tag: tag, ref: histogram})
	r.put(&entry{kind: RecordScalar, at: now, step: at, tag: tag + "/norm", value: norm})
	if bad > 0 {
		r.state.count.badGrads++
		r.found(&found, Event{Kind: EventNonFinite, Step: at.N, Onset: at.N, At: now, Signal: tag, Value: float64(bad),
			RollbackTo: r.checkpoint(at.N - 1), Detail: "Value is how many of the tensor's values are NaN or infinite"})
	}
	r.mu.Unlock()
	r.tell(found)
}

// Checkpointed says that the state after a step is durable.
func (r *Recorder) Checkpointed(step int64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	now := time.Now()
	r.keepCheckpoint(step)
	if r.state.ledger != nil {
		r.state.ledger.Checkpointed(step, now)
	}
	r.put(&entry{kind: RecordCheckpoint, at: now, step: Step{N: step}})
	r.mu.Unlock()
	r.save()
}

// keepCheckpoint remembers a step whose state is durable.
func (r *Recorder) keepCheckpoint(step int64) {
	all := r.state.checkpoints
	i, known := slices.BinarySearch(all, step)
	full := len(all) == maxCheckpoints
	if known || step <= 0 || full && i == 0 { // the last is older than all that are kept
		return
	}
	if full {
		all = slices.Delete(all, 0, 1)
		i--
	}
	r.state.checkpoints = slices.Insert(all, i, step)
}

// checkpoint returns the newest checkpoint up to a step, or 0.
func (r *Recorder) checkpoint(upTo int64) int64 {
	all := r.state.checkpoints
	i, known := slices.BinarySearch(all, upTo)
	if known {
		return upTo
	}
	if i == 0 {
		return 0
	}
	return all[i-1]
}

// Resume says that this process continues a run: next is the first step that will
// be run. What the histories hold of it and later steps is void. The step before it
// counts as a checkpoint: this process has come from there.
func (r *Recorder) Resume(next int64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.resume(next, time.Now())
	r.mu.Unlock()
	r.save()
}

func (r *Recorder) resume(next int64, now time.Time) {
	st := &r.state
	next = max(next, 1)
	if st.ledger != nil {
		st.ledger.Resumed(next, now)
	}
	r.phase(PhaseInit, now)
	st.mark = now
	r.goBack(next-1, &entry{kind: RecordSession, at: now, step: Step{N: next}})
	r.keepCheckpoint(next - 1)
}

// RolledBack says that the state is again that after step to, 0 for the start, and
// why. The steps after it will be run again, and their time counts as wasted.
func (r *Recorder) RolledBack(to int64, cause string) {
	if r == nil {
		return
	}
	to = min(max(to, 0), math.MaxInt64-1)
	r.mu.Lock()
	now, st := time.Now(), &r.state
	if st.ledger != nil {
		st.ledger.RolledBack(to, now)
	}
	st.mark = now
	r.goBack(to, &entry{kind: RecordRollback, at: now, step: Step{N: to + 1}, tag: cause})
	r.mu.Unlock()
	r.save()
}

// goBack makes to the newest step, and forgets what came after it.
func (r *Recorder) goBack(to int64, e *entry) {
	st := &r.state
	st.newest = to
	for len(st.checkpoints) > 0 && st.checkpoints[len(st.checkpoints)-1] > to {
		st.checkpoints = st.checkpoints[:len(st.checkpoints)-1]
	}
	r.put(e)
}

// Interrupted says that training stopped at a time that a supervisor knows, and
// why; a time that is yet to come counts as now. Until Resume the time counts as
// recovery. Without it, an interruption is found when the ledger file of a process
// that is gone is read.
func (r *Recorder) Interrupted(at time.Time, cause string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	now := time.Now()
	if at.After(now) {
		at = now
	}
	if st := &r.state; st.ledger != nil {
		st.ledger.Interrupted(at, InterruptedBySupervisor)
		r.phase(PhaseIdle, now)
	}
	r.mu.Unlock()
	r.logInterruption(at, cause)
	r.save()
}

// RankTimes tells rank 0 how long each rank took before it waited for the others,
// over one window; a time of 0 is not known. It returns the ranks' scores, which are
// the caller's, and nil on other ranks.
func (r *Recorder) RankTimes(t []time.Duration) []Lag {
	if r == nil || r.cfg.Rank != 0 {
		return nil
	}
	var found findings
	r.mu.Lock()
	r.rankTimes(t, time.Now(), &found)
	lags := slices.Clone(r.state.lags)
	r.mu.Unlock()
	r.tell(found)
	return lags
}
