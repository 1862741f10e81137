package tinylm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// reference is the model written once more, in float64 and plain loops, from the
// formulas of the package documentation. It is the judge of the fast one.
type reference struct {
	shape
	dense, embed []float64
}

// loss is the mean loss of the tokens, each of the sequences from an empty state.
// index holds the embedding rows by sequence and time.
func (r *reference) loss(index [][][]int32, target [][]uint8) float64 {
	var sum float64
	count := 0
	for b := range index {
		state := make([][]float64, r.layers)
		for l := range state {
			state[l] = make([]float64, r.width)
		}
		for t := range index[b] {
			logits := r.step(index[b][t], state)
			var total float64
			for _, x := range logits {
				total += math.Exp(x)
			}
			sum += math.Log(total) - logits[target[b][t]]
			count++
		}
	}
	return sum / float64(count)
}

// step reads a token, changes the state and returns the logits.
func (r *reference) step(index []int32, state [][]float64) []float64 {
	flat := r.dense
	cut := func(n int) []float64 {
		v := flat[:n]
		flat = flat[n:]
		return v
	}
	x := make([]float64, r.shape.embed)
	for _, row := range index {
		for j := range x {
			x[j] += r.embed[int(row)*len(x)+j]
		}
	}
	n, in := r.width, x
	sigma := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for l := range state {
		wx, wh, b, bn := cut(len(in)*3*n), cut(n*3*n), cut(3*n), cut(n)
		dot := func(w, v []float64, column int) (s float64) {
			for i := range v {
				s += v[i] * w[i*3*n+column]
			}
			return s
		}
		h := state[l]
		next := make([]float64, n)
		for j := range n {
			z := sigma(dot(wx, in, j) + b[j] + dot(wh, h, j))
			g := sigma(dot(wx, in, n+j) + b[n+j] + dot(wh, h, n+j))
			c := math.Tanh(dot(wx, in, 2*n+j) + b[2*n+j] + g*(dot(wh, h, 2*n+j)+bn[j]))
			next[j] = z*h[j] + (1-z)*c
		}
		state[l], in = next, next
	}
	wo, ws, bo := cut(n*r.vocab), cut(len(x)*r.vocab), cut(r.vocab)
	logits := make([]float64, r.vocab)
	for j := range logits {
		logits[j] = bo[j]
		for i, v := range in {
			logits[j] += v * wo[i*r.vocab+j]
		}
		for i, v := range x {
			logits[j] += v * ws[i*r.vocab+j]
		}
	}
	return logits
}

// gradientCase is a small model with random weights and a block of random text,
// with the gradients of the fast backward pass.
type gradientCase struct {
	ref    reference
	index  [][][]int32
	target [][]uint8
	loss   float64
	dense  []float32
	embed  []float32
}

func newGradientCase(s shape, rows, steps int, seed uint64) *gradientCase {
	rng := rand.New(rand.NewPCG(seed, 3))
	dense, embed := randomFloats(rng, s.dense()), randomFloats(rng, s.rows()*s.embed)
	for i := range dense {
		dense[i] *= 0.4
	}
	w := s.view(dense)
	p := newPass(s, rows, steps, true)
	c := &gradientCase{ref: reference{shape: s}}
	for r := range rows {
		history := make([]uint8, s.order)
		c.index = append(c.index, nil)
		c.target = append(c.target, nil)
		for t := range steps {
			copy(history, history[1:])
			history[s.order-1] = uint8(rng.IntN(s.vocab))
			at := t*rows + r
			p.suffixes(p.index[at*s.order:(at+1)*s.order], history)
			p.target[at] = uint8(rng.IntN(s.vocab))
			c.index[r] = append(c.index[r], p.index[at*s.order:(at+1)*s.order])
			c.target[r] = append(c.target[r], p.target[at])
		}
	}
	trans := newTransposed(s)
	trans.update(s, &w)
	p.forward(&w, embed)
	tokens := rows * steps
	c.loss = p.loss(1/float32(tokens)) / float64(tokens)
	p.backward(trans)
	g := newRowGrads(s, tokens)
	g.gather(p)
	c.dense = p.grad
	c.embed = make([]float32, len(embed))
	for place, row := range g.touched {
		copy(c.embed[int(row)*s.embed:], g.at(place))
	}
	for _, v := range dense {
		c.ref.dense = append(c.ref.dense, float64(v))
	}
	for _, v := range embed {
		c.ref.embed = append(c.ref.embed, float64(v))
	}
	return c
}

// check compares a gradient with central differences of the reference at each
// weight. The reference is in float64, so a step of 1e-5 leaves an error of
// about 1e-10 from the third derivative and 1e-11 from rounding; what is left is
// the float32 rounding of the fast pass: some dozens of operations of 6e-8 each
// on terms up to the largest gradient. 1e-5 of the largest leaves room for them,
// and is far below any wrong term.
func (c *gradientCase) check(weights []float64, got []float32) error {
	want := make([]float64, len(weights))
	largest := 0.0
	for i := range weights {
		const h = 1e-5
		was := weights[i]
		weights[i] = was + h
		up := c.ref.loss(c.index, c.target)
		weights[i] = was - h
		down := c.ref.loss(c.index, c.target)
		weights[i] = was
		want[i] = (up - down) / (2 * h)
		largest = max(largest, math.Abs(want[i]))
	}
	for i, w := range want {
		if d := math.Abs(w - float64(got[i])); d > 1e-5*largest {
			return fmt.Errorf("gradient %d is %v, central difference %v", i, got[i], w)
		}
	}
	return nil
}

func TestGradient(t *testing.T) {
	for i, s := range []shape{
		{vocab: 5, embed: 3, width: 4, layers: 1, order: 1, buckets: 1},
		{vocab: 7, embed: 8, width: 8, layers: 1, order: 3, buckets: 6},
		{vocab: 6, embed: 5, width: 9, layers: 2, order: 2, buckets: 4},
		{vocab: 9, embed: 2, width: 3, layers: 3, order: 4, buckets: 5},
	} {
		c := newGradientCase(s, 2, 5, uint64(i))
		require.InDelta(t, c.ref.loss(c.index, c.target), c.loss, 2e-6, "the loss of shape %+v", s)
		require.NoError(t, c.check(c.ref.dense, c.dense), "dense, shape %+v", s)
		require.NoError(t, c.check(c.ref.embed, c.embed), "embedding, shape %+v", s)
	}
}

// A negative control: the check has to see a gradient that is wrong in one
// place, by one part in a thousand of the largest, or has a forgotten term.
func TestGradientCheckFindsFaults(t *testing.T) {
	s := shape{vocab: 6, embed: 5, width: 9, layers: 2, order: 2, buckets: 4}
	fresh := func() *gradientCase { return newGradientCase(s, 2, 5, 1) }
	largest := func(g []float32) (m float32) {
		for _, v := range g {
			m = max(m, v, -v)
		}
		return m
	}

	c := fresh()
	c.dense[17] += largest(c.dense) / 1000
	require.Error(t, c.check(c.ref.dense, c.dense), "one weight off")

	c = fresh()
	c.embed[2] -= largest(c.embed) / 1000
	require.Error(t, c.check(c.ref.embed, c.embed), "one embedding off")

	c = fresh()
	clear(s.view(c.dense).layers[0].bn)
	require.Error(t, c.check(c.ref.dense, c.dense), "a bias forgotten")

	c = fresh()
	for i := range c.dense {
		c.dense[i] *= 1.001
	}
	require.Error(t, c.check(c.ref.dense, c.dense), "all a thousandth too long")
}
