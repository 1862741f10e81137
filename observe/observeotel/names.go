package observeotel

import "github.com/calmops/calm/observe"

// Semconv selects the GenAI semantic conventions whose names are exported. They
// are all in development: names of one version stay here when the next comes.
type Semconv uint8

// The conventions.
const (
	// SemconvV1_41 is the last release of the GenAI conventions in
	// open-telemetry/semantic-conventions, v1.41.
	SemconvV1_41 Semconv = iota
	// SemconvInference is what semantic-conventions-genai plans for v1.42:
	// counters and histograms of inference tokens in place of
	// gen_ai.client.token.usage. It is not released; expect changes.
	SemconvInference
	// SemconvBoth exports the names of both, to move from one to the other.
	SemconvBoth
)

// String returns v1.41, inference or both.
func (c Semconv) String() string {
	switch c {
	case SemconvV1_41:
		return "v1.41"
	case SemconvInference:
		return "inference"
	case SemconvBoth:
		return "both"
	}
	return "unknown"
}

// schemaURL is the schema of a convention; of both, that of the released one.
func (c Semconv) schemaURL() string {
	if c == SemconvInference {
		return "https://opentelemetry.io/schemas/gen-ai/1.42.0"
	}
	return "https://opentelemetry.io/schemas/1.41.0"
}

// has reports whether c exports names of v, which is one of the first two.
func (c Semconv) has(v Semconv) bool { return c == v || c == SemconvBoth }

const scopeName = "github.com/calmops/calm/observe"

// Attribute keys of metrics. Labels of observe.Metrics() that have no key in the
// conventions keep their name.
const (
	keyOperation = "gen_ai.operation.name"
	keyProvider  = "gen_ai.provider.name"
	keyModel     = "gen_ai.request.model"
	keyStream    = "gen_ai.request.stream"
	keyErrorType = "error.type"
	keyAddress   = "server.address"
	keyPort      = "server.port"
	keyTokenType = "gen_ai.token.type"     // of gen_ai.client.token.usage
	keyModality  = "gen_ai.token.modality" // of the inference counters

	keyPriority   = "priority"
	keyResult     = "result"
	keyOutcome    = "outcome"
	keyCode       = "code"
	keyReason     = "reason"
	keyType       = "type"
	keyObjective  = "objective"
	keyKind       = "kind"
	keyVersion    = "version"
	keyCheckpoint = "checkpoint"
	keyCommit     = "commit"
	keyLE         = "le" // upper bound of a bucket of gaps
)

// Attribute keys of spans, beside operation, provider, model, stream, error type
// and server.
const (
	keyResponseModel = "gen_ai.response.model"
	keyFinishReasons = "gen_ai.response.finish_reasons"
	keyFirstChunk    = "gen_ai.response.time_to_first_chunk"
	keyInputTokens   = "gen_ai.usage.input_tokens"
	keyOutputTokens  = "gen_ai.usage.output_tokens"
	keyCacheRead     = "gen_ai.usage.cache_read.input_tokens"
	keyCacheCreation = "gen_ai.usage.cache_creation.input_tokens" // v1.41
	keyCacheWrite    = "gen_ai.usage.cache_write.input_tokens"    // inference
	keyReasoning     = "gen_ai.usage.reasoning.output_tokens"
	keyFirstToken    = "llm.server.time_to_first_token"
	keySpanOutcome   = "llm.server.outcome"
)

// Attribute values.
const (
	tokenInput     = "input"
	tokenOutput    = "output"
	tokenCached    = "cached_input"
	tokenWritten   = "cache_write_input"
	tokenReasoning = "reasoning"

	unknownModality = "unknown" // no protocol tells the modality of all its tokens
	unknownModel    = "unknown" // model label of a request that named none; no attribute
	codeOK          = "200"
)

// Instruments that observe.Metrics() has no row for.
const (
	metricGapTime observe.MetricID = observe.MetricOverhead + 1 + iota
	metricGapHistogram
	metricTokenUsage
	metricInferenceInput
	metricInferenceOutput
	metricInferenceCacheRead
	metricInferenceCacheWrite
	metricInferenceReasoning
	metricOperationInput
	metricOperationOutput
	metricCount
)

// form is the type of an instrument.
type form uint8

const (
	formSeconds    form = iota // Float64Histogram
	formTokens                 // Int64Histogram
	formCounter                // Int64ObservableCounter
	formSecondsSum             // Float64ObservableCounter
	formSum                    // Int64ObservableUpDownCounter: what may be added up over servers
	formRatio                  // Float64ObservableGauge
)

// row is an instrument. Unit, help and bounds that are not given are those of
// observe.Metrics().
type row struct {
	id     observe.MetricID
	name   string
	form   form
	only   []Semconv // the conventions that have it; none: all
	unit   string
	help   string
	bounds []float64
}

// Boundaries that the conventions ask for.
var (
	durationBounds   = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstTokenBounds = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBounds   = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	tokenBounds      = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

var (
	inV141      = []Semconv{SemconvV1_41}
	inInference = []Semconv{SemconvInference}
)

// rows are all instruments of all conventions.
var rows = [...]row{
	{id: observe.MetricRequestDuration, name: "gen_ai.server.request.duration", form: formSeconds, bounds: durationBounds},
	{id: observe.MetricTimeToFirstToken, name: "gen_ai.server.time_to_first_token", form: formSeconds, bounds: firstTokenBounds},
	{id: observe.MetricTimePerOutputToken, name: "gen_ai.server.time_per_output_token", form: formSeconds, bounds: perTokenBounds},

	{id: metricTokenUsage, name: "gen_ai.client.token.usage", form: formTokens, only: inV141, unit: "{token}",
		help: "Number of input and output tokens used.", bounds: tokenBounds},
	{id: metricInferenceInput, name: "gen_ai.client.inference.usage.input_tokens", form: formCounter, only: inInference, unit: "{token}",
		help: "The number of input (prompt) tokens used, including cached tokens."},
	{id: metricInferenceOutput, name: "gen_ai.client.inference.usage.output_tokens", form: formCounter, only: inInference, unit: "{token}",
		help: "The number of output (completion) tokens used, including reasoning tokens."},
	{id: metricInferenceCacheRead, name: "gen_ai.client.inference.usage.cache_read.input_tokens", form: formCounter, only: inInference, unit: "{token}",
		help: "The number of input tokens served from a provider-managed cache."},
	{id: metricInferenceCacheWrite, name: "gen_ai.client.inference.usage.cache_write.input_tokens", form: formCounter, only: inInference, unit: "{token}",
		help: "The number of input tokens written to a provider-managed cache."},
	{id: metricInferenceReasoning, name: "gen_ai.client.inference.usage.reasoning.output_tokens", form: formCounter, only: inInference, unit: "{token}",
		help: "The number of output tokens used for reasoning (e.g. chain-of-thought, extended thinking)."},
	{id: metricOperationInput, name: "gen_ai.client.inference.operation.input_tokens", form: formTokens, only: inInference, unit: "{token}",
		help: "The number of input (prompt) tokens used per inference operation.", bounds: tokenBounds},
	{id: metricOperationOutput, name: "gen_ai.client.inference.operation.output_tokens", form: formTokens, only: inInference, unit: "{token}",
		help: "The number of output (completion) tokens used per inference operation.", bounds: tokenBounds},

	{id: observe.MetricInterTokenLatency, name: "llm.server.inter_token_gaps", form: formCounter, unit: "{gap}",
		help: "Gaps between token events that were at most le seconds long."},
	{id: metricGapTime, name: "llm.server.inter_token_time", form: formSecondsSum, unit: "s",
		help: "Sum of the gaps between token events."},
	{id: metricGapHistogram, name: "llm.server.inter_token_latency", form: formSeconds, unit: "s"},
	{id: observe.MetricTimeToFirstByte, name: "llm.server.time_to_first_byte", form: formSeconds},
	{id: observe.MetricTimeToFirstContent, name: "llm.server.time_to_first_content", form: formSeconds},
	{id: observe.MetricQueueDuration, name: "llm.server.queue.duration", form: formSeconds},
	{id: observe.MetricPrefillDuration, name: "llm.server.prefill.duration", form: formSeconds},
	{id: observe.MetricDecodeDuration, name: "llm.server.decode.duration", form: formSeconds},
	{id: observe.MetricRequests, name: "llm.server.requests", form: formCounter},
	{id: observe.MetricFinish, name: "llm.server.finish", form: formCounter},
	{id: observe.MetricTokens, name: "llm.server.tokens", form: formCounter},
	{id: observe.MetricResponseBytes, name: "llm.server.response_bytes", form: formCounter},
	{id: observe.MetricInFlight, name: "llm.server.requests_in_flight", form: formSum},
	{id: observe.MetricWaiting, name: "llm.server.requests_waiting", form: formSum},
	{id: observe.MetricRunning, name: "llm.server.requests_running", form: formSum},
	{id: observe.MetricKVCacheUsage, name: "llm.server.kv_cache_usage", form: formRatio},
	{id: observe.MetricPreemptions, name: "llm.server.preemptions", form: formCounter},
	{id: observe.MetricPrefixCacheQueries, name: "llm.server.prefix_cache_queries", form: formCounter},
	{id: observe.MetricPrefixCacheHits, name: "llm.server.prefix_cache_hits", form: formCounter},
	{id: observe.MetricModelInfo, name: "llm.server.model.info", form: formSum},
	{id: observe.MetricSLO, name: "llm.server.slo", form: formCounter},
	{id: observe.MetricSeriesOverflow, name: "llm.server.series_overflow", form: formCounter},
	{id: observe.MetricParseErrors, name: "llm.server.parse_errors", form: formCounter},
	{id: observe.MetricCallbackPanics, name: "llm.server.callback_panics", form: formCounter},
}

// table returns the instruments of a configuration, whole.
func table(cfg *ServingConfig) []row {
	metrics := observe.Metrics()
	var t []row
	for _, r := range rows {
		if len(r.only) > 0 && !cfg.Semconv.has(r.only[0]) {
			continue
		}
		of := r.id
		if of == metricGapHistogram {
			if !cfg.ITLHistogram {
				continue
			}
			of = observe.MetricInterTokenLatency
		}
		if int(of) < len(metrics) {
			m := metrics[of]
			if r.unit == "" {
				r.unit = m.Unit
			}
			if r.help == "" {
				r.help = m.Help
			}
			if r.bounds == nil {
				r.bounds = m.Buckets
			}
		}
		t = append(t, r)
	}
	return t
}
