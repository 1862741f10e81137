package ecslog

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testTime  = time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC)
	testTrace = TraceContext{TraceID: [16]byte{0: 0x4b, 15: 0x36}, SpanID: [8]byte{0: 0x00, 7: 0xb7}, Flags: 1}
)

func withTrace(context.Context) (TraceContext, bool) { return testTrace, true }

// newTest returns a Handler and what it writes.
func newTest(t testing.TB, cfg Config) (*Handler, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	h, err := New(&b, cfg)
	require.NoError(t, err)
	return h, &b
}

// logAt writes a record at testTime.
func logAt(t testing.TB, h slog.Handler, level slog.Level, message string, attrs ...slog.Attr) {
	t.Helper()
	r := slog.NewRecord(testTime, level, message, 0)
	r.AddAttrs(attrs...)
	require.NoError(t, h.Handle(context.Background(), r))
}

// oneLine returns the line of attributes, verified, and its members.
func oneLine(t testing.TB, cfg Config, attrs ...slog.Attr) (string, map[string]any) {
	t.Helper()
	h, b := newTest(t, cfg)
	logAt(t, h, slog.LevelInfo, "m", attrs...)
	return b.String(), verified(t, b.Bytes())
}

// verified returns the members of a line that must be clean.
func verified(t testing.TB, line []byte) map[string]any {
	t.Helper()
	require.Empty(t, Verify(line), "%s", line)
	require.Equal(t, 1, bytes.Count(line, []byte("\n")), "one line: %q", line)
	require.True(t, bytes.HasSuffix(line, []byte("\n")))
	var m map[string]any
	require.NoError(t, json.Unmarshal(line, &m), "%s", line)
	return m
}

func TestLine(t *testing.T) {
	cfg := Config{Trace: withTrace, Service: Service{Name: "gate", Version: "1.2", Environment: "prod", NodeName: "n1"}}
	attrs := []slog.Attr{
		slog.String("gen_ai.request.model", "m7"), slog.Int("gen_ai.usage.input_tokens", 12), slog.Float64("loss", 1),
		slog.Bool("warm", true), slog.Duration("event.duration", time.Millisecond), slog.Time("seen", testTime),
		slog.Uint64("n", 7), slog.Any("list", []string{"a", "b"}), slog.Group("g", slog.Int("x", 1), slog.Group("h", slog.Int("y", 2))),
		slog.Any("odd", map[string]int{"k": 1}), slog.String("user", "ann"),
	}
	ecs, _ := oneLine(t, cfg, attrs...)
	assert.Equal(t, `{"@timestamp":"2026-01-02T15:04:05.123456789Z","log.level":"info","message":"m","ecs.version":"9.4.0",`+
		`"trace.id":"4b000000000000000000000000000036","span.id":"00000000000000b7",`+
		`"service.name":"gate","service.version":"1.2","service.environment":"prod","service.node.name":"n1","event.dataset":"gate",`+
		`"gen_ai.request.model":"m7","gen_ai.usage.input_tokens":12,"loss":1.0,"warm":true,"event.duration":1000000,`+
		`"seen":"2026-01-02T15:04:05.123456789Z","n":7,"list":["a","b"],"g.x":1,"g.h.y":2,`+
		`"labels.odd":"{\"k\":1}","labels.user":"ann"}`+"\n", ecs)

	cfg.Profile = ProfileOTel
	otel, _ := oneLine(t, cfg, attrs...)
	assert.Equal(t, `{"timestamp":"2026-01-02T15:04:05.123456789Z","severity_text":"INFO","severity_number":9,"body":"m",`+
		`"trace_id":"4b000000000000000000000000000036","span_id":"00000000000000b7","trace_flags":"01",`+
		`"resource":{"service.name":"gate","service.version":"1.2","deployment.environment.name":"prod","service.instance.id":"n1"},`+
		`"attributes":{"gen_ai.request.model":"m7","gen_ai.usage.input_tokens":12,"loss":1.0,"warm":true,"event.duration":1000000,`+
		`"seen":"2026-01-02T15:04:05.123456789Z","n":7,"list":["a","b"],"g.x":1,"g.h.y":2,`+
		`"labels.odd":"{\"k\":1}","labels.user":"ann"}}`+"\n", otel)
}

func TestLineWithoutAnything(t *testing.T) {
	line, _ := oneLine(t, Config{})
	assert.Equal(t, `{"@timestamp":"2026-01-02T15:04:05.123456789Z","log.level":"info","message":"m","ecs.version":"9.4.0"}`+"\n", line)
	line, _ = oneLine(t, Config{Profile: ProfileOTel})
	assert.Equal(t, `{"timestamp":"2026-01-02T15:04:05.123456789Z","severity_text":"INFO","severity_number":9,"body":"m","resource":{},"attributes":{}}`+"\n", line)
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		level slog.Level
		ecs   string
		otel  float64
	}{{-8, "debug", 5}, {slog.LevelDebug, "debug", 5}, {-1, "debug", 5}, {slog.LevelInfo, "info", 9}, {2, "info", 9},
		{slog.LevelWarn, "warn", 13}, {slog.LevelError, "error", 17}, {12, "error", 17}} {
		h, b := newTest(t, Config{})
		logAt(t, h, c.level, "m")
		assert.Equal(t, c.ecs, verified(t, b.Bytes())["log.level"])
		h, b = newTest(t, Config{Profile: ProfileOTel})
		logAt(t, h, c.level, "m")
		m := verified(t, b.Bytes())
		assert.Equal(t, c.otel, m["severity_number"])
		assert.Equal(t, strings.ToUpper(c.ecs), m["severity_text"])
	}
	h, _ := newTest(t, Config{})
	assert.False(t, h.Enabled(context.Background(), slog.LevelDebug))
	assert.True(t, h.Enabled(context.Background(), slog.LevelInfo))
	var level slog.LevelVar
	h, _ = newTest(t, Config{Level: &level})
	level.Set(slog.LevelError)
	assert.False(t, h.Enabled(context.Background(), slog.LevelWarn))
}

func TestSlogtest(t *testing.T) {
	for _, p := range []struct {
		profile    Profile
		time, name string
		level, msg string
	}{
		{ProfileECS, "@timestamp", "ECS", "log.level", "message"},
		{ProfileOTel, "timestamp", "OTel", "severity_text", "body"},
	} {
		t.Run(p.name, func(t *testing.T) {
			var b bytes.Buffer
			slogtest.Run(t, func(*testing.T) slog.Handler {
				b.Reset()
				h, err := New(&b, Config{Profile: p.profile})
				require.NoError(t, err)
				return h
			}, func(t *testing.T) map[string]any {
				var m map[string]any
				require.NoError(t, json.Unmarshal(b.Bytes(), &m))
				out := map[string]any{}
				for name, builtin := range map[string]string{p.time: slog.TimeKey, p.level: slog.LevelKey, p.msg: slog.MessageKey} {
					if v, ok := m[name]; ok {
						out[builtin] = v
						delete(m, name)
					}
				}
				if attributes, ok := m["attributes"]; ok {
					m = attributes.(map[string]any)
				}
				for name, v := range m {
					expand(out, name, v)
				}
				return out
			})
		})
	}
}

// expand puts a value below the objects that the dots of its name stand for.
func expand(m map[string]any, name string, v any) {
	root, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		m[name] = v
		return
	}
	below, ok := m[root].(map[string]any)
	if !ok {
		below = map[string]any{}
		m[root] = below
	}
	expand(below, rest, v)
}

func TestSource(t *testing.T) {
	h, b := newTest(t, Config{AddSource: true})
	slog.New(h).Info("m")
	m := verified(t, b.Bytes())
	assert.Equal(t, "ecslog/handler_test.go", m["log.origin.file.name"])
	assert.Equal(t, "github.com/calmops/calm/observe/ecslog.TestSource", m["log.origin.function"])
	assert.Greater(t, m["log.origin.file.line"], 1.0)
	b.Reset()
	logAt(t, h, slog.LevelInfo, "no pc")
	assert.NotContains(t, verified(t, b.Bytes()), "log.origin.file.name")
}

func TestTimes(t *testing.T) {
	h, b := newTest(t, Config{})
	for at, want := range map[time.Time]any{
		testTime.In(time.FixedZone("x", 5*3600)):     "2026-01-02T15:04:05.123456789Z",
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC):  "2026-01-01T00:00:00Z",
		time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC): nil,
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC):    nil,
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC):     "0001-01-01T00:00:00.000000001Z",
		{}:                                           nil,
	} {
		b.Reset()
		require.NoError(t, h.Handle(context.Background(), slog.NewRecord(at, slog.LevelInfo, "m", 0)))
		var m map[string]any
		require.NoError(t, json.Unmarshal(b.Bytes(), &m))
		assert.Equal(t, want, m["@timestamp"])
		if want == nil {
			assert.Equal(t, []Finding{{"required", "@timestamp", "missing"}, {"order", "log.level", "is member 1, want 2"}, {"order", "message", "is member 2, want 3"}}, Verify(b.Bytes()))
		}
	}
}

func TestTrace(t *testing.T) {
	type spanKey struct{}
	cfg := Config{Trace: func(ctx context.Context) (TraceContext, bool) {
		if ctx.Value(spanKey{}) == "panic" {
			panic("no span")
		}
		span, ok := ctx.Value(spanKey{}).(TraceContext)
		return span, ok
	}}
	h, b := newTest(t, cfg)
	log := func(v any, attrs ...any) map[string]any {
		b.Reset()
		slog.New(h).InfoContext(context.WithValue(context.Background(), spanKey{}, v), "m", attrs...)
		return verified(t, b.Bytes())
	}
	assert.Equal(t, "4b000000000000000000000000000036", log(testTrace)["trace.id"])
	assert.NotContains(t, log(TraceContext{TraceID: testTrace.TraceID}), "span.id")
	assert.NotContains(t, log(nil), "trace.id")
	assert.NotContains(t, log("panic"), "trace.id")
	m := log(testTrace, "trace.id", "mine", "span.id", 5)
	assert.Equal(t, "mine", m["trace.id"], "what the call says wins")
	assert.Equal(t, "00000000000000b7", m["span.id"], "but not with a value of another type")
	assert.Equal(t, "5", m["labels.span_id"])
}

func TestNilContext(t *testing.T) {
	h, err := New(io.Discard, Config{Trace: withTrace})
	require.NoError(t, err)
	var ctx context.Context
	assert.NoError(t, h.Handle(ctx, slog.NewRecord(testTime, slog.LevelInfo, "m", 0)))
}
