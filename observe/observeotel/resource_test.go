package observeotel

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// collected returns the points of each metric by name.
func collected(t *testing.T, reader sdkmetric.Reader) map[string][]metricdata.DataPoint[float64] {
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &got))
	points := map[string][]metricdata.DataPoint[float64]{}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				points[m.Name] = data.DataPoints
			case metricdata.Sum[float64]:
				points[m.Name] = data.DataPoints
			default:
				t.Errorf("%s is %T", m.Name, data)
			}
		}
	}
	return points
}

func TestResource(t *testing.T) {
	r, err := resource.New(resource.Config{})
	require.NoError(t, err)
	defer r.Close()
	reader := sdkmetric.NewManualReader()
	stop, err := RegisterResource(ResourceConfig{Reader: r, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	require.NoError(t, err)
	got := collected(t, reader)
	require.Len(t, got["go.goroutine.count"], 1)
	assert.Positive(t, got["go.goroutine.count"][0].Value)
	if s := r.Snapshot(); s.Has(resource.FieldCPU) {
		modes := map[string]bool{}
		for _, p := range got["process.cpu.time"] {
			mode, _ := p.Attributes.Value("cpu.mode")
			modes[mode.AsString()] = true
		}
		assert.Equal(t, map[string]bool{"user": true, "system": true}, modes)
	}
	require.NoError(t, stop())
	assert.Empty(t, collected(t, reader))

	_, err = RegisterResource(ResourceConfig{})
	assert.ErrorContains(t, err, "Reader")
	assert.ErrorContains(t, err, "MeterProvider")
}

func TestQuality(t *testing.T) {
	m, err := quality.New(quality.Config{})
	require.NoError(t, err)
	reader := sdkmetric.NewManualReader()
	stop, err := RegisterQuality(QualityConfig{Monitor: m, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	require.NoError(t, err)
	m.Classified("topic", "v1", "a", "a")
	got := collected(t, reader)
	require.Len(t, got["llm.quality.samples"], 1)
	assert.Equal(t, 1.0, got["llm.quality.samples"][0].Value)
	found := false
	for _, p := range got["llm.quality.score"] {
		metric, _ := p.Attributes.Value("metric")
		found = found || metric.AsString() == "accuracy" && p.Value == 1
	}
	assert.True(t, found)
	require.NoError(t, stop())
	_, err = RegisterQuality(QualityConfig{})
	assert.ErrorContains(t, err, "Monitor")
}

func TestTraceContext(t *testing.T) {
	_, ok := TraceContext(context.Background())
	assert.False(t, ok)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
	var line bytes.Buffer
	h, err := ecslog.New(&line, ecslog.Config{Trace: TraceContext})
	require.NoError(t, err)
	slog.New(h).InfoContext(trace.ContextWithSpanContext(context.Background(), span), "hello")
	assert.Contains(t, line.String(), `"trace.id":"01020000000000000000000000000000"`)
	assert.Contains(t, line.String(), `"span.id":"0300000000000000"`)
}
