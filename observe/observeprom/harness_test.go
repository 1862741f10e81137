package observeprom

import (
	"maps"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// reader reads one metric of a collector, as observetest wants it.
func reader(c prometheus.Collector) func(observe.MetricID, map[string]string) (observetest.Reading, bool) {
	table := observe.Metrics()
	return func(id observe.MetricID, labels map[string]string) (r observetest.Reading, ok bool) {
		for m := range collect(c) {
			if m.name != table[id].Prometheus || !m.has(labels) {
				continue
			}
			switch {
			case m.Histogram != nil:
				r.Count += m.Histogram.GetSampleCount()
				r.Sum += m.Histogram.GetSampleSum()
			case m.Counter != nil:
				r.Sum += m.Counter.GetValue()
			case m.Gauge != nil:
				r.Sum += m.Gauge.GetValue()
			}
		}
		return r, true
	}
}

// sample is one series of a scrape.
type sample struct {
	name string
	*dto.Metric
}

func (s sample) has(labels map[string]string) bool {
	found := maps.Clone(labels)
	maps.DeleteFunc(found, func(_, v string) bool { return v == "" })
	for _, p := range s.Label {
		if v, ok := labels[p.GetName()]; ok && v != p.GetValue() {
			return false
		}
		delete(found, p.GetName())
	}
	return len(found) == 0
}

// collect yields what a registry would gather from a collector.
func collect(c prometheus.Collector) func(func(sample) bool) {
	return func(yield func(sample) bool) {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(c)
		families, err := reg.Gather()
		if err != nil {
			panic(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if !yield(sample{f.GetName(), m}) {
					return
				}
			}
		}
	}
}

func newServing(t testing.TB, cfg ServingConfig) *Serving {
	t.Helper()
	s, err := NewServing(cfg)
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]ServingConfig{
		"Defaults": {},
		"Everything": {ConstLabels: prometheus.Labels{"cluster": "c1"}, NativeHistograms: true,
			Buckets: Buckets{TTFT: []float64{.5}, ITL: []float64{.01, .02}}},
	} {
		t.Run(name, func(t *testing.T) {
			observetest.TestSink(t, func(t *testing.T) observetest.Harness {
				s := newServing(t, cfg)
				return observetest.Harness{Sink: s, Read: reader(s)}
			})
		})
	}
}
