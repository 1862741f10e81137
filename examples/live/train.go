package main

import (
	"math"
	"time"

	"github.com/calmops/calm/observe/observelive"
)

const (
	runName, rank = "sim-7b", "0"
	peakFLOPS     = 1e15      // of a device that does not exist
	flopsPerToken = 6 * 7e9   // six times the parameters
	stepTokens    = 48 * 1024 // trained on in a step
	checkpointAt  = 40        // steps
	spikeAt       = 100       // the loss jumps here, and the run goes back to its checkpoint
	bookEvery     = 5 * time.Second
)

// A training is a made-up run: steps of about 1.2 s, a checkpoint now and then, a
// spike that it goes back from. Time is booked every five seconds.
type training struct {
	at, next                   time.Duration // of the run; when the step or the checkpoint under way ends
	step                       int
	spiked                     bool
	checkpoint                 int           // step of the newest
	since                      time.Duration // productive time since it
	isSaving                   bool
	booked                     time.Duration
	worked, wait, save, undone time.Duration // not booked yet
}

func (t *training) saving() bool { return t.isSaving }

// train moves the run on by d.
func (w *world) train(d time.Duration) {
	t := &w.training
	for t.at += d; t.next <= t.at; {
		if t.isSaving {
			t.isSaving = false
			t.checkpoint, t.since = t.step, 0
			w.startStep()
			continue
		}
		w.endStep()
		if t.step%checkpointAt == 0 {
			t.isSaving = true
			t.next += 4 * time.Second
			t.save += 4 * time.Second
			continue
		}
		w.startStep()
	}
	if t.at-t.booked >= bookEvery {
		t.booked = t.at
		for state, d := range map[string]*time.Duration{"step": &t.worked, "data_wait": &t.wait, "checkpoint_save": &t.save} {
			w.spent.WithLabelValues(runName, rank, state).Add(d.Seconds())
			*d = 0
		}
		w.lost.WithLabelValues(runName, rank, "rollback").Add(t.undone.Seconds())
		t.undone = 0
	}
}

// startStep decides how long the next step takes.
func (w *world) startStep() {
	t := &w.training
	took := time.Duration(w.about(1.2, .05) * float64(time.Second))
	wait := took / 12
	t.next += took
	t.wait += wait
	t.worked += took - wait
	t.since += took - wait
	w.stepSeconds.WithLabelValues(runName, rank).Observe(took.Seconds())
}

// endStep makes up what a step brought.
func (w *world) endStep() {
	t := &w.training
	t.step++
	n := float64(t.step)
	loss := 1.9 + 8.5*math.Exp(-n/60) + .03*w.rng.NormFloat64()
	norm := w.about(.6+3*math.Exp(-n/40), .12)
	spike := t.step == spikeAt && !t.spiked
	if spike {
		t.spiked = true
		loss, norm = loss*2.4, norm*30
		t.undone += t.since
		t.since = 0
		w.mark(observelive.Mark{At: w.last, Title: "loss spike, back to the checkpoint", Detail: "some steps are done again", Severity: "warning", Kind: "rollback"})
	}
	w.loss.WithLabelValues(runName, rank).Set(loss)
	w.gradNorm.WithLabelValues(runName, rank).Set(norm)
	w.rate.WithLabelValues(runName, rank).Set(3e-4 * min(1, n/50) * (.55 + .45*math.Cos(min(math.Pi, n/2000))))
	w.stepNumber.WithLabelValues(runName, rank).Set(n)
	w.trained.WithLabelValues(runName, rank).Add(stepTokens)
	w.flops.WithLabelValues(runName, rank).Add(stepTokens * flopsPerToken)
	if spike {
		t.step = t.checkpoint
	}
}
