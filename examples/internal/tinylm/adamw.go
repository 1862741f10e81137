package tinylm

import "math"

const (
	beta1     = 0.9
	beta2     = 0.99
	epsilon   = 1e-8
	blockSize = 4096

	// embedBoost multiplies the learning rate of the embedding rows. Most of
	// them meet a gradient only now and then, and have to use it.
	embedBoost = 4
)

// block is a run of dense parameters that one worker updates.
type block struct {
	lo, hi int
	decay  bool
}

// blocks cuts the dense parameters of s into blocks, none across a border
// between a matrix, which decays, and a bias, which does not.
func (s shape) blocks() []block {
	var list []block
	at := 0
	cut := func(n int, decay bool) {
		for end := at + n; at < end; at = list[len(list)-1].hi {
			list = append(list, block{at, min(at+blockSize, end), decay})
		}
	}
	for l := range s.layers {
		cut((s.input(l)+s.width)*3*s.width, true)
		cut(4*s.width, false)
	}
	cut((s.width+s.embed)*s.vocab, true)
	cut(s.vocab, false)
	return list
}

// moments are the running means of Adam for a run of parameters.
type moments struct{ m, v []float32 }

func newMoments(n int) moments { return moments{make([]float32, n), make([]float32, n)} }

// update makes one AdamW update, the count-th, of w[lo:hi]:
//
//	m ← β₁m + (1-β₁)g    v ← β₂v + (1-β₂)g²
//	w ← w - lr·(m/(1-β₁ᶜ) / (√(v/(1-β₂ᶜ)) + ε) + decay·w)
func (s moments) update(w, grad []float32, lo, hi, count int, clip, lr, decay float64) {
	w, grad = w[lo:hi], grad[:hi-lo]
	m, v := s.m[lo:hi], s.v[lo:hi]
	rate := float32(lr / (1 - math.Pow(beta1, float64(count))))
	correct := float32(1 / (1 - math.Pow(beta2, float64(count))))
	keep, scale := float32(1-lr*decay), float32(clip)
	for j, g := range grad {
		g *= scale
		m[j] = beta1*m[j] + (1-beta1)*g
		v[j] = beta2*v[j] + (1-beta2)*g*g
		w[j] = keep*w[j] - rate*m[j]/(float32(math.Sqrt(float64(v[j]*correct)))+epsilon)
	}
}

// rowGrads gathers the gradient of the few embedding rows that a batch touched.
type rowGrads struct {
	embed   int
	slot    []int32 // by row: its place in touched plus one, 0 for none
	touched []int32
	grad    []float32 // by place
	count   []int32   // by row: updates so far
}

func newRowGrads(s shape, tokens int) *rowGrads {
	most := min(s.rows(), tokens*s.order)
	return &rowGrads{
		embed: s.embed, slot: make([]int32, s.rows()), count: make([]int32, s.rows()),
		touched: make([]int32, 0, most), grad: make([]float32, most*s.embed),
	}
}

func (r *rowGrads) reset() {
	for _, row := range r.touched {
		r.slot[row] = 0
	}
	r.touched = r.touched[:0]
}

func (r *rowGrads) at(place int) []float32 { return r.grad[place*r.embed:][:r.embed] }

// gather adds what a pass found.
func (r *rowGrads) gather(p *pass) {
	for i, row := range p.index {
		if r.slot[row] == 0 {
			clear(r.at(len(r.touched)))
			r.touched = append(r.touched, row)
			r.slot[row] = int32(len(r.touched))
		}
		token := i / p.order
		add(r.at(int(r.slot[row])-1), p.dx[token*p.embed:][:p.embed])
	}
}
