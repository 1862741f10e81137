package ecslog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Handlers derived from one do not write into each other's attributes, whatever
// capacity their slices have.
func TestDerivedHandlersDoNotShare(t *testing.T) {
	h, b := newTest(t, Config{Redact: func(_ []string, a slog.Attr) slog.Attr { return a }})
	parent := slog.New(h).With("a", 1, "b", 2, "c", 3, "prompt", "a secret text").WithGroup("g").With("d", 4)
	left := parent.With("x", "left").WithGroup("l").With("prompt", "the left text")
	right := parent.With("x", "right").WithGroup("r").With("prompt", "the right text")
	message := "a secret text, the left text, the right text"
	left.Info(message, "y", 1)
	assert.Equal(t, "[content], [content], the right text", verified(t, b.Bytes())["message"])
	m := verified(t, b.Bytes())
	assert.Equal(t, "left", m["g.x"])
	assert.Equal(t, 1.0, m["g.l.y"])
	b.Reset()
	right.Info(message, "y", 1)
	m = verified(t, b.Bytes())
	assert.Equal(t, "[content], the left text, [content]", m["message"])
	assert.Equal(t, "right", m["g.x"])
	assert.Equal(t, 1.0, m["g.r.y"])
	assert.NotContains(t, m, "g.l.y")
	b.Reset()
	parent.Info(message)
	m = verified(t, b.Bytes())
	assert.Equal(t, "[content], the left text, the right text", m["message"])
	assert.NotContains(t, m, "g.x")
	assert.Equal(t, 4.0, m["g.d"])
}

func TestDerivedHandlersConcurrently(t *testing.T) {
	var mu sync.Mutex
	lines := map[string]bool{}
	h, err := New(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		lines[string(p[bytes.LastIndex(p, []byte(`"g.i"`)):])] = true
		return len(p), nil
	}), Config{})
	require.NoError(t, err)
	parent := slog.New(h).With("a", 1, "a.b", 2, "x", "text").WithGroup("g")
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() { parent.With("i", i).Info("m") })
	}
	wg.Wait()
	assert.Len(t, lines, 64)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWith(t *testing.T) {
	h, b := newTest(t, Config{Service: Service{Name: "s"}})
	log := func(l slog.Handler, attrs ...slog.Attr) map[string]any {
		b.Reset()
		logAt(t, l, slog.LevelInfo, "m", attrs...)
		return verified(t, b.Bytes())
	}
	with := h.WithAttrs([]slog.Attr{slog.Float64("loss", math.NaN()), slog.Int("a", 1), slog.Int("user", 1), slog.Any("err", errors.New("e")), slog.String("service.name", "other"), slog.String("long", strings.Repeat("x", 40000)), slog.Any("odd", []int{1})})
	m := log(with)
	assert.Equal(t, "loss", m["labels.nonfinite"])
	assert.Equal(t, "long", m["labels.truncated"])
	assert.Equal(t, "e", m["error.message"])
	assert.Equal(t, "other", m["service.name"])
	assert.Equal(t, "[1]", m["labels.odd"])
	m = log(with, slog.Float64("loss", 2), slog.Int("a.b", 2), slog.Any("err", errors.New("f")), slog.Int("labels.user", 7), slog.String("long", "short"))
	assert.NotContains(t, m, "labels.nonfinite")
	assert.NotContains(t, m, "labels.truncated")
	assert.Equal(t, 2.0, m["loss"])
	assert.Equal(t, "1", m["labels.a"])
	assert.Equal(t, "f", m["error.message"])
	assert.Equal(t, "1", m["labels.user"])
	assert.Equal(t, "7", m["labels.user_2"])

	group := with.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("a", 3), slog.Group("empty")}).WithGroup("h")
	m = log(group, slog.Int("z", 1), slog.Group("", slog.Int("in", 1)))
	assert.Equal(t, 3.0, m["g.a"])
	assert.Equal(t, 1.0, m["a"])
	assert.Equal(t, 1.0, m["g.h.z"])
	assert.Equal(t, 1.0, m["g.h.in"])

	assert.Same(t, h, h.WithAttrs(nil))
	assert.Same(t, h, h.WithGroup(""))
}

// A loop that gives an attribute anew again and again must not grow.
func TestWithInALoop(t *testing.T) {
	h, b := newTest(t, Config{})
	l := slog.New(h)
	for i := range 3000 {
		l = l.With("step", i, "prompt", fmt.Sprintf("prompt number %d", i))
	}
	derived := l.Handler().(*Handler)
	assert.Len(t, derived.fields, 2)
	assert.LessOrEqual(t, len(derived.secrets), maxSecrets)
	l.Info("m")
	assert.Equal(t, 2999.0, verified(t, b.Bytes())["step"])

	many := h.WithAttrs(many(5000))
	b.Reset()
	logAt(t, many, slog.LevelInfo, "m")
	assert.Equal(t, "904", verified(t, b.Bytes())["labels.dropped_fields"])
}

// The same attributes make the same line, with With or without it.
func TestWithIsAsWithout(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	n := 10_000
	if raceEnabled {
		n = 1000
	}
	var handlers [3]slog.Handler // of each mode
	var out [3]*bytes.Buffer
	for mode := range handlers {
		handlers[mode], out[mode] = newTest(t, Config{Content: ContentMode(mode), MaxValueBytes: 64})
	}
	for range n {
		data := make([]byte, rng.IntN(100))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		s := &attrSource{data: data}
		var attrs []slog.Attr
		for s.at < len(data) {
			attrs = append(attrs, s.attr(0))
		}
		cut := rng.IntN(len(attrs) + 1)
		mode := rng.IntN(len(handlers))
		h, b := handlers[mode], out[mode]
		b.Reset()
		logAt(t, h, slog.LevelInfo, "m", attrs...)
		verified(t, b.Bytes())
		all := b.String()
		b.Reset()
		logAt(t, h.WithAttrs(attrs[:cut]), slog.LevelInfo, "m", attrs[cut:]...)
		require.Equal(t, all, b.String(), "%v, cut at %d", attrs, cut)
	}
}
