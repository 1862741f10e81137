package training

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watch gives losses to a Trend, and returns the steps of what it found.
func watch(t *Trend, losses []float64) (diverging, plateau []int) {
	for i, x := range losses {
		v := t.Observe(int64(i+1), x)
		if v.Diverging {
			diverging = append(diverging, i+1)
		}
		if v.Plateau {
			plateau = append(plateau, i+1)
		}
	}
	return diverging, plateau
}

// trace makes losses from a function of the step, with noise.
func trace(steps int, noise float64, f func(step int) float64) []float64 {
	rng := rand.New(rand.NewPCG(21, 22))
	losses := make([]float64, steps)
	for i := range losses {
		losses[i] = f(i+1) + noise*rng.NormFloat64()
	}
	return losses
}

func falling(step int) float64 { return 1.7 + 8*math.Pow(float64(step)+50, -0.35) }

func TestTrendOfAHealthyRun(t *testing.T) {
	for seed := range uint64(4) {
		var d Trend
		diverging, plateau := watch(&d, newLossRun(seed+500).loss)
		assert.Empty(t, diverging, "spikes are no divergence")
		assert.Empty(t, plateau, "off by default")
	}
	for _, level := range []float64{0, 2, -2, 1e-300, math.MaxFloat64} {
		var d Trend
		diverging, _ := watch(&d, trace(5000, 0, func(int) float64 { return level }))
		assert.Empty(t, diverging)
	}
	var d Trend
	diverging, _ := watch(&d, trace(20_000, 0, func(step int) float64 { return 12 - float64(step)*1e-3 }))
	assert.Empty(t, diverging, "below zero too")
}

func TestTrendDiverging(t *testing.T) {
	rising := func(step int) float64 { return falling(step) + max(0, float64(step-5000))*2e-3 }
	var d Trend
	diverging, _ := watch(&d, trace(8000, 0.02, rising))
	require.Len(t, diverging, 1, "told once")
	assert.Greater(t, diverging[0], 5200)
	assert.Less(t, diverging[0], 5700)

	// Noise of which a rise does not stand out is none.
	d = Trend{}
	diverging, _ = watch(&d, trace(8000, 1, func(int) float64 { return 5 }))
	assert.Empty(t, diverging)
}

// It is told when the condition has held for Sustain values, and Onset is the first
// of them.
func TestTrendVerdict(t *testing.T) {
	d := Trend{Sustain: 50}
	var onset int64
	for i, x := range trace(3000, 0, func(step int) float64 { return 2 + max(0, float64(step-1000))*0.01 }) {
		step := int64(i + 1)
		v := d.Observe(step, x)
		if step < 500 {
			require.Zero(t, v.Limit)
			continue
		}
		require.GreaterOrEqual(t, v.Limit, 1.05*v.Long-1e-9)
		if v.Short > v.Limit && onset == 0 {
			onset = step
		}
		if onset != 0 && step < onset+200 {
			require.Equal(t, onset, v.Onset)
			require.Equal(t, step == onset+49, v.Diverging)
			require.Equal(t, step >= onset+49, v.Rising)
		}
	}
	require.NotZero(t, onset)
}

// After a rise that ended, the next is told again.
func TestTrendClears(t *testing.T) {
	waves := func(step int) float64 { return 2 + 3*max(0, math.Sin(float64(step)/1000)) }
	var d Trend
	rising := 0
	was := false
	var told int
	for i, x := range trace(40_000, 0.01, waves) {
		v := d.Observe(int64(i+1), x)
		if v.Diverging {
			told++
		}
		if v.Rising && !was {
			rising++
		}
		was = v.Rising
	}
	assert.Equal(t, 7, told, "one for each wave")
	assert.Equal(t, told, rising)
}

func TestTrendPlateau(t *testing.T) {
	stairs := func(step int) float64 { return 5 - float64(step/3000) }
	d := Trend{PlateauSteps: 1000}
	_, plateau := watch(&d, trace(9000, 0, stairs))
	require.Len(t, plateau, 3, "one for each stair")
	for i, step := range plateau {
		assert.InDelta(t, 3000*i+1000, step, 400)
	}
	d = Trend{PlateauSteps: 1000}
	_, plateau = watch(&d, trace(9000, 0, func(step int) float64 { return 100 - float64(step)*0.01 }))
	assert.Empty(t, plateau, "0.1 % in 1000 steps is no plateau")

	d = Trend{PlateauSteps: 100}
	for range 500 {
		d.Observe(0, 3)
	}
	v := d.Observe(0, 3)
	assert.Equal(t, TrendVerdict{Short: 3, Long: 3, Limit: 3.15, Best: 3, Stalled: 501 - 50}, v, "a run that has no step numbers")
}

// A single outlier, wherever it stands, changes what follows by nothing once the
// averages have forgotten its neighbours.
func TestTrendForgetsAnOutlier(t *testing.T) {
	rising := func(step int) float64 { return falling(step) + max(0, float64(step-5000))*2e-3 }
	losses := trace(8000, 0.02, rising)
	var clean Trend
	want, _ := watch(&clean, losses)
	for _, at := range []int{0, 1, 2, 3, 499, 4000, 5300} {
		for _, giant := range []float64{1e30, math.MaxFloat64, -math.MaxFloat64} {
			outlier := append([]float64(nil), losses...)
			outlier[at] = giant
			var d Trend
			got, _ := watch(&d, outlier)
			require.Len(t, got, 1, "outlier at %d", at)
			assert.InDelta(t, want[0], got[0], 3)
		}
	}
}

func TestTrendHostile(t *testing.T) {
	values := []float64{math.MaxFloat64, -math.MaxFloat64, 0, 1, math.NaN(), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64}
	rng := rand.New(rand.NewPCG(23, 24))
	d := Trend{PlateauSteps: 10, Sustain: 3, Long: 60}
	for range 20_000 {
		v := d.Observe(rng.Int64()-rng.Int64(), values[rng.IntN(len(values))])
		for _, x := range []float64{v.Short, v.Long, v.Limit, v.Best} {
			require.True(t, finite(x), "%+v", v)
		}
	}
	var clean, stormy Trend
	for i, x := range newLossRun(3).loss {
		require.True(t, stormy.Observe(int64(i), math.NaN()) == TrendVerdict{})
		require.True(t, stormy.Observe(int64(i), math.Inf(1)) == TrendVerdict{})
		require.True(t, clean.Observe(int64(i), x) == stormy.Observe(int64(i), x))
	}
	off := Trend{Off: true, PlateauSteps: 1}
	for i := range 5000 {
		require.Zero(t, off.Observe(int64(i), float64(i)))
	}
}

// The averages have no bias: of a constant they are the constant from the start, and
// of a ramp the short one lags by (n-1)/2 steps.
func TestAverage(t *testing.T) {
	var m average
	for range 100 {
		m.add(7, 50)
		require.InDelta(t, 7, m.mean, 1e-12)
	}
	m = average{}
	m.add(1, 3) // a = 1/2
	m.add(4, 3) // weights 1/2, 1/4
	require.InDelta(t, 3, m.mean, 1e-12)
	m = average{}
	for i := range 5000 {
		m.add(float64(i), 51)
	}
	require.InDelta(t, 4999-25, m.mean, 1e-9)
}

func TestTrendFaults(t *testing.T) {
	for _, d := range []Trend{{}, {Short: 2, Long: 3, Sustain: 1, Margin: 1e-6, PlateauSteps: 1}, {Short: 1e6}} {
		assert.Empty(t, d.faults("x"), "%+v", d)
	}
	for _, c := range []struct {
		trend Trend
		fault string
	}{
		{Trend{Short: 1}, "c.Trend.Short is 1: want 2 to 1000000"},
		{Trend{Long: 50}, "c.Trend.Long is 50: want 51 to 10000000"},
		{Trend{Sustain: -1}, "c.Trend.Sustain is -1: want 1 to 1073741824"},
		{Trend{Margin: math.NaN()}, "c.Trend.Margin is NaN: want 1e-06 to 1000"},
		{Trend{Margin: -1}, "c.Trend.Margin is -1: want 1e-06 to 1000"},
		{Trend{PlateauSteps: -1}, "c.Trend.PlateauSteps is -1: want 1 to 1073741824"},
	} {
		faults := c.trend.faults("c.Trend")
		require.Len(t, faults, 1, "%+v", c.trend)
		assert.EqualError(t, faults[0], c.fault)
	}
	assert.Len(t, (&Trend{Short: -1, Long: -1, Sustain: -1, Margin: -1, PlateauSteps: -1}).faults("x"), 5, "all at once")
	var used Trend
	used.Observe(1, 1)
	assert.Len(t, used.faults("x"), 1)
}

func TestTrendAllocatesNothing(t *testing.T) {
	d := Trend{PlateauSteps: 100}
	i := 0.0
	assert.Zero(t, testing.AllocsPerRun(2000, func() { i++; d.Observe(int64(i), i) }))
}
