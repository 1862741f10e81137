package observeotel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// countingMeter counts the Records of the histograms that it makes, by name.
type countingMeter struct {
	metric.MeterProvider
	metric.Meter
	records map[string]*atomic.Int64
}

func newCountingMeter(p metric.MeterProvider) *countingMeter {
	return &countingMeter{MeterProvider: p, records: map[string]*atomic.Int64{}}
}

type countingProvider struct {
	metric.MeterProvider
	meter *countingMeter
}

func (p countingProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	p.meter.Meter = p.MeterProvider.Meter(name, opts...)
	return p.meter
}

type countingFloat64 struct {
	metric.Float64Histogram
	n *atomic.Int64
}

func (h countingFloat64) Record(ctx context.Context, v float64, opts ...metric.RecordOption) {
	h.n.Add(1)
	h.Float64Histogram.Record(ctx, v, opts...)
}

type countingInt64 struct {
	metric.Int64Histogram
	n *atomic.Int64
}

func (h countingInt64) Record(ctx context.Context, v int64, opts ...metric.RecordOption) {
	h.n.Add(1)
	h.Int64Histogram.Record(ctx, v, opts...)
}

func (m *countingMeter) count(name string) *atomic.Int64 {
	m.records[name] = new(atomic.Int64)
	return m.records[name]
}

func (m *countingMeter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	h, err := m.Meter.Float64Histogram(name, opts...)
	return countingFloat64{h, m.count(name)}, err
}

func (m *countingMeter) Int64Histogram(name string, opts ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	h, err := m.Meter.Int64Histogram(name, opts...)
	return countingInt64{h, m.count(name)}, err
}

// taken returns the Records since the last call.
func (m *countingMeter) taken() map[string]int64 {
	all := map[string]int64{}
	for name, n := range m.records {
		if c := n.Swap(0); c > 0 {
			all[name] = c
		}
	}
	return all
}

// TestRecords counts the calls of the OpenTelemetry API that requests cost.
func TestRecords(t *testing.T) {
	const (
		duration, ttft, tpot = "gen_ai.server.request.duration", "gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token"
		usage, ttfb, decode  = "gen_ai.client.token.usage", "llm.server.time_to_first_byte", "llm.server.decode.duration"
		input, output        = "gen_ai.client.inference.operation.input_tokens", "gen_ai.client.inference.operation.output_tokens"
	)
	type records = map[string]int64
	stream := &observe.RequestStats{Stream: true, Code: "200", StatusCode: 200, Usage: observe.Usage{Input: 9, Output: 3},
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage, FinishReason: "stop", ResponseBytes: 9,
		TTFT: 1, FirstContent: 1, Valid: observe.FieldTTFB | observe.FieldTTFT | observe.FieldFirstContent | observe.FieldTPOT}
	answer := &observe.RequestStats{Code: "200", StatusCode: 200, Usage: stream.Usage, InputSource: observe.TokensUsage,
		OutputSource: observe.TokensUsage, Valid: observe.FieldTTFB}
	decoded := *stream
	decoded.Valid |= observe.FieldDecode
	failed := &observe.RequestStats{Code: "500", StatusCode: 500, Outcome: observe.OutcomeServerError, ErrorType: "500"}
	marked := decoded
	marked.Valid |= observe.FieldQueue | observe.FieldPrefill
	marked.Reasoned = true
	tests := []struct {
		name  string
		cfg   ServingConfig
		stats *observe.RequestStats
		want  records
	}{
		{"stream", ServingConfig{}, stream, records{duration: 1, ttft: 1, tpot: 1, ttfb: 1, usage: 2}},
		{"answer", ServingConfig{}, answer, records{duration: 1, ttfb: 1, usage: 2}},
		{"failed", ServingConfig{}, failed, records{duration: 1}},
		{"decoded", ServingConfig{}, &decoded, records{duration: 1, ttft: 1, tpot: 1, ttfb: 1, usage: 2, decode: 1}},
		{"marked", ServingConfig{}, &marked, records{duration: 1, ttft: 1, tpot: 1, ttfb: 1, usage: 2, decode: 1,
			"llm.server.queue.duration": 1, "llm.server.prefill.duration": 1, "llm.server.time_to_first_content": 1}},
		{"inference", ServingConfig{Semconv: SemconvInference}, stream, records{duration: 1, ttft: 1, tpot: 1, ttfb: 1, input: 1, output: 1}},
		{"inference failed", ServingConfig{Semconv: SemconvInference}, failed, records{duration: 1, input: 1, output: 1}},
		{"both", ServingConfig{Semconv: SemconvBoth}, stream, records{duration: 1, ttft: 1, tpot: 1, ttfb: 1, usage: 2, input: 1, output: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newCountingMeter(nil)
			tt.cfg.MeterProvider = countingProvider{sdkmetric.NewMeterProvider(), m}
			r := newRig(t, tt.cfg)
			h := r.Series(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
			h.Request(context.Background(), tt.stats)
			assert.Equal(t, tt.want, m.taken())
		})
	}
}

// TestNoRecordPerToken: a stream costs the same calls whatever its length, unless
// each gap was asked for.
func TestNoRecordPerToken(t *testing.T) {
	for _, perGap := range []bool{false, true} {
		m := newCountingMeter(nil)
		r := newRig(t, ServingConfig{MeterProvider: countingProvider{sdkmetric.NewMeterProvider(), m}, ITLHistogram: perGap})
		rec := r.recorder(t, observe.Config{})
		var calls []int64
		for _, tokens := range []int{2, 1000} {
			_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m"})
			for range tokens {
				q.Token(1)
			}
			q.SetUsage(observe.Usage{Input: 1, Output: int64(tokens)})
			q.End(nil)
			sum := int64(0)
			for _, n := range m.taken() {
				sum += n
			}
			calls = append(calls, sum)
		}
		if perGap {
			assert.Equal(t, []int64{6 + 1, 6 + 999}, calls)
		} else {
			assert.Equal(t, []int64{6, 6}, calls) // duration, TTFT, TPOT, decode, input, output
		}
	}
}

// TestAllocations holds the sink to what doc.go says: nothing for metrics of any
// kind, once a variant has been seen.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	stats := observe.RequestStats{Stream: true, Code: "200", StatusCode: 200, Usage: observe.Usage{Input: 9, Output: 3, CachedInput: 4},
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage, FinishReason: "stop", FinishReasonRaw: "stop",
		SLO: observe.Attainment{TTFT: observe.SLOMet}, Start: time.Now(), Duration: time.Second, Priority: "high",
		Valid: observe.FieldTTFB | observe.FieldTTFT | observe.FieldTPOT | observe.FieldDecode | observe.FieldQueue | observe.FieldPrefill}
	failed := stats
	failed.Outcome, failed.ErrorType, failed.Code = observe.OutcomeServerError, "503", "503"
	gaps := make([]time.Duration, 64)
	measure := func(ctx context.Context, cfg ServingConfig, f func(context.Context, observe.SeriesSink)) float64 {
		r := newRig(t, cfg)
		h := r.Series(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
		return testing.AllocsPerRun(200, func() { f(ctx, h) })
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	ctx := context.Background()
	request := func(ctx context.Context, h observe.SeriesSink) { h.Request(ctx, &stats) }
	failure := func(ctx context.Context, h observe.SeriesSink) { h.Request(ctx, &failed) }
	assert.Zero(t, measure(ctx, ServingConfig{MeterProvider: meters}, request), "a request")
	assert.Zero(t, measure(ctx, ServingConfig{MeterProvider: meters}, failure), "a failure")
	assert.Zero(t, measure(ctx, ServingConfig{MeterProvider: meters, Semconv: SemconvBoth}, request), "both conventions")
	assert.Zero(t, measure(ctx, ServingConfig{MeterProvider: meters}, func(_ context.Context, h observe.SeriesSink) { h.Gaps(gaps) }), "gaps")
	assert.Zero(t, measure(ctx, ServingConfig{MeterProvider: meters, ITLHistogram: true}, func(_ context.Context, h observe.SeriesSink) { h.Gaps(gaps) }), "each gap")

	// Spans: the attributes of an annotated span, and what the SDK makes of them;
	// a sampled-out child costs the SDK's Start alone.
	traces := sdktrace.NewTracerProvider()
	annotated, span := traces.Tracer("test").Start(ctx, "POST")
	defer span.End()
	got := measure(annotated, ServingConfig{TracerProvider: traces}, request)
	assert.LessOrEqual(t, got, 3.0, "an annotated span")
	child := measure(ctx, ServingConfig{TracerProvider: traces, Spans: SpanChild}, request)
	assert.LessOrEqual(t, child, 14.0, "a child span")
	t.Logf("allocations: annotated %v, child %v", got, child)
}

func BenchmarkRequest(b *testing.B) {
	stats := observe.RequestStats{Stream: true, Code: "200", StatusCode: 200, Usage: observe.Usage{Input: 9, Output: 3},
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage, FinishReason: "stop", FinishReasonRaw: "stop",
		Start: time.Now(), Duration: time.Second, Valid: observe.FieldTTFB | observe.FieldTTFT | observe.FieldTPOT | observe.FieldDecode}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	traces := sdktrace.NewTracerProvider()
	ctx, span := traces.Tracer("test").Start(context.Background(), "POST")
	defer span.End()
	for _, bb := range []struct {
		name string
		cfg  ServingConfig
	}{
		{"metrics", ServingConfig{MeterProvider: meters}},
		{"annotate", ServingConfig{MeterProvider: meters, TracerProvider: traces}},
		{"child", ServingConfig{MeterProvider: meters, TracerProvider: traces, Spans: SpanChild}},
		{"noop", ServingConfig{MeterProvider: noop.NewMeterProvider()}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := newRig(b, bb.cfg)
			h := r.Series(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
			b.ReportAllocs()
			for b.Loop() {
				h.Request(ctx, &stats)
			}
		})
	}
	b.Run("gaps", func(b *testing.B) {
		h := newRig(b, ServingConfig{MeterProvider: meters}).Series(observe.Labels{Model: "m"})
		gaps := make([]time.Duration, 64)
		b.ReportAllocs()
		for b.Loop() {
			h.Gaps(gaps)
		}
	})
	b.Run("one cached Record", func(b *testing.B) {
		h, err := meters.Meter("floor").Float64Histogram("floor")
		require.NoError(b, err)
		opts := optionsOf(newRig(b, ServingConfig{}).genAI(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"}))
		b.ReportAllocs()
		for b.Loop() {
			h.Record(ctx, .3, opts...)
		}
	})
}

// refusingMeter refuses one instrument.
type refusingMeter struct{ metric.Meter }

var errRefused = errors.New("a bad view")

func (refusingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, errRefused
}

func (refusingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return nil, errRefused
}

// refusingCallback takes every instrument and no callback.
type refusingCallback struct{ metric.Meter }

func (refusingCallback) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return nil, errRefused
}
