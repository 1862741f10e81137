package dashboards

import (
	"fmt"
	"regexp"
	"strings"
)

// variables applies the rules 1 to 5, and that every variable is used.
func (l *linter) variables() {
	l.datasourceVariable()
	l.narrowing("template-job-rule", "job", "Job")
	l.narrowing("template-instance-rule", "instance", "Instance")
	for _, v := range l.board.Templating.List {
		if v.Type == "query" {
			if l.kindOf(v.Datasource) != "loki" {
				if err := templateQuery(queryOf(v.Query)); err != nil {
					l.foundVariable("template-label-promql-rule", SeverityError, v.Name, "%v", err)
				}
			}
			if refresh := string(v.Refresh); refresh != "2" {
				l.foundVariable("template-on-time-change-reload-rule", SeverityWarning, v.Name, "refresh is %s, not 2: what has ended keeps its place in the list", refresh)
			}
		}
		if !usesVariable(l.text, v.Name) {
			l.foundVariable("template-dead-variable-rule", SeverityWarning, v.Name, "nothing refers to it")
		}
	}
}

// datasourceVariable applies rule 1.
func (l *linter) datasourceVariable() {
	const rule = "template-datasource-rule"
	var sources []lintVariable
	for _, v := range l.board.Templating.List {
		if v.Type == "datasource" {
			sources = append(sources, v)
		}
	}
	if len(sources) != 1 {
		l.found(rule, SeverityError, nil, nil, "%d variables are data sources, not one", len(sources))
		return
	}
	v, kind := sources[0], queryOf(sources[0].Query)
	if v.Name != "datasource" && v.Name != kind+"_datasource" {
		l.foundVariable(rule, SeverityWarning, v.Name, "it is called neither datasource nor %s_datasource", kind)
	}
	if v.Label != "Data source" && !strings.EqualFold(v.Label, kind+" data source") {
		l.foundVariable(rule, SeverityWarning, v.Name, "its label is %q, not \"Data source\"", v.Label)
	}
}

// narrowing applies the rules 2 and 3.
func (l *linter) narrowing(rule, name, label string) {
	for _, v := range l.board.Templating.List {
		if v.Name != name {
			continue
		}
		_, from := datasourceOf(v.Datasource)
		if v.Type != "query" {
			l.foundVariable(rule, SeverityError, name, "its type is %q, not query", v.Type)
		}
		if l.variableType(from) == "" {
			l.foundVariable(rule, SeverityError, name, "its data source %q is not that of the variable", from)
		}
		if v.Label != label {
			l.foundVariable(rule, SeverityWarning, name, "its label is %q, not %q", v.Label, label)
		}
		if !v.Multi {
			l.foundVariable(rule, SeverityWarning, name, "only one value can be selected")
		}
		if v.AllValue != ".+" {
			l.foundVariable(rule, SeverityWarning, name, "its value for all is %q, not \".+\"", v.AllValue)
		}
		return
	}
	l.found(rule, SeverityError, nil, nil, "there is no variable %s", name)
}

// variableType returns the type of the data source that a reference such as
// ${datasource} selects, or "" if it is no such reference.
func (l *linter) variableType(ref string) string {
	name, ok := isVariable(ref)
	if !ok {
		return ""
	}
	for _, v := range l.board.Templating.List {
		if v.Type == "datasource" && v.Name == name {
			return queryOf(v.Query)
		}
	}
	return ""
}

// kindOf returns the type of a data source, "" if it is not known.
func (l *linter) kindOf(raw []byte) string {
	kind, name := datasourceOf(raw)
	if kind == "" {
		kind = l.variableType(name)
	}
	return kind
}

var (
	labelNames  = regexp.MustCompile(`^\s*label_names\((.*)\)\s*$`)
	labelValues = regexp.MustCompile(`^\s*label_values\((?:(.+),)?\s*([a-zA-Z_$][\w$]*|\$\{\w+\})\s*\)\s*$`)
	metricsLike = regexp.MustCompile(`^\s*metrics\((.*)\)\s*$`)
	queryResult = regexp.MustCompile(`^\s*query_result\((.+)\)\s*$`)
)

// templateQuery checks the query of a variable.
func templateQuery(query string) error {
	inner := ""
	switch {
	case labelNames.MatchString(query):
		inner = labelNames.FindStringSubmatch(query)[1]
	case labelValues.MatchString(query):
		inner = labelValues.FindStringSubmatch(query)[1]
	case metricsLike.MatchString(query):
		_, err := regexp.Compile(metricsLike.FindStringSubmatch(query)[1])
		return err
	case queryResult.MatchString(query):
		inner = queryResult.FindStringSubmatch(query)[1]
	default:
		return fmt.Errorf("%q is none of label_names, label_values, metrics and query_result", query)
	}
	if strings.TrimSpace(inner) == "" {
		return nil
	}
	_, err := parse(inner)
	return err
}
