package observe

import "slices"

// MetricID is the place of a metric in its table, whatever the system it is
// exported to. The constants are those of the serving table.
type MetricID uint8

// The serving metrics, in the order of [Metrics].
const (
	MetricRequestDuration MetricID = iota
	MetricTimeToFirstToken
	MetricTimePerOutputToken
	MetricInterTokenLatency
	MetricTimeToFirstByte
	MetricTimeToFirstContent
	MetricQueueDuration
	MetricPrefillDuration
	MetricDecodeDuration
	MetricRequestInputTokens
	MetricRequestOutputTokens
	MetricRequests
	MetricFinish
	MetricTokens
	MetricResponseBytes
	MetricInFlight
	MetricWaiting
	MetricRunning
	MetricKVCacheUsage
	MetricPreemptions
	MetricPrefixCacheQueries
	MetricPrefixCacheHits
	MetricModelInfo
	MetricSLO
	MetricSeriesOverflow
	MetricParseErrors
	MetricCallbackPanics
	MetricOverhead
)

// MetricKind is the kind of a metric.
type MetricKind uint8

// The kinds of metrics.
const (
	KindCounter MetricKind = iota
	KindGauge
	KindHistogram
)

// Metric is a row of the serving table: one quantity under its names.
type Metric struct {
	ID         MetricID   // its place in the table
	Prometheus string     // name in Prometheus
	OTel       string     // name in OpenTelemetry; empty: not exported there
	Kind       MetricKind // counter, gauge or histogram
	Unit       string     // UCUM, as OpenTelemetry writes it: s, By, 1, {token}, {request}
	Labels     []string   // Prometheus label names, in order
	Help       string     // one sentence
	Buckets    []float64  // default upper bounds of a histogram, ascending, without +Inf
}

// Reading is a row of a table of figures that are not recorded one by one but
// read, at each scrape, from a snapshot S. Its ID is its place in its table.
type Reading[S any] struct {
	Metric
	// Values gives yield each value of the metric with its label values, as many
	// as Labels. Nil for histograms.
	Values func(snapshot S, yield func(value float64, labels ...string))
	// Distributions does the same for a histogram, else nil. What it yields is read
	// before it returns.
	Distributions func(snapshot S, yield func(d Distribution, labels ...string))
}

// Distribution is the state of a histogram of values from 0 up.
type Distribution struct {
	Count  uint64   // how many values
	Sum    float64  // of the values
	Counts []uint64 // values in each bucket of Metric.Buckets, above the one before; the last is above all

	// Eighths counts the same values by powers of two in eight parts: entry i those
	// above 2^((EighthsFrom+i-1)/8) and up to 2^((EighthsFrom+i)/8), Prometheus'
	// schema 3. Nil: not kept.
	Eighths     []uint64
	EighthsFrom int    // the index of the first entry
	Tiny        uint64 // values below all of them
}

// Default buckets. The bounds of the OpenTelemetry conventions are contained in
// them; the reasons for the additions stand in doc.go.
var (
	firstBuckets    = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160}
	gapBuckets      = []float64{.001, .0025, .005, .0075, .01, .015, .02, .025, .03, .04, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2.5}
	durationBuckets = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68}
	queueBuckets    = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	tokenBuckets    = powers(1, 4, 14)
	overheadBuckets = powers(1e-7, 4, 12)
)

func powers(first, factor float64, n int) []float64 {
	b := make([]float64, n)
	for i := range b {
		b[i] = first
		first *= factor
	}
	return b
}

var (
	byModel     = []string{"model"}
	byOperation = []string{"model", "operation"}
	byKind      = []string{"kind"}
)

var metricTable = [...]Metric{
	{MetricRequestDuration, "gen_ai_server_request_duration_seconds", "gen_ai.server.request.duration", KindHistogram, "s",
		[]string{"model", "operation", "stream", "error_type"}, "Time from arrival to the end of the handler.", durationBuckets},
	{MetricTimeToFirstToken, "gen_ai_server_time_to_first_token_seconds", "gen_ai.server.time_to_first_token", KindHistogram, "s",
		[]string{"model", "operation", "error_type"}, "Time from arrival to the first token event of a stream.", firstBuckets},
	{MetricTimePerOutputToken, "gen_ai_server_time_per_output_token_seconds", "gen_ai.server.time_per_output_token", KindHistogram, "s",
		byOperation, "Time per output token after the first, one value a successful stream.", gapBuckets},
	{MetricInterTokenLatency, "llm_server_inter_token_latency_seconds", "llm.server.inter_token_gaps", KindHistogram, "s",
		byOperation, "Time between token events, one value a gap.", gapBuckets},
	{MetricTimeToFirstByte, "llm_server_time_to_first_byte_seconds", "llm.server.time_to_first_byte", KindHistogram, "s",
		byOperation, "Time from arrival to the first body byte or flush.", firstBuckets},
	{MetricTimeToFirstContent, "llm_server_time_to_first_content_seconds", "llm.server.time_to_first_content", KindHistogram, "s",
		byOperation, "Time from arrival to the first token event that is not reasoning, of streams that reasoned first.", firstBuckets},
	{MetricQueueDuration, "llm_server_queue_duration_seconds", "llm.server.queue.duration", KindHistogram, "s",
		[]string{"model", "priority", "result"}, "Time from queued (or arrival) to scheduled, or to the end of a request that never was.", queueBuckets},
	{MetricPrefillDuration, "llm_server_prefill_duration_seconds", "llm.server.prefill.duration", KindHistogram, "s",
		byModel, "Time from scheduled to the first token.", firstBuckets},
	{MetricDecodeDuration, "llm_server_decode_duration_seconds", "llm.server.decode.duration", KindHistogram, "s",
		byModel, "Time from the first to the last token of a successful stream.", durationBuckets},
	{MetricRequestInputTokens, "llm_server_request_input_tokens", "gen_ai.client.token.usage", KindHistogram, "{token}",
		byModel, "Input tokens of a request, cached ones included.", tokenBuckets},
	{MetricRequestOutputTokens, "llm_server_request_output_tokens", "gen_ai.client.token.usage", KindHistogram, "{token}",
		byModel, "Output tokens of a request, reasoning included.", tokenBuckets},
	{MetricRequests, "llm_server_requests_total", "llm.server.requests", KindCounter, "{request}",
		[]string{"model", "operation", "stream", "outcome", "code"}, "Finished requests by how they ended.", nil},
	{MetricFinish, "llm_server_finish_total", "llm.server.finish", KindCounter, "{request}",
		[]string{"model", "reason"}, "Finished generations by finish reason.", nil},
	{MetricTokens, "llm_server_tokens_total", "llm.server.tokens", KindCounter, "{token}",
		[]string{"model", "type"}, "Tokens by type; cached_input and cache_write_input are parts of input, reasoning of output.", nil},
	{MetricResponseBytes, "llm_server_response_bytes_total", "llm.server.response_bytes", KindCounter, "By",
		byOperation, "Bytes of response bodies.", nil},
	{MetricInFlight, "llm_server_requests_in_flight", "llm.server.requests_in_flight", KindGauge, "{request}",
		byOperation, "Requests being served now.", nil},
	{MetricWaiting, "llm_server_requests_waiting", "llm.server.requests_waiting", KindGauge, "{request}",
		byModel, "Requests waiting to be scheduled now.", nil},
	{MetricRunning, "llm_server_requests_running", "llm.server.requests_running", KindGauge, "{request}",
		byModel, "Requests that the engine is working on now.", nil},
	{MetricKVCacheUsage, "llm_server_kv_cache_usage_ratio", "llm.server.kv_cache_usage", KindGauge, "1",
		byModel, "Share of the KV cache in use.", nil},
	{MetricPreemptions, "llm_server_preemptions_total", "llm.server.preemptions", KindCounter, "{request}",
		byModel, "Requests put back into the queue after they had been scheduled.", nil},
	{MetricPrefixCacheQueries, "llm_server_prefix_cache_queries_total", "llm.server.prefix_cache_queries", KindCounter, "{token}",
		byModel, "Prompt tokens looked up in the prefix cache.", nil},
	{MetricPrefixCacheHits, "llm_server_prefix_cache_hits_total", "llm.server.prefix_cache_hits", KindCounter, "{token}",
		byModel, "Prompt tokens found in the prefix cache.", nil},
	{MetricModelInfo, "llm_server_model_info", "llm.server.model.info", KindGauge, "1",
		[]string{"model", "version", "checkpoint", "commit"}, "What is being served; always 1.", nil},
	{MetricSLO, "llm_server_slo_total", "llm.server.slo", KindCounter, "{request}",
		[]string{"model", "objective", "result"}, "Requests that met or missed an objective.", nil},
	{MetricSeriesOverflow, "llm_server_series_overflow_total", "llm.server.series_overflow", KindCounter, "1",
		byKind, "Label values that were replaced by \"other\" to bound the number of series.", nil},
	{MetricParseErrors, "llm_server_parse_errors_total", "llm.server.parse_errors", KindCounter, "1",
		byKind, "Events that could not be read whole, and times that went backwards.", nil},
	{MetricCallbackPanics, "llm_server_callback_panics_total", "llm.server.callback_panics", KindCounter, "1",
		nil, "Panics of callbacks and sinks that were recovered.", nil},
	{MetricOverhead, "llm_server_observe_overhead_seconds", "", KindHistogram, "s",
		nil, "Time a request spent in its own measurement.", overheadBuckets},
}

// Metrics returns the serving table, one row a metric, ordered by ID: the names
// under which every sink exports them. The caller owns the result.
func Metrics() []Metric {
	t := slices.Clone(metricTable[:])
	for i := range t {
		t[i].Labels = slices.Clone(t[i].Labels)
		t[i].Buckets = slices.Clone(t[i].Buckets)
	}
	return t
}
