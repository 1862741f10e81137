package tinylm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Trainer is a training that its caller drives step by step. It can be saved and
// restored, and goes on from there to the same bits as if nothing had happened.
// It is for one goroutine.
type Trainer struct {
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
	named  []tensor  // views of grad
	sums   []float64 // of the squares of each block
	dense  moments
	embeds moments
	rows   *rowGrads

	began    time.Time
	step     int // taken
	batch    int // read or skipped
	faults   []fault
	closed   bool
	recent   float64 // running mean of the loss
	lr, clip float64

	shard, reduce, update, updateRow func(i int) // made once, so that a step allocates nothing
}

// NewTrainer returns a Trainer that has taken no step: Close it. Its errors are
// those of Train. Config.OnProgress is not called.
func NewTrainer(text []byte, cfg Config) (*Trainer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return newTrainer(text, cfg)
}

func newTrainer(text []byte, cfg Config) (*Trainer, error) {
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
	t := &Trainer{
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
	t.named = s.tensors(t.grad)
	t.shard, t.reduce, t.update, t.updateRow = t.runShard, t.reduceBlock, t.updateBlock, t.updateRows
	return t, nil
}

// Close ends the goroutines of the Trainer. It may be called again.
func (t *Trainer) Close() {
	if !t.closed {
		t.closed = true
		t.pool.close()
	}
}

// Done reports whether all steps are taken.
func (t *Trainer) Done() bool { return t.step >= t.cfg.Steps }

// NextStep is the number of the step that the next Step makes, from 1.
func (t *Trainer) NextStep() int { return t.step + 1 }

// NextBatch is the number of the batch that the next Step reads, from 1.
func (t *Trainer) NextBatch() int { return t.batch + 1 }

// FLOPsPerToken returns what training on a token costs, as
// Model.TrainFLOPsPerToken.
func (t *Trainer) FLOPsPerToken() float64 { return t.model.TrainFLOPsPerToken() }

// ClipNorm returns the largest norm of a gradient that is not clipped.
func (t *Trainer) ClipNorm() float64 { return t.cfg.ClipNorm }

// Model returns the model, once all steps are taken.
func (t *Trainer) Model() (*Model, error) {
	if !t.Done() {
		return nil, fmt.Errorf("tinylm: no model yet: %d of %d steps are taken", t.step, t.cfg.Steps)
	}
	return t.model, nil
}

// Skip leaves out the next batches. The state of the recurrent layers stays that
// of the last text read. Below one it does nothing.
func (t *Trainer) Skip(batches int) {
	if batches > 0 {
		t.advance(batches)
	}
}

// EachGradient calls f with the gradient of the last step, before clipping, tensor
// by tensor: "layer0/wx", "layer0/wh", "layer0/b" and "layer0/bn" of each layer,
// "out/wo", "out/ws", "out/bo", and "embeddings", which holds only the rows that the
// batch touched. The names and their order are the same each time, and nothing is
// allocated. f may not keep the slices.
func (t *Trainer) EachGradient(f func(name string, gradient []float32)) {
	for _, n := range t.named {
		f(n.name, n.gradient)
	}
	f("embeddings", t.rows.grad[:len(t.rows.touched)*t.rows.embed])
}

// Step makes one optimizer step. If the loss or the gradient is not a number it
// returns their values with ErrDiverged, before the weights are touched: the
// training is as it was before the step, and the same batch is next.
func (t *Trainer) Step() (Progress, error) {
	if t.closed || t.Done() {
		return Progress{}, errors.New("tinylm: Step of a Trainer that is done or closed")
	}
	start := time.Now()
	loss, norm := t.compute()
	p := Progress{
		Step: t.step + 1, Steps: t.cfg.Steps, Batch: t.batch + 1, Tokens: (t.step + 1) * t.cfg.Batch * t.cfg.Context,
		Loss: loss, LearningRate: schedule(t.step, t.cfg), GradNorm: norm,
		StepFLOPs: t.model.TrainFLOPsPerToken() * float64(t.cfg.Batch*t.cfg.Context),
	}
	if math.IsNaN(loss+norm) || math.IsInf(loss+norm, 0) {
		for _, pass := range t.passes {
			pass.back()
		}
		p.StepTime = time.Since(start)
		return p, fmt.Errorf("%w at step %d: loss %v, gradient norm %v", ErrDiverged, p.Step, loss, norm)
	}
	t.apply(norm)
	t.advance(1)
	t.step++
	if t.recent == 0 {
		t.recent = loss
	}
	t.recent += (loss - t.recent) / min(float64(t.step), 50)
	p.StepTime = time.Since(start)
	if t.Done() || t.step%t.cfg.EvalEvery == 0 {
		most := evalSample
		if t.Done() {
			most = len(t.val)
		}
		p.ValidationLoss, p.Validated = t.evaluator.loss(t.pool, t.val, most), true
	}
	p.Elapsed = time.Since(t.began)
	p.TokensPerSecond = float64(p.Tokens) / p.Elapsed.Seconds()
	p.ETA = p.Elapsed / time.Duration(p.Step) * time.Duration(p.Steps-p.Step)
	if t.Done() {
		t.finish(p.ValidationLoss)
	}
	return p, nil
}

// compute returns the loss and the gradient norm of the batch, and leaves the
// gradient in t.grad and t.rows.
func (t *Trainer) compute() (loss, norm float64) {
	t.trans.update(t.passes[0].shape, &t.model.params)
	t.pool.run(len(t.passes), t.shard)
	t.poison()
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
func (t *Trainer) runShard(i int) {
	p := t.passes[i]
	first := t.cfg.Batch * i / len(t.passes)
	t.read(p, first)
	p.forward(&t.model.params, t.model.embed)
	t.losses[i] = p.loss(1 / float32(t.cfg.Batch*t.cfg.Context))
	p.backward(t.trans)
}

// read gives a pass the text at the places from the first on.
func (t *Trainer) read(p *pass, first int) {
	garbled := t.has(garbledBatch)
	var history [maxOrder]uint8
	n := len(t.train)
	for r := range p.rowsN {
		place := t.places[first+r]
		for o := range p.order {
			history[o] = t.train[(place+n-p.order+o)%n]
		}
		for s := range p.steps {
			symbol, next := t.train[(place+s)%n], t.train[(place+s+1)%n]
			if garbled {
				symbol, next = t.garble(place+s), t.garble(place+s+1)
			}
			copy(history[:p.order-1], history[1:p.order])
			history[p.order-1] = symbol
			at := s*p.rowsN + r
			p.suffixes(p.index[at*p.order:(at+1)*p.order], history[:p.order])
			p.target[at] = next
		}
	}
}

// reduceBlock adds a block of the shards' gradients, in the order of the shards.
func (t *Trainer) reduceBlock(i int) {
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
func (t *Trainer) apply(norm float64) {
	t.lr = schedule(t.step, t.cfg)
	t.clip = 1
	if norm > t.cfg.ClipNorm {
		t.clip = t.cfg.ClipNorm / norm
	}
	t.pool.run(len(t.blocks), t.update)
	t.pool.run((len(t.rows.touched)+rowsPerTask-1)/rowsPerTask, t.updateRow)
}

func (t *Trainer) updateBlock(i int) {
	b := t.blocks[i]
	decay := 0.0
	if b.decay {
		decay = t.cfg.WeightDecay
	}
	t.dense.update(t.model.dense, t.grad[b.lo:b.hi], b.lo, b.hi, t.step+1, t.clip, t.lr, decay)
}

// updateRows updates a run of the touched embedding rows. A row counts its own
// updates, so that the first one is not damped by the steps that missed it.
func (t *Trainer) updateRows(i int) {
	e := t.rows.embed
	end := min((i+1)*rowsPerTask, len(t.rows.touched))
	for place := i * rowsPerTask; place < end; place++ {
		row := int(t.rows.touched[place])
		t.rows.count[row]++
		t.embeds.update(t.model.embed, t.rows.at(place), row*e, (row+1)*e,
			int(t.rows.count[row]), t.clip, t.lr*embedBoost, t.cfg.WeightDecay)
	}
}

// advance moves the places on by batches.
func (t *Trainer) advance(batches int) {
	n := len(t.train)
	for b := range t.places {
		t.places[b] = (t.places[b] + batches%n*t.cfg.Context) % n
	}
	t.batch += batches
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
func (t *Trainer) finish(validation float64) {
	f := &t.model.facts
	f.Steps, f.Tokens, f.Elapsed = t.step, t.step*t.cfg.Batch*t.cfg.Context, time.Since(t.began)
	f.TrainLoss, f.ValidationLoss = t.recent, validation
	t.model.seal()
}
