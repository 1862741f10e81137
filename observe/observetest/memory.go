package observetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/calmops/calm/observe"
)

// Memory is a Sink that keeps every request and every gap, for tests of what
// observes and of what is observed. It grows without bound. All methods may be
// called from many goroutines; a nil *Memory keeps nothing.
type Memory struct {
	mu       sync.Mutex
	requests []observe.RequestStats
	gaps     map[observe.Labels][]time.Duration
}

// NewMemory returns an empty Memory; its zero value is one too.
func NewMemory() *Memory {
	return new(Memory)
}

// Attach implements [observe.Sink]. A Memory reads nothing from its Recorders.
func (m *Memory) Attach(*observe.Recorder) {}

// Series implements [observe.Sink].
func (m *Memory) Series(l observe.Labels) observe.SeriesSink {
	if m == nil {
		return nil
	}
	return memorySeries{m, l}
}

// Requests returns copies of the requests so far, in the order in which they
// ended.
func (m *Memory) Requests() []observe.RequestStats {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// Gaps returns a copy of the inter-token gaps of a label set so far, in the
// order in which they were merged. Those of one stream keep their order.
func (m *Memory) Gaps(l observe.Labels) []time.Duration {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.gaps[l])
}

// memorySeries is the handle of one label set.
type memorySeries struct {
	memory *Memory
	labels observe.Labels
}

func (s memorySeries) Gaps(gaps []time.Duration) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.gaps == nil {
		s.memory.gaps = make(map[observe.Labels][]time.Duration)
	}
	s.memory.gaps[s.labels] = append(s.memory.gaps[s.labels], gaps...)
}

func (s memorySeries) Request(_ context.Context, r *observe.RequestStats) {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.requests = append(s.memory.requests, *r)
}
