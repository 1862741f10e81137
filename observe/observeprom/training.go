package observeprom

import (
	"errors"
	"fmt"
	"slices"

	"github.com/calmops/calm/observe/training"
	"github.com/prometheus/client_golang/prometheus"
)

// TrainingConfig configures a Training.
type TrainingConfig struct {
	// Recorders are exported, each under its run and rank, which differ. At least
	// one is required.
	Recorders []*training.Recorder

	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Training.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels

	// NativeHistograms adds a native histogram of step times, of schema 3, beside
	// the classic one. Defaults to false.
	NativeHistograms bool
}

// Training exports what training Recorders account for: it is a
// [prometheus.Collector] that takes a Snapshot of each at every scrape. Make one
// with NewTraining; it is safe for concurrent use, and a nil *Training does
// nothing.
type Training struct {
	recorders []*training.Recorder
	readings  *readings[*training.Snapshot]
}

var _ prometheus.Collector = (*Training)(nil)

// NewTraining returns a Training, registered if there is a Registerer. The error
// joins every fault of the Config: no Recorders or a nil one, two of one run and
// rank, ConstLabels that cannot be labels or are taken, a Registerer that refuses.
// Nothing is registered then.
func NewTraining(cfg TrainingConfig) (*Training, error) {
	var faults []error
	if len(cfg.Recorders) == 0 {
		faults = append(faults, errors.New("observeprom: TrainingConfig.Recorders is empty: at least one is required"))
	}
	seen := map[training.Session]int{}
	for i, r := range cfg.Recorders {
		if r == nil {
			faults = append(faults, fmt.Errorf("observeprom: TrainingConfig.Recorders[%d] is nil", i))
			continue
		}
		key := r.Snapshot().Session
		key.World = 0
		if first, twice := seen[key]; twice {
			faults = append(faults, fmt.Errorf("observeprom: TrainingConfig.Recorders[%d] has run %q and rank %d, as [%d] has", i, key.Run, key.Rank, first))
		}
		seen[key] = i
	}
	r, err := newReadings("TrainingConfig", training.Metrics(), cfg.ConstLabels, faults...)
	if err != nil {
		return nil, err
	}
	r.native = cfg.NativeHistograms
	t := &Training{recorders: slices.Clone(cfg.Recorders), readings: r}
	if err := register("TrainingConfig", cfg.Registerer, t); err != nil {
		return nil, err
	}
	return t, nil
}

// Describe implements [prometheus.Collector].
func (t *Training) Describe(ch chan<- *prometheus.Desc) {
	if t != nil {
		t.readings.describe(ch)
	}
}

// Collect implements [prometheus.Collector]. No Recorder is locked while it sends.
func (t *Training) Collect(ch chan<- prometheus.Metric) {
	if t == nil {
		return
	}
	for _, r := range t.recorders {
		s := r.Snapshot()
		t.readings.collect(ch, &s)
	}
}
