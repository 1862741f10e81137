package tinylm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// ErrDiverged is the error of a training whose loss is no longer a number.
var ErrDiverged = errors.New("tinylm: training diverged")

// Progress is the state of a training after a step.
type Progress struct {
	Step, Steps int
	// Tokens is the number of tokens trained on so far.
	Tokens int
	// Loss is the mean of this step's batch, in nats per token.
	Loss float64
	// ValidationLoss is on a sample of the text held out, on all of it after the
	// last step, in nats per token. It holds when Validated is set.
	ValidationLoss float64
	Validated      bool
	LearningRate   float64
	// GradNorm is the global norm of the gradient before clipping.
	GradNorm float64
	// TokensPerSecond is the mean since the start, validations included.
	TokensPerSecond float64
	// Elapsed is since the start, StepTime the time of this step's computation.
	Elapsed, StepTime time.Duration
	// StepFLOPs is the floating-point operations of a step in matrix products.
	// Over StepTime and PeakFLOPS it is the model FLOPs utilization, MFU.
	StepFLOPs float64
	// ETA is the time left at the mean speed so far.
	ETA time.Duration
}

// Train trains a model on text. It returns when the steps are done, or early
// with the error of ctx. One token is one character of the text.
func Train(ctx context.Context, text []byte, cfg Config) (*Model, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t, err := newTrainer(text, cfg)
	if err != nil {
		return nil, err
	}
	defer t.pool.close()
	for t.step < cfg.Steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("tinylm: training stopped after %d of %d steps: %w", t.step, cfg.Steps, err)
		}
		p, err := t.next()
		if err != nil {
			return nil, err
		}
		if err := report(cfg.OnProgress, p); err != nil {
			return nil, err
		}
	}
	return t.model, nil
}

// report calls the user's function and turns its panic into an error.
func report(f func(Progress), p Progress) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("tinylm: OnProgress panicked: %v", v)
		}
	}()
	f(p)
	return nil
}

type trainer struct {
	cfg        Config
	model      *Model
	train, val []uint8
	evaluator  *evaluator
	pool       *pool

	places []int // in train, of each sequence of the batch
	passes []*pass
	losses []float64
	trans  *transposed
	blocks []block
	grad   []float32
	sums   []float64 // of the squares of each block
	dense  moments
	embeds moments
	rows   *rowGrads

	began    time.Time
	step     int
	recent   float64 // running mean of the loss
	lr, clip float64

	shard, reduce, update, updateRow func(i int) // made once, so that a step allocates nothing
}

func newTrainer(text []byte, cfg Config) (*trainer, error) {
	v := newVocab(text)
	ids := v.encode(text)
	if len(ids) < minCorpus {
		return nil, fmt.Errorf("%w: %d characters, want at least %d", ErrCorpus, len(ids), minCorpus)
	}
	if len(v.runes) < 2 {
		return nil, fmt.Errorf("%w: no valid UTF-8 in it", ErrCorpus)
	}
	held := int(float64(len(ids)) * cfg.Holdout)
	if held < 2*shards {
		return nil, fmt.Errorf("%w: Config.Holdout is %v, which holds out %d of %d characters, want at least %d",
			ErrCorpus, cfg.Holdout, held, len(ids), 2*shards)
	}
	s := cfg.shape(len(v.runes))
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x74696e796c6d))
	t := &trainer{
		cfg: cfg, model: newModel(cfg, v),
		train: ids[:len(ids)-held], val: ids[len(ids)-held:],
		pool: newPool(min(cfg.Workers, shards)), began: time.Now(),
		trans: newTransposed(s), blocks: s.blocks(), grad: make([]float32, s.dense()),
		dense: newMoments(s.dense()), embeds: newMoments(s.rows() * s.embed),
		rows: newRowGrads(s, cfg.Batch*cfg.Context),
	}
	s.initialize(t.model.dense, t.model.embed, rng)
	t.evaluator = newEvaluator(t.model)
	t.model.facts = Facts{
		CorpusDigest: Digest(text), CorpusBytes: len(text),
		BigramLoss: bigramLoss(t.train, t.val, s.vocab),
	}
	parts := min(shards, cfg.Batch)
	for i := range parts {
		rows := (cfg.Batch*(i+1))/parts - cfg.Batch*i/parts
		t.passes = append(t.passes, newPass(s, rows, cfg.Context, true))
	}
	first := rng.IntN(len(t.train))
	for b := range cfg.Batch {
		t.places = append(t.places, (first+b*len(t.train)/cfg.Batch)%len(t.train))
	}
	t.losses = make([]float64, parts)
	t.sums = make([]float64, len(t.blocks))
	t.shard, t.reduce, t.update, t.updateRow = t.runShard, t.reduceBlock, t.updateBlock, t.updateRows
	return t, nil
}

// next makes one optimizer step.
func (t *trainer) next() (Progress, error) {
	start := time.Now()
	loss, norm := t.compute()
	t.apply(norm)
	t.advance()
	t.step++
	if t.recent == 0 {
		t.recent = loss
	}
	t.recent += (loss - t.recent) / min(float64(t.step), 50)
	now := time.Now()
	p := Progress{
		Step: t.step, Steps: t.cfg.Steps, Tokens: t.step * t.cfg.Batch * t.cfg.Context,
		Loss: loss, LearningRate: t.lr, GradNorm: norm, StepTime: now.Sub(start),
		StepFLOPs: t.model.TrainFLOPsPerToken() * float64(t.cfg.Batch*t.cfg.Context),
	}
	if math.IsNaN(loss+norm) || math.IsInf(loss+norm, 0) {
		return p, fmt.Errorf("%w at step %d: loss %v, gradient norm %v", ErrDiverged, t.step, loss, norm)
	}
	last := t.step == t.cfg.Steps
	if last || t.step%t.cfg.EvalEvery == 0 {
		most := evalSample
		if last {
			most = len(t.val)
		}
		p.ValidationLoss, p.Validated = t.evaluator.loss(t.pool, t.val, most), true
	}
	p.Elapsed = time.Since(t.began)
	p.TokensPerSecond = float64(p.Tokens) / p.Elapsed.Seconds()
	p.ETA = p.Elapsed / time.Duration(p.Step) * time.Duration(p.Steps-p.Step)
	if last {
		t.finish(p)
	}
	return p, nil
}

// compute returns the loss and the gradient norm of the batch, and leaves the
// gradient in t.grad and t.rows.
func (t *trainer) compute() (loss, norm float64) {
	t.trans.update(t.passes[0].shape, &t.model.params)
	t.pool.run(len(t.passes), t.shard)
	t.pool.run(len(t.blocks), t.reduce)
	t.rows.reset()
	for i, p := range t.passes {
		loss += t.losses[i]
		t.rows.gather(p)
	}
	var squares float64
	for _, s := range t.sums {
		squares += s
	}
	squares += sumSquares(t.rows.grad[:len(t.rows.touched)*t.rows.embed])
	return loss / float64(t.cfg.Batch*t.cfg.Context), math.Sqrt(squares)
}

// runShard reads the i-th part of the batch and computes its gradient.
func (t *trainer) runShard(i int) {
	p := t.passes[i]
	first := t.cfg.Batch * i / len(t.passes)
	var history [maxOrder]uint8
	n := len(t.train)
	for r := range p.rowsN {
		place := t.places[first+r]
		for o := range p.order {
			history[o] = t.train[(place+n-p.order+o)%n]
		}
		for s := range p.steps {
			copy(history[:p.order-1], history[1:p.order])
			history[p.order-1] = t.train[(place+s)%n]
			at := s*p.rowsN + r
			p.suffixes(p.index[at*p.order:(at+1)*p.order], history[:p.order])
			p.target[at] = t.train[(place+s+1)%n]
		}
	}
	p.forward(&t.model.params, t.model.embed)
	t.losses[i] = p.loss(1 / float32(t.cfg.Batch*t.cfg.Context))
	p.backward(t.trans)
}

// reduceBlock adds a block of the shards' gradients, in the order of the shards.
func (t *trainer) reduceBlock(i int) {
	b := t.blocks[i]
	sum := t.grad[b.lo:b.hi]
	copy(sum, t.passes[0].grad[b.lo:b.hi])
	for _, p := range t.passes[1:] {
		add(sum, p.grad[b.lo:b.hi])
	}
	t.sums[i] = sumSquares(sum)
}

const rowsPerTask = 64

// apply updates the weights.
func (t *trainer) apply(norm float64) {
	t.lr = schedule(t.step, t.cfg)
	t.clip = 1
	if norm > t.cfg.ClipNorm {
		t.clip = t.cfg.ClipNorm / norm
	}
	t.pool.run(len(t.blocks), t.update)
	t.pool.run((len(t.rows.touched)+rowsPerTask-1)/rowsPerTask, t.updateRow)
}

func (t *trainer) updateBlock(i int) {
	b := t.blocks[i]
	decay := 0.0
	if b.decay {
		decay = t.cfg.WeightDecay
	}
	t.dense.update(t.model.dense, t.grad[b.lo:b.hi], b.lo, b.hi, t.step+1, t.clip, t.lr, decay)
}

// updateRows updates a run of the touched embedding rows. A row counts its own
// updates, so that the first one is not damped by the steps that missed it.
func (t *trainer) updateRows(i int) {
	e := t.rows.embed
	end := min((i+1)*rowsPerTask, len(t.rows.touched))
	for place := i * rowsPerTask; place < end; place++ {
		row := int(t.rows.touched[place])
		t.rows.count[row]++
		t.embeds.update(t.model.embed, t.rows.at(place), row*e, (row+1)*e,
			int(t.rows.count[row]), t.clip, t.lr*embedBoost, t.cfg.WeightDecay)
	}
}

// advance moves the places on to the text of the next step.
func (t *trainer) advance() {
	for b := range t.places {
		t.places[b] = (t.places[b] + t.cfg.Context) % len(t.train)
	}
}

// schedule is the learning rate of a step, counted from 0.
func schedule(step int, c Config) float64 {
	if step < c.WarmupSteps {
		return c.LearningRate * float64(step+1) / float64(c.WarmupSteps)
	}
	const floor = 0.05
	done := float64(step-c.WarmupSteps) / float64(max(1, c.Steps-c.WarmupSteps))
	return c.LearningRate * (floor + (1-floor)*0.5*(1+math.Cos(math.Pi*done)))
}

// finish writes down the facts of the training.
func (t *trainer) finish(p Progress) {
	f := &t.model.facts
	f.Steps, f.Tokens, f.Elapsed = p.Step, p.Tokens, p.Elapsed
	f.TrainLoss, f.ValidationLoss = t.recent, p.ValidationLoss
	t.model.seal()
}
