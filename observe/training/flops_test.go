package training

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// palm is PaLM 540B (arXiv:2204.02311, table 1 and appendix B), and palmSpeed its
// tokens a second on 6144 TPU v4 of 275 TFLOP/s.
var palm = Transformer{Params: 540_350_000_000, Layers: 118, Heads: 48, QKDim: 256, VDim: 256, Context: 2048}

const palmSpeed = 238.3e3

func TestMFUKnownValues(t *testing.T) {
	mfu := func(flopsPerToken float64) float64 { return MFU(palmSpeed, flopsPerToken, 275e12, 6144) }
	assert.InDelta(t, 0.4622894202513182, mfu(palm.FLOPsPerToken()), 1e-15, "46.2 %: arXiv:2204.02311, table 3")
	assert.InDelta(t, 0.4572635120738636, mfu(Transformer{Params: palm.Params}.FLOPsPerToken()), 1e-15, "45.7 %: the same without attention")

	// The usual mistakes must not give the published number.
	causal, forward, again := palm, palm, palm
	causal.Context /= 2
	forward.Params, forward.Layers = forward.Params/3, 0
	again.Params = again.Params * 4 / 3
	for name, wrong := range map[string]float64{
		"causal mask taken off":       mfu(causal.FLOPsPerToken()),
		"forward pass only":           mfu(forward.FLOPsPerToken()),
		"recomputation counted":       mfu(again.FLOPsPerToken()),
		"peak of an A100":             MFU(palmSpeed, palm.FLOPsPerToken(), 312e12, 6144),
		"one dimension for QK and V":  mfu(Transformer{palm.Params, 0, palm.Layers, palm.Heads, palm.QKDim, 0, palm.Context}.FLOPsPerToken()),
		"embedding of 256k x 18432":   mfu(Transformer{palm.Params, 256_000 * 18_432, palm.Layers, palm.Heads, palm.QKDim, palm.VDim, palm.Context}.FLOPsPerToken()),
		"heads left out of attention": mfu(Transformer{palm.Params, 0, palm.Layers, 1, palm.QKDim, palm.VDim, palm.Context}.FLOPsPerToken()),
	} {
		assert.Greater(t, math.Abs(wrong-0.4622894202513182), 0.002, name)
	}
}

func TestFLOPsPerToken(t *testing.T) {
	for _, c := range []struct {
		name string
		t    Transformer
		want float64
	}{
		{"nothing", Transformer{}, 0},
		{"dense", Transformer{Params: 10}, 60},
		{"embedding", Transformer{Params: 10, EmbeddingParams: 4}, 36},
		{"attention", Transformer{Layers: 2, Heads: 3, QKDim: 5, VDim: 7, Context: 11}, 6 * 2 * 3 * 12 * 11},
		{"all", Transformer{Params: 10, EmbeddingParams: 4, Layers: 2, Heads: 3, QKDim: 5, VDim: 7, Context: 11}, 36 + 6*2*3*12*11},
		{"no overflow", Transformer{math.MaxInt64, 0, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}, 6 * 2 * math.Pow(1<<63, 4)},
	} {
		assert.InEpsilon(t, c.want+1, c.t.FLOPsPerToken()+1, 1e-12, c.name)
	}
}

func TestMFUOfNothing(t *testing.T) {
	for _, c := range [][2]float64{{0, 8}, {-1, 8}, {math.NaN(), 8}, {1e12, 0}, {1e12, -1}} {
		assert.Zero(t, MFU(1, 1, c[0], int(c[1])), c)
	}
	assert.Zero(t, MFU(0, 1, 1, 1))
}

func TestPeakFLOPS(t *testing.T) {
	for _, c := range []struct {
		name string
		want float64 // 0 is not known
	}{
		// Names as drivers give them.
		{"NVIDIA A100-SXM4-80GB", 312e12},
		{"NVIDIA A100-PCIE-40GB", 312e12},
		{"NVIDIA H100 80GB HBM3", 989e12},
		{"NVIDIA H100 PCIe", 756e12},
		{"NVIDIA H100 NVL", 835e12},
		{"NVIDIA H200", 989e12},
		{"NVIDIA H200 NVL", 836e12},
		{"NVIDIA B200", 2.25e15},
		{"NVIDIA B300 SXM6 AC", 2.25e15},
		{"NVIDIA GB200", 2.5e15},
		{"NVIDIA GB300", 2.5e15},
		{"NVIDIA L40S", 362e12},
		{"AMD Instinct MI300X OAM", 1300e12},
		{"AMD Instinct MI325X", 1300e12},
		{"AMD Instinct MI355X", 2500e12},
		{"AMD Instinct MI250X / MI250", 191.5e12},
		{"nvidia h100 nvl", 835e12},
		// Names that hold those of others.
		{"NVIDIA RTX A1000", 0},
		{"NVIDIA H20", 0},
		{"NVIDIA GH200 480GB", 0},
		{"NVIDIA L40", 0},
		{"NVIDIA L4", 0},
		{"NVIDIA H100 80GB HBM3 MIG 1g.10gb", 0},
		{"AMD Instinct MI300A", 0},
		{"NVIDIA GeForce RTX 4090", 0},
		{"Tesla V100-SXM2-16GB", 0},
		{"TPU v4", 0},
		{"NVL", 0},
		{"", 0},
		{"\xff\x00H100\xfe", 989e12},
	} {
		got, ok := PeakFLOPS(c.name)
		assert.Equal(t, c.want, got, c.name)
		assert.Equal(t, c.want > 0, ok, c.name)
	}
}

func TestCheckpointInterval(t *testing.T) {
	// Llama 3 405B: 419 unexpected interruptions in 54 days (arXiv:2407.21783,
	// section 3.3.4), and a checkpoint of 30 s.
	const days = 54 * 24 * time.Hour
	mtbf := days / 419
	assert.InDelta(t, 3.0930787589, mtbf.Hours(), 1e-9)
	assert.InDelta(t, 2.781115879828, (days / 466).Hours(), 1e-9, "all interruptions, planned ones too")
	got := CheckpointInterval(30*time.Second, mtbf)
	assert.InDelta(t, 817.377, got.Seconds(), 0.0005)
	for name, wrong := range map[string]float64{
		"without the 2":     math.Sqrt(30 * mtbf.Seconds()),
		"all interruptions": CheckpointInterval(30*time.Second, days/466).Seconds(),
		"MTBF in hours":     math.Sqrt(2 * 30 * mtbf.Hours()),
	} {
		assert.Greater(t, math.Abs(wrong-817.377), 10.0, name)
	}

	// The interval is where cost/interval + interval/(2 MTBF), the share of time that
	// is lost, is least.
	lost := func(interval float64) float64 { return 30/interval + interval/(2*mtbf.Seconds()) }
	for _, other := range []float64{0.5, 0.9, 1.1, 2} {
		assert.Greater(t, lost(got.Seconds()*other), lost(got.Seconds()))
	}

	assert.Zero(t, CheckpointInterval(0, time.Hour))
	assert.Zero(t, CheckpointInterval(-1, time.Hour))
	assert.Zero(t, CheckpointInterval(time.Hour, 0))
	assert.Zero(t, CheckpointInterval(time.Hour, -1))
	assert.EqualValues(t, math.MaxInt64, CheckpointInterval(math.MaxInt64, math.MaxInt64))
	assert.EqualValues(t, 1, CheckpointInterval(1, 1))
}
