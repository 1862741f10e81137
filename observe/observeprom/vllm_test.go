package observeprom

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
)

// vllmTable is what llm-d and dashboards read, by name: type and labels. Source:
// vLLM's vllm/v1/metrics/loggers.py, and docs/proposals/003-model-server-protocol
// of the Gateway API Inference Extension.
var vllmTable = map[string]struct {
	kind   dto.MetricType
	labels string
	gauges bool // already at VLLMGauges
}{
	"num_requests_running":                  {dto.MetricType_GAUGE, "", true},
	"num_requests_waiting":                  {dto.MetricType_GAUGE, "", true},
	"kv_cache_usage_perc":                   {dto.MetricType_GAUGE, "", true},
	"gpu_cache_usage_perc":                  {dto.MetricType_GAUGE, "", true},
	"lora_requests_info":                    {dto.MetricType_GAUGE, "max_lora running_lora_adapters waiting_lora_adapters", true},
	"cache_config_info":                     {dto.MetricType_GAUGE, "block_size num_gpu_blocks", true},
	"time_to_first_token_seconds":           {dto.MetricType_HISTOGRAM, "", false},
	"inter_token_latency_seconds":           {dto.MetricType_HISTOGRAM, "", false},
	"request_time_per_output_token_seconds": {dto.MetricType_HISTOGRAM, "", false},
	"e2e_request_latency_seconds":           {dto.MetricType_HISTOGRAM, "", false},
	"request_queue_time_seconds":            {dto.MetricType_HISTOGRAM, "", false},
	"request_prefill_time_seconds":          {dto.MetricType_HISTOGRAM, "", false},
	"request_decode_time_seconds":           {dto.MetricType_HISTOGRAM, "", false},
	"request_inference_time_seconds":        {dto.MetricType_HISTOGRAM, "", false},
	"request_prompt_tokens":                 {dto.MetricType_HISTOGRAM, "", false},
	"request_generation_tokens":             {dto.MetricType_HISTOGRAM, "", false},
	"prompt_tokens_total":                   {dto.MetricType_COUNTER, "", false},
	"generation_tokens_total":               {dto.MetricType_COUNTER, "", false},
	"num_preemptions_total":                 {dto.MetricType_COUNTER, "", false},
	"prefix_cache_queries_total":            {dto.MetricType_COUNTER, "", false},
	"prefix_cache_hits_total":               {dto.MetricType_COUNTER, "", false},
	"request_success_total":                 {dto.MetricType_COUNTER, "finished_reason", false},
}

// vllmTraffic is one request of each kind that vLLM tells apart, and an engine.
func vllmTraffic(t *testing.T, s *Serving) *observe.Recorder {
	r := newRecorder(t, s)
	e := r.Engine("m")
	e.SetKVUsage(.5)
	e.SetRunning(3)
	e.SetWaiting(2)
	e.AddPreemptions(4)
	e.AddPrefixCache(100, 60)
	e.SetCache(16, 1000)
	e.SetLoRA(observe.LoRA{Max: 4, Running: []string{"a", "b"}, Waiting: []string{"c"}})
	for _, finish := range []string{"stop", "length", "tool_calls"} {
		_, q := r.Start(context.Background(), observe.RequestInfo{Model: "m"})
		q.Queued()
		time.Sleep(time.Second)
		q.Scheduled()
		time.Sleep(2 * time.Second)
		q.Token(1)
		time.Sleep(3 * time.Second)
		q.Token(1)
		q.SetUsage(observe.Usage{Input: 10, Output: 2})
		q.SetFinishReason(finish)
		q.End(nil)
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, assert.AnError} {
		_, q := r.Start(context.Background(), observe.RequestInfo{Model: "m"})
		q.End(err)
	}
	return r
}

func TestVLLMNames(t *testing.T) {
	for _, level := range []VLLMLevel{VLLMOff, VLLMGauges, VLLMAll} {
		reg := prometheus.NewPedanticRegistry()
		s := newServing(t, ServingConfig{Registerer: reg, VLLM: VLLM{Level: level}})
		vllmTraffic1(t, s)
		families, err := reg.Gather()
		require.NoError(t, err)
		found := map[string]bool{}
		for _, f := range families {
			name, ok := strings.CutPrefix(f.GetName(), "vllm:")
			if !ok {
				continue
			}
			found[name] = true
			want, known := vllmTable[name]
			require.True(t, known, name)
			assert.Equal(t, want.kind, f.GetType(), name)
			labels := map[string]string{}
			for _, l := range f.Metric[0].Label {
				labels[l.GetName()] = l.GetValue()
			}
			assert.Equal(t, "m", labels["model_name"], name)
			assert.Equal(t, "0", labels["engine"], name)
			for l := range strings.FieldsSeq(want.labels) {
				assert.Contains(t, labels, l, name)
			}
			assert.Len(t, labels, 2+len(strings.Fields(want.labels)), name)
		}
		for name, want := range vllmTable {
			assert.Equal(t, level == VLLMAll || level == VLLMGauges && want.gauges, found[name], "level %d: %s", level, name)
		}
	}
}

// vllmTraffic1 plays the traffic in a bubble, where it takes no time.
func vllmTraffic1(t *testing.T, s *Serving) {
	synctest.Test(t, func(t *testing.T) { vllmTraffic(t, s) })
}

func TestVLLMValues(t *testing.T) {
	s := newServing(t, ServingConfig{VLLM: VLLM{Level: VLLMAll, Engine: "7"}})
	vllmTraffic1(t, s)
	one := func(name string, more ...string) *dto.Metric {
		labels := map[string]string{"model_name": "m", "engine": "7"}
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		found := read(s, "vllm:"+name, labels)
		require.Len(t, found, 1, name)
		return found[0]
	}
	for name, want := range map[string]float64{"num_requests_running": 3, "num_requests_waiting": 2,
		"kv_cache_usage_perc": .5, "gpu_cache_usage_perc": .5, "cache_config_info": 1} {
		assert.Equal(t, want, one(name).Gauge.GetValue(), name)
	}
	assert.Equal(t, 1., one("cache_config_info", "block_size", "16", "num_gpu_blocks", "1000").Gauge.GetValue())
	bubble := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.EqualValues(t, bubble.Unix(), one("lora_requests_info", "max_lora", "4", "running_lora_adapters", "a,b", "waiting_lora_adapters", "c").Gauge.GetValue())
	for name, want := range map[string]float64{"prompt_tokens_total": 30, "generation_tokens_total": 6,
		"num_preemptions_total": 4, "prefix_cache_queries_total": 100, "prefix_cache_hits_total": 60} {
		assert.Equal(t, want, one(name).Counter.GetValue(), name)
	}
	for reason, want := range map[string]float64{"stop": 2, "length": 1, "abort": 1} {
		assert.Equal(t, want, one("request_success_total", "finished_reason", reason).Counter.GetValue(), reason)
	}
	for name, want := range map[string]struct {
		count uint64
		sum   float64
	}{
		"time_to_first_token_seconds": {3, 9}, "inter_token_latency_seconds": {3, 9},
		"request_time_per_output_token_seconds": {3, 9}, "e2e_request_latency_seconds": {6, 18},
		"request_queue_time_seconds": {3, 3}, "request_prefill_time_seconds": {3, 6}, "request_decode_time_seconds": {3, 9},
		"request_inference_time_seconds": {3, 15}, "request_prompt_tokens": {3, 30}, "request_generation_tokens": {3, 6},
	} {
		h := one(name).Histogram
		assert.Equal(t, want.count, h.GetSampleCount(), name)
		assert.InDelta(t, want.sum, h.GetSampleSum(), 1e-9, name)
	}
}

// Gauges exist before any traffic for a model that has an Engine.
func TestVLLMBeforeTraffic(t *testing.T) {
	s := newServing(t, ServingConfig{VLLM: VLLM{Level: VLLMGauges}})
	newRecorder(t, s).Engine("m")
	assert.Len(t, read(s, "vllm:num_requests_running", nil), 1)
	assert.Len(t, read(s, "vllm:num_requests_waiting", nil), 1)
	assert.Empty(t, read(s, "vllm:kv_cache_usage_perc", nil), "not known, so not said")
	assert.Empty(t, read(s, "vllm:lora_requests_info", nil))
}

func TestVLLMConfig(t *testing.T) {
	_, err := NewServing(ServingConfig{VLLM: VLLM{Level: 9, Engine: "\xff", MaxModelLen: -1}})
	for _, field := range []string{"VLLM.Level = 9", "VLLM.Engine", "VLLM.MaxModelLen = -1"} {
		assert.ErrorContains(t, err, field)
	}
	clash := prometheus.Labels{"model_name": "x"}
	_, err = NewServing(ServingConfig{ConstLabels: clash})
	assert.NoError(t, err)
	_, err = NewServing(ServingConfig{ConstLabels: clash, VLLM: VLLM{Level: VLLMGauges}})
	assert.ErrorContains(t, err, "model_name")

	assert.Equal(t, []float64{1, 2, 5, 10, 20, 50}, oneTwoFive(99)) // vLLM's build_1_2_5_buckets
	assert.Equal(t, []float64{1, 2, 5, 10, 20, 50, 100}, oneTwoFive(100))
}

// TestVLLMLint: without the level there is nothing to lint; with it, nothing but
// the colons.
func TestVLLMLint(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	vllmTraffic1(t, newServing(t, ServingConfig{Registerer: reg, VLLM: VLLM{Level: VLLMAll}}))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	assert.NotEmpty(t, problems)
	for _, p := range problems {
		assert.Contains(t, p.Metric, "vllm:", "%s: %s", p.Metric, p.Text)
	}
}

// TestVLLMAllocations: the added names cost no allocation either.
func TestVLLMAllocations(t *testing.T) {
	s := newServing(t, ServingConfig{VLLM: VLLM{Level: VLLMAll}})
	newRecorder(t, s)
	x := s.Series(observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "p"})
	r := observe.RequestStats{Code: "200", Stream: true, FinishReason: "length",
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage,
		Valid: observe.FieldTTFT | observe.FieldTPOT | observe.FieldQueue | observe.FieldPrefill | observe.FieldDecode}
	gaps := make([]time.Duration, 64)
	x.Request(t.Context(), &r)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		x.Gaps(gaps)
		x.Request(t.Context(), &r)
	}))
}
