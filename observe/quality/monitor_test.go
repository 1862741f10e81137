package quality

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/quality/drift"
	"github.com/calmops/calm/observe/quality/text"
)

func must(t testing.TB, cfg Config) *Monitor {
	t.Helper()
	m, err := New(cfg)
	require.NoError(t, err)
	return m
}

// score returns a figure of a Snapshot, NaN if it is not there.
func score(s Snapshot, task, version, metric, class string) float64 {
	for _, v := range s.Versions {
		for _, f := range v.Scores {
			if v.Task == task && v.Version == version && f.Metric == metric && f.Class == class {
				return f.Value
			}
		}
	}
	return math.NaN()
}

func findStream(s Snapshot, name string) (Stream, bool) {
	for _, x := range s.Streams {
		if x.Name == name {
			return x, true
		}
	}
	return Stream{}, false
}

// The windowed scores are those of the exact functions on the same input.
func TestMonitorScores(t *testing.T) {
	m := must(t, Config{})
	for i, y := range []string{"c", "a", "c", "c", "a", "b"} {
		m.Classified("topic", "v1", y, []string{"a", "a", "c", "c", "a", "c"}[i]) // scikit-learn's confusion_matrix docstring
	}
	for i, y := range []bool{false, true, true, false} {
		m.Scored("spam", "v1", y, []float64{.1, .9, .8, .3}[i]) // scikit-learn's brier_score_loss docstring
	}
	m.Tokens("lm", "v1", 20, 10)
	m.Tokens("lm", "v1", 270, 90)
	m.Text("mt", "v1", "The dog bit the man.", "The dog bit the man.", "The dog had bit the man.") // sacreBLEU test/test_bleu.py
	m.Text("mt", "v1", "It wasn't surprising.", "It was not unexpected.", "No one was surprised.")
	m.Text("mt", "v1", "The man had just bitten him.", "The man bit him first.", "The man had bitten the dog.")
	s := m.Snapshot()
	for _, want := range []struct {
		task, metric, class string
		value               float64
	}{
		{"topic", "kappa", "", .428571428571},
		{"topic", "accuracy", "", 4. / 6},
		{"topic", "recall", "c", 2. / 3},
		{"spam", "brier", "", .0375},
		{"spam", "auc", "", 1},
		{"lm", "perplexity", "", 18.174145369},
		{"mt", "bleu", "", 48.530827},
		{"mt", "chrf", "", 59.727518},
	} {
		assert.InDelta(t, want.value, score(s, want.task, "v1", want.metric, want.class), 1e-6, want.task+" "+want.metric)
	}
	for _, wrong := range []float64{13.737, 12.182} { // means of perplexities, and of unweighted likelihoods
		assert.Greater(t, math.Abs(score(s, "lm", "v1", "perplexity", "")-wrong), 1.0)
	}
}

func TestAnswers(t *testing.T) {
	m := must(t, Config{Scripts: []string{"Latin"}, Baseline: 2})
	first := m.Answered("bot", "v1", Answer{Text: "yes it is", OutputTokens: 4, Finish: "stop"})
	assert.True(t, math.IsNaN(first.LengthRatio), "no reference yet")
	assert.Equal(t, 1.0, first.Distinct1)
	second := m.Answered("bot", "v1", Answer{Text: "no no no no", OutputTokens: 6, Finish: "length", Feedback: FeedbackDown})
	assert.True(t, second.Truncated)
	assert.Equal(t, .25, second.Distinct1)
	assert.InDelta(t, 1./3, second.Distinct2, 1e-12)
	assert.Equal(t, 2, second.RepeatedRun)
	assert.Equal(t, 6./5, second.LengthRatio)
	third := m.Answered("bot", "v2", Answer{Text: " \n", OutputTokens: 10, Feedback: FeedbackUp})
	assert.True(t, third.Empty)
	assert.Equal(t, 2.0, third.LengthRatio)
	assert.True(t, math.IsNaN(third.Distinct1))
	assert.True(t, math.IsNaN(third.BLEU))
	fourth := m.Answered("bot", "v2", Answer{Text: "I'm sorry, but I can't help with that.", Feedback: FeedbackCorrected})
	assert.True(t, fourth.Refused)
	assert.True(t, math.IsNaN(fourth.LengthRatio), "tokens are not known")
	fifth := m.Answered("bot", "v2", Answer{Text: "привет всем", Refused: true})
	assert.True(t, fifth.ScriptMismatch)
	assert.True(t, fifth.Refused)

	s := m.Snapshot()
	for metric, want := range map[string]float64{"empty": 1. / 3, "truncated": 0, "refused": 2. / 3, "script_mismatch": 1. / 3,
		"length_ratio": 2, "feedback_up": .5, "feedback_down": 0, "feedback_corrected": .5} {
		assert.InDelta(t, want, score(s, "bot", "v2", metric, ""), 1e-12, metric)
	}
	assert.True(t, math.IsNaN(score(s, "bot", "v2", "bleu", "")), "no reference, no figure")
	assert.EqualValues(t, 3, s.Versions[1].Samples)
}

func TestAnswersWithReference(t *testing.T) {
	m := must(t, Config{})
	same := m.Answered("mt", "v1", Answer{Text: "The cat sat on the mat.", Reference: "The cat sat on the mat.", HasReference: true})
	assert.InDelta(t, 100, same.BLEU, 1e-9)
	assert.InDelta(t, 100, same.ChrF, 1e-9)
	short := m.Answered("mt", "v1", Answer{Text: "yes", Reference: "yes", HasReference: true})
	assert.InDelta(t, 100, short.BLEU, 1e-9, "a short sentence is not punished for the orders that it has not")
	none := m.Answered("mt", "v1", Answer{Text: "", Reference: "Something.", HasReference: true})
	assert.Zero(t, none.BLEU)
	assert.Positive(t, score(m.Snapshot(), "mt", "v1", "bleu", ""))
}

// A judge that sees the good answers ten times as often as the bad ones: the plain
// mean is wrong, the weighed one is not.
func TestJudgedWeighs(t *testing.T) {
	m := must(t, Config{})
	rng := rand.New(rand.NewPCG(3, 4))
	var plain, seen float64
	for range 200_000 {
		value, rate := 0.0, .02
		if rng.IntN(2) == 0 {
			value, rate = 1, .2
		}
		if rng.Float64() < rate {
			m.Judged("bot", "v1", value, rate)
			plain += value
			seen++
		}
	}
	s := m.Snapshot()
	assert.InDelta(t, .5, score(s, "bot", "v1", "judge", ""), .02)
	assert.Greater(t, plain/seen, .85, "negative control")
	assert.InDelta(t, .11, score(s, "bot", "v1", "judge_sampling_ratio", ""), .005)
}

func TestWindowMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{Window: time.Hour, Slots: 6})
		for range 10 {
			m.Classified("t", "v", "a", "b")
		}
		time.Sleep(30 * time.Minute)
		for range 10 {
			m.Classified("t", "v", "a", "a")
		}
		assert.Equal(t, .5, score(m.Snapshot(), "t", "v", "accuracy", ""))
		time.Sleep(31 * time.Minute)
		assert.Equal(t, 1.0, score(m.Snapshot(), "t", "v", "accuracy", ""))
		time.Sleep(time.Hour)
		s := m.Snapshot()
		assert.True(t, math.IsNaN(score(s, "t", "v", "accuracy", "")), "nothing lately: no figure")
		assert.EqualValues(t, 20, s.Versions[0].Samples)
	})
}

// A model that begins to fail is told, and one that does not is not.
func TestDrift(t *testing.T) {
	var found []Drift
	rng := rand.New(rand.NewPCG(1, 2))
	m := must(t, Config{OnDrift: func(d Drift) { found = append(found, d) }, PageHinkley: &drift.PageHinkley{}})
	classify := func(failing float64) {
		m.Classified("topic", "v1", "a", map[bool]string{true: "b", false: "a"}[rng.Float64() < failing])
	}
	answer := func(failing float64) Answer {
		if rng.Float64() < failing {
			return Answer{Text: "", OutputTokens: 1}
		}
		return Answer{Text: "a good answer to your question", OutputTokens: 80 + rng.IntN(40)}
	}
	for range 3000 {
		m.Answered("bot", "v1", answer(.02))
		classify(.02)
	}
	for _, d := range found {
		assert.True(t, d.Warning, "false drift: %+v", d)
	}
	found = nil
	for range 3000 {
		m.Answered("bot", "v1", answer(.4))
		classify(.2)
	}
	told := map[string]bool{}
	for _, d := range found {
		if !d.Warning {
			told[d.Task+" "+d.Detector] = true
		}
	}
	assert.True(t, told["bot/empty adwin"], told)
	assert.True(t, told["bot/output_tokens adwin"], told)
	assert.True(t, told["topic/error ddm"], told)
	assert.True(t, told["topic/error adwin"], told)
	x, ok := findStream(m.Snapshot(), "bot/empty")
	require.True(t, ok)
	var total int64
	for _, d := range x.Drifts {
		total += d.N
	}
	assert.Positive(t, total)
}

func TestReferenceDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(t, Config{Window: time.Hour})
		rng := rand.New(rand.NewPCG(1, 2))
		sample := make([]float64, 5000)
		for i := range sample {
			sample[i] = rng.NormFloat64()
		}
		require.NoError(t, m.Reference("embedding", sample))
		x, _ := findStream(m.Snapshot(), "embedding")
		assert.False(t, x.Compared, "no values yet")
		for range 2000 {
			m.Value("embedding", rng.NormFloat64())
		}
		x, _ = findStream(m.Snapshot(), "embedding")
		assert.True(t, x.Compared)
		assert.Less(t, x.PSI, .1)
		for range 2000 {
			m.Value("embedding", 2+rng.NormFloat64())
		}
		x, _ = findStream(m.Snapshot(), "embedding")
		assert.Greater(t, x.PSI, .25)
		assert.Greater(t, x.KS, .5)
		time.Sleep(2 * time.Hour)
		x, _ = findStream(m.Snapshot(), "embedding")
		assert.False(t, x.Compared, "the values are old")

		require.Error(t, m.Reference("embedding", []float64{1, math.NaN()}))
		require.NoError(t, m.Reference("bot/output_tokens", []float64{10, 10, 10, 10, 10, 10, 10, 10, 30, 30}))
		got := m.Answered("bot", "v", Answer{Text: "x", OutputTokens: 28})
		assert.InDelta(t, 2, got.LengthRatio, 1e-12)
		x, ok := findStream(m.Snapshot(), "bot/output_tokens")
		assert.True(t, ok && x.Compared)
	})
}

func TestBounds(t *testing.T) {
	m := must(t, Config{MaxTasks: 3, MaxVersions: 2, MaxLabels: 4, MaxText: 100})
	for i := range 500 {
		task, version := fmt.Sprint("task", i), fmt.Sprint("v", i)
		m.Classified(task, version, fmt.Sprint("class", i), "x")
		m.Value(task, float64(i))
		m.Answered("task1", version, Answer{Text: strings.Repeat("é", 1000), OutputTokens: i})
	}
	s := m.Snapshot()
	tasks := map[string]int{}
	classes := map[string]bool{}
	for _, v := range s.Versions {
		tasks[v.Task]++
		for _, f := range v.Scores {
			classes[f.Class] = true
		}
	}
	assert.LessOrEqual(t, len(tasks), 4)
	for task, n := range tasks {
		assert.LessOrEqual(t, n, 3, task)
	}
	assert.LessOrEqual(t, len(classes), 1+4*5)
	assert.LessOrEqual(t, len(s.Streams), 4*(1+len(streamMetrics)))
}

func TestRefused(t *testing.T) {
	m := must(t, Config{})
	nan, inf := math.NaN(), math.Inf(1)
	m.Scored("t", "v", true, nan)
	m.Scored("t", "v", true, 1.5)
	m.Tokens("t", "v", inf, 1)
	m.Tokens("t", "v", 1, 0)
	m.Tokens("t", "v", -1, 1)
	m.Value("t", nan)
	m.Judged("t", "v", nan, 1)
	m.Judged("t", "v", 1, 0)
	m.Judged("t", "v", 1, 2)
	m.Text("t", "v", "no reference")
	s := m.Snapshot()
	var n int64
	for _, r := range s.Refused {
		n += r.N
	}
	assert.EqualValues(t, 9, n)
	for _, v := range s.Versions {
		assert.Zero(t, v.Samples)
	}
}

func TestMonitorFaults(t *testing.T) {
	_, err := New(Config{MaxTasks: -1, MaxVersions: 1000, MaxLabels: -1, Window: -1, Slots: 1000, MaxText: 1 << 30, Baseline: -1,
		Scripts: []string{"Klingon"}, BLEU: text.BLEUConfig{Tokenizer: "zh"}, ChrF: text.ChrFConfig{CharOrder: -1}})
	require.Error(t, err)
	for _, field := range []string{"MaxTasks", "MaxVersions", "MaxLabels", "Window", "Slots", "MaxText", "Baseline", "Klingon", "BLEU", "ChrF"} {
		assert.ErrorContains(t, err, field)
	}
}

func TestNilMonitor(t *testing.T) {
	var m *Monitor
	m.Classified("", "", "", "")
	m.Scored("", "", true, 1)
	m.Tokens("", "", 1, 1)
	m.Text("", "", "", "")
	m.Value("", 1)
	assert.Zero(t, m.Answered("", "", Answer{}))
	m.Judged("", "", 1, 1)
	assert.NoError(t, m.Reference("", nil))
	assert.Empty(t, m.Snapshot().Versions)
}

func TestMonitorConcurrent(t *testing.T) {
	var m *Monitor
	m = must(t, Config{OnDrift: func(Drift) { _ = m.Snapshot(); panic("user") }})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 1500 {
				m.Answered("bot", "v", Answer{Text: "a b c", OutputTokens: 1 + i/300*100, HasReference: true, Reference: "a b d"})
				m.Classified("c", "v", "x", string(rune('x'+rng.IntN(2))))
				if i%100 == 0 {
					_ = m.Snapshot()
				}
			}
		})
	}
	all.Wait()
	s := m.Snapshot()
	assert.EqualValues(t, 6000, s.Versions[0].Samples)
	assert.Positive(t, s.Panics)
}
