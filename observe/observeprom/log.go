package observeprom

import (
	"github.com/calmops/calm/observe/ecslog"
	"github.com/prometheus/client_golang/prometheus"
)

// LogConfig configures a Log.
type LogConfig struct {
	// Handler is exported. Required.
	Handler *ecslog.Handler

	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Log.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels
}

// Log exports how many lines a Handler writes and drops: it is a
// [prometheus.Collector] that reads its counters at every scrape. Make one with
// NewLog; it is safe for concurrent use, and a nil *Log does nothing.
type Log struct {
	handler  *ecslog.Handler
	readings *readings[*ecslog.Drops]
}

var _ prometheus.Collector = (*Log)(nil)

// NewLog returns a Log, registered if there is a Registerer. The error joins
// every fault of the Config: no Handler, ConstLabels that cannot be labels or are
// taken, a Registerer that refuses. Nothing is registered then.
func NewLog(cfg LogConfig) (*Log, error) {
	r, err := newReadings("LogConfig", ecslog.Metrics(), cfg.ConstLabels, required(cfg.Handler == nil, "LogConfig.Handler"))
	if err != nil {
		return nil, err
	}
	c := &Log{handler: cfg.Handler, readings: r}
	if err := register("LogConfig", cfg.Registerer, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Describe implements [prometheus.Collector].
func (c *Log) Describe(ch chan<- *prometheus.Desc) {
	if c != nil {
		c.readings.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *Log) Collect(ch chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	s := c.handler.Dropped()
	c.readings.collect(ch, &s)
}
