package drift

import (
	"fmt"
	"math"
	"slices"
)

// exactValues is up to how many values in the larger sample p is exact.
const exactValues = 10_000

// KSResult is what the two-sample Kolmogorov-Smirnov test says.
type KSResult struct {
	// D is the largest distance of the two empirical distribution functions: 0 to 1.
	D float64
	// P is the chance of such a D, or a larger one, if both samples are of one
	// continuous distribution: 0 to 1. With ties it is too high.
	P float64
	// Exact says that P is exact. Else it is the limit for large samples.
	Exact bool
}

// KS compares two samples. P is exact where neither has more than 10,000 values,
// which takes up to as many steps as the product of their sizes where these differ:
// a fraction of a second at the most.
//
// The error is ErrInput: an empty sample, or NaN in one. Infinities are values like
// others. The samples are not changed.
func KS(a, b []float64) (KSResult, error) {
	sortedA, err := sortedSample("a", a)
	if err != nil {
		return KSResult{}, err
	}
	sortedB, err := sortedSample("b", b)
	if err != nil {
		return KSResult{}, err
	}
	return ksSorted(sortedA, sortedB), nil
}

func sortedSample(name string, sample []float64) ([]float64, error) {
	if len(sample) == 0 {
		return nil, fmt.Errorf("%w: sample %s is empty", ErrInput, name)
	}
	if i := slices.IndexFunc(sample, math.IsNaN); i >= 0 {
		return nil, fmt.Errorf("%w: %s[%d] is NaN", ErrInput, name, i)
	}
	sorted := slices.Clone(sample)
	slices.Sort(sorted)
	return sorted, nil
}

// KSCounts compares two samples that are counted in the same bins, which are in
// order. D and its P are then those of the bins: D is not larger than that of the
// values, P not smaller.
//
// The error is ErrInput: different lengths, nothing but zeros, a negative count, a
// sum beyond the largest int64.
func KSCounts(a, b []int64) (KSResult, error) {
	if len(a) != len(b) {
		return KSResult{}, fmt.Errorf("%w: %d bins and %d", ErrInput, len(a), len(b))
	}
	n, err := total("a", a)
	if err != nil {
		return KSResult{}, err
	}
	m, err := total("b", b)
	if err != nil {
		return KSResult{}, err
	}
	if n == 0 || m == 0 {
		return KSResult{}, fmt.Errorf("%w: %d values and %d: want some", ErrInput, n, m)
	}
	return ksCounted(a, b, n, m), nil
}

func ksCounted(a, b []int64, n, m int64) KSResult {
	var d float64
	var atA, atB int64
	for i := range a {
		atA, atB = atA+a[i], atB+b[i]
		d = max(d, math.Abs(float64(atA)/float64(n)-float64(atB)/float64(m)))
	}
	return ksResult(d, n, m)
}

func total(name string, counts []int64) (int64, error) {
	var sum int64
	for i, c := range counts {
		if c < 0 {
			return 0, fmt.Errorf("%w: %s[%d] is %d", ErrInput, name, i, c)
		}
		if c > math.MaxInt64-sum {
			return 0, fmt.Errorf("%w: the sum of %s is beyond %d", ErrInput, name, int64(math.MaxInt64))
		}
		sum += c
	}
	return sum, nil
}

// ksSorted walks through both samples, value by value.
func ksSorted(a, b []float64) KSResult {
	n, m := float64(len(a)), float64(len(b))
	d := 0.0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		d = max(d, math.Abs(float64(i)/n-float64(j)/m))
	}
	return ksResult(d, int64(len(a)), int64(len(b)))
}

func ksResult(d float64, n, m int64) KSResult {
	r := KSResult{D: d}
	if max(n, m) > exactValues {
		r.P = kolmogorov(d * math.Sqrt(float64(n)/(float64(n)+float64(m))*float64(m)))
		return r
	}
	r.Exact = true
	g := gcd(n, m)
	h := int64(math.Round(d * float64(n/g*m))) // D in its smallest steps
	switch {
	case h == 0:
		r.P = 1
	case n == m:
		r.P = latticeEqual(n, h)
	default:
		r.P = lattice(n, m, n/g, m/g, h)
	}
	return r
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// lattice is the chance that a path from (0, 0) to (n, m), all of them being as
// likely, comes to a point (i, j) with |i stepN - j stepM| >= h, where step is the
// size over the greatest common divisor of both. Of the paths to (i, j), i/(i+j)
// come from (i-1, j) and the others from (i, j-1), so that the chance of each point
// is a mean of two others: no term is ever subtracted, and tiny chances keep their
// digits.
func lattice(n, m, sizeN, sizeM, h int64) float64 {
	inverse := make([]float64, n+m+1)
	for i := range inverse {
		inverse[i] = 1 / float64(i)
	}
	touched := make([]float64, m+1) // touched[j]: of the paths to (i, j)
	for j := range touched {
		if int64(j)*sizeN >= h {
			touched[j] = 1
		}
	}
	for i := int64(1); i <= n; i++ {
		// The points between low and high are inside.
		middle := i * sizeM
		low, left := int64(0), 0.0
		if middle >= h {
			low, left = (middle-h)/sizeN+1, 1
		}
		high := min(m, (middle+h-1)/sizeN)
		for j := low; j <= high; j++ {
			below := touched[j] * float64(i) * inverse[i+j]
			left = below + left*(float64(j)*inverse[i+j])
			touched[j] = left
		}
	}
	return min(touched[m], 1)
}

// latticeEqual is lattice for samples of one size, where reflections give
//
//	2 sum over j of (-1)^(j-1) C(2n, n-jh) / C(2n, n)
//
// summed from the inside: each term is a factor times the one before.
func latticeEqual(n, h int64) float64 {
	sum := 0.0
	for k := n / h; k >= 1; k-- {
		ratio := 1.0 // C(2n, n-kh) / C(2n, n-(k-1)h)
		for j := int64(1); j <= h; j++ {
			ratio *= float64(n-k*h+j) / float64(n+(k-1)*h+j)
		}
		sum = ratio * (1 - sum)
	}
	return min(max(2*sum, 0), 1)
}

// kolmogorov is the chance that the largest distance of a Brownian bridge from 0 is
// x or more: 2 sum (-1)^(j-1) exp(-2 j^2 x^2), and for small x, where that sum ends
// late, the same by Jacobi's identity.
func kolmogorov(x float64) float64 {
	switch {
	case x < 0.04: // the sum below is 0
		return 1
	case x < 1.18:
		sum := 0.0
		for k := 1.0; k <= 9; k += 2 {
			sum += math.Exp(-k * k * math.Pi * math.Pi / (8 * x * x))
		}
		return 1 - math.Sqrt(2*math.Pi)/x*sum
	default:
		sum, sign := 0.0, 1.0
		for j := 1.0; j <= 6; j++ {
			sum += sign * math.Exp(-2*j*j*x*x)
			sign = -sign
		}
		return 2 * sum
	}
}
