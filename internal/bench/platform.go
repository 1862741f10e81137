package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/shirou/gopsutil/v4/process"
	"go.elastic.co/ecszerolog"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/calmops/calm/observe/dashboards"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/observeotel"
	"github.com/calmops/calm/observe/resource"
)

func platformSuites() []Suite {
	return []Suite{logLines(), logAllocs(), resourceSnapshot(), dashboardsMade()}
}

// logLines is a line of eight fields, written to nowhere.
func logLines() Suite {
	const calm, plain, traced = "ecslog with trace ids", "slog.JSONHandler", "slog JSON + ReplaceAttr + trace ids"
	const zl, ecszl, zp = "zerolog", "ecszerolog", "zap"
	open := func(name, peer string) Claim {
		return Claim{Name: "ecslog." + name, Doc: "a line of ecslog with trace ids, all rules on / one of " + peer, Ours: Of(calm), Peer: Of(peer), Open: true}
	}
	return Suite{
		Name: "ecslog",
		Claims: []Claim{
			{Name: "ecslog.slog", Doc: "a line of 8 fields with trace ids, all rules on / the same fields by slog.JSONHandler, no trace ids",
				Ours: Of(calm), Peer: Of(plain), Bar: 1},
			{Name: "ecslog.replaced", Doc: "the same / slog.JSONHandler with ReplaceAttr and trace ids, which has the keys and none of the rules",
				Ours: Of(calm), Peer: Of(traced), Bar: .7},
			open("zerolog", zl), open("ecszerolog", ecszl), open("zap", zp),
		},
		Cases: func() ([]Case, func(), error) {
			ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled}))
			h, err := ecslog.New(io.Discard, ecslog.Config{Trace: observeotel.TraceContext})
			if err != nil {
				return nil, nil, err
			}
			ours, peer := slog.New(h), slog.New(slog.NewJSONHandler(io.Discard, nil))
			replaced := slog.New(withTrace{slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: rename})})
			zero := zerolog.New(io.Discard).With().Timestamp().Logger()
			ecsZero := ecszerolog.New(io.Discard)
			z := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel))
			line := func(l *slog.Logger) func(int) {
				return func(n int) {
					for i := range n {
						l.LogAttrs(ctx, slog.LevelInfo, "request served",
							slog.String("gen_ai.request.model", "tiny"), slog.String("user.id", "u1"), slog.Int("gen_ai.usage.input_tokens", 812),
							slog.Int("gen_ai.usage.output_tokens", i), slog.Float64("ttft_seconds", .0385), slog.Duration("event.duration", 412*time.Millisecond),
							slog.Bool("stream", true), slog.String("outcome", "ok"))
					}
				}
			}
			events := func(event func() *zerolog.Event) func(int) {
				return func(n int) {
					for i := range n {
						event().Str("model", "tiny").Str("user", "u1").Int("input_tokens", 812).Int("output_tokens", i).
							Float64("ttft_seconds", .0385).Dur("duration", 412*time.Millisecond).Bool("stream", true).Str("outcome", "ok").Msg("request served")
					}
				}
			}
			return []Case{
				{Name: calm, Run: line(ours)}, {Name: plain, Run: line(peer)}, {Name: traced, Run: line(replaced)},
				{Name: zl, Run: events(zero.Info)}, {Name: ecszl, Run: events(ecsZero.Info)},
				{Name: zp, Run: func(n int) {
					for i := range n {
						z.Info("request served", zap.String("model", "tiny"), zap.String("user", "u1"), zap.Int("input_tokens", 812), zap.Int("output_tokens", i),
							zap.Float64("ttft_seconds", .0385), zap.Duration("duration", 412*time.Millisecond), zap.Bool("stream", true), zap.String("outcome", "ok"))
					}
				}},
			}, func() {}, nil
		},
	}
}

// withTrace adds the trace to each record, as handlers around slog's do.
type withTrace struct{ slog.Handler }

func (h withTrace) Handle(ctx context.Context, r slog.Record) error {
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		r.AddAttrs(slog.String("trace.id", s.TraceID().String()), slog.String("span.id", s.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// rename gives slog's keys the names of ECS.
func rename(groups []string, a slog.Attr) slog.Attr {
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
}

// logAllocs counts the allocations of a line.
func logAllocs() Suite {
	const line = "ecslog"
	return Suite{
		Name: "ecslog.allocs", Unit: Allocations,
		Claims: []Claim{{Name: "ecslog.allocs.line", Doc: "allocations of Handle, 8 fields of plain kinds and trace ids", Ours: Of(line), Bar: 0}},
		Count: func() (map[string]float64, error) {
			ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
			h, err := ecslog.New(io.Discard, ecslog.Config{Trace: observeotel.TraceContext})
			if err != nil {
				return nil, err
			}
			r := slog.NewRecord(time.Now(), slog.LevelInfo, "request served", 0)
			r.AddAttrs(slog.String("a", "tiny"), slog.Int("b", 1), slog.Float64("c", 2.5), slog.Bool("d", true), slog.Duration("e", time.Second),
				slog.Time("f", time.Now()), slog.String("user.id", "u"), slog.Uint64("g", 7))
			write := func() { _ = h.Handle(ctx, r) }
			write()
			runtime.GC() // a collection inside would empty the pools
			return map[string]float64{line: mallocs(write)}, nil
		},
	}
}

// resourceSnapshot is one reading of the process and its cgroup.
func resourceSnapshot() Suite {
	const snapshot, gather, ps = "Snapshot", "process collector", "gopsutil"
	return Suite{
		Name: "resource", Process: true, // Gather collects in goroutines of its own
		Claims: []Claim{
			{Name: "resource.snapshot.gather", Doc: "Snapshot: process, cgroup, pressure, network, disk, runtime / gather of client_golang's process collector",
				Ours: Of(snapshot), Peer: Of(gather), Bar: .5},
			{Name: "resource.snapshot.gopsutil", Doc: "the same / times, memory, threads and descriptors of gopsutil", Ours: Of(snapshot), Peer: Of(ps), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			r, err := resource.New(resource.Config{})
			if err != nil {
				return nil, nil, err
			}
			reg := prometheus.NewRegistry()
			reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
			self, err := process.NewProcess(int32(os.Getpid()))
			if err != nil {
				return nil, nil, err
			}
			return []Case{
				{Name: snapshot, Run: func(n int) {
					for range n {
						_ = r.Snapshot()
					}
				}},
				{Name: gather, Run: func(n int) {
					for range n {
						_, _ = reg.Gather()
					}
				}},
				{Name: ps, Run: func(n int) {
					for range n {
						_, _ = self.Times()
						_, _ = self.MemoryInfo()
						_, _ = self.NumThreads()
						_, _ = self.NumFDs()
					}
				}},
			}, func() { r.Close() }, nil
		},
	}
}

// dashboardsMade is what it takes to build and check the dashboards.
func dashboardsMade() Suite {
	const made, linted = "JSON", "Lint"
	return Suite{
		Name: "dashboards",
		Claims: []Claim{
			{Name: "dashboards.json", Doc: "all dashboards built and written as JSON, in ns", Ours: Of(made), Bar: 20e6},
			{Name: "dashboards.lint", Doc: "Lint of the largest of them, in ns", Ours: Of(linted), Bar: 20e6},
		},
		Cases: func() ([]Case, func(), error) {
			largest := dashboards.Serving(dashboards.Config{}).JSON()
			if _, err := dashboards.Lint(largest); err != nil {
				return nil, nil, err
			}
			return []Case{
				{Name: made, Run: func(n int) {
					for range n {
						for _, d := range dashboards.All(dashboards.Config{}) {
							d.JSON()
						}
					}
				}},
				{Name: linted, Run: func(n int) {
					for range n {
						_, _ = dashboards.Lint(largest)
					}
				}},
			}, func() {}, nil
		},
	}
}
