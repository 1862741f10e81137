package ecslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// attrSource makes attributes of bytes: a small alphabet of names, so that they
// collide, and every kind of value.
type attrSource struct {
	data []byte
	at   int
}

func (s *attrSource) next() int {
	if s.at >= len(s.data) {
		return 0
	}
	s.at++
	return int(s.data[s.at-1])
}

func (s *attrSource) text() string {
	n := min(s.next()%40, len(s.data)-s.at)
	s.at += n
	return string(s.data[s.at-n : s.at])
}

func (s *attrSource) name() string {
	names := [...]string{"a", "a.b", "a.b.c", "b", "a_b", "labels.a", "labels.a_b", "labels", "error", "err", "", "error.message", "error.type",
		"message", "service.name", "service", "user.id", "http.response.status_code", "gen_ai.usage.input_tokens", "gen_ai.request.top_p",
		"client.ip", "event.start", "tags", "prompt", "gen_ai.input.messages", "nonfinite", "labels.nonfinite", "a..b", "_id", "trace.id",
		"event.hash", "event.sequence", "event.risk_score", "A", "x.prompt.y", "log.level", "@timestamp", "gen_ai.response.finish_reasons"}
	if i := s.next(); i < 2*len(names) {
		return names[i/2]
	}
	return s.text()
}

func (s *attrSource) attr(depth int) slog.Attr {
	name := s.name()
	switch s.next() % 18 {
	case 0:
		return slog.Int(name, s.next()-128)
	case 1:
		return slog.Int64(name, math.MaxInt64-int64(s.next()))
	case 2:
		return slog.Uint64(name, math.MaxUint64-uint64(s.next()))
	case 3:
		return slog.Float64(name, []float64{0, 1, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 1e-300, 1e21, math.MaxFloat32, 5e-324}[s.next()%11])
	case 4:
		return slog.Bool(name, s.next()%2 == 0)
	case 5:
		return slog.Duration(name, time.Duration(s.next())*time.Hour)
	case 6:
		return slog.Time(name, time.Unix(int64(s.next()-128)<<32, 5))
	case 7:
		return slog.Any(name, nil)
	case 8:
		return slog.Any(name, fmt.Errorf("%s: %w", s.text(), errors.New(s.text())))
	case 9:
		return slog.Any(name, []string{s.text(), s.text(), "NaN"}[:s.next()%4])
	case 10:
		return slog.Any(name, map[string]any{s.text(): s.text(), "prompt": []any{s.text(), 1, nil}, "n": 1.5})
	case 11:
		return slog.Any(name, []any{panicValuer{}, panicJSON{}, panicError{}, loopValuer{}, make(chan int), json.RawMessage("{"), namedString("x"), (*panicError)(nil)}[s.next()%8])
	case 12:
		return Content(name, s.text())
	case 13, 14:
		if depth > 3 {
			return slog.Group(name)
		}
		attrs := make([]any, s.next()%4)
		for i := range attrs {
			attrs[i] = s.attr(depth + 1)
		}
		return slog.Group(name, attrs...)
	case 15:
		return slog.String(name, []string{"NaN", "+Inf", "2026-01-02T03:04:05Z", "10.0.0.1", "12"}[s.next()%5])
	}
	return slog.String(name, s.text())
}

// writeAny writes a line made of bytes, and checks it and what With has given.
func writeAny(t *testing.T, data []byte) {
	s := &attrSource{data: data}
	cfg := Config{Profile: Profile(s.next() % 2), Content: ContentMode(s.next() % 3), Trace: withTrace, MaxValueBytes: 64, MaxLineBytes: minLineBytes,
		Service: Service{Name: "s"}, HashKey: []byte("0123456789abcdef")}
	if s.next()%4 == 0 {
		cfg.Redact = func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == "b" {
				panic("no")
			}
			a.Key += "x"
			return a
		}
	}
	cfg.ErrorStack = s.next()%4 == 0
	var b bytes.Buffer
	root, err := New(&b, cfg)
	require.NoError(t, err)
	h := slog.Handler(root)
	for range s.next() % 4 {
		if s.next()%2 == 0 {
			h = h.WithGroup(s.name())
		} else {
			h = h.WithAttrs([]slog.Attr{s.attr(0), s.attr(0)})
		}
	}
	r := slog.NewRecord(testTime, slog.LevelInfo, s.text(), 0)
	for s.at < len(s.data) {
		r.AddAttrs(s.attr(0))
	}
	ctx := WithContent(context.Background(), s.text())
	require.NoError(t, h.Handle(ctx, r))
	require.LessOrEqual(t, b.Len(), minLineBytes)
	verified(t, b.Bytes())
}

func TestAnyAttributes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	n := 10_000
	if raceEnabled {
		n = 1000
	}
	for range n {
		data := make([]byte, rng.IntN(150))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		writeAny(t, data)
	}
}

func FuzzHandler(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("some text that is taken for attributes \xff\x00 and more of it"))
	f.Add(bytes.Repeat([]byte{0, 2, 4, 6, 8, 10, 12}, 40))
	f.Fuzz(func(t *testing.T, data []byte) { writeAny(t, data) })
}

// Verify must take anything.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"@timestamp":"2026-01-02T03:04:05Z","log.level":"info","message":"m","ecs.version":"9.4.0","a":{"b":[1,2,{}]}}`))
	f.Add([]byte(`{"timestamp":"2026-01-02T03:04:05Z","severity_text":"INFO","attributes":[],"resource":{"a":1}}`))
	f.Add([]byte("{\"a\":1}\n{"))
	f.Fuzz(func(t *testing.T, line []byte) {
		found := Verify(line)
		if !json.Valid(line) {
			require.NotEmpty(t, found)
		}
	})
}
