package training

import "math"

// Trend finds a loss that keeps rising, and one that has stopped to fall. It
// follows the loss with two exponential moving averages, of smoothing factor
// 2/(n+1), and the mean distance of the loss from the short one. The loss diverges
// once
//
//	short > long + max(3 x distance, Margin x |long|)
//
// has held for Sustain values in a row; it is told once, and again after it has not
// held for as many. It is on a plateau when PlateauSteps values have not brought
// the short average 0.1 % below its best; it is told once until they do.
//
// The median of the last three values stands for the loss, so that a single
// outlier moves nothing. Nothing diverges before Long values are known. The
// defaults are proposals that have seen no real run.
//
// Parameters are set before the first Observe, which replaces each that is out of
// range by its default; a Recorder's New reports them instead. A Trend is not safe
// for concurrent use.
type Trend struct {
	// Short is the span of the short average in values: 2 to 1,000,000. Defaults to
	// 50.
	Short int
	// Long is the span of the long average in values: more than Short, at most
	// 10,000,000. Defaults to 500, or ten times Short if that is more.
	Long int
	// Sustain is how many values in a row make a divergence: at least 1. Defaults
	// to 200.
	Sustain int
	// Margin is the share of the long average that the short one has to be above
	// it: 1e-6 to 1000. Defaults to 0.05.
	Margin float64
	// PlateauSteps is how many values without a new best make a plateau: at least
	// 1. Defaults to 0: plateaus are not looked for.
	PlateauSteps int
	// Off switches the detector off.
	Off bool

	settled     bool
	last        [2]float64 // the two values before, the newest first
	values      int
	short, long average
	distance    average

	diverging bool
	against   int   // values in a row that contradict diverging
	onset     int64 // of the last rise

	hasBest  bool
	best     float64
	bestStep int64
	stalled  int // values since the best
}

// TrendVerdict is what a Trend says after one value.
type TrendVerdict struct {
	Diverging bool // a divergence is found with this value
	Plateau   bool // a plateau is found with this value

	Short float64 // the short average; 0 before there are three values
	Long  float64 // the long average; 0 before there are three values
	Limit float64 // what Short must not pass; 0 before there are Long values

	Rising bool  // a divergence was found and has not ended
	Onset  int64 // the step at which Short passed Limit; 0 while it has not

	Best     float64 // the best short average, as far as plateaus are looked for
	BestStep int64   // its step
	Stalled  int     // values since
}

// Observe judges the loss of one step. A value that is not finite is ignored. It
// allocates nothing.
func (t *Trend) Observe(step int64, loss float64) TrendVerdict {
	if t.Off || !finite(loss) {
		return TrendVerdict{}
	}
	if !t.settled {
		t.settle("")
		t.settled = true
	}
	loss = bounded(loss)
	smooth := max(min(loss, t.last[0]), min(max(loss, t.last[0]), t.last[1]))
	t.last[0], t.last[1] = loss, t.last[0]
	if t.values = min(t.values+1, math.MaxInt-1); t.values < 3 {
		return TrendVerdict{}
	}
	if t.values > 3 {
		t.distance.add(math.Abs(smooth-t.short.mean), t.Long)
	}
	t.short.add(smooth, t.Short)
	t.long.add(smooth, t.Long)

	v := TrendVerdict{Short: t.short.mean, Long: t.long.mean}
	if t.values >= t.Long {
		t.diverge(step, &v)
	}
	if t.PlateauSteps > 0 && t.values >= t.Short {
		t.plateau(step, &v)
	}
	return v
}

func (t *Trend) diverge(step int64, v *TrendVerdict) {
	v.Limit = v.Long + max(3*t.distance.mean, t.Margin*math.Abs(v.Long))
	above := v.Short > v.Limit
	if above == t.diverging {
		t.against = 0
	} else {
		if t.against++; t.against == 1 && above {
			t.onset = step
		}
		if t.against >= t.Sustain {
			t.diverging, t.against = above, 0
			v.Diverging = above
		}
	}
	v.Rising = t.diverging
	if above || t.diverging {
		v.Onset = t.onset
	}
}

func (t *Trend) plateau(step int64, v *TrendVerdict) {
	if !t.hasBest || v.Short < t.best-1e-3*math.Abs(t.best) {
		t.hasBest, t.best, t.bestStep, t.stalled = true, v.Short, step, 0
	} else {
		t.stalled = min(t.stalled+1, maxSteps)
		v.Plateau = t.stalled == t.PlateauSteps
	}
	v.Best, v.BestStep, v.Stalled = t.best, t.bestStep, t.stalled
}

// faults reports the parameters that are out of range, and a detector that was
// used.
func (t *Trend) faults(prefix string) []error {
	unused := *t
	return append(unused.settle(prefix), usedFault(prefix, t.settled)...)
}

// settle sets the defaults and returns the faults.
func (t *Trend) settle(prefix string) []error {
	p := parameters{prefix: prefix}
	param(&p, "Short", &t.Short, 2, 1e6, 50)
	param(&p, "Long", &t.Long, t.Short+1, 1e7, max(500, 10*t.Short))
	param(&p, "Sustain", &t.Sustain, 1, maxSteps, 200)
	param(&p, "Margin", &t.Margin, 1e-6, 1000, 0.05)
	param(&p, "PlateauSteps", &t.PlateauSteps, 1, maxSteps, 0)
	return p.faults
}

// average is an exponential moving average that begins without a bias: each value
// so far has its share, as if there had been none before.
type average struct {
	mean   float64
	weight float64 // 1 - (1-a)^n after n values
}

// add adds a value to an average over a span of n values.
func (m *average) add(x float64, n int) {
	a := 2 / float64(n+1)
	m.weight += a * (1 - m.weight)
	m.mean += a / m.weight * (x - m.mean)
}
