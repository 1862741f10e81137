package observeprom

import (
	"maps"
	"strings"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// reader reads one metric of a collector, as observetest wants it.
func reader(c prometheus.Collector) func(observe.MetricID, map[string]string) (observetest.Reading, bool) {
	table, described := observe.Metrics(), describe(c)
	return func(id observe.MetricID, labels map[string]string) (r observetest.Reading, ok bool) {
		for _, m := range readAs(c, described, table[id].Prometheus, labels) {
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

// describe returns the names of what a collector describes.
func describe(c prometheus.Collector) map[*prometheus.Desc]string {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	described := make(map[*prometheus.Desc]string)
	for d := range ch {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		described[d], _, _ = strings.Cut(name, `"`)
	}
	return described
}

// read returns the series of a name that have the labels; an empty value is a
// label that is empty or absent.
func read(c prometheus.Collector, name string, labels map[string]string) []*dto.Metric {
	return readAs(c, describe(c), name, labels)
}

func readAs(c prometheus.Collector, described map[*prometheus.Desc]string, name string, labels map[string]string) (found []*dto.Metric) {
	ch := make(chan prometheus.Metric, 64)
	go func() {
		defer close(ch)
		c.Collect(ch)
	}()
	for m := range ch {
		if described[m.Desc()] != name {
			continue
		}
		out := new(dto.Metric)
		if err := m.Write(out); err != nil {
			panic(err)
		}
		if has(out, labels) {
			found = append(found, out)
		}
	}
	return found
}

func has(m *dto.Metric, labels map[string]string) bool {
	missing := maps.Clone(labels)
	maps.DeleteFunc(missing, func(_, v string) bool { return v == "" })
	for _, p := range m.Label {
		if v, ok := labels[p.GetName()]; ok && v != p.GetValue() {
			return false
		}
		delete(missing, p.GetName())
	}
	return len(missing) == 0
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
