package observeprom

import (
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// livePlace is the label set of the in-flight gauge: one for all providers.
type livePlace struct {
	model     string
	operation observe.Operation
}

// liveEngine adds up the engines of one model.
type liveEngine struct {
	waiting, running            int64
	kvSum                       float64
	kvCount                     int
	preemptions, queries, found uint64
	blockTokens, blocks         int
	lora                        observe.LoRA
	loraAt                      time.Time
}

// appendLive makes the metrics that are read from the Recorders: equal label
// sets are added up.
func (s *Serving) appendLive(all []prometheus.Metric, recorders []*observe.Recorder) []prometheus.Metric {
	inFlight := make(map[livePlace]int64)
	engines := make(map[string]*liveEngine)
	served := make(map[observe.Served]bool)
	var losses observe.Losses
	for _, r := range recorders {
		for l := range r.Live() {
			inFlight[livePlace{l.Model, l.Operation}] += l.InFlight
		}
		for state := range r.Engines() {
			e := engines[state.Model]
			if e == nil {
				e = new(liveEngine)
				engines[state.Model] = e
			}
			e.add(state)
		}
		for what := range r.Served() {
			served[what] = true
		}
		addLosses(&losses, r.Losses())
	}
	putDesc := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		m, err := prometheus.NewConstMetric(d, kind, v, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err)
		}
		all = append(all, m)
	}
	put := func(id observe.MetricID, v float64, labels ...string) {
		putDesc(s.families.live[id].desc, s.families.live[id].kind, v, labels...)
	}
	for p, n := range inFlight {
		put(observe.MetricInFlight, float64(n), p.model, string(p.operation))
	}
	for model, e := range engines {
		put(observe.MetricWaiting, float64(e.waiting), model)
		put(observe.MetricRunning, float64(e.running), model)
		if e.kvCount > 0 {
			put(observe.MetricKVCacheUsage, e.kvSum/float64(e.kvCount), model)
		}
		put(observe.MetricPreemptions, float64(e.preemptions), model)
		put(observe.MetricPrefixCacheQueries, float64(e.queries), model)
		put(observe.MetricPrefixCacheHits, float64(e.found), model)
		s.vllm.live(putDesc, model, e)
	}
	for what := range served {
		put(observe.MetricModelInfo, 1, what.Model, what.Version, what.Checkpoint, what.Commit)
	}
	put(observe.MetricSeriesOverflow, float64(losses.ModelOverflow), kindModel)
	put(observe.MetricSeriesOverflow, float64(losses.LabelOverflow), kindLabel)
	put(observe.MetricParseErrors, float64(losses.BadEvents), kindJSON)
	put(observe.MetricParseErrors, float64(losses.TruncatedEvents), kindTruncated)
	put(observe.MetricParseErrors, float64(losses.ClockSteps), kindClockStep)
	put(observe.MetricCallbackPanics, float64(losses.CallbackPanics))
	return all
}

// add takes in one engine. A share of a cache cannot be added up: KV usage is
// the mean of the engines that gave one.
func (e *liveEngine) add(s observe.EngineState) {
	e.waiting += s.Waiting
	e.running += s.Running
	if s.HasKVUsage {
		e.kvSum += s.KVUsage
		e.kvCount++
	}
	e.preemptions += s.Preemptions
	e.queries += s.PrefixQueries
	e.found += s.PrefixHits
	if s.Blocks > 0 {
		e.blockTokens, e.blocks = s.BlockTokens, s.Blocks
	}
	if s.LoRAAt.After(e.loraAt) {
		e.lora, e.loraAt = s.LoRA, s.LoRAAt
	}
}

func addLosses(sum *observe.Losses, l observe.Losses) {
	sum.ModelOverflow += l.ModelOverflow
	sum.LabelOverflow += l.LabelOverflow
	sum.BadEvents += l.BadEvents
	sum.TruncatedEvents += l.TruncatedEvents
	sum.ClockSteps += l.ClockSteps
	sum.CallbackPanics += l.CallbackPanics
}
