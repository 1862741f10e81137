package observelive

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/calmops/calm/observe/training"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// exported is every metric that serving, training, quality, cost and resources have, by name.
func exported() map[string]observe.Metric {
	out := make(map[string]observe.Metric)
	for _, m := range observe.Metrics() {
		out[m.Prometheus] = m
	}
	for _, r := range training.Metrics() {
		out[r.Prometheus] = r.Metric
	}
	for _, r := range quality.Metrics() {
		out[r.Prometheus] = r.Metric
	}
	for _, r := range cost.Metrics() {
		out[r.Prometheus] = r.Metric
	}
	for _, r := range resource.Metrics() {
		out[r.Prometheus] = r.Metric
	}
	return out
}

// A panel asks for names and labels that exist, or it would stay away for ever.
func TestPanelsAskForWhatIsExported(t *testing.T) {
	all := exported()
	asked := 0
	for _, p := range knownPanels {
		for _, s := range p.sources {
			if !strings.HasPrefix(s.metric, "llm_") && !strings.HasPrefix(s.metric, "gen_ai_") && !strings.HasPrefix(s.metric, "cgroup_") || strings.HasPrefix(s.metric, "llm_scheduler_") {
				continue
			}
			m, ok := all[s.metric]
			require.True(t, ok, "%s: %s", p.title, s.metric)
			asked++
			for _, name := range append(slices.Clone(s.by), s.label, p.unitLabel) {
				require.True(t, name == "" || slices.Contains(m.Labels, name), "%s: %s has no label %q", p.title, s.metric, name)
			}
			for _, name := range []string{s.less, s.over} {
				require.True(t, name == "" || all[name].Prometheus != "", "%s: %s", p.title, name)
			}
			if s.window != 0 || s.times != 0 || s.less != "" || s.over != "" {
				require.Equal(t, observe.KindCounter, m.Kind, "%s: %s", p.title, s.metric)
			}
			if s.less != "" {
				require.Equal(t, observe.KindCounter, all[s.less].Kind, p.title)
			}
			if strings.HasPrefix(p.head, "=") {
				require.NotEmpty(t, s.by, p.title)
			}
		}
	}
	require.Greater(t, asked, 20)
}

func titled(t *testing.T, doc layoutDoc, title string) layoutPanel {
	t.Helper()
	i := slices.IndexFunc(doc.Panels, func(p layoutPanel) bool { return p.Title == title })
	require.GreaterOrEqual(t, i, 0, title)
	return doc.Panels[i]
}

// newest is the newest point of the curve with an id.
func (b *bench) newest(id int) float64 {
	for _, f := range b.table.order {
		for _, v := range f.views {
			for _, g := range v.order {
				for _, tr := range g.tracks {
					if tr.id == id {
						return float64(tr.fine.at(b.table.fine.pos()))
					}
				}
			}
		}
	}
	b.t.Fatalf("no curve %d", id)
	return 0
}

// Goodput over five minutes is what steps took less what was undone, over all time booked; the
// states are shares of the time of a minute. Time is booked in lumps, as the ledger is saved.
func TestGoodputFromCounters(t *testing.T) {
	b := newBench(t, nil)
	var step, save, lost float64
	states := func() []*dto.MetricFamily {
		return []*dto.MetricFamily{
			// the counter taken off stands before and after the one that is divided
			fam("llm_train_lost_seconds_total", dto.MetricType_COUNTER, count(lost, "run", "r", "rank", "0", "cause", "rollback")),
			fam("llm_train_time_seconds_total", dto.MetricType_COUNTER,
				count(step, "run", "r", "rank", "0", "state", "step"), count(save, "run", "r", "rank", "0", "state", "checkpoint_save")),
		}
	}
	b.step(states()...)
	doc := b.table.layoutOf()
	goodput, shares := titled(t, doc, "Goodput, 5 min"), titled(t, doc, "Where the time goes")
	require.Len(t, goodput.Series, 1)
	require.Equal(t, "ratio", goodput.Unit)
	require.Len(t, doc.Panels, 2, "what is taken off has no chart of its own")
	require.Equal(t, []string{"step", "checkpoint_save"}, []string{shares.Series[0].Name, shares.Series[1].Name})
	for k := range 300 { // ten minutes
		if k%5 == 4 { // ten seconds are booked
			step += 8
			save += 2
		}
		if k == 200 {
			lost += 40
		}
		b.step(states()...)
		if k < 5 {
			continue
		}
		require.InDelta(t, .8, b.newest(shares.Series[0].ID), 1e-6, k)
		require.InDelta(t, .2, b.newest(shares.Series[1].ID), 1e-6, k)
		switch {
		case k < 200:
			require.InDelta(t, .8, b.newest(goodput.Series[0].ID), 1e-6, k)
		case k < 300:
			require.InDelta(t, .8-40./300, b.newest(goodput.Series[0].ID), .02, k)
		}
	}
	for range 150 { // five minutes on, what was undone has left the window
		step += 8. / 5
		save += 2. / 5
		b.step(states()...)
	}
	b.step(states()...)
	require.InDelta(t, .8, b.newest(goodput.Series[0].ID), .01)
}

// A state that is first seen late does not divide by what was booked before it.
func TestShareOfALateState(t *testing.T) {
	b := newBench(t, nil)
	name := "llm_train_time_seconds_total"
	for k := range 100 {
		b.step(fam(name, dto.MetricType_COUNTER, count(float64(2*k), "state", "step")))
	}
	for k := range 3 {
		b.step(fam(name, dto.MetricType_COUNTER, count(float64(200+k), "state", "step"), count(float64(k), "state", "eval")))
	}
	shares := titled(t, b.table.layoutOf(), "Where the time goes")
	require.InDelta(t, .5, b.newest(shares.Series[1].ID), .01)
}

// MFU spans a minute: steps last for seconds, and their FLOPs come at their end.
func TestMFUOfLongSteps(t *testing.T) {
	b := newBench(t, nil)
	var flops float64
	for k := range 120 {
		if k%4 == 3 { // a step of eight seconds
			flops += 8 * 400
		}
		b.step(fam("llm_train_model_flops_total", dto.MetricType_COUNTER, count(flops)), fam("llm_train_peak_flops", dto.MetricType_GAUGE, level(1000)))
		if k > 40 {
			require.InDelta(t, .4, b.point("llm_train_model_flops_total", ""), .4*8/60, k)
		}
	}
	b.step(fam("llm_train_model_flops_total", dto.MetricType_COUNTER, count(flops)))
	b.gap("llm_train_model_flops_total", "")
}

// Cost is shown per hour, in the currency of its label.
func TestCostPerHour(t *testing.T) {
	b := newBench(t, nil)
	at := func(k float64) {
		b.step(fam("llm_cost_total", dto.MetricType_COUNTER, count(2*k/1800, "kind", "busy", "currency", "EUR"), count(k/1800, "kind", "idle", "currency", "EUR")))
	}
	for k := range 10 {
		at(float64(k))
	}
	p := titled(t, b.table.layoutOf(), "Cost per hour")
	require.Equal(t, "Cost", p.Group)
	require.Equal(t, "EUR/h", p.Unit)
	require.Equal(t, []string{"busy", "idle"}, []string{p.Series[0].Name, p.Series[1].Name})
	require.InDelta(t, 2, b.newest(p.Series[0].ID), 1e-5)
	require.InDelta(t, 1, b.newest(p.Series[1].ID), 1e-5)
	b.step(fam("llm_cost_total", dto.MetricType_COUNTER, count(1, "kind", "busy", "currency", "EUR"), count(1, "kind", "busy", "currency", "USD")))
	require.Equal(t, "/h", titled(t, b.table.layoutOf(), "Cost per hour").Unit, "two currencies have no common unit")
}

// Scores of one scale stand together: shares apart from BLEU, and both apart from perplexity.
func TestQualityPanels(t *testing.T) {
	b := newBench(t, nil)
	score := func(metric string, v float64) *dto.Metric {
		return level(v, "task", "qa", "version", "v1", "metric", metric, "class", "")
	}
	b.step(fam("llm_quality_score", dto.MetricType_GAUGE, score("accuracy", .8), score("perplexity", 7), score("bleu", 31), score("auc", .9)))
	doc := b.table.layoutOf()
	for title, want := range map[string][]string{"Quality scores": {"accuracy", "auc"}, "BLEU and chrF": {"bleu · qa · v1"}, "Perplexity": {"perplexity · qa · v1"}} {
		var names []string
		for _, s := range titled(t, doc, title).Series {
			names = append(names, s.Name)
		}
		require.ElementsMatch(t, want, names, title)
	}
}

// Rates of a long window are the rise over it, for any spacing of samples.
func TestLongWindows(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, 2 * time.Second, 30 * time.Second, 10 * time.Minute} {
		b := newBench(t, func(c *Config) { c.Every = every; c.Keep = 20 * every; c.KeepCoarse = 24 * time.Hour })
		var v float64
		for k := range 2000 {
			v = 3 * float64(k) * every.Seconds()
			b.step(fam("llm_train_tokens_total", dto.MetricType_COUNTER, count(v)))
			if k > 0 {
				require.InDelta(t, 3, b.point("llm_train_tokens_total", ""), 1e-4, "every %v, %d", every, k)
			}
		}
		g := b.table.families["llm_train_tokens_total"].views[0].order[0]
		require.LessOrEqual(t, len(g.bases), windowBases+2)
	}
}
