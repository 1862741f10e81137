package ecslog

import (
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

// Sample thins out lines below slog.LevelWarn: for each level and message a bucket
// holds up to Burst tokens, PerSecond more flow in, and a line takes one or is left
// out. The next line of the bucket that is written carries the number of those in
// labels.suppressed.
type Sample struct {
	PerSecond float64 // tokens a second, up to 1e9; 0: every line is written
	Burst     int     // Defaults to PerSecond, rounded up.
	Keys      int     // pairs of level and message that have a bucket of their own; further ones share one. Defaults to 1024.
}

const (
	defaultSampleKeys = 1024
	maxSampleKeys     = 1 << 20
	maxPerSecond      = 1e9
)

func (s Sample) withDefaults() Sample {
	if s.Burst == 0 {
		s.Burst = int(s.PerSecond)
		if float64(s.Burst) < s.PerSecond {
			s.Burst++
		}
	}
	if s.Keys == 0 {
		s.Keys = defaultSampleKeys
	}
	return s
}

// sampler is the state of a Sample.
type sampler struct {
	Sample
	seed maphash.Seed

	mu      sync.Mutex
	buckets map[uint64]*bucket // by a hash of level and message, so that long ones cost no memory
	shared  bucket
}

// bucket counts tokens up to a time.
type bucket struct {
	tokens     float64
	at         time.Time
	suppressed uint64
}

func newSampler(s Sample) *sampler {
	return &sampler{Sample: s, seed: maphash.MakeSeed(), buckets: map[uint64]*bucket{}, shared: bucket{tokens: float64(s.Burst)}}
}

// pass decides on a line, and returns how many were left out before it.
func (s *sampler) pass(now time.Time, level slog.Level, message string) (suppressed uint64, ok bool) {
	if s.PerSecond == 0 || level >= slog.LevelWarn {
		return 0, true
	}
	const odd = 0x9e3779b97f4a7c15 // spreads the levels
	k := maphash.String(s.seed, message) + uint64(level)*odd
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[k]
	if b == nil {
		if len(s.buckets) < s.Keys {
			b = &bucket{tokens: float64(s.Burst), at: now}
			s.buckets[k] = b
		} else {
			b = &s.shared
		}
	}
	return b.take(now, s.Sample)
}

func (b *bucket) take(now time.Time, s Sample) (suppressed uint64, ok bool) {
	// A time before the last one brings no tokens, and takes none.
	if since := now.Sub(b.at); since > 0 {
		b.tokens = min(b.tokens+since.Seconds()*s.PerSecond, float64(s.Burst))
		b.at = now
	}
	if b.tokens < 1 {
		b.suppressed++
		return 0, false
	}
	b.tokens--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}
