package observeotel

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Serving exports what the Recorders it is given to measure, as OpenTelemetry
// metrics and spans: it is an [observe.Sink]. Make one with NewServing; it is
// safe for concurrent use, and a nil *Serving does nothing.
type Serving struct {
	cfg          ServingConfig
	server       []attribute.KeyValue // server.address and server.port, as configured
	instruments  *instruments         // nil: no metrics
	tracer       trace.Tracer         // nil: no spans
	registration metric.Registration
	closed       atomic.Bool

	mu        sync.Mutex // held to add a Recorder
	recorders atomic.Pointer[[]*observe.Recorder]
}

var _ observe.Sink = (*Serving)(nil)

// NewServing returns a Serving whose instruments are registered with the
// MeterProvider. The error joins every fault of the Config: no provider, an
// unknown Semconv or SpanMode, a bad ServerAddress or ServerPort, instruments
// that the MeterProvider refuses, a provider that panics (such as a nil pointer).
// Nothing stays registered then. It starts no goroutine.
func NewServing(cfg ServingConfig) (*Serving, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Serving{cfg: cfg}
	if cfg.ServerAddress != "" {
		s.server = append(s.server, attribute.String(keyAddress, cfg.ServerAddress))
	}
	if cfg.ServerPort != 0 {
		s.server = append(s.server, attribute.Int(keyPort, cfg.ServerPort))
	}
	err := errors.Join(
		guarded("ServingConfig.TracerProvider", s.openTracer),
		guarded("ServingConfig.MeterProvider", s.openMeter),
	)
	if err != nil {
		return nil, errors.Join(err, guarded("ServingConfig.MeterProvider", s.Close))
	}
	return s, nil
}

// guarded runs code of a provider: a panic of it is an error.
func guarded(field string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("observeotel: %s panicked: %v", field, v)
		}
	}()
	return f()
}

func (s *Serving) openTracer() error {
	if s.cfg.TracerProvider == nil {
		return nil
	}
	s.tracer = s.cfg.TracerProvider.Tracer(scopeName, trace.WithSchemaURL(s.cfg.Semconv.schemaURL()))
	if s.tracer == nil {
		return errors.New("observeotel: ServingConfig.TracerProvider has no Tracer")
	}
	return nil
}

func (s *Serving) openMeter() error {
	if s.cfg.MeterProvider == nil {
		return nil
	}
	meter := s.cfg.MeterProvider.Meter(scopeName, metric.WithSchemaURL(s.cfg.Semconv.schemaURL()))
	in, err := newInstruments(meter, table(&s.cfg))
	if err != nil {
		return err
	}
	s.instruments = in
	s.registration, err = meter.RegisterCallback(s.collect, in.observables()...)
	if err != nil {
		return fmt.Errorf("observeotel: ServingConfig.MeterProvider refused the callback: %w", err)
	}
	return nil
}

// Close ends the export: counters and gauges are no longer collected, requests
// that end later are not recorded. It is needed only where the MeterProvider
// outlives the Serving, which it would keep in memory and go on reading. The
// providers are the caller's to shut down. Close may be called more than once.
func (s *Serving) Close() error {
	if s == nil || s.closed.Swap(true) || s.registration == nil {
		return nil
	}
	if err := s.registration.Unregister(); err != nil {
		return fmt.Errorf("observeotel: closing: %w", err)
	}
	return nil
}

// Attach implements [observe.Sink]. A Recorder stays attached for the life of the
// Serving; one that is attached twice counts once.
func (s *Serving) Attach(r *observe.Recorder) {
	if s == nil || r == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.attached()
	if slices.Contains(all, r) {
		return
	}
	all = append(slices.Clip(all), r)
	s.recorders.Store(&all)
}

// attached returns the Recorders so far.
func (s *Serving) attached() []*observe.Recorder {
	if p := s.recorders.Load(); p != nil {
		return *p
	}
	return nil
}

// Series implements [observe.Sink]. The counters of the label set exist at zero
// from then on.
func (s *Serving) Series(l observe.Labels) observe.SeriesSink {
	if s == nil {
		return nil
	}
	return newSeries(s, l)
}
