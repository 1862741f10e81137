package observeotel

import (
	"context"
	"slices"
	"time"

	"github.com/calmops/calm/internal/cow"
	"github.com/calmops/calm/observe"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// series holds the handles of one label set.
type series struct {
	serving *Serving
	meters  *meters // nil: no metrics
	span    *span   // nil: no spans
}

// meters are what a request of one label set moves. What varies beside the label
// set is opened at its first use and kept: a request makes no attribute set.
type meters struct {
	in *instruments

	gaps                      *gapCell
	ofModel, ofOperation      recordOptions // of llm.server metrics
	ofSuccess                 recordOptions // of gen_ai metrics: by operation, provider and model
	usageInput, usageOutput   recordOptions // the same by token type
	input, output, bytes      *cell
	billedInput, billedOutput *cell // nil without SemconvInference, as all of its counters
	read, written, reasoned   *cell

	ok       [2]*ending // outcome ok, code 200; [1]: streamed
	endings  cow.Cache[endingKey, *ending]
	failures cow.Cache[string, recordOptions] // of gen_ai metrics, by error type
	queues   cow.Cache[queueKey, recordOptions]
	reasons  cow.Cache[string, *cell]
	parts    cow.Cache[string, *cell] // tokens that are parts of input or output
	slos     cow.Cache[sloKey, *cell]
}

// recordOptions are made once, so that Record allocates nothing for them.
type recordOptions []metric.RecordOption

// ending is what every request that ended in one way moves.
type ending struct {
	requests *cell
	duration recordOptions
}

type endingKey struct {
	stream          bool
	outcome         observe.Outcome
	code, errorType string
}

type queueKey struct {
	priority  string
	abandoned bool
}

type sloKey struct {
	objective string
	result    observe.SLOResult
}

// newSeries opens the handles of a label set, and with them its counters at zero.
func newSeries(s *Serving, l observe.Labels) *series {
	x := &series{serving: s}
	if s.tracer != nil {
		x.span = newSpan(s, l)
	}
	if s.instruments != nil {
		x.meters = newMeters(s, l)
	}
	return x
}

// genAI are the attributes that the conventions ask for.
func (s *Serving) genAI(l observe.Labels) []attribute.KeyValue {
	attrs := append(byOperation(l.Model, l.Operation), attribute.String(keyProvider, l.Provider))
	return append(attrs, s.server...)
}

// with returns the attributes and more; the given ones stay as they are.
func with(attrs []attribute.KeyValue, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(slices.Clip(attrs), more...)
}

func optionsOf(attrs []attribute.KeyValue) recordOptions {
	return recordOptions{metric.WithAttributeSet(attribute.NewSet(slices.Clone(attrs)...))}
}

func newMeters(s *Serving, l observe.Labels) *meters {
	in := s.instruments
	model, operation, genAI := byModel(l.Model), byOperation(l.Model, l.Operation), s.genAI(l)
	tokens := func(kind string) *cell {
		return in.families[observe.MetricTokens].cell(with(model, attribute.String(keyType, kind))...)
	}
	x := &meters{
		in:          in,
		gaps:        in.gaps.cell(operation...),
		ofModel:     optionsOf(model),
		ofOperation: optionsOf(operation),
		ofSuccess:   optionsOf(genAI),
		usageInput:  optionsOf(with(genAI, attribute.String(keyTokenType, tokenInput))),
		usageOutput: optionsOf(with(genAI, attribute.String(keyTokenType, tokenOutput))),
		input:       tokens(tokenInput),
		output:      tokens(tokenOutput),
		bytes:       in.families[observe.MetricResponseBytes].cell(operation...),
	}
	if s.cfg.Semconv.has(SemconvInference) {
		modality := with(genAI, attribute.String(keyModality, unknownModality))
		x.billedInput = in.families[metricInferenceInput].cell(modality...)
		x.billedOutput = in.families[metricInferenceOutput].cell(modality...)
		x.read = in.families[metricInferenceCacheRead].cell(modality...)
		x.written = in.families[metricInferenceCacheWrite].cell(modality...)
		x.reasoned = in.families[metricInferenceReasoning].cell(modality...)
	}
	x.endings.Open = func(k endingKey) *ending {
		stream := attribute.Bool(keyStream, k.stream)
		duration := appendString(slices.Clip(genAI), keyErrorType, k.errorType)
		if s.cfg.StreamAttribute {
			duration = with(duration, stream)
		}
		return &ending{
			requests: in.families[observe.MetricRequests].cell(with(operation, stream,
				attribute.String(keyOutcome, k.outcome.String()), attribute.String(keyCode, k.code))...),
			duration: optionsOf(duration),
		}
	}
	x.failures.Open = func(errorType string) recordOptions {
		return optionsOf(with(genAI, attribute.String(keyErrorType, errorType)))
	}
	x.queues.Open = func(k queueKey) recordOptions {
		result := "scheduled"
		if k.abandoned {
			result = "abandoned"
		}
		return optionsOf(with(appendString(slices.Clip(model), keyPriority, k.priority), attribute.String(keyResult, result)))
	}
	x.reasons.Open = func(reason string) *cell {
		return in.families[observe.MetricFinish].cell(with(model, attribute.String(keyReason, reason))...)
	}
	x.parts.Open = tokens
	x.slos.Open = func(k sloKey) *cell {
		return in.families[observe.MetricSLO].cell(with(model, attribute.String(keyObjective, k.objective),
			attribute.String(keyResult, k.result.String()))...)
	}
	for i, stream := range []bool{false, true} {
		x.ok[i] = x.endings.Get(endingKey{stream: stream, outcome: observe.OutcomeOK, code: codeOK})
	}
	return x
}

// Gaps implements observe.SeriesSink.
func (x *series) Gaps(gaps []time.Duration) {
	if x.meters == nil || x.serving.closed.Load() {
		return
	}
	x.meters.gaps.add(gaps)
	if h := x.meters.in.seconds[metricGapHistogram]; h != nil {
		for _, g := range gaps {
			h.Record(context.Background(), g.Seconds(), x.meters.ofOperation...)
		}
	}
}

// Request implements observe.SeriesSink. Counters come first and histograms
// last, whatever a provider does in between: the Recorder counts its panic.
func (x *series) Request(ctx context.Context, r *observe.RequestStats) {
	if x.serving.closed.Load() {
		return
	}
	if x.meters != nil {
		x.meters.count(r)
		defer func() { x.meters.record(ctx, r) }() // in the context of the span, for exemplars
	}
	if x.span != nil {
		ctx = x.span.tell(ctx, r)
	}
}

// ending returns the handles for how the request ended: the common case without
// a look-up.
func (x *meters) ending(r *observe.RequestStats) *ending {
	if r.Outcome == observe.OutcomeOK && r.Code == codeOK && r.ErrorType == "" {
		if r.Stream {
			return x.ok[1]
		}
		return x.ok[0]
	}
	return x.endings.Get(endingKey{r.Stream, r.Outcome, r.Code, r.ErrorType})
}

// count moves the counters, which are atomics of our own.
func (x *meters) count(r *observe.RequestStats) {
	x.ending(r).requests.n.Add(1)
	x.bytes.n.Add(max(r.ResponseBytes, 0))
	if r.FinishReason != "" {
		x.reasons.Get(r.FinishReason).n.Add(1)
	}
	x.attained("ttft", r.SLO.TTFT)
	x.attained("tpot", r.SLO.TPOT)
	x.attained("duration", r.SLO.Duration)
	u := &r.Usage
	if r.InputSource != observe.TokensUnknown {
		x.input.n.Add(u.Input)
		x.part(tokenCached, u.CachedInput)
		x.part(tokenWritten, u.CacheWriteInput)
		x.billedInput.add(u.Input)
		x.read.add(u.CachedInput)
		x.written.add(u.CacheWriteInput)
	}
	if r.OutputSource != observe.TokensUnknown {
		x.output.n.Add(u.Output)
		x.part(tokenReasoning, u.ReasoningOutput)
		x.billedOutput.add(u.Output)
		x.reasoned.add(u.ReasoningOutput)
	}
}

// add does nothing on a counter that is not exported.
func (c *cell) add(n int64) {
	if c != nil {
		c.n.Add(n)
	}
}

func (x *meters) part(kind string, n int64) {
	if n > 0 {
		x.parts.Get(kind).n.Add(n)
	}
}

func (x *meters) attained(objective string, result observe.SLOResult) {
	if result != observe.SLONotCounted {
		x.slos.Get(sloKey{objective, result}).n.Add(1)
	}
}

// record gives the histograms their values.
func (x *meters) record(ctx context.Context, r *observe.RequestStats) {
	seconds := func(id observe.MetricID, d time.Duration, opts recordOptions) {
		x.in.seconds[id].Record(ctx, d.Seconds(), opts...)
	}
	genAI := x.ofSuccess
	if r.ErrorType != "" {
		genAI = x.failures.Get(r.ErrorType)
	}
	seconds(observe.MetricRequestDuration, r.Duration, x.ending(r).duration)
	if r.Has(observe.FieldTTFT) {
		seconds(observe.MetricTimeToFirstToken, r.TTFT, genAI)
	}
	if r.Has(observe.FieldTPOT) {
		seconds(observe.MetricTimePerOutputToken, r.TPOT, x.ofSuccess)
	}
	if r.Has(observe.FieldTTFB) {
		seconds(observe.MetricTimeToFirstByte, r.TTFB, x.ofOperation)
	}
	if r.Reasoned && r.Has(observe.FieldFirstContent) {
		seconds(observe.MetricTimeToFirstContent, r.FirstContent, x.ofOperation)
	}
	if r.Has(observe.FieldQueue) {
		seconds(observe.MetricQueueDuration, r.Queue, x.queues.Get(queueKey{r.Priority, r.Abandoned}))
	}
	if r.Has(observe.FieldPrefill) {
		seconds(observe.MetricPrefillDuration, r.Prefill, x.ofModel)
	}
	if r.Has(observe.FieldDecode) && r.Outcome == observe.OutcomeOK {
		seconds(observe.MetricDecodeDuration, r.Decode, x.ofModel)
	}
	x.recordTokens(ctx, r, genAI)
}

// recordTokens gives the histograms of tokens the counts that are known. The
// inference convention wants every failed operation, too: what is not known of it
// is zero.
func (x *meters) recordTokens(ctx context.Context, r *observe.RequestStats, genAI recordOptions) {
	tokens := func(id observe.MetricID, n int64, opts recordOptions) {
		if h := x.in.tokens[id]; h != nil {
			h.Record(ctx, n, opts...)
		}
	}
	input, output := r.InputSource != observe.TokensUnknown, r.OutputSource != observe.TokensUnknown
	if input {
		tokens(metricTokenUsage, r.Usage.Input, x.usageInput)
	}
	if output {
		tokens(metricTokenUsage, r.Usage.Output, x.usageOutput)
	}
	if input || r.ErrorType != "" {
		tokens(metricOperationInput, r.Usage.Input, genAI)
	}
	if output || r.ErrorType != "" {
		tokens(metricOperationOutput, r.Usage.Output, genAI)
	}
}
