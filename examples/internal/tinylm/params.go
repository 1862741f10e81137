package tinylm

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// shape holds the sizes that fix the parameters of a model.
type shape struct {
	vocab, embed, width, layers, order, buckets int
}

// rows is the number of rows of the embedding table: one for each symbol, then
// a block of hashed rows for each longer suffix.
func (s shape) rows() int { return s.vocab + (s.order-1)*s.buckets }

// input is the number of inputs of a layer.
func (s shape) input(layer int) int {
	if layer == 0 {
		return s.embed
	}
	return s.width
}

// dense is the number of parameters outside the embedding table.
func (s shape) dense() int {
	n := (s.width + s.embed + 1) * s.vocab
	for l := range s.layers {
		n += (s.input(l)+s.width+1)*3*s.width + s.width
	}
	return n
}

// weights is the number of all parameters.
func (s shape) weights() int64 {
	return int64(s.dense()) + int64(s.rows())*int64(s.embed)
}

// matmul is the number of parameters that take part in a matrix product for
// each token.
func (s shape) matmul() int {
	n := (s.width + s.embed) * s.vocab
	for l := range s.layers {
		n += (s.input(l) + s.width) * 3 * s.width
	}
	return n
}

// layerParams are the parameters of one gated recurrent layer. The columns of
// wx, wh and b hold the keep gate, the reset gate and the candidate.
type layerParams struct {
	wx []float32 // input × 3·width
	wh []float32 // width × 3·width
	b  []float32 // 3·width
	bn []float32 // width, inside the reset gate's product
}

// params are views of one flat slice of dense parameters, or of their gradient.
type params struct {
	layers []layerParams
	wo     []float32 // width × vocab, from the last layer
	ws     []float32 // embed × vocab, past the layers
	bo     []float32 // vocab
}

// view cuts flat, which is s.dense() long, into parameters.
func (s shape) view(flat []float32) params {
	cut := func(n int) []float32 {
		v := flat[:n:n]
		flat = flat[n:]
		return v
	}
	p := params{layers: make([]layerParams, s.layers)}
	for l := range p.layers {
		p.layers[l] = layerParams{
			wx: cut(s.input(l) * 3 * s.width),
			wh: cut(s.width * 3 * s.width),
			b:  cut(3 * s.width),
			bn: cut(s.width),
		}
	}
	p.wo = cut(s.width * s.vocab)
	p.ws = cut(s.embed * s.vocab)
	p.bo = cut(s.vocab)
	return p
}

// tensor is a gradient with the name of its parameter.
type tensor struct {
	name     string
	gradient []float32
}

// tensors names the parts of a gradient of dense parameters.
func (s shape) tensors(grad []float32) []tensor {
	p := s.view(grad)
	var list []tensor
	for l, lp := range p.layers {
		layer := "layer" + strconv.Itoa(l)
		list = append(list, tensor{layer + "/wx", lp.wx}, tensor{layer + "/wh", lp.wh},
			tensor{layer + "/b", lp.b}, tensor{layer + "/bn", lp.bn})
	}
	return append(list, tensor{"out/wo", p.wo}, tensor{"out/ws", p.ws}, tensor{"out/bo", p.bo})
}

// initialize draws the starting values: matrices from a normal distribution of
// variance 1/inputs, biases zero but for the keep gate's, which starts at 1 so
// that a layer remembers before it has learned to.
func (s shape) initialize(dense, embed []float32, rng *rand.Rand) {
	normal := func(w []float32, sigma float64) {
		for i := range w {
			w[i] = float32(rng.NormFloat64() * sigma)
		}
	}
	p := s.view(dense)
	for l, lp := range p.layers {
		normal(lp.wx, 1/math.Sqrt(float64(s.input(l))))
		normal(lp.wh, 1/math.Sqrt(float64(s.width)))
		for i := range s.width {
			lp.b[i] = 1
		}
	}
	normal(p.wo, 1/math.Sqrt(float64(s.width)))
	// The rows of the longer suffixes start at zero: an unseen suffix says nothing.
	normal(embed[:s.vocab*s.embed], 0.5)
}

// transposed holds the transposes that the backward pass multiplies with.
type transposed struct {
	wx, wh [][]float32
	wo, ws []float32
}

func newTransposed(s shape) *transposed {
	t := &transposed{
		wo: make([]float32, s.width*s.vocab),
		ws: make([]float32, s.embed*s.vocab),
	}
	for l := range s.layers {
		t.wx = append(t.wx, make([]float32, s.input(l)*3*s.width))
		t.wh = append(t.wh, make([]float32, s.width*3*s.width))
	}
	return t
}

// update makes t the transpose of p.
func (t *transposed) update(s shape, p *params) {
	for l, lp := range p.layers {
		transpose(t.wx[l], lp.wx, s.input(l), 3*s.width)
		transpose(t.wh[l], lp.wh, s.width, 3*s.width)
	}
	transpose(t.wo, p.wo, s.width, s.vocab)
	transpose(t.ws, p.ws, s.embed, s.vocab)
}
