package observeotel

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// span is what the spans of one label set share.
type span struct {
	tracer trace.Tracer
	cfg    *ServingConfig
	name   string               // {operation} {model}, of bounded words
	base   []attribute.KeyValue // operation, provider, model and server
	start  trace.SpanStartEventOption
}

// maxAttributes is how many attributes a span gets at most.
const maxAttributes = 19

func newSpan(s *Serving, l observe.Labels) *span {
	p := &span{tracer: s.tracer, cfg: &s.cfg, name: string(l.Operation), base: s.genAI(l)}
	if l.Model != unknownModel {
		p.name += " " + l.Model
	}
	p.start = trace.WithAttributes(p.base...)
	return p
}

// tell writes the request to the recording span of its context, or to a child of
// it, and returns the context of that span.
func (p *span) tell(ctx context.Context, r *observe.RequestStats) context.Context {
	if p.cfg.Spans == SpanAnnotate {
		if s := trace.SpanFromContext(ctx); s.IsRecording() {
			p.describe(s, r, append(make([]attribute.KeyValue, 0, maxAttributes), p.base...))
			return ctx
		}
	}
	// A sampler sees the attributes that are given at the start.
	ctx, s := p.tracer.Start(ctx, p.name, trace.WithSpanKind(trace.SpanKindInternal), trace.WithTimestamp(r.Start), p.start)
	if s.IsRecording() {
		p.describe(s, r, make([]attribute.KeyValue, 0, maxAttributes))
	}
	s.End(trace.WithTimestamp(r.Start.Add(r.Duration)))
	return ctx
}

// describe sets the attributes and the status. What clients and engines wrote is
// cut and cleaned; messages are never among it.
func (p *span) describe(s trace.Span, r *observe.RequestStats, a []attribute.KeyValue) {
	if r.RequestModel != r.Model {
		a = appendString(a, keyModel, clean(r.RequestModel))
	}
	a = append(a, attribute.Bool(keyStream, r.Stream))
	a = appendString(a, keyResponseModel, clean(r.ResponseModel))
	if r.FinishReasonRaw != "" {
		a = append(a, attribute.StringSlice(keyFinishReasons, []string{clean(r.FinishReasonRaw)}))
	}
	if r.Has(observe.FieldFirstEvent) {
		a = append(a, attribute.Float64(keyFirstChunk, r.FirstEvent.Seconds()))
	}
	if r.Has(observe.FieldTTFT) {
		a = append(a, attribute.Float64(keyFirstToken, r.TTFT.Seconds()))
	}
	a = p.appendUsage(a, r)
	a = appendString(a, keyErrorType, r.ErrorType)
	a = append(a, attribute.String(keySpanOutcome, r.Outcome.String()))
	s.SetAttributes(a...)
	switch r.Outcome {
	case observe.OutcomePanic, observe.OutcomeStreamError, observe.OutcomeTimeout, observe.OutcomeAborted, observe.OutcomeServerError:
		s.SetStatus(codes.Error, "") // error.type says which
	}
}

// appendUsage appends the token counts that are known; parts that are zero are
// left out, since no protocol tells them from unknown ones.
func (p *span) appendUsage(a []attribute.KeyValue, r *observe.RequestStats) []attribute.KeyValue {
	part := func(key string, n int64) {
		if n > 0 {
			a = append(a, attribute.Int64(key, n))
		}
	}
	if r.InputSource != observe.TokensUnknown {
		a = append(a, attribute.Int64(keyInputTokens, r.Usage.Input))
		part(keyCacheRead, r.Usage.CachedInput)
		if p.cfg.Semconv.has(SemconvV1_41) {
			part(keyCacheCreation, r.Usage.CacheWriteInput)
		}
		if p.cfg.Semconv.has(SemconvInference) {
			part(keyCacheWrite, r.Usage.CacheWriteInput)
		}
	}
	if r.OutputSource != observe.TokensUnknown {
		a = append(a, attribute.Int64(keyOutputTokens, r.Usage.Output))
		part(keyReasoning, r.Usage.ReasoningOutput)
	}
	return a
}

// maxTextBytes is the longest text of a client or an engine on a span.
const maxTextBytes = 256

// clean returns s as a span may carry it: short, valid UTF-8, without control
// characters.
func clean(s string) string {
	if len(s) > maxTextBytes {
		cut := maxTextBytes
		for cut > maxTextBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
