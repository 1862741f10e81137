package observelive

import (
	"hash/maphash"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// rateSeconds is the span of a rate where samples are closer together.
const rateSeconds = 2.0

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
		t.counter(r, m.Counter.GetValue(), m.Counter.CreatedTimestamp.AsTime(), m.Counter.CreatedTimestamp != nil)
	case m.Gauge != nil:
		f.sum += m.Gauge.GetValue()
		t.gauge(r, m.Gauge.GetValue())
	case m.Untyped != nil:
		f.sum += m.Untyped.GetValue()
		t.gauge(r, m.Untyped.GetValue())
	case m.Summary != nil:
		t.summary(r, m.Summary)
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
		g.bases = append(make([]base, 0, t.baseSlots+1), base{0, since})
	}
	if g.win != nil {
		t.bytes += g.win.advance(max(g.at, since), t.now)
	}
	g.at = t.now
}

// counter takes a cumulative value.
func (t *table) counter(r *raw, v float64, createdAt time.Time, told bool) {
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
func (t *table) summary(r *raw, s *dto.Summary) {
	t.counter(r, float64(s.GetSampleCount()), s.CreatedTimestamp.AsTime(), s.CreatedTimestamp != nil)
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
		points = append(points, t.scale(v, g.rate(seen, t.now, t.cfg.Every.Seconds(), t.baseSlots)))
	case dto.MetricType_SUMMARY:
		for i := range len(g.tracks) - 1 {
			if p := math.NaN(); seen && i < len(g.qs) {
				points = append(points, g.qs[i])
			} else {
				points = append(points, p)
			}
		}
		points = append(points, g.rate(seen, t.now, t.cfg.Every.Seconds(), t.baseSlots))
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

// rate is the rise a second over the shortest span of samples that is about 2 s or longer, or
// over what there is; after a gap, over the gap.
func (g *group) rate(seen bool, now float64, every float64, slots int) float64 {
	if !seen {
		return math.NaN()
	}
	g.total += g.sum
	from := g.bases[0]
	for _, b := range g.bases[1:] {
		if b.at <= now-rateSeconds+every/2 {
			from = b
		}
	}
	if len(g.bases) > slots {
		copy(g.bases, g.bases[1:])
		g.bases = g.bases[:slots]
	}
	g.bases = append(g.bases, base{g.total, now})
	if !g.delta || now <= from.at {
		return math.NaN()
	}
	return (g.total - from.total) / (now - from.at)
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

// scale divides by another family's sum where the view asks for it.
func (t *table) scale(v *view, p float64) float64 {
	if v.src.over == "" {
		return p
	}
	over := t.families[v.src.over]
	if over == nil || over.seen != t.steps || over.sum <= 0 {
		return math.NaN()
	}
	return p / over.sum
}
