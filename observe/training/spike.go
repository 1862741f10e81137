package training

import (
	"cmp"
	"fmt"
	"math"
)

// Spike finds values far above their recent median: loss spikes, exploding
// gradients. A value x is flagged if
//
//	x - median > Z x 1.4826 x max(MAD, 0.001 x |median|, 1e-12)
//
// where the median and the median absolute deviation (MAD) are those of the last
// Window values that were not flagged. 1.4826 MAD estimates the standard deviation
// of normal noise; the other terms serve a signal that is constant. Nothing is
// flagged before Window values are known.
//
// Flagged values make one episode until Cooldown values in a row are not flagged.
// Window flagged values in a row are no spike but a new level: they become the
// window.
//
// Parameters are set before the first Observe, which replaces each that is out of
// range by its default; a Recorder's New reports them instead. A Spike is not safe
// for concurrent use. A copy shares its memory, unless it was made before the
// first Observe.
type Spike struct {
	// Window is how many values make the median: 8 to 65,536. Memory is 24 bytes
	// each. Defaults to 128.
	Window int
	// Z is how many robust standard deviations above the median are flagged: 0.1 to
	// 1e6. Defaults to 10.
	Z float64
	// Refresh is after how many values the median is taken anew: 1 to 65,536.
	// Defaults to 8.
	Refresh int
	// Cooldown is how many values that are not flagged end an episode: at least 1.
	// Defaults to 60.
	Cooldown int

	// Back is how many steps before its onset the state is trusted to be free of
	// the cause: at least 1. Defaults to 100.
	Back int
	// SkipMin is how many batches to skip at least after a rollback: at least 1.
	// Defaults to 200, or SkipMax if that is less.
	SkipMin int
	// SkipMax is how many batches to skip at most: at least SkipMin. Defaults to
	// 500, or SkipMin if that is more.
	SkipMax int

	// Off switches the detector off.
	Off bool

	seen      window[float64]
	fresh     int // values since the median was taken
	median    float64
	deviation float64   // a robust standard deviation
	held      []float64 // flagged values in a row

	active bool // an episode is open
	onset  int64
	peak   float64
	length int // values from the onset to the last flagged one
	quiet  int // values since that one
}

// SpikeVerdict is what a Spike says of one value.
type SpikeVerdict struct {
	Found bool // something is to be told with this value
	// Kind says what, if Found: EventSpike at the onset of an episode, EventSpikeEnd
	// or EventLevelShift at its end.
	Kind EventKind

	Flagged bool    // the value is above Limit
	Value   float64 // the value; beyond 1e300 it counts as 1e300
	Median  float64 // of the window; after EventLevelShift of the new one; 0 before there is one
	Limit   float64 // the highest value that is not flagged; 0 before there is one
	Score   float64 // robust standard deviations above the median

	// The episode that is open, or ends with this value; else 0.
	Onset  int64   // the step of its first value
	Peak   float64 // its highest value
	Length int     // how many values, from the first to the last that was flagged

	// The advice, set in an episode.
	SafeStep int64 // go back to the newest checkpoint of this step or before; 0 is none
	SkipMin  int   // then skip at least this many batches
	SkipMax  int   // and at most this many
}

// Observe judges the value of one step. It takes O(log Window) comparisons and moves
// at most Window values in memory. A value that is not finite is ignored. Only the
// first call allocates.
func (s *Spike) Observe(step int64, x float64) SpikeVerdict {
	if s.Off || !finite(x) {
		return SpikeVerdict{}
	}
	if !s.seen.ready() {
		s.settle("")
		s.seen.init(s.Window)
		s.held = make([]float64, 0, s.Window)
	}
	x = bounded(x)
	if !s.seen.full() {
		s.seen.add(x)
		if s.seen.full() {
			s.refresh()
		}
		return SpikeVerdict{Value: x}
	}
	above, band := x-s.median, s.Z*s.deviation
	v := SpikeVerdict{Flagged: above > band, Value: x, Median: s.median, Limit: s.median + band, Score: above / s.deviation}
	if v.Flagged {
		s.flag(step, x, &v)
	} else {
		s.accept(x, &v)
	}
	return v
}

func (s *Spike) flag(step int64, x float64, v *SpikeVerdict) {
	if !s.active {
		s.active, s.onset, s.peak, s.length, s.quiet = true, step, x, 0, 0
		v.Found, v.Kind = true, EventSpike
	}
	s.length += s.quiet + 1
	s.quiet = 0
	s.peak = max(s.peak, x)
	s.explain(v)
	s.held = append(s.held, x)
	if len(s.held) == s.Window {
		s.seen.set(s.held)
		s.held = s.held[:0]
		s.refresh()
		s.active = false
		v.Found, v.Kind, v.Median = true, EventLevelShift, s.median
	}
}

func (s *Spike) accept(x float64, v *SpikeVerdict) {
	s.held = s.held[:0]
	s.seen.add(x)
	if s.fresh++; s.fresh >= s.Refresh {
		s.refresh()
	}
	if !s.active {
		return
	}
	s.explain(v)
	if s.quiet++; s.quiet >= s.Cooldown {
		s.active = false
		v.Found, v.Kind = true, EventSpikeEnd
	}
}

// explain adds what is known of the episode.
func (s *Spike) explain(v *SpikeVerdict) {
	v.Onset, v.Peak, v.Length = s.onset, s.peak, s.length
	v.SafeStep = max(max(s.onset, 0)-int64(s.Back), 0)
	v.SkipMin, v.SkipMax = s.SkipMin, s.SkipMax
}

func (s *Spike) refresh() {
	s.fresh = 0
	s.median = median(s.seen.sorted)
	mad := medianDeviation(s.seen.sorted, s.median)
	s.deviation = 1.4826 * max(mad, 1e-3*math.Abs(s.median), 1e-12)
}

// faults reports the parameters that are out of range, and a detector that was
// used.
func (s *Spike) faults(prefix string) []error {
	unused := *s
	return append(unused.settle(prefix), usedFault(prefix, s.seen.ready())...)
}

// settle sets the defaults and returns the faults.
func (s *Spike) settle(prefix string) []error {
	p := parameters{prefix: prefix}
	param(&p, "Window", &s.Window, 8, 65536, 128)
	param(&p, "Z", &s.Z, 0.1, 1e6, 10)
	param(&p, "Refresh", &s.Refresh, 1, 65536, 8)
	param(&p, "Cooldown", &s.Cooldown, 1, maxSteps, 60)
	param(&p, "Back", &s.Back, 1, maxSteps, 100)
	param(&p, "SkipMax", &s.SkipMax, 1, maxSteps, min(max(500, s.SkipMin), maxSteps))
	param(&p, "SkipMin", &s.SkipMin, 1, maxSteps, min(200, s.SkipMax))
	if s.SkipMin > s.SkipMax {
		p.fault("SkipMin", s.SkipMin, fmt.Sprintf("want at most SkipMax, which is %d", s.SkipMax))
		s.SkipMin = s.SkipMax
	}
	return p.faults
}

// maxSteps bounds parameters that count steps.
const maxSteps = 1 << 30

// parameters gathers the faults of a detector's parameters.
type parameters struct {
	prefix string
	faults []error
}

func (p *parameters) fault(field string, value any, want string) {
	p.faults = append(p.faults, fmt.Errorf("%s.%s is %v: %s", p.prefix, field, value, want))
}

// param sets a parameter to its default if it is zero or out of range; the latter
// is a fault.
func param[T cmp.Ordered](p *parameters, field string, value *T, low, high, def T) {
	if *value >= low && *value <= high {
		return
	}
	if *value != *new(T) {
		p.fault(field, *value, fmt.Sprintf("want %v to %v", low, high))
	}
	*value = def
}

// usedFault is the fault of a detector whose copies would share its memory.
func usedFault(prefix string, used bool) []error {
	if !used {
		return nil
	}
	return []error{fmt.Errorf("%s has been used: want one with parameters only", prefix)}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// bounded keeps a value so far from the largest number that no sum, difference or
// product of the detectors passes it.
func bounded(x float64) float64 { return min(max(x, -1e300), 1e300) }
