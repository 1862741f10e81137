package observeprom

import (
	"github.com/calmops/calm/observe/quality"
	"github.com/prometheus/client_golang/prometheus"
)

// QualityConfig configures a Quality.
type QualityConfig struct {
	// Monitor is exported. Required.
	Monitor *quality.Monitor

	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Quality.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels
}

// Quality exports what a Monitor keeps: it is a [prometheus.Collector] that reads
// its Snapshot at every scrape. Make one with NewQuality; it is safe for concurrent
// use, and a nil *Quality does nothing.
type Quality struct {
	monitor  *quality.Monitor
	readings *readings[*quality.Snapshot]
}

var _ prometheus.Collector = (*Quality)(nil)

// NewQuality returns a Quality, registered if there is a Registerer. The error joins
// every fault of the Config: no Monitor, ConstLabels that cannot be labels or are
// taken, a Registerer that refuses. Nothing is registered then.
func NewQuality(cfg QualityConfig) (*Quality, error) {
	r, err := newReadings("QualityConfig", quality.Metrics(), cfg.ConstLabels, required(cfg.Monitor == nil, "QualityConfig.Monitor"))
	if err != nil {
		return nil, err
	}
	c := &Quality{monitor: cfg.Monitor, readings: r}
	if err := register("QualityConfig", cfg.Registerer, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Describe implements [prometheus.Collector].
func (c *Quality) Describe(ch chan<- *prometheus.Desc) {
	if c != nil {
		c.readings.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *Quality) Collect(ch chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	s := c.monitor.Snapshot()
	c.readings.collect(ch, &s)
}
