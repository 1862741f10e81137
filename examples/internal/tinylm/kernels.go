package tinylm

import "math"

// The kernels below are written for the Go compiler, which does not vectorize
// but does schedule independent scalar operations well. Everything is a sum of
// scaled rows ("axpy"), eight rows at a time: one load and one store of the
// destination for sixteen arithmetic operations, no bounds check in the inner
// loop, and rows that are read front to back.
//
// Each row of the result is computed alone and always in the same order of
// additions, whatever the number of rows. So a row is the same to the last bit
// in a batch of a thousand rows and in a batch of one.

// gemm adds a·b to c. The matrices are row-major: a is m×k, b is k×n, c is m×n.
func gemm(c, a, b []float32, m, n, k int) {
	t := 0
	for ; t+8 <= k; t += 8 {
		rows := b[t*n : (t+8)*n]
		for i := range m {
			axpy8(c[i*n:(i+1)*n], (*[8]float32)(a[i*k+t:]), rows)
		}
	}
	for ; t < k; t++ {
		row := b[t*n : (t+1)*n]
		for i := range m {
			axpy(c[i*n:(i+1)*n], a[i*k+t], row)
		}
	}
}

// gemmTA adds aᵀ·b to c: a is k×m, b is k×n, c is m×n.
func gemmTA(c, a, b []float32, m, n, k int) {
	t := 0
	var x [8]float32
	for ; t+8 <= k; t += 8 {
		rows := b[t*n : (t+8)*n]
		for i := range m {
			at := a[t*m+i:]
			for q := range x {
				x[q] = at[q*m]
			}
			axpy8(c[i*n:(i+1)*n], &x, rows)
		}
	}
	for ; t < k; t++ {
		row := b[t*n : (t+1)*n]
		for i := range m {
			axpy(c[i*n:(i+1)*n], a[t*m+i], row)
		}
	}
}

// axpy8 adds to c the eight rows of b, each len(c) long, scaled by x. The race
// detector would make it thirty times slower, and does without it: whatever is
// passed here is also written by functions that the detector watches.
//
//go:norace
func axpy8(c []float32, x *[8]float32, b []float32) {
	n := len(c)
	x0, x1, x2, x3, x4, x5, x6, x7 := x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
	b0 := b[:n]
	b1 := b[n:][:n]
	b2 := b[2*n:][:n]
	b3 := b[3*n:][:n]
	b4 := b[4*n:][:n]
	b5 := b[5*n:][:n]
	b6 := b[6*n:][:n]
	b7 := b[7*n:][:n]
	for j := range c {
		c[j] += (x0*b0[j] + x1*b1[j] + x2*b2[j] + x3*b3[j]) +
			(x4*b4[j] + x5*b5[j] + x6*b6[j] + x7*b7[j])
	}
}

// axpy adds x·b to c.
func axpy(c []float32, x float32, b []float32) {
	b = b[:len(c)]
	for j := range c {
		c[j] += x * b[j]
	}
}

// add adds b to c.
func add(c, b []float32) {
	b = b[:len(c)]
	for j := range c {
		c[j] += b[j]
	}
}

// fillRows copies row into each of the rows of c.
func fillRows(c, row []float32) {
	for n := len(row); len(c) >= n && n > 0; c = c[n:] {
		copy(c, row)
	}
}

// transpose writes the transpose of a, which is m×n, to t, which is n×m.
func transpose(t, a []float32, m, n int) {
	for i := range m {
		row := a[i*n : (i+1)*n]
		for j, v := range row {
			t[j*m+i] = v
		}
	}
}

// sumSquares returns the sum of the squares of a.
func sumSquares(a []float32) float64 {
	var s float64
	for _, v := range a {
		s += float64(v) * float64(v)
	}
	return s
}

// exp32 is e to the x, to about two units in the last place of a float32:
// x = k·ln2 + r with |r| <= ln2/2, then a polynomial in r (Cephes, expf).
func exp32(x float32) float32 {
	if x > 88 {
		x = 88
	} else if x < -87 {
		x = -87
	}
	const round = 3 << 22 // adding it leaves no fraction bits
	k := (x*math.Log2E + round) - round
	r := x - k*0.693359375
	r -= k * -2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	return (p*r*r + r + 1) * math.Float32frombits(uint32(int32(k)+127)<<23)
}

// sigmoid is 1/(1+e^-x).
func sigmoid(x float32) float32 { return 1 / (1 + exp32(-x)) }

// tanh32 is the hyperbolic tangent of x.
func tanh32(x float32) float32 { return 1 - 2/(1+exp32(2*x)) }
