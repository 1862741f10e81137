// Package observeprom exports what package observe and its parts measure to
// Prometheus.
//
// A [Serving] is an observe.Sink for Recorders and a prometheus.Collector for a
// registry. Everything is there for a scrape as soon as it is known: gaps between
// tokens while a stream runs, what is in flight at the moment of the scrape, and
// the rest at the end of a request.
//
// # Quick start
//
//	reg := prometheus.NewRegistry()
//	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
//	if err != nil {
//		return err
//	}
//	rec, err := observe.New(observe.Config{
//		Sinks: []observe.Sink{prom},
//		SLO:   observe.SLO{TTFT: 500 * time.Millisecond},
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("POST /v1/chat/completions", rec.Middleware(chat))
//	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
//
// The other parts of observe are read at each scrape. Each has a table of its
// metrics, and a constructor here:
//
//	NewTraining    training.Recorder, by run and rank    training.Metrics
//	NewQuality     quality.Monitor                       quality.Metrics
//	NewResource    resource.Reader                       resource.Metrics
//	NewLog         ecslog.Handler                        ecslog.Metrics
//	NewCost        cost.Account                          cost.Metrics
//
// Their names, labels and help are those of the tables and nothing else; all can be
// registered together.
//
// Exemplars need OpenMetrics on both sides; a Prometheus server keeps them with
// --enable-feature=exemplar-storage.
//
// # Metrics
//
// Names, labels, help and default buckets of a Serving are the table of [observe.Metrics];
// package observe defines the quantities. In short:
//
//	gen_ai_server_request_duration_seconds       histogram  model, operation, stream, error_type
//	gen_ai_server_time_to_first_token_seconds    histogram  model, operation, error_type
//	gen_ai_server_time_per_output_token_seconds  histogram  model, operation (outcome ok)
//	llm_server_inter_token_latency_seconds       histogram  model, operation (every gap of every stream)
//	llm_server_time_to_first_byte_seconds        histogram  model, operation
//	llm_server_time_to_first_content_seconds     histogram  model, operation (streams that reasoned first)
//	llm_server_queue_duration_seconds            histogram  model, priority, result
//	llm_server_prefill_duration_seconds          histogram  model
//	llm_server_decode_duration_seconds           histogram  model (outcome ok)
//	llm_server_request_input_tokens              histogram  model
//	llm_server_request_output_tokens             histogram  model
//	llm_server_requests_total                    counter    model, operation, stream, outcome, code
//	llm_server_finish_total                      counter    model, reason
//	llm_server_tokens_total                      counter    model, type
//	llm_server_response_bytes_total              counter    model, operation
//	llm_server_requests_in_flight                gauge      model, operation
//	llm_server_requests_waiting, _running        gauge      model
//	llm_server_kv_cache_usage_ratio              gauge      model (once an engine has set it)
//	llm_server_preemptions_total                 counter    model
//	llm_server_prefix_cache_queries_total, _hits_total  counter  model
//	llm_server_model_info                        gauge = 1  model, version, checkpoint, commit
//	llm_server_slo_total                         counter    model, objective, result
//	llm_server_series_overflow_total             counter    kind: model, label
//	llm_server_parse_errors_total                counter    kind: json, truncated, clock_step
//	llm_server_callback_panics_total             counter
//	llm_server_observe_overhead_seconds          histogram  (with observe.Config.MeasureSelf)
//
// Labels:
//
//   - model: a bounded set of names, "unknown" or "other". Names come from clients;
//     the Recorder sees to the bound, and series_overflow counts what it cost.
//   - operation: chat, text_completion, embeddings, generate_content, other, or up
//     to 16 words of the application.
//   - stream: true if the answer was SSE, NDJSON or marked with Request.Token.
//   - outcome: ok, client_error, server_error, client_disconnect, timeout, aborted,
//     panic, stream_error, hijacked; observe defines each.
//   - error_type: empty on success, else the status of an HTTP error, the outcome,
//     or the word of Request.SetErrorType. The success series of the OpenTelemetry
//     conventions is the one with error_type="".
//   - code: the status that was sent, "none", "other" outside 100 to 599, or the
//     word of a protocol that has other codes.
//   - type: input, output, and cached_input, cache_write_input, reasoning, which are
//     parts of the first two: never sum over type.
//   - result: scheduled or abandoned (queue), met or missed (slo); objective: ttft,
//     tpot, duration. priority: that of RequestInfo, 16 values, then "other".
//
// The series of a label set exist at zero from its first request on, or from the
// start for the models of observe.Config.Models, so that rate() sees the first
// increase. Variants beside it (an error, a finish reason, a priority) appear when
// they first occur.
//
// # Queries
//
//	# p99 time to first token of successful streams
//	histogram_quantile(0.99, sum by (le, model) (rate(gen_ai_server_time_to_first_token_seconds_bucket{error_type=""}[5m])))
//	# p99 inter-token latency
//	histogram_quantile(0.99, sum by (le, model) (rate(llm_server_inter_token_latency_seconds_bucket[5m])))
//	# attainment of each objective over an hour
//	sum by (model, objective) (rate(llm_server_slo_total{result="met"}[1h]))
//	  / sum by (model, objective) (rate(llm_server_slo_total[1h]))
//	# output tokens a second
//	sum by (model) (rate(llm_server_tokens_total{type="output"}[1m]))
//	# share of requests that the server failed
//	sum by (model) (rate(llm_server_requests_total{outcome=~"server_error|panic|aborted|timeout|stream_error"}[5m]))
//	  / sum by (model) (rate(llm_server_requests_total[5m]))
//	# prefix cache hit ratio
//	rate(llm_server_prefix_cache_hits_total[5m]) / rate(llm_server_prefix_cache_queries_total[5m])
//	# any of them by version: multiply with the info gauge
//	sum by (model) (rate(llm_server_requests_total[5m])) * on (model) group_left (version) llm_server_model_info
//
// # Errors
//
// NewServing reports every fault of its Config at once, and registers nothing
// then. After that nothing fails: a user's Exemplar that panics costs the exemplar
// and counts in llm_server_callback_panics_total, labels that cannot be an
// exemplar are left out.
//
// # Concurrency and cost
//
// All methods may be called from many goroutines. A request looks up no labels:
// handles are opened once a label set, variants are kept behind a copy-on-write
// pointer. Once a kind of request was seen, it and each merge of 64 gaps allocate
// nothing; a test holds that. An observation costs about 15 ns, with native
// histograms about 35; an exemplar about 300 ns and 7 allocations, only for the
// requests that have one. A scrape copies the list of series first and sends
// without holding a lock. A model with one operation has about 240 lines of text,
// nearly all of them the 14 to 20 buckets of each of 11 histograms; an error type
// adds up to 42, a priority 17. Buckets makes fewer.
//
// # Limitations
//
//   - The provider of observe.Labels is no label here: label sets that differ only
//     by it share their series.
//   - A Serving on several Recorders adds up equal label sets. A share cannot be
//     added: llm_server_kv_cache_usage_ratio is the mean of the engines that set it.
//     A Recorder stays attached for the life of the Serving.
//   - Token counters move at the end of a request; inter-token latency every 64
//     gaps. A stream without usage moves no token counter.
//   - Metrics read at the scrape (gauges, engine counters, losses) carry no creation
//     time in OpenMetrics.
//   - A Prometheus server that scrapes native histograms drops the classic form of
//     the same metrics, unless it is told to keep both.
//   - Other label names than those of the table, and other metric names, are left to
//     relabelling.
//
// # Sources
//
// The names that begin with gen_ai_server_ are those of the OpenTelemetry
// semantic conventions for generative AI, as the OpenTelemetry exporter for
// Prometheus writes them. Buckets: the bounds of the conventions and those that
// vLLM and SGLang added in practice; reasons stand in package observe. Native
// histograms: https://prometheus.io/docs/specs/native_histograms/. Exemplars:
// https://prometheus.io/docs/specs/om/open_metrics_spec/.
package observeprom
