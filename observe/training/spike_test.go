package training

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bound holds over seeds that no parameter was chosen by. A clipper that is taken
// for an alarm has to fail in the same test: an exponential mean and z = 2.5.
func TestSpikeOnSyntheticLoss(t *testing.T) {
	const seeds = 24
	var hits, wrong, clipHits, clipWrong int
	for seed := range uint64(seeds) {
		run := newLossRun(seed + 100)
		var s Spike
		h, w := run.grade(func(step int64, x float64) bool { return s.Observe(step, x).Flagged })
		hits, wrong = hits+h, wrong+w
		var clip ZClip // its z is 2.5
		h, w = run.grade(func(_ int64, x float64) bool { _, spiked := clip.Next(x); return spiked })
		clipHits, clipWrong = clipHits+h, clipWrong+w
	}
	recall := float64(hits) / (seeds * lossSpikes)
	t.Logf("recall %.4f, %.2f false episodes in 20,000 steps; ZClip: %.4f, %.1f",
		recall, float64(wrong)/seeds, float64(clipHits)/(seeds*lossSpikes), float64(clipWrong)/seeds)
	assert.GreaterOrEqual(t, recall, 0.995)
	assert.LessOrEqual(t, float64(wrong)/seeds, 1.5)
	assert.Greater(t, float64(clipWrong)/seeds, 100.0, "the negative control")
}

// Each spike is one episode: an onset and an end, whatever its length.
func TestSpikeEpisodes(t *testing.T) {
	for seed := range uint64(4) {
		run := newLossRun(seed + 300)
		var s Spike
		open, episodes := false, 0
		for i, x := range run.loss {
			v := s.Observe(int64(i+1), x)
			if !v.Found {
				continue
			}
			switch v.Kind {
			case EventSpike:
				require.False(t, open, "step %d", i+1)
				open = true
				require.Equal(t, int64(i+1), v.Onset)
				require.Equal(t, x, v.Peak)
				require.Equal(t, 1, v.Length)
			case EventSpikeEnd:
				require.True(t, open, "step %d", i+1)
				open = false
				episodes++
				require.False(t, v.Flagged)
				require.Equal(t, int64(i+1), v.Onset+int64(v.Length)-1+60, "60 quiet values after the last flagged one")
				require.Equal(t, slices.Max(run.loss[v.Onset-1:int(v.Onset)-1+v.Length]), v.Peak)
			default:
				require.Fail(t, "no level shift in this run", "step %d: %v", i+1, v.Kind)
			}
		}
		assert.InDelta(t, lossSpikes, episodes, 4)
	}
}

// feed gives the same value a number of times, and returns what was found.
func feed(s *Spike, step *int64, x float64, times int) []SpikeVerdict {
	var found []SpikeVerdict
	for range times {
		*step++
		if v := s.Observe(*step, x); v.Found {
			found = append(found, v)
		}
	}
	return found
}

func TestSpikeOfAConstantLoss(t *testing.T) {
	for _, level := range []float64{0, 2.5, -3, 1e-9, 1e200, math.MaxFloat64} {
		var s Spike
		var step int64
		require.Empty(t, feed(&s, &step, level, 5000), "level %v", level)
	}
	var s Spike
	var step int64
	require.Empty(t, feed(&s, &step, 2, 1000))
	// The floor: 10 x 1.4826 x 0.001 x 2.
	v := s.Observe(1001, 2.0296)
	require.False(t, v.Flagged)
	require.InDelta(t, 2.029652, v.Limit, 1e-12)
	v = s.Observe(1002, 2.0297)
	require.True(t, v.Found)
	require.Equal(t, EventSpike, v.Kind)
	require.InDelta(t, 10.0162, v.Score, 1e-3)
}

func TestSpikeAdvice(t *testing.T) {
	for _, c := range []struct {
		spike            Spike
		before           int
		safe             int64
		skipMin, skipMax int
	}{
		{Spike{}, 1000, 901, 200, 500},
		{Spike{}, 128, 29, 200, 500},
		{Spike{Back: 1}, 1000, 1000, 200, 500},
		{Spike{Back: 5000}, 1000, 0, 200, 500},
		{Spike{SkipMax: 50}, 1000, 901, 50, 50},
		{Spike{SkipMin: 900}, 1000, 901, 900, 900},
		{Spike{SkipMin: 3, SkipMax: 4}, 1000, 901, 3, 4},
	} {
		var step int64
		feed(&c.spike, &step, 1, c.before)
		v := c.spike.Observe(step+1, 9)
		require.True(t, v.Found)
		assert.Equal(t, c.safe, v.SafeStep)
		assert.Equal(t, c.skipMin, v.SkipMin)
		assert.Equal(t, c.skipMax, v.SkipMax)
		v = c.spike.Observe(step+2, 1)
		assert.Equal(t, c.safe, v.SafeStep, "as long as the episode lasts")
	}
	var s Spike
	for range 128 {
		s.Observe(math.MinInt64, 1)
	}
	assert.Zero(t, s.Observe(math.MinInt64, 5).SafeStep)
}

func TestSpikeLevelShift(t *testing.T) {
	var s Spike
	var step int64
	feed(&s, &step, 1, 500)
	found := feed(&s, &step, 4, 127)
	require.Len(t, found, 1)
	require.Equal(t, EventSpike, found[0].Kind)
	v := s.Observe(step+1, 4)
	require.True(t, v.Found)
	require.Equal(t, EventLevelShift, v.Kind)
	require.Equal(t, int64(501), v.Onset)
	require.Equal(t, 128, v.Length)
	require.Equal(t, 4.0, v.Median, "the new level")
	require.Empty(t, feed(&s, &step, 4, 1000), "the new level is no spike, and the old episode has ended")
	require.Equal(t, EventSpike, feed(&s, &step, 9, 1)[0].Kind)

	// One value in between, and it is no shift.
	s = Spike{}
	step = 0
	feed(&s, &step, 1, 500)
	for range 20 {
		feed(&s, &step, 4, 127)
		for _, v := range feed(&s, &step, 1, 1) {
			require.NotEqual(t, EventLevelShift, v.Kind)
		}
	}
}

func TestSpikeIgnoresWhatIsNotFinite(t *testing.T) {
	run := newLossRun(7)
	var clean, stormy Spike
	rng := rand.New(rand.NewPCG(1, 2))
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1)}
	for i, x := range run.loss {
		for range rng.IntN(3) {
			require.True(t, stormy.Observe(int64(i), bad[rng.IntN(3)]) == SpikeVerdict{})
		}
		require.True(t, clean.Observe(int64(i), x) == stormy.Observe(int64(i), x))
	}
	var s Spike
	for i := range 100_000 {
		require.True(t, s.Observe(int64(i), bad[i%3]) == SpikeVerdict{})
	}
}

func TestSpikeMonotoneDecrease(t *testing.T) {
	var s Spike
	for i := range 50_000 {
		require.False(t, s.Observe(int64(i), 12-float64(i)*2e-4).Flagged)
	}
}

func TestSpikeOutlierDuringWarmUp(t *testing.T) {
	for _, at := range []int{0, 1, 64, 127} {
		var s Spike
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range 2000 {
			x := 2 + 0.01*rng.NormFloat64()
			if i == at {
				x = 1e300
			}
			v := s.Observe(int64(i), x)
			require.False(t, v.Flagged, "step %d", i)
			if v.Limit != 0 {
				require.InDelta(t, 2, v.Limit, 0.3, "an outlier in the window moves the limit little")
			}
		}
		require.True(t, s.Observe(2000, 2.5).Flagged)
	}
}

func TestSpikeHugeValues(t *testing.T) {
	var s Spike
	rng := rand.New(rand.NewPCG(5, 6))
	values := []float64{math.MaxFloat64, -math.MaxFloat64, 1e300, -1e300, 0, math.SmallestNonzeroFloat64, 1, -1}
	for i := range 20_000 {
		v := s.Observe(int64(i)-10_000, values[rng.IntN(len(values))])
		for _, x := range []float64{v.Value, v.Median, v.Limit, v.Score, v.Peak} {
			require.True(t, finite(x), "%+v", v)
		}
	}
}

// Whatever the values, median and MAD are those of a window kept the plain way.
func TestSpikeAgainstPlain(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		s := Spike{Window: 8 + rng.IntN(60), Z: 0.5 + 4*rng.Float64(), Refresh: 1 + rng.IntN(9)}
		var kept, held []float64
		var med, dev float64
		fresh := 0
		take := func() {
			fresh = 0
			med = plainMedian(kept)
			var away []float64
			for _, x := range kept {
				away = append(away, math.Abs(x-med))
			}
			dev = 1.4826 * max(plainMedian(away), 1e-3*math.Abs(med), 1e-12)
		}
		level := 1.0
		for i := range 1000 {
			if rng.IntN(200) == 0 {
				level *= 1.5
			}
			x := level + math.Round(8*rng.NormFloat64())/8 // with ties
			v := s.Observe(int64(i), x)
			if len(kept) < s.Window {
				kept = append(kept, x)
				if len(kept) == s.Window {
					take()
				}
				require.Equal(t, SpikeVerdict{Value: x}, v)
				continue
			}
			require.InDelta(t, (x-med)/dev, v.Score, 1e-9*max(1, math.Abs(v.Score)))
			require.Equal(t, x-med > s.Z*dev, v.Flagged)
			if v.Flagged {
				if held = append(held, x); len(held) == s.Window {
					require.Equal(t, EventLevelShift, v.Kind)
					kept, held = held, nil
					take()
				}
				continue
			}
			held = nil
			kept = append(kept[1:], x)
			if fresh++; fresh == s.Refresh {
				take()
			}
		}
	}
}

func plainMedian(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func TestMedianKnown(t *testing.T) {
	for _, c := range []struct {
		values      []float64
		median, mad float64
	}{
		// statistics.median's examples in the documentation of Python.
		{[]float64{1, 3, 5}, 3, 2},
		{[]float64{1, 3, 5, 7}, 4, 2},
		// scipy.stats.median_abs_deviation's example of the MAD in Wikipedia.
		{[]float64{1, 1, 2, 2, 4, 6, 9}, 2, 1},
		{[]float64{5}, 5, 0},
		{[]float64{-math.MaxFloat64, math.MaxFloat64}, 0, math.MaxFloat64},
		{[]float64{math.MaxFloat64, math.MaxFloat64}, math.MaxFloat64, 0},
	} {
		m := median(c.values)
		assert.Equal(t, c.median, m, "%v", c.values)
		assert.Equal(t, c.mad, medianDeviation(c.values, m), "%v", c.values)
	}
}

func TestWindowKeepsOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 25 {
		size := 1 + rng.IntN(40)
		var w window[int]
		w.init(size)
		var all []int
		for range 120 {
			x := rng.IntN(30)
			all = append(all, x)
			w.add(x)
			last := all[max(len(all)-size, 0):]
			want := slices.Sorted(slices.Values(last))
			require.Equal(t, want, w.sorted)
			for _, percent := range []int{0, 1, 50, 99, 100} {
				below := 0
				for _, y := range last {
					if y <= w.rank(percent) {
						below++
					}
				}
				require.GreaterOrEqual(t, below*100, percent*len(last))
				require.Contains(t, last, w.rank(percent))
			}
		}
	}
}

func TestSpikeCopiesBeforeUseAreApart(t *testing.T) {
	a := Spike{Window: 8}
	b := a
	for i := range 100 {
		a.Observe(int64(i), 1)
		b.Observe(int64(i), 5)
	}
	assert.True(t, a.Observe(100, 5).Flagged)
	assert.False(t, b.Observe(100, 5).Flagged)
}

func TestSpikeOff(t *testing.T) {
	s := Spike{Off: true}
	for i := range 1000 {
		require.Zero(t, s.Observe(int64(i), float64(i*i)))
	}
}

func TestSpikeFaults(t *testing.T) {
	none := []Spike{{}, {Window: 8, Z: 0.1, Refresh: 1, Cooldown: 1, Back: 1, SkipMin: 1, SkipMax: 1}, {Window: 65536, Z: 1e6}, {SkipMin: 700}}
	for _, s := range none {
		assert.Empty(t, s.faults("x"), "%+v", s)
	}
	for _, c := range []struct {
		spike Spike
		fault string
	}{
		{Spike{Window: 7}, "c.Spike.Window is 7: want 8 to 65536"},
		{Spike{Window: 65537}, "c.Spike.Window is 65537: want 8 to 65536"},
		{Spike{Window: -1}, "c.Spike.Window is -1: want 8 to 65536"},
		{Spike{Z: math.NaN()}, "c.Spike.Z is NaN: want 0.1 to 1e+06"},
		{Spike{Z: math.Inf(1)}, "c.Spike.Z is +Inf: want 0.1 to 1e+06"},
		{Spike{Z: -10}, "c.Spike.Z is -10: want 0.1 to 1e+06"},
		{Spike{Refresh: -1}, "c.Spike.Refresh is -1: want 1 to 65536"},
		{Spike{Cooldown: -1}, "c.Spike.Cooldown is -1: want 1 to 1073741824"},
		{Spike{Back: -1}, "c.Spike.Back is -1: want 1 to 1073741824"},
		{Spike{SkipMin: -1}, "c.Spike.SkipMin is -1: want 1 to 1073741824"},
		{Spike{SkipMax: -1}, "c.Spike.SkipMax is -1: want 1 to 1073741824"},
		{Spike{SkipMin: 3, SkipMax: 2}, "c.Spike.SkipMin is 3: want at most SkipMax, which is 2"},
	} {
		faults := c.spike.faults("c.Spike")
		require.Len(t, faults, 1, "%+v", c.spike)
		assert.EqualError(t, faults[0], c.fault)
		used := c.spike
		for i := range 200 { // used all the same, it works with the default
			used.Observe(int64(i), 1)
		}
		assert.True(t, used.Observe(200, 100).Flagged, "%+v", c.spike)
	}
	assert.Len(t, (&Spike{Window: 1, Z: -1, Refresh: -1, Cooldown: -1, Back: -1, SkipMin: -1, SkipMax: -1}).faults("x"), 7, "all at once")

	var used Spike
	used.Observe(1, 1)
	require.Len(t, used.faults("c.Spike"), 1)
	assert.EqualError(t, used.faults("c.Spike")[0], "c.Spike has been used: want one with parameters only")
}

func TestSpikeAllocatesOnce(t *testing.T) {
	run := newLossRun(11)
	s := Spike{Refresh: 1}
	s.Observe(0, 3)
	i := 0
	assert.Zero(t, testing.AllocsPerRun(lossSteps-1, func() {
		s.Observe(int64(i), run.loss[i])
		i++
	}))
	// A level shift allocates nothing either.
	assert.Zero(t, testing.AllocsPerRun(500, func() { s.Observe(int64(i), 100) }))
}

// The rivals keep no order: one updates its sums, the other takes them anew each time.
func BenchmarkSpike(b *testing.B) {
	run := newLossRun(1)
	for _, window := range []int{128, 1024} {
		b.Run(fmt.Sprint("window ", window), func(b *testing.B) {
			s := Spike{Window: window}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				s.Observe(int64(i), run.loss[i])
				if i++; i == len(run.loss) {
					i = 0
				}
			}
		})
	}
	for name, observe := range map[string]func(*rolling, float64) bool{"rolling, updated": (*rolling).update, "rolling, taken anew": (*rolling).anew} {
		b.Run(name, func(b *testing.B) {
			var r rolling
			i, flagged := 0, 0
			for b.Loop() {
				if observe(&r, run.loss[i]) {
					flagged++
				}
				if i++; i == len(run.loss) {
					i = 0
				}
			}
			_ = flagged
		})
	}
}
