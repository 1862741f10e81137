// Package otel compares what a program exports to Prometheus directly with what
// OpenTelemetry's Prometheus exporter makes of the OpenTelemetry sink.
package otel

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeotel"
	"github.com/calmops/calm/observe/observeprom"
)

// renamed are the labels that the exporter writes otherwise. All others keep
// their names.
var renamed = map[string]string{
	"gen_ai_request_model": "model", "gen_ai_operation_name": "operation", "gen_ai_request_stream": "stream",
}

// dropped are the labels that only the exporter writes.
func dropped(name string) bool {
	return strings.HasPrefix(name, "otel_scope_") || name == "gen_ai_provider_name"
}

// key is a series by Prometheus' own labels.
func key(m *dto.Metric) string {
	var parts []string
	for _, l := range m.Label {
		name := l.GetName()
		if r, ok := renamed[name]; ok {
			name = r
		}
		if !dropped(name) && l.GetValue() != "" {
			parts = append(parts, fmt.Sprintf("%s=%q", name, l.GetValue()))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// values are the counts and sums of a registry by metric and series.
func values(t *testing.T, reg prometheus.Gatherer) map[string]map[string]float64 {
	families, err := reg.Gather()
	require.NoError(t, err)
	all := map[string]map[string]float64{}
	for _, f := range families {
		series := map[string]float64{}
		for _, m := range f.Metric {
			if m.Histogram != nil {
				series[key(m)+" sum"] += m.Histogram.GetSampleSum()
				series[key(m)] += float64(m.Histogram.GetSampleCount())
			} else {
				series[key(m)] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		all[f.GetName()] = series
	}
	return all
}

// TestPrometheusExporter sends one recorder's requests both ways. Every twin of
// the same quantity has the same name and, by the mapping, the same series with
// the same figures.
func TestPrometheusExporter(t *testing.T) {
	own, through := prometheus.NewRegistry(), prometheus.NewRegistry()
	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: own})
	require.NoError(t, err)
	reader, err := exporter.New(exporter.WithRegisterer(through))
	require.NoError(t, err)
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	otel, err := observeotel.NewServing(observeotel.ServingConfig{MeterProvider: meters, StreamAttribute: true})
	require.NoError(t, err)
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{prom, otel}, SLO: observe.SLO{TTFT: time.Second}})
	require.NoError(t, err)
	rec.SetServed(observe.Served{Model: "m1", Version: "v1", Checkpoint: "abc", Commit: "def"})
	rec.Engine("m1").SetKVUsage(.5)
	rec.Engine("m1").AddPrefixCache(10, 4)

	server := httptest.NewServer(rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "m3") {
			http.Error(w, "none", http.StatusNotFound)
			return
		}
		req := observe.FromContext(r.Context())
		req.Queued()
		req.Scheduled()
		w.Header().Set("Content-Type", "text/event-stream")
		for range 5 {
			io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}`+"\n\n")
			http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
		io.WriteString(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}}`+"\n\ndata: [DONE]\n\n")
	})))
	for i := range 12 {
		res, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"m%d"}`, 1+i%3)))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		res.Body.Close()
	}
	server.Close()

	want, got := values(t, own), values(t, through)
	compared := 0
	for _, m := range observe.Metrics() {
		switch m.ID {
		case observe.MetricInterTokenLatency: // two counters there
			for series, n := range want[m.Prometheus] {
				if at, ok := strings.CutSuffix(series, " sum"); ok {
					assert.InDelta(t, n, got["llm_server_inter_token_time_seconds_total"][at], 1e-9)
				} else {
					assert.Equal(t, n, got["llm_server_inter_token_gaps_total"][`le="+Inf" `+series], series)
				}
				compared++
			}
			continue
		case observe.MetricRequestInputTokens, observe.MetricRequestOutputTokens: // one histogram there, by token type
			continue
		}
		if m.OTel == "" {
			continue
		}
		for series, v := range want[m.Prometheus] {
			if v == 0 {
				continue // Prometheus opens series before they count
			}
			have, ok := got[m.Prometheus][series]
			if assert.True(t, ok, "%s{%s} is not exported; there are %v", m.Prometheus, series, got[m.Prometheus]) {
				assert.InDelta(t, v, have, 1e-9, "%s{%s}", m.Prometheus, series)
			}
			compared++
		}
	}
	assert.Greater(t, compared, 40)
}
