package observeprom

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// Values of the labels that the table of observe.Metrics names.
const (
	kindModel     = "model"
	kindLabel     = "label"
	kindJSON      = "json"
	kindTruncated = "truncated"
	kindClockStep = "clock_step"

	queueScheduled = "scheduled"
	queueAbandoned = "abandoned"

	typeInput           = "input"
	typeOutput          = "output"
	typeCachedInput     = "cached_input"
	typeCacheWriteInput = "cache_write_input"
	typeReasoning       = "reasoning"

	objectiveTTFT     = "ttft"
	objectiveTPOT     = "tpot"
	objectiveDuration = "duration"

	codeOK = "200"
)

// families are the metrics of the table, each in the one of the three slices
// that suits it; all are indexed by observe.MetricID.
type families struct {
	histograms []*prometheus.HistogramVec
	counters   []*prometheus.CounterVec
	gaps       *gapFamily   // of inter-token latency; nil: it is a vector
	live       []liveFamily // made at Collect from what the Recorders hold
}

// liveFamily is a metric without handles.
type liveFamily struct {
	desc *prometheus.Desc // nil: the metric is a vector
	kind prometheus.ValueType
}

// isLive reports whether a metric is read from the Recorders at Collect.
func isLive(m observe.Metric) bool {
	switch m.ID {
	case observe.MetricPreemptions, observe.MetricPrefixCacheQueries, observe.MetricPrefixCacheHits,
		observe.MetricSeriesOverflow, observe.MetricParseErrors, observe.MetricCallbackPanics:
		return true
	}
	return m.Kind == observe.KindGauge
}

func newFamilies(cfg *ServingConfig) families {
	table := observe.Metrics()
	f := families{
		histograms: make([]*prometheus.HistogramVec, len(table)),
		counters:   make([]*prometheus.CounterVec, len(table)),
		live:       make([]liveFamily, len(table)),
	}
	for _, m := range table {
		switch {
		case isLive(m):
			kind := prometheus.CounterValue
			if m.Kind == observe.KindGauge {
				kind = prometheus.GaugeValue
			}
			f.live[m.ID] = liveFamily{prometheus.NewDesc(m.Prometheus, m.Help, m.Labels, cfg.ConstLabels), kind}
		case m.ID == observe.MetricInterTokenLatency && !cfg.NativeHistograms:
			f.gaps = newGapFamily(m, cfg)
		case m.Kind == observe.KindHistogram:
			f.histograms[m.ID] = prometheus.NewHistogramVec(histogramOpts(m, cfg), m.Labels)
		default:
			f.counters[m.ID] = prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: m.Prometheus, Help: m.Help, ConstLabels: cfg.ConstLabels}, m.Labels)
		}
	}
	return f
}

// vectors are the metrics that requests move.
func (f *families) vectors() []prometheus.Collector {
	var all []prometheus.Collector
	if f.gaps != nil {
		all = append(all, f.gaps)
	}
	for _, v := range f.histograms {
		if v != nil {
			all = append(all, v)
		}
	}
	for _, v := range f.counters {
		if v != nil {
			all = append(all, v)
		}
	}
	return all
}

// labelFaults reports every constant label that cannot be one: a name that is
// empty, reserved or taken by a metric of the table, a name or value that is not
// UTF-8.
func labelFaults(cfg *ServingConfig) []error {
	taken := takenLabels(observe.Metrics())
	if cfg.VLLM.Level != VLLMOff {
		for _, l := range slices.Concat(vllmLabels, vllmLoRALabels, vllmCacheLabels, vllmReasonLabels) {
			taken[l] = "a metric of vLLM"
		}
	}
	return constLabelFaults("ServingConfig", cfg.ConstLabels, taken)
}

// takenLabels says which metric has a label name already.
func takenLabels(table []observe.Metric) map[string]string {
	taken := map[string]string{"le": "every histogram", "quantile": "every summary"}
	for _, m := range table {
		for _, l := range m.Labels {
			if taken[l] == "" {
				taken[l] = m.Prometheus
			}
		}
	}
	return taken
}

func constLabelFaults(config string, labels prometheus.Labels, taken map[string]string) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		why := ""
		switch {
		case taken[name] != "":
			why = "the name is a label of " + taken[name] + " already"
		case !utf8.ValidString(name) || name == "":
			why = "want a name of UTF-8 text"
		case strings.HasPrefix(name, "__"):
			why = "names that begin with __ are reserved"
		case !utf8.ValidString(labels[name]):
			why = "want a value of UTF-8 text"
		default:
			continue
		}
		errs = append(errs, fmt.Errorf("observeprom: %s.ConstLabels[%.140q] = %.140q: %s", config, name, labels[name], why))
	}
	return errs
}
