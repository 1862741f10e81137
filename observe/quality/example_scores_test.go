package quality_test

import (
	"fmt"
	"time"

	"github.com/calmops/calm/observe/quality"
)

// The values of scikit-learn's docstring of roc_auc_score.
func ExampleScores() {
	s, err := quality.NewScores(quality.ScoresConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Add(false, 0.1)
	s.Add(false, 0.4)
	s.Add(true, 0.35)
	s.Add(true, 0.8)
	auc, bound := s.AUC()
	fmt.Printf("AUC %.2f (at most %.2f off), AP %.4f, Brier %.4f\n", auc, bound, s.AP(), s.Brier())
	// Output:
	// AUC 0.75 (at most 0.00 off), AP 0.8333, Brier 0.1581
}

// Weather forecasts: what was said to be 80 % likely came true half of the time.
func ExampleScores_Calibration() {
	s, _ := quality.NewScores(quality.ScoresConfig{CalibrationBins: 5})
	for i := range 10 {
		s.Add(i%2 == 0, 0.85)
		s.Add(i == 0, 0.1)
	}
	for _, b := range s.Calibration() {
		fmt.Printf("said %.2f, came true %.2f (of %d)\n", b.Predicted, b.Observed, b.N)
	}
	fmt.Printf("ECE %.3f\n", s.ECE())
	// Output:
	// said 0.10, came true 0.10 (of 10)
	// said 0.85, came true 0.50 (of 10)
	// ECE 0.175
}

func ExampleROCAUC() {
	auc, err := quality.ROCAUC([]bool{false, false, true, true}, []float64{0.1, 0.4, 0.35, 0.8})
	fmt.Println(auc, err)
	_, err = quality.ROCAUC([]bool{true, true}, []float64{0.1, 0.4})
	fmt.Println(err)
	// Output:
	// 0.75 <nil>
	// quality: bad input: 2 are true and 0 are not: want some of both
}

// Each token weighs the same, whatever text it is of.
func ExamplePerplexity() {
	var p quality.Perplexity
	p.Add(20, 10)  // 10 tokens at 2 nats
	p.Add(270, 90) // 90 tokens at 3 nats
	fmt.Printf("perplexity %.3f, %.2f bits per byte\n", p.Value(), p.BitsPerByte(400))
	// Output:
	// perplexity 18.174, 1.05 bits per byte
}

// The perplexity of the last three minutes.
func ExampleRolling() {
	window, err := quality.NewRolling(quality.RollingConfig[*quality.Perplexity]{
		New:   func() *quality.Perplexity { return &quality.Perplexity{} },
		Every: time.Minute,
		Slots: 3,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for minute := range 6 {
		window.At(now).Add(float64(10*minute), 10)
		p, err := window.Value(now)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %.2f over %d tokens\n", now.Format("15:04"), p.Value(), p.Tokens())
		now = now.Add(time.Minute)
	}
	// Output:
	// 12:00 1.00 over 10 tokens
	// 12:01 1.65 over 20 tokens
	// 12:02 2.72 over 30 tokens
	// 12:03 7.39 over 30 tokens
	// 12:04 20.09 over 30 tokens
	// 12:05 54.60 over 30 tokens
}
