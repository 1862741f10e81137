package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Finding is something that a rule of Lint holds against a dashboard.
type Finding struct {
	Rule     string   // the rule's name, such as "target-job-rule"
	Panel    string   // title of the panel, or name of the variable; empty: the dashboard
	Target   string   // refId of the query; empty: the panel
	Severity Severity // how bad it is
	Message  string   // what is wrong
}

// String returns the finding in one line.
func (f Finding) String() string {
	where := ""
	if f.Panel != "" {
		where = fmt.Sprintf(" %q", f.Panel)
	}
	if f.Target != "" {
		where += " " + f.Target
	}
	return fmt.Sprintf("%s: %s%s: %s", f.Severity, f.Rule, where, f.Message)
}

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // the dashboard shows nothing, or something wrong
	SeverityWarning Severity = "warning" // it is harder to read or to keep
)

// Lint holds a dashboard against the rules that doc.go lists, and returns what it
// found: nothing in a good one. The error is that of JSON that cannot be read, or is
// no dashboard.
func Lint(dashboardJSON []byte) ([]Finding, error) {
	var d lintDashboard
	if err := json.Unmarshal(dashboardJSON, &d); err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	if d.Title == "" && d.Panels == nil {
		return nil, errors.New("dashboards: no dashboard: it has neither a title nor panels")
	}
	l := &linter{board: &d, names: newCatalogue(), text: string(dashboardJSON)}
	l.variables()
	for i := range d.Panels {
		l.panels = append(l.panels, &d.Panels[i])
		for k := range d.Panels[i].Panels {
			l.panels = append(l.panels, &d.Panels[i].Panels[k])
		}
	}
	for _, p := range l.panels {
		l.panel(p)
	}
	l.identifiers()
	l.overlaps(d.Panels)
	if d.Editable == nil || *d.Editable {
		l.found("uneditable-dashboard", SeverityWarning, nil, nil, "editable is not false: changes in the browser would be lost")
	}
	return l.findings, nil
}

// What follows is what Lint reads of a dashboard. Everything else may be there, and
// what may be of several types is kept raw.
type (
	lintDashboard struct {
		Title      string      `json:"title"`
		Editable   *bool       `json:"editable"`
		Panels     []lintPanel `json:"panels"`
		Templating struct {
			List []lintVariable `json:"list"`
		} `json:"templating"`
	}
	lintVariable struct {
		Name       string          `json:"name"`
		Label      string          `json:"label"`
		Type       string          `json:"type"`
		Datasource json.RawMessage `json:"datasource"`
		Query      json.RawMessage `json:"query"`
		Refresh    json.RawMessage `json:"refresh"`
		Multi      bool            `json:"multi"`
		AllValue   string          `json:"allValue"`
	}
	lintPanel struct {
		ID          int             `json:"id"`
		Type        string          `json:"type"`
		Title       string          `json:"title"`
		Description string          `json:"description"`
		GridPos     gridPos         `json:"gridPos"`
		Datasource  json.RawMessage `json:"datasource"`
		Targets     []lintTarget    `json:"targets"`
		Panels      []lintPanel     `json:"panels"`
		FieldConfig struct {
			Defaults struct {
				Unit     string            `json:"unit"`
				Mappings []json.RawMessage `json:"mappings"`
			} `json:"defaults"`
		} `json:"fieldConfig"`
		Options struct {
			ReduceOptions struct {
				Fields string `json:"fields"`
			} `json:"reduceOptions"`
			TextMode string `json:"textMode"`
		} `json:"options"`
	}
	lintTarget struct {
		RefID      string          `json:"refId"`
		Expr       string          `json:"expr"`
		Datasource json.RawMessage `json:"datasource"`
		PanelID    int             `json:"panelId"`
	}
)

type linter struct {
	board    *lintDashboard
	panels   []*lintPanel // those in rows too
	names    catalogue
	text     string // of the whole dashboard
	findings []Finding
}

// found notes a finding about a panel and a target, which may be nil.
func (l *linter) found(rule string, severity Severity, p *lintPanel, t *lintTarget, format string, args ...any) {
	f := Finding{Rule: rule, Severity: severity, Message: fmt.Sprintf(format, args...)}
	if p != nil {
		f.Panel = p.Title
		if p.Title == "" {
			f.Panel = fmt.Sprintf("panel %d", p.ID)
		}
	}
	if t != nil {
		f.Target = t.RefID
	}
	l.findings = append(l.findings, f)
}

// foundVariable notes a finding about a variable.
func (l *linter) foundVariable(rule string, severity Severity, name, format string, args ...any) {
	l.findings = append(l.findings, Finding{Rule: rule, Panel: name, Severity: severity, Message: fmt.Sprintf(format, args...)})
}

// datasourceOf returns type and name of a data source, which is an object, or a name
// alone in old dashboards.
func datasourceOf(raw json.RawMessage) (kind, name string) {
	var ref struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	if json.Unmarshal(raw, &ref) == nil {
		return ref.Type, ref.UID
	}
	if json.Unmarshal(raw, &name) == nil {
		return "", name
	}
	return "", ""
}

// queryOf returns the query of a variable, which is an object or a string.
func queryOf(raw json.RawMessage) string {
	var object struct {
		Query string `json:"query"`
	}
	if json.Unmarshal(raw, &object) == nil && object.Query != "" {
		return object.Query
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return ""
}

// usesVariable reports whether a text refers to a variable.
func usesVariable(text, name string) bool {
	for _, form := range []string{"${" + name + "}", "${" + name + ":", "[[" + name + "]]", "[[" + name + ":"} {
		if strings.Contains(text, form) {
			return true
		}
	}
	for {
		i := strings.Index(text, "$"+name)
		if i < 0 {
			return false
		}
		text = text[i+1+len(name):]
		if text == "" || !letter(text[0]) && !digit(text[0]) {
			return true
		}
	}
}

// isVariable reports whether a text is nothing but a reference to a variable, and
// returns its name.
func isVariable(text string) (name string, ok bool) {
	name, ok = strings.CutPrefix(text, "$")
	if inner, braces := strings.CutPrefix(name, "{"); braces {
		name, ok = strings.CutSuffix(inner, "}")
	}
	return name, ok && name != ""
}
