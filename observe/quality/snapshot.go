package quality

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Snapshot is what a Monitor knows at one instant.
type Snapshot struct {
	Versions []Version // by task and version
	Streams  []Stream  // by name
	Refused  []Refused // by task and reason
	Panics   int64     // of OnDrift
}

// Version is one version of a task.
type Version struct {
	Task    string  // the task, or "other"
	Version string  // the version, or "other"; "" where none was given
	Samples int64   // calls recorded since the beginning
	Scores  []Score // over the window
}

// Stream is one series of values that is watched for drift.
type Stream struct {
	Name    string  // the task, or the task, "/" and a metric
	Warning bool    // a detector warns now
	Drifts  []Count // drifts since the beginning, by detector

	Compared      bool    // there is a Reference, and there are recent values
	PSI, JS, KS   float64 // distance of the recent values from it, if Compared
	RecentSamples int64   // how many values were compared
}

// Count is how often something happened.
type Count struct {
	Name string // the detector
	N    int64  // how often
}

// Refused is how many values were left out.
type Refused struct {
	Task   string // the task
	Reason string // "not_finite" or "out_of_range"
	N      int64  // how many
}

// Snapshot returns the state of now. It holds the lock while the slots of the
// windows are merged: about 50 us for a version with every kind of score, and up to
// 3 ms for a stream with a Reference.
func (m *Monitor) Snapshot() Snapshot {
	if m == nil {
		return Snapshot{}
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Snapshot{Panics: m.panics}
	for _, t := range m.tasks {
		for name, v := range t.versions {
			sum, _ := v.window.Value(now) // tallies of one Monitor can be merged
			s.Versions = append(s.Versions, Version{Task: t.name, Version: name, Samples: v.samples,
				Scores: sum.figures(t.referenceLength(m.cfg.Baseline), m.measure.scripts != nil)})
		}
	}
	slices.SortFunc(s.Versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Version, b.Version))
	})
	for _, name := range slices.Sorted(maps.Keys(m.streams)) {
		s.Streams = append(s.Streams, m.streams[name].snapshot(now.Add(-m.cfg.Window)))
	}
	for k, n := range m.refused {
		s.Refused = append(s.Refused, Refused{k.task, k.reason, n})
	}
	slices.SortFunc(s.Refused, func(a, b Refused) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}

func (s *stream) snapshot(since time.Time) Stream {
	out := Stream{Name: s.name}
	for d := range numDetectors {
		if d == ddm && !s.errors || d == pageHinkley && s.pageHinkley == nil {
			continue
		}
		out.Drifts = append(out.Drifts, Count{d.String(), s.drifts[d]})
		out.Warning = out.Warning || s.warning[d]
	}
	if s.reference == nil {
		return out
	}
	if recent := s.recent.since(since); len(recent) > 0 {
		d := s.reference.Distance(recent)
		out.Compared, out.PSI, out.JS, out.KS, out.RecentSamples = true, d.PSI, d.JS, d.KS.D, d.N
	}
	return out
}

// newWindow returns the window of one version. New has checked its Config.
func (m *Monitor) newWindow() *Rolling[*tally] {
	w, _ := NewRolling(RollingConfig[*tally]{New: func() *tally { return &tally{m: m} },
		Every: m.cfg.Window / time.Duration(m.cfg.Slots), Slots: m.cfg.Slots})
	return w
}
