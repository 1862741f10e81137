package training

import "time"

// Step is what the caller knows when an optimizer step has ended. Everything but
// N may be left at zero.
type Step struct {
	// N is the number of the step; the first is 1.
	N int64

	// Loss is the mean loss of the step, reduced over all ranks: a detector that
	// sees one rank's loss decides for one rank. NaN and infinities are recorded as
	// they are.
	Loss float64
	// LossMax is the largest loss of a rank; 0 is not known.
	LossMax float64

	// GradNorm is the global L2 norm of the gradient before clipping; 0 is not
	// known.
	GradNorm float64
	// ClipAt is the norm that the gradient was clipped to; 0 is no clipping.
	ClipAt float64

	// LearningRate is the rate that this step was applied with; 0 is not known.
	LearningRate float64
	// LossScale is the factor of mixed-precision training; 0 is none.
	LossScale float64

	// Tokens is how many tokens the step has trained on, over all Devices of the
	// Config.
	Tokens int64

	// Duration is how long the step took. Defaults to the time since the last Step
	// or change of phase. In PhaseInit it has no default: enter PhaseStep before the
	// first step, else that counts as a part of PhaseInit.
	Duration time.Duration
	// DataWait is the part of Duration that was spent waiting for input.
	DataWait time.Duration
	// PreCollective is the part of Duration before this rank waited for others; 0
	// is not known.
	PreCollective time.Duration

	// Skipped says that the optimizer did not apply the step: a loss scale that
	// overflowed, or the caller's choice.
	Skipped bool
}

// Phase is what a training process spends its time on.
type Phase uint8

// The phases.
const (
	// PhaseInit is everything before the first step: start of the program,
	// building, compiling, loading of data. A Recorder starts in it.
	PhaseInit Phase = iota
	// PhaseStep is training. Step enters it.
	PhaseStep
	// PhaseCheckpointSave is saving a checkpoint while training waits.
	PhaseCheckpointSave
	// PhaseCheckpointRestore is loading a checkpoint.
	PhaseCheckpointRestore
	// PhaseEval is evaluation between steps.
	PhaseEval
	// PhaseCustom is anything else that the caller accounts for.
	PhaseCustom
	// PhaseIdle is waiting for something outside of the job.
	PhaseIdle

	numPhases
)

// String returns the phase as it stands in metrics: "init", "step",
// "checkpoint_save", "checkpoint_restore", "eval", "custom", "idle".
func (p Phase) String() string {
	if p >= numPhases {
		return "unknown"
	}
	return [numPhases]string{"init", "step", "checkpoint_save", "checkpoint_restore", "eval", "custom", "idle"}[p]
}
