package quality

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newScores(t *testing.T, config ScoresConfig) *Scores {
	t.Helper()
	s, err := NewScores(config)
	require.NoError(t, err)
	return s
}

func TestScoresConfigFaults(t *testing.T) {
	_, err := NewScores(ScoresConfig{Bins: 1, CalibrationBins: -3})
	assert.ErrorContains(t, err, "Bins is 1")
	assert.ErrorContains(t, err, "CalibrationBins is -3")
	_, err = NewScores(ScoresConfig{Bins: 1<<20 + 1, CalibrationBins: 10_001})
	assert.ErrorContains(t, err, "Bins is 1048577")
	assert.ErrorContains(t, err, "CalibrationBins is 10001")
	s := newScores(t, ScoresConfig{})
	assert.Len(t, s.positives, 4096)
	assert.Len(t, s.calibration, 10)
}

// Brier is that of the docstring of brier_score_loss; AUC and AP of roc_auc_score
// and average_precision_score.
func TestScoresKnownValues(t *testing.T) {
	s := newScores(t, ScoresConfig{})
	for i, p := range []float64{.1, .9, .8, .3} {
		s.Add(i == 1 || i == 2, p)
	}
	near(t, 0.0375, s.Brier())
	s.Reset()
	for i, p := range []float64{.1, .4, .35, .8} {
		s.Add(i >= 2, p)
	}
	auc, bound := s.AUC()
	near(t, 0.75, auc)
	assert.Zero(t, bound, "no two scores share a bin")
	near(t, 0.833333, s.AP())
	assert.EqualValues(t, 4, s.N())
}

// The bound holds, and one that is half of it does not always.
func TestScoresAUCWithinBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	worst := 0.0
	for range 10_000 {
		y, p := randomScores(r, 2+r.IntN(40))
		s := newScores(t, ScoresConfig{Bins: 2 + r.IntN(64)})
		for i := range y {
			s.Add(y[i], p[i])
		}
		exact, err := ROCAUC(y, p)
		require.NoError(t, err)
		auc, bound := s.AUC()
		require.InDelta(t, exact, auc, bound+1e-12)
		if bound > 0 {
			worst = max(worst, math.Abs(auc-exact)/bound)
		}
	}
	assert.Greater(t, worst, 0.9, "the bound is no larger than it has to be")
}

// Brier, log loss and ECE are those of the scores, whatever the bins.
func TestScoresAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 1000 {
		y, p := randomScores(r, 2+r.IntN(40))
		s := newScores(t, ScoresConfig{Bins: 2, CalibrationBins: 7})
		rows, classes := make([][]float64, len(p)), make([]int, len(p))
		for i := range y {
			s.Add(y[i], p[i])
			rows[i] = []float64{1 - p[i], p[i]}
			if y[i] {
				classes[i] = 1
			}
		}
		want, err := Brier(y, p)
		require.NoError(t, err)
		require.InDelta(t, want, s.Brier(), 1e-12)
		want, err = LogLoss(classes, rows)
		require.NoError(t, err)
		require.InDelta(t, want, s.LogLoss(), 1e-12)
		want, err = ECE(y, p, 7)
		require.NoError(t, err)
		require.InDelta(t, want, s.ECE(), 1e-12)
	}
}

func TestScoresMergeAndOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		y, p := randomScores(r, 2+r.IntN(60))
		all := newScores(t, ScoresConfig{Bins: 64})
		parts := []*Scores{newScores(t, ScoresConfig{Bins: 64}), newScores(t, ScoresConfig{Bins: 64})}
		for i := range y {
			all.Add(y[i], p[i])
		}
		shuffled(r, len(y), func(i int) { parts[r.IntN(2)].Add(y[i], p[i]) })
		require.NoError(t, parts[0].Merge(parts[1]))
		require.Equal(t, all.positives, parts[0].positives)
		require.Equal(t, all.negatives, parts[0].negatives)
		require.InDelta(t, all.Brier(), parts[0].Brier(), 1e-12)
		require.InDelta(t, all.LogLoss(), parts[0].LogLoss(), 1e-12)
		require.InDelta(t, all.ECE(), parts[0].ECE(), 1e-12)
		want, got := all.Calibration(), parts[0].Calibration()
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i].N, got[i].N)
			require.InDelta(t, want[i].Predicted, got[i].Predicted, 1e-12)
			require.InDelta(t, want[i].Observed, got[i].Observed, 1e-12)
		}
	}
}

func TestScoresMergeRefuses(t *testing.T) {
	s := newScores(t, ScoresConfig{})
	assert.ErrorIs(t, s.Merge(newScores(t, ScoresConfig{Bins: 5})), ErrSettings)
	assert.ErrorIs(t, s.Merge(newScores(t, ScoresConfig{CalibrationBins: 5})), ErrSettings)
	s.Add(true, 0.5)
	for range 62 {
		require.NoError(t, s.Merge(s))
	}
	assert.EqualValues(t, 1<<62, s.N())
	assert.ErrorIs(t, s.Merge(s), ErrInput)
	assert.EqualValues(t, 1<<62, s.N())
}

func TestScoresRefuse(t *testing.T) {
	s := newScores(t, ScoresConfig{})
	for _, p := range []float64{math.NaN(), -1e-300, 1 + 1e-15, math.Inf(1), math.Inf(-1)} {
		s.Add(true, p)
	}
	assert.EqualValues(t, 5, s.Refused())
	assert.Zero(t, s.N())
	other := newScores(t, ScoresConfig{})
	require.NoError(t, other.Merge(s))
	assert.EqualValues(t, 5, other.Refused())
	s.Reset()
	assert.Zero(t, s.Refused())
}

// The ends of the range have a bin, and cost a finite loss.
func TestScoresEnds(t *testing.T) {
	s := newScores(t, ScoresConfig{Bins: 2, CalibrationBins: 3})
	for _, p := range []float64{0, math.Copysign(0, -1), 1} {
		s.Add(true, p)
		s.Add(false, p)
	}
	near(t, -math.Log(1e-15)/2, s.LogLoss())
	assert.Equal(t, []CalibrationBin{{N: 4, Predicted: 0, Observed: 0.5}, {N: 2, Predicted: 1, Observed: 0.5}}, s.Calibration())
	assert.Equal(t, 0.5, s.ECE())
	assert.Equal(t, 0.5, s.Brier())
}

func TestScoresOfNothing(t *testing.T) {
	s := newScores(t, ScoresConfig{})
	auc, bound := s.AUC()
	for _, v := range []float64{auc, bound, s.AP(), s.Brier(), s.LogLoss(), s.ECE()} {
		assert.True(t, math.IsNaN(v))
	}
	assert.Empty(t, s.Calibration())
	s.Add(true, 0.5)
	auc, bound = s.AUC()
	assert.True(t, math.IsNaN(auc) && math.IsNaN(bound), "one outcome only")
	assert.Equal(t, 1.0, s.AP())
	s.Reset()
	s.Add(false, 0.5)
	assert.True(t, math.IsNaN(s.AP()))
}

func TestScoresAllocateNothing(t *testing.T) {
	s := newScores(t, ScoresConfig{})
	assert.Zero(t, testing.AllocsPerRun(1000, func() { s.Add(true, 0.3); s.Add(false, math.NaN()) }))
}
