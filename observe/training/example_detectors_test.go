package training_test

import (
	"fmt"
	"math"
	"time"

	"github.com/calmops/calm/observe/training"
)

// A loss that is 2, a spike of three steps, and the advice.
func ExampleSpike() {
	spike := training.Spike{Cooldown: 10}
	for step := int64(1); step <= 2000; step++ {
		loss := 2.0
		if step >= 1500 && step < 1503 {
			loss = 2 + float64(step-1498)
		}
		v := spike.Observe(step, loss)
		if !v.Found {
			continue
		}
		fmt.Printf("step %d: %v, loss %.1f, limit %.2f, %.0f standard deviations\n", step, v.Kind, v.Value, v.Limit, v.Score)
		fmt.Printf("  onset %d, peak %.1f, %d steps\n", v.Onset, v.Peak, v.Length)
		fmt.Printf("  go back to step %d or before, skip %d to %d batches\n", v.SafeStep, v.SkipMin, v.SkipMax)
	}
	// Output:
	// step 1500: spike, loss 4.0, limit 2.03, 674 standard deviations
	//   onset 1500, peak 4.0, 1 steps
	//   go back to step 1400 or before, skip 200 to 500 batches
	// step 1512: spike_end, loss 2.0, limit 2.03, 0 standard deviations
	//   onset 1500, peak 6.0, 3 steps
	//   go back to step 1400 or before, skip 200 to 500 batches
}

// A loss that falls, stands still and then rises.
func ExampleTrend() {
	trend := training.Trend{PlateauSteps: 1000}
	for step := int64(1); step <= 8000; step++ {
		loss := 2 + math.Exp(-float64(step)/500)
		if step > 6000 {
			loss += float64(step-6000) * 0.001
		}
		v := trend.Observe(step, loss)
		if v.Plateau {
			fmt.Printf("step %d: plateau, no better than %.2f since step %d\n", step, v.Best, v.BestStep)
		}
		if v.Diverging {
			fmt.Printf("step %d: diverging since step %d, %.2f is above %.2f\n", step, v.Onset, v.Short, v.Limit)
		}
	}
	// Output:
	// step 4526: plateau, no better than 2.00 since step 3526
	// step 6378: diverging since step 6179, 2.35 is above 2.29
}

// Two steps whose loss scale was too high are normal; the third in a row is not.
func ExampleNonFinite() {
	var nonfinite training.NonFinite
	for n := int64(1); n <= 3; n++ {
		v := nonfinite.Observe(training.Step{N: n, Loss: 2, GradNorm: math.Inf(1), LossScale: 65536, Skipped: true})
		fmt.Println("step", n, "report the gradient:", v.GradNorm)
	}
	v := nonfinite.Observe(training.Step{N: 4, Loss: math.NaN(), GradNorm: 1})
	fmt.Println("step 4 report the loss:", v.Loss)
	// Output:
	// step 1 report the gradient: false
	// step 2 report the gradient: false
	// step 3 report the gradient: true
	// step 4 report the loss: true
}

// A job of one step in 30 s that stops.
func ExampleHang() {
	var hang training.Hang
	for range 100 {
		hang.Step(30 * time.Second)
	}
	fmt.Println("limit:", hang.Limit(training.PhaseStep))

	last := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, age := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute} {
		v := hang.Check(last.Add(age), training.PhaseStep, last)
		fmt.Println(age, "hanging:", v.Hanging, "to be told:", v.Found)
	}
	next := last.Add(4 * time.Minute)
	v := hang.Check(next, training.PhaseStep, next)
	fmt.Println(v.Kind, "after", v.Age)
	// Output:
	// limit: 1m30s
	// 1m0s hanging: false to be told: false
	// 2m0s hanging: true to be told: true
	// 3m0s hanging: true to be told: false
	// hang_end after 4m0s
}

// Rank 2 takes twice as long as the others.
func ExampleStraggler() {
	var straggler training.Straggler
	var lags []training.Lag
	for window := 1; window <= 5; window++ {
		times := []time.Duration{time.Second, time.Second, 2 * time.Second, time.Second}
		lags = straggler.Observe(times, lags)
		for _, l := range lags {
			if l.Changed {
				fmt.Printf("window %d: rank %d at %.2f of the others' speed, %.2f of its own\n", window, l.Rank, l.Score, l.OwnScore)
			}
		}
	}
	// Output:
	// window 5: rank 2 at 0.50 of the others' speed, 1.00 of its own
}

// Clip each gradient to a limit that follows the run.
func ExampleZClip() {
	clip := training.ZClip{Warmup: 4}
	for _, norm := range []float64{0.9, 1.1, 1.0, 1.0, 1.05, 8} {
		limit, spiked := clip.Next(norm)
		fmt.Printf("norm %.2f: clip to %.2f, spike %v\n", norm, limit, spiked)
	}
	// Output:
	// norm 0.90: clip to 0.90, spike false
	// norm 1.10: clip to 1.10, spike false
	// norm 1.00: clip to 1.00, spike false
	// norm 1.00: clip to 1.00, spike false
	// norm 1.05: clip to 1.05, spike false
	// norm 8.00: clip to 1.01, spike true
}

// The norm, the tails and the bad values of a gradient, in one pass.
func ExampleGradientStats() {
	gradient := make([]float32, 10_000)
	for i := range gradient {
		gradient[i] = float32(i-5000) / 1000
	}
	gradient[7] = float32(math.NaN())

	var stats training.GradientStats
	stats.Add(gradient)
	fmt.Printf("%d values and %d that are not finite, norm %.1f, largest %.3f\n", stats.Count(), stats.NonFinite(), stats.L2(), stats.MaxAbs())
	fmt.Printf("median %.3f, 99 %% are within %.2f of zero\n", stats.Quantile(0.5), stats.AbsQuantile(0.99))
	h := stats.Histogram(16)
	for i, limit := range h.Limits {
		if h.Counts[i] > 1000 {
			fmt.Printf("%d values up to %.2f\n", h.Counts[i], limit)
		}
	}
	// Output:
	// 9999 values and 1 that are not finite, norm 288.6, largest 5.000
	// median 0.000, 99 % are within 4.97 of zero
	// 3000 values up to -2.00
	// 1875 values up to -0.12
	// 1875 values up to 2.00
	// 3000 values up to 32.00
}
