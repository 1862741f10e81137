package quality

import (
	"fmt"
	"math"
)

// maxCalibrationBins bounds the bins of a calibration curve.
const maxCalibrationBins = 10_000

// CalibrationBin is one point of a calibration curve.
type CalibrationBin struct {
	// N is how many scores are in the bin: above 0.
	N int64
	// Predicted is their mean: 0 to 1.
	Predicted float64
	// Observed is the share of them that came true: 0 to 1.
	Observed float64
}

// CalibrationCurve compares probabilities with how often they came true, in equal
// bins of 0 to 1: 1 to 10,000 of them, 10 if bins is 0. Score p is in bin min(int(p x
// bins), bins-1); bins without scores are left out. For a classifier of many classes,
// p is the confidence in the class that it chose, and y whether that was right.
//
// The error is ErrInput: different lengths, no score, one that is NaN or not 0 to 1,
// a number of bins out of range.
func CalibrationCurve(y []bool, p []float64, bins int) ([]CalibrationBin, error) {
	sums, err := calibrate(y, p, bins)
	if err != nil {
		return nil, err
	}
	return calibrationCurve(sums), nil
}

// ECE is the expected calibration error over the bins of CalibrationCurve, 0 to 1:
// the sum of N / all x |Observed - Predicted|. The errors are those of
// CalibrationCurve.
func ECE(y []bool, p []float64, bins int) (float64, error) {
	sums, err := calibrate(y, p, bins)
	if err != nil {
		return 0, err
	}
	return expectedError(sums), nil
}

func calibrate(y []bool, p []float64, bins int) ([]calibrationSum, error) {
	if bins == 0 {
		bins = 10
	}
	if bins < 1 || bins > maxCalibrationBins {
		return nil, fmt.Errorf("%w: %d bins: want 1 to %d", ErrInput, bins, maxCalibrationBins)
	}
	if err := checkProbabilities(y, p); err != nil {
		return nil, err
	}
	sums := make([]calibrationSum, bins)
	for i := range p {
		sums[equalBin(p[i], bins)].add(y[i], p[i])
	}
	return sums, nil
}

// calibrationSum is one bin.
type calibrationSum struct {
	n, came int64
	scores  float64
}

func (s *calibrationSum) add(y bool, p float64) {
	s.n++
	if y {
		s.came++
	}
	s.scores += p
}

func (s *calibrationSum) merge(o calibrationSum) {
	s.n += o.n
	s.came += o.came
	s.scores += o.scores
}

func calibrationCurve(sums []calibrationSum) []CalibrationBin {
	var curve []CalibrationBin
	for _, s := range sums {
		if s.n > 0 {
			curve = append(curve, CalibrationBin{
				N:         s.n,
				Predicted: s.scores / float64(s.n),
				Observed:  float64(s.came) / float64(s.n),
			})
		}
	}
	return curve
}

// expectedError is NaN without scores.
func expectedError(sums []calibrationSum) float64 {
	var n int64
	sum := 0.0
	for _, s := range sums {
		n += s.n
		sum += math.Abs(float64(s.came) - s.scores)
	}
	return sum / float64(n)
}
