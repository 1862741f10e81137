package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/training"
)

// plan is what is trained, how it is watched, and the faults planted in it. The
// supervisor makes it and gives it to each process that trains.
type plan struct {
	Dir             string
	Steps           int
	CorpusBytes     int // of the text, 0 for all
	Model           tinylm.Config
	CheckpointEvery int
	PeakFLOPS       float64
	Spike           training.Spike
	Hang            training.Hang

	Garbled, GarbledBatches int // batches that hold noise instead of text
	Poisoned                int // the batch whose gradient holds a NaN
	HangStep                int // the step at which the first process stops

	Attempt int       // processes before this one
	Killed  time.Time // when the one before was ended
}

const (
	defaultSteps = 1000
	fastSteps    = 240
	minSteps     = 200
	maxSteps     = 20_000
)

// newPlan sizes everything by the number of steps.
//
// The model reads 64 places of the text at a time. The mean over so many makes the
// losses so even that none in a sound training is more than 5 robust deviations
// above the median, with norms alike, where a garbled batch is 30 or more: the
// detector's default of 10 fits. With 8 places the norm passes 20 by itself, at odd
// pages of the book.
//
// The detector's window and its advice are made for runs of many thousand steps.
// Here a checkpoint is saved twenty times a run; Back, SkipMin and SkipMax keep
// their ratio of 1:2:5 with Back half of that. The limit of a hang is three times
// the 99th percentile of the steps, a tenth of a second; the floor decides. It is
// far above any pause of a busy machine, and short enough to wait for.
func newPlan(steps int, seed uint64, fast bool) plan {
	every := steps / 20
	p := plan{
		Steps:           steps,
		CheckpointEvery: every,
		Model:           tinylm.Config{Seed: seed, Steps: steps, Batch: 64, Context: 16, Width: 64, Buckets: 4096},
		Spike:           training.Spike{Window: min(128, steps/4), Back: every / 2, SkipMin: every, SkipMax: every * 5 / 2},
		Hang: training.Hang{StepFloor: 5 * time.Second, Init: time.Minute, Restore: time.Minute,
			Save: time.Minute, Eval: time.Minute},

		Garbled: steps * 43 / 100, GarbledBatches: 3,
		Poisoned: steps * 70 / 100,
		HangStep: steps * 79 / 100,
	}
	p.Model.EvalEvery = steps // once, at the end
	if fast {
		p.CorpusBytes = 300_000
		p.Model.Context, p.Model.Width, p.Model.Embed, p.Model.Buckets = 8, 32, 24, 512
		p.Hang.StepFloor = 3 * time.Second
	}
	return p
}

func (p plan) checkpoints() string { return filepath.Join(p.Dir, "checkpoints") }
func (p plan) ledger() string      { return filepath.Join(p.checkpoints(), "goodput.json") }
func (p plan) board() string       { return filepath.Join(p.Dir, "tensorboard") }
func (p plan) history() string     { return filepath.Join(p.Dir, "history.jsonl") }
func (p plan) picture() string     { return filepath.Join(p.Dir, "history.svg") }
func (p plan) model() string       { return filepath.Join(p.Dir, "model.ckpt") }

// checkpoint is the file of the state after a step.
func (p plan) checkpoint(step int64) string {
	return filepath.Join(p.checkpoints(), fmt.Sprintf("state-%06d.ckpt", step))
}

// skip is how many batches to leave out after a spike: all those since the
// checkpoint, which brought it about or were read with a state that was ill, and
// some more, as far as the advice goes.
func skip(e training.Event) int {
	return min(int(e.Step-e.RollbackTo)+e.SkipMin, e.SkipMax)
}
