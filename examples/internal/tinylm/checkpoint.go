package tinylm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// ErrCheckpoint is the error of a file that is not a whole and sound checkpoint
// of this version.
var ErrCheckpoint = errors.New("tinylm: checkpoint")

// A checkpoint is, with numbers little-endian:
//
//	magic    6 bytes "TINYLM"
//	version  uint16
//	length   uint32, of the header
//	header   JSON: configuration, vocabulary, facts
//	weights  float32 each, the dense ones, then the embedding table
//	sum      32 bytes, the SHA-256 of all before
const (
	magic         = "TINYLM"
	version       = 1
	prefixSize    = len(magic) + 2 + 4
	maxHeader     = 1 << 16
	maxCheckpoint = 4*maxWeights + 2*maxHeader
)

type header struct {
	Config Config
	Vocab  string // the runes by symbol, without the unknown one
	Facts  Facts
}

// Save writes a checkpoint to a temporary file beside path, syncs it and renames
// it: path holds the old file or the new one, never a part.
func (m *Model) Save(path string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("tinylm: save: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("tinylm: save: %w", err)
		}
	}()
	if _, err = m.WriteTo(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The rename itself lasts once the folder is synced. Some systems cannot.
	if d, openErr := os.Open(dir); openErr == nil {
		_ = d.Sync()
		d.Close()
	}
	return nil
}

// WriteTo writes a checkpoint to w. It implements io.WriterTo.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	head, err := json.Marshal(header{Config: m.cfg, Vocab: string(m.vocab.runes[1:]), Facts: m.facts})
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	buf := []byte(magic)
	buf = binary.LittleEndian.AppendUint16(buf, version)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(head)))
	buf = append(buf, head...)
	n := int64(len(buf))
	if _, err := out.Write(buf); err != nil {
		return 0, err
	}
	for _, weights := range [][]float32{m.dense, m.embed} {
		for len(weights) > 0 {
			part := weights[:min(len(weights), 4096)]
			weights = weights[len(part):]
			buf = appendFloats(buf[:0], part)
			n += int64(len(buf))
			if _, err := out.Write(buf); err != nil {
				return 0, err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return 0, err
	}
	k, err := w.Write(sum.Sum(nil))
	return n + int64(k), err
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
	if len(data) < prefixSize || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fmt.Errorf("does not begin with %q and a length", magic)
	}
	if v := binary.LittleEndian.Uint16(data[len(magic):]); v != version {
		return nil, fmt.Errorf("version %d, want %d", v, version)
	}
	if len(data) < prefixSize+sha256.Size {
		return nil, fmt.Errorf("%d bytes, cut short", len(data))
	}
	body, want := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], want) {
		return nil, errors.New("checksum does not match: the file is cut short or changed")
	}
	size := binary.LittleEndian.Uint32(body[len(magic)+2:])
	body = body[prefixSize:]
	if size > maxHeader || int(size) > len(body) {
		return nil, fmt.Errorf("header of %d bytes, want at most %d", size, min(maxHeader, len(body)))
	}
	var h header
	if err := json.Unmarshal(body[:size], &h); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return h.model(body[size:])
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
		for i := range w {
			w[i] = math.Float32frombits(binary.LittleEndian.Uint32(weights[4*i:]))
			if math.IsNaN(float64(w[i])) || math.IsInf(float64(w[i]), 0) {
				return nil, errors.New("a weight is not a number")
			}
		}
		weights = weights[4*len(w):]
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
