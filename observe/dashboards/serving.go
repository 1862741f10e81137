package dashboards

// failed are the outcomes that the server is to blame for.
const failed = `outcome=~"server_error|timeout|panic|aborted|stream_error"`

const noTraffic = "No traffic"

func servingBoard(h histograms) board {
	const requests, tokens = "llm_server_requests_total", "llm_server_tokens_total"
	const ttft, itl, duration = "gen_ai_server_time_to_first_token_seconds", "llm_server_inter_token_latency_seconds", "gen_ai_server_request_duration_seconds"
	errors := share(orNone(rate(requests+"{"+failed+"}")), rate(requests))
	return board{
		name: "serving", title: "Serving", about: "Model servers, measured from inside by calm/observe.",
		anchor:  "llm_server_requests_in_flight",
		vars:    []variable{{name: "model", label: "Model"}},
		choices: []choice{{"objective", "Objective", []string{"0.9", "0.95", "0.99", "0.995", "0.999"}, 2}},
		rows: []row{
			{title: "Now", panels: []panel{
				{title: "Requests a second", kind: stat, unit: "reqps", empty: noTraffic, about: "Finished requests, whatever became of them.",
					q: []query{{expr: rate(requests)}}},
				{title: "Input tokens a second", kind: stat, unit: "short", empty: noTraffic, about: "Prompt tokens, cached ones included, of finished requests.",
					q: []query{{expr: rate(tokens + `{type="input"}`)}}},
				{title: "Output tokens a second", kind: stat, unit: "short", empty: noTraffic, about: "Generated tokens, reasoning included, of finished requests.",
					q: []query{{expr: rate(tokens + `{type="output"}`)}}},
				{title: "Errors", kind: stat, unit: "percentunit", empty: noTraffic, limits: []limit{{.01, "orange"}, {.05, "red"}},
					about: "Share of requests that failed by the server's fault. Clients that leave, and requests that were wrong, are not counted.", q: []query{{expr: errors}}},
				{title: "TTFT p95", kind: stat, unit: "s", empty: noTraffic, about: "Time to first token, queueing included: 95 % of streams had theirs sooner.",
					q: []query{{expr: h.quantile(.95, ttft)}}},
				{title: "ITL p95", kind: stat, unit: "s", empty: noTraffic, about: "Inter-token latency, every gap of every stream: 95 % were shorter.",
					q: []query{{expr: h.quantile(.95, itl)}}},
				{title: "Duration p95", kind: stat, unit: "s", empty: noTraffic, about: "From arrival to the end of the handler: 95 % were shorter.",
					q: []query{{expr: h.quantile(.95, duration)}}},
				{title: "In flight", kind: stat, unit: "short", about: "Requests that are being served now, waiting ones included.",
					q: []query{{expr: sum("llm_server_requests_in_flight")}}},
				{title: "Waiting", kind: stat, unit: "short", about: "Requests that wait to be scheduled now.",
					q: []query{{expr: sum("llm_server_requests_waiting")}}},
				{title: "KV cache", kind: stat, unit: "percentunit", empty: "Not set", limits: []limit{{.9, "orange"}, {.95, "red"}},
					about: "The fullest KV cache. Engines that do not set it have none.", q: []query{{expr: "max(llm_server_kv_cache_usage_ratio)"}}},
				{title: "Targets down", kind: stat, unit: "short", limits: []limit{{1, "red"}}, about: "Instances that Prometheus cannot scrape, of jobs that served within a day.",
					q: []query{{expr: "count(up == 0 and on (job) group by (job) (last_over_time(llm_server_requests_in_flight[1d]))) or vector(0)", now: true}}},
				{title: "Versions served", kind: stat, unit: "short", about: "Different models, versions and checkpoints. More than you deployed: a rollout is under way, or has stopped half way.",
					q: []query{{expr: "count(count by (model, version, checkpoint) (llm_server_model_info))"}}},
			}},
			{title: "Latency", panels: []panel{
				{title: "Time to first token", unit: "s", empty: noTraffic, about: "From arrival to the first token event of a stream, queueing included.", q: h.three(ttft)},
				{title: "Inter-token latency", unit: "s", empty: noTraffic, about: "Gaps between token events, one value a gap: stalls show here, not in the mean per token.", q: h.three(itl)},
				{title: "Time per output token", unit: "s", empty: noTraffic, about: "Mean gap of a stream, one value a successful stream.", q: h.three("gen_ai_server_time_per_output_token_seconds")},
				{title: "Duration", unit: "s", empty: noTraffic, about: "From arrival to the end of the handler.", q: h.three(duration)},
				{title: "Queue time", unit: "s", empty: noTraffic, about: "From queued to scheduled, or to the end of a request that never was. If it rises and prefill does not, there are too few slots.", q: h.three("llm_server_queue_duration_seconds")},
				{title: "Prefill", unit: "s", empty: noTraffic, about: "From scheduled to the first token: the price of long prompts.", q: h.three("llm_server_prefill_duration_seconds")},
				{title: "Decode", unit: "s", empty: noTraffic, about: "From the first token to the last.", q: h.three("llm_server_decode_duration_seconds")},
				{title: "First byte", unit: "s", empty: noTraffic, about: "From arrival to the first byte or flush, whatever it holds.", q: h.three("llm_server_time_to_first_byte_seconds")},
				{title: "First content after reasoning", unit: "s", empty: "No reasoning", about: "From arrival to the first token that is no reasoning, of streams that reasoned first.", q: h.three("llm_server_time_to_first_content_seconds")},
				{title: "TTFT, every stream", kind: heat, unit: "s", empty: noTraffic, about: "How many streams had their first token when. Two bands are two kinds of requests, or two kinds of servers.", q: h.heat(ttft)},
				{title: "Duration, every request", kind: heat, unit: "s", empty: noTraffic, about: "How many requests took how long.", q: h.heat(duration)},
			}},
			{title: "Traffic", panels: []panel{
				{title: "Requests by outcome", kind: stacked, unit: "reqps", empty: noTraffic, about: "How requests ended.", q: []query{{expr: rate(requests, "outcome"), legend: "{{outcome}}"}}},
				{title: "Requests by model", kind: stacked, unit: "reqps", empty: noTraffic, about: "Models beyond the bound read other.", q: []query{{expr: rate(requests, "model"), legend: "{{model}}"}}},
				{title: "Finish reasons", kind: stacked, unit: "reqps", empty: noTraffic, about: "Why generations ended. Many of length: the limit cuts answers short.", q: []query{{expr: rate("llm_server_finish_total", "reason"), legend: "{{reason}}"}}},
				{title: "Tokens by type", unit: "short", empty: noTraffic, about: "A second. Cached input and cache writes are parts of input, reasoning of output.", q: []query{{expr: rate(tokens, "type"), legend: "{{type}}"}}},
				{title: "Cached share", unit: "percentunit", empty: noTraffic, between: [2]float64{0, 1}, about: "Of input tokens, by what clients are told; and of the prompt tokens that the engine looked up in its prefix cache.", q: []query{
					{expr: share(orNone(rate(tokens+`{type="cached_input"}`)), rate(tokens+`{type="input"}`)), legend: "input"},
					{expr: share(rate("llm_server_prefix_cache_hits_total"), rate("llm_server_prefix_cache_queries_total")), legend: "prefix cache"}}},
				{title: "KV cache usage", unit: "percentunit", empty: "Not set", between: [2]float64{0, 1}, limits: []limit{{.95, "red"}}, about: "Full caches preempt requests.", q: []query{{expr: "max by (instance, model) (llm_server_kv_cache_usage_ratio)", legend: "{{instance}} {{model}}"}}},
				{title: "Input length", kind: heat, unit: "short", empty: noTraffic, about: "Input tokens of a request.", q: h.heat("llm_server_request_input_tokens")},
				{title: "Output length", kind: heat, unit: "short", empty: noTraffic, about: "Output tokens of a request.", q: h.heat("llm_server_request_output_tokens")},
				{title: "Work in flight", unit: "short", about: "Requests being served, running in the engine, and waiting.", q: []query{
					{expr: sum("llm_server_requests_in_flight"), legend: "in flight"},
					{expr: sum("llm_server_requests_running"), legend: "running"},
					{expr: sum("llm_server_requests_waiting"), legend: "waiting"}}},
				{title: "Streams cut short", unit: "reqps", empty: noTraffic, about: "Streams that did not come to their end, by who or what ended them.", q: []query{
					{expr: rate(requests+`{stream="true",outcome!~"ok|hijacked"}`, "outcome"), legend: "{{outcome}}"}}},
				{title: "Errors by status", unit: "reqps", empty: "No errors", about: "Requests of any outcome but ok, by the status that was sent. A stream that fails after its header has 200.", q: []query{
					{expr: rate(requests+`{outcome!~"ok|hijacked"}`, "code"), legend: "{{code}}"}}},
				{title: "Preemptions", wide: 12, unit: "short", empty: "No engine", about: "Requests a second that were put back into the queue after they had been scheduled.", q: []query{{expr: rate("llm_server_preemptions_total", "model"), legend: "{{model}}"}}},
				{title: "Response bytes", wide: 12, unit: "Bps", empty: noTraffic, about: "Bodies of responses.", q: []query{{expr: rate("llm_server_response_bytes_total", "operation"), legend: "{{operation}}"}}},
				{title: "What is served", kind: table, unit: "none", wide: 24, about: "Model, version, checkpoint and the commit of the program, by instance.", q: []query{
					{expr: "sum by (instance, model, version, checkpoint, commit) (llm_server_model_info)"}}},
			}},
			{title: "Error budget", panels: []panel{
				{title: "Budget left, 30 days", kind: stat, unit: "percentunit", empty: noTraffic, high: 8, base: "red", limits: []limit{{0, "orange"}, {.25, "green"}},
					about: "What is left of the share of requests that may fail by the server's fault, 1 - objective, over 30 days. Below 0 it is overspent.",
					q:     []query{{expr: "1 - (" + burn("30d") + ")", now: true}}},
				{title: "Burn rate", unit: "none", empty: noTraffic, wide: 8, limits: []limit{{1, "yellow"}, {6, "orange"}, {14.4, "red"}},
					about: "How many times faster than allowed the budget goes: at 1 it lasts for 30 days. Pages are sent above 14.4 (1 h and 5 min) and 6 (6 h and 30 min).", q: []query{
						{expr: burn("5m"), legend: "5 min"}, {expr: burn("1h"), legend: "1 h"}, {expr: burn("6h"), legend: "6 h"}}},
				{title: "Burn rate now, by window", kind: bars, unit: "none", empty: noTraffic, wide: 6, limits: []limit{{1, "yellow"}, {6, "orange"}, {14.4, "red"}},
					about: "The same over all windows that alerts look at. Above 1 over 3 days the budget will be spent before its period ends.", q: []query{
						{expr: burn("5m"), legend: "5 min"}, {expr: burn("30m"), legend: "30 min"}, {expr: burn("1h"), legend: "1 h"}, {expr: burn("2h"), legend: "2 h"},
						{expr: burn("6h"), legend: "6 h"}, {expr: burn("1d"), legend: "1 d"}, {expr: burn("3d"), legend: "3 d"}}},
				{title: "Objectives met", wide: 6, unit: "percentunit", empty: "No objectives set", between: [2]float64{0, 1}, about: "Attainment: met / (met + missed), for each objective that the program sets.", q: []query{
					{expr: share("sum by (objective) (rate(llm_server_slo_total{result=\"met\"}[$__rate_interval]))", rate("llm_server_slo_total", "objective")), legend: "{{objective}}"}}},
			}},
			{title: "The measurement itself", closed: true, panels: []panel{
				{title: "Label values replaced", wide: 6, unit: "short", about: "A second. Names that became \"other\" to bound the number of series: list the models, or raise the bound.", q: []query{{expr: rate("llm_server_series_overflow_total", "kind"), legend: "{{kind}}"}}},
				{title: "Events not read whole", wide: 6, unit: "short", about: "A second. Events that are not JSON, too long, or out of time.", q: []query{{expr: rate("llm_server_parse_errors_total", "kind"), legend: "{{kind}}"}}},
				{title: "Panics of callbacks", wide: 6, unit: "short", about: "A second. Recovered; the requests were served.", q: []query{{expr: rate("llm_server_callback_panics_total"), legend: "panics"}}},
				{title: "Cost of measuring", wide: 6, unit: "s", empty: "Not measured", about: "Time that a request spends in its own measurement, where observe.Config.MeasureSelf is set.", q: h.three("llm_server_observe_overhead_seconds")},
			}},
		},
	}
}

// burn is the share of requests that failed over the share that may.
func burn(window string) string {
	const requests = "llm_server_requests_total"
	over := func(selector string) string { return "sum(increase(" + selector + "[" + window + "]))" }
	return share(orNone(over(requests+"{"+failed+"}")), over(requests)) + " / (1 - $objective)"
}

func servingAlerts() []alert {
	return []alert{
		{name: "TargetDown", expr: "up == 0", minutes: 5, severity: page,
			summary: "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped.",
			about:   "Prometheus has not reached it for 5 minutes. The process has ended, hangs, or the network between the two is broken."},
		{name: "NoTraffic", expr: "sum by (job) (rate(llm_server_requests_total[10m])) == 0", minutes: 10, severity: ticket, optional: true,
			summary: "{{ $labels.job }} gets no requests.",
			about:   "No request has ended for 20 minutes, although the servers run."},
		{name: "QueueGrowing", expr: "llm_server_requests_waiting > llm_server_requests_running", minutes: 10, severity: ticket,
			summary: "More requests of {{ $labels.model }} wait on {{ $labels.instance }} than run.",
			about:   "{{ $value }} requests have waited for 10 minutes. Load is above what the server can do."},
		{name: "KVCacheFull", expr: "llm_server_kv_cache_usage_ratio > 0.95", minutes: 5, severity: ticket,
			summary: "The KV cache of {{ $labels.model }} on {{ $labels.instance }} is {{ $value | humanizePercentage }} full.",
			about:   "Requests will be preempted, and their prompts computed again."},
		{name: "SeriesOverflow", expr: "increase(llm_server_series_overflow_total[15m]) > 0", severity: ticket,
			summary: "{{ $labels.instance }} replaces names of {{ $labels.kind }} by other.",
			about:   "More different names came than are kept. Either the bound is too low, or a client makes names up."},
	}
}
