package ecslog

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requestAttrs are 8 fields as a request has them.
func requestAttrs() []slog.Attr {
	return []slog.Attr{
		slog.String("gen_ai.request.model", "llama-3.1-8b-instruct"), slog.String("gen_ai.operation.name", "chat"),
		slog.Int("gen_ai.usage.input_tokens", 1024), slog.Int("gen_ai.usage.output_tokens", 256), slog.Int("http.response.status_code", 200),
		slog.Duration("event.duration", 1234567890), slog.Float64("ttft_seconds", .0425), slog.Bool("cached", true),
	}
}

func requestRecord() slog.Record {
	r := slog.NewRecord(testTime, slog.LevelInfo, "request finished", 0)
	r.AddAttrs(requestAttrs()...)
	return r
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	plain := requestRecord()
	odd := slog.NewRecord(testTime, slog.LevelWarn, "odd", 0)
	odd.AddAttrs(slog.Time("at", testTime), slog.Uint64("n", 1), slog.Int("user", 5), slog.String("a", "1"), slog.Int("a.b", 2), slog.Int("a.b", 3), slog.Duration("d", 1))
	for name, cfg := range map[string]Config{
		"ECS":     {Trace: withTrace, Service: Service{Name: "s"}},
		"OTel":    {Trace: withTrace, Service: Service{Name: "s"}, Profile: ProfileOTel},
		"sampled": {Sample: Sample{PerSecond: .001}},
		"redact":  {Redact: func(_ []string, a slog.Attr) slog.Attr { return a }},
	} {
		h, err := New(io.Discard, cfg)
		require.NoError(t, err)
		with := h.WithAttrs([]slog.Attr{slog.String("w", "x"), slog.Int("a", 1)}).WithGroup("g")
		for i, r := range []slog.Record{plain, odd} {
			for j, l := range []slog.Handler{h, with} {
				ctx := context.Background()
				n := testing.AllocsPerRun(200, func() { _ = l.Handle(ctx, r) })
				assert.Zero(t, n, "%s, record %d, handler %d", name, i, j)
			}
		}
	}
}

// The peers: log/slog's own handler with the same fields, and it with what it takes
// to come near to ECS.
func peers(tb testing.TB) map[string]slog.Handler {
	ours, err := New(io.Discard, Config{Trace: withTrace, Service: Service{Name: "gate"}, HashKey: []byte("0123456789abcdef"),
		Sample: Sample{PerSecond: 1e9}, Redact: nil})
	require.NoError(tb, err)
	replace := slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			a.Key = "@timestamp"
		case slog.LevelKey:
			a.Key = "log.level"
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}})
	return map[string]slog.Handler{"ecslog": ours, "slog": slog.NewJSONHandler(io.Discard, nil), "slog+replace+trace": traced{replace}}
}

// traced adds the trace ids as programs do.
type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	span, _ := withTrace(ctx)
	r.AddAttrs(slog.String("trace.id", hex.EncodeToString(span.TraceID[:])), slog.String("span.id", hex.EncodeToString(span.SpanID[:])))
	return t.Handler.Handle(ctx, r)
}

func BenchmarkHandle(b *testing.B) {
	for name, h := range peers(b) {
		b.Run(name, func(b *testing.B) {
			r, ctx := requestRecord(), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Handle(ctx, r)
			}
		})
	}
}

// BenchmarkInterleaved runs the peers by turns and reports the ratios of their
// medians, which a noisy machine moves less than times.
func BenchmarkInterleaved(b *testing.B) {
	hs := peers(b)
	const batch = 200
	times := map[string][]time.Duration{}
	ctx := context.Background()
	for b.Loop() {
		for name, h := range hs {
			start := time.Now()
			for range batch {
				r := slog.NewRecord(testTime, slog.LevelInfo, "request finished", 0)
				r.AddAttrs(requestAttrs()...)
				_ = h.Handle(ctx, r)
			}
			times[name] = append(times[name], time.Since(start)/batch)
		}
	}
	median := func(name string) float64 {
		slices.Sort(times[name])
		return float64(times[name][len(times[name])/2])
	}
	for name := range hs {
		b.ReportMetric(median(name), fmt.Sprintf("%s-ns", name))
	}
	b.ReportMetric(median("ecslog")/median("slog"), "of-slog")
	b.ReportMetric(median("ecslog")/median("slog+replace+trace"), "of-slog+replace+trace")
}
