package ecslog

import (
	"encoding/hex"
	"log/slog"
	"strconv"
	"time"
)

// The ends of a line's head, and of the line, differ between the profiles. Fields
// are written with a comma before each.

// appendHeadECS begins a line with what every line has, in the order of the ECS
// logging specification.
func (l *line) appendHeadECS(b []byte, at time.Time, level int, message string, trace TraceContext) []byte {
	b = append(b, '{')
	if !at.IsZero() {
		b = append(b, `"@timestamp":`...)
		b = append(appendTime(b, at), ',')
	}
	b = append(b, `"log.level":"`...)
	b = append(b, levelNames[level]...)
	b = append(b, `","message":`...)
	b = l.appendMessage(b, message)
	b = append(b, `,"ecs.version":"`+ecsVersion+`"`...)
	names := &l.h.core.names
	if trace.TraceID != ([16]byte{}) && !l.has(names.traceID) {
		b = appendID(append(b, names.traceID.quoted...), trace.TraceID[:])
	}
	if trace.SpanID != ([8]byte{}) && !l.has(names.spanID) {
		b = appendID(append(b, names.spanID.quoted...), trace.SpanID[:])
	}
	if !l.servicesGiven {
		return append(b, l.h.core.services...)
	}
	for _, s := range l.h.core.service {
		if !l.has(s.key) {
			b = append(b, s.member...)
		}
	}
	return b
}

// appendHeadOTel begins a line as OpenTelemetry names it, up to its attributes.
func (l *line) appendHeadOTel(b []byte, at time.Time, level int, message string, trace TraceContext) []byte {
	b = append(b, '{')
	if !at.IsZero() {
		b = append(b, `"timestamp":`...)
		b = append(appendTime(b, at), ',')
	}
	b = append(b, severities[level]...)
	b = append(b, `,"body":`...)
	b = l.appendMessage(b, message)
	if trace.TraceID != ([16]byte{}) {
		b = appendID(append(b, `,"trace_id":`...), trace.TraceID[:])
		if trace.SpanID != ([8]byte{}) {
			b = appendID(append(b, `,"span_id":`...), trace.SpanID[:])
		}
		b = appendID(append(b, `,"trace_flags":`...), []byte{trace.Flags})
	}
	b = append(b, l.h.core.resource...)
	return append(b, `,"attributes":`...)
}

// The levels of a line, from debug to error.
const numLevels = 4

var levelNames = [numLevels]string{"debug", "info", "warn", "error"}

var severities = [numLevels]string{
	`"severity_text":"DEBUG","severity_number":5`,
	`"severity_text":"INFO","severity_number":9`,
	`"severity_text":"WARN","severity_number":13`,
	`"severity_text":"ERROR","severity_number":17`,
}

func levelIndex(l slog.Level) int {
	switch {
	case l < slog.LevelInfo:
		return 0
	case l < slog.LevelWarn:
		return 1
	case l < slog.LevelError:
		return 2
	}
	return 3
}

func appendID(b, id []byte) []byte {
	b = hex.AppendEncode(append(b, '"'), id)
	return append(b, '"')
}

// resource returns the member that says which process writes, in the OTel profile.
func resource(s Service) string {
	b := []byte(`,"resource":`)
	from := len(b)
	for _, m := range []struct{ name, value string }{
		{"service.name", s.Name}, {"service.version", s.Version},
		{"deployment.environment.name", s.Environment}, {"service.instance.id", s.NodeName},
	} {
		if m.value != "" {
			b = appendString(append(b, quotedKey("", m.name)...), m.value)
		}
	}
	return string(append(opened(b, from), '}'))
}

// opened begins an object with the members from a place on, which have a comma
// before each.
func opened(b []byte, from int) []byte {
	if len(b) == from {
		return append(b, '{')
	}
	b[from] = '{'
	return b
}

// appendMessage appends the message, which may take half of the line at most.
func (l *line) appendMessage(b []byte, message string) []byte {
	message, cut := cutText(message, l.h.core.cfg.MaxValueBytes)
	from := len(b)
	b = appendString(b, message)
	if len(b)-from > l.lineLimit/2 {
		const escaped = len(`\u0000`)
		message, _ = cutText(message, l.lineLimit/2/escaped-1)
		b, cut = appendString(b[:from], message), true
	}
	if cut {
		l.truncated = l.appendName(l.truncated, "message")
	}
	return b
}

func appendCount(b []byte, label string, n uint64) []byte {
	b = append(b, `,"labels.`...)
	b = append(b, label...)
	b = append(b, `":"`...)
	b = strconv.AppendUint(b, n, 10)
	return append(b, '"')
}
