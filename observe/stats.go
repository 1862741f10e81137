package observe

import (
	"context"
	"log/slog"
	"time"
)

// Usage counts tokens as they are billed. Input includes CachedInput and
// CacheWriteInput, Output includes ReasoningOutput. Zero is none or unknown;
// RequestStats says which by its sources.
type Usage struct {
	Input           int64 // tokens read: of the prompt, cached ones included
	Output          int64 // tokens written, reasoning included
	CachedInput     int64 // of Input: read from a cache
	CacheWriteInput int64 // of Input: written to a cache
	ReasoningOutput int64 // of Output: reasoning, shown or hidden
}

// TokenSource says where a token count came from.
type TokenSource uint8

// The sources. A count that comes from SetUsage wins over one from the response,
// and that over counted events.
const (
	TokensUnknown TokenSource = iota // nothing is known
	TokensManual                     // Request.SetUsage
	TokensUsage                      // the usage object of the response
	TokensEvents                     // the number of token events, with Config.CountEvents
)

var sourceWords = [...]string{"none", "manual", "usage", "events"}

// String returns none, manual, usage or events.
func (s TokenSource) String() string {
	if int(s) < len(sourceWords) {
		return sourceWords[s]
	}
	return "none"
}

// Labels identify a series: bounded values that are safe as label values.
type Labels struct {
	Model     string    // one of Config.Models or the first names seen; "other", "unknown"
	Operation Operation // bounded
	Provider  string    // bounded
}

// Field is a bit for each duration of RequestStats that may be absent.
type Field uint16

// The fields, as asked for with [RequestStats.Has].
const (
	FieldTTFB Field = 1 << iota
	FieldFirstEvent
	FieldTTFT
	FieldFirstContent
	FieldLastToken
	FieldQueue
	FieldPrefill
	FieldDecode
	FieldTPOT
)

// RequestStats is one finished request. Durations count from Start unless said
// otherwise; a duration that is absent is zero, and Has tells it from a real
// zero. The pointer that a sink gets is valid during the call only.
type RequestStats struct {
	Labels               // Model, Operation, Provider: bounded
	RequestModel  string // as asked for; from the client, so not for labels
	ResponseModel string // as answered; not for labels
	Route         string // the pattern that the mux matched, less its method; not set by all routers
	Priority      string // of RequestInfo, bounded

	Start    time.Time // arrival
	Stream   bool      // the response was SSE or NDJSON, or Token was called
	Protocol Protocol  // dialect of the response

	Duration     time.Duration // arrival to the end of the handler, or to End
	TTFB         time.Duration // first body byte accepted, or first flush, or the end
	FirstEvent   time.Duration // first data event of a stream
	TTFT         time.Duration // first token event
	FirstContent time.Duration // first token event that is not reasoning
	Reasoned     bool          // reasoning came before any other output
	LastToken    time.Duration // last token event
	Queue        time.Duration // first Queued (or arrival) to the last Scheduled before the first token
	Prefill      time.Duration // that Scheduled to the first token
	Decode       time.Duration // first token to last token
	TPOT         time.Duration // Decode / (output tokens - 1); outcome ok only
	Valid        Field         // the durations above that are present

	TokenEvents int           // events that carried output
	Gaps        int           // inter-token gaps: TokenEvents less the first batch
	GapSum      time.Duration // sum of the gaps: LastToken - TTFT
	GapMax      time.Duration // the longest gap
	Preemptions int           // calls of Preempted
	Abandoned   bool          // ended while it waited for its first token; Queue is the wait

	Usage        Usage       // tokens, as far as they are known
	InputSource  TokenSource // where Usage.Input came from
	OutputSource TokenSource // where Usage.Output came from

	FinishReason    string // normalised: stop, length, tool_calls, content_filter, or as sent (bounded)
	FinishReasonRaw string // as sent

	Outcome     Outcome       // how it ended
	ErrorType   string        // bounded word; empty on success
	ErrorDetail string        // type or code of an error event, at most 64 bytes; not for labels
	Err         error         // given to End, or a panic's value as an error
	SLO         Attainment    // which objectives it met
	Overhead    time.Duration // own cost, with Config.MeasureSelf
	Value       any           // of SetValue

	StatusCode    int    // first final HTTP status; 0: none was sent, or an error to a client that had left
	Code          string // label value: the status, "none", "other", or the code given to EndStatus
	ResponseBytes int64  // body bytes that the inner writer accepted
	Complete      bool   // the terminal event of the stream was seen

	TraceID string // of a sampled W3C traceparent header, in hex; else empty
	SpanID  string // likewise
}

// Has reports whether all durations of f are present.
func (s *RequestStats) Has(f Field) bool { return s.Valid&f == f }

// LogValue returns one group: durations in seconds, absent values left out. The
// client's own strings (model as asked for) are attributes, never keys.
func (s RequestStats) LogValue() slog.Value {
	a := make([]slog.Attr, 0, 32)
	str := func(k, v string) {
		if v != "" {
			a = append(a, slog.String(k, v))
		}
	}
	num := func(k string, v int64) {
		if v != 0 {
			a = append(a, slog.Int64(k, v))
		}
	}
	dur := func(k string, d time.Duration, f Field) {
		if s.Has(f) {
			a = append(a, slog.Float64(k, d.Seconds()))
		}
	}
	str("model", s.Model)
	str("operation", string(s.Operation))
	str("provider", s.Provider)
	if s.RequestModel != s.Model {
		str("request_model", s.RequestModel)
	}
	if s.ResponseModel != s.Model {
		str("response_model", s.ResponseModel)
	}
	str("route", s.Route)
	str("priority", s.Priority)
	str("outcome", s.Outcome.String())
	str("error_type", s.ErrorType)
	str("error_detail", s.ErrorDetail)
	if s.Err != nil {
		a = append(a, slog.String("error", s.Err.Error()))
	}
	num("status", int64(s.StatusCode))
	a = append(a, slog.Bool("stream", s.Stream), slog.Float64("duration", s.Duration.Seconds()))
	dur("ttfb", s.TTFB, FieldTTFB)
	dur("ttft", s.TTFT, FieldTTFT)
	if s.Reasoned {
		dur("first_content", s.FirstContent, FieldFirstContent)
	}
	dur("tpot", s.TPOT, FieldTPOT)
	dur("queue", s.Queue, FieldQueue)
	dur("prefill", s.Prefill, FieldPrefill)
	dur("decode", s.Decode, FieldDecode)
	if s.Gaps > 0 {
		a = append(a, slog.Float64("gap_max", s.GapMax.Seconds()))
	}
	if s.InputSource != TokensUnknown {
		a = append(a, slog.Int64("input_tokens", s.Usage.Input))
	}
	if s.OutputSource != TokensUnknown {
		a = append(a, slog.Int64("output_tokens", s.Usage.Output))
	}
	num("cached_input_tokens", s.Usage.CachedInput)
	num("reasoning_output_tokens", s.Usage.ReasoningOutput)
	num("preemptions", int64(s.Preemptions))
	num("response_bytes", s.ResponseBytes)
	str("finish_reason", s.FinishReason)
	str("trace_id", s.TraceID)
	str("span_id", s.SpanID)
	return slog.GroupValue(a...)
}

// A Sink turns finished requests into metrics. observeprom.Serving and
// observetest.Memory are sinks; a user may write their own and check it with
// observetest.TestSink. All methods may be called from many goroutines. A sink
// that panics is recovered and counted in Losses.
type Sink interface {
	// Attach is called once for each Recorder, from New. A sink keeps it to read
	// Live, Engines, Served and Losses when it is collected.
	Attach(*Recorder)
	// Series is called once for each label set and Recorder, which keeps the
	// result: label handles are resolved here, off the request's path.
	Series(Labels) SeriesSink
}

// SeriesSink gets the requests of one label set.
type SeriesSink interface {
	// Gaps merges 1 to 64 inter-token gaps while the stream runs. The slice is
	// reused after the call.
	Gaps([]time.Duration)
	// Request is called once for each request, at its end. The context is there
	// for its values (a trace): it may be cancelled.
	Request(context.Context, *RequestStats)
}
