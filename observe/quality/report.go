package quality

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Undefined says what a precision, recall or F is where its denominator is 0: where
// nothing was predicted, nothing is true, or neither.
type Undefined uint8

// The kinds of Undefined.
const (
	UndefinedZero Undefined = iota // 0
	UndefinedOne                   // 1
	UndefinedNaN                   // NaN, and averages over classes leave it out
)

func (u Undefined) value() float64 {
	switch u {
	case UndefinedOne:
		return 1
	case UndefinedNaN:
		return math.NaN()
	default:
		return 0
	}
}

// ReportConfig says what a Report is about. The zero value is scikit-learn's
// default.
type ReportConfig struct {
	// Labels are the classes to report and to average over, in this order: some of
	// those that were seen, or others, which have no examples. A label that comes
	// twice is reported once. Defaults to every label that is the truth or the
	// prediction of an example: those of the ConfusionConfig first, in their order,
	// then the others sorted.
	Labels []string
	// Beta is the weight of recall in F: 1 weighs both alike, 2 counts recall twice
	// as important. Above 0; what is not counts as 1. Defaults to 1.
	Beta float64
	// Undefined fills ratios without a denominator. Defaults to UndefinedZero.
	Undefined Undefined
}

// Report is what a Confusion comes to.
type Report struct {
	Classes []ClassScore // by label

	Micro    Average // of the counts of all classes, pooled
	Macro    Average // mean over the classes
	Weighted Average // mean over the classes, weighted by Support

	// Over all classes that were seen, whatever ReportConfig.Labels says; NaN
	// without examples.
	Accuracy         float64 // share of examples that were right: 0 to 1
	BalancedAccuracy float64 // mean recall of the classes that have examples: 0 to 1
	MCC              float64 // Matthews correlation: -1 to 1; 0 if all truths or all predictions are of one class
	Kappa            float64 // Cohen's kappa: up to 1; NaN if truths and predictions are all of one class
	N                int64   // examples

	Beta    float64 // of F
	partial bool    // classes that were seen are not in Classes
}

// ClassScore is how well one class was found.
type ClassScore struct {
	Label string // the class, as it was given to Add

	TruePositives  int64 // of the class, and predicted so
	FalsePositives int64 // of another class
	FalseNegatives int64 // predicted to be of another class
	Support        int64 // examples of the class

	Precision float64 // TP / (TP + FP): 0 to 1
	Recall    float64 // TP / (TP + FN): 0 to 1
	F         float64 // (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): 0 to 1

	// The ratios that had no denominator.
	PrecisionUndefined, RecallUndefined, FUndefined bool
}

// Average is a mean of precision, recall and F over the classes of a Report. Where
// there is nothing to average, each is what Undefined says.
type Average struct {
	Precision float64 // 0 to 1
	Recall    float64 // 0 to 1
	F         float64 // 0 to 1
	Support   int64   // examples of the classes
}

// Report computes every score. It allocates, and takes time with the square of the
// number of labels.
func (c *Confusion) Report(config ReportConfig) Report {
	if !(config.Beta > 0) || math.IsInf(config.Beta, 0) {
		config.Beta = 1
	}
	truths, predictions := c.sums()
	r := Report{N: c.n, Beta: config.Beta}
	r.overall(c, truths, predictions)

	seen := c.seen(truths, predictions)
	labels := seen
	if config.Labels != nil {
		labels = config.Labels
	}
	reported := make(map[string]bool, len(labels))
	for _, label := range labels {
		if reported[label] {
			continue
		}
		reported[label] = true
		s := ClassScore{Label: label}
		if i, ok := c.index[label]; ok {
			s.TruePositives = c.counts[i*c.stride+i]
			s.FalsePositives = predictions[i] - s.TruePositives
			s.FalseNegatives = truths[i] - s.TruePositives
			s.Support = truths[i]
		}
		s.score(config)
		r.Classes = append(r.Classes, s)
	}
	r.partial = slices.ContainsFunc(seen, func(label string) bool { return !reported[label] })
	r.average(config)
	return r
}

// sums returns how often each class is the truth, and the prediction.
func (c *Confusion) sums() (truths, predictions []int64) {
	truths, predictions = make([]int64, len(c.labels)), make([]int64, len(c.labels))
	for i := range c.labels {
		for j := range c.labels {
			n := c.counts[i*c.stride+j]
			truths[i] += n
			predictions[j] += n
		}
	}
	return truths, predictions
}

// seen returns the labels that have examples or predictions.
func (c *Confusion) seen(truths, predictions []int64) []string {
	var labels []string
	known := 0
	for i, label := range c.labels {
		if truths[i] > 0 || predictions[i] > 0 {
			labels = append(labels, label)
			if i < len(c.config.Labels) {
				known++
			}
		}
	}
	slices.Sort(labels[known:])
	return labels
}

// overall computes the scores over all classes.
func (r *Report) overall(c *Confusion, truths, predictions []int64) {
	if c.n == 0 {
		nan := math.NaN()
		r.Accuracy, r.BalancedAccuracy, r.MCC, r.Kappa = nan, nan, nan, nan
		return
	}
	// What is left of n is summed, not subtracted, so that no digits are lost where
	// nearly all examples are of one class.
	n := float64(c.n)
	var correct int64
	var recalls, classes, chance, truthsLeft, predictionsLeft float64
	for i := range c.labels {
		hits, t, p := c.counts[i*c.stride+i], float64(truths[i]), float64(predictions[i])
		correct += hits
		if t > 0 {
			recalls += float64(hits) / t
			classes++
		}
		chance += t / n * float64(c.n-predictions[i])
		truthsLeft += t / n * float64(c.n-truths[i])
		predictionsLeft += p / n * float64(c.n-predictions[i])
	}
	wrong := float64(c.n - correct) // chance is what it would be without any skill
	r.Accuracy = float64(correct) / n
	r.BalancedAccuracy = recalls / classes
	r.Kappa = 1 - wrong/chance
	if truthsLeft > 0 && predictionsLeft > 0 {
		r.MCC = (chance - wrong) / (math.Sqrt(truthsLeft) * math.Sqrt(predictionsLeft))
		r.MCC = min(max(r.MCC, -1), 1) // rounding may pass
	}
}

// score computes the ratios of a class from its counts.
func (s *ClassScore) score(config ReportConfig) {
	tp, fp, fn := float64(s.TruePositives), float64(s.FalsePositives), float64(s.FalseNegatives)
	s.Precision, s.PrecisionUndefined = ratio(tp, tp+fp, config.Undefined)
	s.Recall, s.RecallUndefined = ratio(tp, tp+fn, config.Undefined)
	b2 := min(max(config.Beta*config.Beta, 1e-100), 1e100) // neither 0 nor infinite
	s.F, s.FUndefined = ratio((1+b2)*tp, (1+b2)*tp+b2*fn+fp, config.Undefined)
}

func ratio(a, b float64, u Undefined) (value float64, undefined bool) {
	if b == 0 {
		return u.value(), true
	}
	return a / b, false
}

// average computes the means over the classes.
func (r *Report) average(config ReportConfig) {
	var pooled ClassScore
	for _, s := range r.Classes {
		pooled.TruePositives += s.TruePositives
		pooled.FalsePositives += s.FalsePositives
		pooled.FalseNegatives += s.FalseNegatives
		pooled.Support += s.Support
	}
	pooled.score(config)
	r.Micro = Average{pooled.Precision, pooled.Recall, pooled.F, pooled.Support}

	mean := func(weighted bool, value func(*ClassScore) float64) float64 {
		var sum, weights float64
		for i := range r.Classes {
			s, weight := &r.Classes[i], 1.0
			if weighted {
				weight = float64(s.Support)
			}
			if v := value(s); !math.IsNaN(v) {
				sum += weight * v
				weights += weight
			}
		}
		v, _ := ratio(sum, weights, config.Undefined)
		return v
	}
	over := func(weighted bool) Average {
		return Average{
			Precision: mean(weighted, func(s *ClassScore) float64 { return s.Precision }),
			Recall:    mean(weighted, func(s *ClassScore) float64 { return s.Recall }),
			F:         mean(weighted, func(s *ClassScore) float64 { return s.F }),
			Support:   pooled.Support,
		}
	}
	r.Macro, r.Weighted = over(false), over(true)
}

// String is the report as a table, as scikit-learn's classification_report writes
// it: accuracy, or the micro average where classes that were seen are left out.
func (r Report) String() string {
	width := len("weighted avg")
	for _, s := range r.Classes {
		width = max(width, utf8.RuneCountInString(s.Label))
	}
	var b strings.Builder
	line := func(name string, a Average) {
		fmt.Fprintf(&b, "%*s  %9.2f %9.2f %9.2f %9d\n", width, name, a.Precision, a.Recall, a.F, a.Support)
	}
	f := "f" + strconv.FormatFloat(r.Beta, 'g', -1, 64) + "-score"
	fmt.Fprintf(&b, "%*s  %9s %9s %9s %9s\n\n", width, "", "precision", "recall", f, "support")
	for _, s := range r.Classes {
		line(s.Label, Average{s.Precision, s.Recall, s.F, s.Support})
	}
	b.WriteByte('\n')
	if r.partial {
		line("micro avg", r.Micro)
	} else {
		fmt.Fprintf(&b, "%*s  %9s %9s %9.2f %9d\n", width, "accuracy", "", "", r.Accuracy, r.N)
	}
	line("macro avg", r.Macro)
	line("weighted avg", r.Weighted)
	return b.String()
}
