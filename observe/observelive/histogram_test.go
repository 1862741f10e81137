package observelive

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var bounds3 = []float64{.1, .2, 1}

func hist(counts ...float64) *dto.MetricFamily {
	return fam("h_seconds", dto.MetricType_HISTOGRAM, buckets(bounds3, counts))
}

func TestHistogram(t *testing.T) {
	b := newBench(t, nil)
	b.step(hist(1000, 0, 0, 0))
	b.gap("h_seconds", "p50") // first sight: what came before is not now
	b.gap("h_seconds", "rate")
	b.step(hist(1005, 2, 4, 1))
	require.InDelta(t, .15, b.point("h_seconds", "p50"), 1e-6)
	require.Equal(t, 1., b.point("h_seconds", "p99"), "above every bound: the highest")
	require.InDelta(t, 6, b.point("h_seconds", "rate"), 1e-6)
	b.step() // absent
	b.gap("h_seconds", "p50")
	b.gap("h_seconds", "rate")
	b.step(hist(1005, 2, 4, 1)) // nothing new, but still in the window
	require.InDelta(t, .15, b.point("h_seconds", "p50"), 1e-6)
	require.InDelta(t, 12./6, b.point("h_seconds", "rate"), 1e-6)
	for range 15 {
		b.step(hist(1005, 2, 4, 1))
	}
	b.gap("h_seconds", "p50") // no observation in 30 s is a gap, never 0
	require.Zero(t, b.point("h_seconds", "rate"))
}

func TestHistogramReset(t *testing.T) {
	for name, after := range map[string][]float64{
		"the count fell":     {0, 4, 0, 0},
		"only a bucket fell": {0, 1000, 0, 0},
	} {
		b := newBench(t, nil)
		b.step(hist(500, 0, 0, 0))
		b.step(hist(500, 0, 0, 0))
		b.step(hist(after...))
		require.InDelta(t, .15, b.point("h_seconds", "p50"), 1e-6, name)
	}
}

func TestHistogramCreated(t *testing.T) {
	b := newBench(t, nil)
	b.step()
	f := hist(0, 4, 0, 0)
	f.Metric[0].Histogram.CreatedTimestamp = timestamppb.New(epoch.Add(time.Second))
	b.step(f)
	require.InDelta(t, .15, b.point("h_seconds", "p50"), 1e-6)
	require.InDelta(t, 2, b.point("h_seconds", "rate"), 1e-6)
	g := hist(0, 5, 0, 0)
	g.Metric[0].Histogram.CreatedTimestamp = timestamppb.New(epoch.Add(3 * time.Second))
	b.step(g)
	require.InDelta(t, 9./4, b.point("h_seconds", "rate"), 1e-6, "all 5 are new")
}

// The window is 30 s whatever the time between samples.
func TestHistogramWindow(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, time.Minute} {
		b := newBench(t, func(c *Config) { c.Every = every; c.Keep = 20 * every })
		n := 0.0
		for range int(90*time.Second/every) + 3 {
			n += every.Seconds() * 10
			b.step(hist(0, math.Round(n), 0, 0))
		}
		require.InDelta(t, 10, b.point("h_seconds", "rate"), .3, "every %v", every)
		win := b.table.families["h_seconds"].views[0].order[0].win
		oldest := win.slots[(win.head-win.n+1+windowBuckets)%windowBuckets].start
		if every < 30*time.Second {
			require.InDelta(t, 28.5, b.table.now-oldest, 1.7, "every %v", every)
		}
		for range int(31*time.Second/every) + 1 {
			b.step(hist(0, math.Round(n), 0, 0))
		}
		b.gap("h_seconds", "p50")
	}
}

func TestHistogramBoundsThatCannotBeUsed(t *testing.T) {
	many := make([]float64, maxBuckets+1)
	for i := range many {
		many[i] = float64(i)
	}
	for name, bounds := range map[string][]float64{
		"falling": {2, 1}, "twice": {1, 1}, "NaN": {math.NaN()}, "-Inf": {math.Inf(-1)}, "too many": many, "none": {},
	} {
		b := newBench(t, nil)
		counts := make([]float64, len(bounds)+1)
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, buckets(bounds, counts)))
		counts[len(bounds)] = 8
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, buckets(bounds, counts)))
		b.gap("h_seconds", "p50")
		require.Equal(t, 4., b.point("h_seconds", "rate"), name)
	}
}

// New bounds begin a new window; series of different bounds cannot be added up.
func TestHistogramBoundsChange(t *testing.T) {
	b := newBench(t, nil)
	b.step(hist(1, 0, 0, 0))
	b.step(hist(9, 0, 0, 0))
	other := func(n float64) *dto.MetricFamily {
		return fam("h_seconds", dto.MetricType_HISTOGRAM, buckets([]float64{5, 6}, []float64{0, n, 0}))
	}
	b.step(other(20))
	b.gap("h_seconds", "p50")
	b.step(other(24))
	require.InDelta(t, 5.5, b.point("h_seconds", "p50"), 1e-6)

	p := newBench(t, func(c *Config) { c.Panels = []Panel{{Metric: "h_seconds"}} })
	for n := range 3 {
		p.step(fam("h_seconds", dto.MetricType_HISTOGRAM,
			buckets([]float64{1}, []float64{float64(n), 0}, "k", "a"), buckets([]float64{2}, []float64{float64(n), 0}, "k", "b")))
	}
	require.InDelta(t, .5, p.point("h_seconds", "p50"), 1e-6)
	require.Equal(t, 1, p.table.dropped)
}

// Histograms of a panel are added before the quantile is taken.
func TestHistogramsAreMerged(t *testing.T) {
	b := newBench(t, nil)
	name := "gen_ai_server_time_to_first_token_seconds"
	f := func(n float64) *dto.MetricFamily {
		return fam(name, dto.MetricType_HISTOGRAM,
			buckets(bounds3, []float64{5 * n, 0, 4 * n, 0}, "model", "a"), buckets(bounds3, []float64{0, 2 * n, 0, n}, "model", "b"))
	}
	b.step(f(0))
	b.step(f(1))
	require.InDelta(t, .15, b.point(name, "p50"), 1e-6)
	require.InDelta(t, 6, b.point(name, "rate"), 1e-6)
	require.Equal(t, 4, b.table.tracks)
}

// A native histogram of client_golang gives the quantiles of what it observed.
func TestNativeHistogram(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "n_seconds", NativeHistogramBucketFactor: 1.1})
	reg.MustRegister(h)
	b := newBench(t, nil)
	step := func() {
		families, err := reg.Gather()
		require.NoError(t, err)
		b.step(families...)
	}
	h.Observe(1e6)
	step()
	b.gap("n_seconds", "p50")
	for i := 1; i <= 1000; i++ {
		h.Observe(float64(i) / 1000)
	}
	step()
	require.InEpsilon(t, .5, b.point("n_seconds", "p50"), .05)
	require.InEpsilon(t, .99, b.point("n_seconds", "p99"), .05)
	require.Equal(t, 500., b.point("n_seconds", "rate"))
	for range 1000 {
		h.Observe(-3)
	}
	h.Observe(0)
	step()
	require.InEpsilon(t, -.0001, min(b.point("n_seconds", "p50"), -.0001), 1, "half is negative")
	require.InEpsilon(t, .98, b.point("n_seconds", "p99"), .05)
	for range 16 {
		step()
	}
	b.gap("n_seconds", "p99")
	require.Zero(t, b.point("n_seconds", "rate"))
}

func nativeFamily(schema int32, count uint64, offset int32, deltas ...int64) *dto.MetricFamily {
	return fam("n", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{
		SampleCount: &count, Schema: &schema, ZeroThreshold: new(1e-9), ZeroCount: new(uint64(0)),
		PositiveSpan:  []*dto.BucketSpan{{Offset: &offset, Length: new(uint32(len(deltas)))}},
		PositiveDelta: deltas,
	}})
}

func TestNativeResetAndSchemaChange(t *testing.T) {
	b := newBench(t, nil)
	b.step(nativeFamily(1, 10, 1, 10)) // (1, 1.41]
	b.step(nativeFamily(1, 14, 1, 14))
	require.InDelta(t, math.Exp2(.25), b.point("n", "p50"), 1e-6)
	b.step(nativeFamily(0, 20, 1, 20)) // the same, coarser: (1, 2]
	require.InDelta(t, math.Sqrt2, b.point("n", "p50"), 1e-6)
	require.InDelta(t, 10./4, b.point("n", "rate"), 1e-6)
	b.step(nativeFamily(0, 3, 3, 3)) // reset: 3 in (4, 8]
	require.InDelta(t, 13./6, b.point("n", "rate"), 1e-6)
	require.Greater(t, b.point("n", "p90"), 4.)
}

func TestExpandHostileSpans(t *testing.T) {
	span := func(offset int32, length uint32) *dto.BucketSpan {
		return &dto.BucketSpan{Offset: &offset, Length: &length}
	}
	require.Equal(t, []sparse{{2, 1}, {3, 3}, {7, 2}},
		expand(nil, []*dto.BucketSpan{span(2, 2), span(3, 1)}, []int64{1, 2, -1}, nil))
	require.Empty(t, expand(nil, []*dto.BucketSpan{span(0, math.MaxUint32)}, nil, nil), "lengths that no count follows")
	require.Empty(t, expand(nil, []*dto.BucketSpan{span(math.MaxInt32, 2)}, []int64{-5, 0}, nil), "negative counts")
	require.Equal(t, []sparse{{0, 3}}, expand(nil, []*dto.BucketSpan{span(0, 1), span(-1, 1)}, []int64{1, 1}, nil), "a bucket twice")
	require.Equal(t, []sparse{{1, 2.5}}, expand(nil, []*dto.BucketSpan{span(0, 2)}, nil, []float64{math.NaN(), 2.5}))
}

// A histogram of very many buckets is merged until it fits; its count is kept.
func TestNativeBucketsAreBounded(t *testing.T) {
	deltas := make([]int64, 5000)
	deltas[0] = 1
	f := nativeFamily(8, 5000, -2000, deltas...)
	var n native
	n.read(f.Metric[0].Histogram)
	require.LessOrEqual(t, len(n.pos), maxNativeBuckets)
	var sum float64
	for _, b := range n.pos {
		sum += b.n
	}
	require.Equal(t, 5000., sum)
}
