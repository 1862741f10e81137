package training

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A run computed by hand, but for the 1e-6 beside the standard deviation.
func TestZClipByHand(t *testing.T) {
	c := ZClip{Alpha: 0.5, Z: 2, Warmup: 2}
	for _, s := range []struct {
		norm, limit    float64
		spiked         bool
		mean, variance float64
	}{
		{1, 1, false, 1, 0},
		{3, 3, false, 2, 1},            // mean of 1 and 3, population variance
		{3, 3, false, 2.5, 0.625},      // z = 1: mean = 1 + 1.5; variance = 0.5 + 0.5 x 0.5²
		{2.5, 2.5, false, 2.5, 0.3125}, // z = 0
		{0, 0, false, 1.25, 0.9375},    // one-sided; variance = 0.15625 + 0.5 x 1.25²
		{1.25, 1.25, false, 1.25, 0.46875},
		// sd = 0.6846532, z = 10 / sd = 14.605934; limit = 1.25 + 2 sd / (z/2) = 1.25 + 4 sd²/10.
		{11.25, 1.4375, true, 1.34375, 0.238769531},
	} {
		limit, spiked := c.Next(s.norm)
		require.InDelta(t, s.limit, limit, 1e-6, "norm %v", s.norm)
		require.Equal(t, s.spiked, spiked)
		require.InDelta(t, s.mean, c.mean, 1e-6)
		require.InDelta(t, s.variance, c.variance, 1e-6)
	}
}

func TestZClipSkipOnSpike(t *testing.T) {
	keep, skip := ZClip{Alpha: 0.5, Z: 2, Warmup: 2}, ZClip{Alpha: 0.5, Z: 2, Warmup: 2, SkipOnSpike: true}
	for _, norm := range []float64{1, 3, 10} {
		keep.Next(norm)
		skip.Next(norm)
	}
	// z = 8, limit = 2 + 2 x 1 / 4.
	assert.InDelta(t, 2.25, keep.mean, 1e-6)
	assert.InDelta(t, 0.53125, keep.variance, 1e-6)
	assert.Equal(t, 2.0, skip.mean)
	assert.Equal(t, 1.0, skip.variance)
}

// Max bounds what is returned, and nothing else.
func TestZClipMax(t *testing.T) {
	free, capped := ZClip{}, ZClip{Max: 1.5}
	rng := rand.New(rand.NewPCG(51, 52))
	for range 500 {
		norm := 1 + rng.ExpFloat64()
		limit, spiked := free.Next(norm)
		got, gotSpiked := capped.Next(norm)
		require.Equal(t, min(limit, 1.5), got)
		require.Equal(t, spiked, gotSpiked)
		require.Equal(t, free.mean, capped.mean)
		require.Equal(t, free.variance, capped.variance)
	}
}

func TestZClipOfWhatIsNoNorm(t *testing.T) {
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e151, math.MaxFloat64}
	var c ZClip
	for _, norm := range bad {
		limit, spiked := c.Next(norm)
		require.True(t, spiked)
		require.Zero(t, limit, "nothing is known")
	}
	var clean ZClip
	rng := rand.New(rand.NewPCG(53, 54))
	for range 200 {
		norm := rng.ExpFloat64()
		limit, spiked := clean.Next(norm)
		for _, b := range bad {
			got, bad := c.Next(b)
			require.True(t, bad)
			require.Equal(t, c.mean, got)
		}
		got, gotSpiked := c.Next(norm)
		require.Equal(t, limit, got)
		require.Equal(t, spiked, gotSpiked)
	}
	capped := ZClip{Max: 0.25, Warmup: 1}
	capped.Next(3)
	limit, _ := capped.Next(math.NaN())
	assert.Equal(t, 0.25, limit)
}

// The limit is never above the norm, nor below the mean if it clips; huge norms move
// the state little.
func TestZClipProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(55, 56))
	for range 100 {
		c := ZClip{Alpha: rng.Float64(), Z: 5 * rng.Float64(), Warmup: rng.IntN(40), SkipOnSpike: rng.IntN(2) == 0}
		for i := range 100 {
			norm := rng.ExpFloat64() * math.Pow(10, float64(rng.IntN(4)))
			mean := c.mean
			limit, spiked := c.Next(norm)
			right := limit <= norm && spiked == (limit < norm) && (!spiked || i >= c.Warmup && limit >= mean)
			require.True(t, right, "norm %v, mean %v: %v, %v", norm, mean, limit, spiked)
			require.True(t, finite(c.mean) && finite(c.variance) && c.variance >= 0)
		}
	}
	var c ZClip
	for range 1000 {
		c.Next(1 + 0.1*rng.NormFloat64())
	}
	limit, spiked := c.Next(1e150)
	assert.True(t, spiked)
	assert.InDelta(t, 1, limit, 0.1)
	assert.InDelta(t, 1, c.mean, 0.1)
}

func TestZClipDefaults(t *testing.T) {
	for _, c := range []ZClip{{}, {Alpha: 1, Z: -1, Warmup: -1, Max: -1}, {Alpha: math.NaN(), Z: math.NaN(), Max: math.NaN()}, {Alpha: -0.5, Z: math.Inf(1), Max: math.Inf(1)}} {
		want := ZClip{}
		rng := rand.New(rand.NewPCG(57, 58))
		for range 500 {
			norm := rng.ExpFloat64()
			a, spikedA := c.Next(norm)
			b, spikedB := want.Next(norm)
			require.Equal(t, b, a)
			require.Equal(t, spikedB, spikedA)
		}
		assert.Equal(t, ZClip{Alpha: 0.97, Z: 2.5, Warmup: 25}, ZClip{Alpha: c.Alpha, Z: c.Z, Warmup: c.Warmup, Max: c.Max})
	}
	var c ZClip
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Next(1) }))
}
