package training

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledgerSum fails unless the parts of the account make the whole.
func ledgerSum(t testing.TB, l *Ledger, at time.Time) {
	t.Helper()
	g := l.Goodput(at)
	rest := g.Elapsed - g.Productive
	for c, d := range g.Badput {
		if d < 0 || d > rest {
			t.Fatalf("%v is %d: %+v", Cause(c), d, g)
		}
		rest -= d
	}
	if rest != 0 || g.Productive < 0 || !(g.Ratio >= 0 && g.Ratio <= 1) || g.MaxProductiveStep < 0 {
		t.Fatalf("%d ns are missing: %+v", rest, g)
	}
}

func TestLedgerEnter(t *testing.T) {
	l := NewLedger(ledgerStart)
	assert.Equal(t, PhaseInit, l.Phase())
	assert.Equal(t, PhaseInit, l.Enter(PhaseEval, ledgerStart.Add(1)))
	assert.Equal(t, PhaseEval, l.Enter(Phase(200), ledgerStart.Add(3)))
	assert.Equal(t, PhaseCustom, l.Phase(), "a phase that does not exist")
	// The pair that returns to where it was.
	func() {
		defer l.Enter(l.Enter(PhaseIdle, ledgerStart.Add(7)), ledgerStart.Add(15))
		assert.Equal(t, PhaseIdle, l.Phase())
	}()
	assert.Equal(t, PhaseCustom, l.Phase())
	g := l.Goodput(ledgerStart.Add(31))
	assert.Equal(t, [NumCauses]time.Duration{CauseInit: 1, CauseEval: 2, CauseCustom: 4 + 16, CauseIdle: 8}, g.Badput)

	// It also holds over an interruption: the time is recovery in any phase.
	l.Interrupted(ledgerStart.Add(31), InterruptionCause(99))
	assert.True(t, l.Recovering())
	assert.Equal(t, PhaseInit, l.Phase())
	l.Enter(PhaseCheckpointRestore, ledgerStart.Add(32))
	assert.Equal(t, PhaseCheckpointRestore, l.Phase())
	l.Resumed(1, ledgerStart.Add(33))
	assert.False(t, l.Recovering())
	assert.Equal(t, PhaseInit, l.Phase())
	g = l.Goodput(ledgerStart.Add(33))
	assert.Equal(t, time.Duration(2), g.Badput[CauseRecovery])
	assert.Zero(t, g.Badput[CauseCheckpointRestore])
	assert.EqualValues(t, 1, l.Totals(ledgerStart.Add(33)).Interruptions[InterruptedByCrash], "a cause that does not exist")
}

func TestLedgerReadingBeforeTheLastEvent(t *testing.T) {
	l := NewLedger(ledgerStart)
	l.Enter(PhaseStep, ledgerStart.Add(10))
	l.Step(1, 0, 0, ledgerStart.Add(30))
	want := l.Goodput(ledgerStart.Add(30))
	assert.Equal(t, want, l.Goodput(ledgerStart))
	totals := l.Totals(ledgerStart)
	assert.Equal(t, time.Duration(30), totals.total())
	assert.Zero(t, totals.ClockBackwards, "a reading is no event")
}

func TestLedgerHostileTimes(t *testing.T) {
	times := []time.Time{{}, time.Unix(0, 0), ledgerStart, time.Unix(1<<40, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(math.MaxInt64-1<<40, 0), time.Unix(math.MinInt64, 0), ledgerStart.Add(math.MaxInt64)}
	durations := []time.Duration{0, 1, -1, math.MaxInt64, math.MinInt64}
	numbers := []int64{0, 1, -1, 5, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}
	r := rand.New(rand.NewPCG(6, 27))
	pick := r.IntN
	l := new(Ledger)
	for range 10_000 {
		ledgerRestart(l, times[pick(len(times))])
		var before LedgerTotals
		for range 12 {
			at, n := times[pick(len(times))], numbers[pick(len(numbers))]
			switch pick(6) {
			case 0:
				l.Enter(Phase(pick(9)), at)
			case 1, 2:
				l.Step(n, durations[pick(len(durations))], durations[pick(len(durations))], at)
			case 3:
				l.Checkpointed(n, at)
				l.RolledBack(numbers[pick(len(numbers))], at)
			case 4:
				l.Interrupted(at, InterruptionCause(pick(5)))
			case 5:
				l.Resumed(n, at)
			}
			at = times[pick(len(times))]
			ledgerSum(t, l, at)
			totals := l.Totals(at)
			if totals.fell(before) {
				t.Fatalf("%+v\n%+v", before, totals)
			}
			before = totals
		}
		_ = l.Goodput(times[0]).String()
	}
}

func TestLedgerAllocatesNothing(t *testing.T) {
	l := NewLedger(ledgerStart)
	now, n := ledgerStart, int64(0)
	step := func() {
		n++
		now = now.Add(time.Second)
		l.Step(n, time.Second, time.Millisecond, now)
	}
	step()
	l.Checkpointed(n, now)
	assert.Zero(t, testing.AllocsPerRun(2*keptSteps, func() {
		l.Enter(PhaseEval, now)
		l.Enter(PhaseStep, now)
		step()
		l.Checkpointed(n, now)
		if n%7 == 0 {
			n -= 5
			l.RolledBack(n, now)
		}
		l.Interrupted(now, InterruptedByCrash)
		l.Resumed(n+1, now)
		_ = l.Totals(now)
	}))
	// One that was read from a file grows to its size at its first step.
	l = l.clone()
	step()
	l.Checkpointed(n, now)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		step()
		l.Checkpointed(n, now)
	}))
}

// A rollback looks at a number of sums that grows as the logarithm of those kept:
// as many calls of a search as take far longer when each looks at all of them.
func TestRollbackIsNoScan(t *testing.T) {
	var s sums
	for n := range int64(keptSteps) {
		s.add(n+1, 1)
	}
	took := func(f func(to int64)) time.Duration {
		best := time.Duration(math.MaxInt64)
		for range 5 {
			began := time.Now()
			for to := range int64(2000) {
				f(to)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	search := took(func(to int64) { s.upTo(to) })
	scan := took(func(to int64) {
		for i := range s.size {
			if s.at(s.size-1-i).step <= to {
				return
			}
		}
	})
	t.Logf("2000 searches took %v, scans %v", search, scan)
	assert.Less(t, search*5, scan)
}

func TestCheckpointsKept(t *testing.T) {
	var s sums
	for n := range int64(3 * keptSteps) {
		s.add(n+1, time.Duration(n)) // up to n: n(n-1)/2
		s.checkpoint(n + 1)
		s.checkpoint(n + 1)      // twice
		s.checkpoint(n + 5)      // not known yet
		s.checkpoint(-n)         // never
		s.checkpoint(n / 2 * 2)  // late
		s.checkpoint(n - n%2048) // often
		require.LessOrEqual(t, len(s.saved), keptCheckpoints)
	}
	newest := int64(3 * keptSteps)
	require.Len(t, s.saved, keptCheckpoints)
	require.Equal(t, newest-keptCheckpoints+1, s.saved[0].step, "the last ones")
	require.Equal(t, newest, s.saved[keptCheckpoints-1].step)
	s.checkpoint(3) // older than all that are kept
	require.Len(t, s.saved, keptCheckpoints)
	require.Equal(t, newest-keptCheckpoints+1, s.saved[0].step)

	// 4096 steps can be undone exactly, one more only nearly.
	exact := func(n int64) time.Duration { return time.Duration(n * (n - 1) / 2) }
	require.Equal(t, exact(newest-keptSteps), s.upTo(newest-keptSteps))
	require.NotEqual(t, exact(newest-keptSteps-1), s.upTo(newest-keptSteps-1))
	require.Equal(t, exact(newest)-exact(newest-keptSteps), s.rollback(newest-keptSteps))
	require.Empty(t, s.saved, "all of them were undone")
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		whole    time.Duration
		part, of uint64
		want     time.Duration
	}{
		{10, 0, 1, 0}, {10, 1, 2, 5}, {10, 1, 3, 3}, {10, 2, 3, 6}, {0, 5, 9, 0},
		{math.MaxInt64, 1, 2, math.MaxInt64 / 2},
		{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64 - 1},
		{math.MaxInt64, 1<<63 - 1, 1 << 63, math.MaxInt64 - 1},
	} {
		assert.Equal(t, c.want, share(c.whole, c.part, c.of), c)
	}
}

// A counter that was too high rests until it is right again; the others lack as
// much.
func TestCountersRest(t *testing.T) {
	var l Ledger
	l.report(states{CauseInit: 10, NumCauses: 5})
	assert.Equal(t, states{CauseInit: 10, NumCauses: 5}, l.reported)
	l.report(states{CauseInit: 4, NumCauses: 12}) // 6 of init were steps, and 1 more
	assert.Equal(t, states{CauseInit: 10, NumCauses: 6}, l.reported)
	l.report(states{CauseInit: 4, NumCauses: 20})
	assert.Equal(t, states{CauseInit: 10, NumCauses: 14}, l.reported)
	l.report(states{CauseInit: 11, NumCauses: 20})
	assert.Equal(t, states{CauseInit: 11, NumCauses: 20}, l.reported)
	l.report(states{CauseInit: 3, NumCauses: 4}) // a time before
	assert.Equal(t, states{CauseInit: 11, NumCauses: 20}, l.reported)
}
