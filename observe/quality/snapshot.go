package quality

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/calmops/calm/observe/quality/drift"
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

// Snapshot returns the state of now. Recording goes on meanwhile: the lock is held
// while the slots of one version are merged, some 30 us with every kind of score, a
// few ms with hundreds of classes. So each version and stream is of one instant, the
// whole is not.
func (m *Monitor) Snapshot() Snapshot {
	if m == nil {
		return Snapshot{}
	}
	now := time.Now()
	s, versions, streams := m.contents()
	for _, v := range versions {
		s.Versions = append(s.Versions, m.figures(v, now))
	}
	slices.SortFunc(s.Versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Version, b.Version))
	})
	for _, x := range streams {
		s.Streams = append(s.Streams, m.compare(x, now.Add(-m.cfg.Window)))
	}
	slices.SortFunc(s.Refused, func(a, b Refused) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}

// place is where a version is recorded.
type place struct {
	task *task
	name string
	*version
}

// contents returns what there is to read, and what takes no time to read.
func (m *Monitor) contents() (s Snapshot, versions []place, streams []*stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Panics = m.panics
	for _, t := range m.tasks {
		for name, v := range t.versions {
			versions = append(versions, place{t, name, v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.streams)) {
		streams = append(streams, m.streams[name])
	}
	for k, n := range m.refused {
		s.Refused = append(s.Refused, Refused{k.task, k.reason, n})
	}
	return s, versions, streams
}

// figures reads one version.
func (m *Monitor) figures(p place, now time.Time) Version {
	m.mu.Lock()
	sum, _ := p.window.Value(now) // tallies of one Monitor can be merged
	v := Version{Task: p.task.name, Version: p.name, Samples: p.samples}
	length := p.task.referenceLength(m.cfg.Baseline)
	m.mu.Unlock()
	v.Scores = sum.figures(length, m.measure.scripts != nil)
	return v
}

// compare reads one stream. To compare its values takes up to a millisecond.
func (m *Monitor) compare(s *stream, since time.Time) Stream {
	m.mu.Lock()
	out, reference, recent := s.read(since)
	m.mu.Unlock()
	if reference != nil && len(recent) > 0 {
		d := reference.Distance(recent)
		out.Compared, out.PSI, out.JS, out.KS, out.RecentSamples = true, d.PSI, d.JS, d.KS.D, d.N
	}
	return out
}

func (s *stream) read(since time.Time) (out Stream, reference *drift.Reference, recent []float64) {
	out.Name = s.name
	for d := range numDetectors {
		if d == ddm && !s.errors || d == pageHinkley && s.pageHinkley == nil {
			continue
		}
		out.Drifts = append(out.Drifts, Count{d.String(), s.drifts[d]})
		out.Warning = out.Warning || s.warning[d]
	}
	if s.reference != nil {
		recent = s.recent.since(since)
	}
	return out, s.reference, recent
}

// newWindow returns the window of one version. New has checked its Config.
func (m *Monitor) newWindow() *Rolling[*tally] {
	w, _ := NewRolling(RollingConfig[*tally]{New: func() *tally { return &tally{m: m} },
		Every: m.cfg.Window / time.Duration(m.cfg.Slots), Slots: m.cfg.Slots})
	return w
}
