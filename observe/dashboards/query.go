package dashboards

import (
	"fmt"
	"strconv"
	"strings"
)

// What follows writes the expressions that most panels are made of.

// by is the grouping of an aggregation.
func by(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return " by (" + strings.Join(labels, ", ") + ") "
}

// sum is the sum of a gauge.
func sum(metric string, labels ...string) string { return "sum" + by(labels) + "(" + metric + ")" }

// rate is what a counter counts in a second.
func rate(counter string, labels ...string) string {
	return "sum" + by(labels) + "(rate(" + counter + "[$__rate_interval]))"
}

// orNone is 0 where nothing of the kind has been counted yet.
func orNone(expr string) string { return "(" + expr + " or vector(0))" }

// share is a part of a whole; where the whole is 0 there is none.
func share(part, whole string) string { return part + " / (" + whole + " > 0)" }

// histograms says in which form histograms are stored: true is the native one.
type histograms bool

// quantile estimates a quantile of a histogram, by labels.
func (native histograms) quantile(q float64, histogram string, labels ...string) string {
	if native {
		return fmt.Sprintf("histogram_quantile(%v, %s)", q, rate(histogram, labels...))
	}
	return fmt.Sprintf("histogram_quantile(%v, %s)", q, rate(series(histogram, "_bucket"), append([]string{"le"}, labels...)...))
}

// three are the quantiles that latencies are looked at by.
func (native histograms) three(histogram string) []query {
	var q []query
	for _, p := range []float64{.5, .9, .99} {
		q = append(q, query{expr: native.quantile(p, histogram), legend: "p" + strconv.Itoa(int(p*100))})
	}
	return q
}

// heat counts the values of each bucket.
func (native histograms) heat(histogram string) []query {
	if native {
		return []query{{expr: "sum(increase(" + histogram + "[$__rate_interval]))"}}
	}
	return []query{{expr: "sum by (le) (increase(" + series(histogram, "_bucket") + "[$__rate_interval]))", legend: "{{le}}"}}
}

// series puts a suffix behind the name of a metric, before its matchers.
func series(metric, suffix string) string {
	name, matchers, found := strings.Cut(metric, "{")
	if found {
		matchers = "{" + matchers
	}
	return name + suffix + matchers
}
