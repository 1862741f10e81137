package dashboards_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/prometheus/demo"
	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/dashboards"
)

// machine is a container with every limit, as the files of Linux tell of it.
func machine() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range map[string]string{
		"proc/self/stat":                "42 (app) S 1 42 42 0 -1 0 0 0 0 0 310 45 6 7 20 0 9 0 12000 1048576000 2500 1\n",
		"proc/uptime":                   "1120.50 4000.00\n",
		"proc/self/io":                  "read_bytes: 40960\nwrite_bytes: 8192\n",
		"proc/self/net/dev":             "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n  eth0: 400 3 0 0 0 0 0 0 300 2 0 0 0 0 0 0\n",
		"proc/pressure/cpu":             "some avg10=1.50 avg60=2.00 avg300=3.00 total=5000000\n",
		"proc/pressure/io":              "garbage\n",
		"proc/self/cgroup":              "0::/app\n",
		"proc/self/mountinfo":           "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/app/cpu.max":     "200000 100000\n",
		"sys/fs/cgroup/app/cpu.stat":    "usage_usec 7500000\nuser_usec 5000000\nsystem_usec 2500000\nnr_periods 400\nnr_throttled 100\nthrottled_usec 3500000\n",
		"sys/fs/cgroup/app/memory.max":  "1073741824\n",
		"sys/fs/cgroup/app/memory.high": "966367641\n", "sys/fs/cgroup/app/memory.current": "524288000\n",
		"sys/fs/cgroup/app/memory.stat":   "inactive_file 24288000\n",
		"sys/fs/cgroup/app/memory.events": "oom_kill 1\n",
		"sys/fs/cgroup/app/io.stat":       "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
		"sys/fs/cgroup/app/cpu.pressure":  "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
	} {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// gathered is what the real collectors export after some minutes of everything.
func gathered(t *testing.T, native bool) (families []*dto.MetricFamily) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		world, err := demo.New(demo.Config{Registerer: reg, FS: machine(), Native: native})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		require.NoError(t, world.Run(ctx))
		problems, err := testutil.GatherAndLint(reg)
		require.NoError(t, err)
		assert.Empty(t, problems)
		families, err = reg.Gather()
		require.NoError(t, err)
	})
	return families
}

// overhead is the one metric that needs a clock that goes on while no one sleeps.
func overhead(t *testing.T) *dto.MetricFamily {
	reg := prometheus.NewRegistry()
	world, err := demo.New(demo.Config{Registerer: reg, Every: time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.NoError(t, world.Run(ctx))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "llm_server_observe_overhead_seconds" {
			return f
		}
	}
	return nil
}

// Every metric of the tables is exported under its name, its type and its labels, and
// no other metric is.
func TestTablesAndCollectors(t *testing.T) {
	kinds := map[observe.MetricKind]dto.MetricType{observe.KindCounter: dto.MetricType_COUNTER, observe.KindGauge: dto.MetricType_GAUGE, observe.KindHistogram: dto.MetricType_HISTOGRAM}
	exported := map[string]*dto.MetricFamily{}
	for _, f := range gathered(t, false) {
		exported[f.GetName()] = f
	}
	for _, m := range dashboards.Metrics() {
		f := exported[m.Prometheus]
		delete(exported, m.Prometheus)
		if m.Prometheus == "llm_server_observe_overhead_seconds" && f == nil {
			f = overhead(t)
		}
		if !assert.NotNil(t, f, m.Prometheus) {
			continue
		}
		assert.Equal(t, kinds[m.Kind], f.GetType(), m.Prometheus)
		assert.Equal(t, m.Help, f.GetHelp())
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		assert.ElementsMatch(t, m.Labels, labels, m.Prometheus)
	}
	for name := range exported {
		assert.Fail(t, "not in the tables", name)
	}
}

// asked is an expression of a dashboard or a rule, and the labels that texts of it use.
type asked struct {
	where, expr string
	labels      []string
}

var (
	legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	ruleLabel   = regexp.MustCompile(`\$labels\.(\w+)`)
	values      = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
)

// everything is asked by all dashboards and rules.
func everything(t *testing.T, native bool) (all []asked) {
	type panel struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
		Panels  json.RawMessage
	}
	uses := func(re *regexp.Regexp, text string) (labels []string) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			labels = append(labels, m[1])
		}
		return labels
	}
	for _, d := range dashboards.All(dashboards.Config{Native: native}) {
		var board struct {
			Panels     json.RawMessage
			Templating struct {
				List []struct {
					Type  string
					Query json.RawMessage
				}
			}
			Annotations struct {
				List []struct{ Name, Expr, TextFormat string }
			}
		}
		require.NoError(t, json.Unmarshal(d.JSON(), &board))
		var add func(json.RawMessage)
		add = func(raw json.RawMessage) {
			var panels []panel
			require.NoError(t, json.Unmarshal(raw, &panels))
			for _, p := range panels {
				for _, q := range p.Targets {
					all = append(all, asked{d.Name() + ": " + p.Title, q.Expr, uses(legendLabel, q.LegendFormat)})
				}
				if len(p.Panels) > 0 {
					add(p.Panels)
				}
			}
		}
		add(board.Panels)
		for _, v := range board.Templating.List {
			if v.Type == "query" {
				var q struct{ Query string }
				require.NoError(t, json.Unmarshal(v.Query, &q))
				m := values.FindStringSubmatch(q.Query)
				require.NotNil(t, m, q.Query)
				all = append(all, asked{d.Name() + ": variable " + m[2], m[1], m[2:]})
			}
		}
		for _, a := range board.Annotations.List {
			if a.Expr != "" {
				all = append(all, asked{d.Name() + ": " + a.Name, a.Expr, uses(legendLabel, a.TextFormat)})
			}
		}
	}
	rules, err := dashboards.Alerts(dashboards.AlertConfig{NoTraffic: true})
	require.NoError(t, err)
	for _, g := range rules {
		for _, r := range g.Rules {
			all = append(all, asked{r.Record + r.Alert, r.Expr, uses(ruleLabel, r.Annotations["summary"]+r.Annotations["description"])})
		}
	}
	return all
}

// Every name and every label that a panel, a variable or a rule uses is exported.
func TestNames(t *testing.T) {
	own := []string{"job", "instance", "slo", "severity"} // of Prometheus and of the rules
	for _, q := range everything(t, false) {
		selected, err := dashboards.Selectors(q.expr)
		require.NoError(t, err, q.where)
		known := slices.Clone(own)
		for _, s := range selected {
			labels := own
			switch m, ok := dashboards.MetricOf(s.Metric); {
			case s.Metric == "up", strings.HasPrefix(s.Metric, "slo:"):
			case assert.True(t, ok, "%s: no metric is called %s", q.where, s.Metric):
				labels = append(slices.Clone(own), m.Labels...)
				if m.Kind == observe.KindHistogram {
					labels = append(labels, "le")
				}
				known = append(known, labels...)
			}
			for _, l := range s.Labels {
				assert.Contains(t, labels, l, "%s: %s", q.where, s.Metric)
			}
		}
		grouped, err := dashboards.Grouped(q.expr)
		require.NoError(t, err)
		for _, l := range append(grouped, q.labels...) {
			assert.Contains(t, known, l, "%s: %s", q.where, q.expr)
		}
	}
}
