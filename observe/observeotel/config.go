package observeotel

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ServingConfig configures a Serving. One of the two providers is required.
type ServingConfig struct {
	// MeterProvider makes the instruments. Nil: no metrics.
	MeterProvider metric.MeterProvider

	// TracerProvider makes the spans. Nil: no spans are made or annotated.
	TracerProvider trace.TracerProvider

	// Semconv selects the names of the GenAI conventions. Defaults to
	// SemconvV1_41.
	Semconv Semconv

	// Spans says which span tells of a request. Defaults to SpanAnnotate.
	Spans SpanMode

	// ServerAddress is server.address on spans and gen_ai metrics: the name of
	// this server, never a Host header. Defaults to absent.
	ServerAddress string

	// ServerPort is server.port beside ServerAddress, 1 to 65535. Defaults to
	// absent.
	ServerPort int

	// StreamAttribute adds gen_ai.request.stream to the request duration, for
	// servers whose streams would spoil the percentiles of their short answers.
	// Defaults to false.
	StreamAttribute bool

	// ITLHistogram records each gap between tokens in the histogram
	// llm.server.inter_token_latency too, at the price of a Record a token.
	// Defaults to false: the counters llm.server.inter_token_gaps are enough for
	// quantiles.
	ITLHistogram bool
}

// SpanMode selects the span that carries what is known of a request.
type SpanMode uint8

// The span modes.
const (
	// SpanAnnotate adds attributes and status to the span of the request's
	// context, which otelhttp made outside the middleware. If there is none that
	// records, it is as SpanChild.
	SpanAnnotate SpanMode = iota
	// SpanChild makes a span of its own for each request: kind INTERNAL, named
	// after operation and model, from arrival to end.
	SpanChild
)

// String returns annotate or child.
func (m SpanMode) String() string {
	switch m {
	case SpanAnnotate:
		return "annotate"
	case SpanChild:
		return "child"
	}
	return "unknown"
}

const maxAddressBytes = 255

// validate reports every fault of c at once.
func (c *ServingConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("observeotel: ServingConfig."+format, args...))
	}
	if c.MeterProvider == nil && c.TracerProvider == nil {
		bad("MeterProvider = nil and TracerProvider = nil: want one of them")
	}
	if c.Semconv > SemconvBoth {
		bad("Semconv = %d is not a convention", c.Semconv)
	}
	if c.Spans > SpanChild {
		bad("Spans = %d is not a mode", c.Spans)
	}
	if a := c.ServerAddress; len(a) > maxAddressBytes || !utf8.ValidString(a) || strings.ContainsFunc(a, unicode.IsControl) {
		bad("ServerAddress = %.280q: want at most %d bytes of UTF-8 without control characters", a, maxAddressBytes)
	}
	switch {
	case c.ServerPort < 0 || c.ServerPort > 65535:
		bad("ServerPort = %d: want 1 to 65535, or 0 for none", c.ServerPort)
	case c.ServerPort > 0 && c.ServerAddress == "":
		bad("ServerPort = %d without a ServerAddress", c.ServerPort)
	}
	return errors.Join(errs...)
}
