package drift

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ReferenceConfig makes a Reference.
type ReferenceConfig struct {
	// Sample holds the values of the time that others are compared with: all
	// finite, at least as many as Bins. It is copied. Required.
	Sample []float64
	// Bins is in how many bins the sample is divided: 2 to 1000. Defaults to 10.
	Bins int
}

// maxBins bounds the bins of a Reference.
const maxBins = 1000

// Reference is a sample that other samples are compared with. It is never changed:
// any number of goroutines may use it at once. It holds 8 bytes a value.
type Reference struct {
	sorted []float64
	edges  []float64 // bin i holds what is above edges[i-1], up to edges[i]
	shares []float64
	counts []int64
}

// NewReference divides the sample at its quantiles, so that each bin holds the same
// share. Where one value has a share of several bins, these become one; if it is
// the lowest value, lower ones get a bin of their own. The first and the last bin
// are open, so that every value has a bin. The error lists every fault of the
// Config.
func NewReference(config ReferenceConfig) (*Reference, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	sorted := slices.Sorted(slices.Values(config.Sample))
	r := &Reference{sorted: sorted, edges: quantileEdges(sorted, config.Bins)}
	r.counts, _ = r.count(sorted)
	weights := make([]float64, len(r.counts))
	for i, c := range r.counts {
		weights[i] = float64(c)
	}
	r.shares, _ = shares("Sample", weights) // there are values
	return r, nil
}

func (c *ReferenceConfig) complete() error {
	var faults []error
	if c.Bins == 0 {
		c.Bins = 10
	}
	if c.Bins < 2 || c.Bins > maxBins {
		faults = append(faults, fmt.Errorf("drift: ReferenceConfig.Bins is %d: want 2 to %d", c.Bins, maxBins))
	} else if len(c.Sample) < c.Bins {
		faults = append(faults, fmt.Errorf("drift: ReferenceConfig.Sample has %d values: want at least %d, as many as Bins", len(c.Sample), c.Bins))
	}
	if i := slices.IndexFunc(c.Sample, notFinite); i >= 0 {
		faults = append(faults, fmt.Errorf("drift: ReferenceConfig.Sample[%d] is %v: want finite values", i, c.Sample[i]))
	}
	return errors.Join(faults...)
}

func notFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// quantileEdges returns the upper edges of all bins but the last.
func quantileEdges(sorted []float64, bins int) []float64 {
	var edges []float64
	for i := 1; i < bins; i++ {
		last := (i*len(sorted) + bins - 1) / bins // values up to the quantile
		edges = append(edges, sorted[last-1])
	}
	edges = slices.Compact(edges)
	if edges[0] == sorted[0] {
		edges = slices.Insert(edges, 0, math.Nextafter(sorted[0], math.Inf(-1)))
	}
	return edges
}

// Distances says how far a sample is from a Reference.
type Distances struct {
	// PSI is the population stability index over the bins; NaN without values.
	PSI float64
	// JS is the Jensen-Shannon divergence over the bins, in nats: 0 to ln 2; NaN
	// without values.
	JS float64
	// KS is the two-sample Kolmogorov-Smirnov test; D and P are NaN without values.
	KS KSResult
	// N is how many values were compared.
	N int64
	// Refused is how many values were left out: those that are NaN.
	Refused int64
}

// Distance compares a sample with the reference. NaN is left out and counted. It
// sorts a copy; KS says what its P may cost.
func (r *Reference) Distance(sample []float64) Distances {
	sorted := slices.DeleteFunc(slices.Clone(sample), math.IsNaN)
	slices.Sort(sorted)
	counts, n := r.count(sorted)
	d := r.binned(counts, n)
	d.Refused = int64(len(sample) - len(sorted))
	if n > 0 {
		d.KS = ksSorted(r.sorted, sorted)
	}
	return d
}

// DistanceCounts compares a sample that is counted by Bin. KS is that of the bins.
// The error is ErrInput: not as many counts as there are bins, a negative count, a
// sum beyond the largest int64.
func (r *Reference) DistanceCounts(counts []int64) (Distances, error) {
	if len(counts) != len(r.counts) {
		return Distances{}, fmt.Errorf("%w: %d counts for %d bins", ErrInput, len(counts), len(r.counts))
	}
	n, err := total("counts", counts)
	if err != nil {
		return Distances{}, err
	}
	d := r.binned(counts, n)
	if n > 0 {
		d.KS = ksCounted(r.counts, counts, int64(len(r.sorted)), n)
	}
	return d, nil
}

// Bins is how many bins there are: it may be less than asked for, or one more.
func (r *Reference) Bins() int { return len(r.counts) }

// Bin is the bin of a value, from 0 for the lowest; -1 for NaN.
func (r *Reference) Bin(x float64) int {
	if math.IsNaN(x) {
		return -1
	}
	i, _ := slices.BinarySearch(r.edges, x) // the first edge that is not below x
	return i
}

func (r *Reference) count(sample []float64) (counts []int64, n int64) {
	counts = make([]int64, len(r.edges)+1)
	for _, x := range sample {
		counts[r.Bin(x)]++
	}
	return counts, int64(len(sample))
}

func (r *Reference) binned(counts []int64, n int64) Distances {
	if n == 0 {
		nan := math.NaN()
		return Distances{PSI: nan, JS: nan, KS: KSResult{D: nan, P: nan}}
	}
	q := make([]float64, len(counts))
	for i, c := range counts {
		q[i] = float64(c) / float64(n)
	}
	return Distances{PSI: psi(r.shares, q), JS: js(r.shares, q), N: n}
}
