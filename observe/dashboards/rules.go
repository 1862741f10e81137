package dashboards

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

// AlertConfig configures Alerts. The zero value is valid.
type AlertConfig struct {
	// Selector narrows every rule, as in `job=~"llm-.*",cluster="eu"`: the server may
	// hold programs of other teams too. Defaults to everything.
	Selector string

	// RunbookURL is the page that alerts lead to, each to the heading of its name.
	// Defaults to the README.md of examples/prometheus.
	RunbookURL string

	// Labels are added to every alert, such as the team that gets it. Defaults to
	// none.
	Labels map[string]string

	// SLOs have their burn rates recorded and watched. Defaults to SLOs(); a slice
	// that is empty and not nil stands for none.
	SLOs []SLO

	// NoTraffic adds the alert of that name, for servers that are never without
	// requests. Defaults to false.
	NoTraffic bool
}

// Rules are rules for Prometheus in their groups.
type Rules []RuleGroup

// RuleGroup is a group of rules that Prometheus evaluates one after the other.
type RuleGroup struct {
	Name     string        // unlike that of any other group of a file
	Interval time.Duration // between evaluations. Defaults to the server's.
	Rules    []Rule        // in the order in which they are evaluated
}

// Rule is a recording rule or an alert.
type Rule struct {
	Record      string            // the metric that is recorded; empty: an alert
	Alert       string            // the name of the alert
	Expr        string            // in PromQL
	For         time.Duration     // how long an alert's expression must hold before it fires
	Labels      map[string]string // added to what is recorded or fires
	Annotations map[string]string // of an alert: summary, description, runbook_url
}

// Severities of alerts: somebody must act now, somebody must act in days, nobody
// must.
const (
	page   = "page"
	ticket = "ticket"
	info   = "info"
)

// alert is an entry of a table of alerts.
type alert struct {
	name     string
	expr     string
	minutes  int // that it must hold
	severity string
	summary  string // what is, with its labels
	about    string // what that means, and what to do first
	optional bool
}

const runbook = "https://github.com/calmops/calm/blob/main/examples/prometheus/README.md"

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Alerts returns all rules: those of serving, training, resources and logs, and for
// each SLO those of its burn rate. The error joins every fault of the Config: a
// Selector that cannot be read, Labels that are none or taken, faults of an SLO, two
// SLOs of one name.
func Alerts(cfg AlertConfig) (Rules, error) {
	var faults []error
	matchers, err := matchersOf(cfg.Selector)
	faults = append(faults, err)
	for name := range cfg.Labels {
		if !labelName.MatchString(name) || name == "severity" {
			faults = append(faults, fmt.Errorf("dashboards: AlertConfig.Labels: %q cannot be a label here", name))
		}
	}
	var all Rules
	for _, table := range []struct {
		name   string
		alerts []alert
	}{
		{"calm-serving", servingAlerts()},
		{"calm-training", trainingAlerts()},
		{"calm-resource", resourceAlerts()},
		{"calm-logs", logAlerts()},
	} {
		g := RuleGroup{Name: table.name}
		for _, a := range table.alerts {
			if !a.optional || cfg.NoTraffic {
				g.Rules = append(g.Rules, a.rule(cfg, matchers))
			}
		}
		all = append(all, g)
	}
	slos := cfg.SLOs
	if slos == nil {
		slos = SLOs()
	}
	seen := map[string]bool{}
	for _, s := range slos {
		if seen[s.Name] {
			faults = append(faults, fmt.Errorf("dashboards: AlertConfig.SLOs has %q twice", s.Name))
		}
		seen[s.Name] = true
		g, err := s.narrowed(matchers).rules(cfg)
		faults = append(faults, err)
		all = append(all, g)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return all, nil
}

// rule makes a rule of a table's entry.
func (a alert) rule(cfg AlertConfig, matchers []string) Rule {
	expr, err := narrow(a.expr, func(string) []string { return matchers })
	if err != nil {
		expr = a.expr // the tests parse all of them
	}
	return Rule{Alert: a.name, Expr: expr, For: time.Duration(a.minutes) * time.Minute,
		Labels: cfg.labels(a.severity), Annotations: cfg.annotations(a.name, a.summary, a.about)}
}

func (c AlertConfig) labels(severity string) map[string]string {
	l := map[string]string{"severity": severity}
	maps.Copy(l, c.Labels)
	return l
}

func (c AlertConfig) annotations(name, summary, about string) map[string]string {
	return map[string]string{"summary": summary, "description": about,
		"runbook_url": cmp.Or(c.RunbookURL, runbook) + "#" + strings.ToLower(name)}
}

// matchersOf reads matchers, and returns each as it was written.
func matchersOf(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	e, err := parse("x{" + text + "}") // with a name, any matchers will do
	s, ok := e.(*selector)
	if err != nil || !ok || s.window != "" || s.to != len(text)+3 {
		return nil, fmt.Errorf("dashboards: AlertConfig.Selector is %q: want matchers, such as job=\"llm\": %w", text, cmp.Or(err, errors.New("it is something else")))
	}
	var all []string
	for _, m := range s.matchers {
		all = append(all, m.label+m.op+quote(m.value))
	}
	return all, nil
}
