package observelive

import (
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// histogram takes bucket counts and adds what they rose by to the windows of r's groups.
func (t *table) histogram(r *raw, h *dto.Histogram) {
	told := h.CreatedTimestamp != nil
	created := h.CreatedTimestamp.AsTime()
	if isNative(h) {
		t.nat.read(h)
		t.native(r, &t.nat, countOf(h), created, told)
		return
	}
	t.readClassic(h)
	t.classic(r, t.bounds, t.counts, created, told)
}

func countOf(h *dto.Histogram) float64 {
	if h.SampleCountFloat != nil {
		return h.GetSampleCountFloat()
	}
	return float64(h.GetSampleCount())
}

// readClassic fills bounds and cumulative counts. A histogram whose buckets cannot be used keeps
// its count alone, in a single bucket without bound.
func (t *table) readClassic(h *dto.Histogram) {
	t.bounds, t.counts = t.bounds[:0], t.counts[:0]
	for _, b := range h.Bucket {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		c := float64(b.GetCumulativeCount())
		if b.CumulativeCountFloat != nil {
			c = b.GetCumulativeCountFloat()
		}
		t.bounds = append(t.bounds, b.GetUpperBound())
		t.counts = append(t.counts, c)
	}
	if len(t.bounds) > maxBuckets || !increasing(t.bounds) {
		t.bounds, t.counts = t.bounds[:0], t.counts[:0]
	}
	t.counts = append(t.counts, countOf(h))
}

// classicRise writes what each bucket rose by between two cumulative snapshots, and reports
// whether it was a reset (any bucket or the count fell), in which case all of cur counts. prev
// nil stands for zeros.
func classicRise(into, prev, cur []float64) (reset bool) {
	var belowCur, belowPrev float64
	for i, c := range cur {
		var p float64
		if prev != nil {
			p = prev[i]
		}
		into[i] = (c - belowCur) - (p - belowPrev)
		if !(into[i] >= 0) {
			reset = true
		}
		belowCur, belowPrev = c, p
	}
	if !reset {
		return false
	}
	below := 0.0
	for i, c := range cur {
		into[i] = 0
		if d := c - below; d > 0 && valid(d) {
			into[i] = d
		}
		below = c
	}
	return true
}

// classic takes cumulative counts.
func (t *table) classic(r *raw, bounds, counts []float64, createdAt time.Time, told bool) {
	var created int64
	if told {
		created = createdAt.UnixNano()
	}
	since, known := r.at, true
	t.deltas = slices.Grow(t.deltas[:0], len(counts))[:len(counts)]
	switch {
	case r.seen > 0 && len(r.counts) == len(counts) && slices.Equal(r.bounds, bounds):
		prev := r.counts
		if created > r.created && r.created > 0 {
			prev = nil
		}
		classicRise(t.deltas, prev, counts)
	case r.seen == 0 && t.newborn(createdAt, told):
		since = t.unborn()
		classicRise(t.deltas, nil, counts)
	default:
		since, known = t.now, false
	}
	t.bytes += int64(len(counts)-len(r.counts)) * 8
	r.counts = append(r.counts[:0], counts...)
	r.seen, r.at, r.created = t.steps, t.now, created
	if !slices.Equal(r.bounds, bounds) || r.bounds == nil {
		r.bounds = slices.Clone(bounds)
	}
	for _, g := range r.groups {
		if g == nil {
			continue
		}
		if g.win == nil || g.win.isNative && g.members == 1 ||
			!g.win.isNative && g.members == 1 && !slices.Equal(g.win.bounds, bounds) {
			t.bytes -= g.held()
			g.win = &window{bounds: r.bounds, sum: make([]float64, len(counts))}
			t.bytes += g.held()
		}
		if g.win.isNative || !slices.Equal(g.win.bounds, bounds) { // cannot be added up
			t.dropped++
			continue
		}
		r.bounds = g.win.bounds // one copy a group
		t.touch(g, since)
		if known {
			g.delta = true
			g.win.add(t.deltas)
		}
	}
}

// native takes the counts of a native histogram; count also holds NaN observations.
func (t *table) native(r *raw, cur *native, count float64, createdAt time.Time, told bool) {
	var created int64
	if told {
		created = createdAt.UnixNano()
	}
	since, known, rose := r.at, true, count-r.value
	switch {
	case r.seen > 0 && r.nat != nil:
		reset := created > r.created && r.created > 0 || count < r.value
		if reset || !t.natDiff.sub(cur, r.nat) {
			t.natDiff.copyFrom(cur)
			rose = count
		}
	case r.seen == 0 && t.newborn(createdAt, told):
		since, rose = t.unborn(), count
		t.natDiff.copyFrom(cur)
	default:
		since, known = t.now, false
	}
	if r.nat == nil {
		r.nat = &native{}
	}
	t.bytes -= r.nat.held()
	r.nat.copyFrom(cur)
	t.bytes += r.nat.held()
	r.seen, r.at, r.created, r.value = t.steps, t.now, created, count
	for _, g := range r.groups {
		if g == nil {
			continue
		}
		if g.win == nil || !g.win.isNative && g.members == 1 {
			t.bytes -= g.held()
			g.win = &window{isNative: true}
			t.bytes += g.held()
		}
		if !g.win.isNative {
			t.dropped++
			continue
		}
		t.touch(g, since)
		if known {
			g.delta = true
			t.bytes += g.win.addNative(&t.natDiff, rose)
		}
	}
}

// folded sums the series of a family that have no curve of their own, for one step.
type folded struct {
	n, before int
	value     float64
	bounds    []float64
	counts    []float64
	nat       native
	isNative  bool
}

// fold adds a series to the family's other; without room for that either, it is only counted.
func (t *table) fold(f *family, m *dto.Metric) {
	t.dropped++
	if f.other == nil {
		labels := cutLabels(m.Label)
		for i := range labels {
			labels[i].value = otherValue
		}
		width := widthOf(f.kind, m)
		o := &raw{labels: labels, width: width, sum: &folded{}}
		if f.kind == dto.MetricType_SUMMARY || t.raws+width > t.cfg.MaxSeries || !t.attach(f, o, 0) {
			return
		}
		t.raws += width
		t.bytes += rawBytes
		f.other = o
	}
	s := f.other.sum
	if f.folded == 0 {
		s.n, s.value = 0, 0
		s.counts = s.counts[:0]
		s.nat.zero, s.nat.pos, s.nat.neg = 0, s.nat.pos[:0], s.nat.neg[:0]
	}
	f.folded++
	switch {
	case m.Counter != nil:
		s.add(m.Counter.GetValue())
	case m.Gauge != nil:
		s.add(m.Gauge.GetValue())
		f.sum += m.Gauge.GetValue()
	case m.Untyped != nil:
		s.add(m.Untyped.GetValue())
		f.sum += m.Untyped.GetValue()
	case m.Histogram != nil && isNative(m.Histogram):
		t.nat.read(m.Histogram)
		s.nat.add(&t.nat)
		s.isNative = true
		s.add(countOf(m.Histogram))
	case m.Histogram != nil:
		t.readClassic(m.Histogram)
		if len(s.counts) == 0 {
			s.bounds = append(s.bounds[:0], t.bounds...)
			s.counts = append(s.counts, t.counts...)
			s.isNative = false
			s.n++
		} else if slices.Equal(s.bounds, t.bounds) {
			for i, c := range t.counts {
				s.counts[i] += c
			}
			s.n++
		}
	}
}

func (s *folded) add(v float64) {
	if valid(v) {
		s.value += v
		s.n++
	}
}

// flushOther takes the sum of what was folded. When series left it since the step before, the
// sums cannot be compared: the step gives no difference.
func (t *table) flushOther(f *family) {
	o := f.other
	if o == nil || f.folded == 0 {
		return
	}
	s := o.sum
	fewer := s.n < s.before
	s.before = s.n
	switch {
	case f.kind == dto.MetricType_COUNTER:
		if fewer || s.value < o.value {
			o.seen = 0
		}
		t.counter(f, o, s.value, time.Time{}, false)
	case f.kind != dto.MetricType_HISTOGRAM && f.kind != dto.MetricType_GAUGE_HISTOGRAM:
		t.gauge(o, s.value)
	case s.isNative:
		if fewer || s.value < o.value {
			o.seen = 0
		}
		t.native(o, &s.nat, s.value, time.Time{}, false)
	default:
		if fewer || len(o.counts) == len(s.counts) && len(s.counts) > 0 && s.counts[len(s.counts)-1] < o.counts[len(o.counts)-1] {
			o.seen = 0
		}
		t.classic(o, s.bounds, s.counts, time.Time{}, false)
	}
}
