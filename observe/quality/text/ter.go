package text

import (
	"fmt"
	"strings"
)

// TERConfig says how TER splits texts into words. The zero value is
// sacreBLEU's default: white-space words in lower case.
type TERConfig struct {
	// CaseSensitive compares words as they are, not in lower case.
	CaseSensitive bool
	// NoPunctuation removes the marks . , ? : ; ! " ( ).
	NoPunctuation bool
}

// TER sums what the translation edit rate of a corpus needs, segment by segment.
// It is for one goroutine at a time.
type TER struct {
	config TERConfig
	counts corpus
	edits  int64
	length float64
	cut    int64
	limit  int // of work, for one reference
	text   segment
}

// NewTER returns an empty TER. No settings are wrong.
func NewTER(config TERConfig) *TER {
	return &TER{config: config, limit: maxWork, text: newSegment()}
}

// Add counts one segment: the edits to the closest of its references, and the
// mean length of all. One without a reference is refused, which the score says.
// Any text is valid, an empty one and one that is not UTF-8 too. See the package
// documentation for the cost.
func (t *TER) Add(hyp string, refs ...string) {
	if !t.counts.add(len(refs)) {
		return
	}
	s := &t.text
	s.setHyp(s.words.number(s.hyp, t.words(hyp)))
	best, sum, cut := 0, 0, false
	for i, ref := range refs {
		s.refs = s.refs[:0]
		s.addRef(s.words.number(s.nextRef(), t.words(ref)))
		n, short := editRate(s.hyp, s.refs[0], t.limit)
		if i == 0 || n < best {
			best = n
		}
		cut = cut || short
		sum += len(s.refs[0])
	}
	t.edits += int64(best)
	t.length += float64(sum) / float64(len(refs))
	if cut {
		t.cut++
	}
	s.release()
}

// words splits a text as Tercom's tokenizer does.
func (t *TER) words(text string) []string {
	text = trimRight(text)
	if !t.config.CaseSensitive {
		text = lower(text)
	}
	if t.config.NoPunctuation {
		text = strings.Map(func(r rune) rune {
			if strings.ContainsRune(`.,?:;!"()`, r) {
				return -1
			}
			return r
		}, text)
	}
	return Words(text)
}

// Merge adds what other has counted, as if its segments had been added here.
// Values that count differently are refused with ErrSettings.
func (t *TER) Merge(other *TER) error {
	if t.config != other.config {
		return fmt.Errorf("%w: %s and %s", ErrSettings, t.Signature(), other.Signature())
	}
	t.counts.merge(other.counts)
	t.edits += other.edits
	t.length += other.length
	t.cut += other.cut
	return nil
}

// Reset forgets all segments.
func (t *TER) Reset() {
	t.counts, t.edits, t.length, t.cut = corpus{}, 0, 0, 0
}

// TERScore is a score and what it was computed from.
type TERScore struct {
	// Score is edits for each 100 words of reference: 0 is equal, and more than
	// 100 is possible. It is 100 if only the references are empty.
	Score float64
	// Edits counts shifts, insertions, deletions and substitutions.
	Edits int64
	// RefLen is the sum of the references' mean length, in words.
	RefLen float64
	// Segments counts the segments that were added.
	Segments int64
	// Refused counts the segments that had no reference.
	Refused int64
	// Cut counts the segments whose search for shifts ended at the limit of
	// work. Their edits are an upper bound.
	Cut int64
}

// Score returns the score of all segments since the last Reset. Without any it
// is 0.
func (t *TER) Score() TERScore {
	s := TERScore{
		Edits:    t.edits,
		RefLen:   t.length,
		Segments: t.counts.segments,
		Refused:  t.counts.refused,
		Cut:      t.cut,
	}
	if s.RefLen > 0 {
		s.Score = 100 * float64(s.Edits) / s.RefLen
	} else if s.Edits > 0 {
		s.Score = 100
	}
	return s
}

// Signature says what the score depends on, in the manner of sacreBLEU:
//
//	nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:calm1
//
// nrefs is "var" when segments had different numbers of references.
func (t *TER) Signature() string {
	return fmt.Sprintf("nrefs:%s|case:%s|tok:tercom|norm:no|punct:%s|asian:no|%s", t.counts.nrefs(),
		caseName(!t.config.CaseSensitive), yesNo(!t.config.NoPunctuation), version)
}
