package training

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Four goroutines scrape while steps go on: no counter of a scrape is below that of
// the scrape before, and all steps are there in the end.
func TestScrapesWhileStepping(t *testing.T) {
	const steps = 100_000
	r := must(t, Config{Sinks: []Sink{&memory{name: "m", fail: func(int) error { return ErrDropped }}}, QueueSize: 64})
	stop := run(r)
	var ended atomic.Bool
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			before := r.Snapshot()
			for !ended.Load() {
				s := r.Snapshot()
				if s.Steps < before.Steps || s.Tokens < before.Tokens || s.StepSeconds.Count < before.StepSeconds.Count ||
					s.Ledger.Step < before.Ledger.Step || s.Sinks[0].Dropped < before.Sinks[0].Dropped {
					t.Errorf("fell: %+v after %+v", s, before)
					return
				}
				if int64(s.StepSeconds.Count) != s.Steps {
					t.Errorf("not of one instant: %d steps, %d times", s.Steps, s.StepSeconds.Count)
					return
				}
				before = s
				time.Sleep(time.Millisecond)
			}
		})
	}
	for n := range int64(steps) {
		r.Step(Step{N: n + 1, Loss: 1, GradNorm: 1, Tokens: 3, Duration: time.Millisecond})
	}
	ended.Store(true)
	scrapers.Wait()
	require.NoError(t, stop())
	s := r.Snapshot()
	assert.EqualValues(t, steps, s.Steps)
	assert.EqualValues(t, 3*steps, s.Tokens)
}

// Against a sink that never returns, Step takes what it takes without one.
func TestSinkThatBlocksForever(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	r := must(t, Config{Sinks: []Sink{&hanging{name: "hung", wait: never}}, QueueSize: 16})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = r.Run(ctx) }()
	began := time.Now()
	const steps = 20_000
	for n := range int64(steps) {
		r.Step(Step{N: n + 1, Loss: 1})
	}
	took := time.Since(began)
	t.Logf("%v a step", took/steps)
	assert.Less(t, took, 2*time.Second, "100 us a step: far above what a busy machine makes of 1 us")
	assert.GreaterOrEqual(t, r.Snapshot().Sinks[0].Dropped, int64(steps-32))
}

// Many goroutines that record at once are no clock that goes back: the time of each
// event is read where its place in the order is known.
func TestConcurrencyIsNoClockGoingBack(t *testing.T) {
	r := must(t, Config{})
	var others sync.WaitGroup
	for i := range 4 {
		others.Go(func() {
			for n := range int64(10_000) {
				switch i {
				case 0:
					r.Step(Step{N: n + 1})
				case 1:
					r.Checkpointed(n)
				default:
					r.Enter(PhaseStep)
				}
			}
		})
	}
	others.Wait()
	assert.Zero(t, r.Snapshot().Ledger.ClockBackwards)
}

// A supervisor whose clock is ahead does not move the account into the future.
func TestInterruptedInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{})
		r.Enter(PhaseStep)
		time.Sleep(10 * time.Second)
		r.Interrupted(time.Now().Add(time.Hour), "node drained")
		time.Sleep(5 * time.Second)
		r.Resume(1)
		r.Enter(PhaseStep)
		time.Sleep(5 * time.Second)
		r.Step(Step{N: 1})
		g := r.Goodput()
		assert.Equal(t, 20*time.Second, g.Elapsed)
		assert.Equal(t, 5*time.Second, g.Badput[CauseRecovery])
		assert.Equal(t, 5*time.Second, g.Productive)
		assert.Zero(t, r.Snapshot().Ledger.ClockBackwards)
	})
}

// A time that means nothing is counted, and the run goes on.
func TestInterruptedLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{})
		time.Sleep(10 * time.Second)
		r.Interrupted(time.Time{}, "")
		time.Sleep(10 * time.Second)
		r.Resume(1)
		g := r.Goodput()
		assert.Equal(t, 20*time.Second, g.Elapsed)
		assert.EqualValues(t, 1, g.Interruptions)
		assert.EqualValues(t, 1, r.Snapshot().Ledger.ClockBackwards)
	})
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingHandler) Handle(context.Context, slog.Record) error { panic("a handler") }

// A handler that panics stays in its place, whatever is logged.
func TestLoggerThatPanics(t *testing.T) {
	r := must(t, Config{Logger: slog.New(panickingHandler{slog.DiscardHandler})})
	assert.NotPanics(t, func() {
		r.Step(Step{N: 1, Loss: math.NaN()})
		r.Interrupted(time.Now(), "why")
	})
	assert.EqualValues(t, 2, r.Snapshot().CallbackPanics)
}

// Impossible amounts stop a counter at its end. None falls, and the ledger file
// stays one that can be read.
func TestCountersDoNotOverflow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{LedgerPath: path})
		var before Snapshot
		for n := range int64(5) {
			r.Step(Step{N: n + 1, Tokens: math.MaxInt64 - 1, Duration: math.MaxInt64, DataWait: math.MaxInt64})
			s := r.Snapshot()
			require.GreaterOrEqual(t, s.StepSeconds.Sum, before.StepSeconds.Sum)
			before = s
		}
		require.NoError(t, run(r)())
		assert.EqualValues(t, math.MaxInt64, r.Snapshot().Tokens)

		next := must(t, Config{LedgerPath: path})
		assert.EqualValues(t, math.MaxInt64, next.Snapshot().Tokens)
		again := next.Snapshot()
		assert.Zero(t, again.Events(EventLedgerLost))
	})
}

// Numbers at the end of the range are recorded, and no later one wraps around.
func TestStepsAtTheEndOfTheRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{name: "m"}
		r := must(t, Config{Sinks: []Sink{m}})
		r.Step(Step{N: math.MaxInt64, Loss: math.NaN()})
		r.Step(Step{N: math.MinInt64, Loss: math.NaN()})
		r.Checkpointed(math.MaxInt64)
		r.Checkpointed(math.MinInt64)
		r.RolledBack(math.MaxInt64, "")
		r.RolledBack(math.MinInt64, "")
		r.Resume(math.MinInt64)
		r.Resume(math.MaxInt64)
		require.NoError(t, run(r)())
		for _, record := range m.all() {
			if record.Kind == RecordRollback || record.Kind == RecordSession {
				assert.Positive(t, record.Step, "of kind %d", record.Kind)
			}
		}
	})
}

// Where a step without a word ends a recovery, its own duration does not look like a
// clock that goes back.
func TestStepThatEndsARecovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{LedgerPath: path})
		stop := run(r)
		r.Step(Step{N: 1})
		require.NoError(t, stop())
		time.Sleep(time.Minute)

		next := must(t, Config{LedgerPath: path})
		next.Enter(PhaseStep)
		time.Sleep(time.Second)
		next.Step(Step{N: 2, Duration: 2 * time.Second})
		assert.Zero(t, next.Snapshot().Ledger.ClockBackwards)
		assert.Equal(t, int64(1), next.Goodput().Interruptions)
	})
}

// A checkpoint that is older than all that are kept pushes none of them out.
func TestOldCheckpoint(t *testing.T) {
	r := must(t, Config{})
	for n := range int64(maxCheckpoints) {
		r.Checkpointed(1000 + n)
	}
	r.Checkpointed(5)
	assert.EqualValues(t, 1000, r.checkpoint(1000))
	r.Checkpointed(5000)
	assert.EqualValues(t, 5000, r.Snapshot().Checkpoint)
	assert.EqualValues(t, 1001, r.checkpoint(1001))
	assert.LessOrEqual(t, len(r.state.checkpoints), maxCheckpoints)
}

// Names that are no UTF-8 could become one and the same label.
func TestSinkNames(t *testing.T) {
	_, err := New(Config{Run: "test", Sinks: []Sink{&memory{name: "a\xff"}}})
	require.ErrorContains(t, err, `"a\xff"`)
}

// A callback may do anything but wait for itself.
func TestCallbacksThatCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *Recorder
		var depth atomic.Int64
		bad := &memory{name: "bad", fail: func(n int) error {
			if n%2 == 1 {
				return errors.New("no")
			}
			return nil
		}}
		path := filepath.Join(t.TempDir(), "missing", "ledger.json")
		r = must(t, Config{Sinks: []Sink{bad}, LedgerPath: path, OnEvent: func(e Event) {
			if depth.Add(1) > 3 {
				depth.Add(-1)
				return
			}
			defer depth.Add(-1)
			r.Scalar("event/"+e.Kind.String(), 1)
			r.Gradients("w", []float32{float32(math.NaN())})
			r.RolledBack(e.RollbackTo, e.Detail)
			r.Step(Step{N: r.Snapshot().Last.N + 1, Loss: math.Inf(1)})
			r.Enter(r.Enter(PhaseEval))
			r.Checkpointed(1)
			r.RankTimes([]time.Duration{1, 1, 1, 9})
			r.OnStep(func(Step) { _ = r.Goodput() })()
			_ = r.Snapshot()
		}})
		stop := run(r)
		for n := range int64(40) {
			time.Sleep(time.Second)
			r.Step(Step{N: n + 1, Loss: 1})
		}
		time.Sleep(10 * time.Second)
		require.Error(t, stop(), "the ledger's folder is missing")
		s := r.Snapshot()
		assert.Zero(t, s.CallbackPanics)
		assert.Positive(t, s.Events(EventNonFinite))
		assert.EqualValues(t, 1+s.Sinks[0].Errors, s.Events(EventSinkFailing), "the ledger's spell, and each of the sink's")
	})
}

// A process that goes on from a checkpoint can return to it.
func TestAdviceAfterResume(t *testing.T) {
	var events log
	r := must(t, Config{OnEvent: events.add})
	r.Resume(101)
	r.Step(Step{N: 101, Loss: 1})
	r.Step(Step{N: 102, Loss: math.NaN()})
	require.Len(t, events.all(), 1)
	assert.EqualValues(t, 100, events.all()[0].RollbackTo)
	assert.EqualValues(t, 100, r.Snapshot().Checkpoint)
	r.Resume(1)
	assert.Zero(t, r.Snapshot().Checkpoint)
}

// While the file cannot be written, exported counters rest at what it holds: ahead of
// it, they would fall after a crash. What is not a counter goes on, and the failure
// has an event and a counter of its own.
func TestCountersWithoutLedgerFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{LedgerPath: filepath.Join(t.TempDir(), "missing", "ledger.json")})
		stop := run(r)
		r.Enter(PhaseStep)
		for n := range int64(100) {
			time.Sleep(time.Second)
			r.Step(Step{N: n + 1, Loss: 2})
		}
		s := r.Snapshot()
		assert.Zero(t, s.Steps)
		assert.Zero(t, s.Ledger.Step)
		assert.EqualValues(t, 100, s.Last.N)
		assert.EqualValues(t, 100, s.StepSeconds.Count)
		assert.Equal(t, 100*time.Second, r.Goodput().Productive)
		assert.EqualValues(t, 1, s.Events(EventSinkFailing))
		assert.Positive(t, s.Sinks[len(s.Sinks)-1].Errors)
		require.Error(t, stop())
	})
}
