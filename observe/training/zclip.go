package training

import "math"

// ZClip chooses the norm that a gradient is clipped to from the norms before it
// (arXiv 2504.02507). The first Warmup norms are not clipped; they give a mean and
// a variance. From then on a norm of z = (norm - mean) / (sqrt(variance) + 1e-6)
// above Z is clipped to mean + Z x sqrt(variance) / (z/Z): the further out, the
// closer to the mean. Mean and variance follow the clipped norms with Alpha.
//
// It is a clipper and no alarm: with its defaults it clips about one step in a
// hundred of a run that is well. Spike is the alarm.
//
// Parameters are set before the first Next, which replaces each that is out of
// range by its default. A ZClip is not safe for concurrent use. Its zero value is
// ready; a copy goes its own way.
type ZClip struct {
	// Alpha is the share of the old mean and variance that is kept each step: above
	// 0, below 1. Defaults to 0.97.
	Alpha float64
	// Z is how many standard deviations above the mean are clipped: 0.1 to 1e6.
	// Defaults to 2.5.
	Z float64
	// Warmup is how many norms are gathered first: at least 1. Defaults to 25.
	Warmup int
	// Max is a limit that always holds. Mean and variance are those of norms before
	// it. Defaults to 0: none.
	Max float64
	// SkipOnSpike keeps the clipped norms out of mean and variance.
	SkipOnSpike bool

	settled  bool
	known    int // norms of the warm-up
	mean     float64
	variance float64
}

// Next takes the norm of a gradient and returns what to clip it to, which is the
// norm itself if there is no reason to clip, and whether the norm is a spike. A
// norm that cannot be one (NaN, infinite, negative or above 1e150) is a spike and
// changes nothing; the limit is then the mean so far, 0 if there is none. It
// allocates nothing.
func (c *ZClip) Next(norm float64) (limit float64, spiked bool) {
	if !c.settled {
		c.settle()
	}
	limit, spiked = c.next(norm)
	if c.Max > 0 {
		limit = min(limit, c.Max)
	}
	return limit, spiked
}

func (c *ZClip) next(norm float64) (limit float64, spiked bool) {
	if !(norm >= 0 && norm <= 1e150) { // its square would be lost
		return c.mean, true
	}
	if c.known < c.Warmup {
		c.known++
		distance := norm - c.mean
		c.mean += distance / float64(c.known)
		c.variance += (distance*(norm-c.mean) - c.variance) / float64(c.known)
		return norm, false
	}
	limit = norm
	sd := math.Sqrt(c.variance)
	if z := (norm - c.mean) / (sd + 1e-6); z > c.Z {
		limit, spiked = c.mean+c.Z*sd/(z/c.Z), true
	}
	if !spiked || !c.SkipOnSpike {
		c.mean = c.Alpha*c.mean + (1-c.Alpha)*limit
		distance := limit - c.mean
		c.variance = c.Alpha*c.variance + (1-c.Alpha)*distance*distance
	}
	return limit, spiked
}

func (c *ZClip) settle() {
	var p parameters
	param(&p, "Alpha", &c.Alpha, math.SmallestNonzeroFloat64, math.Nextafter(1, 0), 0.97)
	param(&p, "Z", &c.Z, 0.1, 1e6, 2.5)
	param(&p, "Warmup", &c.Warmup, 1, maxSteps, 25)
	param(&p, "Max", &c.Max, math.SmallestNonzeroFloat64, math.MaxFloat64, 0)
	c.settled = true
}
