package tinylm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"time"
)

// A state is a frame of the magic "TINYTR" whose header says which training it is
// of and how far that was. Its body holds the weights, the first and the second
// moments, each the dense ones, then those of the embedding table; then the state of
// the recurrent layers, in the order of the sequences; then how often each row of
// the embedding table was updated.
const (
	stateMagic   = "TINYTR"
	stateVersion = 1
)

type stateHeader struct {
	Config       Config // what of it decides the weights
	CorpusDigest string
	Step, Batch  int
	Places       []int
	Recent       float64
	Elapsed      time.Duration
}

// Save writes the whole state of the training, as Model.Save writes a model. Faults
// that were planted are not part of it.
func (t *Trainer) Save(path string) error {
	return saveFile(path, func(w io.Writer) error {
		f := newFramer(w)
		f.begin(stateMagic, stateVersion, stateHeader{
			Config: t.cfg.recipe(), CorpusDigest: t.model.facts.CorpusDigest,
			Step: t.step, Batch: t.batch, Places: t.places, Recent: t.recent, Elapsed: time.Since(t.began),
		})
		for _, v := range t.state() {
			f.floats(v)
		}
		f.ints(t.rows.count)
		_, err := f.end()
		return err
	})
}

// state lists what a step changes, in the order of the file.
func (t *Trainer) state() [][]float32 {
	list := [][]float32{t.model.dense, t.model.embed, t.dense.m, t.embeds.m, t.dense.v, t.embeds.v}
	for _, p := range t.passes {
		for _, l := range p.layers {
			list = append(list, l.h[p.rowsN*p.width*p.steps:])
		}
	}
	return list
}

// Restore makes the training what it was at Save: its next step is that which came
// next then. The error of a file that is no whole state, or that of another text,
// seed, schedule or size, wraps ErrCheckpoint and leaves the training as it is. A
// Trainer that is done or closed restores nothing.
func (t *Trainer) Restore(path string) error {
	if t.closed || t.Done() {
		return errors.New("tinylm: Restore of a Trainer that is done or closed")
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("tinylm: restore: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(t.stateSize()+prefixSize+2*maxHeader)))
	if err != nil {
		return fmt.Errorf("tinylm: restore: %w", err)
	}
	if err := t.restore(data); err != nil {
		return fmt.Errorf("%w: %w (%s)", ErrCheckpoint, err, path)
	}
	if t.Done() {
		t.finish(t.evaluator.loss(t.pool, t.val, len(t.val)))
	}
	return nil
}

// stateSize is the size of a body.
func (t *Trainer) stateSize() int {
	n := len(t.rows.count)
	for _, v := range t.state() {
		n += len(v)
	}
	return 4 * n
}

func (t *Trainer) restore(data []byte) error {
	var h stateHeader
	body, err := unframe(data, stateMagic, stateVersion, &h)
	if err != nil {
		return err
	}
	if err := h.check(t); err != nil {
		return err
	}
	if want := t.stateSize(); len(body) != want {
		return fmt.Errorf("%d bytes of state, want %d", len(body), want)
	}
	// All is read and checked before anything is changed.
	list := t.state()
	values := make([][]float32, len(list))
	for i, v := range list {
		values[i] = make([]float32, len(v))
		if body = takeFloats(values[i], body); !finite(values[i]) {
			return errors.New("a value is not a number")
		}
		if second := i == 4 || i == 5; second && slices.Min(values[i]) < 0 {
			return errors.New("a second moment is negative")
		}
	}
	counts := make([]int32, len(t.rows.count))
	takeInts(counts, body)
	for _, n := range counts {
		if n < 0 || int(n) > h.Step {
			return fmt.Errorf("a row with %d updates in %d steps", n, h.Step)
		}
	}
	for i, v := range list {
		copy(v, values[i])
	}
	copy(t.rows.count, counts)
	copy(t.places, h.Places)
	t.step, t.batch, t.recent = h.Step, h.Batch, h.Recent
	t.began = time.Now().Add(-h.Elapsed)
	return nil
}

// check reports whether a state is one of this training.
func (h stateHeader) check(t *Trainer) error {
	if h.CorpusDigest != t.model.facts.CorpusDigest || !reflect.DeepEqual(h.Config, t.cfg.recipe()) {
		return errors.New("the state of a training on other text, or with another seed, schedule or size")
	}
	if h.Step < 0 || h.Step > t.cfg.Steps || h.Batch < h.Step || h.Elapsed < 0 || len(h.Places) != len(t.places) {
		return fmt.Errorf("step %d of %d, batch %d, elapsed %v, %d places: out of range",
			h.Step, t.cfg.Steps, h.Batch, h.Elapsed, len(h.Places))
	}
	for _, place := range h.Places {
		if place < 0 || place >= len(t.train) {
			return fmt.Errorf("place %d of %d", place, len(t.train))
		}
	}
	return nil
}
