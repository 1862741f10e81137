package training

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// moody is a sink that does whatever an interface allows, and keeps what it took.
type moody struct {
	name  string
	rng   *rand.Rand
	calm  atomic.Bool // it has recovered
	taken []Record
	lost  int64
	part  int   // records of the batch that it has taken
	torn  int64 // entries among these
	shut  int
	late  bool // a call after Close
}

func (m *moody) Name() string { return m.name }

func (m *moody) Write(ctx context.Context, batch []Record) error {
	m.late = m.late || m.shut > 0
	mood := m.rng.IntN(7)
	if m.calm.Load() {
		mood = 0
	}
	switch mood {
	case 1:
		return errors.New("no")
	case 2:
		panic("no")
	case 3: // a part, up to the end of an entry
		n := m.part + m.rng.IntN(len(batch)-m.part+1)
		for n < len(batch) && n > 0 && batch[n].Kind == RecordStep && batch[n].Tag != "train/loss" {
			n++
		}
		m.take(batch[m.part:n])
		m.torn += entriesOf(batch[m.part:n])
		m.part = n
		return errors.New("in part")
	case 4: // the rest is given up
		m.lost += entriesOf(batch[m.part:])
		m.part, m.torn = 0, 0
		return ErrDropped
	case 5: // it hangs, up to a minute
		select {
		case <-time.After(time.Duration(m.rng.Int64N(int64(time.Minute)))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.take(batch[m.part:])
	m.part, m.torn = 0, 0
	return nil
}

// entriesOf counts a step once.
func entriesOf(batch []Record) (n int64) {
	for _, r := range batch {
		n += one(r.Kind != RecordStep || r.Tag == "train/loss")
	}
	return n
}

func (m *moody) take(batch []Record) { m.taken = append(m.taken, batch...) }

func (m *moody) Flush(context.Context) error {
	m.late = m.late || m.shut > 0
	if !m.calm.Load() && m.rng.IntN(4) == 0 {
		panic("flush")
	}
	return nil
}

func (m *moody) Close(context.Context) error {
	m.shut++
	if m.rng.IntN(2) == 0 {
		return errors.New("close")
	}
	return nil
}

// Whatever sinks do, each gets what was recorded in order, nothing twice, and what
// it did not get is counted. The figures of a Snapshot are those of a recount.
func TestMoodySinks(t *testing.T) {
	for seed := range uint64(25) {
		synctest.Test(t, func(t *testing.T) { moodyRun(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func moodyRun(t *testing.T, rng *rand.Rand) {
	var sinks []*moody
	cfg := Config{QueueSize: 1 + rng.IntN(200), FlushEvery: time.Duration(1+rng.IntN(5)) * time.Second}
	for _, name := range []string{"a", "b", "c"} {
		m := &moody{name: name, rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
		sinks, cfg.Sinks = append(sinks, m), append(cfg.Sinks, m)
	}
	r := must(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := rng.IntN(20) // when Run is called
	ends := 50 + rng.IntN(1000)
	done := make(chan error, 1)

	var want Snapshot // the recount
	var newest, entries int64
	mark := 0.0 // a number for each entry that carries one
	for i := range 1200 {
		switch {
		case i == started:
			go func() { done <- r.Run(ctx) }()
		case i == ends-20:
			synctest.Wait()
			for _, m := range sinks {
				m.calm.Store(rng.IntN(2) == 0)
			}
		case i == ends:
			cancel()
			<-done
			synctest.Wait()
		}
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		mark++
		switch rng.IntN(12) {
		case 0:
			r.Scalar("mark", mark)
			entries++
		case 1:
			r.Gradients("w", []float32{float32(mark)})
			entries += 2
		case 2:
			r.Checkpointed(newest)
			entries++
		case 3:
			newest = rng.Int64N(newest + 1)
			r.RolledBack(newest, "test")
			entries++
		default:
			s := Step{N: newest + 1 - rng.Int64N(2)*rng.Int64N(2), Loss: mark, Tokens: rng.Int64N(9), Duration: 1 + time.Duration(rng.IntN(1e9)),
				GradNorm: rng.Float64() * 2, ClipAt: rng.Float64(), Skipped: rng.IntN(5) == 0}
			r.Step(s)
			entries++
			want.Steps++
			want.Tokens += s.Tokens
			want.Skipped += one(s.Skipped)
			want.Clipped += one(s.ClipAt > 0 && s.GradNorm > s.ClipAt)
			want.OutOfOrder += one(s.N <= newest)
			newest = max(newest, s.N)
			want.StepSeconds.Sum += s.Duration.Seconds()
		}
	}
	s := r.Snapshot()
	entries++ // the summary
	for k := range numEventKinds {
		entries += s.Events(k)
	}
	for i, m := range sinks {
		assert.False(t, m.late, "a call after Close")
		assert.LessOrEqual(t, m.shut, 1)
		got := entriesOf(m.taken)
		var last float64
		for _, record := range m.taken {
			if record.Tag == "train/loss" || record.Tag == "mark" || record.Tag == "gradients/w/norm" {
				require.Greater(t, record.Value, last, "in order, and once")
				last = record.Value
			}
		}
		got -= m.torn // of a batch that counts as dropped whole
		require.Equal(t, entries, got+m.lost+s.Sinks[i].Dropped, "sink %s: %d taken, %d given up, %d dropped", m.name, got, m.lost, s.Sinks[i].Dropped)
	}
	assert.Equal(t, []int64{want.Steps, want.Tokens, want.Skipped, want.Clipped, want.OutOfOrder}, []int64{s.Steps, s.Tokens, s.Skipped, s.Clipped, s.OutOfOrder})
	assert.InDelta(t, want.StepSeconds.Sum, s.StepSeconds.Sum, 1e-6)
	var inBuckets, inEighths uint64
	for _, n := range s.StepSeconds.Counts {
		inBuckets += n
	}
	for _, n := range s.StepSeconds.Eighths {
		inEighths += n
	}
	assert.EqualValues(t, s.Steps, s.StepSeconds.Count)
	assert.Equal(t, s.StepSeconds.Count, inBuckets)
	assert.Equal(t, s.StepSeconds.Count, inEighths+s.StepSeconds.Tiny)
	var spent time.Duration
	for _, d := range s.Ledger.Spent {
		spent += d
	}
	assert.Equal(t, r.Goodput().Elapsed, s.Ledger.Step+spent)
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// A Recorder whose Run was never called keeps the first records and counts the rest;
// one whose Run begins when it is to end still writes them.
func TestRunNeverAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{name: "m"}
		r := must(t, Config{Sinks: []Sink{m}, QueueSize: 10})
		for n := range int64(15) {
			r.Step(Step{N: n + 1, Loss: float64(n)})
		}
		assert.EqualValues(t, 5, r.Snapshot().Sinks[0].Dropped)
		assert.Empty(t, m.all())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, r.Run(ctx))
		assert.Len(t, m.values("train/loss"), 10)
		assert.EqualValues(t, 6, r.Snapshot().Sinks[0].Dropped, "the summary found no place")
		assert.False(t, r.Snapshot().Running)
	})
}

// After a rollback the detectors go on: the steps that are run again are no event,
// and the next spike is one.
func TestDetectorsAfterRollback(t *testing.T) {
	var events log
	r := must(t, Config{OnEvent: events.add})
	rng := rand.New(rand.NewPCG(3, 4))
	n := int64(0)
	steps := func(to int64) {
		for n < to {
			n++
			r.Step(Step{N: n, Loss: 2 + rng.NormFloat64()/100, GradNorm: 1 + rng.NormFloat64()/100})
			if n%50 == 0 {
				r.Checkpointed(n)
			}
		}
	}
	for round := range 3 {
		steps(400)
		n++
		r.Step(Step{N: n, Loss: 50, GradNorm: 1})
		got := events.all()
		require.Len(t, got, 2*round+1)
		e := got[2*round]
		assert.Equal(t, EventSpike, e.Kind)
		assert.EqualValues(t, 401, e.Onset)
		assert.EqualValues(t, 300, e.RollbackTo)
		r.RolledBack(e.RollbackTo, "spike")
		n = e.RollbackTo
		steps(399) // the end of the spike is among these
		require.Len(t, events.all(), 2*round+2)
		assert.Equal(t, EventSpikeEnd, events.all()[2*round+1].Kind)
	}
	s := r.Snapshot()
	assert.EqualValues(t, 3, s.LossSpikes)
	assert.Zero(t, s.OutOfOrder)
	assert.EqualValues(t, 350, s.Checkpoint)
	r.RolledBack(0, "again")
	s = r.Snapshot()
	assert.Zero(t, s.Checkpoint)
	r.Step(Step{N: 1, Loss: math.NaN()})
	last := events.all()[len(events.all())-1]
	assert.Equal(t, EventNonFinite, last.Kind)
	assert.Zero(t, last.RollbackTo)
}

// Ranks may come and go. What is told of them fits the last window.
func TestStragglersComeAndGo(t *testing.T) {
	events := 0
	r := must(t, Config{World: 8, OnEvent: func(Event) { events++ }, Straggler: Straggler{Of: 2}})
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		ranks := [...]int{0, 1, 2, 3, 8, 8, 8, 8, 300}[rng.IntN(9)]
		for range 1 + rng.IntN(4) {
			times := make([]time.Duration, ranks)
			for i := range times {
				times[i] = [...]time.Duration{math.MinInt64, -1, 0, 1, time.Second, time.Second, 3 * time.Second, math.MaxInt64}[rng.IntN(8)]
			}
			before := events
			lags := r.RankTimes(times)
			s := r.Snapshot()
			require.LessOrEqual(t, len(lags), ranks)
			flagged, changed := 0, 0
			for i, l := range lags {
				require.Equal(t, i, l.Rank)
				require.False(t, math.IsNaN(l.Score) || math.IsInf(l.Score, 0) || l.Score < 0)
				flagged += int(one(l.Flagged))
				changed += int(one(l.Flagged && l.Changed))
			}
			require.Equal(t, flagged, s.Stragglers)
			require.False(t, math.IsNaN(s.StragglerScore) || s.StragglerScore < 0)
			require.Equal(t, before+changed, events)
		}
	}
	assert.Positive(t, events)
	assert.Nil(t, must(t, Config{World: 2, Rank: 1}).RankTimes([]time.Duration{1, 2}))
}
