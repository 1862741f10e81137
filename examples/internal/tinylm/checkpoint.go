package tinylm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"
)

// ErrCheckpoint is the error of a file that is not a whole and sound checkpoint
// of this version.
var ErrCheckpoint = errors.New("tinylm: checkpoint")

// A checkpoint is a frame of the magic "TINYLM" whose header holds configuration,
// vocabulary and facts, and whose body holds the weights, the dense ones, then the
// embedding table.
const (
	magic         = "TINYLM"
	version       = 1
	maxCheckpoint = 4*maxWeights + 2*maxHeader
)

type header struct {
	Config Config
	Vocab  string // the runes by symbol, without the unknown one
	Facts  Facts
}

// Save writes a checkpoint to a temporary file beside path, syncs it and renames
// it: path holds the old file or the new one, never a part.
func (m *Model) Save(path string) error {
	return saveFile(path, func(w io.Writer) error {
		_, err := m.WriteTo(w)
		return err
	})
}

// WriteTo writes a checkpoint to w. It implements io.WriterTo.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	f := newFramer(w)
	f.begin(magic, version, header{Config: m.cfg, Vocab: string(m.vocab.runes[1:]), Facts: m.facts})
	f.floats(m.dense)
	f.floats(m.embed)
	return f.end()
}

// Load reads the checkpoint at path. The error of a file that is not one, of
// another version, cut short or changed wraps ErrCheckpoint.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tinylm: load: %w", err)
	}
	defer f.Close()
	m, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return m, nil
}

// Read reads a checkpoint from r up to its end. What it allocates is bounded by
// a few times the bytes that r really gives, and much over 1 GiB is an error.
func Read(r io.Reader) (*Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxCheckpoint+1))
	if err != nil {
		return nil, fmt.Errorf("tinylm: load: %w", err)
	}
	m, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return m, nil
}

func decode(data []byte) (*Model, error) {
	if len(data) > maxCheckpoint {
		return nil, fmt.Errorf("more than %d bytes", maxCheckpoint)
	}
	var h header
	weights, err := unframe(data, magic, version, &h)
	if err != nil {
		return nil, err
	}
	return h.model(weights)
}

// model builds the model of a header and the bytes of its weights. Nothing is
// allocated before their number is known to be right.
func (h header) model(weights []byte) (*Model, error) {
	if err := h.Config.withDefaults().validate(); err != nil {
		return nil, err
	}
	v, err := parseVocab(h.Vocab)
	if err != nil {
		return nil, err
	}
	s := h.Config.shape(len(v.runes))
	if slices.Contains([]int{s.embed, s.width, s.layers, s.order, s.buckets}, 0) {
		return nil, errors.New("a size in the header is zero")
	}
	if n := 4 * s.weights(); n != int64(len(weights)) {
		return nil, fmt.Errorf("%d bytes of weights, want %d", len(weights), n)
	}
	m := newModel(h.Config, v)
	m.facts = h.Facts
	for _, w := range [][]float32{m.dense, m.embed} {
		if weights = takeFloats(w, weights); !finite(w) {
			return nil, errors.New("a weight is not a number")
		}
	}
	m.seal()
	return m, nil
}

// parseVocab reads the runes by symbol: ascending, not one twice.
func parseVocab(s string) (*vocab, error) {
	runes := []rune{utf8.RuneError}
	for i, r := range s {
		if len(runes) == maxVocab || r == utf8.RuneError || i > 0 && r <= runes[len(runes)-1] {
			return nil, fmt.Errorf("vocabulary: rune %d is out of place", i)
		}
		runes = append(runes, r)
	}
	if len(runes) < 2 {
		return nil, errors.New("vocabulary: empty")
	}
	return vocabOf(runes), nil
}
