// Package quality says how good a model is, as it runs: precision, recall and F1,
// AUC, calibration, perplexity, over everything or over a moving window.
//
// The figures are those of scikit-learn, to the digits; but they are kept up value
// by value in bounded memory, and what was counted in several places can be merged.
//
// # Quick start
//
// A classifier of several classes:
//
//	c, err := quality.NewConfusion(quality.ConfusionConfig{})
//	c.Add("spam", "ham") // it is spam, and was taken for ham
//	...
//	r := c.Report(quality.ReportConfig{})
//	fmt.Print(r, r.MCC)
//
// Probabilities that something is so:
//
//	s, err := quality.NewScores(quality.ScoresConfig{})
//	s.Add(true, 0.93) // it was so
//	...
//	auc, bound := s.AUC()
//
// Of the last hour, in slots of five minutes:
//
//	w, err := quality.NewRolling(quality.RollingConfig[*quality.Scores]{
//		New: newScores, Every: 5 * time.Minute, Slots: 12,
//	})
//	w.At(time.Now()).Add(true, 0.93)
//	s, err := w.Value(time.Now())
//
// Everything at once, from slices: [ROCAUC], [AveragePrecision], [Brier], [LogLoss],
// [TopK], [CalibrationCurve], [ECE]. Scores of texts are in package text, changes of
// a distribution in package drift.
//
// # Monitor
//
// A [Monitor] keeps all of that for the versions of a program's tasks, over a moving
// window, and watches every figure for drift:
//
//	m, err := quality.New(quality.Config{OnDrift: func(d quality.Drift) { ... }})
//	m.Classified("topic", "v2", truth, predicted)
//	m.Scored("spam", "v2", wasSpam, probability)
//	out := m.Answered("support", "v2", quality.Answer{Text: answer, OutputTokens: 240, Finish: "stop"})
//
// Generated text is measured without a reference (empty, truncated, refused,
// distinct-n, repeated runs, script, length, feedback), with one where a sample has
// it (BLEU, chrF), and by a judge that sees a share of the answers. What an answer
// comes to is returned, as an outcome for whoever compares versions. Every figure is
// a stream for the drift detectors, named after the task and the figure; [Metrics] is
// the table of what observeprom.NewQuality and observeotel.RegisterQuality export.
// A Monitor is safe for concurrent use and bounded: tasks, versions and classes
// beyond its limits share "other".
//
// # Classification
//
// With TP, FP and FN, the examples of a class that were found, those of others that
// were taken for it, and those of it that were missed:
//
//	precision  P   = TP / (TP + FP)
//	recall     R   = TP / (TP + FN)
//	F              = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)    b: ReportConfig.Beta
//	micro          of the sums of TP, FP, FN over the classes
//	macro          mean over the classes
//	weighted       mean over the classes, weighted by support: how many there are
//	balanced       mean recall of the classes that have examples
//	kappa          (po - pe) / (1 - pe)                             Cohen
//	MCC            (c s - sum p t) / sqrt((s^2 - sum p^2)(s^2 - sum t^2))
//
// Where po is the accuracy and pe what it would be if truth and prediction were
// independent; c is the number of examples that were right, s of all, p and t those
// that were predicted to be of a class, and that are. A ratio whose denominator is 0
// is filled by [Undefined]; F has one unless TP, FP and FN are all 0. Over all classes
// micro precision, recall and F are the accuracy; over some of them they are not.
//
// # Probabilities
//
//	AUC        share of pairs, one that came true and one that did not, where the
//	           first has the higher score; ties count half (Mann-Whitney)
//	AP         sum (R_n - R_(n-1)) P_n over the distinct thresholds, from the highest
//	Brier      mean (p - y)^2
//	log loss   mean -ln of what was given to what came true, clipped to 1e-15, in nats
//	ECE        sum N_b / N x |observed - predicted| over the calibration bins
//
// Observed is the share of a bin that came true, predicted the mean of its scores.
// [Scores] counts AUC and AP by bins: AUC comes with a bound, sum P_b N_b / (2 P N),
// that its distance from the exact value never passes. Its other figures are exact.
//
// # Perplexity
//
// exp(sum of the negative log-likelihoods / sum of the tokens), in nats: each token
// weighs the same. 10 tokens at 2 nats and 90 at 3 have 18.17; the mean of the two
// perplexities, 13.74, and that of the mean loss of the two texts, 12.18, are other
// things. Only models with the same tokens can be compared by it; bits per byte, sum
// of nats / (bytes x ln 2), does not depend on them.
//
// # Windows and merging
//
// Whatever has Merge and Reset can be kept in a [Rolling] window, which decides by
// the times it is given. Merging parts gives what counting everything in one place
// gives, in whatever order: counts exactly, sums of logarithms and squares to the
// last digits, as long as no label is beyond MaxLabels.
//
// # Errors and bad values
//
// New functions report every fault of their Config. Recording never fails: what is
// NaN or out of range is left out and counted by Refused. Labels beyond MaxLabels
// count as "other". The functions over slices refuse bad input with [ErrInput]; what
// cannot be merged fails with [ErrSettings]. A figure of nothing is NaN.
//
// # Concurrency
//
// [Confusion], [Scores], [Perplexity] and [Rolling] are for one goroutine at a time,
// and read no clock. The functions may be called from any.
//
// # Cost
//
// Adding takes a few nanoseconds, some tens where labels are looked up, and allocates
// nothing once a label was seen. A Confusion of n labels holds at most 8 (2n)^2 bytes, and no more
// than 528 kB by default; Scores holds 64 kB, in each slot of a window. [ROCAUC] takes
// less than twice what sorting the scores takes.
//
// # Limitations
//
//   - One label for each example; examples have no weights.
//   - AP of Scores has no bound: scores in one of the 4096 bins count as equal.
//   - A score right at the edge of two calibration bins is in the upper one;
//     scikit-learn's is in the lower.
//
// # Sources
//
// scikit-learn, doc/modules/model_evaluation.rst and docstrings, version 1.2.1, with
// which the results are compared. Guo and others 2017 (arXiv:1706.04599): ECE.
package quality
