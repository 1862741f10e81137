package dashboards

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// board is what a dashboard shows, as a table.
type board struct {
	name, title, about string

	anchor  string     // the metric whose jobs and instances are offered
	vars    []variable // what narrows it beside job and instance
	choices []choice
	rows    []row
	marks   []query // vertical lines in all panels
}

// variable offers the values of a label, and narrows each metric that has it.
type variable struct {
	name, label string
	metric      string // with that label. Defaults to the anchor.
}

// choice offers a few fixed values.
type choice struct {
	name, label string
	options     []string
	first       int // selected when the dashboard is opened
}

func (c choice) list() string { return strings.Join(c.options, ",") }

// row is a heading and the panels below it.
type row struct {
	title  string
	closed bool // until somebody opens it
	panels []panel
}

// panel is one drawing.
type panel struct {
	title string
	about string // what it shows and what to look for; the metrics' names are added
	kind  kind
	unit  string // Grafana's identifier
	q     []query

	wide, high int        // in columns of 24 and rows. Default to the kind's.
	base       string     // colour below the first limit. Defaults to green.
	limits     []limit    // where the colour changes
	states     []state    // names of values
	empty      string     // what stands there without data. Defaults to "No data".
	between    [2]float64 // the ends of the axis, if they differ
	digits     int        // behind the point, plus one. Defaults to Grafana's choice.
}

// query is what a panel asks. Its expression is written without the matchers of
// job, instance and the board's variables.
type query struct {
	expr   string
	legend string
	title  string // of a mark
	now    bool   // only the newest value
}

// limit is the value from which on a colour holds.
type limit struct {
	from  float64
	color string
}

// state is the name and the colour of a value.
type state struct {
	value       string
	text, color string
}

// kind is the type of a panel.
type kind uint8

const (
	lines    kind = iota // over time
	stacked              // lines on top of each other
	stat                 // one number
	heat                 // a histogram over time
	table                // the labels of series
	bars                 // several numbers
	timeline             // states over time, a band a series
)

// size is how wide and high panels of the kind are.
func (k kind) size() (w, h int) {
	switch k {
	case stat:
		return 4, 4
	case heat, table:
		return 12, 8
	case bars:
		return 6, 8
	}
	return 8, 8
}

func (k kind) String() string {
	return [...]string{"timeseries", "timeseries", "stat", "heatmap", "table", "bargauge", "state-timeline"}[k]
}

// narrowed adds the matchers of the board to an expression.
func (b board) narrowed(expr string, names catalogue) string {
	all, err := narrow(expr, func(metric string) []string {
		m := []string{`job=~"$job"`, `instance=~"$instance"`}
		for _, v := range b.vars {
			if slices.Contains(names.labels(metric), v.name) {
				m = append(m, v.name+`=~"$`+v.name+`"`)
			}
		}
		return m
	})
	if err != nil {
		return expr // the tests parse all of them
	}
	return all
}

// layOut places the rows below each other, and their panels from left to right.
func (b board) layOut(names catalogue) []panelJSON {
	var all []panelJSON
	y, id := 0, 0
	for _, r := range b.rows {
		id++
		closed := r.closed
		head := panelJSON{ID: id, Type: "row", Title: r.title, GridPos: gridPos{1, 24, 0, y}, Collapsed: &closed, Panels: []panelJSON{}}
		y++
		var in []panelJSON
		x, low := 0, y
		for _, p := range r.panels {
			w, h := p.kind.size()
			w, h = cmp.Or(p.wide, w), cmp.Or(p.high, h)
			if x+w > 24 {
				x, y = 0, low
			}
			id++
			in = append(in, b.draw(p, id, gridPos{h, w, x, y}, names))
			x += w
			low = max(low, y+h)
		}
		y = low
		if r.closed {
			head.Panels = in
			y = head.GridPos.Y + 1
			in = nil
		}
		all = append(append(all, head), in...)
	}
	return all
}

// draw makes a panel of a table's entry.
func (b board) draw(p panel, id int, at gridPos, known catalogue) panelJSON {
	from := source()
	j := panelJSON{ID: id, Type: p.kind.String(), Title: p.title, GridPos: at, Datasource: &from}
	var names []string
	for i, q := range p.q {
		t := targetJSON{RefID: string(rune('A' + i)), Datasource: source(), EditorMode: "code", Expr: b.narrowed(q.expr, known),
			LegendFormat: q.legend, Format: "time_series", Instant: q.now || p.kind == table || p.kind == bars}
		t.Range = !t.Instant
		switch p.kind {
		case heat:
			t.Format = "heatmap"
		case table:
			t.Format = "table"
		}
		j.Targets = append(j.Targets, t)
		if e, err := parse(q.expr); err == nil {
			names = append(names, metricNames(e)...)
		}
	}
	slices.Sort(names)
	j.Description = fmt.Sprintf("%s\n\nFrom `%s`.", p.about, strings.Join(slices.Compact(names), "`, `"))
	j.FieldConfig = &fieldJSON{p.defaults(), []any{}}
	j.Options = p.options()
	return j
}

// defaults are how values are written and coloured.
func (p panel) defaults() defaultsJSON {
	d := defaultsJSON{Unit: p.unit, NoValue: cmp.Or(p.empty, "No data"), Mappings: []mappingJSON{}, Color: &colorJSON{"palette-classic"}}
	if p.digits > 0 {
		n := p.digits - 1
		d.Decimals = &n
	}
	if p.between[0] != p.between[1] {
		d.Min, d.Max = &p.between[0], &p.between[1]
	}
	steps := []stepJSON{{nil, cmp.Or(p.base, "green")}}
	for _, l := range p.limits {
		steps = append(steps, stepJSON{&l.from, l.color})
	}
	d.Thresholds = &thresholdsJSON{"absolute", steps}
	switch p.kind {
	case stat, bars:
		d.Color = &colorJSON{"thresholds"}
		d.Mappings = append(d.Mappings, mappingJSON{"special", specialJSON{"null+nan", resultJSON{Text: cmp.Or(p.empty, "No data")}}})
	case lines, stacked:
		d.Custom = p.custom()
	case timeline:
		d.Custom = bandJSON{0, 70}
	}
	if len(p.states) > 0 {
		names := map[string]resultJSON{}
		for i, s := range p.states {
			names[s.value] = resultJSON{s.text, s.color, i}
		}
		d.Mappings = append(d.Mappings, mappingJSON{"value", names})
	}
	return d
}

// custom is how lines are drawn.
func (p panel) custom() drawJSON {
	zero := 0.
	d := drawJSON{DrawStyle: "line", LineInterpolation: "linear", LineWidth: 1, FillOpacity: 8, ShowPoints: "auto",
		AxisSoftMin: &zero, Stacking: stackingJSON{"none", "A"}, ThresholdsStyle: thresholdJSON{"off"}}
	if p.kind == stacked {
		d.FillOpacity, d.Stacking.Mode = 40, "normal"
	}
	if len(p.limits) > 0 {
		d.ThresholdsStyle.Mode = "dashed"
	}
	return d
}

// options are those of the panel's kind.
func (p panel) options() any {
	last := reduceJSON{false, []string{"lastNotNull"}, ""}
	legend := legendJSON{"list", "bottom", true, []string{}}
	switch p.kind {
	case stat:
		graph := "area"
		if p.q[0].now {
			graph = "none"
		}
		return statOptions{graph, "value", "auto", "auto", true, "auto", false, "standard", last}
	case bars:
		legend.ShowLegend = false
		return barOptions{"basic", "color", "auto", true, "auto", 8, 16, 300, "horizontal", legend, last}
	case heat:
		return heatOptions{CellGap: 1, Color: heatColor{"scheme", "Oranges", "dark-orange", "exponential", .5, 64, false},
			Exemplars: exemplarColor{"rgba(255,0,255,0.7)"}, FilterValues: filterJSON{1e-9}, Legend: showJSON{true},
			RowsFrame: layoutJSON{"auto"}, ShowValue: "never", Tooltip: heatTooltip{"single", false, true},
			YAxis: heatAxis{"left", p.unit, false}}
	case timeline:
		return timelineOptions{true, "auto", .9, "left", legend, tooltipJSON{"single", "none"}}
	case table:
		return tableOptions{0, true, "sm"}
	}
	return seriesOptions{legend, tooltipJSON{"multi", "desc"}}
}
