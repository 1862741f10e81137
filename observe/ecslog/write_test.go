package ecslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultyWriter does what the next step says.
type faultyWriter struct {
	bytes.Buffer
	steps []func(w *bytes.Buffer, p []byte) (int, error)
	calls int
}

func (f *faultyWriter) Write(p []byte) (int, error) {
	f.calls++
	if len(f.steps) == 0 {
		return f.Buffer.Write(p)
	}
	step := f.steps[0]
	f.steps = f.steps[1:]
	return step(&f.Buffer, p)
}

var errDisk = errors.New("disk full")

func failAt(n int, err error) func(*bytes.Buffer, []byte) (int, error) {
	return func(w *bytes.Buffer, p []byte) (int, error) {
		n := min(n, len(p))
		w.Write(p[:n])
		return n, err
	}
}

func panicAfter(n int) func(*bytes.Buffer, []byte) (int, error) {
	return func(w *bytes.Buffer, p []byte) (int, error) {
		w.Write(p[:min(n, len(p))])
		panic("no writer")
	}
}

func record(message string) slog.Record {
	return slog.NewRecord(testTime, slog.LevelWarn, message, 0)
}

// A Write that fails loses its own line and no other.
func TestWriteFaults(t *testing.T) {
	for name, c := range map[string]struct {
		steps []func(*bytes.Buffer, []byte) (int, error)
		want  error
		whole []string // lines that must be there
	}{
		"error":             {[]func(*bytes.Buffer, []byte) (int, error){failAt(0, errDisk)}, errDisk, []string{"two", "three"}},
		"torn":              {[]func(*bytes.Buffer, []byte) (int, error){failAt(9, errDisk)}, errDisk, []string{"two", "three"}},
		"short":             {[]func(*bytes.Buffer, []byte) (int, error){failAt(9, nil)}, io.ErrShortWrite, []string{"two", "three"}},
		"short of its end":  {[]func(*bytes.Buffer, []byte) (int, error){failAt(100, nil)}, io.ErrShortWrite, []string{"two", "three"}},
		"whole, with error": {[]func(*bytes.Buffer, []byte) (int, error){failAt(1<<20, errDisk)}, errDisk, []string{"one", "two", "three"}},
		"panic":             {[]func(*bytes.Buffer, []byte) (int, error){panicAfter(0)}, nil, []string{"two", "three"}},
		"torn by panic":     {[]func(*bytes.Buffer, []byte) (int, error){panicAfter(9)}, nil, []string{"two", "three"}},
		"torn, only ended":  {[]func(*bytes.Buffer, []byte) (int, error){failAt(9, errDisk), failAt(1, errDisk)}, errDisk, []string{"three"}},
		"torn twice":        {[]func(*bytes.Buffer, []byte) (int, error){failAt(9, errDisk), failAt(9, errDisk)}, errDisk, []string{"three"}},
		"torn, then error":  {[]func(*bytes.Buffer, []byte) (int, error){failAt(9, errDisk), failAt(0, errDisk)}, errDisk, []string{"three"}},
	} {
		t.Run(name, func(t *testing.T) {
			failing := len(c.steps)
			w := &faultyWriter{steps: c.steps}
			h, err := New(w, Config{})
			require.NoError(t, err)
			for i, message := range []string{"one", "two", "three"} {
				err := h.Handle(context.Background(), record(message))
				if i >= failing {
					assert.NoError(t, err)
				} else if assert.Error(t, err); c.want != nil {
					assert.ErrorIs(t, err, c.want)
				}
			}
			assert.Equal(t, 3, w.calls, "one Write a line")
			assert.Equal(t, Counts{Lines: uint64(3 - failing), WriteErrors: uint64(failing)}, h.Dropped().Warn)
			var whole []string
			for line := range strings.Lines(w.String()) {
				if len(Verify([]byte(line))) == 0 {
					whole = append(whole, fmt.Sprint(verified(t, []byte(line))["message"]))
				}
			}
			assert.Equal(t, c.whole, whole, w.String())
		})
	}
}

// oneAtATime fails if it is called by two goroutines at once, or not with a line.
type oneAtATime struct {
	t    *testing.T
	mu   sync.Mutex
	seen map[string]int
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	if !o.mu.TryLock() {
		o.t.Error("two writes at once")
		return len(p), nil
	}
	defer o.mu.Unlock()
	if found := Verify(p); len(found) > 0 || bytes.Count(p, []byte("\n")) != 1 {
		o.t.Errorf("%v in %q", found, p)
	}
	o.seen[string(p[bytes.Index(p, []byte(`"message"`)):bytes.Index(p, []byte(`,"ecs.version"`))])]++
	return len(p), nil
}

func TestManyGoroutines(t *testing.T) {
	w := &oneAtATime{t: t, seen: map[string]int{}}
	h, err := New(w, Config{Trace: withTrace, HashKey: []byte("0123456789abcdef"), Sample: Sample{PerSecond: 1e6}})
	require.NoError(t, err)
	const goroutines, each = 64, 100
	root := slog.New(h).With("shared", 1, "loss", 1.5)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			l := root.With("g", g).WithGroup("q")
			for i := range each {
				l.Warn(fmt.Sprintf("%d of %d", i, g), fmt.Sprintf("k%d", i*g%2000), i, "prompt", strings.Repeat("x", i), "err", errDisk, "shared", "x")
			}
		})
	}
	wg.Wait()
	assert.Len(t, w.seen, goroutines*each)
	assert.EqualValues(t, goroutines*each, h.Dropped().Warn.Lines)
	assert.LessOrEqual(t, int(h.core.keys.kept.Load()), maxKeptKeys)
}

// A large line does not stay in memory.
func TestLargeLinesAreNotKept(t *testing.T) {
	h, err := New(io.Discard, Config{MaxLineBytes: maxLineBytes, MaxValueBytes: 1 << 24})
	require.NoError(t, err)
	l := newLine(context.Background(), h)
	message := strings.Repeat("m", 1<<20)
	l.assemble(context.Background(), testTime, 0, message, 0)
	require.Greater(t, cap(l.buf), keepBytes)
	l.free()
	assert.NotNil(t, l.h, "it was not put back")
}
