package observeotel

import (
	"context"
	"errors"
	"fmt"

	"github.com/calmops/calm/observe/quality"
	"go.opentelemetry.io/otel/metric"
)

// QualityConfig says what RegisterQuality exports.
type QualityConfig struct {
	// Monitor is exported. Required.
	Monitor *quality.Monitor

	// MeterProvider makes the instruments. Required.
	MeterProvider metric.MeterProvider
}

// RegisterQuality exports the table of quality.Metrics under its OpenTelemetry
// names, with the attributes of the table, until stop is called. Everything is read
// from a Snapshot at each collection. The error joins every fault of the Config and
// every refusal of the provider; nothing is registered then.
func RegisterQuality(cfg QualityConfig) (stop func() error, err error) {
	var faults []error
	if cfg.Monitor == nil {
		faults = append(faults, errors.New("observeotel: QualityConfig.Monitor is nil: it is required"))
	}
	if cfg.MeterProvider == nil {
		faults = append(faults, errors.New("observeotel: QualityConfig.MeterProvider is nil: it is required"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	err = guarded("QualityConfig.MeterProvider", func() error { stop, err = openQuality(cfg); return err })
	return stop, err
}

func openQuality(cfg QualityConfig) (stop func() error, err error) {
	meter := cfg.MeterProvider.Meter(scopeName)
	readings, err := openReadings(meter, "QualityConfig", quality.Metrics())
	if err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := cfg.Monitor.Snapshot()
		readings.observe(o, &s)
		return nil
	}, readings.observables()...)
	if err != nil {
		return nil, fmt.Errorf("observeotel: QualityConfig.MeterProvider refused the callback: %w", err)
	}
	return func() error {
		if err := registration.Unregister(); err != nil {
			return fmt.Errorf("observeotel: ending the export of quality: %w", err)
		}
		return nil
	}, nil
}
