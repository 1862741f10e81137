// Package observeotel exports what package observe measures to OpenTelemetry: the
// metrics of the GenAI semantic conventions, those that the conventions lack, and
// spans. It uses the API only; the SDK, its readers and exporters are the
// program's choice.
//
//	otel, err := observeotel.NewServing(observeotel.ServingConfig{
//		MeterProvider:  meters, // of go.opentelemetry.io/otel/sdk/metric, or otel.GetMeterProvider()
//		TracerProvider: traces,
//	})
//	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{otel}})
//	mux.Handle("POST /v1/chat/completions", rec.Middleware(chat))
//
// Wrap otelhttp around the middleware, not inside it: then the request's span is
// there to be annotated. A [Serving] may stand beside an observeprom.Serving in
// the same Recorder; both export the same counts.
//
// # The other parts
//
// [RegisterTraining], [RegisterQuality] and [RegisterResource] export what the tables
// of training.Metrics, quality.Metrics and resource.OTelMetrics name, with the
// attributes of the tables, until their stop is called. [TraceContext] gives ecslog the
// span of a line. They are read at each collection; only the durations of
// training steps are recorded one by one.
//
// # Metrics
//
// Histograms in seconds, with exactly the boundaries of the conventions:
//
//	gen_ai.server.request.duration        operation, provider, model; error.type; stream if asked for
//	gen_ai.server.time_to_first_token     operation, provider, model; error.type
//	gen_ai.server.time_per_output_token   operation, provider, model
//
// Tokens, by [Semconv]:
//
//	SemconvV1_41       gen_ai.client.token.usage  histogram, by gen_ai.token.type input and output
//	SemconvInference   gen_ai.client.inference.usage.input_tokens, .output_tokens,
//	                   .cache_read.input_tokens, .cache_write.input_tokens,
//	                   .reasoning.output_tokens  counters, gen_ai.token.modality is unknown
//	                   gen_ai.client.inference.operation.input_tokens, .output_tokens
//	                   histograms; a failed operation records what is known, else 0
//	SemconvBoth        all of these
//
// A histogram of v1.41 has no sample where the count is not known. All other names
// are the same in both: the OTel names of [observe.Metrics], which are
// llm.server.requests, .finish, .tokens, .response_bytes, .slo, .preemptions,
// .prefix_cache_queries, .prefix_cache_hits, .series_overflow, .parse_errors and
// .callback_panics (counters), .requests_in_flight, .requests_waiting,
// .requests_running and .model.info (up-down counters), .kv_cache_usage (gauge),
// .time_to_first_byte, .time_to_first_content, .queue.duration, .prefill.duration
// and .decode.duration (histograms with the buckets of observe.Metrics).
//
// Inter-token latency has no convention, and a histogram of OpenTelemetry takes
// one value a call. So gaps are counted here, and exported as two counters:
//
//	llm.server.inter_token_gaps   gaps of at most le seconds, cumulative, le up to +Inf
//	llm.server.inter_token_time   their sum in seconds
//
// which Prometheus reads as it reads a histogram:
//
//	histogram_quantile(0.99, sum by (le) (rate(llm_server_inter_token_gaps_total[5m])))
//
// ServingConfig.ITLHistogram adds llm.server.inter_token_latency.
//
// # Attributes
//
// Labels of Prometheus become attributes; the last column is what OpenTelemetry's
// Prometheus exporter makes of them again, with the same metric names:
//
//	model        gen_ai.request.model    gen_ai_request_model   absent for "unknown"
//	operation    gen_ai.operation.name   gen_ai_operation_name
//	stream       gen_ai.request.stream   gen_ai_request_stream  a boolean
//	error_type   error.type              error_type             absent on success
//	le, priority, result, outcome, code, reason, type, objective, kind, version,
//	checkpoint, commit: the same name; absent if empty
//
// Metrics of gen_ai also have gen_ai.provider.name, and server.address and
// server.port as configured. The response model, the route and the Host header
// are no attributes of metrics: clients could choose how many series there are.
//
// # Spans
//
// [SpanAnnotate] writes to the span of the request's context if it records; else,
// and with [SpanChild], there is a span "{operation} {model}" of kind INTERNAL
// from arrival to end. It has, as far as they are known: gen_ai.operation.name,
// gen_ai.provider.name, gen_ai.request.model (as asked for, at most 256 bytes),
// gen_ai.request.stream, gen_ai.response.model, gen_ai.response.finish_reasons,
// gen_ai.response.time_to_first_chunk, gen_ai.usage.input_tokens, .output_tokens,
// .cache_read.input_tokens, .cache_creation.input_tokens (SemconvInference:
// .cache_write.input_tokens), .reasoning.output_tokens, error.type, server.address
// and .port, llm.server.time_to_first_token, llm.server.outcome. The status is
// Error for panic, stream_error, timeout, aborted and server_error. Messages,
// prompts and texts of errors are never recorded. Histograms get the context of
// that span: exemplars of the SDK point to it.
//
// # Errors
//
// [NewServing] joins all faults. After that nothing fails: a provider that panics
// is recovered and counted by the Recorder in llm.server.callback_panics, and the
// counters of the request are kept.
//
// # Concurrency
//
// A Serving may be used from any goroutine and by several Recorders: equal
// attribute sets add up, KV usage is the mean. It starts no goroutine and holds no
// lock while it is collected. Close it only if the MeterProvider outlives it.
//
// # Cost
//
// A stream costs seven Records (duration, first token, first byte, time per output
// token, decode, input, output), an answer that is not streamed four, more where
// the engine marks queue and prefill or the model reasons. Nothing is called for a
// token: 64 gaps cost one pass over 21 counters. Counters and gauges are atomics
// read at collection. Attribute sets are made once, so metrics allocate nothing a
// request after the first of its kind; an annotated span allocates 3 times, a
// child 13 times, with the SDK.
//
// # Limitations
//
//   - The SDK keeps 2000 attribute sets an instrument by default, the rest in one
//     overflow set. llm.server.inter_token_gaps has 21 for each model and
//     operation: with more than 95 of these, raise the limit with
//     WithCardinalityLimit of the SDK, or lower observe.Config.MaxModels.
//   - traceparent headers are read by otelhttp or a propagator outside, not here.
//   - Two Recorders around one request annotate the same span; SpanChild keeps
//     them apart.
//   - The conventions are in development. SemconvInference follows an unreleased
//     state of semantic-conventions-genai.
//   - A gap has no exemplar, nor has a counter.
//
// # Sources
//
// OpenTelemetry semantic conventions v1.41, GenAI metrics and spans;
// semantic-conventions-genai (schema gen-ai/1.42.0), token metrics: modality
// unknown where a provider does not tell, 0 for operations that failed. An info
// metric is an up-down counter by the specification's Prometheus compatibility;
// as a gauge of unit 1 its name would end in _ratio there. vLLM and SGLang call
// gaps between tokens inter-token latency.
package observeotel
