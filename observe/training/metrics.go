package training

import (
	"strconv"
	"strings"

	"github.com/calmops/calm/observe"
)

// yield takes one value of a metric with its label values.
type yield = func(value float64, labels ...string)

// Metrics returns the table of everything a Recorder exports: the names under
// which every adapter exports it, and how each value is read from a Snapshot. All
// have the labels run and rank. The caller owns the result.
func Metrics() []observe.Reading[*Snapshot] {
	bounds := stepBuckets()
	t := []observe.Reading[*Snapshot]{
		gauge("step", "{step}", "Number of the last optimizer step.", func(s *Snapshot) (float64, bool) {
			return float64(s.Last.N), s.stepped()
		}),
		gauge("checkpoint_step", "{step}", "Number of the step after which the newest checkpoint was saved.", func(s *Snapshot) (float64, bool) {
			return float64(s.Checkpoint), s.Checkpoint > 0
		}),
		gauge("loss", "1", "Loss of the last step, as given: NaN and infinities too.", func(s *Snapshot) (float64, bool) {
			return s.Last.Loss, s.stepped()
		}),
		gauge("grad_norm", "1", "Global L2 norm of the last step's gradient before clipping.", func(s *Snapshot) (float64, bool) {
			return s.Last.GradNorm, s.seen&hasGradNorm != 0
		}),
		gauge("learning_rate", "1", "Learning rate of the last step.", func(s *Snapshot) (float64, bool) {
			return s.Last.LearningRate, s.seen&hasLearningRate != 0
		}),
		gauge("loss_scale", "1", "Loss scale of the last step.", func(s *Snapshot) (float64, bool) {
			return s.Last.LossScale, s.seen&hasLossScale != 0
		}),
		counter("steps", "{step}", "Optimizer steps, those of earlier processes of the run included where the ledger file carries them.", func(s *Snapshot) float64 { return float64(s.Steps) }),
		counter("skipped_steps", "{step}", "Steps that the optimizer did not apply.", func(s *Snapshot) float64 { return float64(s.Skipped) }),
		counter("clipped_steps", "{step}", "Steps whose gradient norm was above the limit it is clipped to.", func(s *Snapshot) float64 { return float64(s.Clipped) }),
		counter("out_of_order_steps", "{step}", "Steps whose number was not above the one before, without a rollback.", func(s *Snapshot) float64 { return float64(s.OutOfOrder) }),
		counter("tokens", "{token}", "Tokens trained on, those of steps that were rolled back included.", func(s *Snapshot) float64 { return float64(s.Tokens) }),
		counter("model_flops", "{FLOP}", "Model FLOPs of the tokens trained on; recomputation not counted.", func(s *Snapshot) float64 { return s.ModelFLOPs }),
		gauge("peak_flops", "{FLOP}/s", "Peak FLOP/s of all devices of this process' run; absent where not known.", func(s *Snapshot) (float64, bool) {
			return s.PeakFLOPS, s.PeakFLOPS > 0
		}),
		{Metric: observe.Metric{Prometheus: "llm_train_step_seconds", OTel: "llm.train.step.duration", Kind: observe.KindHistogram, Unit: "s",
			Labels: labels(), Help: "Time an optimizer step takes.", Buckets: bounds[:]},
			Distributions: func(s *Snapshot, yield func(observe.Distribution, ...string)) {
				yield(s.StepSeconds, s.Session.Run, s.rank())
			}},
		many("nonfinite", observe.KindCounter, "1", "NaN or infinity in a step's loss or gradient norm, or in a tensor's gradient.", func(s *Snapshot, yield yield) {
			yield(float64(s.NonFiniteLoss), "loss")
			yield(float64(s.NonFiniteGradNorm), "grad_norm")
			yield(float64(s.NonFiniteGradients), "gradient")
		}, "what"),
		many("spikes", observe.KindCounter, "1", "Spikes, one an episode.", func(s *Snapshot, yield yield) {
			yield(float64(s.LossSpikes), "loss")
			yield(float64(s.GradNormSpikes), "grad_norm")
		}, "signal"),
		many("events", observe.KindCounter, "1", "Events by kind.", func(s *Snapshot, yield yield) {
			for k, n := range s.events {
				yield(float64(n), EventKind(k).String())
			}
		}, "kind"),
		many("time_seconds", observe.KindCounter, "s", "Wall time since the run began, by what it was spent on: the states add up to it.", func(s *Snapshot, yield yield) {
			s.Ledger.times(yield)
		}, "state"),
		many("lost_seconds", observe.KindCounter, "s", "The part of time_seconds{state=\"step\"} that was undone, by cause.", func(s *Snapshot, yield yield) {
			s.Ledger.lost(yield)
		}, "cause"),
		many("interruptions", observe.KindCounter, "1", "Times that another process had to take over, by cause.", func(s *Snapshot, yield yield) {
			s.Ledger.interruptions(yield)
		}, "cause"),
		gauge("running", "1", "1 while the Recorder runs, 0 before and after.", func(s *Snapshot) (float64, bool) {
			if s.Running {
				return 1, true
			}
			return 0, true
		}),
		gauge("last_step_timestamp_seconds", "s", "Unix time at which the last step ended.", func(s *Snapshot) (float64, bool) {
			return float64(s.LastAt.UnixNano()) / 1e9, s.stepped()
		}),
		gauge("hang_limit_seconds", "s", "How long the present phase may last before it counts as hung; absent where there is no limit.", func(s *Snapshot) (float64, bool) {
			return s.HangLimit.Seconds(), s.HangLimit > 0
		}),
		gauge("phase_seconds", "s", "How long the present phase, or step, has lasted.", func(s *Snapshot) (float64, bool) {
			return s.PhaseFor.Seconds(), true
		}),
		gauge("straggler_score_ratio", "1", "Median time of the ranks before the collective over that of the slowest: 0.5 is twice as slow.", func(s *Snapshot) (float64, bool) {
			return s.StragglerScore, s.StragglerScore > 0
		}),
		gauge("stragglers", "{rank}", "Ranks that lag now.", func(s *Snapshot) (float64, bool) {
			return float64(s.Stragglers), s.Session.Rank == 0 && s.Session.World > 1
		}),
		many("dropped_records", observe.KindCounter, "1", "Records that a sink did not get.", func(s *Snapshot, yield yield) {
			for _, k := range s.Sinks {
				yield(float64(k.Dropped), k.Name)
			}
		}, "sink"),
		many("sink_errors", observe.KindCounter, "1", "Calls of a sink that failed.", func(s *Snapshot, yield yield) {
			for _, k := range s.Sinks {
				yield(float64(k.Errors), k.Name)
			}
		}, "sink"),
		counter("callback_panics", "1", "Panics of callbacks that were caught.", func(s *Snapshot) float64 { return float64(s.CallbackPanics) }),
	}
	for i := range t {
		t[i].ID = observe.MetricID(i)
	}
	return t
}

func (s *Snapshot) stepped() bool { return !s.LastAt.IsZero() }
func (s *Snapshot) rank() string  { return strconv.Itoa(s.Session.Rank) }

// labels are the label names of a metric.
func labels(more ...string) []string { return append([]string{"run", "rank"}, more...) }

// gauge is a metric of one value, which may be absent.
func gauge(name, unit, help string, value func(*Snapshot) (float64, bool)) observe.Reading[*Snapshot] {
	return observe.Reading[*Snapshot]{
		Metric: metric(name, observe.KindGauge, unit, help),
		Values: func(s *Snapshot, yield func(float64, ...string)) {
			if v, ok := value(s); ok {
				yield(v, s.Session.Run, s.rank())
			}
		},
	}
}

// counter is a metric of one value.
func counter(name, unit, help string, value func(*Snapshot) float64) observe.Reading[*Snapshot] {
	return observe.Reading[*Snapshot]{
		Metric: metric(name, observe.KindCounter, unit, help),
		Values: func(s *Snapshot, yield func(float64, ...string)) {
			yield(value(s), s.Session.Run, s.rank())
		},
	}
}

// many is a metric of several values that differ in one more label.
func many(name string, kind observe.MetricKind, unit, help string, values func(*Snapshot, yield), label string) observe.Reading[*Snapshot] {
	return observe.Reading[*Snapshot]{
		Metric: metric(name, kind, unit, help, label),
		Values: func(s *Snapshot, yield func(float64, ...string)) {
			values(s, func(v float64, labels ...string) { yield(v, s.Session.Run, s.rank(), labels[0]) })
		},
	}
}

func metric(name string, kind observe.MetricKind, unit, help string, more ...string) observe.Metric {
	// OpenTelemetry has the unit apart from the name.
	otel := "llm.train." + strings.TrimSuffix(strings.TrimSuffix(name, "_seconds"), "_ratio")
	m := observe.Metric{Prometheus: "llm_train_" + name, OTel: otel, Kind: kind, Unit: unit, Labels: labels(more...), Help: help}
	if kind == observe.KindCounter {
		m.Prometheus += "_total"
	}
	return m
}

// times yields the account of time by state.
func (t *LedgerTotals) times(yield yield) {
	if t == nil {
		return
	}
	yield(t.Step.Seconds(), "step")
	for c := range NumCauses {
		state := c.String()
		if c == CauseWasted {
			state = "interrupted_step"
		}
		yield(t.Spent[c].Seconds(), state)
	}
}

// lost yields what was undone of the time of steps.
func (t *LedgerTotals) lost(yield yield) {
	if t == nil {
		return
	}
	yield(t.LostToRollback.Seconds(), lostRollback.String())
	yield(t.LostToInterruption.Seconds(), lostInterruption.String())
}

func (t *LedgerTotals) interruptions(yield yield) {
	if t == nil {
		return
	}
	for c := range NumInterruptionCauses {
		yield(float64(t.Interruptions[c]), c.String())
	}
}
