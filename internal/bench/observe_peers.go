package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// A middleware wraps a handler.
type middleware func(http.Handler) http.Handler

// withObserve is package under measurement: all metrics, exported by
// observeprom.
func withObserve(cfg observe.Config, serving observeprom.ServingConfig) (middleware, error) {
	serving.Registerer = prometheus.NewRegistry()
	sink, err := observeprom.NewServing(serving)
	if err != nil {
		return nil, err
	}
	cfg.Sinks = []observe.Sink{sink}
	rec, err := observe.New(cfg)
	if err != nil {
		return nil, err
	}
	return rec.Middleware, nil
}

// withPromhttp is the chain of client_golang that users write: requests in
// flight, their duration, their number and the size of the responses. It knows
// nothing of tokens.
func withPromhttp() (middleware, error) {
	labels := []string{"code", "method"}
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Buckets: prometheus.DefBuckets}, labels)
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, labels)
	size := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_response_size_bytes", Buckets: prometheus.ExponentialBuckets(100, 10, 6)}, labels)
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{inFlight, duration, requests, size} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return func(next http.Handler) http.Handler {
		return promhttp.InstrumentHandlerInFlight(inFlight,
			promhttp.InstrumentHandlerDuration(duration,
				promhttp.InstrumentHandlerCounter(requests,
					promhttp.InstrumentHandlerResponseSize(size, next))))
	}, nil
}

// withOtelhttp is otelhttp with the metrics of the OpenTelemetry SDK and no
// traces. It records the duration and two body sizes.
func withOtelhttp() (middleware, error) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	return func(next http.Handler) http.Handler {
		return otelhttp.NewHandler(next, "chat", otelhttp.WithMeterProvider(meters), otelhttp.WithTracerProvider(tracenoop.NewTracerProvider()))
	}, nil
}

// A chatChunk is what a gateway decodes of a chunk.
type chatChunk struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
	} `json:"usage"`
}

// decode decodes each data line of b, and returns the usage if one has it.
func decode(b []byte) (prompt, completion int64) {
	for line := range bytes.Lines(b) {
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		var c chatChunk
		if json.Unmarshal(data, &c) == nil && c.Usage != nil {
			prompt, completion = c.Usage.PromptTokens, c.Usage.CompletionTokens
		}
	}
	return prompt, completion
}

// withUnmarshal decodes each chunk with encoding/json and takes no time: how
// most gateways find out what a chunk holds.
func withUnmarshal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&decodingWriter{ResponseWriter: w}, r)
	})
}

type decodingWriter struct {
	http.ResponseWriter
	prompt, completion int64
}

func (w *decodingWriter) Write(b []byte) (int, error) {
	if p, c := decode(b); p+c > 0 {
		w.prompt, w.completion = p, c
	}
	return w.ResponseWriter.Write(b)
}

func (w *decodingWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// withTee keeps a copy of the whole body and reads its last chunk with usage
// at the end: no first token, no gaps, and memory that grows with the answer.
func withTee(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tee := &teeWriter{ResponseWriter: w}
		next.ServeHTTP(tee, r)
		body := strings.TrimSuffix(tee.body.String(), "data: [DONE]\n\n")
		tee.prompt, tee.completion = decode([]byte(body[strings.LastIndex(body, "data: "):]))
	})
}

type teeWriter struct {
	http.ResponseWriter
	body               bytes.Buffer
	prompt, completion int64
}

func (w *teeWriter) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *teeWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }
