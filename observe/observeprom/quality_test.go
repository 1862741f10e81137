package observeprom

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/calmops/calm/observe/training"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gatherAll lints a registry and returns its text and the names in it.
func gatherAll(t *testing.T, reg *prometheus.Registry) (text string, names map[string]bool) {
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	assert.Empty(t, problems)
	families, err := reg.Gather()
	require.NoError(t, err)
	names = map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	return encode(t, families, expfmt.NewFormat(expfmt.TypeTextPlain)), names
}

func TestQualityMetrics(t *testing.T) {
	m, err := quality.New(quality.Config{})
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	_, err = NewQuality(QualityConfig{Monitor: m, Registerer: reg, ConstLabels: prometheus.Labels{"cluster": "a"}})
	require.NoError(t, err)
	gatherAll(t, reg) // nothing is known yet

	m.Classified("topic", "v1", "a", "a")
	m.Classified("topic", "v1", "b\xff", "a")
	m.Scored("spam", "v1", true, 2)
	m.Answered("bot", "v1", quality.Answer{Text: "yes", OutputTokens: 1})
	require.NoError(t, m.Reference("x", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}))
	m.Value("x", 5)
	text, names := gatherAll(t, reg)
	for _, row := range quality.Metrics() {
		assert.True(t, names[row.Prometheus], row.Prometheus)
	}
	for _, line := range []string{
		`llm_quality_score{class="",cluster="a",metric="accuracy",task="topic",version="v1"} 0.5`,
		`llm_quality_score{class="a",cluster="a",metric="recall",task="topic",version="v1"} 1`,
		`llm_quality_samples_total{cluster="a",task="topic",version="v1"} 2`,
		`llm_quality_refused_total{cluster="a",reason="out_of_range",task="spam"} 1`,
		`llm_quality_drift_events_total{cluster="a",detector="ddm",task="topic/error"} 0`,
		`llm_quality_drift_warning{cluster="a",task="bot/empty"} 0`,
		`llm_quality_distance{cluster="a",measure="ks",task="x"} 0.5`,
	} {
		assert.Contains(t, text, line)
	}
	_, err = NewQuality(QualityConfig{ConstLabels: prometheus.Labels{"task": "x"}})
	assert.ErrorContains(t, err, "QualityConfig.Monitor is nil")
	assert.ErrorContains(t, err, `"task"`)
	var none *Quality
	none.Describe(nil)
	none.Collect(nil)
}

func TestCostMetrics(t *testing.T) {
	a, err := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR", DeviceHour: map[string]float64{"h100": 2}}})
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	_, err = NewCost(CostConfig{Account: a, Registerer: reg})
	require.NoError(t, err)
	require.NoError(t, a.Add(cost.Usage{Device: "h100", Busy: time.Hour}))
	require.Error(t, a.Add(cost.Usage{Device: "b200", Idle: time.Hour, Tenant: "acme", Requests: 1}))
	require.Error(t, a.Add(cost.Usage{Requests: -1}))
	text, names := gatherAll(t, reg)
	for _, row := range cost.Metrics() {
		assert.True(t, names[row.Prometheus], row.Prometheus)
	}
	for _, line := range []string{
		`llm_cost_total{currency="EUR",kind="busy"} 2`,
		`llm_cost_total{currency="EUR",kind="operator"} 0`,
		`llm_cost_tenant_total{currency="EUR",tenant="acme"} 0`,
		`llm_cost_unpriced_total{kind="idle",name="b200"} 1`,
		`llm_cost_refused_usage_total 1`,
	} {
		assert.Contains(t, text, line)
	}
	_, err = NewCost(CostConfig{})
	assert.ErrorContains(t, err, "CostConfig.Account is nil")
}

// The tables of all parts are apart: all can live in one registry.
func TestNamesOfAllTables(t *testing.T) {
	seen := map[string]string{}
	note := func(table, name string) {
		assert.Empty(t, seen[name], name)
		seen[name] = table
	}
	for _, r := range training.Metrics() {
		note("training", r.Prometheus)
	}
	for _, r := range quality.Metrics() {
		note("quality", r.Prometheus)
	}
	for _, r := range cost.Metrics() {
		note("cost", r.Prometheus)
	}
}

func TestResourceAndLogMetrics(t *testing.T) {
	r, err := resource.New(resource.Config{})
	require.NoError(t, err)
	defer r.Close()
	h, err := ecslog.New(io.Discard, ecslog.Config{})
	require.NoError(t, err)
	others := prometheus.NewPedanticRegistry()
	others.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	reg := prometheus.NewPedanticRegistry()
	_, err = NewResource(ResourceConfig{Reader: r, Registerer: reg})
	require.NoError(t, err)
	_, err = NewLog(LogConfig{Handler: h, Registerer: reg})
	require.NoError(t, err)
	slog.New(h).Info("hello")
	text, names := gatherAll(t, reg)
	assert.Contains(t, text, `llm_log_lines_total{level="info"} 1`)
	_, taken := gatherAll(t, others)
	for name := range names {
		assert.False(t, taken[name], "%s is client_golang's", name)
	}
	_, err = NewResource(ResourceConfig{})
	assert.ErrorContains(t, err, "ResourceConfig.Reader is nil")
	_, err = NewLog(LogConfig{})
	assert.ErrorContains(t, err, "LogConfig.Handler is nil")
}
