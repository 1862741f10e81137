package observetest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/calmops/calm/observe"
)

// ledger is what a sink must export, made from what the Recorder says of the
// requests: a Reading for each metric and label set.
type ledger struct {
	table []observe.Metric
	rows  []map[string]*row // by MetricID, then by the label values joined
}

// row is one series.
type row struct {
	labels map[string]string
	Reading
}

func newLedger() *ledger {
	l := &ledger{table: observe.Metrics()}
	l.rows = make([]map[string]*row, len(l.table))
	for i := range l.rows {
		l.rows[i] = make(map[string]*row)
	}
	return l
}

// add adds to one series; values are those of the table's labels, in order.
func (l *ledger) add(id observe.MetricID, count uint64, sum float64, values ...string) {
	r := l.row(id, values)
	r.Count += count
	r.Sum += sum
}

// set gives one series its value, however often it is said.
func (l *ledger) set(id observe.MetricID, sum float64, values ...string) { l.row(id, values).Sum = sum }

func (l *ledger) row(id observe.MetricID, values []string) *row {
	key := strings.Join(values, "\x00")
	r := l.rows[id][key]
	if r == nil {
		names := l.table[id].Labels
		r = &row{labels: make(map[string]string, len(names))}
		for i, name := range names {
			r.labels[name] = values[i]
		}
		l.rows[id][key] = r
	}
	return r
}

// read adds up the series that have the given labels, as a Harness does.
func (l *ledger) read(id observe.MetricID, labels map[string]string) (sum Reading) {
	for _, key := range slices.Sorted(maps.Keys(l.rows[id])) {
		r := l.rows[id][key]
		if matches(r.labels, labels) {
			sum.Count += r.Count
			sum.Sum += r.Sum
		}
	}
	return sum
}

func matches(have, want map[string]string) bool {
	for name, value := range want {
		if have[name] != value {
			return false
		}
	}
	return true
}

// request adds a finished request, by the rules of observe's documentation.
func (l *ledger) request(r *observe.RequestStats) {
	model, op, stream := r.Model, string(r.Operation), strconv.FormatBool(r.Stream)
	l.add(observe.MetricRequests, 0, 1, model, op, stream, r.Outcome.String(), r.Code)
	l.add(observe.MetricRequestDuration, 1, r.Duration.Seconds(), model, op, stream, r.ErrorType)
	l.add(observe.MetricResponseBytes, 0, float64(r.ResponseBytes), model, op)
	if r.Has(observe.FieldTTFT) {
		l.add(observe.MetricTimeToFirstToken, 1, r.TTFT.Seconds(), model, op, r.ErrorType)
	}
	if r.Has(observe.FieldTTFB) {
		l.add(observe.MetricTimeToFirstByte, 1, r.TTFB.Seconds(), model, op)
	}
	if r.Reasoned && r.Has(observe.FieldFirstContent) {
		l.add(observe.MetricTimeToFirstContent, 1, r.FirstContent.Seconds(), model, op)
	}
	if r.Has(observe.FieldTPOT) {
		l.add(observe.MetricTimePerOutputToken, 1, r.TPOT.Seconds(), model, op)
	}
	if r.Gaps > 0 {
		l.add(observe.MetricInterTokenLatency, uint64(r.Gaps), r.GapSum.Seconds(), model, op)
	}
	if r.Has(observe.FieldQueue) {
		result := "scheduled"
		if r.Abandoned {
			result = "abandoned"
		}
		l.add(observe.MetricQueueDuration, 1, r.Queue.Seconds(), model, r.Priority, result)
	}
	if r.Has(observe.FieldPrefill) {
		l.add(observe.MetricPrefillDuration, 1, r.Prefill.Seconds(), model)
	}
	if r.Has(observe.FieldDecode) && r.Outcome == observe.OutcomeOK {
		l.add(observe.MetricDecodeDuration, 1, r.Decode.Seconds(), model)
	}
	l.tokens(r)
	if r.FinishReason != "" {
		l.add(observe.MetricFinish, 0, 1, model, r.FinishReason)
	}
	for objective, result := range map[string]observe.SLOResult{"ttft": r.SLO.TTFT, "tpot": r.SLO.TPOT, "duration": r.SLO.Duration} {
		if result != observe.SLONotCounted {
			l.add(observe.MetricSLO, 0, 1, model, objective, result.String())
		}
	}
	if r.Overhead > 0 {
		l.add(observe.MetricOverhead, 1, r.Overhead.Seconds())
	}
}

// tokens adds the token counts that are known.
func (l *ledger) tokens(r *observe.RequestStats) {
	for _, c := range []struct {
		source observe.TokenSource
		kind   string
		n      int64
		always bool
	}{
		{r.InputSource, "input", r.Usage.Input, true},
		{r.InputSource, "cached_input", r.Usage.CachedInput, false},
		{r.InputSource, "cache_write_input", r.Usage.CacheWriteInput, false},
		{r.OutputSource, "output", r.Usage.Output, true},
		{r.OutputSource, "reasoning", r.Usage.ReasoningOutput, false},
	} {
		if c.source != observe.TokensUnknown && (c.always || c.n > 0) {
			l.add(observe.MetricTokens, 0, float64(c.n), r.Model, c.kind)
		}
	}
	if r.InputSource != observe.TokensUnknown {
		l.add(observe.MetricRequestInputTokens, 1, float64(r.Usage.Input), r.Model)
	}
	if r.OutputSource != observe.TokensUnknown {
		l.add(observe.MetricRequestOutputTokens, 1, float64(r.Usage.Output), r.Model)
	}
}

// recorder adds what a sink reads from a Recorder when it is collected.
func (l *ledger) recorder(r *observe.Recorder) {
	for live := range r.Live() {
		l.add(observe.MetricInFlight, 0, float64(live.InFlight), live.Model, string(live.Operation))
	}
	for e := range r.Engines() {
		l.add(observe.MetricWaiting, 0, float64(e.Waiting), e.Model)
		l.add(observe.MetricRunning, 0, float64(e.Running), e.Model)
		if e.HasKVUsage {
			l.add(observe.MetricKVCacheUsage, 0, e.KVUsage, e.Model)
		}
		l.add(observe.MetricPreemptions, 0, float64(e.Preemptions), e.Model)
		l.add(observe.MetricPrefixCacheQueries, 0, float64(e.PrefixQueries), e.Model)
		l.add(observe.MetricPrefixCacheHits, 0, float64(e.PrefixHits), e.Model)
	}
	for s := range r.Served() {
		l.set(observe.MetricModelInfo, 1, s.Model, s.Version, s.Checkpoint, s.Commit)
	}
	n := r.Losses()
	l.add(observe.MetricSeriesOverflow, 0, float64(n.ModelOverflow), "model")
	l.add(observe.MetricSeriesOverflow, 0, float64(n.LabelOverflow), "label")
	l.add(observe.MetricParseErrors, 0, float64(n.BadEvents), "json")
	l.add(observe.MetricParseErrors, 0, float64(n.TruncatedEvents), "truncated")
	l.add(observe.MetricParseErrors, 0, float64(n.ClockSteps), "clock_step")
	l.add(observe.MetricCallbackPanics, 0, float64(n.CallbackPanics))
}
