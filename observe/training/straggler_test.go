package training

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func seconds(s ...float64) []time.Duration {
	times := make([]time.Duration, len(s))
	for i, x := range s {
		times[i] = time.Duration(x * float64(time.Second))
	}
	return times
}

func TestStragglerScores(t *testing.T) {
	var s Straggler
	assert.Equal(t, []Lag{{Rank: 0, Score: 1, OwnScore: 1}, {Rank: 1, Score: 1, OwnScore: 1}, {Rank: 2, Score: 0.5, OwnScore: 1}},
		s.Observe(seconds(2, 2, 4), nil), "twice as slow is 0.5")
	assert.Equal(t, []Lag{{Rank: 0, Score: 1.5, OwnScore: 1}, {Rank: 1, Score: 1, OwnScore: 2.0 / 3}, {Rank: 2, Score: 0.75, OwnScore: 1}},
		s.Observe(seconds(2, 3, 4), nil))
	s = Straggler{}
	got := s.Observe(seconds(1, 2, 4, 8), nil)
	assert.Equal(t, 3.0, got[0].Score, "of an even number, the middle of two")
	assert.Equal(t, 0.375, got[3].Score)
}

// A rank is flagged by the fifth window in a row, and cleared by the fifth clean one.
func TestStragglerFlags(t *testing.T) {
	slow, good, unknown := 2.0, 1.0, 0.0
	var s Straggler
	for i, c := range []struct {
		time             float64
		flagged, changed bool
	}{
		{slow, false, false}, {slow, false, false}, {slow, false, false}, {slow, false, false}, {good, false, false}, // 4 of 5
		{slow, false, false}, {slow, false, false}, {unknown, false, false}, {slow, false, false}, {slow, false, false}, {slow, true, true},
		{slow, true, false}, {good, true, false}, {good, true, false}, {unknown, true, false}, {good, true, false}, {good, true, false},
		{slow, true, false}, {good, true, false}, {good, true, false}, {good, true, false}, {good, true, false}, {good, false, true},
		{good, false, false},
	} {
		l := s.Observe(seconds(1, 1, c.time, 1), nil)[2]
		require.Equal(t, c.flagged, l.Flagged, "window %d", i)
		require.Equal(t, c.changed, l.Changed, "window %d", i)
	}
	// Where all become slow together, none is a straggler; their own scores tell.
	for range 20 {
		for _, l := range s.Observe(seconds(9, 9, 9, 9), nil) {
			require.False(t, l.Flagged)
			require.InDelta(t, 1.0/9, l.OwnScore, 1e-12)
		}
	}
}

func TestStragglerUnmeasured(t *testing.T) {
	var s Straggler
	got := s.Observe([]time.Duration{0, -time.Hour, math.MinInt64, time.Second, 2 * time.Second}, nil)
	require.Len(t, got, 5)
	for _, l := range got[:3] {
		assert.Zero(t, l.Score)
		assert.Zero(t, l.OwnScore)
	}
	assert.Zero(t, got[4].Score, "two ranks are too few to compare")
	assert.Equal(t, 1.0, got[4].OwnScore)
	assert.Empty(t, s.Observe(nil, nil))

	s = Straggler{MinRanks: 2, Of: 1}
	assert.True(t, s.Observe(seconds(1, 0, 4), nil)[2].Changed)
	s = Straggler{MinRanks: 2, Of: 1}
	assert.Equal(t, []Lag{{Rank: 0, Score: 1, OwnScore: 1}, {Rank: 1, Score: 1, OwnScore: 1}},
		s.Observe([]time.Duration{math.MaxInt64, math.MaxInt64}, nil))
}

// Other numbers of ranks are other ranks.
func TestStragglerRanksChange(t *testing.T) {
	s := Straggler{Of: 2}
	s.Observe(seconds(1, 1, 3), nil)
	require.True(t, s.Observe(seconds(1, 1, 3), nil)[2].Flagged)
	for _, times := range [][]time.Duration{seconds(1, 1, 3, 1), seconds(1, 1, 3), seconds(1, 1, 3, 1, 1, 1)} {
		l := s.Observe(times, nil)[2]
		require.False(t, l.Flagged)
		require.Equal(t, 1.0, l.OwnScore)
	}
	require.True(t, s.Observe(seconds(1, 1, 3, 1, 1, 1), nil)[2].Changed)
}

func TestStragglerManyRanks(t *testing.T) {
	s := Straggler{Of: 1}
	times := make([]time.Duration, 200_000)
	for i := range times {
		times[i] = time.Second
	}
	times[99_999] = 3 * time.Second
	lags := s.Observe(times, nil)
	require.Len(t, lags, maxRanks, "the others are left out")
	flagged := 0
	for _, l := range lags {
		if l.Flagged {
			flagged++
			require.Equal(t, 99_999, l.Rank)
		}
	}
	require.Equal(t, 1, flagged)
	assert.Zero(t, testing.AllocsPerRun(3, func() { lags = s.Observe(times, lags) }), "memory is used again")
	few := s.Observe(times[:8], lags)
	require.Len(t, few, 8)
	require.Same(t, &lags[0], &few[0])
}

// Scores do not depend on the unit of time, nor on the order of the ranks.
func TestStragglerProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	for range 500 {
		n := 3 + rng.IntN(20)
		times, scaled, shuffled := make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n)
		order := rng.Perm(n)
		for i := range times {
			times[i] = time.Duration(1 + rng.IntN(1e9))
			scaled[i] = 8 * times[i]
		}
		for i, j := range order {
			shuffled[j] = times[i]
		}
		var a, b, c Straggler
		x, y, z := a.Observe(times, nil), b.Observe(scaled, nil), c.Observe(shuffled, nil)
		above, below := 0, 0
		for i := range x {
			require.InDelta(t, x[i].Score, y[i].Score, 1e-9)
			require.Equal(t, x[i].Score, z[order[i]].Score)
			if x[i].Score >= 1 {
				above++
			}
			if x[i].Score <= 1 {
				below++
			}
		}
		require.GreaterOrEqual(t, 2*above, n, "half of the ranks are at the median or before it")
		require.GreaterOrEqual(t, 2*below, n)
	}
}

func TestStragglerOffAndFaults(t *testing.T) {
	off := Straggler{Off: true}
	assert.Empty(t, off.Observe(seconds(1, 1, 9), make([]Lag, 3)))
	for _, s := range []Straggler{{}, {Below: 0.01, Of: 1, MinRanks: 2}, {Below: 0.99, Of: 1000}} {
		assert.Empty(t, s.faults("x"))
	}
	faults := (&Straggler{Below: 1, Of: -1, MinRanks: 1}).faults("c.Straggler")
	require.Len(t, faults, 3, "all at once")
	assert.EqualError(t, faults[0], "c.Straggler.Below is 1: want 0.01 to 0.99")
	assert.EqualError(t, faults[1], "c.Straggler.Of is -1: want 1 to 1000")
	assert.EqualError(t, faults[2], "c.Straggler.MinRanks is 1: want 2 to 131072")
	for _, below := range []float64{math.NaN(), math.Inf(1), -0.5, 7} {
		assert.Len(t, (&Straggler{Below: below}).faults("x"), 1)
	}
	var used Straggler
	used.Observe(nil, nil)
	assert.Len(t, used.faults("x"), 1)
}
