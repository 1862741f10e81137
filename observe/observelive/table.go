package observelive

import (
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const (
	maxHelpBytes = 300
	trackBytes   = 450  // of one curve, without its points
	rawBytes     = 350  // of one series as gathered, and its share of the maps
	windowBytes  = 2000 // of a histogram's window, without its counts
	otherValue   = "other"
)

// A table holds every family, series and curve. It is a state machine without clock, lock or
// I/O: step takes a time and the gathered families and writes the next point of every curve.
type table struct {
	cfg      Config
	panels   []panel
	families map[string]*family
	order    []*family
	hash     func([]*dto.LabelPair) uint64

	fine, coarse axis
	minute       int64
	at           time.Time // of the step under way
	prev         time.Time // of the step before; zero at the first
	now          float64   // seconds since the first step
	before       float64   // now of the step before
	steps        uint64
	baseSlots    int // how many counter bases make 2 s

	raws    int // widths of the series held
	tracks  int // curves held
	nextID  int
	dropped int
	bytes   int64
	layout  int64 // number of the sample that last changed what there is to plot
	changed bool

	bounds  []float64 // scratch: one histogram as gathered
	counts  []float64 // cumulative, one more than bounds
	deltas  []float64
	nat     native
	natDiff native
	buckets []nativeBucket
	points  []float64
}

// A family is one metric family.
type family struct {
	name, help string
	kind       dto.MetricType
	views      []*view
	raws       map[uint64]*raw
	other      *raw    // what did not fit, summed
	folded     int     // series summed into other in this step
	sum        float64 // of the gauges of this step
	risen      float64 // of a counter: all rises of all series
	before     float64 // risen, before this step
	seen       uint64
	at         float64
}

// A view is one way to plot a family: its series summed by some labels.
type view struct {
	panel  int // index into table.panels
	source int // index into panel.sources
	src    source
	groups map[string]*group
	order  []*group
}

// A group is the series of a view that share a curve.
type group struct {
	labels  []label
	members int
	seen    uint64  // step of the last value
	at      float64 // time of it
	delta   bool    // this step brought a difference, not only a first sight
	sum     float64 // of this step: deltas of a counter, values of a gauge
	top     float64
	n       int
	qs      []float64 // a summary's quantiles of this step
	total   float64   // a counter's sum of all deltas
	bases   []base
	fresh   bool // of bases there is only that of the first sight
	win     *window
	tracks  []*track
}

// A base is where a counter stood at a time, and those that its source names beside it.
type base struct{ total, less, over, at float64 }

// A raw is one series as gathered.
type raw struct {
	labels  []label
	next    *raw // same hash
	groups  []*group
	width   int
	seen    uint64
	at      float64
	value   float64
	created int64 // Unix nanoseconds, 0 when not told
	counts  []float64
	bounds  []float64
	nat     *native
	sum     *folded // of other only
}

func newTable(cfg Config) *table {
	return &table{
		cfg:       cfg,
		panels:    allPanels(cfg.Panels),
		families:  make(map[string]*family),
		hash:      newHash(),
		fine:      axis{ms: make([]int64, int((cfg.Keep+cfg.Every-1)/cfg.Every))},
		coarse:    axis{ms: make([]int64, int((cfg.KeepCoarse+coarsePeriod-1)/coarsePeriod))},
		baseSlots: int(min(10, (2*time.Second+cfg.Every-1)/cfg.Every)),
		points:    make([]float64, 0, 16),
	}
}

// step takes the families gathered at now as sample number seq.
func (t *table) step(now time.Time, seq int64, families []*dto.MetricFamily) {
	t.prev, t.at = t.at, now
	if t.steps > 0 {
		t.before = t.now
		t.now += now.Sub(t.prev).Seconds()
	}
	t.steps++
	t.dropped, t.changed = 0, false
	t.fine.push(seq)
	if minute := seq / coarsePeriod.Milliseconds(); minute != t.minute || t.coarse.next == 0 {
		t.minute = minute
		t.coarse.push(minute * coarsePeriod.Milliseconds())
		for _, f := range t.order {
			for _, v := range f.views {
				for _, g := range v.order {
					for _, tr := range g.tracks {
						tr.minute()
					}
				}
			}
		}
	}
	for _, mf := range families {
		if f := t.family(mf); f != nil {
			for _, m := range mf.Metric {
				t.ingest(f, m)
			}
			t.flushOther(f)
		}
	}
	for _, f := range t.order {
		for _, v := range f.views {
			for _, g := range v.order {
				t.finish(f, v, g)
			}
		}
	}
	if t.steps%8 == 0 {
		t.forget()
	}
	if t.changed {
		t.layout = seq
	}
}

// family finds or makes the family of mf; nil when there are too many.
func (t *table) family(mf *dto.MetricFamily) *family {
	f := t.families[mf.GetName()]
	if f != nil && f.kind != mf.GetType() {
		t.remove(f)
		f = nil
	}
	if f == nil {
		if len(t.families) >= t.cfg.MaxFamilies {
			t.dropped += max(1, len(mf.Metric))
			return nil
		}
		f = &family{
			name: cutText(mf.GetName(), maxLabelBytes),
			help: cutText(mf.GetHelp(), maxHelpBytes),
			kind: mf.GetType(),
			raws: make(map[uint64]*raw),
		}
		divides := false // or is taken off: a part of another family's chart
		for pi, p := range t.panels {
			for si, s := range p.sources {
				divides = divides || s.less == f.name || s.over == f.name
				if s.metric == f.name {
					f.views = append(f.views, &view{panel: pi, source: si, src: s, groups: map[string]*group{}})
				}
			}
		}
		if len(f.views) == 0 && !divides {
			f.views = append(f.views, &view{panel: -1, src: source{metric: f.name, all: true}, groups: map[string]*group{}})
		}
		t.families[mf.GetName()] = f
		t.order = append(t.order, f)
		t.changed = true
	}
	f.seen, f.at, f.sum, f.folded, f.before = t.steps, t.now, 0, 0, f.risen
	return f
}

// series finds or makes the series of m; nil when it has to be folded into other.
func (t *table) series(f *family, m *dto.Metric) *raw {
	h := t.hash(m.Label)
	for r := f.raws[h]; r != nil; r = r.next {
		if sameLabels(r.labels, m.Label) {
			return r
		}
	}
	width := widthOf(f.kind, m)
	reserve := max(4, t.cfg.MaxSeries/8)
	if t.raws+width > t.cfg.MaxSeries-reserve {
		return nil
	}
	r := &raw{labels: cutLabels(m.Label), width: width, next: f.raws[h]}
	if !t.attach(f, r, reserve) {
		return nil
	}
	f.raws[h] = r
	t.raws += width
	t.bytes += rawBytes
	return r
}

// attach gives r a group in each view of f; false when a curve could not be had.
func (t *table) attach(f *family, r *raw, reserve int) bool {
	groups := make([]*group, len(f.views))
	for i, v := range f.views {
		if v.src.skips(r.labels) {
			continue
		}
		key, labels := v.src.key(r.labels)
		g := v.groups[key]
		if g == nil {
			if t.tracks+r.width > t.cfg.MaxSeries-reserve {
				return false
			}
			g = &group{labels: labels}
			v.groups[key] = g
			v.order = append(v.order, g)
			t.tracks += r.width
			t.changed = true
			for range r.width {
				t.nextID++
				g.tracks = append(g.tracks, &track{
					id: t.nextID, fine: newRing(len(t.fine.ms)),
					mean: newRing(len(t.coarse.ms)), max: newRing(len(t.coarse.ms)),
				})
				t.bytes += trackBytes
			}
		}
		groups[i] = g
	}
	for _, g := range groups {
		if g != nil {
			g.members++
		}
	}
	r.groups = groups
	return true
}

// forget drops what was absent for Keep.
func (t *table) forget() {
	limit := t.now - t.cfg.Keep.Seconds()
	for _, f := range slices.Clone(t.order) {
		if f.at < limit {
			t.remove(f)
			continue
		}
		for h, first := range f.raws {
			for p := &first; *p != nil; {
				r := *p
				if r.at >= limit {
					p = &r.next
					continue
				}
				*p = r.next
				t.drop(f, r)
			}
			if first == nil {
				delete(f.raws, h)
			} else {
				f.raws[h] = first
			}
		}
		if f.other != nil && f.other.at < limit {
			t.drop(f, f.other)
			f.other = nil
		}
	}
}

// drop releases a series and the groups that were only its own.
func (t *table) drop(f *family, r *raw) {
	t.raws -= r.width
	t.bytes -= rawBytes + int64(len(r.counts))*8
	if r.nat != nil {
		t.bytes -= r.nat.held()
	}
	for i, g := range r.groups {
		if g == nil {
			continue
		}
		if g.members--; g.members > 0 {
			continue
		}
		v := f.views[i]
		key, _ := v.src.key(g.labels)
		delete(v.groups, key)
		v.order = slices.DeleteFunc(v.order, func(x *group) bool { return x == g })
		for _, tr := range g.tracks {
			t.bytes -= tr.held()
		}
		t.tracks -= len(g.tracks)
		t.bytes -= g.held()
		t.changed = true
	}
}

func (t *table) remove(f *family) {
	for _, first := range f.raws {
		for r := first; r != nil; r = r.next {
			t.drop(f, r)
		}
	}
	if f.other != nil {
		t.drop(f, f.other)
	}
	delete(t.families, f.name)
	t.order = slices.DeleteFunc(t.order, func(x *family) bool { return x == f })
	t.changed = true
}

// held is the memory of a histogram group's window, in bytes.
func (g *group) held() int64 {
	if g.win == nil {
		return 0
	}
	n := windowBytes + int64(len(g.win.sum))*8
	for i := range g.win.slots {
		n += int64(len(g.win.slots[i].counts))*8 + g.win.slots[i].native.held()
	}
	return n
}

// widthOf is how many curves a series of that kind needs.
func widthOf(kind dto.MetricType, m *dto.Metric) int {
	switch kind {
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return 4
	case dto.MetricType_SUMMARY:
		return min(8, len(m.GetSummary().GetQuantile())) + 1
	}
	return 1
}

func valid(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
