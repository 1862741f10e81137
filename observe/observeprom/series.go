package observeprom

import (
	"context"
	"strconv"
	"time"

	"github.com/calmops/calm/internal/cow"
	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// series holds the handles of one label set, so that a request looks up no
// labels. What varies beside the label set is opened at its first use and kept.
type series struct {
	exemplar func(context.Context) prometheus.Labels

	itl, tpot, ttfb, firstContent, prefill, decode prometheus.Observer
	gaps                                           *gapHistogram // nil: itl, which is native
	inputSize, outputSize                          prometheus.Observer
	input, output, bytes                           prometheus.Counter

	ok      [2]*ending // outcome ok, code 200; [1]: streamed
	okTTFT  histogram  // no error_type
	endings cow.Cache[endingKey, *ending]
	ttfts   cow.Cache[string, histogram] // by error_type
	queues  cow.Cache[queueKey, prometheus.Observer]
	reasons cow.Cache[string, prometheus.Counter]
	parts   cow.Cache[string, prometheus.Counter] // tokens that are parts of input or output
	slos    cow.Cache[sloKey, prometheus.Counter]
	self    cow.Cache[struct{}, prometheus.Observer] // own overhead: no series unless it is measured

	vllm *vllmSeries // nil: not asked for
}

// histogram is a child of a HistogramVec.
type histogram interface {
	prometheus.Observer
	prometheus.ExemplarObserver
}

// ending is what every request that ended in one way moves.
type ending struct {
	requests prometheus.Counter
	duration histogram
}

type endingKey struct {
	stream          bool
	outcome         observe.Outcome
	code, errorType string
}

type queueKey struct{ priority, result string }

type sloKey struct {
	objective string
	result    observe.SLOResult
}

// newSeries opens the handles of a label set, and with them its counters at zero.
func newSeries(f *families, exemplar func(context.Context) prometheus.Labels, l observe.Labels) *series {
	model, op := l.Model, string(l.Operation)
	hist := func(id observe.MetricID, labels ...string) histogram {
		return f.histograms[id].WithLabelValues(labels...).(histogram)
	}
	count := func(id observe.MetricID, labels ...string) prometheus.Counter {
		return f.counters[id].WithLabelValues(labels...)
	}
	s := &series{
		exemplar:     exemplar,
		tpot:         hist(observe.MetricTimePerOutputToken, model, op),
		ttfb:         hist(observe.MetricTimeToFirstByte, model, op),
		firstContent: hist(observe.MetricTimeToFirstContent, model, op),
		prefill:      hist(observe.MetricPrefillDuration, model),
		decode:       hist(observe.MetricDecodeDuration, model),
		inputSize:    hist(observe.MetricRequestInputTokens, model),
		outputSize:   hist(observe.MetricRequestOutputTokens, model),
		input:        count(observe.MetricTokens, model, typeInput),
		output:       count(observe.MetricTokens, model, typeOutput),
		bytes:        count(observe.MetricResponseBytes, model, op),
	}
	if f.gaps != nil {
		s.gaps = f.gaps.open(l)
	} else {
		s.itl = hist(observe.MetricInterTokenLatency, model, op)
	}
	s.endings.Open = func(k endingKey) *ending {
		stream := strconv.FormatBool(k.stream)
		return &ending{
			requests: count(observe.MetricRequests, model, op, stream, k.outcome.String(), k.code),
			duration: hist(observe.MetricRequestDuration, model, op, stream, k.errorType),
		}
	}
	s.ttfts.Open = func(errorType string) histogram {
		return hist(observe.MetricTimeToFirstToken, model, op, errorType)
	}
	s.queues.Open = func(k queueKey) prometheus.Observer {
		return hist(observe.MetricQueueDuration, model, k.priority, k.result)
	}
	s.reasons.Open = func(reason string) prometheus.Counter { return count(observe.MetricFinish, model, reason) }
	s.parts.Open = func(kind string) prometheus.Counter { return count(observe.MetricTokens, model, kind) }
	s.slos.Open = func(k sloKey) prometheus.Counter {
		return count(observe.MetricSLO, model, k.objective, k.result.String())
	}
	s.self.Open = func(struct{}) prometheus.Observer { return hist(observe.MetricOverhead) }

	for i, stream := range []bool{false, true} {
		s.ok[i] = s.endings.Get(endingKey{stream: stream, outcome: observe.OutcomeOK, code: codeOK})
	}
	s.okTTFT = s.ttfts.Get("")
	return s
}

// Gaps implements observe.SeriesSink.
func (s *series) Gaps(gaps []time.Duration) {
	if s.gaps != nil {
		s.gaps.observe(gaps)
	} else {
		for _, g := range gaps {
			s.itl.Observe(g.Seconds())
		}
	}
	s.vllm.gaps(gaps)
}

// Request implements observe.SeriesSink. The request is recorded even if the
// user's Exemplar panics; the Recorder counts that panic.
func (s *series) Request(ctx context.Context, r *observe.RequestStats) {
	if s.exemplar == nil {
		s.record(r, traceExemplar(r))
		return
	}
	var e prometheus.Labels
	defer func() { s.record(r, e) }()
	e = checkedExemplar(s.exemplar(ctx))
}

func (s *series) record(r *observe.RequestStats, exemplar prometheus.Labels) {
	end := s.ending(r)
	end.requests.Inc()
	end.duration.ObserveWithExemplar(r.Duration.Seconds(), exemplar)
	s.recordTimes(r, exemplar)
	s.recordTokens(r)
	if r.ResponseBytes > 0 {
		s.bytes.Add(float64(r.ResponseBytes))
	}
	if r.FinishReason != "" {
		s.reasons.Get(r.FinishReason).Inc()
	}
	s.attained(objectiveTTFT, r.SLO.TTFT)
	s.attained(objectiveTPOT, r.SLO.TPOT)
	s.attained(objectiveDuration, r.SLO.Duration)
	if r.Overhead > 0 {
		s.self.Get(struct{}{}).Observe(r.Overhead.Seconds())
	}
	s.vllm.record(r)
}

// ending returns the handles for how the request ended: the common case without
// a look-up.
func (s *series) ending(r *observe.RequestStats) *ending {
	if r.Outcome == observe.OutcomeOK && r.Code == codeOK { // ok has no error type
		if r.Stream {
			return s.ok[1]
		}
		return s.ok[0]
	}
	return s.endings.Get(endingKey{r.Stream, r.Outcome, r.Code, r.ErrorType})
}

// recordTimes observes the durations that the request has.
func (s *series) recordTimes(r *observe.RequestStats, exemplar prometheus.Labels) {
	if r.Has(observe.FieldTTFT) {
		h := s.okTTFT
		if r.ErrorType != "" {
			h = s.ttfts.Get(r.ErrorType)
		}
		h.ObserveWithExemplar(r.TTFT.Seconds(), exemplar)
	}
	if r.Has(observe.FieldTTFB) {
		s.ttfb.Observe(r.TTFB.Seconds())
	}
	if r.Reasoned && r.Has(observe.FieldFirstContent) {
		s.firstContent.Observe(r.FirstContent.Seconds())
	}
	if r.Has(observe.FieldTPOT) {
		s.tpot.Observe(r.TPOT.Seconds())
	}
	if r.Has(observe.FieldQueue) {
		result := queueScheduled
		if r.Abandoned {
			result = queueAbandoned
		}
		s.queues.Get(queueKey{r.Priority, result}).Observe(r.Queue.Seconds())
	}
	if r.Has(observe.FieldPrefill) {
		s.prefill.Observe(r.Prefill.Seconds())
	}
	if r.Has(observe.FieldDecode) && r.Outcome == observe.OutcomeOK {
		s.decode.Observe(r.Decode.Seconds())
	}
}

// recordTokens counts the tokens whose number is known.
func (s *series) recordTokens(r *observe.RequestStats) {
	if r.InputSource != observe.TokensUnknown {
		s.input.Add(float64(r.Usage.Input))
		s.inputSize.Observe(float64(r.Usage.Input))
		s.part(typeCachedInput, r.Usage.CachedInput)
		s.part(typeCacheWriteInput, r.Usage.CacheWriteInput)
	}
	if r.OutputSource != observe.TokensUnknown {
		s.output.Add(float64(r.Usage.Output))
		s.outputSize.Observe(float64(r.Usage.Output))
		s.part(typeReasoning, r.Usage.ReasoningOutput)
	}
}

func (s *series) part(kind string, n int64) {
	if n > 0 {
		s.parts.Get(kind).Add(float64(n))
	}
}

func (s *series) attained(objective string, result observe.SLOResult) {
	if result != observe.SLONotCounted {
		s.slos.Get(sloKey{objective, result}).Inc()
	}
}
