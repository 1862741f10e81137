package observeotel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Bounds as the conventions and the table of observe give them.
const (
	conventionDuration   = ".01 .02 .04 .08 .16 .32 .64 1.28 2.56 5.12 10.24 20.48 40.96 81.92"
	conventionFirstToken = ".001 .005 .01 .02 .04 .06 .08 .1 .25 .5 .75 1 2.5 5 7.5 10"
	conventionPerToken   = ".01 .025 .05 .075 .1 .15 .2 .3 .4 .5 .75 1 2.5"
	conventionTokens     = "1 4 16 64 256 1024 4096 16384 65536 262144 1048576 4194304 16777216 67108864"
	ownFirst             = conventionFirstToken + " 20 40 80 160"
	ownDuration          = conventionDuration + " 163.84 327.68"
	ownQueue             = ".001 .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10 30 60"
	ownGaps              = ".001 .0025 .005 .0075 .01 .015 .02 .025 .03 .04 .05 .075 .1 .15 .2 .3 .5 .75 1 2.5"
)

// instrument is what an exporter says of an instrument.
type instrument struct{ name, kind, unit, bounds string }

// common are the instruments of every convention.
var common = []instrument{
	{"gen_ai.server.request.duration", "histogram", "s", conventionDuration},
	{"gen_ai.server.time_to_first_token", "histogram", "s", conventionFirstToken},
	{"gen_ai.server.time_per_output_token", "histogram", "s", conventionPerToken},
	{"llm.server.inter_token_gaps", "counter", "{gap}", ""},
	{"llm.server.inter_token_time", "counter", "s", ""},
	{"llm.server.time_to_first_byte", "histogram", "s", ownFirst},
	{"llm.server.time_to_first_content", "histogram", "s", ownFirst},
	{"llm.server.queue.duration", "histogram", "s", ownQueue},
	{"llm.server.prefill.duration", "histogram", "s", ownFirst},
	{"llm.server.decode.duration", "histogram", "s", ownDuration},
	{"llm.server.requests", "counter", "{request}", ""},
	{"llm.server.finish", "counter", "{request}", ""},
	{"llm.server.tokens", "counter", "{token}", ""},
	{"llm.server.response_bytes", "counter", "By", ""},
	{"llm.server.requests_in_flight", "updowncounter", "{request}", ""},
	{"llm.server.requests_waiting", "updowncounter", "{request}", ""},
	{"llm.server.requests_running", "updowncounter", "{request}", ""},
	{"llm.server.kv_cache_usage", "gauge", "1", ""},
	{"llm.server.preemptions", "counter", "{request}", ""},
	{"llm.server.prefix_cache_queries", "counter", "{token}", ""},
	{"llm.server.prefix_cache_hits", "counter", "{token}", ""},
	{"llm.server.model.info", "updowncounter", "1", ""},
	{"llm.server.slo", "counter", "{request}", ""},
	{"llm.server.series_overflow", "counter", "1", ""},
	{"llm.server.parse_errors", "counter", "1", ""},
	{"llm.server.callback_panics", "counter", "1", ""},
}

var ofV141 = []instrument{{"gen_ai.client.token.usage", "histogram", "{token}", conventionTokens}}

var ofInference = []instrument{
	{"gen_ai.client.inference.usage.input_tokens", "counter", "{token}", ""},
	{"gen_ai.client.inference.usage.output_tokens", "counter", "{token}", ""},
	{"gen_ai.client.inference.usage.cache_read.input_tokens", "counter", "{token}", ""},
	{"gen_ai.client.inference.usage.cache_write.input_tokens", "counter", "{token}", ""},
	{"gen_ai.client.inference.usage.reasoning.output_tokens", "counter", "{token}", ""},
	{"gen_ai.client.inference.operation.input_tokens", "histogram", "{token}", conventionTokens},
	{"gen_ai.client.inference.operation.output_tokens", "histogram", "{token}", conventionTokens},
}

var ofITLHistogram = []instrument{{"llm.server.inter_token_latency", "histogram", "s", ownGaps}}

// exported describes one instrument of a collection.
func exported(t *testing.T, m metricdata.Metrics) instrument {
	i := instrument{name: m.Name, unit: m.Unit}
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64], metricdata.Histogram[int64]:
		i.kind = "histogram"
	case metricdata.Sum[int64]:
		i.kind = "updowncounter"
		if d.IsMonotonic {
			i.kind = "counter"
		}
	case metricdata.Sum[float64]:
		require.True(t, d.IsMonotonic)
		i.kind = "counter"
	case metricdata.Gauge[float64]:
		i.kind = "gauge"
	}
	for _, p := range pointsOf(m) {
		words := make([]string, len(p.bounds))
		for k, b := range p.bounds {
			words[k] = strings.TrimPrefix(strconv.FormatFloat(b, 'f', -1, 64), "0")
		}
		i.bounds = strings.Join(words, " ")
	}
	return i
}

// everything moves each metric of the table, inside a bubble. Model m.
func everything(rec *observe.Recorder) {
	e := rec.Engine("m")
	e.SetKVUsage(.5)
	e.AddPreemptions(1)
	e.AddPrefixCache(100, 40)
	rec.SetServed(observe.Served{Model: "m", Version: "v1", Checkpoint: "sha256:1", Commit: "c1"})
	serve(context.Background(), rec, "m", func(w http.ResponseWriter, r *http.Request) {
		q := observe.FromContext(r.Context())
		q.Queued()
		time.Sleep(10 * time.Millisecond)
		q.Scheduled()
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			`{"model":"m-2026","choices":[{"delta":{"role":"assistant","content":""}}]}`,
			`{"choices":[{"delta":{"reasoning_content":"hm"}}]}`,
			`{"choices":[{"delta":{"content":"a"}}]}`,
			`{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}`,
			`{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":4}}}`,
			`[DONE]`,
		} {
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, "data: "+event+"\n\n")
		}
	})
	_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m", Operation: observe.OperationChat, Priority: "high"})
	q.Queued()
	time.Sleep(time.Millisecond)
	q.End(errors.New("out of memory"))
}

// serve lets the middleware serve one chat request.
func serve(ctx context.Context, rec *observe.Recorder, model string, h http.HandlerFunc) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":`+strconv.Quote(model)+`}`))
	r.Header.Set("Content-Type", "application/json")
	defer func() { _ = recover() }()
	rec.Middleware(h).ServeHTTP(httptest.NewRecorder(), r)
}

func TestInstruments(t *testing.T) {
	tests := []struct {
		name   string
		cfg    ServingConfig
		want   []instrument
		schema string
	}{
		{"V1_41", ServingConfig{}, slices.Concat(common, ofV141), "https://opentelemetry.io/schemas/1.41.0"},
		{"Inference", ServingConfig{Semconv: SemconvInference}, slices.Concat(common, ofInference), "https://opentelemetry.io/schemas/gen-ai/1.42.0"},
		{"Both", ServingConfig{Semconv: SemconvBoth}, slices.Concat(common, ofV141, ofInference), "https://opentelemetry.io/schemas/1.41.0"},
		{"ITLHistogram", ServingConfig{ITLHistogram: true}, slices.Concat(common, ofV141, ofITLHistogram), "https://opentelemetry.io/schemas/1.41.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.cfg)
				everything(r.recorder(t, observe.Config{SLO: observe.SLO{TTFT: time.Second}}))
				scope := r.scope()
				assert.Equal(t, "github.com/calmops/calm/observe", scope.Scope.Name)
				assert.Equal(t, tt.schema, scope.Scope.SchemaURL)
				var got []instrument
				for _, m := range scope.Metrics {
					got = append(got, exported(t, m))
					assert.NotEmpty(t, m.Description, m.Name)
				}
				assert.ElementsMatch(t, tt.want, got)
				for _, s := range r.spans.Ended() {
					assert.Equal(t, "github.com/calmops/calm/observe", s.InstrumentationScope().Name)
					assert.Equal(t, tt.schema, s.InstrumentationScope().SchemaURL)
				}
				assert.Len(t, r.spans.Ended(), 2)
			})
		})
	}
}

// TestEveryMetricIsExported compares what is exported with the table of observe.
func TestEveryMetricIsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ServingConfig{})
		everything(r.recorder(t, observe.Config{SLO: observe.SLO{TTFT: time.Second}}))
		help := map[string]string{}
		unit := map[string]string{}
		for _, m := range r.scope().Metrics {
			help[m.Name], unit[m.Name] = m.Description, m.Unit
		}
		for _, m := range observe.Metrics() {
			switch m.ID {
			case observe.MetricOverhead: // has no twin
				assert.Empty(t, m.OTel)
				continue
			case observe.MetricRequestInputTokens, observe.MetricRequestOutputTokens: // one instrument for both
				assert.Equal(t, "Number of input and output tokens used.", help[m.OTel])
			case observe.MetricInterTokenLatency: // another form
				assert.Equal(t, "Gaps between token events that were at most le seconds long.", help[m.OTel])
			default:
				assert.Equal(t, m.Help, help[m.OTel], m.OTel)
				assert.Equal(t, m.Unit, unit[m.OTel], m.OTel)
			}
			assert.Contains(t, help, m.OTel)
		}
	})
}

// TestTable checks the table itself: each row once, its bounds in order.
func TestTable(t *testing.T) {
	seen := map[observe.MetricID]bool{}
	for _, r := range table(&ServingConfig{Semconv: SemconvBoth, ITLHistogram: true}) {
		assert.False(t, seen[r.id], r.name)
		seen[r.id] = true
		assert.NotEmpty(t, r.unit, r.name)
		assert.NotEmpty(t, r.help, r.name)
		if r.form == formSeconds || r.form == formTokens {
			assert.NotEmpty(t, r.bounds, r.name)
			assert.True(t, slices.IsSorted(r.bounds), r.name)
		}
	}
	assert.Len(t, seen, len(rows))
	assert.LessOrEqual(t, len(newGapTable().bounds), maxGapBounds)
}

func TestWords(t *testing.T) {
	assert.Equal(t, []string{"v1.41", "inference", "both", "unknown"},
		[]string{SemconvV1_41.String(), SemconvInference.String(), SemconvBoth.String(), Semconv(9).String()})
	assert.Equal(t, []string{"annotate", "child", "unknown"}, []string{SpanAnnotate.String(), SpanChild.String(), SpanMode(9).String()})
}
