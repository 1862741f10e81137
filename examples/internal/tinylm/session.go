package tinylm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"unicode/utf8"
)

// SessionConfig says how to choose tokens.
type SessionConfig struct {
	// Temperature divides the logits: below 1 the likely tokens gain, above 1 the
	// unlikely ones. 0 is greedy: always the likeliest. At most 100.
	Temperature float64
	// TopK leaves the given number of likeliest tokens to choose from. 0 leaves all.
	TopK int
	// Seed starts the generator of the choices.
	Seed uint64
}

func (c SessionConfig) validate() error {
	var errs []error
	if !(c.Temperature >= 0 && c.Temperature <= 100) {
		errs = append(errs, fmt.Errorf("tinylm: SessionConfig.Temperature is %v, want 0 to 100", c.Temperature))
	}
	if c.TopK < 0 {
		errs = append(errs, fmt.Errorf("tinylm: SessionConfig.TopK is %d, want 0 or more", c.TopK))
	}
	return errors.Join(errs...)
}

// Session reads a prompt and writes on from it. Its memory of the text is the
// recurrent state and the last symbols, both of fixed size: a text may go on for
// ever, and each token costs the same. It is for one goroutine; sessions of one
// model are independent.
type Session struct {
	model   *Model
	cfg     SessionConfig
	rng     *rand.Rand
	pass    *pass
	history [maxOrder]uint8
	tokens  int
	logProb float64
	order   []uint8 // symbols, the likeliest first, as far as TopK needs
	weights []float64
}

// NewSession returns a session with nothing read.
func (m *Model) NewSession(cfg SessionConfig) (*Session, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Session{
		model: m, cfg: cfg, pass: newPass(m.shape(), 1, 1, false),
		rng:     rand.New(rand.NewPCG(cfg.Seed, 0x73657373)),
		order:   make([]uint8, 0, len(m.vocab.runes)),
		weights: make([]float64, len(m.vocab.runes)),
	}
	return s, nil
}

// Feed reads text and returns its number of tokens.
func (s *Session) Feed(text string) int {
	before := s.tokens
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		s.read(s.model.vocab.symbol(r))
	}
	return s.tokens - before
}

func (s *Session) read(symbol uint8) {
	p := s.pass
	h := s.history[:p.order]
	copy(h, h[1:])
	h[p.order-1] = symbol
	p.suffixes(p.index, h)
	p.forward(&s.model.params, s.model.embed)
	s.tokens++
}

// Next chooses the next token, reads it and returns its text, one rune of the
// training text. A session that has read nothing reads a line break first.
func (s *Session) Next() string {
	if s.tokens == 0 {
		s.Feed("\n")
	}
	symbol := s.choose()
	s.read(symbol)
	return s.model.vocab.texts[symbol]
}

// LogProb returns the natural logarithm of the probability that the model gave
// the last token of Next, before temperature and TopK.
func (s *Session) LogProb() float64 { return s.logProb }

// Tokens returns the number of tokens read and written.
func (s *Session) Tokens() int { return s.tokens }

// choose returns a symbol by the logits of the last token.
func (s *Session) choose() uint8 {
	logits := s.pass.logits
	symbol := s.sample(logits)
	top, total := softmaxParts(logits)
	s.logProb = float64(logits[symbol]-top) - math.Log(float64(total))
	return symbol
}

func (s *Session) sample(logits []float32) uint8 {
	keep := len(logits) - 1 // the unknown symbol is never written
	if s.cfg.TopK > 0 {
		keep = min(keep, s.cfg.TopK)
	}
	if s.cfg.Temperature == 0 {
		keep = 1
	}
	s.rank(logits, keep)
	if keep == 1 {
		return s.order[0]
	}
	var total float64
	top := logits[s.order[0]]
	for i, symbol := range s.order {
		w := math.Exp(float64(logits[symbol]-top) / s.cfg.Temperature)
		s.weights[i] = w
		total += w
	}
	left := s.rng.Float64() * total
	for i, symbol := range s.order {
		if left -= s.weights[i]; left < 0 {
			return symbol
		}
	}
	return s.order[0]
}

// rank puts the keep likeliest symbols into order, the likeliest first and the
// lower symbol first of two alike.
func (s *Session) rank(logits []float32, keep int) {
	s.order = s.order[:0]
	for symbol := 1; symbol < len(logits); symbol++ {
		x := logits[symbol]
		if len(s.order) == keep && x <= logits[s.order[keep-1]] {
			continue
		}
		if len(s.order) < keep {
			s.order = append(s.order, 0)
		}
		i := len(s.order) - 1
		for ; i > 0 && logits[s.order[i-1]] < x; i-- {
			s.order[i] = s.order[i-1]
		}
		s.order[i] = uint8(symbol)
	}
}
