package tinylm

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func trainer(t testing.TB, text []byte, cfg Config) *Trainer {
	t.Helper()
	tr, err := NewTrainer(text, cfg)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

// steps takes n steps, which all have to be sound.
func steps(t testing.TB, tr *Trainer, n int) (last Progress) {
	t.Helper()
	for range n {
		var err error
		last, err = tr.Step()
		require.NoError(t, err)
	}
	return last
}

// finished takes the steps that are left.
func finished(t testing.TB, tr *Trainer) *Model {
	t.Helper()
	for !tr.Done() {
		steps(t, tr, 1)
	}
	m, err := tr.Model()
	require.NoError(t, err)
	return m
}

func TestTrainerIsTrain(t *testing.T) {
	tr := trainer(t, story(400), small())
	_, err := tr.Model()
	require.ErrorContains(t, err, "0 of 30 steps")
	m := finished(t, tr)
	assert.Equal(t, trained(t).Digest(), m.Digest())
	assert.Equal(t, trained(t).Facts().ValidationLoss, m.Facts().ValidationLoss)
	assert.Equal(t, m.TrainFLOPsPerToken(), tr.FLOPsPerToken())
	assert.Equal(t, m.Config().ClipNorm, tr.ClipNorm())

	_, err = tr.Step()
	require.ErrorContains(t, err, "done or closed")
	other := trainer(t, story(400), small())
	other.Close()
	other.Close()
	_, err = other.Step()
	require.ErrorContains(t, err, "done or closed")
	require.ErrorContains(t, other.Restore("none"), "done or closed")
	_, err = NewTrainer(story(400), Config{Steps: -1})
	require.ErrorContains(t, err, "Config.Steps is -1")
	_, err = NewTrainer(nil, Config{})
	require.ErrorIs(t, err, ErrCorpus)
}

func TestSkip(t *testing.T) {
	a, b := trainer(t, story(400), small()), trainer(t, story(400), small())
	assert.Equal(t, 1, a.NextBatch())
	a.Skip(0)
	a.Skip(-3)
	assert.Equal(t, 1, a.NextBatch())
	a.Skip(5)
	for range 5 {
		b.Skip(1)
	}
	assert.Equal(t, b.places, a.places)
	assert.Equal(t, 1, a.NextStep())
	p := steps(t, a, 1)
	assert.Equal(t, 1, p.Step)
	assert.Equal(t, 6, p.Batch)
	assert.Equal(t, p.Loss, steps(t, b, 1).Loss)

	// A walk around the text leads back to it, and no number is too large.
	n := len(a.train)
	before := a.places[0]
	a.Skip(n)
	assert.Equal(t, before, a.places[0])
	a.Skip(math.MaxInt / 2)
	assert.Less(t, a.places[0], n)
	assert.GreaterOrEqual(t, a.places[0], 0)
}

// The tensors are all of the gradient: their squares add up to its norm.
func TestEachGradient(t *testing.T) {
	tr := trainer(t, story(400), small())
	p := steps(t, tr, 3)
	var names []string
	var squares float64
	tr.EachGradient(func(name string, g []float32) {
		names = append(names, name)
		assert.NotEmpty(t, g, name)
		squares += sumSquares(g)
	})
	assert.Equal(t, []string{"layer0/wx", "layer0/wh", "layer0/b", "layer0/bn", "layer1/wx", "layer1/wh", "layer1/b", "layer1/bn",
		"out/wo", "out/ws", "out/bo", "embeddings"}, names)
	assert.InEpsilon(t, p.GradNorm, math.Sqrt(squares), 1e-9)
	var values int
	count := func(_ string, g []float32) { values += len(g) }
	assert.Zero(t, testing.AllocsPerRun(10, func() { tr.EachGradient(count) }))
	assert.Positive(t, values)
}

// A poisoned batch is found before anything is changed: whoever leaves it out goes
// on as if it had not been there.
func TestPoison(t *testing.T) {
	bad, good := trainer(t, story(400), small()), trainer(t, story(400), small())
	bad.Poison(4)
	steps(t, bad, 3)
	for range 2 { // it does not heal
		p, err := bad.Step()
		require.ErrorIs(t, err, ErrDiverged)
		assert.Equal(t, 4, p.Step)
		assert.Equal(t, 4, p.Batch)
		assert.True(t, math.IsNaN(p.GradNorm))
		assert.False(t, math.IsNaN(p.Loss), "the forward pass is sound")
		assert.Positive(t, p.StepTime)
	}
	var nonfinite []string
	bad.EachGradient(func(name string, g []float32) {
		if !finite(g) {
			nonfinite = append(nonfinite, name)
		}
	})
	assert.Equal(t, []string{"layer0/wx"}, nonfinite)
	bad.Skip(1)
	steps(t, good, 3)
	good.Skip(1)
	a, b := finished(t, bad), finished(t, good)
	assert.Equal(t, b.Digest(), a.Digest())
	assert.NotEqual(t, trained(t).Digest(), a.Digest(), "control: another batch was read instead")
}

// A garbled batch makes the loss jump, again each time it is read, and harms the
// steps after it; skipped, it does neither.
func TestGarble(t *testing.T) {
	cfg := small()
	cfg.Steps, cfg.LearningRate = 100, 0.02
	losses := func(garbled, skip bool) (l []float64) {
		tr := trainer(t, story(400), cfg)
		if garbled {
			tr.Garble(81, 2)
		}
		for range 90 {
			if skip && tr.NextBatch() == 81 {
				tr.Skip(2)
			}
			l = append(l, steps(t, tr, 1).Loss)
		}
		return l
	}
	sound, bad := losses(false, false), losses(true, false)
	assert.Equal(t, sound[:80], bad[:80])
	assert.Greater(t, bad[80], 2*sound[80])
	assert.Greater(t, bad[81], 2*sound[81])
	assert.Greater(t, bad[82], sound[82]+0.02, "what was learned from noise")
	assert.Equal(t, bad, losses(true, false), "the same noise each time")
	assert.Equal(t, losses(false, true), losses(true, true), "skipped, it leaves nothing behind")
}
