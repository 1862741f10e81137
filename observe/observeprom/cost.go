package observeprom

import (
	"github.com/calmops/calm/observe/cost"
	"github.com/prometheus/client_golang/prometheus"
)

// CostConfig configures a Cost.
type CostConfig struct {
	// Account is exported. Required.
	Account *cost.Account

	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Cost.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels
}

// Cost exports what an Account adds up: it is a [prometheus.Collector] that reads
// its Totals at every scrape. Make one with NewCost; it is safe for concurrent
// use, and a nil *Cost does nothing.
type Cost struct {
	account  *cost.Account
	readings *readings[*cost.Totals]
}

var _ prometheus.Collector = (*Cost)(nil)

// NewCost returns a Cost, registered if there is a Registerer. The error joins
// every fault of the Config: no Account, ConstLabels that cannot be labels or are
// taken, a Registerer that refuses. Nothing is registered then.
func NewCost(cfg CostConfig) (*Cost, error) {
	r, err := newReadings("CostConfig", cost.Metrics(), cfg.ConstLabels, required(cfg.Account == nil, "CostConfig.Account"))
	if err != nil {
		return nil, err
	}
	c := &Cost{account: cfg.Account, readings: r}
	if err := register("CostConfig", cfg.Registerer, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Describe implements [prometheus.Collector].
func (c *Cost) Describe(ch chan<- *prometheus.Desc) {
	if c != nil {
		c.readings.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *Cost) Collect(ch chan<- prometheus.Metric) {
	if c == nil {
		return
	}
	t := c.account.Totals()
	c.readings.collect(ch, &t)
}
