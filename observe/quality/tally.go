package quality

import (
	"errors"
	"math"

	"github.com/calmops/calm/observe/quality/text"
)

// tally adds up what was said of one version of a task, in one slot of a window.
// What it was not told is nil.
type tally struct {
	m          *Monitor // whose Config makes the parts
	confusion  *Confusion
	scores     *Scores
	perplexity Perplexity
	bleu       *text.BLEU
	chrf       *text.ChrF
	answers    answers
	judged     judged
}

// classes returns the confusion matrix, made if there is none.
func (t *tally) classes() *Confusion {
	if t.confusion == nil {
		t.confusion, _ = NewConfusion(ConfusionConfig{MaxLabels: t.m.cfg.MaxLabels}) // checked by New
	}
	return t.confusion
}

// windowBins are the bins of scores in a slot: 8 kB.
const windowBins = 512

func (t *tally) probabilities() *Scores {
	if t.scores == nil {
		t.scores, _ = NewScores(ScoresConfig{Bins: windowBins})
	}
	return t.scores
}

func (t *tally) corpora() (*text.BLEU, *text.ChrF) {
	if t.bleu == nil {
		t.bleu, t.chrf = t.m.measure.corpora()
	}
	return t.bleu, t.chrf
}

// compare adds texts that have references.
func (t *tally) compare(bleu *text.BLEU, chrf *text.ChrF) error {
	b, c := t.corpora()
	return errors.Join(b.Merge(bleu), c.Merge(chrf))
}

// Merge implements Mergeable.
func (t *tally) Merge(o *tally) error {
	var errs []error
	if o.confusion != nil {
		errs = append(errs, t.classes().Merge(o.confusion))
	}
	if o.scores != nil {
		errs = append(errs, t.probabilities().Merge(o.scores))
	}
	if o.bleu != nil {
		errs = append(errs, t.compare(o.bleu, o.chrf))
	}
	errs = append(errs, t.perplexity.Merge(&o.perplexity))
	t.answers.merge(&o.answers)
	t.judged.n += o.judged.n
	t.judged.weight += o.judged.weight
	t.judged.sum += o.judged.sum
	return errors.Join(errs...)
}

// Reset implements Mergeable. The parts stay, for the next time.
func (t *tally) Reset() {
	if t.confusion != nil {
		t.confusion.Reset()
	}
	if t.scores != nil {
		t.scores.Reset()
	}
	if t.bleu != nil {
		t.bleu.Reset()
		t.chrf.Reset()
	}
	t.perplexity.Reset()
	t.answers, t.judged = answers{}, judged{}
}

// answers are sums over Answers.
type answers struct {
	n                                   int64
	empty, truncated, refused, mismatch int64
	tokens                              mean
	distinct1, distinct2                mean
	run                                 mean
	up, down, corrected                 int64
}

// judged are sums over scores of a judge that sees a share of the answers. Each
// counts as many times as it stands for.
type judged struct {
	n      int64
	weight float64 // sum of 1/rate
	sum    float64 // sum of score/rate
}

func (a *answers) add(m *Measured) {
	count := func(n *int64, is bool) {
		if is {
			*n++
		}
	}
	a.n++
	count(&a.empty, m.Empty)
	count(&a.truncated, m.Truncated)
	count(&a.refused, m.Refused)
	count(&a.mismatch, m.ScriptMismatch)
	if m.OutputTokens > 0 {
		a.tokens.add(float64(m.OutputTokens))
	}
	if !math.IsNaN(m.Distinct1) {
		a.distinct1.add(m.Distinct1)
		a.run.add(float64(m.RepeatedRun))
	}
	if !math.IsNaN(m.Distinct2) {
		a.distinct2.add(m.Distinct2)
	}
	count(&a.up, m.Feedback == FeedbackUp)
	count(&a.down, m.Feedback == FeedbackDown)
	count(&a.corrected, m.Feedback == FeedbackCorrected)
}

func (m *mean) merge(o mean) { m.n += o.n; m.sum += o.sum }

func (a *answers) merge(o *answers) {
	a.n += o.n
	a.empty += o.empty
	a.truncated += o.truncated
	a.refused += o.refused
	a.mismatch += o.mismatch
	a.tokens.merge(o.tokens)
	a.distinct1.merge(o.distinct1)
	a.distinct2.merge(o.distinct2)
	a.run.merge(o.run)
	a.up += o.up
	a.down += o.down
	a.corrected += o.corrected
}

// Score is one figure of a version of a task, over the window.
type Score struct {
	Metric string  // accuracy, precision_macro, auc, perplexity, bleu, empty, ...
	Class  string  // of precision, recall and f1: the class; else ""
	Value  float64 // never NaN: what is not defined is left out
}

// maxClasses bounds the classes that have scores of their own in a Snapshot.
const maxClasses = 32

// figures returns the scores of a tally. referenceTokens is the mean output length
// that lengths are compared with, NaN if there is none.
func (t *tally) figures(referenceTokens float64, scripts bool) []Score {
	var out []Score
	add := func(metric, class string, v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, Score{metric, class, v})
		}
	}
	if t.confusion != nil && t.confusion.N() > 0 {
		t.classification(add)
	}
	if t.scores != nil && t.scores.N() > 0 {
		t.probability(add)
	}
	add("perplexity", "", t.perplexity.Value())
	if t.bleu != nil {
		if b := t.bleu.Score(); b.Segments > 0 {
			add("bleu", "", b.Score)
			add("chrf", "", t.chrf.Score().Score)
		}
	}
	if t.answers.n > 0 {
		t.answers.figures(add, referenceTokens, scripts)
	}
	if t.judged.n > 0 {
		add("judge", "", t.judged.sum/t.judged.weight)
		add("judge_sampling_ratio", "", float64(t.judged.n)/t.judged.weight)
	}
	return out
}

type adder = func(metric, class string, v float64)

func (t *tally) classification(add adder) {
	r := t.confusion.Report(ReportConfig{Undefined: UndefinedNaN})
	add("accuracy", "", r.Accuracy)
	add("balanced_accuracy", "", r.BalancedAccuracy)
	add("mcc", "", r.MCC)
	add("kappa", "", r.Kappa)
	average := func(name string, a Average) {
		add("precision_"+name, "", a.Precision)
		add("recall_"+name, "", a.Recall)
		add("f1_"+name, "", a.F)
	}
	average("macro", r.Macro)
	average("micro", r.Micro)
	average("weighted", r.Weighted)
	for _, c := range r.Classes[:min(len(r.Classes), maxClasses)] {
		add("precision", c.Label, c.Precision)
		add("recall", c.Label, c.Recall)
		add("f1", c.Label, c.F)
	}
}

func (t *tally) probability(add adder) {
	auc, _ := t.scores.AUC()
	add("auc", "", auc)
	add("average_precision", "", t.scores.AP())
	add("brier", "", t.scores.Brier())
	add("log_loss", "", t.scores.LogLoss())
	add("ece", "", t.scores.ECE())
}

func (a *answers) figures(add adder, referenceTokens float64, scripts bool) {
	n := float64(a.n)
	add("empty", "", float64(a.empty)/n)
	add("truncated", "", float64(a.truncated)/n)
	add("refused", "", float64(a.refused)/n)
	if scripts {
		add("script_mismatch", "", float64(a.mismatch)/n)
	}
	add("length_ratio", "", a.tokens.value()/referenceTokens)
	add("distinct_1", "", a.distinct1.value())
	add("distinct_2", "", a.distinct2.value())
	add("repeated_run", "", a.run.value())
	if said := float64(a.up + a.down + a.corrected); said > 0 {
		add("feedback_up", "", float64(a.up)/said)
		add("feedback_down", "", float64(a.down)/said)
		add("feedback_corrected", "", float64(a.corrected)/said)
	}
}
