package training

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ledgerStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ledgerModel is the account kept in the plainest way: the time of each step by
// its number.
type ledgerModel struct {
	cursor        time.Time
	phase         Phase
	recovering    bool
	badput        [NumCauses]time.Duration
	pending       time.Duration
	steps         map[int64]time.Duration
	newest        int64
	rollbacks     int64
	interruptions int64
	backwards     int64
}

func newLedgerModel(start time.Time) *ledgerModel {
	return &ledgerModel{cursor: start, steps: map[int64]time.Duration{}}
}

// since moves the cursor and returns by how much.
func (m *ledgerModel) since(at time.Time) time.Duration {
	if at.Before(m.cursor) {
		m.backwards++
		return 0
	}
	d := at.Sub(m.cursor)
	m.cursor = at
	return d
}

// to books time to the phase.
func (m *ledgerModel) to(d time.Duration) {
	switch {
	case m.recovering:
		m.badput[CauseRecovery] += d
	case m.phase == PhaseStep:
		m.pending += d
	default:
		m.badput[map[Phase]Cause{PhaseInit: CauseInit, PhaseCheckpointSave: CauseCheckpointSave, PhaseCheckpointRestore: CauseCheckpointRestore,
			PhaseEval: CauseEval, PhaseCustom: CauseCustom, PhaseIdle: CauseIdle}[m.phase]] += d
	}
}

func (m *ledgerModel) waste(to int64) {
	m.badput[CauseWasted] += m.pending
	m.pending = 0
	to = max(to, 0)
	for n, d := range m.steps {
		if n > to {
			m.badput[CauseWasted] += d
			delete(m.steps, n)
		}
	}
	m.newest = min(m.newest, to)
}

func (m *ledgerModel) play(e ledgerEvent) {
	if e.kind == "step" && m.recovering {
		began := e.at.Add(-e.took)
		if began.Before(m.cursor) {
			began = m.cursor
		}
		m.play(ledgerEvent{kind: "resume", n: e.n, at: began})
	}
	d := m.since(e.at)
	if e.kind == "step" && m.phase != PhaseStep {
		part := min(d, e.took)
		m.to(d - part)
		m.pending += part
	} else {
		m.to(d)
	}
	switch e.kind {
	case "enter":
		m.phase = e.phase
	case "step":
		m.phase = PhaseStep
		wait := min(e.wait, m.pending)
		m.badput[CauseDataWait] += wait
		m.newest = max(m.newest, e.n)
		m.steps[m.newest] += m.pending - wait
		m.pending = 0
	case "rollback":
		m.rollbacks++
		m.waste(e.n)
	case "interrupt":
		if m.recovering {
			return
		}
		m.badput[CauseWasted] += m.pending
		m.pending, m.recovering, m.phase = 0, true, PhaseInit
	case "resume":
		if m.recovering {
			m.interruptions++
		}
		m.waste(max(e.n, 1) - 1)
		m.recovering, m.phase = false, PhaseInit
	}
}

// goodput returns the account at an instant, without what only a Ledger knows.
func (m *ledgerModel) goodput(at time.Time) Goodput {
	now := *m
	now.to(now.since(at))
	g := Goodput{Badput: now.badput, MaxProductiveStep: now.newest, Rollbacks: now.rollbacks, Interruptions: now.interruptions}
	g.Productive = now.pending
	for _, d := range now.steps {
		g.Productive += d
	}
	g.Elapsed = now.cursor.Sub(ledgerStart)
	if g.Elapsed > 0 {
		g.Ratio = float64(g.Productive) / float64(g.Elapsed)
	}
	if g.Interruptions > 0 {
		g.MTBF = g.Elapsed / time.Duration(g.Interruptions)
	}
	return g
}

// ledgerEvent is one call of a Ledger.
type ledgerEvent struct {
	kind       string
	at         time.Time
	n          int64
	phase      Phase
	took, wait time.Duration
	cause      InterruptionCause
}

func (e ledgerEvent) play(l *Ledger) {
	switch e.kind {
	case "enter":
		l.Enter(e.phase, e.at)
	case "step":
		l.Step(e.n, e.took, e.wait, e.at)
	case "checkpoint":
		l.Checkpointed(e.n, e.at)
	case "rollback":
		l.RolledBack(e.n, e.at)
	case "interrupt":
		l.Interrupted(e.at, e.cause)
	case "resume":
		l.Resumed(e.n, e.at)
	}
}

// ledgerScript returns random events; some of them go back in time, and some have
// numbers of steps that make no sense.
func ledgerScript(r *rand.Rand, length int) []ledgerEvent {
	kinds := []string{"step", "step", "step", "step", "step", "step", "enter", "enter", "enter", "checkpoint", "rollback", "interrupt", "resume"}
	var script []ledgerEvent
	now, n := ledgerStart, r.Int64N(2)*r.Int64N(2000)
	for range length {
		e := ledgerEvent{kind: kinds[r.IntN(len(kinds))], phase: Phase(r.IntN(int(numPhases))), cause: InterruptionCause(r.IntN(int(NumInterruptionCauses)))}
		now = now.Add(time.Duration(r.Int64N(1 << r.IntN(42))))
		e.at = now
		if r.IntN(8) == 0 {
			e.at = now.Add(-time.Duration(r.Int64N(1 << r.IntN(42))))
		}
		e.took, e.wait = time.Duration(r.Int64N(1<<r.IntN(40))), time.Duration(r.Int64N(2)*r.Int64N(1<<r.IntN(40)))
		switch e.kind {
		case "step":
			n++
			if r.IntN(10) == 0 {
				n += r.Int64N(5)
			}
		case "rollback", "resume":
			n = max(n-r.Int64N(1<<r.IntN(6)), 0)
		}
		e.n = n
		if r.IntN(10) == 0 {
			e.n += r.Int64N(20) - 10
		}
		script = append(script, e)
	}
	return script
}

func ledgerRoundTrip(t *testing.T, l *Ledger) *Ledger {
	b, err := json.Marshal(l)
	require.NoError(t, err)
	var copied Ledger
	require.NoError(t, json.Unmarshal(b, &copied), string(b))
	return &copied
}

// ledgerRestart is NewLedger with the memory of another.
func ledgerRestart(l *Ledger, start time.Time) {
	*l = Ledger{cursor: start, sums: sums{ring: l.sums.ring, saved: l.sums.saved[:0]}, took: stepTimes{ring: l.took.ring[:0]}}
}

// total returns what the counters of time add up to.
func (t LedgerTotals) total() time.Duration {
	sum := t.Step
	for _, d := range t.Spent {
		sum += d
	}
	return sum
}

// fell reports whether a counter is below what it was.
func (t LedgerTotals) fell(before LedgerTotals) bool {
	fell := t.Step < before.Step || t.LostToRollback < before.LostToRollback ||
		t.LostToInterruption < before.LostToInterruption || t.ClockBackwards < before.ClockBackwards
	for c, d := range t.Spent {
		fell = fell || d < before.Spent[c]
	}
	for c, n := range t.Interruptions {
		fell = fell || n < before.Interruptions[c]
	}
	return fell
}

// Over random scripts, a Ledger is the model; its parts add up to the time elapsed
// at any instant; its counters never fall, however often they are read; and neither
// that nor a restart changes the account.
func TestLedgerAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 28))
	scripts := 10_000
	if testing.Short() {
		scripts = 1000
	}
	held, fallen := 0, 0
	quiet, noisy := new(Ledger), new(Ledger)
	for range scripts {
		script := ledgerScript(r, 1+r.IntN(30))
		model := newLedgerModel(ledgerStart)
		ledgerRestart(quiet, ledgerStart)
		ledgerRestart(noisy, ledgerStart)
		var counters LedgerTotals
		var truth states
		latest := time.Duration(0)
		for i, e := range script {
			model.play(e)
			e.play(quiet)
			e.play(noisy)
			if quiet.Phase() != model.phase || quiet.Recovering() != model.recovering || quiet.clockBackwards != model.backwards {
				t.Fatalf("want %+v\nafter event %d of %+v", model, i, script)
			}

			at := e.at.Add(time.Duration(r.Int64N(1<<r.IntN(42))) - time.Duration(r.Int64N(1<<r.IntN(38))))
			g, want := quiet.Goodput(at), model.goodput(at)
			sum := g.Productive
			for _, d := range g.Badput {
				if d < 0 {
					t.Fatalf("%+v", g)
				}
				sum += d
			}
			if sum != g.Elapsed {
				t.Fatalf("the parts make %v of %v", sum, g.Elapsed)
			}
			want.IdealStep, want.StepDeviation = g.IdealStep, g.StepDeviation
			if g != want {
				t.Fatalf("got %+v\nwant %+v\nafter event %d of %+v", g, want, i, script)
			}
			if other := noisy.Goodput(at); other != g {
				t.Fatalf("reading or restarting changed %+v\ninto %+v", g, other)
			}

			if r.IntN(3) == 0 {
				totals := noisy.Totals(at)
				latest = max(latest, g.Elapsed)
				if totals.fell(counters) || totals.total() != latest {
					t.Fatalf("%+v\n%+v\n%v", counters, totals, latest)
				}
				if totals.Step != g.Productive+totals.LostToRollback+totals.LostToInterruption {
					held++
				}
				now := *noisy
				now.book(at)
				for s, d := range now.states() {
					if d < truth[s] {
						fallen++
					}
				}
				counters, truth = totals, now.states()
			}
			if r.IntN(100) == 0 {
				noisy = ledgerRoundTrip(t, noisy)
			}
			if r.IntN(100) == 0 {
				noisy = noisy.clone()
			}
		}
		// Goodput by the counters, where none rests.
		g, totals := quiet.Goodput(quiet.cursor), quiet.Totals(quiet.cursor)
		if g.Elapsed > 0 {
			require.Equal(t, g.Ratio, float64(totals.Step-totals.LostToRollback-totals.LostToInterruption)/float64(totals.total()))
		}
	}
	require.NotZero(t, held, "no counter ever rested")
	require.NotZero(t, fallen, "the truth never fell: there was nothing to hold")
}

// The sums of a long run are the model's for the last 4096 steps and for
// checkpoints, and between the neighbours that are kept for the others.
func TestSumsAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 29))
	for range 60 {
		var s sums
		steps := map[int64]time.Duration{} // up to each step
		var saved []int64
		total, last := time.Duration(0), r.Int64N(100)
		for range 1 + r.IntN(3*keptSteps) {
			n := last + 1
			took := time.Duration(r.Int64N(1e9))
			s.add(n, took)
			total += took
			steps[n] = total
			last = n
			if r.IntN(200) == 0 {
				s.checkpoint(n)
				saved = append(saved, n)
			}
		}
		for range 100 {
			to := r.Int64N(last + 10)
			got := s.upTo(to)
			switch exact, known := steps[to]; {
			case to >= last:
				require.Equal(t, total, got)
			case !known: // before the first
				require.Zero(t, got)
			case to >= last-keptSteps || slices.Contains(saved, to):
				require.Equal(t, exact, got)
			default:
				i, _ := slices.BinarySearch(saved, to)
				low, high := steps[last-min(last, keptSteps)], time.Duration(0)
				if i < len(saved) {
					low = min(low, steps[saved[i]])
				}
				if i > 0 {
					high = steps[saved[i-1]]
				}
				require.LessOrEqual(t, high, got)
				require.GreaterOrEqual(t, low, got)
			}
		}
		// One rollback, wherever to, and the rest goes on from there.
		to := r.Int64N(last)
		kept := s.upTo(to)
		require.Equal(t, total-kept, s.rollback(to))
		require.Equal(t, sum{to, kept}, s.newest())
		s.add(to+1, 5)
		require.Equal(t, sum{to + 1, kept + 5}, s.newest())
		require.Equal(t, time.Duration(5), s.rollback(to), "what was added, exactly")
	}
}
