package dashboards

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SLO is a service level objective: the share of events that must be good.
type SLO struct {
	// Name tells it from others: letters, digits, _ . and -. Required.
	Name string
	// Objective is the share of events that must be good, above 0 and below 1.
	// Required.
	Objective float64

	// Bad selects the counters of events that were not good, Good those that were:
	// one of the two is required. A bucket of a histogram is selected by a bound that
	// its metric has, such as le="0.5".
	Bad  string
	Good string // see Bad
	// Total selects the counters of all events. Required.
	Total string

	// Days is the period that the error budget is for, 30 or 28. Defaults to 30.
	Days int
	// By are the labels by which events are told apart: each of their values has a
	// budget of its own. Defaults to none.
	By []string
	// MinEvents is how many events a window must have before it can alert. Defaults
	// to ceil(2 / threshold), by window, so that no single failed request can.
	MinEvents float64
	// Labels are added to everything that is recorded, and to the alerts. Defaults to
	// none.
	Labels map[string]string
}

// SLOs returns the objectives that Alerts has by default, each by job: 99 % of
// requests do not fail by the server's fault, 95 % of streams have their first token
// within 2.5 s, 95 % of gaps between tokens are at most 0.1 s, and where the program
// sets objectives of its own, 95 % of requests meet each. The caller owns the result.
func SLOs() []SLO {
	return []SLO{
		{Name: "availability", Objective: .99, Bad: "llm_server_requests_total{" + failed + "}", Total: "llm_server_requests_total", By: []string{"job"}},
		{Name: "ttft", Objective: .95, Good: `gen_ai_server_time_to_first_token_seconds_bucket{le="2.5"}`, Total: "gen_ai_server_time_to_first_token_seconds_count", By: []string{"job"}},
		{Name: "itl", Objective: .95, Good: `llm_server_inter_token_latency_seconds_bucket{le="0.1"}`, Total: "llm_server_inter_token_latency_seconds_count", By: []string{"job"}},
		{Name: "objectives", Objective: .95, Bad: `llm_server_slo_total{result="missed"}`, Total: "llm_server_slo_total", By: []string{"job", "objective"}},
	}
}

// window is a column of the table of burn rates.
type window struct {
	long     time.Duration // the short one is a twelfth of it
	budget   float64       // the share of the budget that may be gone after it
	severity string
}

const day = 24 * time.Hour

// windows are those of the Site Reliability Workbook, chapter 5, and a slower pair
// for tickets.
var windows = [...]window{{time.Hour, .02, page}, {6 * time.Hour, .05, page}, {day, .1, ticket}, {3 * day, .1, ticket}}

// factor is how many times faster than allowed the budget goes at the limit.
func (w window) factor(days int) float64 {
	return w.budget * float64(days) * day.Hours() / w.long.Hours()
}

// BurnRate returns the rules of an objective: its error ratio over every window, what
// is left of its budget, and the alerts SLOBurnPage and SLOBurnTicket, which fire
// while the budget goes too fast over a long window and a short one. The error joins
// every fault of the SLO.
func BurnRate(s SLO) (RuleGroup, error) { return s.rules(AlertConfig{}) }

func (s SLO) rules(cfg AlertConfig) (RuleGroup, error) {
	if s.Days == 0 {
		s.Days = 30
	}
	if err := s.validate(); err != nil {
		return RuleGroup{}, err
	}
	labels := map[string]string{"slo": s.Name}
	maps.Copy(labels, s.Labels)
	g := RuleGroup{Name: "calm-slo-" + s.Name, Interval: time.Minute}
	record := func(name, expr string) {
		g.Rules = append(g.Rules, Rule{Record: name, Expr: expr, Labels: maps.Clone(labels)})
	}
	var lengths []time.Duration
	for _, w := range windows {
		lengths = append(lengths, w.long, w.long/12)
	}
	slices.Sort(lengths)
	for _, d := range slices.Compact(lengths) { // a long one is the short of another
		record("slo:error_ratio:rate"+duration(d), s.ratio("rate", d))
	}
	record("slo:error_budget_remaining:ratio", fmt.Sprintf("1 - (%s) / %s", s.ratio("increase", time.Duration(s.Days)*day), digits(1-s.Objective)))
	record("slo:objective:ratio", fmt.Sprintf("vector(%s)", digits(s.Objective)))
	for _, severity := range []string{page, ticket} {
		if a, ok := s.alert(severity, cfg); ok {
			g.Rules = append(g.Rules, a)
		}
	}
	return g, nil
}

// ratio is the share of events that were not good. Where there was none it has no
// value.
func (s SLO) ratio(function string, over time.Duration) string {
	sum := func(selector string) string { return s.sum(function, selector, over) }
	part := s.Bad
	if part == "" {
		part = s.Good
	}
	// A kind of event that has not been seen yet has no series: there were 0 of it.
	ratio := fmt.Sprintf("(%s or 0 * %s) / (%s > 0)", sum(part), sum(s.Total), sum(s.Total))
	if s.Bad == "" {
		ratio = "1 - " + ratio
	}
	return ratio
}

func (s SLO) sum(function, selector string, over time.Duration) string {
	return "sum" + by(s.By) + "(" + function + "(" + selector + "[" + duration(over) + "]))"
}

// alert joins the windows of a severity. One whose limit no ratio can pass is left
// out; if that goes for all, there is no alert.
func (s SLO) alert(severity string, cfg AlertConfig) (Rule, bool) {
	var halves []string
	for _, w := range windows {
		limit := w.factor(s.Days) * (1 - s.Objective)
		if w.severity != severity || limit >= 1 {
			continue
		}
		events := s.MinEvents
		if events == 0 {
			events = math.Ceil(2/limit - 1e-9)
		}
		over := func(d time.Duration) string {
			return fmt.Sprintf("slo:error_ratio:rate%s{slo=%s} > %s", duration(d), quote(s.Name), digits(limit))
		}
		halves = append(halves, fmt.Sprintf("(\n  %s\n  and %s\n  and on (%s) %s >= %s\n)", over(w.long), over(w.long/12),
			strings.Join(s.By, ", "), s.sum("increase", s.Total, w.long), digits(events)))
	}
	name := map[string]string{page: "SLOBurnPage", ticket: "SLOBurnTicket"}[severity]
	r := Rule{Alert: name, Expr: strings.Join(halves, "\nor\n"), Labels: cfg.labels(severity)}
	maps.Copy(r.Labels, s.Labels)
	r.Labels["slo"] = s.Name // the expression has it too; with it here, no two alerts look alike
	r.Annotations = cfg.annotations(name, "The error budget of {{ $labels.slo }} goes too fast.",
		fmt.Sprintf("{{ $value | humanizePercentage }} of events were not good, where %s %% may be over %d days.", digits((1-s.Objective)*100), s.Days))
	return r, len(halves) > 0
}

var sloName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// validate reports every fault at once, and completes the bounds of buckets.
func (s *SLO) validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("dashboards: SLO %q: "+field+" "+format, append([]any{s.Name}, args...)...))
	}
	if !sloName.MatchString(s.Name) {
		fault("Name", "is %q: want letters, digits, _ . and -", s.Name)
	}
	if !(s.Objective > 0 && s.Objective < 1) {
		fault("Objective", "is %v: want a share above 0 and below 1", s.Objective)
	}
	if s.Days != 28 && s.Days != 30 {
		fault("Days", "is %d: want 30 or 28", s.Days)
	}
	if !(s.MinEvents >= 0) || math.IsInf(s.MinEvents, 1) {
		fault("MinEvents", "is %v: want a positive number", s.MinEvents)
	}
	if (s.Bad == "") == (s.Good == "") {
		fault("Bad", "is %q and Good is %q: want one of them", s.Bad, s.Good)
	}
	for _, sel := range []struct {
		field string
		text  *string
	}{{"Bad", &s.Bad}, {"Good", &s.Good}, {"Total", &s.Total}} {
		if *sel.text == "" && sel.field != "Total" {
			continue
		}
		fixed, err := counters(*sel.text, s.By)
		if err != nil {
			fault(sel.field, "is %q: %w", *sel.text, err)
			continue
		}
		*sel.text = fixed
	}
	for _, l := range s.By {
		if !labelName.MatchString(l) || l == "slo" || l == "severity" || s.Labels[l] != "" {
			fault("By", "has %q, which cannot be a label here", l)
		}
	}
	for l := range s.Labels {
		if !labelName.MatchString(l) || l == "slo" || l == "severity" {
			fault("Labels", "has %q, which cannot be a label here", l)
		}
	}
	return errors.Join(faults...)
}

// counters checks a selector of counters, and returns it with the bound of a bucket
// as any version of Prometheus stores it.
func counters(text string, by []string) (string, error) {
	e, err := parse(text)
	if err != nil {
		return "", err
	}
	s, ok := e.(*selector)
	if !ok || s.window != "" || s.from != 0 || s.to != len(text) {
		return "", errors.New("want a selector and nothing else")
	}
	names := newCatalogue()
	m, suffix, known := names.of(s.name)
	for _, l := range by {
		if known && l != "job" && l != "instance" && !slices.Contains(m.Labels, l) {
			return "", fmt.Errorf("%s has no label %s", s.name, l)
		}
	}
	bounded := false
	for _, match := range s.matchers {
		if match.label != "le" {
			continue
		}
		bounded = true
		bound, err := strconv.ParseFloat(match.value, 64)
		if match.op != "=" || err != nil {
			return "", errors.New("want one bound, as in le=\"0.5\"")
		}
		if known && suffix == "_bucket" && !slices.Contains(m.Buckets, bound) {
			return "", fmt.Errorf("%s has no bucket %v: it has %v", m.Prometheus, match.value, m.Buckets)
		}
		// Prometheus 3 stores 1 as 1.0.
		if whole := strconv.FormatFloat(bound, 'f', -1, 64); bound == math.Trunc(bound) && !math.IsInf(bound, 0) {
			return text[:match.from] + `le=~"` + whole + `(\\.0)?"` + text[match.to:], nil
		}
	}
	if suffix == "_bucket" && !bounded {
		return "", errors.New("want a bucket, as in le=\"0.5\"")
	}
	return text, nil
}

// narrowed adds matchers to the selectors of s.
func (s SLO) narrowed(matchers []string) SLO {
	for _, text := range []*string{&s.Bad, &s.Good, &s.Total} {
		if n, err := narrow(*text, func(string) []string { return matchers }); err == nil {
			*text = n
		}
	}
	return s
}

// digits writes a number with six significant digits.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
