package observeprom

import (
	"github.com/calmops/calm/observe/resource"
	"github.com/prometheus/client_golang/prometheus"
)

// ResourceConfig configures a Resource.
type ResourceConfig struct {
	// Reader is exported. Required.
	Reader *resource.Reader

	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Resource.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels
}

// Resource exports what a Reader reads: it is a [prometheus.Collector] that reads
// its Snapshot at every scrape. Make one with NewResource; it is safe for concurrent
// use, and a nil *Resource does nothing.
type Resource struct {
	reader   *resource.Reader
	readings *readings[*resource.Snapshot]
}

var _ prometheus.Collector = (*Resource)(nil)

// NewResource returns a Resource, registered if there is a Registerer. The error joins
// every fault of the Config: no Reader, ConstLabels that cannot be labels or are
// taken, a Registerer that refuses. Nothing is registered then.
func NewResource(cfg ResourceConfig) (*Resource, error) {
	r, err := newReadings("ResourceConfig", resource.Metrics(), cfg.ConstLabels, required(cfg.Reader == nil, "ResourceConfig.Reader"))
	if err != nil {
		return nil, err
	}
	c := &Resource{reader: cfg.Reader, readings: r}
	if err := register("ResourceConfig", cfg.Registerer, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Describe implements [prometheus.Collector].
func (c *Resource) Describe(ch chan<- *prometheus.Desc) {
	if c != nil {
		c.readings.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *Resource) Collect(ch chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	s := c.reader.Snapshot()
	c.readings.collect(ch, &s)
}
