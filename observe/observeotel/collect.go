package observeotel

import (
	"context"

	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// place is the label set of the requests in flight: one for all providers.
type place struct {
	model     string
	operation observe.Operation
}

// engine adds up the engines of one model.
type engine struct {
	waiting, running            int64
	kvSum                       float64
	kvCount                     int
	preemptions, queries, found uint64
}

// state is what the Recorders say at one moment, equal label sets added up.
type state struct {
	inFlight map[place]int64
	engines  map[string]*engine
	served   map[observe.Served]bool
	losses   observe.Losses
}

func stateOf(recorders []*observe.Recorder) state {
	s := state{map[place]int64{}, map[string]*engine{}, map[observe.Served]bool{}, observe.Losses{}}
	for _, r := range recorders {
		for l := range r.Live() {
			s.inFlight[place{l.Model, l.Operation}] += l.InFlight
		}
		for e := range r.Engines() {
			if s.engines[e.Model] == nil {
				s.engines[e.Model] = new(engine)
			}
			s.engines[e.Model].add(e)
		}
		for m := range r.Served() {
			s.served[m] = true
		}
		l := r.Losses()
		s.losses.ModelOverflow += l.ModelOverflow
		s.losses.LabelOverflow += l.LabelOverflow
		s.losses.BadEvents += l.BadEvents
		s.losses.TruncatedEvents += l.TruncatedEvents
		s.losses.ClockSteps += l.ClockSteps
		s.losses.CallbackPanics += l.CallbackPanics
	}
	return s
}

// add takes in one engine. A share of a cache cannot be added up: KV usage is
// the mean of the engines that gave one.
func (e *engine) add(s observe.EngineState) {
	e.waiting += s.Waiting
	e.running += s.Running
	if s.HasKVUsage {
		e.kvSum += s.KVUsage
		e.kvCount++
	}
	e.preemptions += s.Preemptions
	e.queries += s.PrefixQueries
	e.found += s.PrefixHits
}

// collect is the callback of all observable instruments: it reads atomics.
func (s *Serving) collect(_ context.Context, o metric.Observer) error {
	if s.closed.Load() {
		return nil
	}
	in := s.instruments
	for id := range in.families {
		if i := in.int64s[id]; i != nil {
			in.families[id].observe(o, i)
		}
	}
	in.gaps.observe(o, in.int64s[observe.MetricInterTokenLatency], in.float64s[metricGapTime])

	now := stateOf(s.attached())
	put := func(id observe.MetricID, n int64, attrs ...attribute.KeyValue) {
		o.ObserveInt64(in.int64s[id], n, metric.WithAttributes(attrs...))
	}
	for p, n := range now.inFlight {
		put(observe.MetricInFlight, n, byOperation(p.model, p.operation)...)
	}
	for model, e := range now.engines {
		of := byModel(model)
		put(observe.MetricWaiting, e.waiting, of...)
		put(observe.MetricRunning, e.running, of...)
		put(observe.MetricPreemptions, int64(e.preemptions), of...)
		put(observe.MetricPrefixCacheQueries, int64(e.queries), of...)
		put(observe.MetricPrefixCacheHits, int64(e.found), of...)
		if e.kvCount > 0 {
			o.ObserveFloat64(in.float64s[observe.MetricKVCacheUsage], e.kvSum/float64(e.kvCount), metric.WithAttributes(of...))
		}
	}
	for m := range now.served {
		of := byModel(m.Model)
		for _, a := range [][2]string{{keyVersion, m.Version}, {keyCheckpoint, m.Checkpoint}, {keyCommit, m.Commit}} {
			of = appendString(of, a[0], a[1])
		}
		put(observe.MetricModelInfo, 1, of...)
	}
	kind := func(k string) attribute.KeyValue { return attribute.String(keyKind, k) }
	put(observe.MetricSeriesOverflow, int64(now.losses.ModelOverflow), kind("model"))
	put(observe.MetricSeriesOverflow, int64(now.losses.LabelOverflow), kind("label"))
	put(observe.MetricParseErrors, int64(now.losses.BadEvents), kind("json"))
	put(observe.MetricParseErrors, int64(now.losses.TruncatedEvents), kind("truncated"))
	put(observe.MetricParseErrors, int64(now.losses.ClockSteps), kind("clock_step"))
	put(observe.MetricCallbackPanics, int64(now.losses.CallbackPanics))
	return nil
}

// byModel are the attributes of a metric by model: none if the request named no
// model.
func byModel(model string) []attribute.KeyValue {
	if model == unknownModel {
		return nil
	}
	return []attribute.KeyValue{attribute.String(keyModel, model)}
}

// byOperation are the attributes of a metric by model and operation.
func byOperation(model string, op observe.Operation) []attribute.KeyValue {
	return append(byModel(model), attribute.String(keyOperation, string(op)))
}

// appendString appends an attribute unless it is empty.
func appendString(attrs []attribute.KeyValue, key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return append(attrs, attribute.String(key, value))
}
