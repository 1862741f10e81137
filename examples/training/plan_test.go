package main

import (
	"bytes"
	"encoding/gob"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// Whatever the number of steps, each fault has room: for what is known before it,
// for a checkpoint to return to, and for the fault after it.
func TestPlan(t *testing.T) {
	for steps := minSteps; steps <= maxSteps; steps += 1 + steps/50 {
		for _, fast := range []bool{false, true} {
			p := newPlan(steps, 1, fast)
			every := p.CheckpointEvery
			require.Equal(t, steps, p.Model.Steps)
			require.Less(t, p.Spike.Window+every, p.Garbled, "the window is full")
			// The spike at its own step: the newest checkpoint that is far enough back.
			e := training.Event{Kind: training.EventSpike, Step: int64(p.Garbled), SkipMin: p.Spike.SkipMin, SkipMax: p.Spike.SkipMax}
			e.RollbackTo = (e.Step - int64(p.Spike.Back)) / int64(every) * int64(every)
			require.Positive(t, e.RollbackTo)
			n := skip(e)
			require.GreaterOrEqual(t, n, p.Spike.SkipMin)
			require.LessOrEqual(t, n, p.Spike.SkipMax)
			require.Greater(t, int(e.RollbackTo)+n, p.Garbled+p.GarbledBatches-1, "all garbled batches are skipped")
			require.GreaterOrEqual(t, e.Step-e.RollbackTo, int64(p.Spike.Back))
			require.Less(t, e.Step-e.RollbackTo, int64((keep-1)*every), "the checkpoint is still kept")

			poisoned := p.Poisoned - n // the step that reads the batch
			require.Greater(t, poisoned, p.Garbled+every)
			require.Greater(t, p.HangStep, poisoned+every, "there is a checkpoint behind the NaN")
			require.Less(t, p.HangStep, steps)
			_, err := training.New(training.Config{Run: "r", Spike: p.Spike, Hang: p.Hang})
			require.NoError(t, err)
		}
	}
}

// A plan reaches the process that trains as it is.
func TestPlanTravels(t *testing.T) {
	p := newPlan(defaultSteps, 3, false)
	p.Dir, p.Attempt = "somewhere", 2
	var b bytes.Buffer
	require.NoError(t, gob.NewEncoder(&b).Encode(p))
	var got plan
	require.NoError(t, gob.NewDecoder(&b).Decode(&got))
	assert.Equal(t, p, got)
}

func TestSkip(t *testing.T) {
	for _, c := range []struct {
		step, to  int64
		low, high int
		want      int
	}{
		{430, 400, 50, 125, 80},
		{400, 400, 50, 125, 50},
		{530, 400, 50, 125, 125},
	} {
		assert.Equal(t, c.want, skip(training.Event{Step: c.step, RollbackTo: c.to, SkipMin: c.low, SkipMax: c.high}))
	}
}
