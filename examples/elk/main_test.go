package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/ecslog"
)

// lines runs the program for n requests.
func lines(t *testing.T, n int) []byte {
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), options{n: n, every: time.Microsecond}, &out))
	return out.Bytes()
}

func TestEveryLineIsTaken(t *testing.T) {
	all := lines(t, 60)
	m, err := newMapper(indexTemplate())
	require.NoError(t, err)
	indexed, lost, refused := indexAll(m, bytes.NewReader(all))
	assert.Equal(t, 60, indexed)
	assert.Empty(t, lost)
	assert.Empty(t, refused)
	for line := range bytes.Lines(all) {
		assert.Empty(t, ecslog.Verify(line), "%s", line)
		assert.NotContains(t, string(line), canary)
	}
}

// What today's loggers write is refused, or loses values: the mapper can tell.
func TestOthersAreRefused(t *testing.T) {
	logged := func(log func(*slog.Logger)) string {
		var out bytes.Buffer
		log(slog.New(slog.NewJSONHandler(&out, nil)))
		return out.String()
	}
	for _, c := range []struct{ name, first, second, why string }{
		{"slog writes a key twice", "", logged(func(l *slog.Logger) { l.Info("a", "msg", "b") }), "duplicate"},
		{"a scalar where the schema has an object", "", logged(func(l *slog.Logger) { l.Info("a", "error", errors.New("boom").Error()) }), "object mapping"},
		{"zap's error field", "", `{"level":"info","msg":"a","error":"boom"}`, "object mapping"},
		{"ecszerolog lets service pass", "", `{"@timestamp":"2026-01-01T00:00:00Z","log.level":"info","message":"a","service":"b"}`, "object mapping"},
		{"an object after a scalar", `{"answer":"yes"}`, `{"answer":{"text":"yes"}}`, "object mapping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := newMapper(indexTemplate())
			require.NoError(t, err)
			if c.first != "" {
				_, err = m.index([]byte(c.first))
				require.NoError(t, err)
			}
			_, err = m.index([]byte(c.second))
			require.ErrorContains(t, err, c.why)
		})
	}
}

// A loss that is no number: with ignore_malformed the value is lost, and without it
// the whole document.
func TestNaNOfOthers(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(slog.NewJSONHandler(&out, nil))
	l.Info("step", "loss", 2.5)
	l.Info("step", "loss", math.NaN())
	m, err := newMapper(indexTemplate())
	require.NoError(t, err)
	_, lost, refused := indexAll(m, bytes.NewReader(out.Bytes()))
	assert.Equal(t, []string{"loss"}, lost)
	assert.Empty(t, refused)

	m, err = newMapper(indexTemplate())
	require.NoError(t, err)
	m.ignoreMalformed = false
	_, _, refused = indexAll(m, bytes.NewReader(out.Bytes()))
	require.Len(t, refused, 1)
	assert.ErrorContains(t, refused[0], "loss")
}

// The file beside this one is what the program prints.
func TestTemplateFile(t *testing.T) {
	file, err := os.ReadFile("index-template.json")
	require.NoError(t, err)
	assert.Equal(t, string(indexTemplate()), string(file), "go run ./examples/elk -template > examples/elk/index-template.json")
}

// What the README promises of the other files stands in them.
func TestShippers(t *testing.T) {
	for name, parts := range map[string][]string{
		"filebeat.yml":  {"type: filestream", "ndjson:", `target: ""`, "overwrite_keys: true", "add_error_key: true", "expand_keys: true"},
		"logstash.conf": {"beats {", "data_stream => true", "elasticsearch {"},
		"logstash.yml":  {"dead_letter_queue.enable: true"},
	} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, part := range parts {
			assert.Contains(t, string(text), part, name)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	for range 2 {
		require.NoError(t, run(context.Background(), options{out: path, n: 5, every: time.Microsecond}, nil))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, 10, strings.Count(string(text), "\n"))
}
