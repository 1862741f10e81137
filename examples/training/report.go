package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/calmops/calm/observe/training"
)

// report prints the account of a run and checks it. It is an error if something
// that had to happen did not, or the reverse.
func report(out io.Writer, p plan, s seen) error {
	h, err := readHistoryFile(p.history())
	if err != nil {
		return err
	}
	board, err := readBoard(p.board())
	if err != nil {
		return err
	}
	if err := writePicture(p.picture(), h); err != nil {
		return err
	}
	account(out, p, s, h)

	fmt.Fprintln(out, "\nchecks")
	failed := 0
	for _, c := range check(p, s, h, board) {
		word := "ok    "
		if !c.ok {
			word = "FAILED"
			failed++
		}
		fmt.Fprintf(out, "  %s  %s\n", word, c.text)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks above", failed)
	}
	fmt.Fprintf(out, "\ntraining: ok %d steps, 3 faults found and answered, goodput %.0f %%\n", p.Steps, 100*s.Ended.Goodput.Ratio)
	return nil
}

// account prints where the time went and what was done about what.
func account(out io.Writer, p plan, s seen, h history) {
	g, facts := s.Ended.Goodput, s.Ended.Facts
	fmt.Fprintln(out, "\nwhere the time went")
	for line := range strings.Lines(g.String()) {
		fmt.Fprint(out, "  ", line)
	}
	over := s.Ended.FLOPs / (p.PeakFLOPS * g.Elapsed.Seconds())
	note := ""
	if h.utilization() > 1 {
		note = " (the machine was busy when its peak was measured)"
	}
	fmt.Fprintf(out, "  %-20s %12.1f %%   of a step %.1f %%%s\n", "MFU of all the time", 100*over, 100*h.utilization(), note)

	fmt.Fprintf(out, "\n%-37s %-27s %s\n", "events", "  advice", "  done")
	for _, e := range s.Events {
		fmt.Fprintf(out, "  step %-5d %-25s %-27s %s\n", e.Step, e.Kind.String()+", "+e.Signal, advice(e.Event), e.Done)
	}
	for _, r := range s.Restarts {
		fmt.Fprintf(out, "  step %-5d %-25s %-27s %s after the end of the one before\n", r.Next, "restart", "-", seconds(r.Gap))
	}

	fmt.Fprintf(out, `
model     %d parameters; loss on text it has not seen %.2f nats a character, pairs of characters alone %.2f
history   tensorboard --logdir %s
          %s, drawn in %s
`, s.Ended.Parameters, facts.ValidationLoss, facts.BigramLoss, p.board(), p.history(), p.picture())
}

// claim is something that has to be true of a run.
type claim struct {
	ok   bool
	text string
}

// check compares what was seen with what was planted.
func check(p plan, s seen, h history, board []point) (claims []claim) {
	claim := func(ok bool, format string, args ...any) {
		claims = append(claims, claim{ok, fmt.Sprintf(format, args...)})
	}
	of := func(k training.EventKind, signal string) (list []answered) {
		for _, e := range s.Events {
			if e.Kind == k && (signal == "" || e.Signal == signal) {
				list = append(list, e)
			}
		}
		return list
	}
	early := slices.IndexFunc(s.Events, func(e answered) bool { return e.Step < int64(p.Garbled) && e.Onset < int64(p.Garbled) })
	claim(early < 0, "no event before the first fault")

	spikes := of(training.EventSpike, "loss")
	claim(len(spikes) == 1 && spikes[0].Batch == p.Garbled,
		"the garbled batch %d was a spike of the loss at its own step, and none after the rollback: found at %s", p.Garbled, places(spikes))
	claim(len(spikes) == 1 && spikes[0].RollbackTo > 0 && spikes[0].RollbackTo <= spikes[0].Step-int64(p.Spike.Back),
		"the advice was a checkpoint %d steps back or more", p.Spike.Back)
	norms := of(training.EventSpike, "grad_norm")
	claim(len(norms) <= 1 && all(norms, func(e answered) bool { return e.Batch == p.Garbled }),
		"the gradient norm tells of no other spike: found at %s", places(norms))

	bad := of(training.EventNonFinite, "")
	claim(len(bad) == 1 && bad[0].Batch == p.Poisoned && bad[0].Signal == "grad_norm",
		"the NaN of batch %d was found at its own step, and not again: found at %s", p.Poisoned, places(bad))

	hangs := of(training.EventHang, "")
	claim(len(hangs) == 1 && hangs[0].Step == int64(p.HangStep-1), "the step that hung was found: after %s", places(hangs))
	// Run looks once a second; the rest is for a machine that is busy.
	claim(all(hangs, func(e answered) bool { return e.Since.Seconds() >= e.Limit && e.Since.Seconds() <= e.Limit+3 }),
		"it was found within 3 s of its limit")

	known := len(spikes) + len(norms) + len(bad) + len(hangs) + len(of(training.EventSpikeEnd, ""))
	claim(known == len(s.Events), "no other event: %d", len(s.Events)-known)

	g := s.Ended.Goodput
	claim(g.Rollbacks == 2 && g.Interruptions == 1 && len(s.Restarts) == 1,
		"2 rollbacks and 1 interruption: %d and %d", g.Rollbacks, g.Interruptions)
	claim(g.MaxProductiveStep == int64(p.Steps), "%d steps count", g.MaxProductiveStep)
	sum := g.Productive
	for _, d := range g.Badput {
		sum += d
	}
	claim(sum == g.Elapsed, "the parts of the time are all of it, to the nanosecond: %v", g.Elapsed)
	claim(len(h.totals) == 1 && h.totals[0].Elapsed >= g.Elapsed, "the history ends with the account of the whole run")
	// The Recorder is made when the text is loaded and the model is there.
	slack := s.Wall/10 + 3*time.Second
	claim(g.Elapsed <= s.Wall && s.Wall-g.Elapsed <= slack, "the supervisor's own clock agrees: %v", s.Wall.Round(time.Millisecond))

	claim(onceEach(h.steps, p.Steps) == nil, "the history has each step once, less %d pieces that were undone: %v", len(h.undone), verdict(onceEach(h.steps, p.Steps)))
	claim(onceEach(board, p.Steps) == nil, "so has TensorBoard's: %s", verdict(onceEach(board, p.Steps)))
	claim(sameLoss(h.steps, board) == nil, "they tell of the same loss: %s", verdict(sameLoss(h.steps, board)))
	claim(s.Ended.Dropped == 0 && s.Ended.Errors == 0, "nothing was lost on the way there: %d records, %d errors", s.Ended.Dropped, s.Ended.Errors)

	f := s.Ended.Facts
	claim(f.ValidationLoss < 0.9*f.BigramLoss, "the model has learned more than pairs of characters: loss %.2f, theirs %.2f", f.ValidationLoss, f.BigramLoss)
	return claims
}

func all(list []answered, ok func(answered) bool) bool {
	return !slices.ContainsFunc(list, func(e answered) bool { return !ok(e) })
}

// places lists the steps of events.
func places(list []answered) string {
	if len(list) == 0 {
		return "no step"
	}
	var steps []string
	for _, e := range list {
		steps = append(steps, fmt.Sprint(e.Step))
	}
	return "step " + strings.Join(steps, ", ")
}

func verdict(err error) string {
	if err == nil {
		return "yes"
	}
	return err.Error()
}

func writePicture(path string, h history) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := draw(f, h); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// median of values, NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[len(values)/2]
}
