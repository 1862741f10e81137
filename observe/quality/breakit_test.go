package quality

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/quality/drift"
)

// said is one call of a Monitor, as a recount needs it.
type said struct {
	at   time.Time
	kind int
	a, b float64
	hit  bool
}

// recountOf keeps every call, by the place that the first names to come get.
type recountOf map[string]map[string][]said

func (r recountOf) add(task, version string, most int, c said) {
	if r[task] == nil {
		if len(r) >= most {
			task = other
		}
		if r[task] == nil {
			r[task] = map[string][]said{}
		}
	}
	if r[task][version] == nil && len(r[task]) >= most {
		version = other
	}
	r[task][version] = append(r[task][version], c)
}

// The figures of a window are those of what was recorded in its slots, whatever the
// times and the order of calls and of reads.
func TestWindowsAgainstRecount(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) { windowsOf(t, rand.New(rand.NewPCG(seed, 9))) })
	}
}

func windowsOf(t *testing.T, rng *rand.Rand) {
	const most = 2
	slots := 1 + rng.IntN(6)
	window := time.Duration(1+rng.IntN(60)) * time.Minute
	m := must(t, Config{Window: window, Slots: slots, MaxTasks: most, MaxVersions: most})
	calls := recountOf{}
	for range 400 {
		if rng.IntN(3) > 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(window) / 20)))
		}
		if rng.IntN(50) == 0 {
			time.Sleep(window * time.Duration(rng.IntN(3)))
		}
		task, version := fmt.Sprint("t", rng.IntN(4)), fmt.Sprint("v", rng.IntN(4))
		c := said{at: time.Now(), kind: rng.IntN(5), a: rng.Float64(), b: .01 + .99*rng.Float64(), hit: rng.IntN(2) == 0}
		switch c.kind {
		case 0:
			m.Classified(task, version, "x", map[bool]string{true: "x", false: "y"}[c.hit])
		case 1:
			m.Scored(task, version, c.hit, c.a)
		case 2:
			m.Tokens(task, version, c.a*10, 7)
		case 3:
			m.Judged(task, version, c.a, c.b)
		case 4:
			m.Answered(task, version, Answer{Text: map[bool]string{true: " ", false: "a a"}[c.hit]})
		}
		calls.add(task, version, most, c)
		if rng.IntN(10) == 0 {
			compareWindows(t, m.Snapshot(), calls, window/time.Duration(slots), slots)
		}
	}
	compareWindows(t, m.Snapshot(), calls, window/time.Duration(slots), slots)
}

func compareWindows(t *testing.T, s Snapshot, calls recountOf, every time.Duration, slots int) {
	t.Helper()
	n := 0
	for task, versions := range calls {
		for version, all := range versions {
			n++
			period := func(at time.Time) int64 { return int64(at.Sub(all[0].at) / every) }
			var sum, weight [5]float64
			for _, c := range all {
				if period(c.at) <= period(time.Now())-int64(slots) {
					continue
				}
				hit := flag(c.hit)
				value := [5]float64{hit, (c.a - hit) * (c.a - hit), c.a * 10, c.a / c.b, hit}[c.kind]
				sum[c.kind] += value
				weight[c.kind] += [5]float64{1, 1, 7, 1 / c.b, 1}[c.kind]
			}
			for kind, metric := range []string{"accuracy", "brier", "perplexity", "judge", "empty"} {
				want := sum[kind] / weight[kind] // NaN where there is nothing
				if kind == 2 {
					want = math.Exp(want)
				}
				got := score(s, task, version, metric, "")
				if math.IsNaN(want) {
					require.True(t, math.IsNaN(got), "%s %s: %s is %v", task, version, metric, got)
				} else {
					require.InDelta(t, want, got, 1e-9*want+1e-12, "%s %s: %s", task, version, metric)
				}
			}
			for _, v := range s.Versions {
				if v.Task == task && v.Version == version {
					require.EqualValues(t, len(all), v.Samples)
				}
			}
		}
	}
	require.Len(t, s.Versions, n)
}

// hostile are texts and names that somebody may send.
func hostile() []string {
	return []string{"", " ", "\x00", "\xff", "\xfe", "a\xc3", "\u202eright to left\u202c", "שלום עולם", "🙂🙃👩‍👩‍👧‍👦", "a\u0301\u0301\u0301",
		strings.Repeat("x", 1<<20), strings.Repeat("x ", 1<<19), strings.Repeat("\xff\xfe", 1<<19), strings.Repeat("é", 1<<19),
		"\n\r\t\"\\{}", "other", "other/error", "a/error", "a/", "/", "//", "\ufffd", "NaN"}
}

// Whatever the names and the texts: no call fails, nothing that is exported is
// endless, not text, or not a number, and no two series are the same.
func TestHostileTexts(t *testing.T) {
	m := must(t, Config{MaxTasks: 20, MaxVersions: 20, Scripts: []string{"Latin"}, MaxText: 1 << 10})
	for i, a := range hostile() {
		out := m.Answered(a, a, Answer{Text: a, Reference: a, HasReference: true, OutputTokens: i, Finish: a, Feedback: Feedback(i)})
		for _, v := range []float64{out.LengthRatio, out.Distinct1, out.Distinct2, out.BLEU, out.ChrF} {
			assert.False(t, math.IsInf(v, 0), "%.20q: %+v", a, out)
		}
		for _, b := range hostile() {
			m.Text("text", "", a, b, b)
			m.Classified("labels", "", a, b)
		}
		m.Text(a, a, a)
		m.Text(a, a, a, a)
		m.Scored(a, a, true, .5)
		m.Value(a, 1)
		_ = m.Reference(a, make([]float64, 20))
	}
	checkSnapshot(t, m, 21, 21)
}

func checkSnapshot(t *testing.T, m *Monitor, tasks, versions int) {
	t.Helper()
	s := m.Snapshot()
	names := map[string]bool{}
	for _, v := range s.Versions {
		names[v.Task] = true
	}
	assert.LessOrEqual(t, len(names), tasks)
	assert.LessOrEqual(t, len(s.Versions), tasks*versions)
	assert.LessOrEqual(t, len(s.Streams), tasks*(len(streamMetrics)+1))
	for _, row := range Metrics() {
		seen := map[string]bool{}
		row.Values(&s, func(v float64, labels ...string) {
			key := strings.Join(labels, "\xff")
			assert.False(t, seen[key], "%s: %.100q twice", row.Prometheus, labels)
			seen[key] = true
			assert.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s %.100q: %v", row.Prometheus, labels, v)
			for _, l := range labels {
				assert.True(t, utf8.ValidString(l), "%s: %.100q", row.Prometheus, l)
				assert.LessOrEqual(t, len(l), labelBytes+len("/script_mismatch"), row.Prometheus)
			}
		})
	}
}

// Figures that cannot be are counted, those that can are not, at both ends.
func TestHostileFigures(t *testing.T) {
	m := must(t, Config{PageHinkley: &drift.PageHinkley{}})
	figures := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, -0., 1, math.Nextafter(1, 2), 5e-324, 1e-9, 1e300, math.MaxFloat64, -math.MaxFloat64}
	for round := range 3 {
		for _, x := range figures {
			m.Scored("a", "", true, x)
			m.Value("a", x)
			m.Judged("a", "", x, 1)
			m.Judged("a", "", 1, x)
			m.Judged("a", "", x, x)
			for _, n := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
				m.Tokens("a", "", x, n)
			}
			m.Answered("a", "", Answer{OutputTokens: [...]int{math.MinInt, -1, math.MaxInt}[round]})
		}
	}
	checkSnapshot(t, m, 1, 1)
	s := m.Snapshot()
	require.Len(t, s.Refused, 2)
	var refused int64
	for _, r := range s.Refused {
		refused += r.N
	}
	assert.EqualValues(t, 3*len(figures)*(5+5+1), refused+s.Versions[0].Samples, "each call is counted, or refused")
}

// A judge's rate may change: the mean stands for all answers, not for those seen.
func TestJudgeRates(t *testing.T) {
	m := must(t, Config{})
	for range 10 {
		m.Judged("a", "", 1, .1) // of 100 good answers
	}
	for range 100 {
		m.Judged("a", "", 0, 1) // of 100 bad ones
	}
	s := m.Snapshot()
	assert.InDelta(t, .5, score(s, "a", "", "judge", ""), 1e-12)
	assert.InDelta(t, 110./200, score(s, "a", "", "judge_sampling_ratio", ""), 1e-12)
	m.Judged("a", "", 1, 0)
	m.Judged("a", "", 1, 1.5)
	assert.InDelta(t, .5, score(m.Snapshot(), "a", "", "judge", ""), 1e-12)
}

// References: what cannot be one is refused and changes nothing; a window without
// values compares nothing; names that are tasks and look like streams stay tasks.
func TestReferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{Window: time.Hour, MaxTasks: 2, Baseline: 5})
		flat := make([]float64, 100)
		for i := range flat {
			flat[i] = float64(i + 1)
		}
		require.NoError(t, m.Reference("a", flat))
		m.Value("a", 50)
		for _, bad := range [][]float64{nil, flat[:9], append([]float64{math.NaN()}, flat...), append([]float64{math.Inf(1)}, flat...),
			append(make([]float64, 5000), math.Inf(-1))} {
			require.Error(t, m.Reference("a", bad))
			require.Error(t, m.Reference("a/output_tokens", bad))
		}
		for _, bad := range [][]float64{make([]float64, 20), {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}, repeated(math.MaxFloat64, 20)} {
			require.Error(t, m.Reference("a/output_tokens", bad), "no length is so many times that")
		}
		out := m.Answered("a", "", Answer{OutputTokens: 3})
		assert.True(t, math.IsNaN(out.LengthRatio), "no reference was accepted")
		s, _ := findStream(m.Snapshot(), "a")
		require.True(t, s.Compared)
		assert.EqualValues(t, 1, s.RecentSamples)
		time.Sleep(time.Hour + time.Second)
		s, _ = findStream(m.Snapshot(), "a")
		assert.False(t, s.Compared, "its values are of long ago")
		for range 5000 {
			m.Value("a", 100)
		}
		s, _ = findStream(m.Snapshot(), "a")
		assert.EqualValues(t, recentValues, s.RecentSamples)
		assert.InDelta(t, .99, s.KS, 1e-12)

		require.NoError(t, m.Reference("a/output_tokens", repeated(10, 20)))
		assert.Equal(t, 2.0, m.Answered("a", "", Answer{OutputTokens: 20}).LengthRatio)

		// "a/error" is a task here, the second; "a" is one too.
		m.Value("a/error", 7)
		m.Value("b", 1) // beyond the bound
		require.NoError(t, m.Reference("a/error", flat))
		m.Value("a/error", 7)
		s, _ = findStream(m.Snapshot(), "a/error")
		assert.True(t, s.Compared)
	})
	// Where the task in front of the slash is beyond the bound, the task of the whole
	// name is meant.
	m := must(t, Config{MaxTasks: 1})
	m.Value("x/error", 1)
	require.NoError(t, m.Reference("x/error", repeated(1, 10)))
	m.Value("x/error", 1)
	s, _ := findStream(m.Snapshot(), "x/error")
	assert.True(t, s.Compared)
}

func repeated(x float64, n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = x
	}
	return all
}

// A callback may call anything, and panic, on many goroutines; counters never fall.
func TestMonitorAtOnce(t *testing.T) {
	var m *Monitor
	var told atomic.Int64
	m = must(t, Config{ADWIN: drift.ADWIN{Delta: .99}, OnDrift: func(d Drift) {
		_ = m.Snapshot()
		m.Value("told", 1)
		if told.Add(1)%2 == 0 {
			panic("user")
		}
	}})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			task := fmt.Sprint(g)
			var before Snapshot
			for i := range 400 {
				m.Classified(task, "", "x", [...]string{"x", "y"}[i/50%2])
				m.Answered(task, "", Answer{Text: strings.Repeat("a b ", 1+i/100*20), OutputTokens: 1 + i})
				m.Value("same", float64(i/64%2))
				if i%40 == 0 {
					s := m.Snapshot()
					if s.Panics < before.Panics {
						t.Error("panics fell")
					}
					before = s
				}
			}
		})
	}
	all.Wait()
	s := m.Snapshot()
	assert.Positive(t, told.Load())
	assert.Equal(t, told.Load()/2, s.Panics)
	var drifts int64
	for _, x := range s.Streams {
		for _, d := range x.Drifts {
			drifts += d.N
		}
	}
	assert.LessOrEqual(t, drifts, told.Load())
}

// While a Snapshot of much is taken, recording goes on.
func TestRecordingDuringSnapshot(t *testing.T) {
	m := must(t, Config{})
	for task := range 60 {
		for class := range 256 {
			m.Classified(fmt.Sprint(task), "", fmt.Sprint(class), "0")
		}
	}
	var reading atomic.Bool
	var done sync.WaitGroup
	reading.Store(true)
	done.Go(func() { _ = m.Snapshot(); reading.Store(false) })
	recorded := 0
	for reading.Load() {
		m.Value("59", 1)
		recorded++
		time.Sleep(time.Microsecond)
	}
	done.Wait()
	assert.Greater(t, recorded, 5, "with one lock over all it would be 2 or 3")
}
