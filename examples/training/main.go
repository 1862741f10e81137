// Training trains a small language model in a process of its own, plants three
// faults in it, and shows that each is found, answered and accounted for: a garbled
// batch (a loss spike: roll back and skip), a NaN in a gradient (roll back and skip
// the batch), a step that hangs (end the process, restore the checkpoint, go on).
//
//	go run ./examples/training          # about a minute; exit 1 if something was not as expected
//	go run ./examples/training -fast    # about ten seconds
//
// The files read in this order: plan.go (what is trained, and the faults), child.go
// (the training with its Recorder), supervise.go (the process beside it), history.go
// and svg.go (what the run has written), report.go (the account, and the checks).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/calmops/calm/examples/internal/tinylm"
)

const usage = `Training trains a small language model, breaks it three times, and accounts for it.

  go run ./examples/training [flags]

Flags:
  -dir FOLDER   where to write; it must be empty (default: a new temporary folder)
  -steps N      optimizer steps, 200 to 20000 (default 1000)
  -seed N       of the training (default 1)
  -fast         a smaller model and 240 steps
  -help         print this
`

// errUsage is a fault of the command line: exit 2.
var errUsage = errors.New("usage")

// childFlag makes the program the process that trains.
const childFlag = "-child"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 2 && os.Args[1] == childFlag {
		os.Exit(childMain(ctx, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, again))
}

// again starts this program once more, to train.
func again(ctx context.Context) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, self, childFlag), nil
}

// run is main less the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, start starter) int {
	p, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err == nil {
		err = demonstrate(ctx, p, stdout, stderr, start)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "training:", err)
		return 2
	}
	fmt.Fprintln(stdout, "training: FAILED", err)
	return 1
}

func parse(args []string) (plan, error) {
	var dir string
	var seed uint64
	var steps int
	var fast bool
	fs := flag.NewFlagSet("training", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&dir, "dir", "", "")
	fs.IntVar(&steps, "steps", 0, "")
	fs.Uint64Var(&seed, "seed", 1, "")
	fs.BoolVar(&fast, "fast", false, "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return plan{}, err
		}
		return plan{}, fmt.Errorf("%w: %w (-help prints the flags)", errUsage, err)
	}
	if fs.NArg() > 0 {
		return plan{}, fmt.Errorf("%w: unexpected argument %q (-help prints the flags)", errUsage, fs.Arg(0))
	}
	if steps == 0 {
		steps = defaultSteps
		if fast {
			steps = fastSteps
		}
	}
	if steps < minSteps || steps > maxSteps {
		return plan{}, fmt.Errorf("%w: -steps %d: want %d to %d", errUsage, steps, minSteps, maxSteps)
	}
	p := newPlan(steps, seed, fast)
	p.Dir = dir
	return p, nil
}

// demonstrate is the whole story.
func demonstrate(ctx context.Context, p plan, stdout, stderr io.Writer, start starter) error {
	corpus, err := tinylm.LoadCorpus(tinylm.CorpusConfig{MaxBytes: p.CorpusBytes})
	if err != nil {
		return err
	}
	if err := makeDir(&p); err != nil {
		return fmt.Errorf("%w: -dir: %w", errUsage, err)
	}
	// Measured before anything else runs, so that both processes mean the same. The
	// best of five: a busy machine shows less than it can.
	for range 5 {
		p.PeakFLOPS = max(p.PeakFLOPS, tinylm.PeakFLOPS(runtime.GOMAXPROCS(0)))
	}
	fmt.Fprintf(stdout, `calm training example
  text     %s, %d kB
  plan     %d steps of %d characters, a checkpoint every %d
  faults   batches %d to %d garbled; NaN in the gradient of batch %d; step %d hangs
  peak     %.1f GFLOP/s, measured with the model's own kernel on all cores
  folder   %s

`, corpus.Source, len(corpus.Text)/1000, p.Steps, p.Model.Batch*p.Model.Context, p.CheckpointEvery,
		p.Garbled, p.Garbled+p.GarbledBatches-1, p.Poisoned, p.HangStep, p.PeakFLOPS/1e9, p.Dir)

	s := newSupervisor(p, start, stdout, stderr)
	if err := s.run(ctx); err != nil {
		return err
	}
	return report(stdout, p, s.seen)
}

// makeDir makes the folders of a run. An old run is not written over.
func makeDir(p *plan) error {
	if p.Dir == "" {
		dir, err := os.MkdirTemp("", "calm-training-")
		if err != nil {
			return err
		}
		p.Dir = dir
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return err
	}
	p.Dir = dir
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return os.MkdirAll(p.checkpoints(), 0o755)
}

// seconds is how people read a time.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
