package dashboards

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/prometheus/demo"
	"github.com/calmops/calm/observe/dashboards"
)

// machine is a container with every limit, as the files of Linux tell of it.
func machine() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range map[string]string{
		"proc/self/io":                    "read_bytes: 40960\nwrite_bytes: 8192\n",
		"proc/self/net/dev":               "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n  eth0: 400 3 0 0 0 0 0 0 300 2 0 0 0 0 0 0\n",
		"proc/pressure/cpu":               "some avg10=1.50 avg60=2.00 avg300=3.00 total=5000000\n",
		"proc/pressure/io":                "garbage\n",
		"proc/self/cgroup":                "0::/app\n",
		"proc/self/mountinfo":             "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/app/cpu.max":       "200000 100000\n",
		"sys/fs/cgroup/app/memory.max":    "1073741824\n",
		"sys/fs/cgroup/app/memory.high":   "966367641\n",
		"sys/fs/cgroup/app/memory.stat":   "inactive_file 24288000\n",
		"sys/fs/cgroup/app/memory.events": "oom_kill 1\n",
		"sys/fs/cgroup/app/io.stat":       "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
		"sys/fs/cgroup/app/cpu.pressure":  "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
	} {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	work(m, 0)
	return m
}

// work lets n minutes of work go by in a machine.
func work(m fstest.MapFS, n int) {
	m["sys/fs/cgroup/app/cpu.stat"] = &fstest.MapFile{Data: fmt.Appendf(nil, "usage_usec %d\nuser_usec 1\nsystem_usec 1\nnr_periods %d\nnr_throttled %d\nthrottled_usec %d\n",
		n*60_000_000, n*600, n*150, n*3_000_000)}
	m["sys/fs/cgroup/app/memory.current"] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d\n", 500_000_000+n*1000)}
}

const overhead = "llm_server_observe_overhead_seconds"

// measured is what measuring takes. It needs a clock that goes on by itself.
func measured(t *testing.T) *dto.MetricFamily {
	reg := prometheus.NewRegistry()
	world, err := demo.New(demo.Config{Registerer: reg, Every: time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.NoError(t, world.Run(ctx))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == overhead {
			return f
		}
	}
	require.Fail(t, "no "+overhead)
	return nil
}

// history writes what the real collectors export over two hours, as OpenMetrics, and
// returns when that ends. The hours go by at once: it is the clock of a bubble.
func history(t *testing.T, path string) (end time.Time) {
	self := measured(t)
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	out := bufio.NewWriter(file)
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		files := machine()
		world, err := demo.New(demo.Config{Registerer: reg, Every: 10 * time.Second, FS: files})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- world.Run(ctx) }()
		for n := 1; n <= 120; n++ {
			time.Sleep(time.Minute)
			synctest.Wait()
			work(files, n)
			families, err := reg.Gather()
			require.NoError(t, err)
			for _, f := range families {
				write(out, f, 1, time.Now())
			}
			write(out, self, uint64(n), time.Now())
			fmt.Fprintf(out, "up{job=\"calm\",instance=\"a:1\"} 1 %d\nup{job=\"calm\",instance=\"b:1\"} 0 %[1]d\n", time.Now().Unix())
		}
		end = time.Now()
		cancel()
		require.NoError(t, <-done)
	})
	fmt.Fprintln(out, "# EOF")
	require.NoError(t, out.Flush())
	return end
}

// write writes the samples of a family, histograms multiplied.
func write(out *bufio.Writer, f *dto.MetricFamily, times uint64, at time.Time) {
	for _, m := range f.GetMetric() {
		labels := []string{`job="calm"`, `instance="a:1"`}
		for _, l := range m.GetLabel() {
			labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		line := func(suffix string, value float64, more ...string) {
			fmt.Fprintf(out, "%s%s{%s} %v %d\n", f.GetName(), suffix, strings.Join(append(labels[:len(labels):len(labels)], more...), ","), value, at.Unix())
		}
		switch h := m.GetHistogram(); {
		case h != nil:
			for _, b := range h.GetBucket() {
				line("_bucket", float64(b.GetCumulativeCount()*times), fmt.Sprintf("le=\"%v\"", b.GetUpperBound()))
			}
			line("_bucket", float64(h.GetSampleCount()*times), `le="+Inf"`)
			line("_sum", h.GetSampleSum()*float64(times))
			line("_count", float64(h.GetSampleCount()*times))
		case m.Counter != nil:
			line("", m.GetCounter().GetValue())
		default:
			line("", m.GetGauge().GetValue())
		}
	}
}

// query is what a panel, a variable or an annotation asks.
type query struct{ where, expr string }

var (
	listed    = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	variables = strings.NewReplacer("$__rate_interval", "5m", "$job", ".+", "$instance", ".+", "$model", ".+", "$run", ".+", "$objective", "0.99")
)

// queries returns what a dashboard asks, with its variables replaced.
func queries(t *testing.T, d dashboards.Dashboard) (all []query) {
	type panel struct {
		Title   string
		Targets []struct{ RefID, Expr string }
		Panels  []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	var board struct {
		Panels      []panel
		Annotations struct{ List []struct{ Name, Expr string } }
		Templating  struct {
			List []struct {
				Name, Type string
				Query      json.RawMessage
			}
		}
	}
	require.NoError(t, json.Unmarshal(d.JSON(), &board))
	note := func(where, expr string) {
		if expr != "" {
			all = append(all, query{d.Name() + ": " + where, variables.Replace(expr)})
		}
	}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			note(p.Title+" "+q.RefID, q.Expr)
		}
		for _, inner := range p.Panels {
			for _, q := range inner.Targets {
				note(inner.Title+" "+q.RefID, q.Expr)
			}
		}
	}
	for _, v := range board.Templating.List {
		var q struct{ Query string }
		if v.Type == "query" && assert.NoError(t, json.Unmarshal(v.Query, &q)) {
			m := listed.FindStringSubmatch(q.Query)
			require.NotNil(t, m, q.Query)
			note("variable "+v.Name, fmt.Sprintf(`count by (%s) (%s)`, m[2], m[1]))
		}
	}
	for _, a := range board.Annotations.List {
		note("annotation "+a.Name, strings.Replace(a.Expr, "[2m]", "[1h]", 1)) // of two minutes it may have none
	}
	return all
}

// TestNoPanelIsEmpty asks everything after two hours of everything.
func TestNoPanelIsEmpty(t *testing.T) {
	promtool := program(t, "promtool")
	dir := t.TempDir()
	text := filepath.Join(dir, "history.txt")
	end := history(t, text)
	data := filepath.Join(dir, "data")
	out, err := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, data).CombinedOutput()
	require.NoError(t, err, string(out))
	s := start(t, data, "global: {scrape_interval: 15s}\n")

	asked := 0
	for _, d := range dashboards.All(dashboards.Config{}) {
		for _, q := range queries(t, d) {
			n, err := s.count(q.expr, end)
			require.NoError(t, err, "%s: %s", q.where, q.expr)
			assert.Positive(t, n, "%s is empty: %s", q.where, q.expr)
			asked++
		}
	}
	t.Logf("%d queries of dashboards", asked)
	n, err := s.count(`sum(llm_server_requests_totals)`, end)
	require.NoError(t, err)
	assert.Zero(t, n, "a name with a fault is empty")

	// Each recording rule has a value, and each alert can be asked.
	rules, err := dashboards.Alerts(dashboards.AlertConfig{NoTraffic: true})
	require.NoError(t, err)
	for _, g := range rules {
		for _, r := range g.Rules {
			n, err := s.count(r.Expr, end)
			require.NoError(t, err, r.Expr)
			if r.Record != "" {
				assert.Positive(t, n, "%s of %s: %s", r.Record, g.Name, r.Expr)
			}
		}
	}
}

// TestNative scrapes native histograms, of which Prometheus 2 then keeps nothing else,
// and asks what reads them.
func TestNative(t *testing.T) {
	program(t, "prometheus")
	reg := prometheus.NewRegistry()
	world, err := demo.New(demo.Config{Registerer: reg, Every: 200 * time.Millisecond, Native: true})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- world.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	target := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer target.Close()
	u, err := url.Parse(target.URL)
	require.NoError(t, err)
	s := start(t, t.TempDir(), fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: calm\n  static_configs: [{targets: [%q]}]\n", u.Host),
		"--enable-feature=native-histograms")

	waiting := map[string]query{}
	for _, d := range dashboards.All(dashboards.Config{Native: true}) {
		for _, q := range queries(t, d) {
			if q.expr = strings.ReplaceAll(q.expr, "[5m]", "[20s]"); strings.Contains(q.expr, "histogram_quantile") || strings.Contains(q.expr, "increase(gen_ai") {
				waiting[q.where] = q
			}
		}
	}
	require.Greater(t, len(waiting), 30)
	deadline := time.Now().Add(60 * time.Second)
	for len(waiting) > 0 && time.Now().Before(deadline) {
		time.Sleep(500 * time.Millisecond)
		for where, q := range waiting {
			n, err := s.count(q.expr, time.Time{})
			require.NoError(t, err, q.expr)
			if n > 0 {
				delete(waiting, where)
			}
		}
	}
	assert.Empty(t, waiting)
	n, err := s.count("gen_ai_server_time_to_first_token_seconds_bucket", time.Time{})
	require.NoError(t, err)
	assert.Zero(t, n, "there is no classic form: this test would see the classic expressions fail")
}

// TestSchema holds the dashboards against the schema of Grafana's own library, which
// knows every field and its type.
func TestSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	strict := func(b []byte) string {
		//lint:ignore SA1019 this is the schema of the files that Grafana reads
		var d dashboard.Dashboard
		text := ""
		if err := d.UnmarshalJSONStrict(b); err != nil {
			text = err.Error() // an empty list of faults, too, is an error to it
		}
		if err := d.Validate(); err != nil {
			text += err.Error()
		}
		return text
	}
	for _, native := range []bool{false, true} {
		for _, d := range dashboards.All(dashboards.Config{Native: native, Job: "a", Models: []string{"m"}, Links: []dashboards.Link{{URL: "https://example.com"}}}) {
			assert.Empty(t, strict(d.JSON()), d.Name())
		}
	}
	good := string(dashboards.Serving(dashboards.Config{}).JSON())
	for field, fault := range map[string]string{`"lineWidth"`: `"lineWidht"`, `"panels"`: `"pannels"`, `"legend"`: `"legends"`, `"schemaVersion": 42`: `"schemaVersion": "x"`} {
		assert.NotEmpty(t, strict([]byte(strings.Replace(good, field, fault, 1))), "%s for %s is found", fault, field)
	}
}
