package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/calmops/calm/observe/training"
)

// starter makes the command of a training process.
type starter func(context.Context) (*exec.Cmd, error)

// supervisor runs training processes, one at a time, until one has finished.
type supervisor struct {
	plan     plan
	start    starter
	out, err io.Writer
	began    time.Time
	seen     seen
}

// seen is what the supervisor knows of a run by itself.
type seen struct {
	Events   []answered
	Restarts []restart
	Ended    *ended
	Wall     time.Duration // from the start of the first process to the end of the last
}

// restart is a process that took over.
type restart struct {
	Next int64 // its first step
	Gap  time.Duration
}

const (
	maxProcesses = 3
	// silence is how long a process may say nothing. It tells of each checkpoint, and
	// of a hang long before.
	silence = 3 * time.Minute
	// lastWords is how long a process that hangs may still write its history.
	lastWords = time.Second
)

func newSupervisor(p plan, start starter, out, err io.Writer) *supervisor {
	return &supervisor{plan: p, start: start, out: out, err: err}
}

func (s *supervisor) run(ctx context.Context) error {
	s.began = time.Now()
	for s.plan.Attempt < maxProcesses {
		again, err := s.process(ctx)
		if err != nil || !again {
			s.seen.Wall = time.Since(s.began)
			return err
		}
		s.plan.Attempt++
	}
	return fmt.Errorf("%d processes hung", maxProcesses)
}

// process runs one training process to its end. It says whether another one has to
// take over.
func (s *supervisor) process(ctx context.Context) (again bool, err error) {
	cmd, err := s.start(ctx)
	if err != nil {
		return false, err
	}
	cmd.Stderr = s.err
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	defer stdin.Close()
	if err := gob.NewEncoder(stdin).Encode(s.plan); err != nil {
		return false, errors.Join(err, s.kill(cmd))
	}
	timeout := time.AfterFunc(silence, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	for messages := gob.NewDecoder(stdout); ; {
		var m message
		if err := messages.Decode(&m); err != nil {
			break // it has ended, or is ended for writing nonsense
		}
		timeout.Reset(silence)
		if s.hear(m, cmd.Process.Pid); m.Event != nil && m.Event.Kind == training.EventHang {
			time.Sleep(lastWords)
			err := s.kill(cmd)
			s.plan.Killed = time.Now()
			s.seen.Events[len(s.seen.Events)-1].Done += ", which ended the process"
			s.say("", "process %d is ended, another one takes over", cmd.Process.Pid)
			return true, err
		}
	}
	_ = stdin.Close()
	err = cmd.Wait()
	if err == nil && s.seen.Ended == nil {
		err = errors.New("it did not say how it went")
	}
	if err != nil {
		return false, fmt.Errorf("the training process: %w", errors.Join(ctx.Err(), err))
	}
	return false, nil
}

// kill ends the process, by its id, and waits for it.
func (s *supervisor) kill(cmd *exec.Cmd) error {
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		return err
	}
	return nil
}

// hear keeps what a process says, and tells it on.
func (s *supervisor) hear(m message, pid int) {
	switch {
	case m.Started != nil:
		s.say("", "process %d trains from step %d on", pid, m.Started.Next)
		if s.plan.Attempt > 0 {
			s.seen.Restarts = append(s.seen.Restarts, restart{Next: m.Started.Next, Gap: time.Since(s.plan.Killed)})
		}
	case m.Progress != nil:
		if m.Progress.Step%(4*s.plan.CheckpointEvery) == 0 {
			s.say(fmt.Sprint(m.Progress.Step), "loss %.2f", m.Progress.Loss)
		}
	case m.Event != nil:
		s.seen.Events = append(s.seen.Events, *m.Event)
		s.say(fmt.Sprint(m.Event.Step), "%s: %s", describe(m.Event.Event), m.Event.Done)
	case m.Ended != nil:
		s.seen.Ended = m.Ended
		s.say(fmt.Sprint(m.Ended.Facts.Steps), "done")
	}
}

// say prints a line with the time and the step it belongs to.
func (s *supervisor) say(step, format string, args ...any) {
	if step != "" {
		step = "step " + step
	}
	fmt.Fprintf(s.out, "%7s  %-10s  %s\n", seconds(time.Since(s.began)), step, fmt.Sprintf(format, args...))
}

// describe says what was found, and by which numbers.
func describe(e training.Event) string {
	switch e.Kind {
	case training.EventSpike:
		return fmt.Sprintf("%s in %s, %.2f over a limit of %.2f", e.Kind, e.Signal, e.Value, e.Limit)
	case training.EventSpikeEnd:
		return fmt.Sprintf("%s in %s, peak %.2f", e.Kind, e.Signal, e.Value)
	case training.EventNonFinite:
		return fmt.Sprintf("%s in %s, %v", e.Kind, e.Signal, e.Value)
	case training.EventHang:
		return fmt.Sprintf("%s in phase %s, %s over a limit of %s", e.Kind, e.Signal, seconds(e.Since), seconds(time.Duration(e.Limit*1e9)))
	}
	return fmt.Sprintf("%s %s %s", e.Kind, e.Signal, e.Detail)
}

// advice says what the event asks for.
func advice(e training.Event) string {
	switch {
	case e.RollbackTo > 0 && e.SkipMax > 1:
		return fmt.Sprintf("back to %d, skip %d to %d", e.RollbackTo, e.SkipMin, e.SkipMax)
	case e.RollbackTo > 0 && e.SkipMax == 1:
		return fmt.Sprintf("back to %d, skip the batch", e.RollbackTo)
	case e.RollbackTo > 0:
		return fmt.Sprintf("restart from %d", e.RollbackTo)
	}
	return "-"
}
