package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// message is what the training process tells its supervisor: one of these.
type message struct {
	Started  *started
	Progress *progress
	Event    *answered
	Ended    *ended
}

// started says where a process goes on.
type started struct {
	Next int64 // the first step
}

// progress is told once in a while.
type progress struct {
	Step int
	Loss float64
}

// answered is an event, and what was done about it.
type answered struct {
	training.Event
	Batch int // read by the step that brought it about
	Done  string
}

// ended is the end of the training.
type ended struct {
	Facts      tinylm.Facts
	Parameters int
	Goodput    training.Goodput
	FLOPs      float64 // of the model, for all tokens of the run
	Dropped    int64   // records lost
	Errors     int64   // of sinks
}

// child trains, records what it does, and takes the advice it gets.
type child struct {
	plan
	trainer *tinylm.Trainer
	rec     *training.Recorder
	bad     []int // batches to leave out

	mu     sync.Mutex
	out    *gob.Encoder
	events []training.Event // of the present step
}

// childMain trains by the plan that comes through in, and ends when in does: no
// training outlives its supervisor.
func childMain(ctx context.Context, in io.Reader, out, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &child{out: gob.NewEncoder(out)}
	err := gob.NewDecoder(in).Decode(&c.plan)
	if err == nil {
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, in)
		}()
		err = c.train(ctx)
	}
	if err != nil {
		fmt.Fprintln(stderr, "training process:", err)
		return 1
	}
	return 0
}

func (c *child) send(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Encode(m)
}

// open makes the trainer with its faults, and the Recorder.
func (c *child) open() error {
	corpus, err := tinylm.LoadCorpus(tinylm.CorpusConfig{MaxBytes: c.CorpusBytes})
	if err != nil {
		return err
	}
	if c.trainer, err = tinylm.NewTrainer(corpus.Text, c.Model); err != nil {
		return err
	}
	c.trainer.Garble(c.Garbled, c.GarbledBatches)
	c.trainer.Poison(c.Poisoned)

	board, err := tfevents.New(tfevents.Config{Dir: c.board()})
	if err != nil {
		return err
	}
	lines, err := training.NewJSONLines(training.JSONLinesConfig{Path: c.history()})
	if err != nil {
		return err
	}
	c.rec, err = training.New(training.Config{
		Run:           "tinylm",
		FLOPsPerToken: c.trainer.FLOPsPerToken(),
		PeakFLOPS:     c.PeakFLOPS, // of all cores: the machine is one device
		Sinks:         []training.Sink{board, lines},
		FlushEvery:    200 * time.Millisecond,
		LedgerPath:    c.ledger(),
		LedgerEvery:   time.Second,
		Spike:         c.Spike,
		Hang:          c.Hang,
		OnEvent:       c.onEvent,
	})
	return err
}

func (c *child) train(ctx context.Context) error {
	if err := c.open(); err != nil {
		return err
	}
	defer c.trainer.Close()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- c.rec.Run(running) }()

	err := c.resume()
	for err == nil && !c.trainer.Done() {
		if err = ctx.Err(); err == nil {
			err = c.step(ctx)
		}
	}
	var end ended
	if err == nil {
		end, err = c.end()
	}
	stop()
	if err = errors.Join(err, <-written); err != nil {
		return err
	}
	for _, s := range c.rec.Snapshot().Sinks {
		end.Dropped += s.Dropped
		end.Errors += s.Errors
	}
	return c.send(message{Ended: &end})
}

// resume goes on where the process before has saved its state last.
func (c *child) resume() error {
	var step int64
	if c.Attempt > 0 {
		c.rec.Interrupted(c.Killed, "the supervisor ended a process that hung")
		c.rec.Enter(training.PhaseCheckpointRestore)
		var err error
		if step, err = c.restoreNewest(); err != nil {
			return err
		}
		c.rec.Resume(step + 1)
		if step > 0 {
			c.rec.Checkpointed(step) // this Recorder knows of none yet
		}
	}
	return c.send(message{Started: &started{Next: step + 1}})
}

// restoreNewest restores the newest checkpoint that is whole. Without one the
// training begins anew.
func (c *child) restoreNewest() (step int64, err error) {
	files, err := c.saved()
	if err != nil {
		return 0, err
	}
	for _, file := range slices.Backward(files) {
		err := c.trainer.Restore(file)
		if errors.Is(err, tinylm.ErrCheckpoint) {
			continue
		}
		if err == nil {
			_, err = fmt.Sscanf(filepath.Base(file), "state-%d.ckpt", &step)
		}
		return step, err
	}
	return 0, nil
}

// saved lists the checkpoints, the newest last.
func (c *child) saved() ([]string, error) {
	return filepath.Glob(filepath.Join(c.checkpoints(), "state-*.ckpt"))
}

// step makes one step, and does what the events of it advise.
func (c *child) step(ctx context.Context) error {
	for slices.Contains(c.bad, c.trainer.NextBatch()) {
		c.trainer.Skip(1)
	}
	next := c.trainer.NextStep()
	if c.Attempt == 0 && next == c.HangStep {
		<-ctx.Done() // the third fault: nothing goes on until the process is ended
		return ctx.Err()
	}
	if next == c.Steps { // the last step evaluates the model, which is no part of it
		c.rec.Enter(training.PhaseEval)
	}
	p, failed := c.trainer.Step()
	if failed != nil && !errors.Is(failed, tinylm.ErrDiverged) {
		return failed
	}
	c.rec.Step(training.Step{
		N: int64(p.Step), Loss: p.Loss, GradNorm: p.GradNorm, ClipAt: c.trainer.ClipNorm(), LearningRate: p.LearningRate,
		Tokens: int64(c.Model.Batch * c.Model.Context), Duration: p.StepTime, Skipped: failed != nil,
	})
	if events := c.takeEvents(); len(events) > 0 {
		undone, err := c.answer(events, p.Batch)
		if undone || err != nil {
			return err
		}
	}
	if failed != nil {
		return failed // and no advice
	}
	if p.Step%c.CheckpointEvery != 0 {
		return nil
	}
	c.trainer.EachGradient(c.rec.Gradients)
	if err := c.send(message{Progress: &progress{Step: p.Step, Loss: p.Loss}}); err != nil {
		return err
	}
	return c.save(int64(p.Step))
}

// keep is how many checkpoints are kept: one that lies Back before the onset of a
// spike is at most the third last.
const keep = 4

func (c *child) save(step int64) error {
	defer c.rec.Enter(c.rec.Enter(training.PhaseCheckpointSave))
	if err := c.trainer.Save(c.checkpoint(step)); err != nil {
		return err
	}
	c.rec.Checkpointed(step)
	files, err := c.saved()
	if err != nil {
		return err
	}
	for _, old := range files[:max(len(files)-keep, 0)] {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	return nil
}

// onEvent is the Recorder's. A hang is told at once, by the goroutine that found
// it: the one that trains cannot. The rest waits for the end of the step.
func (c *child) onEvent(e training.Event) {
	if e.Kind != training.EventHang {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, e)
		return
	}
	done := "told the supervisor"
	stacks := filepath.Join(c.Dir, "stacks.txt")
	if f, err := os.Create(stacks); err == nil {
		_ = pprof.Lookup("goroutine").WriteTo(f, 2)
		f.Close()
		done = "wrote " + filepath.Base(stacks) + ", " + done
	}
	_ = c.send(message{Event: &answered{Event: e, Done: done}}) // without a supervisor this process ends anyway
}

func (c *child) takeEvents() []training.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}

// answer takes the advice of the events of one step: that of the first, where
// loss and gradient norm tell of the same fault. It says whether the step was
// undone.
func (c *child) answer(events []training.Event, batch int) (undone bool, err error) {
	for _, e := range events {
		done := "noted"
		switch acute := e.Kind == training.EventSpike || e.Kind == training.EventNonFinite; {
		case acute && undone:
			done = "the same fault"
		case acute && e.RollbackTo > 0:
			if done, err = c.rollBack(e, batch); err != nil {
				return true, err
			}
			undone = true
		}
		if err := c.send(message{Event: &answered{Event: e, Batch: batch, Done: done}}); err != nil {
			return undone, err
		}
	}
	return undone, nil
}

// rollBack returns to a checkpoint and leaves out the batches at fault. In a NaN's
// case tinylm has not touched the weights yet, and leaving the batch out would be
// enough; most training loops cannot be so sure.
func (c *child) rollBack(e training.Event, batch int) (done string, err error) {
	defer c.rec.Enter(c.rec.Enter(training.PhaseCheckpointRestore))
	if err := c.trainer.Restore(c.checkpoint(e.RollbackTo)); err != nil {
		return "", err
	}
	c.rec.RolledBack(e.RollbackTo, e.Kind.String()+" in "+e.Signal)
	if e.Kind == training.EventSpike {
		n := skip(e)
		c.trainer.Skip(n)
		return fmt.Sprintf("rolled back to %d, skipped the next %d batches", e.RollbackTo, n), nil
	}
	c.bad = append(c.bad, batch)
	return fmt.Sprintf("rolled back to %d, will skip batch %d", e.RollbackTo, batch), nil
}

// end saves the model and draws the balance.
func (c *child) end() (ended, error) {
	m, err := c.trainer.Model()
	if err != nil {
		return ended{}, err
	}
	c.rec.Scalar("validation/loss", m.Facts().ValidationLoss)
	c.rec.Enter(training.PhaseCheckpointSave)
	if err := m.Save(c.model()); err != nil {
		return ended{}, err
	}
	s := c.rec.Snapshot()
	return ended{Facts: m.Facts(), Parameters: m.Parameters(), Goodput: c.rec.Goodput(), FLOPs: s.ModelFLOPs}, nil
}
