package ecslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Profile is the form of a line.
type Profile uint8

// The profiles.
const (
	ProfileECS  Profile = iota // Elastic Common Schema, dotted keys
	ProfileOTel                // OpenTelemetry's log data model as JSON
)

// ContentMode is what becomes of prompts, answers and the like.
type ContentMode uint8

// The content modes.
const (
	ContentHash ContentMode = iota // length, and with a HashKey a keyed hash
	ContentOff                     // nothing
	ContentFull                    // the text itself
)

// Service says which process writes. Empty fields are left out. Each is at most 256
// bytes of UTF-8 without control characters.
type Service struct {
	Name        string // service.name
	Version     string // service.version
	Environment string // service.environment; OTel: deployment.environment.name
	NodeName    string // service.node.name; OTel: service.instance.id
}

// TraceContext is what a line needs of a span. An ID of zeros is left out.
type TraceContext struct {
	TraceID [16]byte // trace.id; OTel: trace_id
	SpanID  [8]byte  // span.id; OTel: span_id
	Flags   byte     // W3C trace flags; written in the OTel profile only
}

// Config configures a Handler.
type Config struct {
	// Profile is the form of the lines. Defaults to ProfileECS.
	Profile Profile
	// Level is the lowest level that is written. Defaults to slog.LevelInfo.
	Level slog.Leveler
	// Service is written on every line. Defaults to none of its fields.
	Service Service
	// Dataset is event.dataset of the ECS profile, at most 256 bytes. Defaults to
	// Service.Name.
	Dataset string
	// AddSource writes where the line was logged as log.origin.*. Defaults to false:
	// it costs several allocations a line.
	AddSource bool
	// Trace returns the span of a context, or false. It is called on the logging
	// goroutine and must be safe for concurrent use. Defaults to nil: no trace ids.
	Trace func(context.Context) (TraceContext, bool)
	// Content is what becomes of content. Defaults to ContentHash.
	Content ContentMode
	// ContentKeys are the keys that hold content: an attribute is content if any part
	// of its dotted name is one of them, whatever the case of its letters. Defaults to
	// prompt, completion, messages, input, output, content, text, system,
	// system_instructions, arguments, tool_arguments and tool_result. The flattened
	// gen_ai fields of ECS are content always, its other fields never.
	ContentKeys []string
	// HashKey is the secret of the keyed hash of ContentHash, at least 16 bytes.
	// Defaults to none: only the length is written.
	HashKey []byte
	// Redact replaces attributes before anything else sees them, as ReplaceAttr of
	// slog.HandlerOptions does: it is called with each attribute that is no group,
	// and with the message under slog.MessageKey, and an empty Attr leaves it out. The
	// groups are valid during the call. It must be safe for concurrent use. Defaults
	// to nil.
	Redact func(groups []string, a slog.Attr) slog.Attr
	// Sample thins out what is below slog.LevelWarn. Defaults to the zero value: off.
	Sample Sample
	// MaxValueBytes is the length at which a string is cut, 64 or more. Strings other
	// than the message, error.message and error.stack_trace are also cut at 32,766
	// bytes, the longest term of Lucene. Defaults to 32 KiB.
	MaxValueBytes int
	// MaxLineBytes is the length of the longest line, newline included, 16 KiB to
	// 16 MiB. Defaults to 256 KiB.
	MaxLineBytes int
	// ErrorStack writes error.stack_trace: what the error prints for %+v if one of its
	// chain is a fmt.Formatter, else the stack of the logging call. Defaults to false.
	ErrorStack bool
}

const (
	defaultValueBytes = 32 << 10
	defaultLineBytes  = 256 << 10
	minValueBytes     = 64
	minLineBytes      = 16 << 10
	maxLineBytes      = 16 << 20
	minHashKey        = 16
	maxNameBytes      = 256 // of a key, and of the texts of a Service
)

var defaultContentKeys = []string{
	"prompt", "completion", "messages", "input", "output", "content", "text", "system",
	"system_instructions", "arguments", "tool_arguments", "tool_result",
}

// withDefaults returns the Config with its defaults and copies of its slices, or
// every fault of it.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(bad bool, field string, value any, want string) {
		if bad {
			faults = append(faults, fmt.Errorf("ecslog: Config.%s is %v: %s", field, value, want))
		}
	}
	name := func(field, value string) {
		fault(!plainName(value), field, fmt.Sprintf("%.40q", value), "want at most 256 bytes of UTF-8 without control characters")
	}
	fault(c.Profile > ProfileOTel, "Profile", c.Profile, "want ProfileECS or ProfileOTel")
	fault(c.Content > ContentFull, "Content", c.Content, "want ContentHash, ContentOff or ContentFull")
	name("Service.Name", c.Service.Name)
	name("Service.Version", c.Service.Version)
	name("Service.Environment", c.Service.Environment)
	name("Service.NodeName", c.Service.NodeName)
	name("Dataset", c.Dataset)
	for i, k := range c.ContentKeys {
		fault(k == "" || strings.Contains(k, "."), fmt.Sprintf("ContentKeys[%d]", i), fmt.Sprintf("%q", k), "want a key without dots")
	}
	fault(len(c.HashKey) > 0 && len(c.HashKey) < minHashKey, "HashKey", fmt.Sprintf("of %d bytes", len(c.HashKey)), "want none or at least 16 bytes")
	fault(!(c.Sample.PerSecond >= 0 && c.Sample.PerSecond <= maxPerSecond), "Sample.PerSecond", c.Sample.PerSecond, "want 0 to 1e9")
	fault(c.Sample.Burst < 0, "Sample.Burst", c.Sample.Burst, "want 0 or more")
	fault(c.Sample.Keys < 0 || c.Sample.Keys > maxSampleKeys, "Sample.Keys", c.Sample.Keys, "want 0 to 1048576")
	fault(c.Sample.PerSecond == 0 && c.Sample.Burst > 0, "Sample.Burst", c.Sample.Burst, "want PerSecond with it")
	fault(c.MaxValueBytes != 0 && c.MaxValueBytes < minValueBytes, "MaxValueBytes", c.MaxValueBytes, "want 0 or at least 64")
	fault(c.MaxLineBytes != 0 && (c.MaxLineBytes < minLineBytes || c.MaxLineBytes > maxLineBytes), "MaxLineBytes", c.MaxLineBytes, "want 0 or 16384 to 16777216")
	if len(faults) > 0 {
		return Config{}, errors.Join(faults...)
	}
	if c.Level == nil {
		c.Level = slog.LevelInfo
	}
	if c.Dataset == "" {
		c.Dataset = c.Service.Name
	}
	if c.MaxValueBytes == 0 {
		c.MaxValueBytes = defaultValueBytes
	}
	if c.MaxLineBytes == 0 {
		c.MaxLineBytes = defaultLineBytes
	}
	if len(c.ContentKeys) == 0 {
		c.ContentKeys = defaultContentKeys
	}
	c.ContentKeys = append([]string(nil), c.ContentKeys...)
	c.HashKey = append([]byte(nil), c.HashKey...)
	c.Sample = c.Sample.withDefaults()
	return c, nil
}

func plainName(s string) bool {
	return len(s) <= maxNameBytes && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
