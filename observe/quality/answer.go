package quality

import (
	"math"
	"strings"

	"github.com/calmops/calm/observe/quality/text"
)

// Feedback is what a user said of an answer.
type Feedback uint8

// The kinds of feedback.
const (
	FeedbackNone      Feedback = iota // nothing was said
	FeedbackUp                        // it helped
	FeedbackDown                      // it did not
	FeedbackCorrected                 // the user put it right
)

// Answer is a text that a model generated.
type Answer struct {
	// Text is what the user got. Only its first Config.MaxText bytes are measured.
	Text string
	// InputTokens and OutputTokens are what it used; 0 is not known.
	InputTokens, OutputTokens int
	// Finish is the finish reason of the engine: "length" and "max_tokens" mean
	// that the answer was cut off.
	Finish string
	// Refused says that the model declined. Where it is false, Config.Refusals are
	// looked for.
	Refused bool
	// HasReference says that Reference is the text that a person would have
	// written: BLEU and chrF are computed.
	HasReference bool
	// Reference is compared with Text if HasReference is set.
	Reference string
	// Feedback is the user's, if it is known by now.
	Feedback Feedback
}

// Measured is what an Answer comes to: an outcome for whoever compares versions.
type Measured struct {
	Empty          bool // no character but white space
	Truncated      bool // cut off by its limit
	Refused        bool // the model declined
	ScriptMismatch bool // more than half of the letters are in none of Config.Scripts

	OutputTokens int     // as given; 0 is not known
	LengthRatio  float64 // OutputTokens over the mean of the task's reference; NaN is not known
	Distinct1    float64 // different words / words; NaN without words
	Distinct2    float64 // different pairs of words / pairs; NaN without pairs
	RepeatedRun  int     // longest run of words that repeats at once, in words

	BLEU float64 // of this sentence, 0 to 100; NaN without a reference
	ChrF float64 // of this sentence, 0 to 100; NaN without a reference

	Feedback Feedback // as given
}

// measurer holds what measuring an answer needs.
type measurer struct {
	maxText  int
	scripts  *text.Scripts // nil: any
	refusals []string
	bleu     text.BLEUConfig
	chrf     text.ChrFConfig
}

// measure computes everything about an answer but its LengthRatio. The corpora
// hold the one segment, nil without a reference.
func (m *measurer) measure(a *Answer) (out Measured, bleu *text.BLEU, chrf *text.ChrF) {
	body, reference := head(a.Text, m.maxText), head(a.Reference, m.maxText)
	out = Measured{
		Empty:        text.Empty(body),
		Truncated:    a.Finish == "length" || a.Finish == "max_tokens",
		Refused:      a.Refused || text.Refused(body, m.refusals),
		OutputTokens: max(a.OutputTokens, 0),
		LengthRatio:  math.NaN(), BLEU: math.NaN(), ChrF: math.NaN(),
		Feedback: a.Feedback,
	}
	if m.scripts != nil {
		_, out.ScriptMismatch = m.scripts.Outside(body)
	}
	words := text.Words(body)
	out.Distinct1, out.Distinct2 = orNaN(text.Distinct(1, words)), orNaN(text.Distinct(2, words))
	out.RepeatedRun = text.RepeatedRun(words)
	if a.HasReference {
		bleu, chrf = m.corpora()
		sentence, _ := text.NewBLEU(m.sentence())
		for _, add := range []func(string, ...string){bleu.Add, sentence.Add, chrf.Add} {
			add(body, reference)
		}
		out.BLEU, out.ChrF = sentence.Score().Score, chrf.Score().Score
	}
	return out, bleu, chrf
}

// corpora returns empty corpora. Their Configs were checked by New.
func (m *measurer) corpora() (*text.BLEU, *text.ChrF) {
	bleu, _ := text.NewBLEU(m.bleu)
	chrf, _ := text.NewChrF(m.chrf)
	return bleu, chrf
}

// sentence is the BLEU of single sentences: over the orders that they have.
func (m *measurer) sentence() text.BLEUConfig {
	c := m.bleu
	c.EffectiveOrder = true
	return c
}

// head returns the first n bytes of a text, at most; a character is not cut.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

func orNaN(v float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return v
}
