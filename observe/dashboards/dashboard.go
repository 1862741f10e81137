package dashboards

import (
	"bytes"
	"cmp"
	"encoding/json"
)

// Dashboard is a Grafana dashboard. Its zero value is an empty one; it does not
// change, and may be used from any goroutine.
type Dashboard struct {
	name  string
	model dashboardJSON
}

// Name returns the name of the dashboard in lower case, such as "serving": good for
// the name of a file.
func (d Dashboard) Name() string { return d.name }

// UID returns the identifier under which Grafana keeps it.
func (d Dashboard) UID() string { return d.model.UID }

// JSON returns the dashboard as Grafana imports it: indented by two spaces, in an
// order that does not change, with a newline at the end.
func (d Dashboard) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < and > stand in expressions, and people read them
	e.SetIndent("", "  ")
	if err := e.Encode(d.model); err != nil {
		return nil // strings, numbers and slices of them: there is no error
	}
	return b.Bytes()
}

// source is the data source that the variable selects.
func source() datasourceRef { return datasourceRef{"prometheus", "${datasource}"} }

// newDashboard draws a board.
func newDashboard(cfg Config, b board) Dashboard {
	names := newCatalogue()
	d := dashboardJSON{
		UID:           uid(cmp.Or(cfg.UID, "calm"), b.name),
		Title:         cmp.Or(cfg.Title, "calm") + " / " + b.title,
		Description:   b.about,
		Tags:          []string{"calm"},
		Timezone:      "browser",
		GraphTooltip:  1,
		Time:          timeJSON{"now-1h", "now"},
		Refresh:       "30s",
		SchemaVersion: 42,
		Links: []linkJSON{{Title: "Dashboards", Type: "dashboards", Icon: "external link", Tags: []string{"calm"},
			AsDropdown: true, IncludeVars: true, KeepTime: true}},
		Annotations: annotationsJSON{[]annotationJSON{{Name: "Annotations & Alerts", Type: "dashboard", BuiltIn: 1,
			Datasource: datasourceRef{"grafana", "-- Grafana --"}, Enable: true, Hide: true, IconColor: "rgba(0, 211, 255, 1)"}}},
	}
	for _, l := range cfg.Links {
		d.Links = append(d.Links, linkJSON{Title: cmp.Or(l.Title, l.URL), Type: "link", Icon: "external link", URL: l.URL,
			Tags: []string{}, TargetBlank: true})
	}
	for _, m := range b.marks {
		d.Annotations.List = append(d.Annotations.List, annotationJSON{Name: m.title, Datasource: source(), Enable: true,
			IconColor: "orange", Expr: b.narrowed(m.expr, names), Step: "120s", TitleFormat: m.title, TextFormat: m.legend})
	}
	d.Templating.List = b.variables(cfg)
	d.Panels = b.layOut(names)
	return Dashboard{b.name, d}
}

// variables are the data source, then what narrows the dashboard.
func (b board) variables(cfg Config) []variableJSON {
	selected := func(values ...string) *optionJSON {
		if len(values) == 0 || values[0] == "" {
			return &optionJSON{true, []string{"All"}, []string{"$__all"}}
		}
		return &optionJSON{true, values, values}
	}
	list := []variableJSON{{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Options: []optionJSON{}}}
	within := ""
	for _, v := range append([]variable{{name: "job", label: "Job"}, {name: "instance", label: "Instance"}}, b.vars...) {
		metric := cmp.Or(v.metric, b.anchor)
		from := source()
		j := variableJSON{Name: v.name, Label: v.label, Type: "query", Datasource: &from, Refresh: 2, Sort: 1, Multi: true,
			IncludeAll: true, AllValue: ".+", Current: selected(), Options: []optionJSON{},
			Query: queryJSON{"label_values(" + metric + "{" + within + "}, " + v.name + ")", "calm-" + v.name}}
		if within == "" {
			j.Query = queryJSON{"label_values(" + metric + ", " + v.name + ")", "calm-" + v.name}
		}
		switch v.name {
		case "job":
			j.Current, within = selected(cfg.Job), `job=~"$job"`
		case "instance":
			within += `,instance=~"$instance"`
		case "model":
			j.Current = selected(cfg.Models...)
		}
		list = append(list, j)
	}
	for _, c := range b.choices {
		j := variableJSON{Name: c.name, Label: c.label, Type: "custom", Query: c.list()}
		for i, o := range c.options {
			j.Options = append(j.Options, optionJSON{i == c.first, o, o})
		}
		j.Current = &j.Options[c.first]
		list = append(list, j)
	}
	return list
}
