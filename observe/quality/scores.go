package quality

import (
	"errors"
	"fmt"
	"iter"
	"math"
)

// ScoresConfig says how finely Scores counts.
type ScoresConfig struct {
	// Bins is in how many equal bins of 0 to 1 scores are counted, for AUC and AP: 2
	// to 1,048,576. More make AUC's bound smaller; memory is 16 bytes each. Defaults
	// to 4096.
	Bins int
	// CalibrationBins is the number of equal bins of the calibration curve and of
	// ECE: 1 to 10,000. Defaults to 10.
	CalibrationBins int
}

// Scores sums up probabilities that were given to something, and whether it came
// true. It is for one goroutine at a time.
type Scores struct {
	positives   []int64 // by bin
	negatives   []int64
	calibration []calibrationSum
	squares     float64 // sum of (p - y)^2
	logs        float64 // sum of -ln of what was given to what came true
	refused     int64
}

// NewScores returns empty Scores, or every fault of the Config.
func NewScores(config ScoresConfig) (*Scores, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	return &Scores{
		positives:   make([]int64, config.Bins),
		negatives:   make([]int64, config.Bins),
		calibration: make([]calibrationSum, config.CalibrationBins),
	}, nil
}

func (c *ScoresConfig) complete() error {
	var faults []error
	if c.Bins == 0 {
		c.Bins = 4096
	}
	if c.Bins < 2 || c.Bins > 1<<20 {
		faults = append(faults, fmt.Errorf("quality: ScoresConfig.Bins is %d: want 2 to %d", c.Bins, 1<<20))
	}
	if c.CalibrationBins == 0 {
		c.CalibrationBins = 10
	}
	if c.CalibrationBins < 1 || c.CalibrationBins > maxCalibrationBins {
		faults = append(faults, fmt.Errorf("quality: ScoresConfig.CalibrationBins is %d: want 1 to %d", c.CalibrationBins, maxCalibrationBins))
	}
	return errors.Join(faults...)
}

// Add takes the probability p, 0 to 1, that was given to something, and whether it
// came true. A p that is NaN or out of range is counted as refused and left out. It
// does not allocate.
func (s *Scores) Add(y bool, p float64) {
	if !probability(p) {
		s.refused++
		return
	}
	bin := equalBin(p, len(s.positives))
	if y {
		s.positives[bin]++
	} else {
		s.negatives[bin]++
	}
	s.calibration[equalBin(p, len(s.calibration))].add(y, p)
	s.squares += squaredError(y, p)
	s.logs += logError(y, p)
}

// AUC is the area under the ROC curve: the chance that something that came true was
// given a higher score than something that did not, ties counting half; and how far
// it may be from that of the scores themselves, because scores in one bin count as
// ties. Both are NaN unless both outcomes were seen.
func (s *Scores) AUC() (value, bound float64) {
	positives, negatives := s.outcomes()
	if positives == 0 || negatives == 0 {
		return math.NaN(), math.NaN()
	}
	for i := range s.positives {
		bound += float64(s.positives[i]) / positives * (float64(s.negatives[i]) / negatives)
	}
	return areaUnderROC(s.descending()), bound / 2
}

// AP is the average precision of the scores, those of one bin counting as equal:
// the sum of precision x gain in recall over the thresholds from high to low,
// without interpolation. NaN if nothing came true.
func (s *Scores) AP() float64 {
	positives, _ := s.outcomes()
	if positives == 0 {
		return math.NaN()
	}
	return averagePrecision(s.descending(), positives)
}

// Brier is the mean of (p - y)^2, 0 to 1: of the scores themselves, not of bins. NaN
// without scores.
func (s *Scores) Brier() float64 { return s.squares / float64(s.N()) }

// LogLoss is the mean of -ln of what was given to what came true, in nats, with p
// clipped to 1e-15 from 0 and 1: of the scores themselves, not of bins. NaN without
// scores.
func (s *Scores) LogLoss() float64 { return s.logs / float64(s.N()) }

// ECE is the expected calibration error: the mean over the scores of the distance,
// in their bin of the calibration curve, of the mean score from the share that came
// true. NaN without scores.
func (s *Scores) ECE() float64 { return expectedError(s.calibration) }

// Calibration is the calibration curve: bins without scores are left out.
func (s *Scores) Calibration() []CalibrationBin { return calibrationCurve(s.calibration) }

// N is how many scores were added and not refused.
func (s *Scores) N() int64 {
	var n int64
	for i := range s.calibration {
		n += s.calibration[i].n
	}
	return n
}

// Refused is how many scores were left out.
func (s *Scores) Refused() int64 { return s.refused }

// Merge adds the scores of another, which is not changed. It fails, and changes
// nothing, with ErrSettings if the numbers of bins differ, and with ErrInput if there
// would be more than 2^63-1 scores.
func (s *Scores) Merge(o *Scores) error {
	if len(s.positives) != len(o.positives) || len(s.calibration) != len(o.calibration) {
		return fmt.Errorf("%w: %d and %d bins, %d and %d calibration bins", ErrSettings,
			len(s.positives), len(o.positives), len(s.calibration), len(o.calibration))
	}
	if o.N() > math.MaxInt64-s.N() {
		return fmt.Errorf("%w: %d scores and %d are too many", ErrInput, s.N(), o.N())
	}
	for i := range s.positives {
		s.positives[i] += o.positives[i]
		s.negatives[i] += o.negatives[i]
	}
	for i := range s.calibration {
		s.calibration[i].merge(o.calibration[i])
	}
	s.squares += o.squares
	s.logs += o.logs
	s.refused += o.refused
	return nil
}

// Reset takes everything out.
func (s *Scores) Reset() {
	clear(s.positives)
	clear(s.negatives)
	clear(s.calibration)
	s.squares, s.logs, s.refused = 0, 0, 0
}

func (s *Scores) outcomes() (positives, negatives float64) {
	var p, n int64
	for i := range s.positives {
		p += s.positives[i]
		n += s.negatives[i]
	}
	return float64(p), float64(n)
}

// descending yields the outcomes of equal scores, from the highest score down.
func (s *Scores) descending() iter.Seq2[int64, int64] {
	return func(yield func(positives, negatives int64) bool) {
		for i := len(s.positives) - 1; i >= 0; i-- {
			if !yield(s.positives[i], s.negatives[i]) {
				return
			}
		}
	}
}

// areaUnderROC takes the outcomes of equal scores, from the highest down. There is
// one of each outcome at least.
func areaUnderROC(ties iter.Seq2[int64, int64]) float64 {
	var positives, negatives int64
	won := 0.0 // pairs whose positive has the higher score, and half of the ties
	for p, n := range ties {
		won += float64(n) * (float64(positives) + float64(p)/2)
		positives += p
		negatives += n
	}
	return won / float64(positives) / float64(negatives)
}

// averagePrecision takes the outcomes of equal scores, from the highest down.
func averagePrecision(ties iter.Seq2[int64, int64], positives float64) float64 {
	var found, taken int64
	sum := 0.0
	for p, n := range ties {
		found += p
		taken += p + n
		if p > 0 {
			sum += float64(p) / positives * (float64(found) / float64(taken))
		}
	}
	return sum
}

// equalBin is the bin of a probability, of equal bins.
func equalBin(p float64, bins int) int { return min(int(p*float64(bins)), bins-1) }

func probability(p float64) bool { return p >= 0 && p <= 1 }

func squaredError(y bool, p float64) float64 {
	if y {
		p = 1 - p
	}
	return p * p
}

func logError(y bool, p float64) float64 {
	if !y {
		p = 1 - p
	}
	return -math.Log(clip(p))
}

// clip keeps a probability so far from 0 and 1 that its logarithm is finite.
func clip(p float64) float64 { return min(max(p, 1e-15), 1-1e-15) }
