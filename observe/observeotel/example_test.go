package observeotel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeotel"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A chat handler is measured once, and OpenTelemetry has its counters.
func Example() {
	reader := sdkmetric.NewManualReader() // a program has a PeriodicReader with an exporter
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	otel, err := observeotel.NewServing(observeotel.ServingConfig{MeterProvider: meters})
	if err != nil {
		fmt.Println(err)
		return
	}
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{otel}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", rec.Middleware(http.HandlerFunc(chat)))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"small"}`)))

	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if m.Name != "llm.server.tokens" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			kind, _ := p.Attributes.Value("type")
			fmt.Println(m.Name, kind.AsString(), p.Value)
		}
	}
	// Unordered output:
	// llm.server.tokens input 12
	// llm.server.tokens output 2
}

func chat(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range []string{
		`{"choices":[{"delta":{"content":"Hel"}}]}`,
		`{"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}`,
		`{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2}}`,
		`[DONE]`,
	} {
		_, _ = io.WriteString(w, "data: "+event+"\n\n")
	}
}

// A Serving with a TracerProvider writes a span for each request, unless there is
// a recording one in its context already.
func ExampleServing() {
	spans := tracetest.NewSpanRecorder()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))

	otel, err := observeotel.NewServing(observeotel.ServingConfig{TracerProvider: traces})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer otel.Close()
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{otel}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "small", Operation: observe.OperationChat})
	req.Token(1)
	req.End(errors.New("out of memory"))

	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.SpanKind(), s.Status().Code)
	}
	// Output:
	// chat small internal Error
}

// All faults of a ServingConfig are reported at once.
func ExampleServingConfig() {
	_, err := observeotel.NewServing(observeotel.ServingConfig{ServerPort: 443, Semconv: 7})
	fmt.Println(err)
	// Output:
	// observeotel: ServingConfig.MeterProvider = nil and TracerProvider = nil: want one of them
	// observeotel: ServingConfig.Semconv = 7 is not a convention
	// observeotel: ServingConfig.ServerPort = 443 without a ServerAddress
}

// Both conventions side by side, while dashboards move from one to the other.
func ExampleSemconv() {
	cfg := observeotel.ServingConfig{MeterProvider: noop.NewMeterProvider(), Semconv: observeotel.SemconvBoth}
	_, err := observeotel.NewServing(cfg)
	fmt.Println(cfg.Semconv, err)
	// Output:
	// both <nil>
}

// A span of its own for each request, below the span of the HTTP server.
func ExampleSpanMode() {
	spans := tracetest.NewSpanRecorder()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	otel, err := observeotel.NewServing(observeotel.ServingConfig{TracerProvider: traces, Spans: observeotel.SpanChild})
	if err != nil {
		fmt.Println(err)
		return
	}
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{otel}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, server := traces.Tracer("http").Start(context.Background(), "POST /v1/embeddings")
	_, req := rec.Start(ctx, observe.RequestInfo{Model: "small", Operation: observe.OperationEmbeddings})
	req.End(nil)
	server.End()

	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.Parent().SpanID() == server.SpanContext().SpanID())
	}
	// Output:
	// embeddings small true
	// POST /v1/embeddings false
}
