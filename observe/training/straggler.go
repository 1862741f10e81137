package training

import (
	"slices"
	"time"
)

// maxRanks is how many ranks a Straggler looks at.
const maxRanks = 1 << 17

// Straggler finds ranks that lag behind the others. It is given, window by window,
// how long each rank took before it waited for the others: after that all look
// equally slow. The score of a rank is
//
//	median of the ranks / time of this rank
//
// so that 0.5 is twice as slow as most. A rank is flagged after Of windows in a row
// below Below, and cleared after as many that are not. Its own score, which
// compares it with itself, flags nothing: it tells a rank that has become slow from
// one that always was.
//
// Parameters are set before the first Observe, which replaces each that is out of
// range by its default; a Recorder's New reports them instead. A Straggler is not
// safe for concurrent use. A copy shares its memory, unless it was made before the
// first Observe.
type Straggler struct {
	// Below is the score that a rank has to be below: 0.01 to 0.99. Defaults to
	// 0.7.
	Below float64
	// Of is how many windows in a row it takes: 1 to 1000. Defaults to 5.
	Of int
	// MinRanks is how many ranks have to be measured for a window to count: at least
	// 2. Defaults to 3.
	MinRanks int
	// Off switches the detector off.
	Off bool

	settled bool
	ranks   []rankState
	sorted  []time.Duration // of the measured ranks
}

// rankState is what is known of one rank.
type rankState struct {
	best    time.Duration // 0: never measured
	flagged bool
	against int // windows in a row that contradict flagged
}

// Lag is what a Straggler says of one rank after one window.
type Lag struct {
	Rank     int     // its index among the times given
	Score    float64 // median of the ranks / its time; 0 is not known
	OwnScore float64 // its best time of all windows / its time, 0 to 1; 0 is not known
	Flagged  bool    // it is a straggler
	Changed  bool    // Flagged has changed with this window
}

// Observe judges one window: times holds the time of each rank, of which zero or
// less is not measured and changes nothing. It puts a Lag for each rank into the
// memory of lags, and returns them. Ranks from 131,072 on are left out. If the
// number of ranks is another than before, they are other ranks: all start anew.
// It allocates only while the number of ranks grows, and returns none if the
// detector is off. O(n log n).
func (s *Straggler) Observe(times []time.Duration, lags []Lag) []Lag {
	lags = lags[:0]
	if s.Off {
		return lags
	}
	if !s.settled {
		s.settle("")
		s.settled = true
	}
	times = times[:min(len(times), maxRanks)]
	if len(times) != len(s.ranks) {
		s.ranks = slices.Grow(s.ranks[:0], len(times))[:len(times)]
		clear(s.ranks)
	}
	lags = slices.Grow(lags, len(times))
	median := s.median(times)
	for i, t := range times {
		lags = append(lags, s.ranks[i].judge(i, t, median, s.Below, s.Of))
	}
	return lags
}

// median returns the median of the measured times, or 0 if they are too few.
func (s *Straggler) median(times []time.Duration) float64 {
	s.sorted = slices.Grow(s.sorted[:0], len(times))
	for _, t := range times {
		if t > 0 {
			s.sorted = append(s.sorted, t)
		}
	}
	n := len(s.sorted)
	if n < s.MinRanks {
		return 0
	}
	slices.Sort(s.sorted)
	return middle(float64(s.sorted[(n-1)/2]), float64(s.sorted[n/2]))
}

func (r *rankState) judge(rank int, t time.Duration, median, below float64, of int) Lag {
	l := Lag{Rank: rank, Flagged: r.flagged}
	if t <= 0 {
		return l
	}
	if r.best == 0 || t < r.best {
		r.best = t
	}
	l.OwnScore = float64(r.best) / float64(t)
	if median == 0 {
		return l
	}
	l.Score = median / float64(t)
	if (l.Score < below) == r.flagged {
		r.against = 0
		return l
	}
	if r.against++; r.against >= of {
		r.flagged, r.against = !r.flagged, 0
		l.Flagged, l.Changed = r.flagged, true
	}
	return l
}

// faults reports the parameters that are out of range, and a detector that was
// used.
func (s *Straggler) faults(prefix string) []error {
	unused := *s
	return append(unused.settle(prefix), usedFault(prefix, s.settled)...)
}

// settle sets the defaults and returns the faults.
func (s *Straggler) settle(prefix string) []error {
	p := parameters{prefix: prefix}
	param(&p, "Below", &s.Below, 0.01, 0.99, 0.7)
	param(&p, "Of", &s.Of, 1, 1000, 5)
	param(&p, "MinRanks", &s.MinRanks, 2, maxRanks, 3)
	return p.faults
}
