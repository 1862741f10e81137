package quality

import (
	"math"
	"slices"
	"time"

	"github.com/calmops/calm/observe/quality/drift"
)

// Drift is a change in the distribution of a stream.
type Drift struct {
	// Task is the stream: the task of Value, or the task, "/" and a metric.
	Task string
	// Detector is what found it: "adwin", "ddm" or "page_hinkley".
	Detector string
	// Warning says that it is a warning only, which may or may not be followed by
	// a drift.
	Warning bool
	// Value is the value that it was found with.
	Value float64
	// At is when it was found.
	At time.Time
}

// detector is a kind of drift detector.
type detector uint8

const (
	adwin detector = iota
	ddm
	pageHinkley
	numDetectors
)

func (d detector) String() string {
	return [numDetectors]string{"adwin", "ddm", "page_hinkley"}[d]
}

// stream watches one series of values for drift.
type stream struct {
	name   string
	errors bool // values are 1 for an error, else 0

	adwin       drift.ADWIN
	ddm         drift.DDM
	pageHinkley *drift.PageHinkley // nil: not asked for

	drifts  [numDetectors]int64
	warning [numDetectors]bool

	reference *drift.Reference // nil: none was given
	recent    ring             // the values that are compared with it
}

// mean is a running mean.
type mean struct {
	n   int64
	sum float64
}

func (m *mean) add(x float64) { m.n++; m.sum += x }

func (m *mean) value() float64 {
	if m.n == 0 {
		return math.NaN()
	}
	return m.sum / float64(m.n)
}

// observe takes a value and returns what the detectors found. Values that are not
// finite were left out before.
func (s *stream) observe(x float64, now time.Time, found []Drift) []Drift {
	if s.reference != nil {
		s.recent.add(x, now)
	}
	found = s.note(adwin, s.adwin.Update(x), x, now, found)
	if s.errors {
		found = s.note(ddm, s.ddm.Update(x), x, now, found)
	}
	if s.pageHinkley != nil {
		found = s.note(pageHinkley, s.pageHinkley.Update(x), x, now, found)
	}
	return found
}

// note counts drifts, and tells of each and of the beginning of each warning.
func (s *stream) note(d detector, v drift.Verdict, x float64, now time.Time, found []Drift) []Drift {
	if v.Drift {
		s.drifts[d]++
		found = append(found, Drift{Task: s.name, Detector: d.String(), Value: x, At: now})
	} else if v.Warning && !s.warning[d] {
		found = append(found, Drift{Task: s.name, Detector: d.String(), Warning: true, Value: x, At: now})
	}
	s.warning[d] = v.Warning
	return found
}

// ring holds the last values of a stream, and when they came.
type ring struct {
	values []float64
	times  []time.Time
	next   int
}

// recentValues is how many values are compared with a reference at most.
const recentValues = 2048

func (r *ring) add(x float64, now time.Time) {
	if len(r.values) < recentValues {
		r.values, r.times = append(r.values, x), append(r.times, now)
		return
	}
	r.values[r.next], r.times[r.next] = x, now
	r.next = (r.next + 1) % recentValues
}

// since returns the values that came after a time, in no order.
func (r *ring) since(t time.Time) []float64 {
	var v []float64
	for i, at := range r.times {
		if at.After(t) {
			v = append(v, r.values[i])
		}
	}
	return slices.Clip(v)
}
