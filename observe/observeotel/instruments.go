package observeotel

import (
	"errors"
	"fmt"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/metric"
)

// instruments are those of the table, by their row; a row that is not exported
// is nil.
type instruments struct {
	seconds  [metricCount]metric.Float64Histogram
	tokens   [metricCount]metric.Int64Histogram
	int64s   [metricCount]metric.Int64Observable
	float64s [metricCount]metric.Float64Observable

	families [metricCount]family // of the counters that requests move
	gaps     *gapTable
}

// newInstruments makes the instruments of a table, with all errors joined.
func newInstruments(m metric.Meter, t []row) (*instruments, error) {
	in := &instruments{gaps: newGapTable()}
	var errs []error
	for _, r := range t {
		if err := in.make(m, r); err != nil {
			errs = append(errs, fmt.Errorf("observeotel: ServingConfig.MeterProvider refused %s: %w", r.name, err))
		}
	}
	return in, errors.Join(errs...)
}

func (in *instruments) make(m metric.Meter, r row) (err error) {
	help, unit := metric.WithDescription(r.help), metric.WithUnit(r.unit)
	switch r.form {
	case formSeconds:
		in.seconds[r.id], err = m.Float64Histogram(r.name, help, unit, metric.WithExplicitBucketBoundaries(r.bounds...))
	case formTokens:
		in.tokens[r.id], err = m.Int64Histogram(r.name, help, unit, metric.WithExplicitBucketBoundaries(r.bounds...))
	case formCounter:
		in.int64s[r.id], err = m.Int64ObservableCounter(r.name, help, unit)
	case formSum:
		in.int64s[r.id], err = m.Int64ObservableUpDownCounter(r.name, help, unit)
	case formSecondsSum:
		in.float64s[r.id], err = m.Float64ObservableCounter(r.name, help, unit)
	case formRatio:
		in.float64s[r.id], err = m.Float64ObservableGauge(r.name, help, unit)
	}
	return err
}

// observables are the instruments that the callback reports.
func (in *instruments) observables() (all []metric.Observable) {
	for id := range observe.MetricID(metricCount) {
		if i := in.int64s[id]; i != nil {
			all = append(all, i)
		}
		if f := in.float64s[id]; f != nil {
			all = append(all, f)
		}
	}
	return all
}
