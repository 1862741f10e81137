package observelive

import (
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pairs makes labels of name, value, name, value, ...
func pairs(kv ...string) (out []*dto.LabelPair) {
	for i := 0; i < len(kv); i += 2 {
		out = append(out, &dto.LabelPair{Name: &kv[i], Value: &kv[i+1]})
	}
	return out
}

func fam(name string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Type: &kind, Help: new("help of " + name), Metric: metrics}
}

func count(v float64, kv ...string) *dto.Metric {
	return &dto.Metric{Label: pairs(kv...), Counter: &dto.Counter{Value: &v}}
}

func level(v float64, kv ...string) *dto.Metric {
	return &dto.Metric{Label: pairs(kv...), Gauge: &dto.Gauge{Value: &v}}
}

// buckets makes a classic histogram of per-bucket counts; the last is above every bound.
func buckets(bounds, counts []float64, kv ...string) *dto.Metric {
	h := &dto.Histogram{}
	var sum uint64
	for i, b := range bounds {
		sum += uint64(counts[i])
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(b), CumulativeCount: new(sum)})
	}
	h.SampleCount = new(sum + uint64(counts[len(bounds)]))
	return &dto.Metric{Label: pairs(kv...), Histogram: h}
}

// A bench steps a table with hand-made families.
type bench struct {
	t     *testing.T
	table *table
	clock clock
	now   time.Time
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	cfg := Config{Gatherer: emptyGatherer{}, Every: 2 * time.Second}
	if change != nil {
		change(&cfg)
	}
	require.NoError(t, cfg.complete())
	return &bench{t: t, table: newTable(cfg), now: epoch.Add(-cfg.Every)}
}

type emptyGatherer struct{}

func (emptyGatherer) Gather() ([]*dto.MetricFamily, error) { return nil, nil }

// step takes one sample, Every after the one before.
func (b *bench) step(families ...*dto.MetricFamily) { b.after(b.table.cfg.Every, families...) }

func (b *bench) after(d time.Duration, families ...*dto.MetricFamily) {
	b.now = b.now.Add(d)
	b.table.step(b.now, b.clock.next(b.now), families)
}

// point is the newest point of a curve, NaN for a gap; part "" is the only curve of a group.
func (b *bench) point(name, part string, kv ...string) float64 {
	b.t.Helper()
	f := b.table.families[name]
	require.NotNil(b.t, f, name)
	for _, v := range f.views {
		for _, g := range v.order {
			match := len(kv)/2 <= len(g.labels)
			for i := 0; i < len(kv); i += 2 {
				match = match && valueOf(g.labels, kv[i]) == kv[i+1]
			}
			if !match {
				continue
			}
			i := 0
			for k, p := range histogramParts {
				if p == part {
					i = k
				}
			}
			if part == "rate" && len(g.tracks) != 4 || part == "" {
				i = len(g.tracks) - 1
			}
			return float64(g.tracks[i].fine.at(b.table.fine.pos()))
		}
	}
	b.t.Fatalf("no curve of %s %v", name, kv)
	return 0
}

func (b *bench) gap(name, part string, kv ...string) {
	b.t.Helper()
	require.True(b.t, math.IsNaN(b.point(name, part, kv...)), "%s %s %v is %v", name, part, kv, b.point(name, part, kv...))
}

func TestCounter(t *testing.T) {
	b := newBench(t, nil)
	f := func(v float64) *dto.MetricFamily {
		return fam("x_total", dto.MetricType_COUNTER, count(v, "a", "1"))
	}
	b.step(f(100))
	b.gap("x_total", "") // first sight
	b.step(f(110))
	require.Equal(t, 5., b.point("x_total", ""))
	b.step(f(110))
	require.Equal(t, 0., b.point("x_total", ""))
	b.step(f(6)) // reset: the new value counts
	require.Equal(t, 3., b.point("x_total", ""))
	b.step() // absent for one sample
	b.gap("x_total", "")
	b.step(f(14)) // the rise since it was last seen, 4 s ago
	require.Equal(t, 2., b.point("x_total", ""))
	b.step(f(math.NaN()))
	b.gap("x_total", "")
	b.step(f(math.Inf(1)))
	b.gap("x_total", "")
	b.step(f(20)) // nothing to compare with
	b.gap("x_total", "")
	b.step(f(24))
	require.Equal(t, 2., b.point("x_total", ""))
}

func TestCounterCreated(t *testing.T) {
	b := newBench(t, nil)
	f := func(v float64, created time.Time) *dto.MetricFamily {
		m := count(v)
		m.Counter.CreatedTimestamp = timestamppb.New(created)
		return fam("x_total", dto.MetricType_COUNTER, m)
	}
	b.step()
	b.step(f(6, epoch.Add(time.Second))) // made since the sample before: all of it is new
	require.Equal(t, 3., b.point("x_total", ""))
	b.step(f(8, epoch.Add(5*time.Second))) // made anew: a reset, though the value rose
	require.Equal(t, 4., b.point("x_total", ""))

	old := newBench(t, nil)
	old.step()
	old.step(f(6, epoch.Add(-time.Hour)))
	old.gap("x_total", "")
}

// Below 2 s between samples a rate spans at least 2 s, so that it does not flicker.
func TestCounterRateSpansTwoSeconds(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Every = 500 * time.Millisecond })
	v := 0.0
	f := func() *dto.MetricFamily { return fam("x_total", dto.MetricType_COUNTER, count(v)) }
	b.step(f())
	v++
	b.step(f())
	require.Equal(t, 2., b.point("x_total", ""), "what there is: 1 in 0.5 s")
	for range 3 {
		b.step(f())
	}
	require.Equal(t, .5, b.point("x_total", ""), "1 in 2 s")
	b.step(f())
	require.Equal(t, 0., b.point("x_total", ""))
}

func TestGaugeAndUntyped(t *testing.T) {
	b := newBench(t, nil)
	untyped := func(v float64) *dto.MetricFamily {
		return fam("u", dto.MetricType_UNTYPED, &dto.Metric{Untyped: &dto.Untyped{Value: &v}})
	}
	b.step(fam("g", dto.MetricType_GAUGE, level(-3)), untyped(4))
	require.Equal(t, -3., b.point("g", ""))
	require.Equal(t, 4., b.point("u", ""))
	b.step(fam("g", dto.MetricType_GAUGE, level(math.NaN())), untyped(math.Inf(-1)))
	b.gap("g", "")
	b.gap("u", "")
	b.step(fam("g", dto.MetricType_GAUGE, level(1e200)))
	b.gap("g", "") // no float32
	b.gap("u", "")
}

func TestGaugesCombineByName(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Panels = []Panel{{Metric: "x_ratio"}, {Metric: "x_seconds"}, {Metric: "x_celsius"}, {Metric: "x"}, {Metric: "x_start_time_seconds"}}
	})
	two := func(name string) *dto.MetricFamily {
		return fam(name, dto.MetricType_GAUGE, level(1, "k", "a"), level(4, "k", "b"))
	}
	age := fam("x_start_time_seconds", dto.MetricType_GAUGE, level(float64(epoch.Unix())-90))
	b.step(two("x_ratio"), two("x_seconds"), two("x_celsius"), two("x"), age)
	require.Equal(t, 2.5, b.point("x_ratio", ""))
	require.Equal(t, 4., b.point("x_seconds", ""))
	require.Equal(t, 4., b.point("x_celsius", ""))
	require.Equal(t, 5., b.point("x", ""))
	require.Equal(t, 90., b.point("x_start_time_seconds", ""))
}

func TestSummary(t *testing.T) {
	b := newBench(t, nil)
	f := func(n uint64, q float64) *dto.MetricFamily {
		return fam("s_seconds", dto.MetricType_SUMMARY, &dto.Metric{Summary: &dto.Summary{
			SampleCount: &n, Quantile: []*dto.Quantile{{Quantile: new(.5), Value: &q}},
		}})
	}
	b.step(f(10, .25))
	b.step(f(14, .75))
	require.Equal(t, .75, b.point("s_seconds", "p50"))
	require.Equal(t, 2., b.point("s_seconds", ""), "the rate of its count")
	b.step(f(14, math.NaN()))
	b.gap("s_seconds", "p50")
	require.Equal(t, 0., b.point("s_seconds", ""))
}

// The same series with its labels in another order is the same series.
func TestReorderedLabels(t *testing.T) {
	b := newBench(t, nil)
	b.step(fam("x_total", dto.MetricType_COUNTER, count(1, "a", "1", "b", "2")))
	b.step(fam("x_total", dto.MetricType_COUNTER, count(5, "b", "2", "a", "1")))
	require.Equal(t, 2., b.point("x_total", ""))
	require.Equal(t, 1, b.table.tracks)
}

// Series whose hashes collide are told apart by their labels.
func TestHashCollision(t *testing.T) {
	b := newBench(t, nil)
	b.table.hash = func([]*dto.LabelPair) uint64 { return 7 }
	f := func(x, y float64) *dto.MetricFamily {
		return fam("g", dto.MetricType_GAUGE, level(x, "k", "x"), level(y, "k", "y"))
	}
	b.step(f(1, 2))
	b.step(f(3, 4))
	require.Equal(t, 3., b.point("g", "", "k", "x"))
	require.Equal(t, 4., b.point("g", "", "k", "y"))
	b.table.cfg.Keep = 20 * time.Second
	for range 20 {
		b.step(fam("g", dto.MetricType_GAUGE, level(9, "k", "y")))
	}
	require.Equal(t, 1, b.table.tracks, "x is forgotten, y is not")
	require.Equal(t, 9., b.point("g", "", "k", "y"))
}

func TestTwiceInOneSample(t *testing.T) {
	b := newBench(t, nil)
	b.step(fam("g", dto.MetricType_GAUGE, level(1, "k", "x"), level(5, "k", "x")))
	require.Equal(t, 1., b.point("g", ""))
	require.Equal(t, 1, b.table.dropped)
}

func TestLabelValuesAreCut(t *testing.T) {
	b := newBench(t, nil)
	long := strings.Repeat("ä", 100)
	b.step(fam("g", dto.MetricType_GAUGE, level(1, "k", long)))
	b.step(fam("g", dto.MetricType_GAUGE, level(2, "k", long)))
	require.Equal(t, 1, b.table.tracks)
	kept := b.table.families["g"].views[0].order[0].labels[0].value
	require.Equal(t, strings.Repeat("ä", 64), kept)
}

// A family that changes its type begins anew.
func TestTypeChange(t *testing.T) {
	b := newBench(t, nil)
	b.step(fam("x", dto.MetricType_GAUGE, level(1)))
	b.step(fam("x", dto.MetricType_COUNTER, count(5)))
	b.gap("x", "")
	b.step(fam("x", dto.MetricType_COUNTER, count(7)))
	require.Equal(t, 1., b.point("x", ""))
	require.Equal(t, 1, b.table.tracks)
}

// A panel sums its series by the labels it keeps; one that divides reads the other family.
func TestPanelSums(t *testing.T) {
	b := newBench(t, nil)
	step := func(ok, bad, flops float64) {
		b.step(
			fam("llm_server_requests_total", dto.MetricType_COUNTER,
				count(ok, "model", "a", "outcome", "ok"), count(2*ok, "model", "b", "outcome", "ok"), count(bad, "model", "a", "outcome", "timeout")),
			fam("llm_train_model_flops_total", dto.MetricType_COUNTER, count(flops)),
			fam("llm_train_peak_flops", dto.MetricType_GAUGE, level(1000)))
	}
	step(0, 0, 0)
	step(10, 4, 800)
	require.Equal(t, 15., b.point("llm_server_requests_total", "", "outcome", "ok"))
	require.Equal(t, 2., b.point("llm_server_requests_total", "", "outcome", "timeout"))
	require.InDelta(t, .4, b.point("llm_train_model_flops_total", ""), 1e-6)
	views := b.table.families["llm_server_requests_total"].views
	require.Len(t, views, 2)
	require.Len(t, views[0].order, 2)
	require.Len(t, views[1].order, 1, "errors leave ok out")
}
