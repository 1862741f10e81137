package quality

import "github.com/calmops/calm/observe"

// Metrics returns the table of what a Monitor exports, and how each value is read
// from a Snapshot. The caller owns the result.
func Metrics() []observe.Reading[*Snapshot] {
	type yield = func(value float64, labels ...string)
	row := func(name string, kind observe.MetricKind, help string, labels []string, values func(*Snapshot, yield)) observe.Reading[*Snapshot] {
		m := observe.Metric{Prometheus: "llm_quality_" + name, OTel: "llm.quality." + name, Kind: kind, Unit: "1", Labels: labels, Help: help}
		if kind == observe.KindCounter {
			m.Prometheus += "_total"
		}
		return observe.Reading[*Snapshot]{Metric: m, Values: values}
	}
	t := []observe.Reading[*Snapshot]{
		row("score", observe.KindGauge, "Scores over the window: shares and probabilities from 0 to 1, BLEU and chrF from 0 to 100, perplexity from 1 up.",
			[]string{"task", "version", "metric", "class"}, func(s *Snapshot, yield yield) {
				for _, v := range s.Versions {
					for _, score := range v.Scores {
						yield(score.Value, v.Task, v.Version, score.Metric, score.Class)
					}
				}
			}),
		row("samples", observe.KindCounter, "What was recorded.", []string{"task", "version"}, func(s *Snapshot, yield yield) {
			for _, v := range s.Versions {
				yield(float64(v.Samples), v.Task, v.Version)
			}
		}),
		row("drift_events", observe.KindCounter, "Drifts found, by stream and detector.", []string{"task", "detector"}, func(s *Snapshot, yield yield) {
			for _, stream := range s.Streams {
				for _, d := range stream.Drifts {
					yield(float64(d.N), stream.Name, d.Name)
				}
			}
		}),
		row("drift_warning", observe.KindGauge, "1 while a detector of the stream warns, else 0.", []string{"task"}, func(s *Snapshot, yield yield) {
			for _, stream := range s.Streams {
				yield(flag(stream.Warning), stream.Name)
			}
		}),
		row("distance", observe.KindGauge, "Distance of the recent values of a stream from its reference: psi, js in nats, ks.", []string{"task", "measure"}, func(s *Snapshot, yield yield) {
			for _, stream := range s.Streams {
				if stream.Compared {
					yield(stream.PSI, stream.Name, "psi")
					yield(stream.JS, stream.Name, "js")
					yield(stream.KS, stream.Name, "ks")
				}
			}
		}),
		row("refused", observe.KindCounter, "Values that were left out.", []string{"task", "reason"}, func(s *Snapshot, yield yield) {
			for _, r := range s.Refused {
				yield(float64(r.N), r.Task, r.Reason)
			}
		}),
		row("callback_panics", observe.KindCounter, "Panics of callbacks that were caught.", nil, func(s *Snapshot, yield yield) { yield(float64(s.Panics)) }),
	}
	for i := range t {
		t[i].ID = observe.MetricID(i)
	}
	return t
}
