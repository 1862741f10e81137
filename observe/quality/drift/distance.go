package drift

import (
	"errors"
	"fmt"
	"math"
)

// ErrInput is in the error of every function that refuses what it is given.
var ErrInput = errors.New("drift: bad input")

// emptyShare stands for a share of 0 in PSI, whose logarithm would be infinite.
const emptyShare = 1e-4

// PSI is the population stability index of two distributions over the same bins,
//
//	sum (q - p) ln(q / p)
//
// with p and q the shares of the reference and of the actual values. Both may be
// given as shares or as counts: they are divided by their sums. A share of 0 counts
// as 1e-4. The index is 0 for equal distributions and symmetric. By convention
// below 0.1 is no change and above 0.25 a large one; a few values in many bins pass
// both by chance.
//
// The error is ErrInput: different lengths, nothing but zeros, a value that is
// negative or not finite.
func PSI(reference, actual []float64) (float64, error) {
	return compare(reference, actual, psi)
}

// JS is the Jensen-Shannon divergence of two distributions over the same bins, in
// nats: half of the Kullback-Leibler divergences of each from their mean. It is
// symmetric, 0 for equal distributions, ln 2 for those that have no bin in common.
// Shares or counts may be given, as for PSI, with the same errors.
func JS(reference, actual []float64) (float64, error) {
	return compare(reference, actual, js)
}

func compare(reference, actual []float64, distance func(p, q []float64) float64) (float64, error) {
	if len(reference) != len(actual) {
		return 0, fmt.Errorf("%w: %d bins and %d", ErrInput, len(reference), len(actual))
	}
	p, err := shares("reference", reference)
	if err != nil {
		return 0, err
	}
	q, err := shares("actual", actual)
	if err != nil {
		return 0, err
	}
	return distance(p, q), nil
}

// shares divides weights by their sum.
func shares(name string, weights []float64) ([]float64, error) {
	sum := 0.0
	for i, w := range weights {
		if !(w >= 0) {
			return nil, fmt.Errorf("%w: %s[%d] is %v", ErrInput, name, i, w)
		}
		sum += w
	}
	if sum == 0 || math.IsInf(sum, 0) {
		return nil, fmt.Errorf("%w: the sum of %s is %v", ErrInput, name, sum)
	}
	p := make([]float64, len(weights))
	for i, w := range weights {
		p[i] = w / sum
	}
	return p, nil
}

func psi(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		a, b := p[i], q[i]
		if a == 0 {
			a = emptyShare
		}
		if b == 0 {
			b = emptyShare
		}
		sum += (b - a) * (math.Log(b) - math.Log(a))
	}
	return sum
}

func js(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		m := p[i]/2 + q[i]/2
		for _, share := range [2]float64{p[i], q[i]} {
			if share > 0 && m > 0 {
				sum += share / 2 * (math.Log(share) - math.Log(m))
			}
		}
	}
	return max(sum, 0) // rounding may leave less
}
