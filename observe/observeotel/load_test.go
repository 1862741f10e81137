package observeotel

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// TestConcurrency: many requests of two Recorders at once, while the sink is
// collected, new label sets come and the live state moves. Nothing is lost.
func TestConcurrency(t *testing.T) {
	const workers, each = 8, 150
	r := newRig(t, ServingConfig{Semconv: SemconvBoth, ITLHistogram: true, Spans: SpanChild})
	recs := []*observe.Recorder{r.recorder(t, observe.Config{}), r.recorder(t, observe.Config{})}
	stop := make(chan struct{})
	var work, readers sync.WaitGroup
	readers.Go(func() {
		last := map[string]float64{}
		for {
			for _, p := range r.points("llm.server.inter_token_gaps") {
				key := strings.Join(show(p.attrs), " ")
				if p.sum < last[key] {
					t.Errorf("%s went from %v to %v", key, last[key], p.sum)
				}
				last[key] = p.sum
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range workers {
		work.Go(func() {
			rec := recs[w%len(recs)]
			for i := range each {
				_, q := rec.Start(context.Background(), observe.RequestInfo{Model: fmt.Sprint("m", i%20), Operation: observe.OperationChat,
					Priority: fmt.Sprint(w), Provider: []string{"a", "b"}[i%2]})
				q.Queued()
				q.Scheduled()
				for range 1 + i {
					q.Token(1)
				}
				q.SetUsage(observe.Usage{Input: int64(i), Output: int64(1 + i)})
				q.End([]error{nil, nil, context.Canceled, fmt.Errorf("failed")}[i%4])
			}
		})
	}
	work.Wait()
	close(stop)
	readers.Wait()

	const requests, gaps = workers * each, workers * each * (each - 1) / 2
	assert.EqualValues(t, requests, sumOf(r.points("llm.server.requests"), ""))
	assert.EqualValues(t, gaps, sumOf(r.points("llm.server.tokens"), "type=input"))
	assert.EqualValues(t, gaps, sumOf(r.points("llm.server.inter_token_gaps"), "le=+Inf"))
	count := uint64(0)
	for _, p := range r.points("llm.server.inter_token_latency") {
		count += p.count
	}
	assert.EqualValues(t, gaps, count)
	assert.Zero(t, sumOf(r.points("llm.server.requests_in_flight"), ""))
	assert.Len(t, r.spans.Ended(), requests)
	for _, rec := range recs {
		assert.Zero(t, rec.Losses())
	}
}

// sumOf adds up the series that have an attribute, written as key=value.
func sumOf(points []point, attr string) (n float64) {
	for _, p := range points {
		if attr == "" || strings.Contains(" "+strings.Join(show(p.attrs), " ")+" ", " "+attr+" ") {
			n += p.sum
		}
	}
	return n
}

// TestTwoRecorders on one sink add up, label set by label set.
func TestTwoRecorders(t *testing.T) {
	r := newRig(t, ServingConfig{})
	var open []*observe.Request
	for i := range 2 {
		rec := r.recorder(t, observe.Config{})
		r.Attach(rec) // once more changes nothing
		rec.Engine("m").SetKVUsage(.2 + .4*float64(i))
		rec.SetServed(observe.Served{Model: "m", Version: "v1", Commit: "c"})
		_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
		open = append(open, q)
	}
	assert.Equal(t, map[string]float64{byOpM: 2}, r.sets("llm.server.requests_in_flight"))
	assert.Equal(t, map[string]float64{byM: 1}, trimmed(r.sets("llm.server.model.info")))
	assert.InDelta(t, .4, r.sets("llm.server.kv_cache_usage")[byM], 1e-9)
	for _, q := range open {
		q.End(nil)
	}
	assert.Equal(t, map[string]float64{byOpM: 0}, r.sets("llm.server.requests_in_flight"))
	assert.Equal(t, map[string]float64{chatM: 2}, r.sets("gen_ai.server.request.duration"))
}

// trimmed keeps the model of each set.
func trimmed(sets map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for set, n := range sets {
		for w := range strings.FieldsSeq(set) {
			if strings.HasPrefix(w, keyModel) {
				out[w] += n
			}
		}
	}
	return out
}

// TestHostileModels: clients that make up names cost a bounded number of series.
func TestHostileModels(t *testing.T) {
	const max = 10
	r := newRig(t, ServingConfig{Semconv: SemconvBoth})
	rec := r.recorder(t, observe.Config{MaxModels: max})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				model := fmt.Sprint("m", w, "-", i)
				switch i % 5 {
				case 1:
					model = "\xff" + model
				case 2:
					model = "a\x00" + model
				case 3:
					model = strings.Repeat("x", 1000) + model
				}
				_, q := rec.Start(context.Background(), observe.RequestInfo{Model: model})
				q.Token(2)
				q.End(nil)
			}
		})
	}
	wg.Wait()
	for _, m := range r.scope().Metrics {
		models := map[string]bool{}
		for _, p := range pointsOf(m) {
			v, _ := p.attrs.Value(keyModel)
			models[v.AsString()] = true
			assert.True(t, utf8.ValidString(v.AsString()), m.Name)
			assert.LessOrEqual(t, len(v.AsString()), 128, m.Name)
		}
		assert.LessOrEqual(t, len(models), max+2, m.Name)
	}
	assert.EqualValues(t, 2000, sumOf(r.points("llm.server.requests"), "outcome=ok"))
	assert.EqualValues(t, rec.Losses().ModelOverflow, sumOf(r.points("llm.server.series_overflow"), "kind=model"))
}

// panickyProvider makes instruments, or spans, that panic when they are used.
type panickyProvider struct {
	metric.MeterProvider
	metric.Meter
}

type panickyHistogram struct{ metric.Float64Histogram }

func (panickyHistogram) Record(context.Context, float64, ...metric.RecordOption) { panic("a provider") }

type panickyMeters struct{ panickyProvider }

func (p panickyMeters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	p.panickyProvider.Meter = p.MeterProvider.Meter(name, opts...)
	return p.panickyProvider
}

func (p panickyProvider) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return panickyHistogram{}, nil
}

type panickyTracer struct{ trace.Tracer }

func (panickyTracer) Start(context.Context, string, ...trace.SpanStartOption) (context.Context, trace.Span) {
	panic("a provider")
}

// TestPanickyProviders: the request is served and counted, the panic too.
func TestPanickyProviders(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r := newRig(t, ServingConfig{MeterProvider: panickyMeters{panickyProvider{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))}}})
	r.reader = reader
	rec := r.recorder(t, observe.Config{})
	_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m"})
	q.End(nil)
	assert.EqualValues(t, 1, rec.Losses().CallbackPanics)
	assert.EqualValues(t, 1, sumOf(r.points("llm.server.requests"), "outcome=ok"))
	assert.EqualValues(t, 1, r.sets("llm.server.callback_panics")[""])

	reader = sdkmetric.NewManualReader()
	r = newRig(t, ServingConfig{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		TracerProvider: tracerProvider{tracer: panickyTracer{tracenoop.Tracer{}}}})
	r.reader = reader
	rec = r.recorder(t, observe.Config{})
	_, q = rec.Start(context.Background(), observe.RequestInfo{Model: "m"})
	q.End(nil)
	assert.EqualValues(t, 1, rec.Losses().CallbackPanics)
	assert.Len(t, r.points("gen_ai.server.request.duration"), 1, "histograms do not depend on spans")
}

// TestNoopProviders cost little and do nothing.
func TestNoopProviders(t *testing.T) {
	r := newRig(t, ServingConfig{MeterProvider: noop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider(), ITLHistogram: true})
	rec := r.recorder(t, observe.Config{})
	everything(rec)
	assert.Zero(t, rec.Losses().CallbackPanics)
	assert.NoError(t, r.Close())
}

// TestExemplars: the SDK finds the span of a request, the annotated one or the
// child.
func TestExemplars(t *testing.T) {
	for _, mode := range []SpanMode{SpanAnnotate, SpanChild} {
		reader := sdkmetric.NewManualReader()
		base := newRig(t, ServingConfig{})
		r := newRig(t, ServingConfig{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), TracerProvider: base.traces, Spans: mode})
		ctx, span := base.traces.Tracer("http").Start(context.Background(), "POST")
		_, q := r.recorder(t, observe.Config{}).Start(ctx, observe.RequestInfo{Model: "m"})
		time.Sleep(time.Millisecond)
		q.End(nil)
		span.End()
		want := base.spans.Ended()[0].SpanContext()
		var rm metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &rm))
		found := false
		for _, m := range rm.ScopeMetrics[0].Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "gen_ai.server.request.duration" {
				require.Len(t, h.DataPoints[0].Exemplars, 1)
				spanID := want.SpanID()
				assert.Equal(t, spanID[:], h.DataPoints[0].Exemplars[0].SpanID)
				found = true
			}
		}
		assert.True(t, found)
	}
}
