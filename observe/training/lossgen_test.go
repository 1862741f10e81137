package training

import (
	"math"
	"math/rand/v2"
	"slices"
)

// lossRun is a synthetic loss of 20,000 steps: a power law, noise with a memory and
// heavy tails, and 20 spikes.
type lossRun struct {
	loss   []float64
	onsets []int // of the spikes, ascending
}

const (
	lossSteps   = 20_000
	lossSpikes  = 20
	spikeLength = 60
)

func newLossRun(seed uint64) lossRun {
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	run := lossRun{loss: make([]float64, lossSteps)}
	noise := 0.0
	for t := range run.loss {
		noise = 0.3*noise + 0.015*studentT5(rng)
		run.loss[t] = 1.7 + 8*math.Pow(float64(t)+50, -0.35) + noise
	}
	for _, place := range rng.Perm(90)[:lossSpikes] {
		onset, height := 1500+200*place, 0.3+2.7*rng.Float64()
		run.onsets = append(run.onsets, onset)
		for k := range spikeLength {
			run.loss[onset+k] += height * math.Exp(-float64(k)/15)
		}
	}
	slices.Sort(run.onsets)
	return run
}

// studentT5 draws from Student's t distribution with 5 degrees of freedom.
func studentT5(rng *rand.Rand) float64 {
	chi2 := 0.0
	for range 5 {
		z := rng.NormFloat64()
		chi2 += z * z
	}
	return rng.NormFloat64() / math.Sqrt(chi2/5)
}

// grade returns how many spikes were flagged within 60 steps of their onset, and how
// many false episodes there were: flags elsewhere, more than 60 steps after the last
// such flag.
func (r lossRun) grade(flags func(step int64, x float64) bool) (hits, falseEpisodes int) {
	hit := make([]bool, len(r.onsets))
	last := -1 << 30
	for t, x := range r.loss {
		if !flags(int64(t+1), x) {
			continue
		}
		i, exact := slices.BinarySearch(r.onsets, t)
		if !exact {
			i--
		}
		if i >= 0 && t-r.onsets[i] <= spikeLength {
			hit[i] = true
			continue
		}
		if t-last > spikeLength {
			falseEpisodes++
		}
		last = t
	}
	for _, h := range hit {
		if h {
			hits++
		}
	}
	return hits, falseEpisodes
}

// rolling is the rival in speed: mean and variance of the last 128 values.
type rolling struct {
	ring     [128]float64
	next     int
	mean, m2 float64
}

func (r *rolling) push(x float64) (old float64) {
	old = r.ring[r.next]
	r.ring[r.next] = x
	if r.next++; r.next == len(r.ring) {
		r.next = 0
	}
	return old
}

// update changes mean and variance by the value that comes and the one that goes.
func (r *rolling) update(x float64) bool {
	old, before := r.push(x), r.mean
	r.mean += (x - old) / 128
	r.m2 += (x - old) * (x - r.mean + old - before)
	return x-r.mean > 6*math.Sqrt(r.m2/128)
}

// anew sums all values.
func (r *rolling) anew(x float64) bool {
	r.push(x)
	r.mean, r.m2 = 0, 0
	for _, y := range r.ring {
		r.mean += y
	}
	r.mean /= 128
	for _, y := range r.ring {
		r.m2 += (y - r.mean) * (y - r.mean)
	}
	return x-r.mean > 6*math.Sqrt(r.m2/128)
}
