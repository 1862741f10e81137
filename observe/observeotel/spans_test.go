package observeotel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// tracerProvider makes the tracer it is.
type tracerProvider struct {
	trace.TracerProvider
	tracer trace.Tracer
}

func (p tracerProvider) Tracer(string, ...trace.TracerOption) trace.Tracer { return p.tracer }

// prompt is text that may never leave the process.
const prompt = "MY SECRET PROMPT"

// sse writes server-sent events.
func sse(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		_, _ = io.WriteString(w, "data: "+e+"\n\n")
	}
}

const (
	tokenEvent = `{"choices":[{"delta":{"content":"` + prompt + `"}}]}`
	errorEvent = `{"error":{"type":"overloaded","message":"` + prompt + `"}}`
)

// endings are a request for each outcome.
var endings = []struct {
	outcome observe.Outcome
	errType string
	status  codes.Code
	run     func(context.Context, *observe.Recorder)
}{
	{observe.OutcomeOK, "", codes.Unset, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(w http.ResponseWriter, _ *http.Request) { sse(w, tokenEvent, "[DONE]") })
	}},
	{observe.OutcomeClientError, "429", codes.Unset, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	}},
	{observe.OutcomeServerError, "503", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, prompt, http.StatusServiceUnavailable) })
	}},
	{observe.OutcomeServerError, "_OTHER", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		_, q := rec.Start(ctx, observe.RequestInfo{Model: "m", Operation: observe.OperationChat})
		q.End(errors.New(prompt))
	}},
	{observe.OutcomeClientDisconnect, "client_disconnect", codes.Unset, func(ctx context.Context, rec *observe.Recorder) {
		ctx, cancel := context.WithCancel(ctx)
		serve(ctx, rec, "m", func(w http.ResponseWriter, _ *http.Request) { sse(w, tokenEvent); cancel() })
	}},
	{observe.OutcomeTimeout, "timeout", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		_, q := rec.Start(ctx, observe.RequestInfo{Model: "m", Operation: observe.OperationChat})
		q.End(context.DeadlineExceeded)
	}},
	{observe.OutcomeAborted, "aborted", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}},
	{observe.OutcomePanic, "panic", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(http.ResponseWriter, *http.Request) { panic(prompt) })
	}},
	{observe.OutcomeStreamError, "stream_error", codes.Error, func(ctx context.Context, rec *observe.Recorder) {
		serve(ctx, rec, "m", func(w http.ResponseWriter, _ *http.Request) { sse(w, tokenEvent, errorEvent) })
	}},
}

// attrsOf returns the attributes of a span as k=v words.
func attrsOf(s sdktrace.ReadOnlySpan) []string { return show(attribute.NewSet(s.Attributes()...)) }

func TestSpanOfEachOutcome(t *testing.T) {
	for _, mode := range []SpanMode{SpanAnnotate, SpanChild} {
		for _, e := range endings {
			t.Run(mode.String()+"/"+e.outcome.String()+"/"+e.errType, func(t *testing.T) {
				r := newRig(t, ServingConfig{Spans: mode})
				ctx, server := r.traces.Tracer("http").Start(context.Background(), "POST /v1/chat/completions", trace.WithSpanKind(trace.SpanKindServer))
				e.run(ctx, r.recorder(t, observe.Config{}))
				server.End()
				ended := r.spans.Ended()
				span := ended[0]
				if mode == SpanAnnotate {
					require.Len(t, ended, 1)
					assert.Equal(t, "POST /v1/chat/completions", span.Name())
				} else {
					require.Len(t, ended, 2)
					assert.Equal(t, "chat m", span.Name())
					assert.Equal(t, trace.SpanKindInternal, span.SpanKind())
					assert.Equal(t, server.SpanContext().SpanID(), span.Parent().SpanID())
					assert.Empty(t, ended[1].Attributes())
				}
				assert.Equal(t, sdktrace.Status{Code: e.status}, span.Status())
				got := attrsOf(span)
				assert.Contains(t, got, "llm.server.outcome="+e.outcome.String())
				assert.Contains(t, got, "gen_ai.operation.name=chat")
				assert.Contains(t, got, "gen_ai.request.model=m")
				if e.errType == "" {
					assert.NotContains(t, strings.Join(got, " "), "error.type")
				} else {
					assert.Contains(t, got, "error.type="+e.errType)
				}
				assert.Empty(t, span.Events())
				assert.NotContains(t, strings.Join(got, " "), prompt)
			})
		}
	}
}

// TestSpanAttributes: all of them, by convention.
func TestSpanAttributes(t *testing.T) {
	v141, inference := "gen_ai.usage.cache_creation.input_tokens=5", "gen_ai.usage.cache_write.input_tokens=5"
	for _, tt := range []struct {
		semconv Semconv
		written []string
	}{{SemconvV1_41, []string{v141}}, {SemconvInference, []string{inference}}, {SemconvBoth, []string{v141, inference}}} {
		t.Run(tt.semconv.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, ServingConfig{Semconv: tt.semconv, ServerAddress: "llm.example", ServerPort: 443})
				began := time.Now()
				everything(r.recorder(t, observe.Config{}))
				spans := r.spans.Ended()
				require.Len(t, spans, 2)
				assert.Equal(t, "chat m", spans[0].Name())
				assert.Equal(t, began, spans[0].StartTime())
				assert.Equal(t, began.Add(130*time.Millisecond), spans[0].EndTime())
				assert.False(t, spans[0].Parent().IsValid())
				assert.ElementsMatch(t, append([]string{
					"gen_ai.operation.name=chat", "gen_ai.provider.name=openai", "gen_ai.request.model=m", "gen_ai.request.stream=true",
					"gen_ai.response.model=m-2026", `gen_ai.response.finish_reasons=["stop"]`, "gen_ai.response.time_to_first_chunk=0.03",
					"gen_ai.usage.input_tokens=40", "gen_ai.usage.output_tokens=9", "gen_ai.usage.cache_read.input_tokens=30",
					"gen_ai.usage.reasoning.output_tokens=4", "llm.server.time_to_first_token=0.05", "llm.server.outcome=ok",
					"server.address=llm.example", "server.port=443",
				}, tt.written...), attrsOf(spans[0]))
				// What is not known is not there.
				assert.ElementsMatch(t, []string{
					"gen_ai.operation.name=chat", "gen_ai.provider.name=custom", "gen_ai.request.model=m", "gen_ai.request.stream=false",
					"error.type=_OTHER", "llm.server.outcome=server_error", "server.address=llm.example", "server.port=443",
				}, attrsOf(spans[1]))
				assert.Equal(t, sdktrace.Status{Code: codes.Error}, spans[1].Status())
			})
		})
	}
}

// TestAnnotateNeedsARecordingSpan: without one there is a child.
func TestAnnotateNeedsARecordingSpan(t *testing.T) {
	r := newRig(t, ServingConfig{})
	rec := r.recorder(t, observe.Config{})
	tracer := r.traces.Tracer("http")
	run := func(ctx context.Context) {
		_, q := rec.Start(ctx, observe.RequestInfo{Model: "m"})
		q.End(nil)
	}

	ended, span := tracer.Start(context.Background(), "ended")
	span.End()
	run(ended)
	require.Len(t, r.spans.Ended(), 2)
	assert.Equal(t, "other m", r.spans.Ended()[1].Name())
	assert.Equal(t, span.SpanContext().SpanID(), r.spans.Ended()[1].Parent().SpanID())
	assert.Empty(t, r.spans.Ended()[0].Attributes())

	// A remote parent, as a propagator leaves it, does not record here.
	r.spans.Reset()
	remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	run(trace.ContextWithRemoteSpanContext(context.Background(), remote))
	require.Len(t, r.spans.Ended(), 1)
	assert.Equal(t, trace.TraceID{1}, r.spans.Ended()[0].SpanContext().TraceID())

	// A trace that is not sampled stays so: the child does not record either.
	r.spans.Reset()
	run(trace.ContextWithRemoteSpanContext(context.Background(), remote.WithTraceFlags(0)))
	run(trace.ContextWithSpanContext(context.Background(), remote.WithTraceFlags(0)))
	assert.Empty(t, r.spans.Ended())
	assert.Zero(t, rec.Losses().CallbackPanics)

	// Without a TracerProvider, a recording span is left alone.
	r = newRig(t, ServingConfig{MeterProvider: r.cfg.MeterProvider})
	ctx, own := r.traces.Tracer("http").Start(context.Background(), "own")
	_, q := r.recorder(t, observe.Config{}).Start(ctx, observe.RequestInfo{})
	q.End(nil)
	own.End()
	assert.Empty(t, r.spans.Ended()[0].Attributes())
}

// samplerOf sees what a sampler may decide by.
type samplerOf struct {
	sdktrace.Sampler
	seen *[]string
}

func (s samplerOf) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	*s.seen = show(attribute.NewSet(p.Attributes...))
	return s.Sampler.ShouldSample(p)
}

func TestSamplerSeesTheModel(t *testing.T) {
	var seen []string
	spans := tracetest.NewSpanRecorder()
	r := newRig(t, ServingConfig{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans),
		sdktrace.WithSampler(samplerOf{sdktrace.NeverSample(), &seen}))})
	_, q := r.recorder(t, observe.Config{}).Start(context.Background(), observe.RequestInfo{Model: "m", Provider: "own"})
	q.End(nil)
	assert.Equal(t, []string{"gen_ai.operation.name=other", "gen_ai.provider.name=own", "gen_ai.request.model=m"}, seen)
	assert.Empty(t, spans.Ended())
}

// TestHostileTextOnSpans: names and reasons are cut and cleaned.
func TestHostileTextOnSpans(t *testing.T) {
	r := newRig(t, ServingConfig{})
	rec := r.recorder(t, observe.Config{MaxModels: 1})
	for _, text := range []string{"good", strings.Repeat("x", 1<<20), "\xff\xfe", "a\x00b\nc", strings.Repeat("é", 200), strings.Repeat("\x80", 300)} {
		_, q := rec.Start(context.Background(), observe.RequestInfo{Model: text})
		q.SetResponseModel(text)
		q.SetFinishReason(text)
		q.End(nil)
	}
	spans := r.spans.Ended()
	require.Len(t, spans, 6)
	for i, s := range spans {
		assert.Less(t, len(s.Name()), 128)
		for _, kv := range s.Attributes() {
			v := kv.Value.String()
			assert.LessOrEqual(t, len(v), 3*maxTextBytes+4, kv.Key)
			assert.True(t, utf8.ValidString(v), kv.Key)
			assert.NotContains(t, v, "\x00")
			assert.NotContains(t, v, "\n")
		}
		if i > 0 {
			assert.Equal(t, "other other", s.Name())
		}
	}
	assert.Contains(t, attrsOf(spans[3]), "gen_ai.request.model=a\uFFFDb\uFFFDc")
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "m": "m", "é": "é", "a\tb": "a\uFFFDb", "\xffa": "\uFFFDa",
		strings.Repeat("a", 256):       strings.Repeat("a", 256),
		strings.Repeat("a", 257):       strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "é": strings.Repeat("a", 255),
	} {
		assert.Equal(t, want, clean(in), "%.20q", in)
	}
}
