package observeotel

import (
	"errors"

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
	return registerReadings("QualityConfig", cfg.MeterProvider, quality.Metrics(), func() *quality.Snapshot {
		s := cfg.Monitor.Snapshot()
		return &s
	})
}
