package observelive

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

type gatherFunc func() ([]*dto.MetricFamily, error)

func (f gatherFunc) Gather() ([]*dto.MetricFamily, error) { return f() }

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	_, err := New(Config{
		Every: time.Millisecond, KeepCoarse: time.Second, MaxSeries: -1, MaxFamilies: 1 << 20,
		Panels: []Panel{{}, {Metric: "m", Kind: "pie", Top: 101}},
	})
	for _, want := range []string{
		"Config.Gatherer is required, got nil", "Config.Every must be in [200ms, 10m0s], got 1ms", "Config.KeepCoarse must be in [2m, 20000m], got 1s",
		"Config.MaxSeries must be in [16, 100000], got -1", "Config.MaxFamilies must be in [1, 10000], got 1048576",
		`Config.Panels[0].Metric is required, got ""`, `Config.Panels[1].Kind must be "line", "step" or "stack", got "pie"`, "Config.Panels[1].Top must be in [0, 100], got 101",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(Config{Gatherer: emptyGatherer{}, Keep: time.Second})
	require.ErrorContains(t, err, "Config.Keep must be in [2, 20000] times Every (2s), got 1s")
	_, err = New(Config{Gatherer: emptyGatherer{}, Every: 200 * time.Millisecond, Keep: 48 * time.Hour})
	require.ErrorContains(t, err, "Config.Keep")
}

func TestDefaults(t *testing.T) {
	l, err := New(Config{Gatherer: emptyGatherer{}})
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, l.cfg.Every)
	require.Equal(t, 900, len(l.table.fine.ms))
	require.Equal(t, 360, len(l.table.coarse.ms))
	require.Equal(t, 2000, l.cfg.MaxSeries)
	require.Equal(t, 500, l.cfg.MaxFamilies)
	require.Equal(t, "live", l.cfg.Title)
}

func TestNilLive(t *testing.T) {
	var l *Live
	require.Zero(t, l.Stats())
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total"})
		reg.MustRegister(c)
		l, err := New(Config{Gatherer: reg})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		begun := time.Now()
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		require.EqualValues(t, 1, l.Stats().Samples, "the first at once")
		require.ErrorIs(t, l.Run(ctx), ErrRunning)
		c.Add(10)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s := l.Stats()
		require.EqualValues(t, 2, s.Samples)
		require.Equal(t, 1, s.Series)
		require.Equal(t, 1, s.Families)
		require.Equal(t, begun.Add(2*time.Second), s.At)
		require.Positive(t, s.Bytes)
		d := getData(t, l, "data")
		require.True(t, d.Running)
		require.Equal(t, []int64{begun.UnixMilli(), begun.Add(2 * time.Second).UnixMilli()}, d.T)
		require.Equal(t, 5., *d.S[0].P[0])
		require.Equal(t, 1, d.S[0].O)
		cancel()
		require.NoError(t, <-done)
		require.False(t, getData(t, l, "data").Running)

		// Run may begin again; the rate spans the pause.
		time.Sleep(time.Minute)
		c.Add(60)
		ctx, cancel = context.WithCancel(t.Context())
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		d = getData(t, l, "data?since="+strconv.FormatInt(d.Seq, 10))
		require.Len(t, d.T, 1)
		require.InDelta(t, 1, *d.S[0].P[0], .01)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestRunSkipsSamplesThatAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Config{Gatherer: gatherFunc(func() ([]*dto.MetricFamily, error) {
			time.Sleep(5 * time.Second)
			return nil, nil
		})})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, l.Run(ctx))
		require.LessOrEqual(t, l.Stats().Samples, uint64(13))
		require.Equal(t, 5*time.Second, l.Stats().GatherDuration)
	})
}

// A Gatherer that fails in part gives what came; the page shows the error; one that panics is
// an error, too. The log tells of the beginning and the end.
func TestGatherErrors(t *testing.T) {
	var (
		log  bytes.Buffer
		mode string
	)
	l, err := New(Config{
		Gatherer: gatherFunc(func() ([]*dto.MetricFamily, error) {
			switch mode {
			case "partly":
				return []*dto.MetricFamily{fam("g", dto.MetricType_GAUGE, level(3))}, errors.New("collector b failed")
			case "panic":
				panic("oh")
			}
			return []*dto.MetricFamily{fam("g", dto.MetricType_GAUGE, level(1))}, nil
		}),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	l.sample()
	require.Empty(t, getData(t, l, "data").Errors)
	mode = "partly"
	l.sample()
	l.sample()
	d := getData(t, l, "data")
	require.Equal(t, []string{"collector b failed"}, d.Errors)
	require.Equal(t, 3., *d.S[0].P[2])
	mode = "panic"
	l.sample()
	d = getData(t, l, "data")
	require.Equal(t, []string{"gatherer panicked: oh"}, d.Errors)
	require.Nil(t, d.S[0].P[3])
	mode = ""
	l.sample()
	require.EqualValues(t, 3, l.Stats().GatherErrors)
	require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("gather failed")))
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("gathering works again")))
}

// registry500 has 500 series: 400 plain and 100 histograms of 16 buckets.
func registry500(t testing.TB) (*prometheus.Registry, func()) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "app_events_total"}, []string{"kind"})
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_level"}, []string{"kind"})
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "app_seconds", Buckets: prometheus.ExponentialBuckets(.001, 2, 16)}, []string{"kind"})
	require.NoError(t, errors.Join(reg.Register(c), reg.Register(g), reg.Register(h)))
	work := func() {
		for i := range 200 {
			k := strconv.Itoa(i)
			c.WithLabelValues(k).Add(float64(i))
			g.WithLabelValues(k).Set(float64(i))
			if i < 100 {
				h.WithLabelValues(k).Observe(float64(i%17) / 100)
			}
		}
	}
	work()
	return reg, work
}

// The page's own part of a sample allocates next to nothing once the rings are full.
func TestSteadyStateAllocations(t *testing.T) {
	reg, work := registry500(t)
	cfg := Config{Gatherer: reg, Keep: 8 * time.Second}
	require.NoError(t, cfg.complete())
	table := newTable(cfg)
	var c clock
	now := epoch
	families, err := reg.Gather()
	require.NoError(t, err)
	step := func() {
		now = now.Add(cfg.Every)
		table.step(now, c.next(now), families)
	}
	for range 200 {
		work()
		families, err = reg.Gather()
		require.NoError(t, err)
		step()
	}
	require.Equal(t, 800, table.tracks)
	require.LessOrEqual(t, testing.AllocsPerRun(50, step), 8.)
}

func BenchmarkSample(b *testing.B) {
	reg, work := registry500(b)
	b.Run("gather alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = reg.Gather()
		}
	})
	b.Run("sample", func(b *testing.B) {
		l, err := New(Config{Gatherer: reg})
		require.NoError(b, err)
		for range 50 {
			work()
			l.sample()
		}
		b.ReportAllocs()
		for b.Loop() {
			l.sample()
		}
		b.ReportMetric(float64(l.Stats().DeriveDuration.Nanoseconds()), "derive-ns")
	})
}

// The accounted bytes are close to what the heap says.
func TestBytesAgreeWithTheHeap(t *testing.T) {
	if testing.Short() {
		t.Skip("walks the heap")
	}
	reg, _ := registry500(t)
	families, err := reg.Gather()
	require.NoError(t, err)
	cfg := Config{Gatherer: reg, Keep: 10 * time.Minute, KeepCoarse: 20 * time.Minute}
	require.NoError(t, cfg.complete())
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	table := newTable(cfg)
	var c clock
	now := epoch
	for range 900 {
		now = now.Add(cfg.Every)
		table.step(now, c.next(now), families)
	}
	held := heap() - before
	t.Logf("%d curves: accounted %d bytes, heap %d bytes", table.tracks, table.bytes, held)
	require.InEpsilon(t, held, table.bytes, .35)
	runtime.KeepAlive(table)
}

// A whole request of 100 curves of 900 points, and the next point of them.
func BenchmarkData(b *testing.B) {
	l, err := New(Config{Gatherer: gatherFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{many("g", 100, func(i int) float64 { return 1.2345 * float64(i) }, dto.MetricType_GAUGE)}, nil
	})})
	require.NoError(b, err)
	takeSamples(l, 900)
	for name, target := range map[string]string{"900 points": "data", "next point": "data?since=" + strconv.FormatInt(l.clock.seq-1, 10)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := ask(l, "GET", target, nil); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
