package text

import (
	"errors"
	"fmt"
)

// ChrFConfig says how ChrF counts. The zero value is sacreBLEU's default, chrF2.
// WordOrder 2 makes it chrF++.
type ChrFConfig struct {
	// CharOrder is the longest character n-gram, in runes. Defaults to 6; at
	// most 16.
	CharOrder int
	// WordOrder is the longest word n-gram, in words. 0 is none; at most 16.
	WordOrder int
	// Beta says how much more recall counts than precision. Defaults to 2; at
	// most 100.
	Beta float64
	// Lowercase compares texts in lower case.
	Lowercase bool
	// Whitespace keeps white space in the character n-grams.
	Whitespace bool
	// EpsSmoothing takes the mean of the orders' F scores, with 1e-16 in place
	// of an empty ratio, over all orders, as chrF++.py, NLTK and Moses do.
	// Otherwise orders that a side does not reach are left out.
	EpsSmoothing bool
}

func (c *ChrFConfig) complete() error {
	var faults []error
	fault := func(wrong bool, field string, value any, want string) {
		if wrong {
			faults = append(faults, fmt.Errorf("text: ChrFConfig.%s is %v: want %s", field, value, want))
		}
	}
	orders := fmt.Sprintf("0 to %d", maxOrder)
	fault(c.CharOrder < 0 || c.CharOrder > maxOrder, "CharOrder", c.CharOrder, orders)
	fault(c.WordOrder < 0 || c.WordOrder > maxOrder, "WordOrder", c.WordOrder, orders)
	fault(!(c.Beta >= 0 && c.Beta <= 100), "Beta", c.Beta, "0 to 100")
	setDefault(&c.CharOrder, 6)
	setDefault(&c.Beta, 2)
	return errors.Join(faults...)
}

// ChrF sums what the chrF score of a corpus needs, segment by segment. It is
// for one goroutine at a time.
type ChrF struct {
	config ChrFConfig
	counts corpus
	orders []chrfOrder // characters, then words
	now    []chrfOrder // of the segment and one reference
	best   []chrfOrder // of the segment and its best reference
	match  []int64
	chars  segment
	words  segment
	grams  grams
}

// chrfOrder counts the n-grams of one order.
type chrfOrder struct{ hyp, ref, match int64 }

// NewChrF returns an empty ChrF, or an error that names every fault of the
// settings.
func NewChrF(config ChrFConfig) (*ChrF, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	n := config.CharOrder + config.WordOrder
	return &ChrF{
		config: config,
		orders: make([]chrfOrder, n),
		now:    make([]chrfOrder, n),
		best:   make([]chrfOrder, n),
		match:  make([]int64, n),
		chars:  newSegment(),
		words:  newSegment(),
	}, nil
}

// Add counts one segment: a hypothesis against that of its references for which
// the segment's score is best. One without a reference is refused, which the
// score says. Any text is valid, an empty one and one that is not UTF-8 too.
// Time is linear in the texts, times the orders.
func (c *ChrF) Add(hyp string, refs ...string) {
	if !c.counts.add(len(refs)) {
		return
	}
	c.begin(hyp)
	best := -1.0
	for _, ref := range refs {
		c.compare(ref)
		if f := c.f(c.now); f > best {
			best = f
			c.now, c.best = c.best, c.now
		}
	}
	for i, o := range c.best {
		c.orders[i].hyp += o.hyp
		c.orders[i].ref += o.ref
		c.orders[i].match += o.match
	}
	c.chars.release()
	c.words.release()
}

func (c *ChrF) begin(hyp string) {
	if c.config.Lowercase {
		hyp = lower(hyp)
	}
	c.chars.setHyp(appendRunes(c.chars.hyp, hyp, c.config.Whitespace))
	if c.config.WordOrder > 0 {
		c.words.setHyp(c.words.words.number(c.words.hyp, chrfWords(hyp)))
	}
}

// compare counts the hypothesis and one reference into now.
func (c *ChrF) compare(ref string) {
	if c.config.Lowercase {
		ref = lower(ref)
	}
	n := c.config.CharOrder
	c.chars.refs = c.chars.refs[:0]
	c.chars.addRef(appendRunes(c.chars.nextRef(), ref, c.config.Whitespace))
	c.count(&c.chars, c.now[:n], c.match[:n])
	if c.config.WordOrder > 0 {
		c.words.refs = c.words.refs[:0]
		c.words.addRef(c.words.words.number(c.words.nextRef(), chrfWords(ref)))
		c.count(&c.words, c.now[n:], c.match[n:])
	}
}

func (c *ChrF) count(s *segment, orders []chrfOrder, match []int64) {
	clear(match)
	c.grams.match(s.hyp, s.refs, match)
	for i := range orders {
		o := chrfOrder{gramsIn(len(s.hyp), i+1), gramsIn(len(s.refs[0]), i+1), match[i]}
		if o.ref == 0 {
			o.hyp = 0 // an order that the reference lacks cannot be missed
		}
		orders[i] = o
	}
}

// chrfWords splits at white space, and one punctuation mark off a word: the last
// one, else the first.
func chrfWords(text string) []string {
	words := Words(text)
	out := make([]string, 0, len(words)+len(words)/4)
	for _, w := range words {
		switch last := len(w) - 1; {
		case last == 0:
			out = append(out, w)
		case isPunctuation(w[last]):
			out = append(out, w[:last], w[last:])
		case isPunctuation(w[0]):
			out = append(out, w[:1], w[1:])
		default:
			out = append(out, w)
		}
	}
	return out
}

// f returns the score of some counts, 0 to 100.
func (c *ChrF) f(orders []chrfOrder) float64 {
	const eps = 1e-16
	weight := c.config.Beta * c.config.Beta
	sum, precision, recall, reached := 0.0, 0.0, 0.0, 0.0
	for _, o := range orders {
		p, r := eps, eps
		if o.hyp > 0 {
			p = float64(o.match) / float64(o.hyp)
		}
		if o.ref > 0 {
			r = float64(o.match) / float64(o.ref)
		}
		if d := weight*p + r; d > 0 {
			sum += (1 + weight) * p * r / d
		} else {
			sum += eps
		}
		if o.hyp > 0 && o.ref > 0 {
			precision += p
			recall += r
			reached++
		}
	}
	if c.config.EpsSmoothing {
		return min(100, 100*sum/float64(len(orders)))
	}
	if precision == 0 || recall == 0 {
		return 0
	}
	precision /= reached
	recall /= reached
	return min(100, 100*(1+weight)*precision*recall/(weight*precision+recall))
}

// Merge adds what other has counted, as if its segments had been added here.
// Values that count differently are refused with ErrSettings.
func (c *ChrF) Merge(other *ChrF) error {
	if c.config != other.config {
		return fmt.Errorf("%w: %s and %s", ErrSettings, c.Signature(), other.Signature())
	}
	c.counts.merge(other.counts)
	for i, o := range other.orders {
		c.orders[i].hyp += o.hyp
		c.orders[i].ref += o.ref
		c.orders[i].match += o.match
	}
	return nil
}

// Reset forgets all segments.
func (c *ChrF) Reset() {
	c.counts = corpus{}
	clear(c.orders)
}

// ChrFScore is a score and what it was computed from.
type ChrFScore struct {
	// Score is 0 (nothing in common) to 100 (equal).
	Score float64
	// Matches are the clipped n-gram matches by order, of characters and then of
	// words.
	Matches []int64
	// HypTotals are the n-grams of the hypotheses by order, those left out that
	// the segment's reference has none of.
	HypTotals []int64
	// RefTotals are the n-grams of the best references by order.
	RefTotals []int64
	// Segments counts the segments that were added.
	Segments int64
	// Refused counts the segments that had no reference.
	Refused int64
}

// Score returns the score of all segments since the last Reset. Without any it
// is 0. The slices are the caller's.
func (c *ChrF) Score() ChrFScore {
	s := ChrFScore{Segments: c.counts.segments, Refused: c.counts.refused}
	if s.Segments > 0 {
		s.Score = c.f(c.orders)
	}
	for _, o := range c.orders {
		s.Matches = append(s.Matches, o.match)
		s.HypTotals = append(s.HypTotals, o.hyp)
		s.RefTotals = append(s.RefTotals, o.ref)
	}
	return s
}

// Signature says what the score depends on, in the manner of sacreBLEU:
//
//	nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:calm1
//
// A Beta other than 2 comes before the version, as beta:3; sacreBLEU has it in
// the metric's name (chrF3). nrefs is "var" when segments had different numbers
// of references.
func (c *ChrF) Signature() string {
	beta := ""
	if c.config.Beta != 2 {
		beta = fmt.Sprintf("beta:%v|", c.config.Beta)
	}
	return fmt.Sprintf("nrefs:%s|case:%s|eff:%s|nc:%d|nw:%d|space:%s|%s%s", c.counts.nrefs(),
		caseName(c.config.Lowercase), yesNo(!c.config.EpsSmoothing), c.config.CharOrder, c.config.WordOrder,
		yesNo(c.config.Whitespace), beta, version)
}
