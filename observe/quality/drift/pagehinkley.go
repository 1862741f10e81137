package drift

// PageHinkley finds a mean that rises. With n, the number of values since the last
// drift, starting at 1, and mean and sum at 0, each value x does
//
//	mean += (x - mean) / n
//	sum   = max(0, Alpha x sum + x - mean - Delta)
//	n++
//
// and it is a drift if n >= MinInstances and sum >= Threshold. A mean that falls is
// not found: feed it -x.
//
// Parameters are set before the first Update, which replaces each that is out of
// range by its default. The zero value is ready. A copy is a clone. Not for
// concurrent use.
type PageHinkley struct {
	// MinInstances is the n, as above, from which a drift can be found: that of
	// value number MinInstances - 1. 1 to 1e9. Defaults to 30.
	MinInstances int
	// Delta is how far above the mean values may be without a trace, in their
	// unit: above 0, to 1e100. Defaults to 0.005.
	Delta float64
	// Threshold is the sum that is a drift, in the unit of the values: above 0, to
	// 1e100. Defaults to 50.
	Threshold float64
	// Alpha is how much of the sum is kept from value to value: above 0, to 1.
	// Defaults to 0.9999.
	Alpha float64

	seen    int64
	mean    float64
	sum     float64
	drifted bool
	refused int64
}

// Update takes the next value. One that is not finite is counted as refused and
// changes nothing; one beyond 1e100 counts as 1e100.
func (d *PageHinkley) Update(x float64) Verdict {
	if d.seen == 0 {
		settle(&d.MinInstances, 1, 1e9, 30)
		settle(&d.Delta, 0, magnitude, 0.005)
		settle(&d.Threshold, 0, magnitude, 50)
		settle(&d.Alpha, 0, 1, 0.9999)
	}
	x, ok := admit(x, &d.refused)
	if !ok {
		return Verdict{Statistic: d.sum, Limit: d.Threshold, Mean: d.mean, N: d.seen}
	}
	if d.drifted {
		d.seen, d.mean, d.sum = 0, 0, 0
	}
	d.seen++
	d.mean += (x - d.mean) / float64(d.seen)
	d.sum = max(0, d.Alpha*d.sum+(x-d.mean-d.Delta))
	d.drifted = d.seen+1 >= int64(d.MinInstances) && d.sum >= d.Threshold
	return Verdict{Drift: d.drifted, Statistic: d.sum, Limit: d.Threshold, Mean: d.mean, N: d.seen}
}

// Refused is how many values were refused since the beginning.
func (d *PageHinkley) Refused() int64 { return d.refused }
