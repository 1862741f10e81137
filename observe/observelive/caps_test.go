package observelive

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// full is a gatherer's families at the caps: histograms and counters that never rest.
type full struct {
	families   []*dto.MetricFamily
	histograms []*dto.Histogram
	counters   []*dto.Counter
}

func newFull(histograms, buckets, counters int) *full {
	f := &full{}
	h := fam("h_seconds", dto.MetricType_HISTOGRAM)
	for i := range histograms {
		d := &dto.Histogram{SampleCount: new(uint64(0))}
		for k := range buckets - 1 { // the last is above every bound
			d.Bucket = append(d.Bucket, &dto.Bucket{UpperBound: new(float64(k + 1)), CumulativeCount: new(uint64(0))})
		}
		f.histograms = append(f.histograms, d)
		h.Metric = append(h.Metric, &dto.Metric{Label: pairs("k", fmt.Sprint(i)), Histogram: d})
	}
	c := fam("x_total", dto.MetricType_COUNTER)
	for i := range counters {
		d := &dto.Counter{Value: new(0.)}
		f.counters = append(f.counters, d)
		c.Metric = append(c.Metric, &dto.Metric{Label: pairs("k", fmt.Sprint(i)), Counter: d})
	}
	f.families = []*dto.MetricFamily{h, c}
	return f
}

// work counts one observation in each bucket and one event in each counter.
func (f *full) work() {
	for _, h := range f.histograms {
		for k, b := range h.Bucket {
			*b.CumulativeCount += uint64(k + 1)
		}
		*h.SampleCount += uint64(len(h.Bucket) + 1)
	}
	for _, c := range f.counters {
		*c.Value++
	}
}

// Over 100,000 samples, more than two days of them, memory at the caps is what the formula says,
// to 10 %, in the account and in the heap, and does not move.
func TestMemoryOverManySamples(t *testing.T) {
	samples := 100000
	if testing.Short() || raceEnabled {
		samples = 10000
	}
	const histograms, counters = 7, 30
	b := newBench(t, func(c *Config) { c.MaxSeries = 64; c.Keep = 30 * time.Minute; c.KeepCoarse = 6 * time.Hour })
	f := newFull(histograms, 20, counters)
	held := b.table.cfg
	held.MaxSeries = 4*histograms + counters - 2 + 1 // two of them have their place in other
	formula := bound(held, histograms, 20)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	empty := heap()
	var first, before int64
	for k := range samples {
		f.work()
		b.step(f.families...)
		switch {
		case k < 11000 && k < samples-1:
		case first == 0:
			first, before = b.table.bytes, heap()
		case b.table.bytes != first:
			t.Fatalf("sample %d: %d bytes, %d before", k, b.table.bytes, first)
		}
	}
	after := heap()
	t.Logf("%d curves: formula %d bytes, accounted %d, heap %d, then %d", b.table.tracks, formula, b.table.bytes, before-empty, after-empty)
	require.Equal(t, held.MaxSeries, b.table.tracks)
	require.InEpsilon(t, formula, b.table.bytes, .1)
	if samples == 100000 {
		require.InEpsilon(t, formula, after-empty, .1)
		require.InEpsilon(t, before-empty, after-empty, .02, "flat")
	}
	runtime.KeepAlive(b)
	runtime.KeepAlive(f)
}

// A copy of points for a request holds the lock for less than a millisecond: at most 256 curves
// of 900 points at a time. On a busy machine one of many tries must show it.
func TestReadLockIsShort(t *testing.T) {
	if raceEnabled {
		t.Skip("measures time")
	}
	l, err := New(Config{Gatherer: gatherFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{many("g", tracksPerLock, func(i int) float64 { return float64(i) }, dto.MetricType_GAUGE)}, nil
	})})
	require.NoError(t, err)
	takeSamples(l, 900)
	var tracks []*track
	for _, g := range l.table.order[0].views[0].order {
		tracks = append(tracks, g.tracks...)
	}
	require.Len(t, tracks, tracksPerLock)
	buf := make([]float32, 2*900*len(tracks))
	best := time.Hour
	for range 50 {
		begun := time.Now()
		l.copyPoints(buf, tracks, 0, 900, false)
		best = min(best, time.Since(begun))
	}
	t.Logf("%d curves of 900 points copied in %v", len(tracks), best)
	require.LessOrEqual(t, best, time.Millisecond)
}
