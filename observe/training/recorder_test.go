package training

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is a sink that keeps everything, and fails, hangs or panics when told.
type memory struct {
	name string

	mu      sync.Mutex
	records []Record
	writes  int
	flushes int
	closed  int
	fail    func(write int) error // by number of the call, from 1
}

func (m *memory) Name() string { return m.name }

func (m *memory) Write(_ context.Context, batch []Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.fail != nil {
		if err := m.fail(m.writes); err != nil {
			return err
		}
	}
	m.records = append(m.records, batch...)
	return nil
}

func (m *memory) Flush(context.Context) error { m.mu.Lock(); m.flushes++; m.mu.Unlock(); return nil }
func (m *memory) Close(context.Context) error { m.mu.Lock(); m.closed++; m.mu.Unlock(); return nil }

func (m *memory) all() []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Record(nil), m.records...)
}

// values returns what a sink has of a tag.
func (m *memory) values(tag string) (v []float64) {
	for _, r := range m.all() {
		if r.Tag == tag {
			v = append(v, r.Value)
		}
	}
	return v
}

// run starts Run in a bubble; stop ends it and returns its error.
func run(r *Recorder) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func must(t testing.TB, cfg Config) *Recorder {
	t.Helper()
	if cfg.Run == "" {
		cfg.Run = "test"
	}
	r, err := New(cfg)
	require.NoError(t, err)
	return r
}

func TestRecordsOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{name: "memory"}
		r := must(t, Config{Sinks: []Sink{m}, FLOPsPerToken: 6e9, PeakFLOPS: 1e13, Devices: 2})
		stop := run(r)
		time.Sleep(3 * time.Second) // Init
		r.Step(Step{N: 1, Loss: 4, Tokens: 1000, Duration: 2 * time.Second})
		time.Sleep(2 * time.Second)
		r.Step(Step{N: 2, Loss: math.NaN(), GradNorm: 3, ClipAt: 1, LearningRate: 1e-3, Tokens: 1000, DataWait: time.Second / 2})
		r.Scalar("eval/loss", 3.5)
		require.NoError(t, stop())

		assert.Equal(t, []float64{1000, 2000}, m.values("train/tokens"))
		assert.Equal(t, []float64{500, 500}, m.values("train/tokens_per_second"))
		assert.InDeltaSlice(t, []float64{.15, .15}, m.values("train/mfu"), 1e-12) // 500 x 6e9 / (2 x 1e13)
		assert.Equal(t, []float64{2, 2}, m.values("train/step_seconds"))
		assert.Equal(t, []float64{3}, m.values("train/grad_norm"), "a value appears from the first step that has it")
		assert.Equal(t, []float64{.5}, m.values("train/data_wait_seconds"))
		assert.Equal(t, []float64{3.5}, m.values("eval/loss"))
		loss := m.values("train/loss")
		require.Len(t, loss, 2)
		assert.True(t, math.IsNaN(loss[1]))
		for _, record := range m.all() {
			require.NotNil(t, record.Session)
			assert.Equal(t, "test", record.Session.Run)
		}
		last := m.all()[len(m.all())-1]
		assert.Equal(t, RecordSummary, last.Kind)
		require.NotNil(t, last.Goodput)
		assert.Equal(t, 1, m.closed)
		s := r.Snapshot()
		assert.EqualValues(t, 1, s.Clipped)
		assert.EqualValues(t, 1, s.NonFiniteLoss)
		assert.EqualValues(t, 1, s.Events(EventNonFinite))
		assert.EqualValues(t, 2000*6e9, s.ModelFLOPs)
		assert.EqualValues(t, 2, s.StepSeconds.Count)
		assert.Equal(t, 4.0, s.StepSeconds.Sum)
	})
}

// A sink that hangs for ever, or fails for ever, costs its own records only.
func TestSinksAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		var events log
		good := &memory{name: "good"}
		hung := &hanging{name: "hung", wait: never}
		bad := &memory{name: "bad", fail: func(int) error { return errors.New("disk full") }}
		r := must(t, Config{Sinks: []Sink{hung, good, bad}, QueueSize: 64, OnEvent: events.add})
		stop := run(r)
		for n := range int64(1000) {
			r.Step(Step{N: n + 1, Loss: 1, Duration: time.Millisecond})
			time.Sleep(100 * time.Millisecond)
		}
		before := time.Now()
		err := stop()
		assert.LessOrEqual(t, time.Since(before), endingTakes)
		require.Error(t, err)
		assert.ErrorContains(t, err, "disk full")
		assert.ErrorContains(t, err, "1 sinks did not end")
		assert.Len(t, good.values("train/loss"), 1000)
		s := r.Snapshot()
		assert.Greater(t, s.Sinks[0].Dropped, int64(900))
		assert.Zero(t, s.Sinks[1].Dropped)
		assert.Greater(t, s.Sinks[2].Dropped, int64(900))
		assert.Greater(t, s.Sinks[2].Errors, int64(4))
		assert.EqualValues(t, 1, s.Events(EventSinkFailing), "one a spell")
		require.Len(t, events.all(), 1)
		assert.Equal(t, "bad", events.all()[0].Signal)
		close(never)
		synctest.Wait()
	})
}

type hanging struct {
	name string
	wait chan struct{}
}

func (h *hanging) Name() string                          { return h.name }
func (h *hanging) Write(context.Context, []Record) error { <-h.wait; return nil }
func (h *hanging) Flush(context.Context) error           { <-h.wait; return nil }
func (h *hanging) Close(context.Context) error           { <-h.wait; return nil }

// A batch that failed is given again whole, and each spell is told once.
func TestSinkThatRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{name: "m"}
		m.fail = func(write int) error {
			switch write {
			case 1, 2, 3, 6:
				return errors.New("no")
			case 5:
				panic("a sink that panics")
			}
			return nil
		}
		r := must(t, Config{Sinks: []Sink{m}})
		stop := run(r)
		for n := range int64(500) {
			r.Step(Step{N: n + 1, Loss: float64(n), Duration: time.Millisecond})
			time.Sleep(50 * time.Millisecond)
		}
		require.NoError(t, stop())
		loss := m.values("train/loss")
		require.Len(t, loss, 500)
		for i, v := range loss {
			require.Equal(t, float64(i), v)
		}
		s := r.Snapshot()
		assert.EqualValues(t, 5, s.Sinks[0].Errors)
		assert.EqualValues(t, 2, s.Events(EventSinkFailing))
		assert.Zero(t, s.Sinks[0].Dropped)
	})
}

func TestSinkThatDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{name: "m", fail: func(write int) error {
			if write == 1 {
				return errors.Join(errors.New("refused"), ErrDropped)
			}
			return nil
		}}
		r := must(t, Config{Sinks: []Sink{m}})
		stop := run(r)
		r.Step(Step{N: 1})
		time.Sleep(5 * time.Second)
		r.Step(Step{N: 2, Loss: 2})
		require.NoError(t, stop())
		assert.Equal(t, []float64{2}, m.values("train/loss"))
		assert.EqualValues(t, 1, r.Snapshot().Sinks[0].Errors)
	})
}

func TestConfigFaults(t *testing.T) {
	_, err := New(Config{Run: "a b", Rank: 3, World: 2, Devices: -1, FLOPsPerToken: math.NaN(), PeakFLOPS: math.Inf(1),
		QueueSize: -1, FlushEvery: -1, LedgerEvery: -1, LedgerPath: "x", Sinks: []Sink{nil, &memory{name: "a"}, &memory{name: "a"}, &memory{name: "ledger"}}})
	require.Error(t, err)
	for _, field := range []string{"Run", "Rank", "Devices", "FLOPsPerToken", "PeakFLOPS", "QueueSize", "FlushEvery", "LedgerEvery", "LedgerPath",
		"nil at 0", `"a" twice`, `"ledger"`} {
		assert.ErrorContains(t, err, field)
	}
	_, err = New(Config{Run: strings.Repeat("a", 129)})
	require.Error(t, err)
}

func TestNilRecorder(t *testing.T) {
	var r *Recorder
	r.Step(Step{N: 1})
	r.Enter(PhaseEval)
	r.Scalar("x", 1)
	r.Gradients("x", []float32{1})
	r.Checkpointed(1)
	r.Resume(1)
	r.RolledBack(1, "")
	r.Interrupted(time.Now(), "")
	assert.Nil(t, r.RankTimes([]time.Duration{1, 2, 3}))
	assert.Zero(t, r.Goodput())
	assert.Zero(t, r.Snapshot().Steps)
	r.OnStep(func(Step) {})()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.NoError(t, r.Run(ctx))
}

func TestRunOnce(t *testing.T) {
	r := must(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, r.Run(ctx))
	assert.ErrorIs(t, r.Run(ctx), ErrRunning)
}

// Whatever a callback does, the counters hold the bad step already.
func TestCountersBeforeCallbacks(t *testing.T) {
	var r *Recorder
	var seen int64
	r = must(t, Config{OnEvent: func(e Event) {
		seen = r.Snapshot().NonFiniteLoss
		r.RolledBack(e.RollbackTo, "NaN")
		panic("in a callback")
	}})
	r.Step(Step{N: 1, Loss: 1})
	r.Checkpointed(1)
	r.Step(Step{N: 2, Loss: math.Inf(1)})
	assert.EqualValues(t, 1, seen)
	s := r.Snapshot()
	assert.EqualValues(t, 1, s.CallbackPanics)
	r.Step(Step{N: 2, Loss: 1})
	assert.Zero(t, r.Snapshot().OutOfOrder, "after the rollback step 2 is run again")
	assert.EqualValues(t, 1, r.Goodput().Rollbacks)
}

func TestOutOfOrder(t *testing.T) {
	r := must(t, Config{})
	for _, n := range []int64{1, 2, 2, 1, 3, -5, 0} {
		r.Step(Step{N: n, Loss: math.NaN()})
	}
	s := r.Snapshot()
	assert.EqualValues(t, 7, s.Steps)
	assert.EqualValues(t, 4, s.OutOfOrder)
	assert.EqualValues(t, 7, s.NonFiniteLoss)
	assert.EqualValues(t, 3, s.Events(EventNonFinite), "kept from the detectors")
}

// log keeps events.
type log struct {
	mu     sync.Mutex
	events []Event
}

func (l *log) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *log) all() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events log
		r := must(t, Config{OnEvent: events.add})
		stop := run(r)
		for n := range int64(100) {
			time.Sleep(time.Second)
			r.Step(Step{N: n + 1, Loss: 1})
		}
		time.Sleep(59 * time.Second)
		assert.Empty(t, events.all())
		assert.Equal(t, time.Minute, r.Snapshot().HangLimit)
		time.Sleep(5 * time.Minute)
		require.Len(t, events.all(), 1)
		assert.Equal(t, EventHang, events.all()[0].Kind)
		assert.Equal(t, 60.0, events.all()[0].Limit)
		assert.InDelta(t, 60, events.all()[0].Since.Seconds(), 1.5)
		assert.Contains(t, events.all()[0].Detail, "step")
		r.Step(Step{N: 101, Loss: 1})
		time.Sleep(2 * time.Second)
		require.Len(t, events.all(), 2)
		assert.Equal(t, EventHangEnd, events.all()[1].Kind)
		require.NoError(t, stop())
	})
}

func TestLedgerOverRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{LedgerPath: path})
		stop := run(r)
		time.Sleep(10 * time.Second)
		r.Enter(PhaseStep)
		for n := range int64(50) {
			time.Sleep(time.Second)
			r.Step(Step{N: n + 1, Loss: 1, Tokens: 10})
		}
		r.Checkpointed(40)
		require.NoError(t, stop())

		time.Sleep(30 * time.Second)
		next := must(t, Config{LedgerPath: path})
		next.Resume(41)
		next.Enter(PhaseStep)
		for n := range int64(10) {
			time.Sleep(time.Second)
			next.Step(Step{N: 41 + n, Loss: 1, Tokens: 10})
		}
		g := next.Goodput()
		assert.Equal(t, 100*time.Second, g.Elapsed)
		assert.Equal(t, 50*time.Second, g.Productive, "steps 41 to 50 count once")
		assert.Equal(t, 10*time.Second, g.Badput[CauseWasted])
		assert.Equal(t, 10*time.Second, g.Badput[CauseInit])
		assert.Equal(t, 30*time.Second, g.Badput[CauseRecovery])
		assert.EqualValues(t, 1, g.Interruptions)
		assert.EqualValues(t, 500, next.Snapshot().Tokens, "no more than the file has")
		stop = run(next)
		require.NoError(t, stop())
		assert.EqualValues(t, 600, next.Snapshot().Tokens, "counters go on")

		_, err := New(Config{Run: "other", LedgerPath: path})
		require.Error(t, err, "another run's ledger")
	})
}

// Whenever a process is killed, no counter of the next one is below what was
// scraped of it.
func TestCountersNeverFall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		var before Snapshot
		next := int64(1)
		for range 20 {
			// What a killed process leaves behind is its file as it is.
			r := must(t, Config{LedgerPath: path, LedgerEvery: 3 * time.Second})
			ctx, kill := context.WithCancel(context.Background())
			go func() { _ = r.Run(ctx) }()
			r.Resume(next)
			r.Enter(PhaseStep)
			var file []byte
			for range 1 + rng.IntN(20) {
				time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
				r.Step(Step{N: next, Tokens: 10, DataWait: time.Duration(rng.Int64N(int64(time.Second)))})
				next++
				s := r.Snapshot()
				require.GreaterOrEqual(t, s.Steps, before.Steps)
				require.GreaterOrEqual(t, s.Tokens, before.Tokens)
				if before.Ledger != nil {
					require.GreaterOrEqual(t, s.Ledger.Step, before.Ledger.Step)
					for c := range NumCauses {
						require.GreaterOrEqual(t, s.Ledger.Spent[c], before.Ledger.Spent[c])
					}
					require.GreaterOrEqual(t, s.Ledger.LostToInterruption, before.Ledger.LostToInterruption)
				}
				before = s
				var err error
				synctest.Wait()
				file, err = os.ReadFile(path)
				require.NoError(t, err)
			}
			kill()
			synctest.Wait()
			time.Sleep(time.Second)
			require.NoError(t, os.WriteFile(path, file, 0o600))
			next = max(1, next-int64(rng.IntN(10)))
		}
	})
}

func TestStepAllocatesNothing(t *testing.T) {
	r := must(t, Config{Sinks: []Sink{&memory{name: "a"}, &memory{name: "b"}}, QueueSize: 1024})
	r.OnStep(func(Step) {})
	n := int64(0)
	for range 3000 {
		n++
		r.Step(Step{N: n, Loss: 2 + math.Sin(float64(n))/100, GradNorm: 1, Tokens: 5})
	}
	allocs := testing.AllocsPerRun(1000, func() {
		n++
		r.Step(Step{N: n, Loss: 2 + math.Sin(float64(n))/100, GradNorm: 1, Tokens: 5})
		r.Scalar("x", 1)
	})
	assert.Zero(t, allocs)
}

// Without a word about where init ends, the first step is a part of it: better than
// minutes of compiling that count as productive.
func TestFirstStepInInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := must(t, Config{})
		time.Sleep(time.Minute)
		r.Step(Step{N: 1})
		time.Sleep(time.Second)
		r.Step(Step{N: 2})
		g := r.Goodput()
		assert.Equal(t, time.Minute, g.Badput[CauseInit])
		assert.Equal(t, time.Second, g.Productive)
		assert.EqualValues(t, 1, r.Snapshot().StepSeconds.Count)
	})
}

func TestOnStepStops(t *testing.T) {
	r := must(t, Config{})
	a, b := 0, 0
	stopA := r.OnStep(func(Step) { a++; panic("user") })
	r.OnStep(func(Step) { b++ })
	r.Step(Step{N: 1})
	stopA()
	stopA()
	r.Step(Step{N: 2})
	assert.Equal(t, 1, a)
	assert.Equal(t, 2, b)
	assert.EqualValues(t, 1, r.Snapshot().CallbackPanics)
}

func TestConcurrentUse(t *testing.T) {
	m := &memory{name: "m"}
	r := must(t, Config{Sinks: []Sink{m}, LedgerPath: filepath.Join(t.TempDir(), "l.json")})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for range 300 {
				_ = r.Snapshot()
				_ = r.Goodput()
				r.Scalar("x", 1)
				r.Gradients("w", []float32{1, 2, float32(math.NaN())})
				r.Enter(r.Enter(PhaseEval))
				r.RankTimes([]time.Duration{1, 2, 3})
			}
		})
	}
	for n := range int64(5000) {
		r.Step(Step{N: n + 1, Loss: 1, GradNorm: 1})
		if n%500 == 0 {
			r.Checkpointed(n)
		}
	}
	others.Wait()
	cancel()
	require.NoError(t, <-done)
	s := r.Snapshot()
	assert.EqualValues(t, 5000, s.Steps)
	steps := len(m.values("train/loss"))
	assert.LessOrEqual(t, steps, 5000)
}
