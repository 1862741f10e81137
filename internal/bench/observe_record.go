package main

import (
	"context"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeotel"
	"github.com/calmops/calm/observe/observeprom"
)

const gapsAMerge = 64

// observeRecord is what one recorded gap costs, alone: ours come in merges of 64.
func observeRecord() Suite {
	const promHistogram, vmPrometheus, vmHistogram = "client_golang, cached histogram", "VictoriaMetrics PrometheusHistogram", "VictoriaMetrics Histogram"
	return Suite{
		Name: "observe.record",
		Claims: []Claim{
			{Name: "observe.record.client_golang", Doc: "64 gaps in one merge of observeprom / 64 Observe of a cached histogram",
				Ours: Of(ours), Peer: Of(promHistogram), Open: true},
			{Name: "observe.record.victoria", Doc: "the same / 64 Update of VictoriaMetrics' PrometheusHistogram",
				Ours: Of(ours), Peer: Of(vmPrometheus), Open: true},
			{Name: "observe.record.vmrange", Doc: "the same / 64 Update of VictoriaMetrics' Histogram",
				Ours: Of(ours), Peer: Of(vmHistogram), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			gaps := make([]time.Duration, gapsAMerge)
			for i := range gaps {
				gaps[i] = time.Duration(1+i%40) * time.Millisecond
			}
			bounds := observe.Metrics()[observe.MetricInterTokenLatency].Buckets
			sink, err := observeprom.NewServing(observeprom.ServingConfig{})
			if err != nil {
				return nil, nil, err
			}
			series := sink.Series(observe.Labels{Model: modelName, Operation: observe.OperationChat, Provider: "openai"})
			cached := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "itl_seconds", Buckets: bounds}, []string{"model", "operation"}).
				WithLabelValues(modelName, "chat")
			set := vm.NewSet()
			vmProm, vmOwn := set.NewPrometheusHistogramExt("itl_seconds", bounds), set.NewHistogram("itl_vmrange_seconds")
			each := func(record func(float64)) func(int) {
				return func(n int) {
					for range n {
						for _, g := range gaps {
							record(g.Seconds())
						}
					}
				}
			}
			return []Case{
				{Name: ours, Run: func(n int) {
					for range n {
						series.Gaps(gaps)
					}
				}},
				{Name: promHistogram, Run: each(cached.Observe)},
				{Name: vmPrometheus, Run: each(vmProm.Update)},
				{Name: vmHistogram, Run: each(vmOwn.Update)},
			}, func() {}, nil
		},
	}
}

// observeOTel is what the OpenTelemetry sink costs a request, at its end.
func observeOTel() Suite {
	const record, span, spanned, metrics = "one cached Record", "a span", "a span, annotated", "metrics only"
	return Suite{
		Name: "observe.otel",
		Claims: []Claim{
			{Name: "observe.otel.request", Doc: "a streamed request's metrics and span attributes / one cached Record with three attributes",
				Ours: Added(spanned, span), Peer: Of(record), Bar: 14},
			{Name: "observe.otel.metrics", Doc: "its metrics alone / the same",
				Ours: Of(metrics), Peer: Of(record), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
			traces := sdktrace.NewTracerProvider() // spans record and go nowhere
			series := func(cfg observeotel.ServingConfig) (observe.SeriesSink, error) {
				sink, err := observeotel.NewServing(cfg)
				if err != nil {
					return nil, err
				}
				return sink.Series(observe.Labels{Model: modelName, Operation: observe.OperationChat, Provider: "openai"}), nil
			}
			both, err := series(observeotel.ServingConfig{MeterProvider: meters, TracerProvider: traces})
			if err != nil {
				return nil, nil, err
			}
			alone, err := series(observeotel.ServingConfig{MeterProvider: meters})
			if err != nil {
				return nil, nil, err
			}
			histogram, err := meters.Meter("bench").Float64Histogram("bench.seconds")
			if err != nil {
				return nil, nil, err
			}
			options := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
				attribute.String("gen_ai.operation.name", "chat"), attribute.String("gen_ai.provider.name", "openai"),
				attribute.String("gen_ai.request.model", modelName)))}
			stats, tracer := streamedStats(), traces.Tracer("bench")
			spans := func(each func(context.Context)) func(int) {
				return func(n int) {
					for range n {
						ctx, s := tracer.Start(context.Background(), "POST", trace.WithSpanKind(trace.SpanKindServer))
						each(ctx)
						s.End()
					}
				}
			}
			return []Case{
				{Name: record, Run: func(n int) {
					for range n {
						histogram.Record(context.Background(), .3, options...)
					}
				}},
				{Name: span, Run: spans(func(context.Context) {})},
				{Name: spanned, Run: spans(func(ctx context.Context) { both.Request(ctx, &stats) })},
				{Name: metrics, Run: func(n int) {
					for range n {
						alone.Request(context.Background(), &stats)
					}
				}},
			}, func() {}, nil
		},
	}
}

// streamedStats is a request like those of the stream case, at its end.
func streamedStats() observe.RequestStats {
	const ms = time.Millisecond
	return observe.RequestStats{
		Labels:       observe.Labels{Model: modelName, Operation: observe.OperationChat, Provider: "openai"},
		RequestModel: modelName, ResponseModel: modelName, Start: time.Now(), Stream: true, Protocol: observe.ProtocolOpenAI,
		Duration: 3000 * ms, TTFB: 1 * ms, FirstEvent: 1 * ms, TTFT: 300 * ms, FirstContent: 300 * ms, LastToken: 2900 * ms,
		Decode: 2600 * ms, TPOT: 10 * ms, Valid: observe.FieldTTFB | observe.FieldFirstEvent | observe.FieldTTFT |
			observe.FieldFirstContent | observe.FieldLastToken | observe.FieldDecode | observe.FieldTPOT,
		TokenEvents: 256, Gaps: 255, GapSum: 2600 * ms, GapMax: 40 * ms,
		Usage: observe.Usage{Input: 9, Output: 256}, InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage,
		FinishReason: "stop", FinishReasonRaw: "stop", StatusCode: 200, Code: "200", ResponseBytes: 44_000, Complete: true,
	}
}
