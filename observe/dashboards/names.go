package dashboards

import (
	"slices"
	"strings"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/calmops/calm/observe/training"
)

// Metrics returns the metrics that dashboards and rules are made of: the tables of
// all packages, one behind the other. An ID is a row's place in its own table. The
// caller owns the result.
func Metrics() []observe.Metric {
	return slices.Concat(observe.Metrics(), rows(training.Metrics()), rows(quality.Metrics()), rows(cost.Metrics()),
		rows(resource.Metrics()), rows(ecslog.Metrics()))
}

func rows[S any](readings []observe.Reading[S]) []observe.Metric {
	var all []observe.Metric
	for _, r := range readings {
		all = append(all, r.Metric)
	}
	return all
}

// catalogue finds metrics by their names.
type catalogue map[string]observe.Metric

func newCatalogue() catalogue {
	c := catalogue{}
	for _, m := range Metrics() {
		c[m.Prometheus] = m
	}
	return c
}

// of returns the row of a metric by the name of one of its series: a histogram is
// stored as series that end in _bucket, _sum and _count.
func (c catalogue) of(series string) (m observe.Metric, suffix string, ok bool) {
	if m, ok = c[series]; ok {
		return m, "", true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name, found := strings.CutSuffix(series, suffix)
		if m, ok := c[name]; found && ok && m.Kind == observe.KindHistogram {
			return m, suffix, true
		}
	}
	return observe.Metric{}, "", false
}

// labels returns the labels of the series of a metric, without job and instance.
func (c catalogue) labels(series string) []string {
	m, suffix, _ := c.of(series)
	if suffix == "_bucket" {
		return append(slices.Clone(m.Labels), "le")
	}
	return m.Labels
}
