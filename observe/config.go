package observe

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Defaults and bounds of a Config.
const (
	defaultMaxModels = 100
	defaultPeekBytes = 64 << 10
	maxNameBytes     = 128 // longest model name that may become a label value
)

// Config configures a Recorder. The zero value is valid and records into nothing.
type Config struct {
	// Sinks each get every request. Defaults to none.
	Sinks []Sink

	// OnRequest is called once for each finished request, after the sinks, on the
	// goroutine that ended it. Defaults to none.
	OnRequest func(RequestStats)

	// Models are the names that may be label values; any other reads "other".
	// Listed models have series at zero before any traffic. Defaults to the first
	// MaxModels names seen.
	Models []string

	// MaxModels bounds the model names that become label values. Defaults to 100,
	// or to the number of Models if that is more.
	MaxModels int

	// Provider is the gen_ai.provider.name of requests whose RequestInfo has
	// none. Defaults to the flavour of the path or the protocol: openai,
	// anthropic, ollama, gcp.gemini; else "custom".
	Provider string

	// FirstToken is the event that ends TTFT, and so what a token event is.
	// Defaults to FirstTokenOutput.
	FirstToken FirstToken

	// CountEvents takes the number of token events for the number of output
	// tokens when neither SetUsage nor the response gave one. An event may carry
	// several tokens, so this is a lower bound. Defaults to false.
	CountEvents bool

	// Classify names the request and says whether to measure it; with measure
	// false the handler runs as if there were no middleware. Empty fields of info
	// are filled in from the path table. Defaults to that table (doc.go),
	// measuring everything.
	Classify func(*http.Request) (info RequestInfo, measure bool)

	// NoPeek never reads ahead in the request body for the model name. Defaults
	// to false.
	NoPeek bool

	// PeekBytes is the most bytes read ahead. Defaults to 65536.
	PeekBytes int

	// SLO holds the objectives. Defaults to none.
	SLO SLO

	// MeasureSelf records what the Recorder itself costs, at the price of two
	// more clock readings a Write. Defaults to false.
	MeasureSelf bool
}

// FirstToken selects the event that ends the time to first token. The same
// choice decides what a token event is for inter-token latency, decode time and
// time per output token.
type FirstToken uint8

// The first-token modes.
const (
	// FirstTokenOutput is the first event that carries output: text, reasoning,
	// refusal, audio or a tool call.
	FirstTokenOutput FirstToken = iota
	// FirstTokenContent is the same less reasoning: what a reader sees.
	FirstTokenContent
	// FirstTokenChunk is the first data event of any kind, also a role-only
	// prelude. It is what many products report, and is here to compare with them.
	FirstTokenChunk
)

// Operation is what the request asks for, in the words of the OpenTelemetry
// GenAI conventions. Up to 16 other values may be used; further ones read "other".
type Operation string

// The operations of the path table. The zero value reads as OperationOther.
const (
	OperationChat            Operation = "chat"
	OperationTextCompletion  Operation = "text_completion"
	OperationEmbeddings      Operation = "embeddings"
	OperationGenerateContent Operation = "generate_content"
	OperationOther           Operation = "other"
)

// Protocol is the dialect of a response.
type Protocol uint8

// The protocols. ProtocolAuto decides by the shape of the first event that has
// a known one; until then the rules of ProtocolGeneric hold. ProtocolNone parses
// nothing.
const (
	ProtocolAuto Protocol = iota
	ProtocolOpenAI
	ProtocolResponses
	ProtocolAnthropic
	ProtocolOllama
	ProtocolGeneric
	ProtocolNone
)

var protocolWords = [...]string{"auto", "openai", "responses", "anthropic", "ollama", "generic", "none"}

// String returns the protocol's name in lower case.
func (p Protocol) String() string {
	if int(p) < len(protocolWords) {
		return protocolWords[p]
	}
	return fmt.Sprintf("Protocol(%d)", uint8(p))
}

// RequestInfo is what is known of a request when it arrives. The zero value
// leaves everything to the path, the body and the response.
type RequestInfo struct {
	Model     string    // Defaults to the model of the body, then of the response, then "unknown".
	Provider  string    // Defaults to Config.Provider.
	Priority  string    // Labels the queue histogram: the first 16 values, then "other". Defaults to "".
	Operation Operation // Defaults to OperationOther.
	Protocol  Protocol  // Defaults to ProtocolAuto.
	Received  time.Time // Arrival, with its monotonic reading. Defaults to now.
}

// validate reports every fault of c at once.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("observe: Config."+format, args...))
	}
	for i, s := range c.Sinks {
		if s == nil {
			bad("Sinks[%d] is nil", i)
		}
	}
	seen := make(map[string]bool, len(c.Models))
	for i, m := range c.Models {
		switch {
		case !validName(m):
			bad("Models[%d] = %.140q: want 1 to %d bytes of UTF-8 without control characters", i, m, maxNameBytes)
		case seen[m]:
			bad("Models[%d] = %q is listed twice", i, m)
		}
		seen[m] = true
	}
	if c.MaxModels < 0 {
		bad("MaxModels = %d is negative", c.MaxModels)
	} else if c.MaxModels > 0 && len(c.Models) > c.MaxModels {
		bad("Models has %d names, more than MaxModels = %d", len(c.Models), c.MaxModels)
	}
	if c.Provider != "" && !validName(c.Provider) {
		bad("Provider = %.140q: want at most %d bytes of UTF-8 without control characters", c.Provider, maxNameBytes)
	}
	if c.FirstToken > FirstTokenChunk {
		bad("FirstToken = %d is not a mode", c.FirstToken)
	}
	if c.PeekBytes < 0 {
		bad("PeekBytes = %d is negative", c.PeekBytes)
	}
	for _, o := range []struct {
		name string
		d    time.Duration
	}{{"TTFT", c.SLO.TTFT}, {"TPOT", c.SLO.TPOT}, {"Duration", c.SLO.Duration}} {
		if o.d < 0 {
			bad("SLO.%s = %v is negative", o.name, o.d)
		}
	}
	return errors.Join(errs...)
}
