// Package prometheus points a real Prometheus server at what calm exports.
package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// program returns the path of a program of Debian's package prometheus; it skips
// where that is missing, and fails where it is required.
func program(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		missing := "no " + name + " in PATH (Debian: apt-get install prometheus)"
		if os.Getenv("CALM_E2E") == "required" {
			t.Fatal(missing + ", but CALM_E2E=required")
		}
		t.Skip(missing)
	}
	return path
}

// traffic serves a measured handler and its metrics, and sends it requests of
// every kind of end that a client can bring about.
func traffic(t *testing.T, native bool) (target string, requests, tokens int) {
	reg := prometheus.NewRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg, NativeHistograms: native})
	require.NoError(t, err)
	rec, err := observe.New(observe.Config{
		Sinks: []observe.Sink{sink}, Models: []string{"m1", "m2"}, MeasureSelf: true,
		SLO: observe.SLO{TTFT: time.Second, TPOT: time.Second, Duration: time.Minute},
	})
	require.NoError(t, err)
	rec.SetServed(observe.Served{Model: "m1", Version: "v1", Checkpoint: "abc"})
	engine := rec.Engine("m1")
	engine.SetKVUsage(.25)
	engine.AddPrefixCache(100, 40)
	engine.AddPreemptions(1)

	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", rec.Middleware(http.HandlerFunc(chat)))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for i := range 20 {
		res, err := http.Post(server.URL+"/v1/chat/completions?n="+strconv.Itoa(3+i), "application/json",
			strings.NewReader(fmt.Sprintf(`{"model":"m%d","stream":true}`, 1+i%3)))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		res.Body.Close()
		requests++
		if res.StatusCode == http.StatusOK {
			tokens += 3 + i
		}
	}
	return server.URL, requests, tokens
}

// chat streams as many tokens as it is asked for, first some that are reasoning;
// for a third model it fails.
func chat(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if bytes.Contains(body, []byte(`"m3"`)) {
		http.Error(w, "no such model", http.StatusNotFound)
		return
	}
	req := observe.FromContext(r.Context())
	req.Queued()
	req.Scheduled()
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range n {
		key := "content"
		if i < 2 {
			key = "reasoning_content"
		}
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{%q:\"t\"}}]}\n\n", key)
		http.NewResponseController(w).Flush()
		time.Sleep(time.Millisecond)
	}
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":%d}}\n\n", n)
	io.WriteString(w, "data: [DONE]\n\n")
}

// server is a Prometheus that scrapes one target.
type server struct{ base string }

func start(t *testing.T, target string, flags ...string) *server {
	path := program(t, "prometheus")
	u, err := url.Parse(target)
	require.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: calm
    static_configs: [{targets: [%q]}]
`, u.Host), 0o644))
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())

	var log bytes.Buffer
	cmd := exec.Command(path, append([]string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + addr}, flags...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	s := &server{base: "http://" + addr}
	require.Eventually(t, func() bool {
		v, err := s.query(`up{job="calm"}`)
		return err == nil && len(v) == 1 && v[0] == 1
	}, 60*time.Second, 100*time.Millisecond, "the target is scraped")
	return s
}

// get reads an answer of the HTTP API.
func (s *server) get(path string, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

// query returns the values of an instant query.
func (s *server) query(expr string) (values []float64, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := s.get("/api/v1/query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, err
	}
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (s *server) one(t *testing.T, expr string) float64 {
	v, err := s.query(expr)
	require.NoError(t, err, expr)
	require.Len(t, v, 1, expr)
	return v[0]
}

func TestScrape(t *testing.T) {
	target, requests, tokens := traffic(t, false)
	s := start(t, target)
	assert.EqualValues(t, requests, s.one(t, `sum(llm_server_requests_total)`))
	assert.EqualValues(t, requests, s.one(t, `sum(gen_ai_server_request_duration_seconds_count)`))
	assert.EqualValues(t, tokens, s.one(t, `sum(llm_server_tokens_total{type="output"})`))
	assert.EqualValues(t, 6, s.one(t, `sum(llm_server_requests_total{code="404",outcome="client_error",model="other"})`))
	assert.EqualValues(t, tokens-(requests-6), s.one(t, `sum(llm_server_inter_token_latency_seconds_count)`), "gaps: a token less for each stream")
	assert.EqualValues(t, .25, s.one(t, `llm_server_kv_cache_usage_ratio`))
	assert.EqualValues(t, 1, s.one(t, `llm_server_model_info{model="m1",version="v1",checkpoint="abc"}`))
	assert.EqualValues(t, 1, s.one(t, `sum(llm_server_slo_total{result="met",objective="ttft"}) / sum(llm_server_slo_total{objective="ttft"})`))
	assert.Greater(t, s.one(t, `histogram_quantile(0.5, sum by (le) (gen_ai_server_time_to_first_token_seconds_bucket))`), 0.)

	// Its metadata has each metric of the table that this traffic reaches, with
	// the table's type and help.
	var metadata map[string][]struct{ Type, Help string }
	require.NoError(t, s.get("/api/v1/metadata", &metadata))
	kinds := map[observe.MetricKind]string{observe.KindCounter: "counter", observe.KindGauge: "gauge", observe.KindHistogram: "histogram"}
	for _, m := range observe.Metrics() {
		got, ok := metadata[m.Prometheus]
		if !ok { // OpenMetrics names a counter's family without its suffix
			got, ok = metadata[strings.TrimSuffix(m.Prometheus, "_total")]
		}
		if assert.True(t, ok, "%s is not scraped", m.Prometheus) {
			assert.Equal(t, kinds[m.Kind], got[0].Type, m.Prometheus)
			assert.Equal(t, m.Help, got[0].Help, m.Prometheus)
		}
	}
}

// TestScrapeNative scrapes with native histograms. Prometheus 2.42 then keeps
// only the native form; later versions may keep both.
func TestScrapeNative(t *testing.T) {
	target, requests, _ := traffic(t, true)
	s := start(t, target, "--enable-feature=native-histograms")
	assert.EqualValues(t, requests, s.one(t, `sum(histogram_count(gen_ai_server_request_duration_seconds))`))
	assert.Greater(t, s.one(t, `histogram_quantile(0.5, sum(gen_ai_server_time_to_first_token_seconds))`), 0.)
	assert.EqualValues(t, requests, s.one(t, `sum(llm_server_requests_total)`))
}

// TestPromtool lints the exposition.
func TestPromtool(t *testing.T) {
	promtool := program(t, "promtool")
	target, _, _ := traffic(t, false)
	res, err := http.Get(target + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	check := func(page []byte) ([]byte, error) {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = bytes.NewReader(page)
		return cmd.CombinedOutput()
	}
	out, err := check(page)
	assert.NoError(t, err, string(out))
	assert.Empty(t, string(out))
	_, err = check([]byte("# TYPE bad_metric counter\nbad_metric 1\n"))
	assert.Error(t, err, "a counter without _total is found")
}
