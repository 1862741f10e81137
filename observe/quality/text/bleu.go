package text

import (
	"errors"
	"fmt"
	"math"
)

// ErrSettings is in the error of Merge when the two values count differently.
var ErrSettings = errors.New("text: the settings differ")

// BLEUConfig says how BLEU counts. The zero value is sacreBLEU's default.
type BLEUConfig struct {
	// Order is the longest n-gram, in words. Defaults to 4; at most 16.
	Order int
	// Tokenizer splits text into words: "13a" (mteval-v13a), "none" (white
	// space) or "char" (every rune). Defaults to "13a". Figures of different
	// tokenizers are not comparable.
	Tokenizer string
	// Smoothing says what the precision of an order without a match is: "exp",
	// "floor", "add-k" or "none", as the package documentation describes.
	// Defaults to "exp".
	Smoothing string
	// SmoothValue is the value of "floor" (defaults to 0.1) and "add-k"
	// (defaults to 1), at most 100. It must be 0 with the others.
	SmoothValue float64
	// Lowercase compares texts in lower case.
	Lowercase bool
	// EffectiveOrder leaves out the orders for which the hypotheses are too
	// short. Set it for single sentences.
	EffectiveOrder bool
}

func (c *BLEUConfig) complete() error {
	var faults []error
	fault := func(wrong bool, field string, value any, want string) {
		if wrong {
			faults = append(faults, fmt.Errorf("text: BLEUConfig.%s is %v: want %s", field, value, want))
		}
	}
	fault(c.Order < 0 || c.Order > maxOrder, "Order", c.Order, fmt.Sprintf("0 to %d", maxOrder))
	setDefault(&c.Order, 4)
	setDefault(&c.Tokenizer, tokenizer13a)
	fault(tokenizerNamed(c.Tokenizer) == nil, "Tokenizer", fmt.Sprintf("%.40q", c.Tokenizer), "13a, none or char")
	fault(!(c.SmoothValue >= 0 && c.SmoothValue <= 100), "SmoothValue", c.SmoothValue, "0 to 100")
	setDefault(&c.Smoothing, smoothExp)
	switch c.Smoothing {
	case smoothExp, smoothNone:
		fault(c.SmoothValue != 0, "SmoothValue", c.SmoothValue, "0 with Smoothing "+c.Smoothing)
	case smoothFloor:
		setDefault(&c.SmoothValue, 0.1)
	case smoothAddK:
		setDefault(&c.SmoothValue, 1)
	default:
		fault(true, "Smoothing", fmt.Sprintf("%.40q", c.Smoothing), "exp, floor, add-k or none")
	}
	return errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

const (
	smoothExp   = "exp"
	smoothFloor = "floor"
	smoothAddK  = "add-k"
	smoothNone  = "none"
)

// BLEU sums what the BLEU score of a corpus needs, segment by segment. It is
// for one goroutine at a time.
type BLEU struct {
	config   BLEUConfig
	tokenize tokenizer
	counts   corpus
	matches  []int64 // by order
	totals   []int64
	sysLen   int64
	refLen   int64
	segment  segment
	grams    grams
}

// NewBLEU returns an empty BLEU, or an error that names every fault of the
// settings.
func NewBLEU(config BLEUConfig) (*BLEU, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	return &BLEU{
		config:   config,
		tokenize: tokenizerNamed(config.Tokenizer),
		matches:  make([]int64, config.Order),
		totals:   make([]int64, config.Order),
		segment:  newSegment(),
	}, nil
}

// Add counts one segment: a hypothesis and its references. One without a
// reference is refused, which the score says. Any text is valid, an empty one
// and one that is not UTF-8 too. Time is linear in the texts, times the order.
func (b *BLEU) Add(hyp string, refs ...string) {
	if !b.counts.add(len(refs)) {
		return
	}
	s := &b.segment
	s.setHyp(s.words.number(s.hyp, b.words(hyp)))
	for _, ref := range refs {
		s.addRef(s.words.number(s.nextRef(), b.words(ref)))
	}
	b.grams.match(s.hyp, s.refs, b.matches)
	for n := range b.totals {
		b.totals[n] += gramsIn(len(s.hyp), n+1)
	}
	b.sysLen += int64(len(s.hyp))
	b.refLen += int64(closestLen(len(s.hyp), s.refs))
	s.release()
}

func (b *BLEU) words(text string) []string {
	if b.config.Lowercase {
		text = lower(text)
	}
	return b.tokenize(trimRight(text))
}

// closestLen is the length of the reference whose length is closest to n, the
// shorter of two.
func closestLen(n int, refs [][]int32) int {
	best := len(refs[0])
	for _, ref := range refs[1:] {
		far, was := abs(len(ref)-n), abs(best-n)
		if far < was || far == was && len(ref) < best {
			best = len(ref)
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// Merge adds what other has counted, as if its segments had been added here.
// Values that count differently are refused with ErrSettings.
func (b *BLEU) Merge(other *BLEU) error {
	if b.config != other.config {
		return fmt.Errorf("%w: %s and %s", ErrSettings, b.Signature(), other.Signature())
	}
	b.counts.merge(other.counts)
	for n := range b.matches {
		b.matches[n] += other.matches[n]
		b.totals[n] += other.totals[n]
	}
	b.sysLen += other.sysLen
	b.refLen += other.refLen
	return nil
}

// Reset forgets all segments.
func (b *BLEU) Reset() {
	b.counts, b.sysLen, b.refLen = corpus{}, 0, 0
	clear(b.matches)
	clear(b.totals)
}

// BLEUScore is a score and what it was computed from.
type BLEUScore struct {
	// Score is 0 (nothing in common) to 100 (equal).
	Score float64
	// Precisions are the smoothed precisions by order, 0 to 100. An order that
	// no hypothesis reaches has 0, and all have 0 if nothing matches.
	Precisions []float64
	// Counts are the clipped n-gram matches by order, without smoothing.
	Counts []int64
	// Totals are the n-grams of the hypotheses by order, without smoothing.
	Totals []int64
	// BP is the brevity penalty, 0 to 1. 1 is none.
	BP float64
	// SysLen is the length of the hypotheses, in words.
	SysLen int64
	// RefLen is the sum of the closest reference's length, in words.
	RefLen int64
	// Segments counts the segments that were added.
	Segments int64
	// Refused counts the segments that had no reference.
	Refused int64
}

// Score returns the score of all segments since the last Reset. Without any it
// is 0. The slices are the caller's.
func (b *BLEU) Score() BLEUScore {
	s := BLEUScore{
		Precisions: make([]float64, b.config.Order),
		Counts:     append([]int64(nil), b.matches...),
		Totals:     append([]int64(nil), b.totals...),
		BP:         1,
		SysLen:     b.sysLen,
		RefLen:     b.refLen,
		Segments:   b.counts.segments,
		Refused:    b.counts.refused,
	}
	if s.SysLen == 0 && s.RefLen > 0 {
		s.BP = 0
	} else if s.SysLen < s.RefLen {
		s.BP = math.Exp(1 - float64(s.RefLen)/float64(s.SysLen))
	}
	s.Score = b.score(&s)
	return s
}

// score fills the precisions and returns BP times their geometric mean.
func (b *BLEU) score(s *BLEUScore) float64 {
	if s.Counts[0] == 0 {
		return 0 // a longer match has a match of one word in it
	}
	logs, reached, halves := 0.0, 0, 1.0
	for n := range s.Precisions {
		count, total := float64(s.Counts[n]), float64(s.Totals[n])
		if b.config.Smoothing == smoothAddK && n > 0 {
			count += b.config.SmoothValue
			total += b.config.SmoothValue
		}
		if total == 0 {
			break
		}
		reached++
		p := 100 * count / total
		if count == 0 {
			switch b.config.Smoothing {
			case smoothExp:
				halves *= 2
				p = 100 / (halves * total)
			case smoothFloor:
				p = 100 * b.config.SmoothValue / total
			}
		}
		s.Precisions[n] = p
		logs += math.Log(p)
	}
	if !b.config.EffectiveOrder && reached < len(s.Precisions) {
		return 0 // the logarithm of an order that was not reached
	}
	return min(100, s.BP*math.Exp(logs/float64(reached)))
}

// Signature says what the score depends on, in the manner of sacreBLEU:
//
//	nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:calm1
//
// nrefs is "var" when segments had different numbers of references. The version
// changes when the same texts could get another score.
func (b *BLEU) Signature() string {
	smooth := b.config.Smoothing
	if smooth == smoothFloor || smooth == smoothAddK {
		smooth = fmt.Sprintf("%s[%.2f]", smooth, b.config.SmoothValue)
	}
	return fmt.Sprintf("nrefs:%s|case:%s|eff:%s|tok:%s|smooth:%s|%s", b.counts.nrefs(),
		caseName(b.config.Lowercase), yesNo(b.config.EffectiveOrder), b.config.Tokenizer, smooth, version)
}
