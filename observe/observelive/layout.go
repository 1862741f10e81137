package observelive

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// A layoutDoc is what there is to plot, as the page reads it.
type layoutDoc struct {
	V        int           `json:"v"`
	ID       string        `json:"id"`
	Title    string        `json:"title"`
	EveryMS  int64         `json:"every_ms"`
	KeepMS   int64         `json:"keep_ms"`
	CoarseMS int64         `json:"coarse_ms"`
	Panels   []layoutPanel `json:"panels"`
	Missing  []missing     `json:"missing"` // panels whose metrics do not exist
	Dropped  int           `json:"dropped"`
}

// missing are the titles of a group's panels that have no metric yet.
type missing struct {
	Group  string   `json:"group"`
	Titles []string `json:"titles"`
}

type layoutPanel struct {
	Group     string         `json:"group"`
	Title     string         `json:"title"`
	Metric    string         `json:"metric"`
	Help      string         `json:"help,omitempty"`
	Unit      string         `json:"unit"`
	Kind      Kind           `json:"kind"`
	Head      string         `json:"head"`
	Empty     string         `json:"empty"`
	Top       int            `json:"top"`
	Own       bool           `json:"own,omitempty"`       // of the table; false: a fallback chart
	Fit       bool           `json:"fit,omitempty"`       // the y axis need not start at 0
	Simulated bool           `json:"simulated,omitempty"` // the source says that it is made up
	Series    []layoutSeries `json:"series"`
}

type layoutSeries struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Part   string            `json:"part,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Limit  bool              `json:"limit,omitempty"`
	Cap    float64           `json:"cap,omitempty"` // the highest bound: a quantile there is "at least"
}

// layoutOf lists the panels whose metrics exist, in the order of the table, the caller's, and
// then the rest by group and name.
func (t *table) layoutOf() layoutDoc {
	doc := layoutDoc{
		V: 1, ID: strconv.FormatInt(t.layout, 36), Title: t.cfg.Title,
		EveryMS: t.cfg.Every.Milliseconds(), KeepMS: t.cfg.Keep.Milliseconds(), CoarseMS: t.cfg.KeepCoarse.Milliseconds(),
		Panels: []layoutPanel{}, Missing: []missing{}, Dropped: t.dropped,
	}
	known := make(map[[2]int]*view)
	familyOf := make(map[*view]*family)
	var rest []layoutPanel
	for _, f := range t.order {
		for _, v := range f.views {
			familyOf[v] = f
			if v.panel >= 0 {
				known[[2]int{v.panel, v.source}] = v
			} else if !strings.HasSuffix(f.name, "_simulated") { // those mark other charts
				rest = append(rest, t.fallback(f, v))
			}
		}
	}
	for pi, p := range t.panels {
		lp := layoutPanel{Group: p.group, Title: p.title, Unit: p.unit, Kind: cmp.Or(p.kind, KindLine),
			Head: p.head, Empty: cmp.Or(p.empty, "no value"), Top: cmp.Or(p.top, 8), Own: true, Fit: p.fit, Series: []layoutSeries{}}
		for si, s := range p.sources {
			v := known[[2]int{pi, si}]
			if v == nil {
				continue
			}
			f := familyOf[v]
			if lp.Metric == "" {
				lp.Metric, lp.Help = f.name, f.help
				lp.Unit = cmp.Or(p.unit, unitOf(f.name, f.kind))
			}
			lp.Simulated = lp.Simulated || t.simulated(f.name)
			lp.Series = append(lp.Series, seriesOf(f, v, s)...)
			if p.unitLabel != "" {
				lp.Unit = perHour(v, p.unitLabel)
			}
		}
		if lp.Metric == "" {
			last := len(doc.Missing) - 1
			if last < 0 || doc.Missing[last].Group != p.group {
				doc.Missing = append(doc.Missing, missing{Group: p.group})
				last++
			}
			doc.Missing[last].Titles = append(doc.Missing[last].Titles, p.title)
			continue
		}
		doc.Panels = append(doc.Panels, lp)
	}
	slices.SortStableFunc(rest, func(a, b layoutPanel) int {
		return cmp.Or(cmp.Compare(groupRank(a.Group), groupRank(b.Group)), strings.Compare(a.Group, b.Group), strings.Compare(a.Metric, b.Metric))
	})
	doc.Panels = append(doc.Panels, rest...)
	return doc
}

// perHour is the unit that a label of all curves names, an hour; none where they differ.
func perHour(v *view, name string) string {
	unit := ""
	for i, g := range v.order {
		switch value := valueOf(g.labels, name); {
		case i == 0:
			unit = value
		case value != unit:
			return "/h"
		}
	}
	return unit + "/h"
}

// fallback is the chart of a family that no panel knows.
func (t *table) fallback(f *family, v *view) layoutPanel {
	p := layoutPanel{
		Group: groupOf(f.name), Title: words(f.name), Metric: f.name, Help: f.help,
		Unit: unitOf(f.name, f.kind), Kind: KindLine, Head: headFirst, Empty: "no value", Top: 8,
		Simulated: t.simulated(f.name), Series: seriesOf(f, v, v.src),
	}
	if strings.HasSuffix(f.name, "_info") && f.kind == dto.MetricType_GAUGE {
		p.Kind = kindInfo
	}
	if f.kind == dto.MetricType_HISTOGRAM || f.kind == dto.MetricType_SUMMARY {
		p.Empty = "no observation in the last 30 s"
	}
	return p
}

// seriesOf names the curves of a view: by the labels in which they differ.
func seriesOf(f *family, v *view, s source) []layoutSeries {
	same := make(map[string]bool)
	for _, g := range v.order {
		for _, l := range g.labels {
			if _, ok := same[l.name]; !ok {
				same[l.name] = true
			}
			if first := v.order[0]; valueOf(first.labels, l.name) != l.value || len(first.labels) != len(g.labels) {
				same[l.name] = false
			}
		}
	}
	out := []layoutSeries{}
	for _, g := range v.order {
		var names []string
		labels := make(map[string]string, len(g.labels))
		if s.name != "" {
			names = append(names, s.name)
		}
		for _, l := range g.labels {
			labels[l.name] = l.value
			if l.value != "" && (!s.all || !same[l.name] || len(v.order) == 1) {
				names = append(names, speak(s, l))
			}
		}
		name := strings.Join(names, " · ")
		var top float64
		if g.win != nil && !g.win.isNative && len(g.win.bounds) > 0 {
			top = g.win.bounds[len(g.win.bounds)-1]
		}
		for i, tr := range g.tracks {
			ls := layoutSeries{ID: tr.id, Name: name, Labels: labels, Limit: s.limit, Part: tr.part}
			if len(g.tracks) == 4 && f.kind != dto.MetricType_SUMMARY {
				ls.Part = histogramParts[i]
			}
			if ls.Part != "" && ls.Part != "rate" {
				ls.Name = strings.TrimSpace(ls.Part + " " + name)
				ls.Cap = top
			}
			out = append(out, ls)
		}
	}
	return out
}

// speak is a label in the name of a curve: its value, behind its name where a number alone would
// say little.
func speak(s source, l label) string {
	if _, err := strconv.Atoi(l.value); s.all && err == nil {
		return l.name + " " + l.value
	}
	return l.value
}

// simulated reports whether the domain of a metric says that its values are made up: a gauge
// that ends in _simulated and is not 0.
func (t *table) simulated(name string) bool {
	for _, f := range t.order {
		if strings.HasSuffix(f.name, "_simulated") && f.sum > 0 && domain(f.name) == domain(name) {
			return true
		}
	}
	return false
}

// domain is the first word of a name, the first two after llm; gen_ai_server counts as llm_server.
func domain(name string) string {
	parts := strings.SplitN(name, "_", 4)
	switch {
	case len(parts) > 2 && parts[0] == "gen" && parts[1] == "ai":
		return "llm_" + parts[2]
	case len(parts) > 1 && parts[0] == "llm":
		return "llm_" + parts[1]
	}
	return parts[0]
}

// groupOf is the section of a metric that no panel knows: the known section of its domain, else
// its first word.
func groupOf(name string) string {
	switch d := domain(name); d {
	case "llm_server":
		return "Serving"
	case "llm_train":
		return "Training"
	case "llm_quality":
		return "Quality"
	case "llm_scheduler":
		return "Scheduler"
	case "llm_jobs":
		return "Jobs"
	case "llm_cost":
		return "Cost"
	case "llm_log":
		return "Log"
	case "rollout", "autoscale", "health", "process", "promhttp":
		return strings.ToUpper(d[:1]) + d[1:]
	case "gpu":
		return "GPU"
	case "cgroup":
		return "Container"
	case "go":
		return "Go runtime"
	default:
		return cmp.Or(strings.TrimPrefix(d, "llm_"), "other")
	}
}

// groupRank puts the runtime's own metrics last.
func groupRank(group string) int {
	return slices.Index([]string{"Container", "Process", "Go runtime", "Promhttp"}, group) + 1
}

// words turns a metric name into words, without unit suffixes.
func words(name string) string {
	s := name
	for _, suffix := range []string{"_total", "_seconds", "_bytes", "_ratio", "_celsius", "_watts", "_joules", "_hertz", "_timestamp", "_info"} {
		if cut := strings.TrimSuffix(s, suffix); cut != "" {
			s = cut
		}
	}
	lead := domain(name)
	if strings.HasPrefix(name, "gen_ai_") {
		lead = strings.Replace(lead, "llm", "gen_ai", 1)
	}
	if after := strings.TrimPrefix(s, lead+"_"); after != "" {
		s = after
	}
	parts := strings.Split(s, "_")
	for i, w := range parts {
		switch w {
		case "cpu", "gpu", "gc", "kv", "ttft", "itl", "mfu", "slo", "oom":
			parts[i] = strings.ToUpper(w)
		}
	}
	s = strings.Join(parts, " ")
	if isTimestamp(name) {
		s += ", age"
	}
	return s
}

// unitOf reads the unit off the name; a counter's is a second.
func unitOf(name string, kind dto.MetricType) string {
	base := strings.TrimSuffix(name, "_total")
	unit := ""
	switch {
	case isTimestamp(name):
		return "s"
	case strings.HasSuffix(base, "_seconds"):
		unit = "s"
	case strings.HasSuffix(base, "_bytes"):
		unit = "B"
	case strings.HasSuffix(base, "_ratio"):
		unit = "ratio"
	case strings.HasSuffix(base, "_celsius"):
		unit = "°C"
	case strings.HasSuffix(base, "_watts"):
		unit = "W"
	case strings.HasSuffix(base, "_joules"):
		unit = "J"
	case strings.HasSuffix(base, "_hertz"):
		unit = "Hz"
	}
	if kind != dto.MetricType_COUNTER {
		return unit
	}
	switch unit {
	case "s":
		if strings.Contains(name, "cpu") {
			return "cores"
		}
		return "s/s"
	case "J":
		return "W"
	}
	return unit + "/s"
}

func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
