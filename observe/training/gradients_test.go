package training

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tensors are values of several shapes, of any length.
func tensor(rng *rand.Rand, shape, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		switch shape % 6 {
		case 0: // a gradient
			values[i] = float32(1e-3 * rng.NormFloat64())
		case 1: // many orders of magnitude
			values[i] = float32(math.Exp(12*rng.NormFloat64())) * float32(1-2*rng.IntN(2))
		case 2: // any bits, but finite
			for {
				values[i] = math.Float32frombits(rng.Uint32())
				if finite(float64(values[i])) {
					break
				}
			}
		case 3: // sparse
			if rng.IntN(10) == 0 {
				values[i] = float32(rng.NormFloat64())
			}
		case 4: // one sign
			values[i] = -float32(rng.ExpFloat64())
		case 5: // few values
			values[i] = float32(rng.IntN(5)) - 2
		}
	}
	return values
}

func TestGradientStatsKnown(t *testing.T) {
	var s GradientStats
	s.Add([]float32{3, -4, 0, float32(math.Copysign(0, -1)), 12})
	assert.Equal(t, 13.0, s.L2())
	assert.Equal(t, 12.0, s.MaxAbs())
	assert.Equal(t, int64(5), s.Count())
	assert.Equal(t, int64(2), s.Zeros())
	assert.Zero(t, s.NonFinite())
	assert.Equal(t, 12.0, s.Quantile(1))
	assert.InDelta(t, -4, s.Quantile(0), 4.0/128)
	assert.Zero(t, s.Quantile(0.5))
	assert.InDelta(t, 3, s.AbsQuantile(0.6), 3.0/128)

	h := s.Histogram(0)
	assert.Equal(t, int64(5), h.Count)
	assert.Equal(t, 11.0, h.Sum)
	assert.Equal(t, 169.0, h.SumSquares)
	assert.Equal(t, 12.0, h.Max)
	assert.InDelta(t, -4, h.Min, 4.0/64)
	assert.Equal(t, []int64{1, 0, 2, 0, 1, 0, 1}, h.Counts)

	s.Reset()
	assert.Equal(t, GradientStats{}, s)
}

func TestGradientStatsEmpty(t *testing.T) {
	var s GradientStats
	s.Add(nil)
	s.AddBF16(nil)
	s.Merge(nil)
	s.Add([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))})
	assert.Equal(t, int64(3), s.NonFinite())
	assert.Zero(t, s.Count())
	assert.Zero(t, s.L2())
	assert.Zero(t, s.MaxAbs())
	assert.True(t, math.IsNaN(s.Quantile(0.5)))
	assert.True(t, math.IsNaN(s.AbsQuantile(0.5)))
	assert.Equal(t, &Histogram{Limits: []float64{}, Counts: []int64{}}, s.Histogram(0))
	s.Add([]float32{1})
	for _, q := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		assert.True(t, math.IsNaN(s.Quantile(q)))
		assert.True(t, math.IsNaN(s.AbsQuantile(q)))
	}
}

// One bad value takes nothing from the others, wherever it stands.
func TestGradientStatsNonFinite(t *testing.T) {
	rng := rand.New(rand.NewPCG(61, 62))
	for n := 1; n < 20; n++ {
		values := tensor(rng, 0, n)
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0xffffffff), math.Float32frombits(0x7f800001)} {
			at := rng.IntN(n + 1)
			var clean, dirty GradientStats
			clean.Add(values)
			dirty.Add(slices.Insert(slices.Clone(values), at, bad))
			require.Equal(t, int64(1), dirty.NonFinite())
			require.Equal(t, clean.Count(), dirty.Count())
			require.InEpsilon(t, clean.L2(), dirty.L2(), 1e-12)
			require.Equal(t, clean.MaxAbs(), dirty.MaxAbs())
			require.Equal(t, clean.Quantile(0.5), dirty.Quantile(0.5))
			require.Equal(t, clean.Histogram(0).Counts, dirty.Histogram(0).Counts)
			dirty.Add(values)
			require.True(t, finite(dirty.L2()))
		}
	}
}

// Every figure against one that is taken from the sorted values.
func TestGradientStatsAgainstPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(63, 64))
	var s GradientStats
	for i := range 120 {
		values := tensor(rng, i, 1+rng.IntN(300))
		s.Reset()
		s.Add(values)

		sum, squares, zeros := 0.0, 0.0, int64(0)
		sorted, abs := make([]float64, len(values)), make([]float64, len(values))
		for j, v := range values {
			x := float64(v)
			sum += x
			squares += x * x
			sorted[j], abs[j] = x, math.Abs(x)
			if math.Abs(x) < 0x1p-132 {
				zeros++
			}
		}
		slices.Sort(sorted)
		slices.Sort(abs)
		require.InDelta(t, math.Sqrt(squares), s.L2(), 1e-12*math.Sqrt(squares))
		require.Equal(t, abs[len(abs)-1], s.MaxAbs())
		require.Equal(t, int64(len(values)), s.Count())
		require.Equal(t, zeros, s.Zeros())
		for _, q := range []float64{0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1, rng.Float64()} {
			rank := max(int(math.Ceil(q*float64(len(values)))), 1) - 1
			requireNear(t, sorted[rank], s.Quantile(q))
			requireNear(t, abs[rank], s.AbsQuantile(q))
		}
		h := s.Histogram(0)
		checkHistogram(t, h, sorted, 512)
		total := 0.0
		for _, x := range abs {
			total += x
		}
		require.InDelta(t, sum, h.Sum, 1e-12*total)
		checkHistogram(t, s.Histogram(1+rng.IntN(40)), sorted, 40)
	}
}

// requireNear is the promised error of a quantile.
func requireNear(t *testing.T, want, got float64) {
	t.Helper()
	allowed := max(math.Abs(want)/128, 0x1p-126)
	require.InDelta(t, want, got, allowed)
}

// checkHistogram recounts the values into the buckets.
func checkHistogram(t *testing.T, h *Histogram, sorted []float64, most int) {
	t.Helper()
	require.Len(t, h.Counts, len(h.Limits))
	require.LessOrEqual(t, len(h.Limits), most)
	require.Equal(t, int64(len(sorted)), h.Count)
	counts := make([]int64, len(h.Limits))
	for _, x := range sorted {
		i, _ := slices.BinarySearch(h.Limits, x)
		if i == len(counts) {
			require.Fail(t, "a value is above every limit", "%v", x)
		}
		counts[i]++
	}
	require.Equal(t, counts, h.Counts)
	for i, limit := range h.Limits {
		if !finite(limit) || i > 0 && limit <= h.Limits[i-1] {
			require.Fail(t, "limits do not ascend", "%v at %d", limit, i)
		}
		if h.Counts[i] == 0 {
			require.Positive(t, i)
			require.Less(t, i, len(h.Counts)-1)
			require.Positive(t, h.Counts[i-1], "a gap is one bucket")
			require.Positive(t, h.Counts[i+1], "a gap is one bucket")
		}
	}
	low, high := sorted[0], sorted[len(sorted)-1]
	require.LessOrEqual(t, h.Min, max(low, 0x1p-132))
	require.GreaterOrEqual(t, h.Max, min(high, -0x1p-132))
	require.InDelta(t, low, h.Min, max(math.Abs(low)/64, 0x1p-126))
	require.InDelta(t, high, h.Max, max(math.Abs(high)/64, 0x1p-126))
}

func TestGradientHistogramWide(t *testing.T) {
	// Every magnitude of both signs, once.
	var values []float32
	for m := range notFinite {
		values = append(values, math.Float32frombits(uint32(m)<<bucketShift), -math.Float32frombits(uint32(m)<<bucketShift))
	}
	var s GradientStats
	s.Add(values)
	sorted := make([]float64, len(values))
	for i, v := range values {
		sorted[i] = float64(v)
	}
	slices.Sort(sorted)
	for _, most := range []int{1, 2, 10, 512, 1 << 20} {
		checkHistogram(t, s.Histogram(most), sorted, most)
	}
	require.Len(t, s.Histogram(1<<20).Counts, 2*notFinite-1, "nothing is joined without need")
}

// Parts that are merged, and parts that are added one after the other, are the same
// as the whole.
func TestGradientStatsMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(65, 66))
	for i := range 24 {
		values := tensor(rng, i, 1000)
		if i%3 == 0 {
			values[rng.IntN(1000)] = float32(math.NaN())
		}
		var whole, a, b, steps GradientStats
		whole.Add(values)
		cut := rng.IntN(len(values))
		a.Add(values[:cut])
		b.Add(values[cut:])
		a.Merge(&b)
		for rest := values; len(rest) > 0; {
			n := min(len(rest), rng.IntN(9))
			steps.Add(rest[:n])
			rest = rest[n:]
		}
		for _, other := range []*GradientStats{&a, &steps} {
			require.Equal(t, whole.counts, other.counts)
			require.Equal(t, whole.MaxAbs(), other.MaxAbs())
			require.InEpsilon(t, whole.L2(), other.L2(), 1e-12)
			require.Equal(t, whole.Quantile(0.3), other.Quantile(0.3))
			require.Equal(t, whole.Histogram(0).Limits, other.Histogram(0).Limits)
		}
		a.Merge(&a)
		require.Equal(t, 2*whole.Count(), a.Count(), "with itself it is twice as much")
	}
}

func TestGradientStatsBF16(t *testing.T) {
	rng := rand.New(rand.NewPCG(67, 68))
	for range 20 {
		half := make([]uint16, rng.IntN(2000))
		full := make([]float32, len(half))
		for i := range half {
			half[i] = uint16(rng.Uint32())
			full[i] = math.Float32frombits(uint32(half[i]) << 16)
		}
		var a, b GradientStats
		a.AddBF16(half)
		b.Add(full)
		require.Equal(t, b.counts, a.counts)
		require.Equal(t, b.MaxAbs(), a.MaxAbs())
		require.InDelta(t, b.L2(), a.L2(), 1e-12*b.L2())
	}
	var s GradientStats
	s.AddBF16([]uint16{0x3f80, 0xc000, 0x7f80, 0x7fc0, 0}) // 1, -2, +Inf, NaN, 0
	assert.Equal(t, int64(3), s.Count())
	assert.Equal(t, int64(2), s.NonFinite())
	assert.Equal(t, math.Sqrt(5), s.L2())
}

func TestMagnitudes(t *testing.T) {
	assert.Equal(t, 1.0, lowest(magnitudeOf(1)))
	assert.Equal(t, math.MaxFloat32, highest(notFinite-1))
	assert.Equal(t, notFinite, magnitudeOf(math.Inf(1)))
	for m := range notFinite {
		require.Equal(t, m, magnitudeOf(lowest(m)))
		require.Equal(t, m, magnitudeOf(highest(m)))
		require.Equal(t, m, magnitudeOf(center(m)))
		if m > 0 {
			require.Equal(t, lowest(m), float64(math.Nextafter32(float32(highest(m-1)), math.MaxFloat32)), "no gaps")
		}
	}
}

func TestGradientStatsAllocatesNothing(t *testing.T) {
	var s, other GradientStats
	values := tensor(rand.New(rand.NewPCG(69, 70)), 0, 1000)
	half := make([]uint16, 1000)
	bad := []float32{1, float32(math.NaN())}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		s.Add(values)
		s.Add(bad)
		s.AddBF16(half)
		other.Merge(&s)
		s.L2()
		s.Quantile(0.5)
		s.Reset()
	}))
}

func FuzzGradientStats(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 128, 191, 0, 0, 192, 127}, 512)
	f.Add([]byte{1, 0, 0, 0, 255, 255, 127, 127, 255, 255, 127, 255, 0, 0, 0, 128, 0, 0, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, data []byte, most int) {
		var values []float32
		var sorted []float64
		for len(data) >= 4 {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data))
			values = append(values, v)
			if finite(float64(v)) {
				sorted = append(sorted, float64(v))
			}
			data = data[4:]
		}
		var s GradientStats
		s.Add(values)
		require.Equal(t, int64(len(values)), s.Count()+s.NonFinite())
		if len(sorted) == 0 {
			return
		}
		slices.Sort(sorted)
		require.Equal(t, max(-sorted[0], sorted[len(sorted)-1]), s.MaxAbs())
		if most < 1 {
			checkHistogram(t, s.Histogram(most), sorted, 512)
		} else {
			checkHistogram(t, s.Histogram(most), sorted, most)
		}
		requireNear(t, sorted[(len(sorted)-1)/2], s.Quantile(0.5))
	})
}

// norm is the rival: the plain loop, four values at a time.
func norm(values []float32) float64 {
	var a, b, c, d float64
	for len(values) >= 4 {
		v := (*[4]float32)(values)
		values = values[4:]
		w, x, y, z := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		a += w * w
		b += x * x
		c += y * y
		d += z * z
	}
	for _, v := range values {
		a += float64(v) * float64(v)
	}
	return math.Sqrt(a + b + c + d)
}

func BenchmarkGradients(b *testing.B) {
	rng := rand.New(rand.NewPCG(71, 72))
	for shape, name := range []string{"gradient", "wide", "any bits", "sparse", "one sign", "few values"} {
		values := tensor(rng, shape, 1<<20)
		b.Run(name+"/stats", func(b *testing.B) {
			var s GradientStats
			b.ReportAllocs()
			for b.Loop() {
				s.Add(values)
			}
		})
		b.Run(name+"/norm", func(b *testing.B) {
			for b.Loop() {
				norm(values)
			}
		})
	}
}
