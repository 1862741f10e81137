package dashboards

import (
	"regexp"
	"slices"
	"strings"
)

// withoutTargets are the types of panels that ask for nothing.
var withoutTargets = []string{"row", "text", "news", "dashlist", "alertlist", "annolist", "welcome", "gettingstarted", "debug"}

// dashboardSource is the data source of panels that show what another one has asked.
const dashboardSource = "-- Dashboard --"

// panel applies the rules 6 to 16 to a panel.
func (l *linter) panel(p *lintPanel) {
	if slices.Contains(withoutTargets, p.Type) {
		return
	}
	_, from := datasourceOf(p.Datasource)
	if from != dashboardSource && l.variableType(from) == "" {
		l.found("panel-datasource-rule", SeverityError, p, nil, "its data source %q is not that of the variable", from)
	}
	if p.Title == "" || p.Description == "" {
		l.found("panel-title-description-rule", SeverityWarning, p, nil, "it has no title, or no description")
	}
	if len(p.Targets) == 0 {
		l.found("panel-no-targets-rule", SeverityError, p, nil, "it asks for nothing")
	}
	l.unit(p)
	for i := range p.Targets {
		l.target(p, &p.Targets[i])
	}
}

// unit applies rule 8.
func (l *linter) unit(p *lintPanel) {
	d := p.FieldConfig.Defaults
	texts := p.Type == "stat" && (p.Options.ReduceOptions.Fields != "" || p.Options.TextMode == "name")
	if len(d.Mappings) > 0 && d.Unit == "" || texts || knownUnit(d.Unit) {
		return
	}
	l.found("panel-units-rule", SeverityWarning, p, nil, "Grafana has no unit %q", d.Unit)
}

// target applies the rules 10 to 16 to a query.
func (l *linter) target(p *lintPanel, t *lintTarget) {
	kind := l.kindOf(t.Datasource)
	if kind == "" {
		kind = l.kindOf(p.Datasource)
	}
	if kind == "loki" {
		l.logQL(p, t)
		return
	}
	if t.Expr == "" {
		shown := func(other *lintPanel) bool { return other.ID == t.PanelID }
		if t.PanelID == 0 || !slices.ContainsFunc(l.panels, shown) {
			l.found("target-promql-rule", SeverityError, p, t, "it is empty, and shows no other panel")
		}
		return
	}
	e, err := parse(t.Expr)
	if err != nil {
		l.found("target-promql-rule", SeverityError, p, t, "%v", err)
		return
	}
	l.rates(p, t, e)
	for _, s := range selectors(e) {
		l.narrowedBy("target-job-rule", p, t, s, "job")
		l.narrowedBy("target-instance-rule", p, t, s, "instance")
	}
	l.counters(p, t, e)
	l.unitOfTable(p, t, e)
}

var logRange = regexp.MustCompile(`\[([^\]]*)\]`)

// logQL applies the rules 10 and 11. There is no parser of LogQL here: what cannot be
// checked does not pass.
func (l *linter) logQL(p *lintPanel, t *lintTarget) {
	l.found("target-logql-rule", SeverityError, p, t, "LogQL is not read here: no query of Loki passes")
	for _, m := range logRange.FindAllStringSubmatch(t.Expr, -1) {
		if m[1] != "$__auto" && m[1] != "${__auto}" {
			l.found("target-logql-auto-rule", SeverityWarning, p, t, "the range is %s, not $__auto", m[1])
		}
	}
}

// rates applies rule 13.
func (l *linter) rates(p *lintPanel, t *lintTarget, e expr) {
	walk(e, func(e expr, _ []expr) {
		c, ok := e.(call)
		if !ok || c.name != "rate" && c.name != "irate" {
			return
		}
		s, ok := c.args[0].(*selector)
		if !ok || s.window == "$__rate_interval" || s.window == "${__rate_interval}" {
			return
		}
		l.found("target-rate-interval-rule", SeverityError, p, t, "%s over %s, not $__rate_interval: it has gaps, or misses what falls between two points", c.name, s.window)
	})
}

// narrowedBy applies the rules 14 and 15.
func (l *linter) narrowedBy(rule string, p *lintPanel, t *lintTarget, s *selector, name string) {
	for _, m := range s.matchers {
		v, ok := isVariable(m.value)
		if m.label == name && m.op == "=~" && ok && v == name {
			return
		}
	}
	l.found(rule, SeverityError, p, t, "%s has no %s=~\"$%s\"", s.metric(), name, name)
}

// metric is what a selector is called in a message.
func (e *selector) metric() string {
	if e.name == "" {
		return "a selector without a name"
	}
	return e.name
}

// counters applies rule 16.
func (l *linter) counters(p *lintPanel, t *lintTarget, e expr) {
	walk(e, func(e expr, in []expr) {
		s, ok := e.(*selector)
		if !ok || !strings.HasSuffix(s.name, "_total") {
			return
		}
		if len(in) > 0 && s.window != "" {
			if c, ok := in[len(in)-1].(call); ok && (c.name == "rate" || c.name == "irate" || c.name == "increase") {
				return
			}
		}
		l.found("target-counter-agg-rule", SeverityError, p, t, "%s only ever rises: ask for its rate or increase", s.name)
	})
}

// identifiers looks for panels and queries of the same name.
func (l *linter) identifiers() {
	seen := map[int]bool{}
	for _, p := range l.panels {
		if seen[p.ID] {
			l.found("panel-id-rule", SeverityError, p, nil, "another panel has the id %d too", p.ID)
		}
		seen[p.ID] = true
		refs := map[string]bool{}
		for i, t := range p.Targets {
			if t.RefID == "" || refs[t.RefID] {
				l.found("target-refid-rule", SeverityError, p, &p.Targets[i], "its refId is empty, or that of another query")
			}
			refs[t.RefID] = true
		}
	}
}

// overlaps looks for panels that lie on each other or beyond the 24 columns. Those in
// a closed row are a grid of their own.
func (l *linter) overlaps(panels []lintPanel) {
	const rule = "panel-grid-rule"
	for i := range panels {
		a := &panels[i]
		g := a.GridPos
		if g.W <= 0 || g.H <= 0 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			l.found(rule, SeverityError, a, nil, "it is outside of the grid: %+v", g)
		}
		for k := range panels[:i] {
			b := panels[k].GridPos
			if g.X < b.X+b.W && b.X < g.X+g.W && g.Y < b.Y+b.H && b.Y < g.Y+g.H {
				l.found(rule, SeverityError, a, nil, "it lies on %q", panels[k].Title)
			}
		}
		l.overlaps(a.Panels)
	}
}
