package main

import (
	"fmt"
	"io"
	"math"
	"os"

	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// point is one step of a history.
type point struct {
	step       int64
	loss, norm float64
	mfu        float64
}

// mark is a step at which something happened.
type mark struct {
	step int64
	text string
}

// history is what the JSON lines of a run say: the steps that count, those that
// were undone, piece by piece, and what happened.
type history struct {
	steps  []point
	undone [][]point
	marks  []mark
	totals []training.Goodput // of each process that ended in order
}

// readHistory reads JSON lines. A session or a rollback that begins at a step undoes
// what was recorded for it and later ones.
func readHistory(r io.Reader) (history, error) {
	var h history
	for line, err := range training.ReadJSONLines(r) {
		if err != nil {
			return h, err
		}
		switch line.Type {
		case "step":
			h.steps = append(h.steps, point{line.Step, line.Values["loss"], line.Values["grad_norm"], line.Values["mfu"]})
		case "session":
			h.mark(line.Step, "restart")
			h.undo(line.Step)
		case "rollback":
			h.undo(line.Step)
		case "event":
			h.event(line.Event)
		case "summary":
			if line.Goodput != nil {
				h.totals = append(h.totals, *line.Goodput)
			}
		}
	}
	return h, nil
}

func (h *history) undo(from int64) {
	kept := len(h.steps)
	for kept > 0 && h.steps[kept-1].step >= from {
		kept--
	}
	if piece := h.steps[kept:]; len(piece) > 0 {
		h.undone = append(h.undone, append([]point(nil), piece...))
	}
	h.steps = h.steps[:kept]
}

func (h *history) event(e *training.Event) {
	text := map[training.EventKind]string{training.EventSpike: "spike", training.EventNonFinite: "NaN", training.EventHang: "hang"}[e.Kind]
	if text != "" {
		h.mark(e.Step, text)
	}
}

// mark adds a mark, but not the same one twice: loss and norm tell of one fault.
func (h *history) mark(step int64, text string) {
	if n := len(h.marks); n == 0 || h.marks[n-1] != (mark{step, text}) {
		h.marks = append(h.marks, mark{step, text})
	}
}

// utilization is the median MFU of the steps that count.
func (h *history) utilization() float64 {
	values := make([]float64, 0, len(h.steps))
	for _, p := range h.steps {
		values = append(values, p.mfu)
	}
	return median(values)
}

func readHistoryFile(path string) (history, error) {
	f, err := os.Open(path)
	if err != nil {
		return history{}, err
	}
	defer f.Close()
	return readHistory(f)
}

// onceEach reports whether there is each step from 1 to n, once.
func onceEach(points []point, n int) error {
	if len(points) != n {
		return fmt.Errorf("%d points, want %d", len(points), n)
	}
	for i, p := range points {
		if p.step != int64(i+1) {
			return fmt.Errorf("step %d in place %d", p.step, i+1)
		}
	}
	return nil
}

// readBoard reads the loss from the folder of TensorBoard's files, as TensorBoard
// shows it.
func readBoard(dir string) ([]point, error) {
	tags, err := tfevents.Load(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	var points []point
	for _, p := range tags["train/loss"] {
		points = append(points, point{step: p.Step, loss: p.Value})
	}
	return points, nil
}

// sameLoss reports whether two histories tell of the same loss, as a float32 has
// it.
func sameLoss(a, b []point) error {
	for i := range min(len(a), len(b)) {
		if x, y := float32(a[i].loss), float32(b[i].loss); x != y && !math.IsNaN(float64(x-y)) {
			return fmt.Errorf("step %d has loss %v and %v", a[i].step, x, y)
		}
	}
	return nil
}
