package tinylm

import (
	"math"
	"runtime"
)

// evalSample is the number of tokens of a validation during training.
const evalSample = 1 << 14

// evalSteps is the block length of an evaluation.
const evalSteps = 64

// evaluator computes the loss on a text in `shards` pieces, each read from an
// empty state.
type evaluator struct {
	model  *Model
	passes []*pass
	losses []float64
	ids    []uint8
	most   int
	piece  func(i int)
}

func newEvaluator(m *Model) *evaluator {
	e := &evaluator{model: m, losses: make([]float64, shards)}
	for range shards {
		e.passes = append(e.passes, newPass(m.shape(), 1, evalSteps, false))
	}
	e.piece = e.runPiece
	return e
}

// loss returns the mean loss over about the given number of tokens of ids,
// spread over it.
func (e *evaluator) loss(p *pool, ids []uint8, most int) float64 {
	e.ids, e.most = ids, max(1, most/shards)
	p.run(shards, e.piece)
	var sum float64
	count := 0
	for i, l := range e.losses {
		lo, hi := e.span(i)
		sum += l
		count += max(0, hi-lo-1)
	}
	return sum / float64(max(1, count))
}

// span is the i-th piece of ids; the first symbol of a piece is given.
func (e *evaluator) span(i int) (lo, hi int) {
	lo, hi = len(e.ids)*i/shards, len(e.ids)*(i+1)/shards
	return lo, min(hi, lo+e.most+1)
}

func (e *evaluator) runPiece(i int) {
	lo, hi := e.span(i)
	p := e.passes[i]
	p.reset()
	e.losses[i] = 0
	var history [maxOrder]uint8
	for at := lo; at+1 < hi; at += evalSteps {
		n := min(evalSteps, hi-1-at)
		for s := range n {
			copy(history[:p.order-1], history[1:p.order])
			history[p.order-1] = e.ids[at+s]
			p.suffixes(p.index[s*p.order:(s+1)*p.order], history[:p.order])
			p.target[s] = e.ids[at+s+1]
		}
		p.forward(&e.model.params, e.model.embed)
		e.losses[i] += p.lossOf(n)
	}
}

// lossOf returns the sum of the losses of the first n tokens.
func (p *pass) lossOf(n int) float64 {
	target := p.target
	p.target = p.target[:n]
	sum := p.loss(0)
	p.target = target
	return sum
}

// Loss returns the mean loss of the model on text in nats per token, the
// logarithm of its perplexity. The text is read in eight pieces, each from an
// empty state, on up to as many goroutines. A text too short to have a token
// with one before it in any piece has loss 0.
func (m *Model) Loss(text string) float64 {
	p := newPool(min(shards, runtime.GOMAXPROCS(0)))
	defer p.close()
	ids := m.vocab.encode([]byte(text))
	return newEvaluator(m).loss(p, ids, len(ids))
}

// bigramLoss is the mean loss on val of the table of pairs of train, each count
// raised by a constant: that of a few which suits val best, which flatters the
// table.
func bigramLoss(train, val []uint8, vocab int) float64 {
	pairs := make([]float64, vocab*vocab)
	firsts := make([]float64, vocab)
	for i := 1; i < len(train); i++ {
		pairs[int(train[i-1])*vocab+int(train[i])]++
		firsts[train[i-1]]++
	}
	best := math.Inf(1)
	for _, k := range []float64{1, 0.3, 0.1, 0.03, 0.01, 0.003} {
		var sum float64
		for i := 1; i < len(val); i++ {
			a, b := int(val[i-1]), int(val[i])
			sum -= math.Log((pairs[a*vocab+b] + k) / (firsts[a] + k*float64(vocab)))
		}
		best = min(best, sum/float64(max(1, len(val)-1)))
	}
	return best
}
