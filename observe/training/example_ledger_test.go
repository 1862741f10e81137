package training_test

import (
	"fmt"
	"time"

	"github.com/calmops/calm/observe/training"
)

// A run that crashes after 60 steps, and goes on from its last checkpoint.
func ExampleLedger() {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }

	l := training.NewLedger(now)
	l.Enter(training.PhaseStep, after(2*time.Minute))
	for n := range int64(60) {
		l.Step(n+1, 10*time.Second, time.Second, after(10*time.Second))
		if n+1 == 50 {
			l.Enter(training.PhaseCheckpointSave, now)
			l.Enter(training.PhaseStep, after(15*time.Second))
			l.Checkpointed(50, now)
		}
	}
	l.Interrupted(after(4*time.Second), training.InterruptedByCrash)
	l.Resumed(51, after(3*time.Minute))
	fmt.Print(l.Goodput(now))
	// Output:
	// elapsed                      15m19s  100.0 %
	// productive                    7m30s   49.0 %
	// init                           2m0s   13.1 %
	// data_wait                      1m0s    6.5 %
	// checkpoint_save                 15s    1.6 %
	// wasted                        1m34s   10.2 %
	// recovery                       3m0s   19.6 %
	// newest step                      50
	// interruptions                     1
	// MTBF                         15m19s
	// ideal step                      10s
}

// Why productive time is counted twice, and never less: counters cannot fall.
func ExampleLedgerTotals() {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := training.NewLedger(start)
	l.Enter(training.PhaseStep, start)
	for n := range int64(10) {
		l.Step(n+1, 0, 0, start.Add(time.Duration(n+1)*time.Second))
	}
	now := start.Add(10 * time.Second)
	before := l.Totals(now)
	l.RolledBack(7, now)
	after := l.Totals(now)
	fmt.Println("step", before.Step, "lost", before.LostToRollback)
	fmt.Println("step", after.Step, "lost", after.LostToRollback)
	// Output:
	// step 10s lost 0s
	// step 10s lost 3s
}

func ExampleGoodput() {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := training.NewLedger(start)
	l.Enter(training.PhaseStep, start.Add(time.Minute))
	l.Step(1, 0, 0, start.Add(4*time.Minute))

	g := l.Goodput(start.Add(4 * time.Minute))
	fmt.Printf("goodput %.0f %%\n", 100*g.Ratio)
	fmt.Printf("lost to %v: %v\n", training.CauseInit, g.Badput[training.CauseInit])
	// Output:
	// goodput 75 %
	// lost to init: 1m0s
}

func ExampleCause() {
	for c := range training.NumCauses {
		fmt.Println(c)
	}
	// Output:
	// init
	// data_wait
	// checkpoint_save
	// checkpoint_restore
	// wasted
	// recovery
	// eval
	// custom
	// idle
}

func ExampleInterruptionCause() {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := training.NewLedger(start)
	l.Interrupted(start.Add(time.Hour), training.InterruptedPlanned)
	l.Resumed(1, start.Add(2*time.Hour))
	for c, n := range l.Totals(start.Add(2 * time.Hour)).Interruptions {
		fmt.Println(training.InterruptionCause(c), n)
	}
	// Output:
	// crash 0
	// planned 1
	// supervisor 0
}

// PaLM 540B (arXiv:2204.02311): 238,300 tokens a second on 6144 TPU v4.
func ExampleTransformer() {
	palm := training.Transformer{Params: 540_350_000_000, Layers: 118, Heads: 48, QKDim: 256, VDim: 256, Context: 2048}
	fmt.Printf("MFU %.1f %%\n", 100*training.MFU(238_300, palm.FLOPsPerToken(), 275e12, 6144))
	// Output: MFU 46.2 %
}

func ExamplePeakFLOPS() {
	fmt.Println(training.PeakFLOPS("NVIDIA H100 80GB HBM3"))
	fmt.Println(training.PeakFLOPS("NVIDIA RTX A1000")) // no A100
	// Output:
	// 9.89e+14 true
	// 0 false
}

// Llama 3 405B was interrupted 419 times unexpectedly in 54 days
// (arXiv:2407.21783).
func ExampleCheckpointInterval() {
	mtbf := 54 * 24 * time.Hour / 419
	fmt.Println(training.CheckpointInterval(30*time.Second, mtbf).Round(time.Second))
	// Output: 13m37s
}
