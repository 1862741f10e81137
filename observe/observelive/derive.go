package observelive

import (
	"hash/maphash"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const (
	rateSeconds = 2.0 // the span of a rate where samples are closer together
	windowBases = 15  // what a longer span is divided into
)

// quantiles plotted of every histogram, and the names of their curves.
var (
	histogramQuantiles = []float64{0.5, 0.9, 0.99}
	histogramParts     = []string{"p50", "p90", "p99", "rate"}
)

// newHash returns a hash of a label set that does not depend on the order of the labels.
func newHash() func([]*dto.LabelPair) uint64 {
	seed := maphash.MakeSeed()
	return func(pairs []*dto.LabelPair) uint64 {
		var sum uint64
		for _, p := range pairs {
			h := maphash.String(seed, p.GetName())*0x9e3779b97f4a7c15 ^ maphash.String(seed, p.GetValue())
			h ^= h >> 29
			sum += h * 0xbf58476d1ce4e5b9
		}
		return sum
	}
}

// ingest takes one series of this step.
func (t *table) ingest(f *family, m *dto.Metric) {
	r := t.series(f, m)
	if r == nil {
		t.fold(f, m)
		return
	}
	if r.seen == t.steps { // twice in one sample
		t.dropped++
		return
	}
	switch {
	case m.Counter != nil:
		t.counter(f, r, m.Counter.GetValue(), m.Counter.CreatedTimestamp.AsTime(), m.Counter.CreatedTimestamp != nil)
	case m.Gauge != nil:
		f.sum += m.Gauge.GetValue()
		t.gauge(r, m.Gauge.GetValue())
	case m.Untyped != nil:
		f.sum += m.Untyped.GetValue()
		t.gauge(r, m.Untyped.GetValue())
	case m.Summary != nil:
		t.summary(f, r, m.Summary)
	case m.Histogram != nil:
		t.histogram(r, m.Histogram)
	}
}

// rise is what a counter rose by between two sights. A fall is a reset: the new value counts. A
// later time of creation is one too. It is false where nothing can be said.
func rise(prev, cur float64, prevCreated, created int64) (float64, bool) {
	if !valid(prev) || !valid(cur) || cur < 0 {
		return 0, false
	}
	if cur < prev || created > prevCreated && prevCreated > 0 {
		return cur, true
	}
	return cur - prev, true
}

// newborn reports whether a series first seen now was created after the sample before, so that
// all of it is new.
func (t *table) newborn(created time.Time, told bool) bool {
	return told && !t.prev.IsZero() && created.After(t.prev)
}

// unborn is until when a newborn series was certainly not there: its counts are spread over no
// less than a rate's span, or one event would look like a burst.
func (t *table) unborn() float64 { return max(0, min(t.before, t.now-rateSeconds)) }

// touch marks the groups of r as seen and returns whether they may take a difference that begins
// at since.
func (t *table) touch(g *group, since float64) {
	if g.seen == t.steps {
		return
	}
	g.seen, g.delta, g.sum, g.top, g.n = t.steps, false, 0, math.Inf(-1), 0
	if len(g.bases) == 0 {
		g.fresh = true
		g.bases = append(make([]base, 0, t.baseSlots+1), base{at: since})
	}
	if g.win != nil {
		t.bytes += g.win.advance(max(g.at, since), t.now)
	}
	g.at = t.now
}

// counter takes a cumulative value.
func (t *table) counter(f *family, r *raw, v float64, createdAt time.Time, told bool) {
	var created int64
	if told {
		created = createdAt.UnixNano()
	}
	first := r.seen == 0
	since, d, ok := r.at, 0.0, false
	switch {
	case !first:
		d, ok = rise(r.value, v, r.created, created)
	case t.newborn(createdAt, told) && valid(v):
		since, d, ok = t.unborn(), v, true
	default:
		since = t.now
	}
	if ok {
		f.risen += d
	}
	for _, g := range r.groups {
		if g == nil || !valid(v) {
			continue
		}
		t.touch(g, since)
		if ok {
			g.delta = true
			g.sum += d
		}
	}
	r.seen, r.at, r.created = t.steps, t.now, created
	r.value = v
}

// gauge takes a value that stands for itself.
func (t *table) gauge(r *raw, v float64) {
	r.seen, r.at = t.steps, t.now
	for _, g := range r.groups {
		if g == nil || !valid(v) {
			continue
		}
		t.touch(g, t.now)
		g.delta = true
		g.sum += v
		g.top = max(g.top, v)
		g.n++
	}
}

// summary takes the quantiles as they are, and the count as a counter.
func (t *table) summary(f *family, r *raw, s *dto.Summary) {
	t.counter(f, r, float64(s.GetSampleCount()), s.CreatedTimestamp.AsTime(), s.CreatedTimestamp != nil)
	for _, g := range r.groups {
		if g == nil {
			continue
		}
		fresh := g.n == 0
		g.n++
		for i, q := range s.Quantile[:min(len(s.Quantile), len(g.tracks)-1)] {
			if len(g.qs) < len(g.tracks)-1 {
				g.qs = append(g.qs, math.NaN())
				g.tracks[i].part = "q" + shortest(q.GetQuantile())
			}
			if v := q.GetValue(); fresh || !valid(g.qs[i]) || v > g.qs[i] {
				g.qs[i] = v
			}
		}
	}
}

// finish writes the points of a group for this step; a group without a value has a gap.
func (t *table) finish(f *family, v *view, g *group) {
	fine, coarse := t.fine.pos(), t.coarse.pos()
	seen := g.seen == t.steps
	points := t.points[:0]
	switch f.kind {
	case dto.MetricType_COUNTER:
		points = append(points, t.scale(v, t.rate(v, g, seen)))
	case dto.MetricType_SUMMARY:
		for i := range len(g.tracks) - 1 {
			if p := math.NaN(); seen && i < len(g.qs) {
				points = append(points, g.qs[i])
			} else {
				points = append(points, p)
			}
		}
		points = append(points, t.rate(v, g, seen))
		g.tracks[len(g.tracks)-1].part = "rate"
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		points = append(points, math.NaN(), math.NaN(), math.NaN(), math.NaN())
		if seen && g.win != nil && g.win.n > 0 {
			t.buckets = g.win.quantiles(histogramQuantiles, points, t.buckets)
			points[3] = g.win.rate(t.now)
		}
	default:
		points = append(points, t.scale(v, t.level(v, g, seen)))
	}
	t.points = points
	for i, tr := range g.tracks {
		t.bytes += tr.put(fine, coarse, points[i])
	}
}

// rate is the rise a second over the shortest span of samples that is about the source's window
// or longer, or over what there is; after a gap, over the gap.
func (t *table) rate(v *view, g *group, seen bool) float64 {
	if !seen {
		return math.NaN()
	}
	g.total += g.sum
	now := base{total: g.total, at: t.now}
	var lessBefore, overBefore float64
	lessBefore, now.less = t.risen(v.src.less)
	overBefore, now.over = t.risen(v.src.over)
	if g.fresh { // touch looked at g alone
		g.fresh = false
		if first := &g.bases[0]; first.at < t.now {
			first.less, first.over = lessBefore, overBefore
		} else {
			first.less, first.over = now.less, now.over
		}
	}
	window, every := v.src.window, t.cfg.Every.Seconds()
	slots, apart := windowBases+1, max(every, window/windowBases)
	if window == 0 {
		window, slots, apart = rateSeconds, t.baseSlots, 0
	}
	from := g.bases[0]
	for _, b := range g.bases[1:] {
		if b.at <= t.now-window+every/2 {
			from = b
		}
	}
	if last := g.bases[len(g.bases)-1]; t.now-last.at > apart-every/2 {
		if len(g.bases) > slots {
			copy(g.bases, g.bases[1:])
			g.bases = g.bases[:slots]
		}
		g.bases = append(g.bases, now)
	}
	if !g.delta || t.now <= from.at {
		return math.NaN()
	}
	rise := now.total - from.total - (now.less - from.less)
	if f := t.families[v.src.over]; f != nil && f.kind == dto.MetricType_COUNTER {
		if now.over <= from.over {
			return math.NaN()
		}
		return rise / (now.over - from.over)
	}
	return rise / (t.now - from.at)
}

// risen is what a counter family has risen by since it was first seen, before this step and with
// it; 0 without one.
func (t *table) risen(name string) (before, now float64) {
	if name == "" {
		return 0, 0
	}
	f := t.families[name]
	switch {
	case f == nil:
		return 0, 0
	case f.seen != t.steps:
		return f.risen, f.risen
	}
	return f.before, f.risen
}

// level is the value of a gauge's group.
func (t *table) level(v *view, g *group, seen bool) float64 {
	if !seen || g.n == 0 {
		return math.NaN()
	}
	switch v.src.combine() {
	case combineMean:
		return g.sum / float64(g.n)
	case combineMax:
		return g.top
	case combineAge:
		if g.top <= 0 {
			return math.NaN()
		}
		return float64(t.at.UnixNano())/1e9 - g.top
	}
	return g.sum
}

// scale applies the factor of a source, and divides by a gauge where it asks for it.
func (t *table) scale(v *view, p float64) float64 {
	if v.src.times != 0 {
		p *= v.src.times
	}
	if v.src.over == "" {
		return p
	}
	over := t.families[v.src.over]
	switch {
	case over == nil || over.seen != t.steps:
		return math.NaN()
	case over.kind == dto.MetricType_COUNTER: // rate has divided
		return p
	case over.sum <= 0:
		return math.NaN()
	}
	return p / over.sum
}
