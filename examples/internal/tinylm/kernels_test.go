package tinylm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func randomFloats(rng *rand.Rand, n int) []float32 {
	a := make([]float32, n)
	for i := range a {
		a[i] = float32(rng.NormFloat64())
	}
	return a
}

// The products agree with three plain loops in float64, for sizes around the
// eight that the kernels unroll by.
func TestProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m, n, k := 1+rng.IntN(20), 1+rng.IntN(20), 1+rng.IntN(40)
		a, b, c := randomFloats(rng, m*k), randomFloats(rng, k*n), randomFloats(rng, m*n)
		at := make([]float32, m*k)
		transpose(at, a, m, k)
		got, gotTA := append([]float32(nil), c...), append([]float32(nil), c...)
		gemm(got, a, b, m, n, k)
		gemmTA(gotTA, at, b, m, n, k)
		for i := range m {
			for j := range n {
				want := float64(c[i*n+j])
				for s := range k {
					want += float64(a[i*k+s]) * float64(b[s*n+j])
				}
				// k+1 terms of size about 1, each rounded to 2^-24 of a partial sum.
				tolerance := 1e-6 * float64(k+1)
				require.InDelta(t, want, got[i*n+j], tolerance)
				require.InDelta(t, want, gotTA[i*n+j], tolerance)
			}
		}
		// A row on its own is the same to the last bit.
		row := append([]float32(nil), c[(m-1)*n:]...)
		gemm(row, a[(m-1)*k:], b, 1, n, k)
		require.Equal(t, got[(m-1)*n:], row)
	}
}

func TestExp(t *testing.T) {
	for x := -86.0; x <= 86; x += 0.0137 {
		got := float64(exp32(float32(x)))
		want := math.Exp(float64(float32(x)))
		require.InEpsilon(t, want, got, 3e-7, "x %v", x)
	}
	for x := -20.0; x <= 20; x += 0.0137 {
		require.InDelta(t, math.Tanh(x), tanh32(float32(x)), 1e-6, "x %v", x)
		require.InDelta(t, 1/(1+math.Exp(-x)), sigmoid(float32(x)), 1e-6, "x %v", x)
	}
	inf := float32(math.Inf(1))
	assert.Equal(t, float32(1), tanh32(inf))
	assert.Equal(t, float32(-1), tanh32(-inf))
	assert.Equal(t, float32(1), sigmoid(inf))
	assert.InDelta(t, 0, sigmoid(-inf), 1e-30)
	nan := float32(math.NaN())
	assert.True(t, math.IsNaN(float64(exp32(nan))), "a loss that is no number has to show")
}

func BenchmarkGemm(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const m, n, k = 128, 384, 128
	a, w, c := randomFloats(rng, m*k), randomFloats(rng, k*n), make([]float32, m*n)
	for b.Loop() {
		gemm(c, a, w, m, n, k)
	}
	b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
