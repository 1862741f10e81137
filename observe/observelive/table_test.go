package observelive

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func many(name string, n int, value func(i int) float64, kind dto.MetricType) *dto.MetricFamily {
	f := fam(name, kind)
	for i := range n {
		if kind == dto.MetricType_COUNTER {
			f.Metric = append(f.Metric, count(value(i), "k", fmt.Sprint(i)))
		} else {
			f.Metric = append(f.Metric, level(value(i), "k", fmt.Sprint(i)))
		}
	}
	return f
}

// Beyond the cap, series are summed into other: nothing of the total is lost.
func TestOther(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSeries = 16 }) // 4 of them kept for other
	at := func(k float64) []*dto.MetricFamily {
		return []*dto.MetricFamily{
			many("x_total", 40, func(i int) float64 { return k * float64(i+1) }, dto.MetricType_COUNTER),
			many("g", 5, func(i int) float64 { return k }, dto.MetricType_GAUGE),
		}
	}
	b.step(at(0)...)
	b.step(at(2)...)
	require.Equal(t, 14, b.table.tracks)
	require.Equal(t, 28+5, b.table.dropped)
	var sum float64
	for i := range 12 {
		sum += b.point("x_total", "", "k", fmt.Sprint(i))
	}
	other := b.point("x_total", "", "k", "other")
	require.InDelta(t, 40*41/2, sum+other, 1e-3)
	require.Equal(t, 10., b.point("g", "", "k", "other"))

	// A series that leaves the sum would look like a reset: that sample is a gap.
	f := at(3)
	f[0].Metric = f[0].Metric[:39]
	b.step(f...)
	b.gap("x_total", "", "k", "other")
	f = at(4)
	f[0].Metric = f[0].Metric[:39]
	b.step(f...)
	require.InDelta(t, (39*40/2-12*13/2)/2., b.point("x_total", "", "k", "other"), 1e-3)
}

func TestOtherHistogram(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSeries = 16 })
	f := func(n float64) *dto.MetricFamily {
		out := fam("h_seconds", dto.MetricType_HISTOGRAM)
		for i := range 9 {
			out.Metric = append(out.Metric, buckets(bounds3, []float64{0, n, 0, 0}, "k", fmt.Sprint(i)))
		}
		return out
	}
	b.step(f(0))
	b.step(f(10))
	require.Equal(t, 16, b.table.tracks, "3 and other, of four curves each")
	require.InDelta(t, .15, b.point("h_seconds", "p50", "k", "other"), 1e-6)
	require.InDelta(t, 6*10/2, b.point("h_seconds", "rate", "k", "other"), 1e-6)
}

func TestMaxFamilies(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxFamilies = 3 })
	var families []*dto.MetricFamily
	for i := range 10 {
		families = append(families, fam(fmt.Sprintf("f%d", i), dto.MetricType_GAUGE, level(1)))
	}
	b.step(families...)
	require.Len(t, b.table.families, 3)
	require.Equal(t, 7, b.table.dropped)
}

// What is absent for Keep is forgotten, with its memory.
func TestForget(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Keep = time.Minute; c.MaxSeries = 20 })
	f := func(k float64) []*dto.MetricFamily {
		return []*dto.MetricFamily{
			many("x_total", 30, func(int) float64 { return k }, dto.MetricType_COUNTER),
			fam("h_seconds", dto.MetricType_HISTOGRAM, buckets(bounds3, []float64{k, 0, 0, 0})),
		}
	}
	for k := range 5 {
		b.step(f(float64(k))...)
	}
	layout := b.table.layout
	for k := range 60 {
		b.step(many("x_total", 2, func(int) float64 { return float64(k) }, dto.MetricType_COUNTER))
	}
	require.Equal(t, 2, b.table.tracks)
	require.Equal(t, 2, b.table.raws)
	require.Len(t, b.table.families, 1)
	require.Greater(t, b.table.layout, layout, "the layout has changed")
	for range 60 {
		b.step()
	}
	require.Zero(t, b.table.tracks)
	require.Zero(t, b.table.raws)
	require.Zero(t, b.table.bytes, "every byte is accounted for")
	require.Empty(t, b.table.order)
}

// bound is the documented cap on memory, in bytes.
func bound(c Config, histograms, buckets int) int64 {
	fine := int64((c.Keep+c.Every-1)/c.Every) * 4
	coarse := int64((c.KeepCoarse+coarsePeriod-1)/coarsePeriod) * 8
	return int64(c.MaxSeries)*(fine+coarse+trackBytes+rawBytes) + int64(histograms*((windowBuckets+2)*buckets*8+windowBytes))
}

// 10,000 series that a client makes up stay under the cap, however long they go on.
func TestAttackStaysUnderTheCap(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSeries = 500; c.Keep = 2 * time.Minute; c.KeepCoarse = 10 * time.Minute })
	rng := rand.New(rand.NewPCG(5, 6))
	limit := bound(b.table.cfg, 0, 0)
	for k := range 150 {
		f := fam("x_total", dto.MetricType_COUNTER)
		for i := range 10000 / 50 {
			f.Metric = append(f.Metric, count(float64(k), "k", fmt.Sprint(k/3*200+i), "junk", fmt.Sprint(rng.Uint64())))
		}
		b.step(f)
		require.LessOrEqual(t, b.table.bytes, limit)
		require.LessOrEqual(t, b.table.tracks, 500)
	}
	f := many("y_total", 10000, func(int) float64 { return 1 }, dto.MetricType_COUNTER)
	b.step(f)
	require.LessOrEqual(t, b.table.bytes, limit)
	require.LessOrEqual(t, b.table.tracks, 500)
	require.Greater(t, b.table.dropped, 9000)
}

// Rates times time is what was counted, whatever the order of rises, gaps and resets.
func TestCountersLoseNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		b := newBench(t, nil)
		value, counted, plotted, last := 0.0, 0.0, 0.0, 0.0
		b.step(fam("x_total", dto.MetricType_COUNTER, count(0)))
		for range 100 {
			d := time.Second + time.Duration(rng.IntN(4000))*time.Millisecond
			last += d.Seconds()
			if rng.IntN(10) == 0 {
				b.after(d) // absent
				continue
			}
			rise := float64(rng.IntN(20))
			if rng.IntN(15) == 0 && rise < value {
				value = 0 // reset; less than before, so it can be seen
			}
			value += rise
			counted += rise
			b.after(d, fam("x_total", dto.MetricType_COUNTER, count(value)))
			plotted += b.point("x_total", "") * last
			last = 0
		}
		require.InEpsilon(t, counted, plotted, 1e-4)
	}
}

// Whatever is gathered, nothing panics and the caps hold.
func TestHostileFamilies(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	odd := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324}
	b := newBench(t, func(c *Config) { c.MaxSeries = 64; c.MaxFamilies = 10; c.Keep = 20 * time.Second })
	for range 5000 {
		var families []*dto.MetricFamily
		for range 1 + rng.IntN(3) {
			kind := dto.MetricType(rng.IntN(6))
			f := fam([]string{"", "a", "b_total", "c_seconds", "llm_train_loss", "d_info"}[rng.IntN(6)], kind)
			for range rng.IntN(6) {
				v := odd[rng.IntN(len(odd))]
				m := &dto.Metric{}
				for range rng.IntN(3) {
					m.Label = append(m.Label, pairs([]string{"x", "y", ""}[rng.IntN(3)], fmt.Sprint(rng.IntN(9)))...)
				}
				switch rng.IntN(7) {
				case 0:
					m.Counter = &dto.Counter{Value: &v}
				case 1:
					m.Gauge = &dto.Gauge{Value: &v}
				case 2:
					m.Untyped = &dto.Untyped{Value: &v}
				case 3:
					m.Summary = &dto.Summary{SampleCount: new(rng.Uint64())}
					for range rng.IntN(4) {
						m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: &v, Value: &v})
					}
				case 4:
					m.Histogram = buckets([]float64{v, 3}, []float64{float64(rng.IntN(9)), float64(rng.IntN(9)), 1}).Histogram
				case 5:
					m.Histogram = nativeFamily(int32(rng.IntN(14)-5), rng.Uint64N(50), int32(rng.Uint32()), int64(rng.IntN(9)-4), 3, int64(rng.Int32())).Metric[0].Histogram
				}
				f.Metric = append(f.Metric, m)
			}
			families = append(families, f)
		}
		b.after(time.Duration(rng.IntN(3000))*time.Millisecond, families...)
		require.LessOrEqual(t, b.table.tracks, 64)
		require.LessOrEqual(t, b.table.raws, 64)
		require.LessOrEqual(t, len(b.table.families), 10)
		require.GreaterOrEqual(t, b.table.bytes, int64(0))
		b.table.layoutOf()
	}
	for range 40 {
		b.step()
	}
	require.Zero(t, b.table.bytes)
}
