package observeotel

import (
	"context"
	"errors"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/resource"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ResourceConfig says what RegisterResource exports.
type ResourceConfig struct {
	// Reader is exported. Required.
	Reader *resource.Reader

	// MeterProvider makes the instruments. Required.
	MeterProvider metric.MeterProvider
}

// RegisterResource exports what a Reader reads under the names of the semantic
// conventions (process.*, container.*, system.network.io, go.*), by the table of
// resource.OTelMetrics, and what those have no name for under the OpenTelemetry names
// of resource.Metrics (cgroup.*, pressure), until stop is called. Everything is read
// from one Snapshot at each collection; the histograms of the Go runtime are left
// out, since OpenTelemetry has no instrument for a histogram that is read. The error
// joins every fault of the Config and every refusal of the provider; nothing is
// registered then.
func RegisterResource(cfg ResourceConfig) (stop func() error, err error) {
	var faults []error
	if cfg.Reader == nil {
		faults = append(faults, errors.New("observeotel: ResourceConfig.Reader is nil: it is required"))
	}
	if cfg.MeterProvider == nil {
		faults = append(faults, errors.New("observeotel: ResourceConfig.MeterProvider is nil: it is required"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var rows []observe.Reading[*resource.Snapshot]
	for _, r := range append(resource.OTelMetrics(), resource.Metrics()...) {
		if r.OTel != "" && r.Kind != observe.KindHistogram {
			rows = append(rows, r)
		}
	}
	return registerReadings("ResourceConfig", cfg.MeterProvider, rows, func() *resource.Snapshot {
		s := cfg.Reader.Snapshot()
		return &s
	})
}

// TraceContext returns the span of a context for ecslog.Config.Trace; false without
// one.
func TraceContext(ctx context.Context) (ecslog.TraceContext, bool) {
	s := trace.SpanContextFromContext(ctx)
	if !s.IsValid() {
		return ecslog.TraceContext{}, false
	}
	return ecslog.TraceContext{TraceID: s.TraceID(), SpanID: s.SpanID(), Flags: byte(s.TraceFlags())}, true
}
