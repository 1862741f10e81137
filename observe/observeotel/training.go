package observeotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/training"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// TrainingConfig says what RegisterTraining exports.
type TrainingConfig struct {
	// Recorders are exported, each under its run and rank, which differ. At least
	// one is required.
	Recorders []*training.Recorder

	// MeterProvider makes the instruments. Required.
	MeterProvider metric.MeterProvider
}

// RegisterTraining exports the table of training.Metrics under its OpenTelemetry
// names, with the attributes of the table, until stop is called. Gauges and
// counters are read from a Snapshot at each collection; step durations are
// recorded at each Step, in the histogram llm.train.step.duration with the bounds
// of the table. The error joins every fault of the Config and every refusal of the
// provider; nothing is registered then.
func RegisterTraining(cfg TrainingConfig) (stop func() error, err error) {
	var faults []error
	if len(cfg.Recorders) == 0 {
		faults = append(faults, errors.New("observeotel: TrainingConfig.Recorders is empty: at least one is required"))
	}
	cfg.Recorders = slices.Clone(cfg.Recorders)
	seen := map[training.Session]int{}
	for i, r := range cfg.Recorders {
		if r == nil {
			faults = append(faults, fmt.Errorf("observeotel: TrainingConfig.Recorders[%d] is nil", i))
			continue
		}
		key := r.Snapshot().Session
		key.World = 0
		if first, twice := seen[key]; twice {
			faults = append(faults, fmt.Errorf("observeotel: TrainingConfig.Recorders[%d] has run %q and rank %d, as [%d] has", i, key.Run, key.Rank, first))
		}
		seen[key] = i
	}
	if cfg.MeterProvider == nil {
		faults = append(faults, errors.New("observeotel: TrainingConfig.MeterProvider is nil: it is required"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	err = guarded("TrainingConfig.MeterProvider", func() error { stop, err = openTraining(cfg); return err })
	return stop, err
}

func openTraining(cfg TrainingConfig) (stop func() error, err error) {
	meter := cfg.MeterProvider.Meter(scopeName)
	table := training.Metrics()
	readings, err := openReadings(meter, "TrainingConfig", table)
	if err != nil {
		return nil, err
	}
	durations, err := openDurations(meter, table)
	if err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, r := range cfg.Recorders {
			s := r.Snapshot()
			readings.observe(o, &s)
		}
		return nil
	}, readings.observables()...)
	if err != nil {
		return nil, fmt.Errorf("observeotel: TrainingConfig.MeterProvider refused the callback: %w", err)
	}
	var stops []func()
	for _, r := range cfg.Recorders {
		s := r.Snapshot().Session
		attrs := attribute.NewSet(attribute.String("run", s.Run), attribute.String("rank", strconv.Itoa(s.Rank)))
		options := []metric.RecordOption{metric.WithAttributeSet(attrs)}
		stops = append(stops, r.OnStep(func(s training.Step) {
			durations.Record(context.Background(), s.Duration.Seconds(), options...)
		}))
	}
	return func() error {
		for _, stop := range stops {
			stop()
		}
		if err := registration.Unregister(); err != nil {
			return fmt.Errorf("observeotel: ending the export of training: %w", err)
		}
		return nil
	}, nil
}

// openDurations makes the one histogram of the table.
func openDurations(m metric.Meter, table []observe.Reading[*training.Snapshot]) (metric.Float64Histogram, error) {
	i := slices.IndexFunc(table, func(r observe.Reading[*training.Snapshot]) bool { return r.Kind == observe.KindHistogram })
	h, err := m.Float64Histogram(table[i].OTel, metric.WithDescription(table[i].Help),
		metric.WithUnit(table[i].Unit), metric.WithExplicitBucketBoundaries(table[i].Buckets...))
	if err != nil {
		return nil, fmt.Errorf("observeotel: TrainingConfig.MeterProvider refused %s: %w", table[i].OTel, err)
	}
	return h, nil
}
