package observelive

import (
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func titles(doc layoutDoc) (out []string) {
	for _, p := range doc.Panels {
		out = append(out, p.Group+": "+p.Title)
	}
	return out
}

// Only panels whose metrics exist are shown, in the order of the table; the rest follows.
func TestLayoutOrder(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Panels = []Panel{{Metric: "shop_carts", By: []string{"who"}}} })
	b.step(
		fam("go_goroutines", dto.MetricType_GAUGE, level(1)),
		fam("zoo_animals", dto.MetricType_GAUGE, level(1)),
		fam("shop_carts", dto.MetricType_GAUGE, level(1, "who", "a")),
		fam("llm_train_loss", dto.MetricType_GAUGE, level(1)),
		fam("llm_server_tokens_total", dto.MetricType_COUNTER, count(1, "model", "m", "type", "output")),
		fam("llm_server_finish_total", dto.MetricType_COUNTER, count(1)),
		fam("gpu_probe_simulated", dto.MetricType_GAUGE, level(1)),
		fam("gpu_power_watts", dto.MetricType_GAUGE, level(1, "gpu", "0")),
	)
	doc := b.table.layoutOf()
	require.Equal(t, []string{
		"Serving: Tokens", "GPU: GPU power", "Training: Loss", "shop: carts",
		"Serving: finish", "zoo: animals", "Go runtime: goroutines",
	}, titles(doc))
	require.Equal(t, missing{"Serving", []string{"Model", "Requests", "Time to first token", "Inter-token latency", "Request duration", "In flight", "Errors", "KV cache"}}, doc.Missing[0])
	for _, m := range doc.Missing {
		require.NotContains(t, m.Titles, "Loss")
	}
	require.True(t, doc.Panels[1].Simulated, "the source says so")
	require.False(t, doc.Panels[0].Simulated)
	require.Equal(t, "gpu 0", doc.Panels[1].Series[0].Name)
	require.Equal(t, "W", doc.Panels[1].Unit)
}

func TestSeriesNames(t *testing.T) {
	b := newBench(t, nil)
	b.step(
		fam("one", dto.MetricType_GAUGE, level(1, "a", "x", "b", "y")),
		fam("two", dto.MetricType_GAUGE, level(1, "same", "s", "b", "y"), level(1, "same", "s", "b", "z")),
		hist(1, 2, 3, 4),
		fam("s", dto.MetricType_SUMMARY, &dto.Metric{Summary: &dto.Summary{SampleCount: new(uint64(1)), Quantile: []*dto.Quantile{{Quantile: new(.75), Value: new(1.)}}}}),
	)
	names := make(map[string][]string)
	for _, p := range b.table.layoutOf().Panels {
		for _, s := range p.Series {
			names[p.Metric] = append(names[p.Metric], s.Name)
		}
	}
	require.Equal(t, []string{"x · y"}, names["one"])
	require.Equal(t, []string{"y", "z"}, names["two"], "a label they share says nothing")
	require.Equal(t, []string{"p50", "p90", "p99", ""}, names["h_seconds"])
	require.Equal(t, []string{"q0.75", ""}, names["s"])
	for _, p := range b.table.layoutOf().Panels {
		if p.Metric == "h_seconds" {
			require.Equal(t, 1., p.Series[2].Cap)
		}
	}
}

// The layout's number changes when curves come or go, and only then.
func TestLayoutID(t *testing.T) {
	b := newBench(t, nil)
	b.step(fam("g", dto.MetricType_GAUGE, level(1, "k", "a")))
	id := b.table.layoutOf().ID
	b.step(fam("g", dto.MetricType_GAUGE, level(2, "k", "a")))
	require.Equal(t, id, b.table.layoutOf().ID)
	b.step(fam("g", dto.MetricType_GAUGE, level(2, "k", "a"), level(1, "k", "b")))
	require.NotEqual(t, id, b.table.layoutOf().ID)
}

func TestUnits(t *testing.T) {
	c, g := dto.MetricType_COUNTER, dto.MetricType_GAUGE
	for _, x := range []struct {
		name string
		kind dto.MetricType
		want string
	}{
		{"a_seconds", g, "s"}, {"a_bytes", g, "B"}, {"a_ratio", g, "ratio"}, {"a_celsius", g, "°C"}, {"a_watts", g, "W"},
		{"a_joules", g, "J"}, {"a_hertz", g, "Hz"}, {"a", g, ""}, {"a_total", c, "/s"}, {"a_bytes_total", c, "B/s"},
		{"a_joules_total", c, "W"}, {"a_seconds_total", c, "s/s"}, {"process_cpu_seconds_total", c, "cores"}, {"a_start_time_seconds", g, "s"},
	} {
		require.Equal(t, x.want, unitOf(x.name, x.kind), x.name)
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"process_cpu_seconds_total": "CPU", "go_gc_duration_seconds": "GC duration", "llm_train_step_seconds": "step",
		"gen_ai_server_time_per_output_token_seconds": "time per output token", "up": "up", "_total": "total",
		"process_start_time_seconds": "start time, age", "x_bytes": "x",
	} {
		require.Equal(t, want, words(name), name)
	}
}

// Every panel of the table has what the page needs, and no family stands in two panels by mistake.
func TestPanelTable(t *testing.T) {
	for _, p := range knownPanels {
		require.NotEmpty(t, p.group)
		require.NotEmpty(t, p.title)
		require.NotEmpty(t, p.sources)
		if p.kind != kindInfo && p.kind != kindState {
			require.NotEmpty(t, p.head, p.title)
		}
		for _, s := range p.sources {
			require.NotEmpty(t, s.metric)
			require.False(t, len(s.not)+len(s.only) > 0 && s.label == "", "%s: a filter needs a label", p.title)
		}
	}
}
