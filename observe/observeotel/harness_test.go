package observeotel

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// rig is a Serving with the SDK behind it.
type rig struct {
	*Serving
	cfg    ServingConfig
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	watch  *watch // nil: collect each time
}

// newRig makes a Serving with both providers, unless cfg has its own.
func newRig(t testing.TB, cfg ServingConfig) *rig {
	t.Helper()
	r := &rig{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	r.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	if cfg.MeterProvider == nil && cfg.TracerProvider == nil {
		cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader),
			sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
		cfg.TracerProvider = r.traces
	}
	s, err := NewServing(cfg)
	require.NoError(t, err)
	r.Serving, r.cfg = s, cfg
	return r
}

// recorder makes a Recorder that feeds the Serving.
func (r *rig) recorder(t testing.TB, cfg observe.Config) *observe.Recorder {
	t.Helper()
	cfg.Sinks = append(cfg.Sinks, r.Serving)
	rec, err := observe.New(cfg)
	require.NoError(t, err)
	return rec
}

// watch is a sink that knows whether anything has moved since a collection: the
// suite reads hundreds of series at a time, and a collection makes thousands.
type watch struct {
	*Serving
	moved atomic.Int64

	mu    sync.Mutex
	at    int64
	state state
	last  metricdata.ScopeMetrics
}

type watchedSeries struct {
	observe.SeriesSink
	w *watch
}

func (w *watch) Attach(r *observe.Recorder) {
	defer w.moved.Add(1)
	w.Serving.Attach(r)
}

func (w *watch) Series(l observe.Labels) observe.SeriesSink {
	defer w.moved.Add(1)
	return watchedSeries{w.Serving.Series(l), w}
}

func (s watchedSeries) Gaps(g []time.Duration) {
	defer s.w.moved.Add(1)
	s.SeriesSink.Gaps(g)
}

func (s watchedSeries) Request(ctx context.Context, r *observe.RequestStats) {
	defer s.w.moved.Add(1)
	s.SeriesSink.Request(ctx, r)
}

// scope returns the one scope of the export, of the last collection if nothing
// has moved.
func (r *rig) scope() metricdata.ScopeMetrics {
	if r.watch == nil {
		return r.collected()
	}
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	at, now := w.moved.Load(), stateOf(r.attached())
	if w.last.Metrics == nil || at != w.at || !reflect.DeepEqual(now, w.state) {
		w.at, w.state, w.last = at, now, r.collected()
	}
	return w.last
}

func (r *rig) collected() metricdata.ScopeMetrics {
	var rm metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &rm); err != nil {
		panic(err)
	}
	switch len(rm.ScopeMetrics) {
	case 0:
		return metricdata.ScopeMetrics{}
	case 1:
		return rm.ScopeMetrics[0]
	}
	panic(fmt.Sprintf("%d scopes", len(rm.ScopeMetrics)))
}

// point is one series of any instrument.
type point struct {
	attrs  attribute.Set
	count  uint64
	sum    float64
	bounds []float64
}

// points returns the series of one instrument.
func (r *rig) points(name string) []point {
	for _, m := range r.scope().Metrics {
		if m.Name == name {
			return pointsOf(m)
		}
	}
	return nil
}

func pointsOf(m metricdata.Metrics) (all []point) {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, p.Count, p.Sum, p.Bounds})
		}
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, p.Count, float64(p.Sum), p.Bounds})
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			all = append(all, point{attrs: p.Attributes, sum: float64(p.Value)})
		}
	case metricdata.Sum[float64]:
		for _, p := range d.DataPoints {
			all = append(all, point{attrs: p.Attributes, sum: p.Value})
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			all = append(all, point{attrs: p.Attributes, sum: p.Value})
		}
	default:
		panic(fmt.Sprintf("%s is a %T", m.Name, m.Data))
	}
	return all
}

// attributeOf maps a label of observe.Metrics() to its attribute.
var attributeOf = map[string]string{
	"model": keyModel, "operation": keyOperation, "stream": keyStream, "error_type": keyErrorType,
}

// read reads one metric as observetest wants it.
func (r *rig) read(id observe.MetricID, labels map[string]string) (sum observetest.Reading, ok bool) {
	m := observe.Metrics()[id]
	name, extra := m.OTel, map[string]string{}
	switch {
	case name == "":
		return sum, false
	case id == observe.MetricRequestDuration && !r.cfg.StreamAttribute:
		if _, byStream := labels["stream"]; byStream {
			return sum, false
		}
	case id == observe.MetricInterTokenLatency:
		for _, p := range r.find("llm.server.inter_token_time", labels, nil) {
			sum.Sum += p.sum
		}
		for _, p := range r.find(name, labels, map[string]string{keyLE: "+Inf"}) {
			sum.Count += uint64(p.sum)
		}
		return sum, true
	case id == observe.MetricRequestInputTokens, id == observe.MetricRequestOutputTokens:
		if r.cfg.Semconv == SemconvInference { // its histograms have zeros for failures
			return sum, false
		}
		extra[keyTokenType] = tokenInput
		if id == observe.MetricRequestOutputTokens {
			extra[keyTokenType] = tokenOutput
		}
	}
	for _, p := range r.find(name, labels, extra) {
		sum.Count += p.count
		sum.Sum += p.sum
	}
	return sum, true
}

// find returns the series that have the labels and the attributes.
func (r *rig) find(name string, labels, attrs map[string]string) (found []point) {
	want := map[string]string{}
	for k, v := range labels {
		if k == "model" && v == unknownModel {
			v = ""
		}
		if a := attributeOf[k]; a != "" {
			k = a
		}
		want[k] = v
	}
	maps.Copy(want, attrs)
	for _, p := range r.points(name) {
		if matches(p.attrs, want) {
			found = append(found, p)
		}
	}
	return found
}

func matches(have attribute.Set, want map[string]string) bool {
	for k, v := range want {
		got, _ := have.Value(attribute.Key(k))
		if got.Type() == attribute.EMPTY && v == "" {
			continue
		}
		if got.String() != v {
			return false
		}
	}
	return true
}

// show returns attributes as k=v words, sorted by key.
func show(s attribute.Set) []string {
	out := []string{}
	for _, kv := range s.ToSlice() {
		out = append(out, string(kv.Key)+"="+kv.Value.String())
	}
	return out
}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]ServingConfig{
		"Defaults":   {},
		"Everything": {Semconv: SemconvBoth, Spans: SpanChild, ServerAddress: "llm.example", ServerPort: 443, StreamAttribute: true, ITLHistogram: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			observetest.TestSink(t, func(t *testing.T) observetest.Harness {
				r := newRig(t, cfg)
				r.watch = &watch{Serving: r.Serving}
				return observetest.Harness{Sink: r.watch, Read: r.read}
			})
		})
	}
}
