package tinylm

import "math"

// pass runs the model over a block of `rows` sequences side by side, `steps`
// tokens each. A row of a buffer belongs to one token of one sequence; tokens of
// the same time are neighbours: row(t, r) = t·rows + r.
//
// A pass keeps the recurrent state at the end of the block, so that the next
// block goes on from there. A session is a pass of one sequence and one step.
type pass struct {
	shape
	rowsN, steps int

	index  []int32 // order rows of the embedding table for each token
	target []uint8 // the symbol that follows each token
	x      []float32
	layers []layerPass
	u      []float32 // rows × 3·width: the recurrent part of one step
	logits []float32

	grad  []float32 // of the dense parameters; nil in a pass that only infers
	grads params
	dx    []float32 // gradient of the embeddings of each token
}

// layerPass holds what one layer remembers of a block.
type layerPass struct {
	g []float32 // keep, reset, candidate of each token
	q []float32 // the recurrent part of the candidate before the reset gate
	h []float32 // states: a block of `rows` from before, then one for each step

	dg []float32 // gradient of g before its nonlinearities
	du []float32 // gradient of the recurrent part
	dh []float32 // gradient of the states after each step
}

func newPass(s shape, rows, steps int, train bool) *pass {
	m, w := rows*steps, s.width
	p := &pass{
		shape: s, rowsN: rows, steps: steps,
		index:  make([]int32, m*s.order),
		target: make([]uint8, m),
		x:      make([]float32, m*s.embed),
		u:      make([]float32, rows*3*w),
		logits: make([]float32, m*s.vocab),
		layers: make([]layerPass, s.layers),
	}
	for l := range p.layers {
		p.layers[l] = layerPass{
			g: make([]float32, m*3*w),
			q: make([]float32, m*w),
			h: make([]float32, (m+rows)*w),
		}
		if train {
			p.layers[l].dg = make([]float32, m*3*w)
			p.layers[l].du = make([]float32, m*3*w)
			p.layers[l].dh = make([]float32, m*w)
		}
	}
	if train {
		p.grad = make([]float32, s.dense())
		p.grads = s.view(p.grad)
		p.dx = make([]float32, m*s.embed)
	}
	return p
}

// reset forgets the state.
func (p *pass) reset() {
	for l := range p.layers {
		clear(p.layers[l].h)
	}
}

// back undoes what the last forward did to the state.
func (p *pass) back() {
	n := p.rowsN * p.width
	for _, l := range p.layers {
		copy(l.h[n*p.steps:], l.h[:n])
	}
}

// suffixes writes to index the embedding rows of a token: its own, and those of
// the suffixes of 2, 3, ... symbols that end with it. history ends with the
// token and is s.order long.
func (s shape) suffixes(index []int32, history []uint8) {
	last := len(history) - 1
	index[0] = int32(history[last])
	hash := uint64(history[last]) + 1
	for o := 1; o < s.order; o++ {
		hash = hash*0x9E3779B97F4A7C15 + uint64(history[last-o]) + 1
		mixed := hash ^ hash>>29
		mixed *= 0xBF58476D1CE4E5B9
		mixed ^= mixed >> 32
		index[o] = int32(s.vocab + (o-1)*s.buckets + int(mixed%uint64(s.buckets)))
	}
}

// forward computes the logits of every token from index and the state.
func (p *pass) forward(w *params, embed []float32) {
	m, e, v := p.rowsN*p.steps, p.embed, p.vocab
	clear(p.x)
	for i := range m {
		x := p.x[i*e : (i+1)*e]
		for _, row := range p.index[i*p.order : (i+1)*p.order] {
			add(x, embed[int(row)*e:][:e])
		}
	}
	in := p.x
	for l := range p.layers {
		p.forwardLayer(l, &w.layers[l], in)
		in = p.layers[l].h[p.rowsN*p.width:]
	}
	fillRows(p.logits, w.bo)
	gemm(p.logits, in, w.wo, m, v, p.width)
	gemm(p.logits, p.x, w.ws, m, v, e)
}

func (p *pass) forwardLayer(l int, w *layerParams, in []float32) {
	lp, r, n := &p.layers[l], p.rowsN, p.width
	copy(lp.h[:r*n], lp.h[r*n*p.steps:]) // the state of the block before
	fillRows(lp.g, w.b)
	gemm(lp.g, in, w.wx, r*p.steps, 3*n, p.input(l))
	for t := range p.steps {
		h := lp.h[t*r*n : (t+1)*r*n]
		clear(p.u)
		gemm(p.u, h, w.wh, r, 3*n, n)
		for i := range r {
			at := t*r + i
			gates(lp.g[at*3*n:][:3*n], p.u[i*3*n:][:3*n], w.bn, lp.q[at*n:][:n],
				h[i*n:][:n], lp.h[(at+r)*n:][:n])
		}
	}
}

// gates turns the sums of one token into its gates, in place in g, and writes
// the new state to out.
func gates(g, u, bn, q, h, out []float32) {
	n := len(out)
	gz, gr, gn := g[:n], g[n:][:n], g[2*n:][:n]
	uz, ur, un := u[:n], u[n:][:n], u[2*n:][:n]
	bn, q, h = bn[:n], q[:n], h[:n]
	for j := range out {
		z := sigmoid(gz[j] + uz[j])
		r := sigmoid(gr[j] + ur[j])
		s := un[j] + bn[j]
		c := tanh32(gn[j] + r*s)
		gz[j], gr[j], gn[j], q[j] = z, r, c, s
		out[j] = c + z*(h[j]-c)
	}
}

// loss returns the sum over the tokens of -ln p(target). With scale not zero it
// turns the logits into their gradient, times scale.
func (p *pass) loss(scale float32) float64 {
	var sum float64
	for i, target := range p.target {
		row := p.logits[i*p.vocab : (i+1)*p.vocab]
		top, total := softmaxParts(row)
		sum += math.Log(float64(total)) + float64(top) - float64(row[target])
		if scale == 0 {
			continue
		}
		k := scale / total
		for j, x := range row {
			row[j] = k * exp32(x-top)
		}
		row[target] -= scale
	}
	return sum
}

// softmaxParts returns the largest logit and the sum of e^(logit-largest).
func softmaxParts(row []float32) (top, total float32) {
	top = row[0]
	for _, x := range row {
		if x > top {
			top = x
		}
	}
	for _, x := range row {
		total += exp32(x - top)
	}
	return top, total
}

// backward fills grad and dx from the gradient that loss left in logits.
func (p *pass) backward(t *transposed) {
	m, e, v, n := p.rowsN*p.steps, p.embed, p.vocab, p.width
	clear(p.grad)
	clear(p.dx)
	last := &p.layers[len(p.layers)-1]
	gemmTA(p.grads.wo, last.h[p.rowsN*n:], p.logits, n, v, m)
	gemmTA(p.grads.ws, p.x, p.logits, e, v, m)
	for i := range m {
		add(p.grads.bo, p.logits[i*v:][:v])
	}
	gemm(p.dx, p.logits, t.ws, m, e, v)
	clear(last.dh)
	gemm(last.dh, p.logits, t.wo, m, n, v)
	for l := len(p.layers) - 1; l >= 0; l-- {
		in, din := p.x, p.dx
		if l > 0 {
			in, din = p.layers[l-1].h[p.rowsN*n:], p.layers[l-1].dh
			clear(din)
		}
		p.backwardLayer(l, t, in, din)
	}
}

func (p *pass) backwardLayer(l int, t *transposed, in, din []float32) {
	lp, g, r, n := &p.layers[l], &p.grads.layers[l], p.rowsN, p.width
	m := r * p.steps
	for s := p.steps - 1; s >= 0; s-- {
		for i := range r {
			at := s*r + i
			var before []float32 // gradient of the state before; not wanted for the first step
			if s > 0 {
				before = lp.dh[(at-r)*n:][:n]
			}
			gatesBack(lp.dg[at*3*n:][:3*n], lp.du[at*3*n:][:3*n], lp.g[at*3*n:][:3*n],
				lp.q[at*n:][:n], lp.h[at*n:][:n], lp.dh[at*n:][:n], before)
		}
		if s > 0 {
			gemm(lp.dh[(s-1)*r*n:s*r*n], lp.du[s*r*3*n:(s+1)*r*3*n], t.wh[l], r, n, 3*n)
		}
	}
	gemmTA(g.wx, in, lp.dg, p.input(l), 3*n, m)
	gemmTA(g.wh, lp.h[:m*n], lp.du, n, 3*n, m)
	for i := range m {
		add(g.b, lp.dg[i*3*n:][:3*n])
		add(g.bn, lp.du[i*3*n+2*n:][:n])
	}
	gemm(din, lp.dg, t.wx[l], m, p.input(l), 3*n)
}

// gatesBack is the backward pass of gates: dh is the gradient of the new state.
// The direct part of the gradient of the old state is added to before.
func gatesBack(dg, du, g, q, h, dh, before []float32) {
	n := len(dh)
	gz, gr, gn := g[:n], g[n:][:n], g[2*n:][:n]
	dz, dr, dn := dg[:n], dg[n:][:n], dg[2*n:][:n]
	ez, er, en := du[:n], du[n:][:n], du[2*n:][:n]
	q, h = q[:n], h[:n]
	for j, d := range dh {
		z, r, c := gz[j], gr[j], gn[j]
		az := d * (h[j] - c) * z * (1 - z)
		an := d * (1 - z) * (1 - c*c)
		ar := an * q[j] * r * (1 - r)
		dz[j], dr[j], dn[j] = az, ar, an
		ez[j], er[j], en[j] = az, ar, an*r
	}
	if before == nil {
		return
	}
	before = before[:n]
	for j, d := range dh {
		before[j] += d * gz[j]
	}
}
