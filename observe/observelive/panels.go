package observelive

import (
	"slices"
	"strings"
)

// Forms of a panel beyond the exported Kinds.
const (
	kindInfo  Kind = "info"  // labels of a series that is always 1
	kindState Kind = "state" // the label whose series is 1 now
)

// How the number above a chart is made of its curves.
const (
	headSum   = "sum"   // of all curves
	headMax   = "max"   // of all curves
	headFirst = "first" // the first curve; "=NAME" is the curve of that name
)

// How series of a gauge become one curve.
const (
	combineSum = iota
	combineMean
	combineMax
	combineAge // seconds since the newest of Unix times
)

// A panel is one chart: where its curves come from and how they are drawn.
type panel struct {
	group, title string
	unit         string // empty: from the metric's name
	kind         Kind
	head         string
	unitLabel    string // the label whose value is the unit, an hour: a currency
	empty        string // what an empty chart says
	top          int
	fit          bool // the y axis fits the values instead of starting at 0
	sources      []source
}

// A source is one family of a panel.
type source struct {
	metric string
	by     []string
	all    bool   // by every label: fallback charts
	name   string // of the curve; empty: the values of by
	limit  bool   // drawn as a limit: thin, dashed, without fill

	// Only series whose label is one of only, and none of not, have a place here.
	label     string
	only, not []string

	// Of counters: the span of the rate in seconds, 2 if 0; what it is multiplied by, 1 if 0; a
	// counter whose rise is taken off; and what is divided by: a gauge, or the rise of a counter.
	window     float64
	times      float64
	less, over string
}

// skips reports whether a series has no place in the source.
func (s *source) skips(labels []label) bool {
	if s.label == "" {
		return false
	}
	v := valueOf(labels, s.label)
	return slices.Contains(s.not, v) || len(s.only) > 0 && !slices.Contains(s.only, v)
}

func valueOf(labels []label, name string) string {
	for _, l := range labels {
		if l.name == name {
			return l.value
		}
	}
	return ""
}

// key returns what names the curve that a series belongs to, and its labels.
func (s *source) key(labels []label) (string, []label) {
	kept := labels
	if !s.all {
		kept = make([]label, 0, len(s.by))
		for _, name := range s.by {
			kept = append(kept, label{name, valueOf(labels, name)})
		}
	}
	var b strings.Builder
	for _, l := range kept {
		b.WriteString(l.name)
		b.WriteByte(0xff) // in no valid UTF-8 text
		b.WriteString(l.value)
		b.WriteByte(0xff)
	}
	return b.String(), kept
}

// combine says how the series of a gauge become one curve.
func (s *source) combine() int {
	switch {
	case isTimestamp(s.metric):
		return combineAge
	case strings.HasSuffix(s.metric, "_ratio"):
		return combineMean
	case strings.HasSuffix(s.metric, "_seconds"), strings.HasSuffix(s.metric, "_celsius"):
		return combineMax
	}
	return combineSum
}

func isTimestamp(name string) bool {
	return strings.HasSuffix(name, "_timestamp_seconds") || strings.HasSuffix(name, "_start_time_seconds")
}

// allPanels is the table of the page in its order: what other packages of this module export,
// then the caller's own.
func allPanels(own []Panel) []panel {
	out := slices.Clone(knownPanels)
	for _, p := range own {
		q := panel{
			group: p.Group, title: p.Title, kind: p.Kind, head: headFirst, top: p.Top,
			sources: []source{{metric: p.Metric, by: slices.Clone(p.By)}},
		}
		if q.title == "" {
			q.title = words(p.Metric)
		}
		if q.group == "" {
			q.group = groupOf(p.Metric)
		}
		if q.kind == "" {
			q.kind = KindLine
		}
		if len(p.By) > 0 && q.sources[0].combine() == combineSum {
			q.head = headSum
		}
		out = append(out, q)
	}
	return out
}

// What an empty chart says.
const (
	noRequest = "no request yet"
	noStep    = "no step yet"
	noCost    = "no cost yet"
)

// Spans of rates of what moves in lumps: steps last for seconds, time and cost are booked now and
// then.
const (
	oneMinute   = 60.0
	fiveMinutes = 300.0
)

// notShares are quality scores that do not lie between 0 and 1. Never written.
var notShares = []string{"perplexity", "bleu", "chrf"}

// knownPanels is the table of the page, in its order. Never written.
var knownPanels = []panel{
	{group: "Serving", title: "Model", kind: kindInfo, sources: []source{{metric: "llm_server_model_info", all: true}}},
	{group: "Serving", title: "Requests", unit: "req/s", head: headSum, empty: noRequest, sources: []source{{metric: "llm_server_requests_total", by: []string{"outcome"}}}},
	{group: "Serving", title: "Time to first token", head: headFirst, empty: noRequest, sources: []source{{metric: "gen_ai_server_time_to_first_token_seconds"}}},
	{group: "Serving", title: "Inter-token latency", head: headFirst, empty: noRequest, sources: []source{{metric: "llm_server_inter_token_latency_seconds"}}},
	{group: "Serving", title: "Request duration", head: headFirst, empty: noRequest, sources: []source{{metric: "gen_ai_server_request_duration_seconds"}}},
	{group: "Serving", title: "Tokens", unit: "tok/s", head: "=output", empty: noRequest, sources: []source{{metric: "llm_server_tokens_total", by: []string{"type"}}}},
	{group: "Serving", title: "In flight", unit: "req", kind: KindStep, head: headFirst, sources: []source{
		{metric: "llm_server_requests_in_flight", name: "in flight"},
		{metric: "llm_server_requests_running", name: "running"},
		{metric: "llm_server_requests_waiting", name: "waiting"}}},
	{group: "Serving", title: "Errors", unit: "req/s", head: headSum, empty: "no error", sources: []source{{metric: "llm_server_requests_total", by: []string{"outcome"}, label: "outcome", not: []string{"ok", "hijacked", otherValue}}}},
	{group: "Serving", title: "KV cache", head: headMax, sources: []source{{metric: "llm_server_kv_cache_usage_ratio", by: []string{"model"}}}},

	{group: "Rollout", title: "Weights and share", kind: KindStep, head: headFirst, sources: []source{
		{metric: "rollout_weight_ratio", by: []string{"version"}},
		{metric: "rollout_share_ratio", by: []string{"version"}, name: "share"}}},
	{group: "Rollout", title: "Evidence (ln E)", head: headMax, sources: []source{
		{metric: "rollout_log_evidence", by: []string{"metric", "side"}},
		{metric: "rollout_log_evidence_limit", by: []string{"metric", "side"}, name: "limit", limit: true}}},
	{group: "Rollout", title: "Phase", kind: kindState, sources: []source{{metric: "rollout_phase", all: true}}},

	{group: "Autoscale", title: "Replicas", kind: KindStep, head: "=ready", sources: []source{
		{metric: "autoscale_replicas", by: []string{"state"}},
		{metric: "autoscale_bounds_replicas", by: []string{"bound"}, limit: true}}},
	{group: "Autoscale", title: "Forecast", head: "=point", sources: []source{{metric: "autoscale_forecast_value", by: []string{"bound"}}}},

	{group: "Scheduler", title: "Waiting by tenant", unit: "req", kind: KindStep, head: headSum, sources: []source{{metric: "llm_scheduler_tenant_waiting", by: []string{"tenant"}}}},
	{group: "Scheduler", title: "Waiting by class", unit: "req", kind: KindStep, head: headSum, sources: []source{{metric: "llm_scheduler_waiting", by: []string{"class"}}}},
	{group: "Scheduler", title: "Oldest wait", head: headFirst, sources: []source{{metric: "llm_scheduler_oldest_wait_seconds"}}},

	{group: "GPU", title: "GPU memory", head: headSum, sources: []source{{metric: "gpu_memory_used_bytes", all: true}}},
	{group: "GPU", title: "GPU busy", head: headMax, sources: []source{{metric: "gpu_busy_ratio", all: true}}},
	{group: "GPU", title: "GPU power", head: headSum, sources: []source{{metric: "gpu_power_watts", all: true}}},
	{group: "GPU", title: "GPU temperature", fit: true, head: headMax, sources: []source{{metric: "gpu_temperature_celsius", all: true}}},

	{group: "Training", title: "Loss", fit: true, head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_loss", all: true}}},
	{group: "Training", title: "Gradient norm", head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_grad_norm", all: true}}},
	{group: "Training", title: "Training tokens", unit: "tok/s", head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_tokens_total", name: "tokens", window: oneMinute}}},
	{group: "Training", title: "Model FLOPS utilization", unit: "ratio", head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_model_flops_total", name: "MFU", window: oneMinute, over: "llm_train_peak_flops"}}},
	{group: "Training", title: "Goodput, 5 min", unit: "ratio", head: headFirst, empty: "no time booked yet", sources: []source{{metric: "llm_train_time_seconds_total", name: "goodput", label: "state", only: []string{"step"}, window: fiveMinutes, less: "llm_train_lost_seconds_total", over: "llm_train_time_seconds_total"}}},
	{group: "Training", title: "Where the time goes", unit: "ratio", kind: KindStack, head: "=step", empty: "no time booked yet", sources: []source{{metric: "llm_train_time_seconds_total", by: []string{"state"}, window: oneMinute, over: "llm_train_time_seconds_total"}}},
	{group: "Training", title: "Step", unit: "", kind: KindStep, head: headFirst, sources: []source{{metric: "llm_train_step", all: true}}},
	{group: "Training", title: "Step time", head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_step_seconds"}}},
	{group: "Training", title: "Learning rate", head: headFirst, empty: noStep, sources: []source{{metric: "llm_train_learning_rate", all: true}}},

	{group: "Quality", title: "Quality scores", head: headFirst, sources: []source{{metric: "llm_quality_score", all: true, label: "metric", not: notShares}}},
	{group: "Quality", title: "BLEU and chrF", head: headFirst, sources: []source{{metric: "llm_quality_score", all: true, label: "metric", only: []string{"bleu", "chrf"}}}},
	{group: "Quality", title: "Perplexity", fit: true, head: headFirst, sources: []source{{metric: "llm_quality_score", all: true, label: "metric", only: []string{"perplexity"}}}},
	{group: "Quality", title: "Drift", head: headMax, empty: "not compared yet", sources: []source{{metric: "llm_quality_distance", all: true}}},
	{group: "Quality", title: "Drift warnings", kind: KindStep, head: headSum, empty: "no warning", sources: []source{{metric: "llm_quality_drift_warning", by: []string{"task"}}}},

	{group: "Cost", title: "Cost per hour", kind: KindStack, head: headSum, unitLabel: "currency", empty: noCost, sources: []source{{metric: "llm_cost_total", all: true, window: fiveMinutes, times: 3600}}},
	{group: "Cost", title: "Cost per hour by tenant", head: headSum, unitLabel: "currency", empty: noCost, sources: []source{{metric: "llm_cost_tenant_total", all: true, window: fiveMinutes, times: 3600}}},

	{group: "Container", title: "CPU", unit: "cores", head: headFirst, sources: []source{
		{metric: "cgroup_cpu_usage_seconds_total", name: "used"},
		{metric: "cgroup_cpu_limit_cores", name: "limit", limit: true}}},
	{group: "Container", title: "Memory", head: headFirst, sources: []source{
		{metric: "cgroup_memory_working_set_bytes", name: "working set"},
		{metric: "cgroup_memory_usage_bytes", name: "usage"},
		{metric: "cgroup_memory_high_bytes", name: "high", limit: true},
		{metric: "cgroup_memory_limit_bytes", name: "limit", limit: true}}},
	{group: "Container", title: "CPU throttled", unit: "ratio", head: headFirst, sources: []source{{metric: "cgroup_cpu_throttled_seconds_total", name: "throttled"}}},
	{group: "Container", title: "Pressure", unit: "ratio", head: headMax, sources: []source{{metric: "cgroup_pressure_stall_seconds_total", by: []string{"resource", "kind"}}}},

	{group: "Health", title: "Incidents open", kind: KindStep, head: headSum, empty: "no incident", sources: []source{{metric: "health_incidents_open", by: []string{"severity"}}}},
	{group: "Health", title: "Checks", kind: kindState, sources: []source{{metric: "health_check_status", all: true}}},
}
