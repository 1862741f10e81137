package observeotel

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
)

// Attribute sets, as show writes them.
const (
	chatM       = "gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m"
	byOpM       = "gen_ai.operation.name=chat gen_ai.request.model=m"
	byM         = "gen_ai.request.model=m"
	chatMTokens = "gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m gen_ai.token.modality=unknown"
)

// sets returns the attribute sets of one instrument, with their values.
func (r *rig) sets(name string) map[string]float64 {
	all := map[string]float64{}
	for _, p := range r.points(name) {
		n := p.sum
		if p.bounds != nil {
			n = float64(p.count)
		}
		all[strings.Join(show(p.attrs), " ")] = n
	}
	return all
}

func TestAttributes(t *testing.T) {
	const server = " server.address=llm.example server.port=8443"
	type sets = map[string]float64
	tests := map[string]struct {
		cfg  ServingConfig
		want map[string]sets
	}{
		"Defaults": {ServingConfig{}, map[string]sets{
			"gen_ai.server.request.duration":      {chatM: 1, "error.type=_OTHER " + strings.Replace(chatM, "openai", "custom", 1): 1},
			"gen_ai.server.time_to_first_token":   {chatM: 1},
			"gen_ai.server.time_per_output_token": {chatM: 1},
			"gen_ai.client.token.usage":           {chatM + " gen_ai.token.type=input": 1, chatM + " gen_ai.token.type=output": 1},
			"llm.server.inter_token_time":         {byOpM: .04},
			"llm.server.time_to_first_byte":       {byOpM: 1},
			"llm.server.time_to_first_content":    {byOpM: 1},
			"llm.server.queue.duration":           {byM + " result=scheduled": 1, byM + " priority=high result=abandoned": 1},
			"llm.server.prefill.duration":         {byM: 1},
			"llm.server.decode.duration":          {byM: 1},
			"llm.server.requests": {
				"code=200 gen_ai.operation.name=chat gen_ai.request.model=m gen_ai.request.stream=true outcome=ok":             1,
				"code=200 gen_ai.operation.name=chat gen_ai.request.model=m gen_ai.request.stream=false outcome=ok":            0,
				"code=none gen_ai.operation.name=chat gen_ai.request.model=m gen_ai.request.stream=false outcome=server_error": 1,
			},
			"llm.server.finish":                {byM + " reason=stop": 1},
			"llm.server.tokens":                {byM + " type=input": 40, byM + " type=output": 9, byM + " type=cached_input": 30, byM + " type=cache_write_input": 5, byM + " type=reasoning": 4},
			"llm.server.requests_in_flight":    {byOpM: 0},
			"llm.server.requests_waiting":      {byM: 0},
			"llm.server.requests_running":      {byM: 0},
			"llm.server.kv_cache_usage":        {byM: .5},
			"llm.server.preemptions":           {byM: 1},
			"llm.server.prefix_cache_queries":  {byM: 100},
			"llm.server.prefix_cache_hits":     {byM: 40},
			"llm.server.model.info":            {"checkpoint=sha256:1 commit=c1 " + byM + " version=v1": 1},
			"llm.server.slo":                   {byM + " objective=ttft result=met": 1, byM + " objective=ttft result=missed": 1},
			"llm.server.series_overflow":       {"kind=model": 0, "kind=label": 0},
			"llm.server.parse_errors":          {"kind=json": 0, "kind=truncated": 0, "kind=clock_step": 0},
			"llm.server.callback_panics":       {"": 0},
			"llm.server.inter_token_latency":   {},
			"gen_ai.client.inference.usage...": {},
		}},
		"Server": {ServingConfig{ServerAddress: "llm.example", ServerPort: 8443, StreamAttribute: true, ITLHistogram: true}, map[string]sets{
			"gen_ai.server.request.duration": {
				chatM + " gen_ai.request.stream=true" + server:                                                                 1,
				"error.type=_OTHER " + strings.Replace(chatM, "openai", "custom", 1) + " gen_ai.request.stream=false" + server: 1,
			},
			"gen_ai.server.time_to_first_token":   {chatM + server: 1},
			"gen_ai.server.time_per_output_token": {chatM + server: 1},
			"gen_ai.client.token.usage":           {chatM + " gen_ai.token.type=input" + server: 1, chatM + " gen_ai.token.type=output" + server: 1},
			"llm.server.decode.duration":          {byM: 1}, // only the conventions have a server
			"llm.server.inter_token_latency":      {byOpM: 2},
		}},
		"Inference": {ServingConfig{Semconv: SemconvInference}, map[string]sets{
			"gen_ai.client.token.usage":                             {},
			"gen_ai.client.inference.usage.input_tokens":            {chatMTokens: 40, strings.Replace(chatMTokens, "openai", "custom", 1): 0},
			"gen_ai.client.inference.usage.output_tokens":           {chatMTokens: 9, strings.Replace(chatMTokens, "openai", "custom", 1): 0},
			"gen_ai.client.inference.usage.cache_read.input_tokens": {chatMTokens: 30, strings.Replace(chatMTokens, "openai", "custom", 1): 0},
			"gen_ai.client.inference.usage.cache_write.input_tokens": {
				chatMTokens: 5, strings.Replace(chatMTokens, "openai", "custom", 1): 0},
			"gen_ai.client.inference.usage.reasoning.output_tokens": {
				chatMTokens: 4, strings.Replace(chatMTokens, "openai", "custom", 1): 0},
			// A failed operation records 0.
			"gen_ai.client.inference.operation.input_tokens":  {chatM: 1, "error.type=_OTHER " + strings.Replace(chatM, "openai", "custom", 1): 1},
			"gen_ai.client.inference.operation.output_tokens": {chatM: 1, "error.type=_OTHER " + strings.Replace(chatM, "openai", "custom", 1): 1},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.cfg)
				everything(r.recorder(t, observe.Config{SLO: observe.SLO{TTFT: time.Second}}))
				for instrument, want := range tt.want {
					got := r.sets(instrument)
					assert.Len(t, got, len(want), "%s: %v", instrument, got)
					for set, n := range want {
						assert.Contains(t, got, set, instrument)
						assert.InEpsilon(t, 1+n, 1+got[set], 1e-9, "%s{%s}", instrument, set)
					}
				}
			})
		})
	}
}

// TestGapBuckets: cumulative counts by decimal bounds, a bound in its bucket.
func TestGapBuckets(t *testing.T) {
	r := newRig(t, ServingConfig{})
	h := r.Series(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
	h.Gaps([]time.Duration{0, time.Millisecond, time.Millisecond + 1, 2500 * time.Microsecond, 30 * time.Millisecond, 2500 * time.Millisecond})
	h.Gaps([]time.Duration{time.Hour})
	want := map[string]float64{"0.001": 2, "0.0025": 4, "0.005": 4, "0.0075": 4, "0.01": 4, "0.015": 4, "0.02": 4, "0.025": 4,
		"0.03": 5, "0.04": 5, "0.05": 5, "0.075": 5, "0.1": 5, "0.15": 5, "0.2": 5, "0.3": 5, "0.5": 5, "0.75": 5, "1": 5, "2.5": 6, "+Inf": 7}
	got := map[string]float64{}
	for _, p := range r.points("llm.server.inter_token_gaps") {
		le, _ := p.attrs.Value(keyLE)
		got[le.AsString()] = p.sum
		assert.Equal(t, 3, p.attrs.Len())
	}
	assert.Equal(t, want, got)
	sum := r.points("llm.server.inter_token_time")
	assert.Len(t, sum, 1)
	assert.InDelta(t, 3600+2.5+.03+.0025+.002+1e-9, sum[0].sum, 1e-9)
}

// TestErrorType: absent on success, present on every failure, of the first token
// too.
func TestErrorType(t *testing.T) {
	r := newRig(t, ServingConfig{})
	rec := r.recorder(t, observe.Config{})
	end := func(err error, set string) {
		_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m", Operation: observe.OperationChat, Provider: "openai"})
		q.Token(1)
		q.SetErrorType(set)
		q.End(err)
	}
	end(nil, "")
	end(nil, "ignored")
	end(context.Canceled, "")
	end(context.DeadlineExceeded, "")
	end(errors.New("failed"), "")
	end(errors.New("failed"), "out_of_memory")
	for range 2 {
		serve(context.Background(), rec, "m", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	}
	counts := func(name string) map[string]uint64 {
		got := map[string]uint64{}
		for _, p := range r.points(name) {
			v, ok := p.attrs.Value(attribute.Key(keyErrorType))
			if ok && v.AsString() == "" {
				t.Error("an empty error.type")
			}
			got[v.AsString()] += p.count
		}
		return got
	}
	want := map[string]uint64{"": 2, "client_disconnect": 1, "timeout": 1, "_OTHER": 1, "out_of_memory": 1}
	assert.Equal(t, want, counts("gen_ai.server.time_to_first_token"))
	want["429"] = 2
	assert.Equal(t, want, counts("gen_ai.server.request.duration"))
}

// TestUnknownModel: a request that named no model has no model attribute.
func TestUnknownModel(t *testing.T) {
	r := newRig(t, ServingConfig{})
	rec := r.recorder(t, observe.Config{MaxModels: 1})
	for _, model := range []string{"", "a", "b"} {
		_, q := rec.Start(context.Background(), observe.RequestInfo{Model: model, Provider: "own"})
		q.SetFinishReason("stop")
		q.End(nil)
	}
	assert.Equal(t, map[string]float64{"reason=stop": 1, "gen_ai.request.model=a reason=stop": 1, "gen_ai.request.model=other reason=stop": 1},
		r.sets("llm.server.finish"))
	const op = "gen_ai.operation.name=other gen_ai.provider.name=own"
	assert.Equal(t, map[string]float64{op: 1, op + " gen_ai.request.model=a": 1, op + " gen_ai.request.model=other": 1},
		r.sets("gen_ai.server.request.duration"))
	names := []string{}
	for _, s := range r.spans.Ended() {
		names = append(names, s.Name())
	}
	assert.Equal(t, []string{"other", "other a", "other other"}, names)
}
