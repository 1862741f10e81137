package training_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/calmops/calm/observe/training"
)

// A run whose loss jumps: the event says where to go back to.
func ExampleRecorder() {
	rec, err := training.New(training.Config{
		Run:   "7b",
		Spike: training.Spike{Window: 32, Back: 10, SkipMin: 5, SkipMax: 10},
		OnEvent: func(e training.Event) {
			fmt.Printf("%s of %s at step %d: go back to step %d, skip %d to %d batches\n",
				e.Kind, e.Signal, e.Step, e.RollbackTo, e.SkipMin, e.SkipMax)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()

	rec.Enter(training.PhaseStep)
	for n := int64(1); n <= 100; n++ {
		loss := 2 + 0.01*float64(n%7)
		if n == 90 {
			loss = 9
		}
		rec.Step(training.Step{N: n, Loss: loss, Tokens: 4096})
		if n%25 == 0 {
			rec.Checkpointed(n)
		}
	}
	cancel()
	fmt.Println("ended:", <-done)
	s := rec.Snapshot()
	fmt.Println(s.Steps, "steps,", s.Tokens, "tokens,", s.LossSpikes, "spike")
	// Output:
	// spike of loss at step 90: go back to step 75, skip 5 to 10 batches
	// ended: <nil>
	// 100 steps, 409600 tokens, 1 spike
}

// Evaluation in the middle of training, whatever the phase was before.
func ExampleRecorder_Enter() {
	rec, _ := training.New(training.Config{Run: "7b"})
	rec.Enter(training.PhaseStep)
	func() {
		defer rec.Enter(rec.Enter(training.PhaseEval))
		fmt.Println("in", rec.Snapshot().Phase)
	}()
	fmt.Println("in", rec.Snapshot().Phase)
	// Output:
	// in eval
	// in step
}

// A process that continues a run says so, and its account goes on.
func ExampleRecorder_Resume() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("calm-example-%d.json", os.Getpid()))
	defer os.Remove(path)
	process := func(first, last int64) training.Goodput {
		rec, err := training.New(training.Config{Run: "7b", LedgerPath: path})
		if err != nil {
			fmt.Println(err)
			return training.Goodput{}
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- rec.Run(ctx) }()
		rec.Resume(first)
		rec.Enter(training.PhaseStep)
		for n := first; n <= last; n++ {
			rec.Step(training.Step{N: n, Loss: 2})
		}
		cancel()
		<-done
		return rec.Goodput()
	}
	process(1, 50)
	g := process(41, 60) // the checkpoint was that of step 40
	fmt.Println("interruptions:", g.Interruptions, "newest step:", g.MaxProductiveStep)
	// Output: interruptions: 1 newest step: 60
}

// Any history is three methods and a name.
func ExampleSink() {
	rec, _ := training.New(training.Config{Run: "7b", Sinks: []training.Sink{printer{}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	rec.Step(training.Step{N: 1, Loss: 2.5, LearningRate: 1e-4})
	cancel()
	<-done
	// Output:
	// step 1: train/loss = 2.5
	// step 1: train/learning_rate = 0.0001
}

type printer struct{}

func (printer) Name() string { return "printer" }

func (printer) Write(_ context.Context, batch []training.Record) error {
	for _, r := range batch {
		if r.Kind == training.RecordStep {
			fmt.Printf("step %d: %s = %v\n", r.Step, r.Tag, r.Value)
		}
	}
	return nil
}

func (printer) Flush(context.Context) error { return nil }
func (printer) Close(context.Context) error { return nil }

// The times of the ranks before they wait for one another, on rank 0.
func ExampleRecorder_RankTimes() {
	rec, _ := training.New(training.Config{Run: "7b", World: 4, OnEvent: func(e training.Event) {
		fmt.Printf("%s: rank %d has %.2f of the others' speed\n", e.Kind, e.Rank, e.Score)
	}})
	for range 5 {
		rec.RankTimes([]time.Duration{200, 204, 198, 400})
	}
	// Output: straggler: rank 3 has 0.51 of the others' speed
}
