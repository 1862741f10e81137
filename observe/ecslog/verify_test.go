package ecslog

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each row is a line with one thing wrong, and the finding of it.
func TestVerifyFinds(t *testing.T) {
	const head = `{"@timestamp":"2026-01-02T03:04:05Z","log.level":"info","message":"m","ecs.version":"9.4.0"`
	const otel = `{"timestamp":"2026-01-02T03:04:05Z","severity_text":"INFO","severity_number":9,"body":"m"`
	for line, want := range map[string]string{
		head + `}`: "", head + `}` + "\n": "", otel + `}`: "",
		head + `,"a":null,"b":[],"c":{},"d":[1,2],"e":{"f":[true]},"gen_ai.input.messages":{"a":{"b":1}},"tags":["x"]}`: "",
		otel + `,"trace_id":"00","attributes":{"a.b":1,"a":{"c":2}},"resource":{"service.name":"s"}}`:                   "",

		``:                              "json : no JSON object: unexpected end of JSON input",
		`[1]`:                           "json : no JSON object: <nil>",
		`{`:                             "json : no JSON object: unexpected end of JSON input",
		head + `}{}`:                    "json : no JSON object: invalid character '{' after top-level value",
		head + `,"a":"` + "\xff" + `"}`: "json : not UTF-8",
		head + ",\n\"a\":1}":            "json : an end of line inside",
		`{"log.level":"info","@timestamp":"2026-01-02T03:04:05Z","message":"m","ecs.version":"9.4.0"}`:     "order",
		`{"@timestamp":"2026-01-02T03:04:05Z","log.level":"info","message":"m"}`:                           "required ecs.version: missing",
		`{"@timestamp":"2026-01-02T03:04:05Z","message":"m","log":{"level":"info"},"ecs.version":"9.4.0"}`: "required log.level: missing",
		head + `,"a":1,"a":2}`:                                                   "duplicate a: occurs twice",
		head + `,"a.b":1,"a":{"b":2}}`:                                           "duplicate a.b: occurs twice",
		head + `,"a":1,"a":{"b":2}}`:                                             "duplicate a: occurs twice",
		head + `,"a":1,"a.b":2}`:                                                 "collision a: is a value and has a.b below it",
		head + `,"service":"b"}`:                                                 "name service: has to be a label",
		head + `,"error":{"x":1}}`:                                               "name error.x: has to be a label",
		head + `,"_id":"b"}`:                                                     "name _id: has to be a label",
		head + `,"a..b":"b"}`:                                                    "name a..b: has to be a label",
		head + `,"labels.a.b":"x"}`:                                              "name labels.a.b: a label that is empty or has one of . * \\ in it",
		head + `,"labels":{"n":5}}`:                                              "type labels.n: number 5, want keyword",
		head + `,"labels":"x"}`:                                                  "type labels: string x, want object",
		head + `,"http.response.status_code":"200"}`:                             "type http.response.status_code: string 200, want long",
		head + `,"http.response.status_code":200.0}`:                             "type http.response.status_code: number 200.0, want long",
		head + `,"gen_ai.usage.input_tokens":2147483648}`:                        "type gen_ai.usage.input_tokens: number 2147483648, want integer",
		head + `,"event.start":"soon"}`:                                          "type event.start: string soon, want date",
		head + `,"client.ip":"x"}`:                                               "type client.ip: string x, want ip",
		head + `,"user.id":5}`:                                                   "type user.id: number 5, want keyword",
		head + `,"user.id":["a"]}`:                                               "type user.id: an array, want keyword",
		head + `,"gen_ai.response.finish_reasons":["stop"]}`:                     "type gen_ai.response.finish_reasons: an array, want a label in its place",
		head + `,"gen_ai.input.messages":"hi"}`:                                  "type gen_ai.input.messages: string hi, want flattened",
		head + `,"n":9223372036854775808}`:                                       "type n: number 9223372036854775808, want a string, a bool, a number of 64 bits, or with a point of 32",
		head + `,"x":1e39}`:                                                      "type x: number 1e39, want a string, a bool, a number of 64 bits, or with a point of 32",
		head + `,"list":[1,"a"]}`:                                                "type list: an array of other than values of one kind",
		head + `,"list":[{}]}`:                                                   "type list: an array of other than values of one kind",
		head + `,"loss":"NaN"}`:                                                  "nonfinite loss: NaN",
		head + `,"event.risk_score":"-Inf"}`:                                     "nonfinite event.risk_score: -Inf",
		head + `,"note":"` + strings.Repeat("x", 32767) + `"}`:                   "length note: 32767 bytes, a term has at most 32766",
		`{"timestamp":"2026-01-02T03:04:05Z","severity_text":"INFO","body":"m"}`: "required severity_number: missing",
		otel + `,"other":1}`:                                                     "name other: no member of a log record",
		otel + `,"attributes":5}`:                                                "type attributes: want an object",
		otel + `,"attributes":{"user":5}}`:                                       "name user: has to be a label",
		otel + `,"resource":{"a":5}}`:                                            "type resource.a: number 5, want keyword",
		otel + `,"trace_id":"a","trace_id":"b"}`:                                 "duplicate trace_id: occurs twice",
	} {
		found := Verify([]byte(line))
		switch {
		case want == "":
			assert.Empty(t, found, line)
		case assert.NotEmpty(t, found, line):
			var all []string
			for _, f := range found {
				all = append(all, f.String())
			}
			assert.True(t, strings.HasPrefix(found[0].String(), want) || slices.Contains(all, want), "%.300s\nwant %s\nhave %q", line, want, all)
		}
	}
}

// What log/slog writes of the same attributes is not clean: the checks are not empty.
func TestVerifyRefusesOthers(t *testing.T) {
	var b bytes.Buffer
	h := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			a.Key = "@timestamp"
		case slog.LevelKey:
			return slog.String("log.level", strings.ToLower(a.Value.String()))
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}})
	ecs := h.WithAttrs([]slog.Attr{slog.String("ecs.version", "9.4.0")})
	for want, attrs := range map[string][]slog.Attr{
		"":          {slog.Int("a", 1)},
		"nonfinite": {slog.Float64("loss", math.NaN())},
		"duplicate": {slog.Int("a", 1), slog.Int("a", 2)},
		"name":      {slog.String("service", "b")},
		"type":      {slog.String("gen_ai.usage.input_tokens", "many")},
		"collision": {slog.Int("a", 1), slog.Group("a", slog.Int("b", 2))},
	} {
		b.Reset()
		r := slog.NewRecord(testTime, slog.LevelInfo, "m", 0)
		r.AddAttrs(attrs...)
		require.NoError(t, ecs.Handle(context.Background(), r))
		if found := Verify(b.Bytes()); want == "" {
			assert.Empty(t, found, b.String())
		} else if want == "collision" {
			assert.NotEmpty(t, found, b.String())
		} else {
			require.Len(t, found, 1, b.String())
			assert.Equal(t, want, found[0].Rule)
		}
	}
}
