package quality

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// ROCAUC is the area under the ROC curve of scores, which may be any numbers: the
// chance that one whose y is true is higher than one whose y is not, ties counting
// half. It sorts a copy: O(n log n).
//
// The error is ErrInput: different lengths, a score that is NaN, only one outcome in
// y.
func ROCAUC(y []bool, s []float64) (float64, error) {
	positives, negatives, err := byOutcome(y, s)
	if err != nil {
		return 0, err
	}
	if len(positives) == 0 || len(negatives) == 0 {
		return 0, fmt.Errorf("%w: %d are true and %d are not: want some of both", ErrInput, len(positives), len(negatives))
	}
	return areaUnderROC(descending(positives, negatives)), nil
}

// AveragePrecision is the sum of precision x gain in recall over the distinct scores
// from high to low, without interpolation: the area under the precision-recall curve
// by steps, 0 to 1. It sorts a copy: O(n log n).
//
// The error is ErrInput: different lengths, a score that is NaN, no y that is true.
func AveragePrecision(y []bool, s []float64) (float64, error) {
	positives, negatives, err := byOutcome(y, s)
	if err != nil {
		return 0, err
	}
	if len(positives) == 0 {
		return 0, fmt.Errorf("%w: none of %d is true", ErrInput, len(y))
	}
	return averagePrecision(descending(positives, negatives), float64(len(positives))), nil
}

// Brier is the mean of (p - y)^2: 0 to 1.
//
// The error is ErrInput: different lengths, no p, one that is NaN or not 0 to 1.
func Brier(y []bool, p []float64) (float64, error) {
	if err := checkProbabilities(y, p); err != nil {
		return 0, err
	}
	sum := 0.0
	for i := range p {
		sum += squaredError(y[i], p[i])
	}
	return sum / float64(len(p)), nil
}

// LogLoss is the mean of -ln of the probability that was given to the class that
// came true, in nats. y[i] is that class, a column of p; p[i] has the probabilities
// of all classes, which are clipped to [1e-15, 1 - 1e-15] and divided by their sum.
//
// The error is ErrInput: different lengths, no rows, rows of different lengths or of
// less than two columns, a class without a column, a p that is NaN or not 0 to 1.
func LogLoss(y []int, p [][]float64) (float64, error) {
	if err := checkRows(y, p, 2, probability); err != nil {
		return 0, err
	}
	loss := 0.0
	for i, row := range p {
		sum := 0.0
		for _, v := range row {
			sum += clip(v)
		}
		loss -= math.Log(clip(row[y[i]]) / sum)
	}
	return loss / float64(len(y)), nil
}

// TopK is the share of rows whose class, y[i], has one of the k highest scores of
// s[i]. Of equal scores, that of the higher class ranks first. A k of the number of
// classes or more gives 1.
//
// The error is ErrInput: different lengths, no rows, rows of different lengths, a
// class without a column, a score that is NaN, a k below 1.
func TopK(y []int, s [][]float64, k int) (float64, error) {
	if k < 1 {
		return 0, fmt.Errorf("%w: k is %d: want 1 or more", ErrInput, k)
	}
	if err := checkRows(y, s, 1, notNaN); err != nil {
		return 0, err
	}
	hits := 0
	for i, row := range s {
		class, rank := y[i], 0
		for j, v := range row {
			if v > row[class] || v == row[class] && j > class {
				rank++
			}
		}
		if rank < k {
			hits++
		}
	}
	return float64(hits) / float64(len(y)), nil
}

// byOutcome returns copies of the scores by their outcome.
func byOutcome(y []bool, s []float64) (positives, negatives []float64, err error) {
	if err := checkVector(y, s, notNaN, "a number"); err != nil {
		return nil, nil, err
	}
	count := 0
	for _, is := range y {
		if is {
			count++
		}
	}
	positives, negatives = make([]float64, 0, count), make([]float64, 0, len(y)-count)
	for i, is := range y {
		if is {
			positives = append(positives, s[i])
		} else {
			negatives = append(negatives, s[i])
		}
	}
	return positives, negatives, nil
}

// descending sorts the scores and yields how many of each outcome are equal, from
// the highest score down. Sorting the two apart costs less than all of them with
// their outcomes.
func descending(positives, negatives []float64) iter.Seq2[int64, int64] {
	slices.Sort(positives)
	slices.Sort(negatives)
	return func(yield func(p, n int64) bool) {
		i, j := len(positives)-1, len(negatives)-1
		for i >= 0 || j >= 0 {
			score := math.Inf(-1)
			if i >= 0 {
				score = positives[i]
			}
			if j >= 0 {
				score = max(score, negatives[j])
			}
			var p, n int64
			for ; i >= 0 && positives[i] == score; i-- {
				p++
			}
			for ; j >= 0 && negatives[j] == score; j-- {
				n++
			}
			if !yield(p, n) {
				return
			}
		}
	}
}

func notNaN(x float64) bool { return !math.IsNaN(x) }

func checkProbabilities(y []bool, p []float64) error {
	return checkVector(y, p, probability, "0 to 1")
}

func checkVector(y []bool, x []float64, valid func(float64) bool, want string) error {
	if len(y) != len(x) || len(y) == 0 {
		return fmt.Errorf("%w: %d outcomes and %d values: want as many, at least 1", ErrInput, len(y), len(x))
	}
	for i, v := range x {
		if !valid(v) {
			return fmt.Errorf("%w: value %d is %v: want %s", ErrInput, i, v, want)
		}
	}
	return nil
}

func checkRows(y []int, rows [][]float64, columns int, valid func(float64) bool) error {
	if len(y) != len(rows) || len(y) == 0 {
		return fmt.Errorf("%w: %d classes and %d rows: want as many, at least 1", ErrInput, len(y), len(rows))
	}
	columns = max(columns, len(rows[0]))
	for i, row := range rows {
		if len(row) != columns {
			return fmt.Errorf("%w: row %d has %d columns: want %d", ErrInput, i, len(row), columns)
		}
		if y[i] < 0 || y[i] >= columns {
			return fmt.Errorf("%w: class %d of row %d: want 0 to %d", ErrInput, y[i], i, columns-1)
		}
		for j, v := range row {
			if !valid(v) {
				return fmt.Errorf("%w: column %d of row %d is %v", ErrInput, j, i, v)
			}
		}
	}
	return nil
}
