package dashboards

import "github.com/calmops/calm/observe"

// What follows is for the tests outside of the package.

// Selected is a selector of an expression.
type Selected struct {
	Metric string
	Labels []string
}

// Selectors returns the selectors of an expression.
func Selectors(src string) ([]Selected, error) {
	e, err := parse(src)
	if err != nil {
		return nil, err
	}
	var all []Selected
	for _, s := range selectors(e) {
		one := Selected{Metric: s.name}
		for _, m := range s.matchers {
			one.Labels = append(one.Labels, m.label)
		}
		all = append(all, one)
	}
	return all, nil
}

// Grouped returns the labels that an expression groups or matches by.
func Grouped(src string) ([]string, error) {
	e, err := parse(src)
	var all []string
	if err == nil {
		walk(e, func(e expr, _ []expr) {
			switch e := e.(type) {
			case aggregate:
				all = append(all, e.labels...)
			case binary:
				all = append(all, e.labels...)
			}
		})
	}
	return all, err
}

// MetricOf returns the row of a metric by the name of one of its series.
func MetricOf(series string) (m observe.Metric, ok bool) {
	m, _, ok = newCatalogue().of(series)
	return m, ok
}
