package tinylm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrDiverged is the error of a training whose loss or gradient is no longer a
// number.
var ErrDiverged = errors.New("tinylm: training diverged")

// Progress is the state of a training after a step.
type Progress struct {
	Step, Steps int
	// Batch is the number of the batch that the step read, from 1: that of the step,
	// and the batches skipped before it.
	Batch int
	// Tokens is the number of tokens trained on so far.
	Tokens int
	// Loss is the mean of this step's batch, in nats per token.
	Loss float64
	// ValidationLoss is on a sample of the text held out, on all of it after the
	// last step, in nats per token. It holds when Validated is set.
	ValidationLoss float64
	Validated      bool
	LearningRate   float64
	// GradNorm is the global norm of the gradient before clipping.
	GradNorm float64
	// TokensPerSecond is the mean since the start, validations included.
	TokensPerSecond float64
	// Elapsed is since the start, less what Restore has undone. StepTime is the time
	// of this step's computation.
	Elapsed, StepTime time.Duration
	// StepFLOPs is the floating-point operations of a step in matrix products.
	// Over StepTime and PeakFLOPS it is the model FLOPs utilization, MFU.
	StepFLOPs float64
	// ETA is the time left at the mean speed so far.
	ETA time.Duration
}

// Train trains a model on text. It returns when the steps are done, or early
// with the error of ctx. One token is one character of the text.
func Train(ctx context.Context, text []byte, cfg Config) (*Model, error) {
	t, err := NewTrainer(text, cfg)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	for !t.Done() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("tinylm: training stopped after %d of %d steps: %w", t.step, t.cfg.Steps, err)
		}
		p, err := t.Step()
		if err != nil {
			return nil, err
		}
		if err := report(t.cfg.OnProgress, p); err != nil {
			return nil, err
		}
	}
	return t.Model()
}

// report calls the user's function and turns its panic into an error.
func report(f func(Progress), p Progress) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("tinylm: OnProgress panicked: %v", v)
		}
	}()
	f(p)
	return nil
}
