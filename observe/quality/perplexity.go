package quality

import (
	"fmt"
	"math"
)

// Perplexity sums up the negative log-likelihoods that a model gave to texts. The
// zero value is empty. A copy is independent. It is for one goroutine at a time.
type Perplexity struct {
	nll     float64
	tokens  int64
	refused int64
}

// Add takes the negative log-likelihood of a text, in nats, summed over its tokens,
// and how many these are. An nll that is negative or not finite, and fewer tokens
// than 1, are counted as refused and left out.
func (p *Perplexity) Add(nll float64, tokens int64) {
	if !(nll >= 0) || math.IsInf(nll, 1) || tokens < 1 || tokens > math.MaxInt64-p.tokens {
		p.refused++
		return
	}
	p.nll += nll
	p.tokens += tokens
}

// Value is exp(sum of nll / sum of tokens): 1 or more, +Inf beyond what a number can
// hold. Each token weighs the same, whatever text it is of. NaN without tokens.
func (p *Perplexity) Value() float64 { return math.Exp(p.nll / float64(p.tokens)) }

// BitsPerByte is sum of nll / (bytes x ln 2): bits for each byte of the texts, which
// can be compared between tokenizers. NaN without tokens, or if bytes is not
// positive.
func (p *Perplexity) BitsPerByte(bytes int64) float64 {
	if p.tokens == 0 || bytes <= 0 {
		return math.NaN()
	}
	return p.nll / (float64(bytes) * math.Ln2)
}

// Tokens is how many tokens were added.
func (p *Perplexity) Tokens() int64 { return p.tokens }

// Refused is how many calls of Add were left out.
func (p *Perplexity) Refused() int64 { return p.refused }

// Merge adds the texts of another, which is not changed. It fails, and changes
// nothing, if there would be more than 2^63-1 tokens.
func (p *Perplexity) Merge(o *Perplexity) error {
	if o.tokens > math.MaxInt64-p.tokens {
		return fmt.Errorf("%w: %d tokens and %d are too many", ErrInput, p.tokens, o.tokens)
	}
	p.nll += o.nll
	p.tokens += o.tokens
	p.refused += o.refused
	return nil
}

// Reset takes everything out.
func (p *Perplexity) Reset() { *p = Perplexity{} }
