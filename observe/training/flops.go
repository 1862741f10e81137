package training

import (
	"math"
	"strings"
	"time"
)

// Transformer is the shape of a decoder, as far as its FLOPs depend on it. Every
// field counts from 0 up.
type Transformer struct {
	// Params is how many parameters take part in each token: of a mixture of
	// experts those that are active.
	Params int64
	// EmbeddingParams is the part of Params that is only looked up. PaLM counts the
	// embedding: leave this at 0 to compare with it, and where the output layer
	// shares the embedding. torchtitan subtracts an embedding that is not shared.
	EmbeddingParams int64

	Layers  int64 // blocks
	Heads   int64 // query heads of one block
	QKDim   int64 // dimension of a head's queries and keys
	VDim    int64 // dimension of a head's values
	Context int64 // tokens that a token attends to: the sequence length
}

// FLOPsPerToken returns the model FLOPs of training on one token, forward and
// backward:
//
//	6 (Params - EmbeddingParams) + 6 Layers Heads (QKDim + VDim) Context
//
// Where QKDim = VDim = Q, that is 6N + 12LHQT of PaLM (arXiv:2204.02311, appendix
// B). What activation checkpointing computes again is not counted, and what a
// causal mask saves is not taken off.
func (t Transformer) FLOPsPerToken() float64 {
	dense := float64(t.Params) - float64(t.EmbeddingParams)
	attention := float64(t.Layers) * float64(t.Heads) * (float64(t.QKDim) + float64(t.VDim)) * float64(t.Context)
	return 6*dense + 6*attention
}

// MFU returns the model FLOPs utilization, usually in 0..1: what a run computes of
// what its devices could. peakFLOPS is that of one device, in FLOP/s. It returns 0
// where the peak of all devices is not above 0.
func MFU(tokensPerSecond, flopsPerToken, peakFLOPS float64, devices int) float64 {
	peak := peakFLOPS * float64(devices)
	if !(peak > 0) {
		return 0
	}
	return tokensPerSecond * flopsPerToken / peak
}

// peak is the speed of a device that has all of these words in its name.
type peak struct {
	words string
	flops float64
}

// PeakFLOPS returns the peak of a device in FLOP/s, for dense bfloat16, by the
// name that its driver gives, such as "NVIDIA H100 80GB HBM3". It is false for a
// device that is not known, and for a MIG slice. Other formats than bfloat16 have
// other peaks. An MI250X counts as two devices, as its driver counts.
func PeakFLOPS(name string) (flops float64, ok bool) {
	// The vendors' data sheets, halved where they assume sparsity; as in
	// torchtitan/tools/utils.py, which takes an H200 NVL for an H200 however. The
	// first line whose words are all there counts.
	peaks := [...]peak{
		{"A100", 312e12},
		{"H100 NVL", 835e12},
		{"H100 PCIE", 756e12},
		{"H100", 989e12},
		{"H200 NVL", 836e12},
		{"H200", 989e12},
		{"GB200", 2.5e15},
		{"GB300", 2.5e15},
		{"B200", 2.25e15},
		{"B300", 2.25e15},
		{"MI300X", 1300e12},
		{"MI325X", 1300e12},
		{"MI355X", 2500e12},
		{"MI250X", 191.5e12},
		{"L40S", 362e12},
	}
	// Whole words: an RTX A1000 is no A100, an H20 no H200.
	words := strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	has := make(map[string]bool, len(words))
	for _, w := range words {
		has[w] = true
	}
	if has["MIG"] {
		return 0, false
	}
	for _, p := range peaks {
		first, second, two := strings.Cut(p.words, " ")
		if has[first] && (!two || has[second]) {
			return p.flops, true
		}
	}
	return 0, false
}

// CheckpointInterval returns how long to train between two checkpoints so that the
// least time is lost: sqrt(2 cost MTBF), where cost is how long training waits for
// a checkpoint and mtbf the mean time between interruptions (J. W. Young, A first
// order approximation to the optimum checkpoint interval, 1974). It holds for a
// cost far below the MTBF. It returns 0 where one of them is not above 0.
func CheckpointInterval(cost, mtbf time.Duration) time.Duration {
	if cost <= 0 || mtbf <= 0 {
		return 0
	}
	t := math.Sqrt(2 * float64(cost) * float64(mtbf))
	if t >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(t))
}
