package tinylm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"reflect"
	"time"
	"unicode/utf8"
)

// Model is a trained language model. It is not changed once made, and any
// number of goroutines may use it at the same time.
type Model struct {
	cfg    Config
	vocab  *vocab
	facts  Facts
	dense  []float32
	embed  []float32
	params params // views of dense
	digest string
}

// Facts is what is known about how a model came to be. Losses are in nats per
// token, which is a character.
type Facts struct {
	Steps, Tokens int
	CorpusBytes   int
	CorpusDigest  string // of the text, as Digest gives it
	// TrainLoss is the running mean at the end of the training.
	TrainLoss float64
	// ValidationLoss is that of the model on all of the text held out.
	ValidationLoss float64
	// BigramLoss is that of a table of pairs of characters, counted on the same
	// training text, on the same text held out.
	BigramLoss float64
	// Elapsed is the wall time of the training.
	Elapsed time.Duration
}

func newModel(cfg Config, v *vocab) *Model {
	s := cfg.shape(len(v.runes))
	m := &Model{
		cfg: cfg, vocab: v,
		dense: make([]float32, s.dense()),
		embed: make([]float32, s.rows()*s.embed),
	}
	m.params = s.view(m.dense)
	return m
}

func (m *Model) shape() shape { return m.cfg.shape(len(m.vocab.runes)) }

// Digest returns the first twelve hexadecimal digits of the SHA-256 of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// seal computes the digest of the weights.
func (m *Model) seal() {
	h := sha256.New()
	buf := make([]byte, 0, 1<<14)
	for _, w := range [][]float32{m.dense, m.embed} {
		for len(w) > 0 {
			n := min(len(w), cap(buf)/4)
			h.Write(appendFloats(buf[:0], w[:n]))
			w = w[n:]
		}
	}
	m.digest = hex.EncodeToString(h.Sum(nil)[:6])
}

func appendFloats(b []byte, w []float32) []byte {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// Digest returns twelve hexadecimal digits that name the weights.
func (m *Model) Digest() string { return m.digest }

// Config returns what the model was trained with, defaults filled in. Workers
// and OnProgress are zero in a model that was loaded.
func (m *Model) Config() Config { return m.cfg }

// Facts returns how the model came to be.
func (m *Model) Facts() Facts { return m.facts }

// Parameters returns the number of weights, the embedding table included.
func (m *Model) Parameters() int { return len(m.dense) + len(m.embed) }

// TrainFLOPsPerToken returns the floating-point operations that training spends
// on a token in matrix products, the usual 6N: two for each weight forward and
// four backward. Embeddings are looked up and do not count.
func (m *Model) TrainFLOPsPerToken() float64 { return 6 * float64(m.shape().matmul()) }

// FLOPsPerToken returns the same for a token read or generated: 2N.
func (m *Model) FLOPsPerToken() float64 { return 2 * float64(m.shape().matmul()) }

// VocabSize returns the number of symbols, the unknown one included.
func (m *Model) VocabSize() int { return len(m.vocab.runes) }

// Count returns the number of tokens of text: its runes, a byte of invalid UTF-8
// counting as one.
func (m *Model) Count(text string) int { return utf8.RuneCountInString(text) }

// Fits reports whether training on text with cfg would give this model again:
// the text, the seed, the steps, the sizes and the schedule are the same.
func (m *Model) Fits(text []byte, cfg Config) bool {
	a, b := m.cfg.recipe(), cfg.withDefaults().recipe()
	return m.facts.CorpusDigest == Digest(text) && reflect.DeepEqual(a, b)
}
