package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/training"
)

// expected is a run as it should be.
func expected() (plan, seen, history, []point) {
	p := newPlan(fastSteps, 1, true)
	event := func(k training.EventKind, step int, signal string, batch, to int) answered {
		return answered{Batch: batch, Event: training.Event{Kind: k, Step: int64(step), Onset: int64(step), Signal: signal, RollbackTo: int64(to)}}
	}
	hang := event(training.EventHang, p.HangStep-1, "step", 0, 180)
	hang.Limit, hang.Since = 2, 3*time.Second
	end := event(training.EventSpikeEnd, 150, "loss", 169, 0)
	end.Onset = int64(p.Garbled)
	g := training.Goodput{Elapsed: 10 * time.Second, Productive: 7 * time.Second, Rollbacks: 2, Interruptions: 1, MaxProductiveStep: int64(p.Steps)}
	g.Badput[training.CauseWasted] = 3 * time.Second
	var h history
	for i := range p.Steps {
		h.steps = append(h.steps, point{step: int64(i + 1), loss: 2})
	}
	h.totals = []training.Goodput{g}
	return p, seen{
		Events: []answered{
			event(training.EventSpike, p.Garbled, "loss", p.Garbled, 96),
			event(training.EventSpike, p.Garbled, "grad_norm", p.Garbled, 96),
			event(training.EventNonFinite, 149, "grad_norm", p.Poisoned, 144), end, hang,
		},
		Restarts: []restart{{Next: 181}},
		Wall:     11 * time.Second,
		Ended:    &ended{Goodput: g, Facts: tinylm.Facts{ValidationLoss: 1.6, BigramLoss: 2.5}},
	}, h, slices.Clone(h.steps)
}

// Each thing that can go wrong with the demonstration fails it.
func TestCheck(t *testing.T) {
	p, s, h, board := expected()
	for _, c := range check(p, s, h, board) {
		assert.True(t, c.ok, c.text)
	}
	for _, c := range []struct {
		name   string
		says   string
		change func(s *seen, h *history, board *[]point)
	}{
		{"false event", "before the first fault", func(s *seen, _ *history, _ *[]point) {
			s.Events = append(s.Events, answered{Event: training.Event{Kind: training.EventSpike, Step: 80, Onset: 80, Signal: "grad_norm"}})
		}},
		{"no spike", "was a spike of the loss", func(s *seen, _ *history, _ *[]point) { s.Events = s.Events[1:] }},
		{"late spike", "was a spike of the loss", func(s *seen, _ *history, _ *[]point) { s.Events[0].Batch++ }},
		{"no advice", "the advice was", func(s *seen, _ *history, _ *[]point) { s.Events[0].RollbackTo = 0 }},
		{"advice too near", "the advice was", func(s *seen, _ *history, _ *[]point) { s.Events[0].RollbackTo = s.Events[0].Step - 1 }},
		{"another spike", "no other spike", func(s *seen, _ *history, _ *[]point) {
			s.Events = append(s.Events, answered{Batch: 200, Event: training.Event{Kind: training.EventSpike, Step: 190, Onset: 190, Signal: "grad_norm"}})
		}},
		{"no NaN", "the NaN of batch", func(s *seen, _ *history, _ *[]point) { s.Events = slices.Delete(s.Events, 2, 3) }},
		{"the NaN again", "the NaN of batch", func(s *seen, _ *history, _ *[]point) { s.Events = append(s.Events, s.Events[2]) }},
		{"no hang", "the step that hung", func(s *seen, _ *history, _ *[]point) { s.Events = s.Events[:4] }},
		{"hang found late", "within 3 s", func(s *seen, _ *history, _ *[]point) { s.Events[4].Since = 6 * time.Second }},
		{"hang found early", "within 3 s", func(s *seen, _ *history, _ *[]point) { s.Events[4].Since = time.Second }},
		{"divergence", "no other event", func(s *seen, _ *history, _ *[]point) {
			s.Events = append(s.Events, answered{Event: training.Event{Kind: training.EventDiverging, Step: 200}})
		}},
		{"no rollback", "2 rollbacks", func(s *seen, _ *history, _ *[]point) { s.Ended.Goodput.Rollbacks = 1 }},
		{"no restart", "1 interruption", func(s *seen, _ *history, _ *[]point) { s.Restarts = nil }},
		{"step lost", "steps count", func(s *seen, _ *history, _ *[]point) { s.Ended.Goodput.MaxProductiveStep-- }},
		{"a nanosecond", "to the nanosecond", func(s *seen, _ *history, _ *[]point) { s.Ended.Goodput.Productive++ }},
		{"no summary", "ends with the account", func(_ *seen, h *history, _ *[]point) { h.totals = nil }},
		{"slow clock", "own clock", func(s *seen, _ *history, _ *[]point) { s.Wall = 20 * time.Second }},
		{"fast clock", "own clock", func(s *seen, _ *history, _ *[]point) { s.Wall = 9 * time.Second }},
		{"a step twice", "has each step once", func(_ *seen, h *history, _ *[]point) { h.steps = append(h.steps, h.steps[239]) }},
		{"a step for another", "has each step once", func(_ *seen, h *history, _ *[]point) { h.steps[3].step = 5 }},
		{"zig-zag", "so has TensorBoard", func(_ *seen, _ *history, board *[]point) { *board = append(*board, (*board)[100:]...) }},
		{"other loss", "the same loss", func(_ *seen, _ *history, board *[]point) { (*board)[7].loss = 2.1 }},
		{"record lost", "nothing was lost", func(s *seen, _ *history, _ *[]point) { s.Ended.Dropped = 1 }},
		{"learned nothing", "pairs of characters", func(s *seen, _ *history, _ *[]point) { s.Ended.Facts.ValidationLoss = 2.4 }},
	} {
		p, s, h, board := expected()
		c.change(&s, &h, &board)
		var failed []string
		for _, claim := range check(p, s, h, board) {
			if !claim.ok {
				failed = append(failed, claim.text)
			}
		}
		assert.Contains(t, strings.Join(failed, "\n"), c.says, c.name)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		e    training.Event
		text string
		asks string
	}{
		{training.Event{Kind: training.EventSpike, Signal: "loss", Value: 7, Limit: 2, RollbackTo: 400, SkipMin: 50, SkipMax: 125},
			"spike in loss, 7.00 over a limit of 2.00", "back to 400, skip 50 to 125"},
		{training.Event{Kind: training.EventNonFinite, Signal: "loss", RollbackTo: 400, SkipMin: 1, SkipMax: 1}, "non_finite in loss, 0", "back to 400, skip the batch"},
		{training.Event{Kind: training.EventHang, Signal: "step", Since: 3 * time.Second, Limit: 2, RollbackTo: 9}, "hang in phase step, 3.0 s over a limit of 2.0 s", "restart from 9"},
		{training.Event{Kind: training.EventSpikeEnd, Signal: "loss", Value: 7}, "spike_end in loss, peak 7.00", "-"},
		{training.Event{Kind: training.EventSinkFailing, Signal: "tfevents", Detail: "full"}, "sink_failing tfevents full", "-"},
	} {
		assert.Equal(t, c.text, describe(c.e))
		assert.Equal(t, c.asks, advice(c.e))
	}
}

func TestReadHistory(t *testing.T) {
	line := func(kind, rest string) string {
		return `{"type":"` + kind + `","run":"r","rank":0,"time":"2026-01-02T15:04:05Z",` + rest + "}\n"
	}
	text := line("step", `"step":1,"loss":4`) + line("step", `"step":2,"loss":3,"grad_norm":0.5,"mfu":0.2`) +
		line("step", `"step":3,"loss":9`) +
		line("event", `"step":3,"kind":"spike","signal":"loss"`) + line("event", `"step":3,"kind":"spike","signal":"grad_norm"`) +
		line("rollback", `"step":2,"cause":"spike"`) +
		line("step", `"step":2,"loss":2.5,"grad_norm":0.5,"mfu":0.4`) + line("session", `"step":2,"world":1`) +
		line("session", `"step":2,"world":1`) + line("step", `"step":2,"loss":2,"mfu":0.4`) + `{"type":"step","st`
	h, err := readHistory(strings.NewReader(text))
	require.NoError(t, err)
	assert.Equal(t, []point{{step: 1, loss: 4}, {step: 2, loss: 2, mfu: .4}}, h.steps)
	require.Len(t, h.undone, 2)
	assert.Equal(t, []int64{2, 3}, []int64{h.undone[0][0].step, h.undone[0][1].step})
	assert.Equal(t, []mark{{3, "spike"}, {2, "restart"}}, h.marks)
	assert.Empty(t, h.totals)
	assert.InDelta(t, .4, h.utilization(), 0)

	_, err = readHistory(io.MultiReader(strings.NewReader(text), unreadable{}))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = readHistoryFile(t.TempDir() + "/none")
	assert.Error(t, err)
	_, err = readBoard(t.TempDir() + "/none")
	assert.Error(t, err)
}

type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
