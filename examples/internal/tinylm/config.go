package tinylm

import (
	"errors"
	"fmt"
	"math"
	"runtime"
)

// Config says what to train and for how long. The zero value trains the default
// model in about twenty seconds on two cores.
type Config struct {
	// Seed starts the generator of the initial weights and of the places in the
	// text where training begins. The same text, Seed and sizes give the same
	// weights to the last bit, whatever Workers is.
	Seed uint64

	// Steps is the number of optimizer steps. Defaults to 1500.
	Steps int
	// Batch is the number of places in the text that are read side by side.
	// Defaults to 8.
	Batch int
	// Context is the number of tokens through which a gradient flows back in
	// time. The state itself goes on from one step to the next. Defaults to 64.
	Context int

	// Layers is the number of recurrent layers, up to 8. Defaults to 1.
	Layers int
	// Width is the size of a layer's state, up to 2048. Defaults to 96.
	Width int
	// Embed is the size of an embedding, up to 2048. Defaults to 48.
	Embed int
	// Order is the longest suffix of the text, in symbols, that has an embedding
	// of its own, up to 8. One leaves the symbols' embeddings only. Defaults to 5.
	Order int
	// Buckets is the number of hashed embeddings for each length of suffix above
	// one, up to 1<<20. Defaults to 8192.
	Buckets int

	// LearningRate is the peak of the schedule: a linear warm-up, then half a
	// cosine down to a twentieth of the peak. Defaults to 0.008.
	LearningRate float64
	// WarmupSteps is the length of the warm-up, at most Steps. Defaults to a
	// twentieth of Steps.
	WarmupSteps int
	// WeightDecay is the decoupled decay of the matrices, per step and unit of
	// learning rate. Defaults to 0.01.
	WeightDecay float64
	// ClipNorm is the largest global norm of a gradient. Defaults to 1.
	ClipNorm float64

	// Holdout is the share of the text, at its end, that is kept for validation:
	// above 0 and at most 0.5. Defaults to 0.1.
	Holdout float64
	// EvalEvery is the number of steps between two validations on a sample of
	// the text held out. Defaults to a quarter of Steps.
	EvalEvery int

	// Workers is the number of goroutines that train. Defaults to GOMAXPROCS, at
	// most 8.
	Workers int `json:"-"`
	// OnProgress is called after each step, on the goroutine of Train. Nil is
	// silent. A panic in it ends Train with an error.
	OnProgress func(Progress) `json:"-"`
}

// shards is the number of parts of a batch, and so the most workers with work.
// It is fixed, and the parts are added in their order, which keeps the sum the
// same to the last bit for any number of workers.
const shards = 8

func orDefault[T int | float64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// withDefaults returns c with its zero values filled in.
func (c Config) withDefaults() Config {
	orDefault(&c.Steps, 1500)
	orDefault(&c.Batch, 8)
	orDefault(&c.Context, 64)
	orDefault(&c.Layers, 1)
	orDefault(&c.Width, 96)
	orDefault(&c.Embed, 48)
	orDefault(&c.Order, 5)
	orDefault(&c.Buckets, 8192)
	orDefault(&c.LearningRate, 0.008)
	orDefault(&c.WarmupSteps, max(1, c.Steps/20))
	orDefault(&c.WeightDecay, 0.01)
	orDefault(&c.ClipNorm, 1)
	orDefault(&c.Holdout, 0.1)
	orDefault(&c.EvalEvery, max(1, c.Steps/4))
	orDefault(&c.Workers, min(runtime.GOMAXPROCS(0), shards))
	return c
}

// The largest sizes. They bound what a checkpoint can ask for.
const (
	maxLayers  = 8
	maxWidth   = 2048
	maxOrder   = 8
	maxBuckets = 1 << 20
	maxSteps   = 1 << 30
	maxBatch   = 4096
	maxWeights = 1 << 28 // 1 GiB
)

// validate reports every fault of c, which has its defaults.
func (c Config) validate() error {
	var errs []error
	whole := func(name string, v, most int) {
		if v < 1 || v > most {
			errs = append(errs, fmt.Errorf("tinylm: Config.%s is %d, want 1 to %d", name, v, most))
		}
	}
	positive := func(name string, v, most float64) {
		if !(v > 0 && v <= most) {
			errs = append(errs, fmt.Errorf("tinylm: Config.%s is %v, want above 0 and at most %v", name, v, most))
		}
	}
	whole("Steps", c.Steps, maxSteps)
	whole("Batch", c.Batch, maxBatch)
	whole("Context", c.Context, maxBatch)
	whole("Layers", c.Layers, maxLayers)
	whole("Width", c.Width, maxWidth)
	whole("Embed", c.Embed, maxWidth)
	whole("Order", c.Order, maxOrder)
	whole("Buckets", c.Buckets, maxBuckets)
	if len(errs) == 0 {
		if n := c.shape(maxVocab).weights(); n > maxWeights {
			errs = append(errs, fmt.Errorf("tinylm: Config.Layers, Width, Embed, Order and Buckets make %d weights, want at most %d",
				n, maxWeights))
		}
	}
	positive("LearningRate", c.LearningRate, 1)
	whole("WarmupSteps", c.WarmupSteps, max(1, c.Steps))
	positive("WeightDecay", c.WeightDecay, 10)
	positive("ClipNorm", c.ClipNorm, math.MaxFloat64)
	positive("Holdout", c.Holdout, 0.5)
	whole("EvalEvery", c.EvalEvery, maxSteps)
	whole("Workers", c.Workers, 1<<16)
	return errors.Join(errs...)
}

// recipe returns what of c decides the weights.
func (c Config) recipe() Config {
	c.EvalEvery, c.Workers, c.OnProgress = 0, 0, nil
	return c
}

func (c Config) shape(vocab int) shape {
	return shape{
		vocab: vocab, embed: c.Embed, width: c.Width,
		layers: c.Layers, order: c.Order, buckets: c.Buckets,
	}
}
