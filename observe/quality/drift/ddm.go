package drift

import "math"

// DDM, the drift detection method, finds an error rate that rises. With p, the
// share of errors in the n values since the last drift, and s = sqrt(p(1-p)/n), it
// remembers the p and s whose sum was the smallest. Once n > Warm,
//
//	p + s > p_min + Warning x s_min    is a warning
//	p + s > p_min + Drift   x s_min    is a drift, and no warning
//
// A rate of 0 up to then makes both limits 0: the next error is a drift.
//
// Parameters are set before the first Update, which replaces each that is out of
// range by its default. The zero value is ready. A copy is a clone. Not for
// concurrent use.
type DDM struct {
	// Warm is how many values are learned from before the first verdict: 1 to 1e9.
	// Defaults to 30.
	Warm int
	// Warning is the limit of a warning, in standard deviations: above 0, to 1e6.
	// Defaults to 2.
	Warning float64
	// Drift is the limit of a drift, in standard deviations: above 0, to 1e6.
	// Defaults to 3.
	Drift float64

	seen       int64
	errors     float64
	minP, minS float64
	drifted    bool
	refused    int64
}

// Update takes the next value: 1 for an error, 0 for none; what lies between counts
// as that share of an error. Every other value is counted as refused and changes
// nothing.
func (d *DDM) Update(x float64) Verdict {
	if d.seen == 0 {
		settle(&d.Warm, 1, 1e9, 30)
		settle(&d.Warning, 0, 1e6, 2)
		settle(&d.Drift, 0, 1e6, 3)
		d.minP, d.minS = math.Inf(1), math.Inf(1)
	}
	if !(x >= 0 && x <= 1) {
		d.refused++
		return d.verdict()
	}
	if d.drifted {
		d.seen, d.errors, d.drifted = 0, 0, false
		d.minP, d.minS = math.Inf(1), math.Inf(1)
	}
	d.seen++
	d.errors += x
	if d.seen <= int64(d.Warm) {
		return d.verdict()
	}
	p, s := d.rate()
	if p+s <= d.minP+d.minS {
		d.minP, d.minS = p, s
	}
	v := d.verdict()
	v.Drift = p+s > v.Limit
	v.Warning = !v.Drift && p+s > d.minP+d.Warning*d.minS
	d.drifted = v.Drift
	return v
}

// Refused is how many values were refused since the beginning.
func (d *DDM) Refused() int64 { return d.refused }

// rate returns the share of errors and its standard deviation.
func (d *DDM) rate() (p, s float64) {
	if d.seen == 0 {
		return 0, 0
	}
	n := float64(d.seen)
	p = d.errors / n
	return p, math.Sqrt(p * (1 - p) / n)
}

func (d *DDM) verdict() Verdict {
	p, s := d.rate()
	return Verdict{Statistic: p + s, Limit: d.minP + d.Drift*d.minS, Mean: p, N: d.seen}
}
