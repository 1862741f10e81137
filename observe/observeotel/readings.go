package observeotel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// readings exports a table of figures that are read at each collection. Its
// histograms are not among them: OpenTelemetry has to be told of each value.
type readings[S any] struct {
	rows        []observe.Reading[S]
	instruments []metric.Float64Observable // by row; nil for histograms
}

// openReadings makes the instruments of a table. The errors are joined, and begin
// with the name of the configuration.
func openReadings[S any](m metric.Meter, config string, rows []observe.Reading[S]) (*readings[S], error) {
	r := &readings[S]{rows: rows}
	var errs []error
	for _, row := range rows {
		var i metric.Float64Observable
		var err error
		help, unit := metric.WithDescription(row.Help), metric.WithUnit(row.Unit)
		switch row.Kind {
		case observe.KindCounter:
			i, err = m.Float64ObservableCounter(row.OTel, help, unit)
		case observe.KindGauge:
			i, err = m.Float64ObservableGauge(row.OTel, help, unit)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("observeotel: %s.MeterProvider refused %s: %w", config, row.OTel, err))
		}
		r.instruments = append(r.instruments, i)
	}
	return r, errors.Join(errs...)
}

// observables are the instruments that a callback reports.
func (r *readings[S]) observables() (all []metric.Observable) {
	for _, i := range r.instruments {
		if i != nil {
			all = append(all, i)
		}
	}
	return all
}

// observe reports what a snapshot holds.
func (r *readings[S]) observe(o metric.Observer, snapshot S) {
	for i, row := range r.rows {
		instrument := r.instruments[i]
		if instrument == nil {
			continue
		}
		row.Values(snapshot, func(value float64, labels ...string) {
			attrs := make([]attribute.KeyValue, len(labels))
			for j, l := range labels {
				attrs[j] = attribute.String(row.Labels[j], strings.ToValidUTF8(l, "\ufffd"))
			}
			o.ObserveFloat64(instrument, value, metric.WithAttributes(attrs...))
		})
	}
}

// registerReadings exports a table without histograms until stop is called.
func registerReadings[S any](config string, provider metric.MeterProvider, rows []observe.Reading[S], snapshot func() S) (stop func() error, err error) {
	err = guarded(config+".MeterProvider", func() error {
		meter := provider.Meter(scopeName)
		readings, err := openReadings(meter, config, rows)
		if err != nil {
			return err
		}
		registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			readings.observe(o, snapshot())
			return nil
		}, readings.observables()...)
		if err != nil {
			return fmt.Errorf("observeotel: %s.MeterProvider refused the callback: %w", config, err)
		}
		stop = func() error {
			if err := registration.Unregister(); err != nil {
				return fmt.Errorf("observeotel: ending the export of %s: %w", config, err)
			}
			return nil
		}
		return nil
	})
	return stop, err
}
