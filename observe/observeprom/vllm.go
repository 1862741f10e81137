package observeprom

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// VLLM adds the metrics of vLLM under its own names, by which schedulers such as
// llm-d and dashboards made for vLLM find a server. The zero value adds none.
// Their names hold a colon, which promlint refuses: that is vLLM's choice.
type VLLM struct {
	// Level is how many of the names there are. Defaults to VLLMOff.
	Level VLLMLevel
	// Engine is the value of the engine label. Defaults to "0".
	Engine string
	// MaxModelLen bounds the buckets of prompt and generation tokens. Defaults to
	// 131072.
	MaxModelLen int
}

// VLLMLevel is how many of vLLM's names are exported.
type VLLMLevel uint8

// The levels. VLLMGauges are the live state that schedulers read: running,
// waiting, KV cache, adapters. VLLMAll adds the histograms and counters.
const (
	VLLMOff VLLMLevel = iota
	VLLMGauges
	VLLMAll
)

const (
	vllmEngine      = "0"
	vllmMaxModelLen = 131072
)

// faults reports every setting that cannot be, and fills in the defaults.
func (v *VLLM) faults() (errs []error) {
	if v.Level > VLLMAll {
		errs = append(errs, fmt.Errorf("observeprom: ServingConfig.VLLM.Level = %d is not a level", v.Level))
	}
	if !utf8.ValidString(v.Engine) {
		errs = append(errs, fmt.Errorf("observeprom: ServingConfig.VLLM.Engine = %.140q is not UTF-8", v.Engine))
	}
	if v.MaxModelLen < 0 {
		errs = append(errs, fmt.Errorf("observeprom: ServingConfig.VLLM.MaxModelLen = %d is negative", v.MaxModelLen))
	}
	if v.Engine == "" {
		v.Engine = vllmEngine
	}
	if v.MaxModelLen == 0 {
		v.MaxModelLen = vllmMaxModelLen
	}
	return errs
}

// Buckets of vLLM, from vllm/v1/metrics/loggers.py.
var (
	vllmTTFT  = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	vllmToken = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	vllmLong  = []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
)

// oneTwoFive is the series 1 2 5 10 20 50 ... up to max.
func oneTwoFive(max int) (b []float64) {
	for decade := 1; ; decade *= 10 {
		for _, m := range [...]int{1, 2, 5} {
			if m*decade > max {
				return b
			}
			b = append(b, float64(m*decade))
		}
	}
}

// vllm holds vLLM's metrics. A nil *vllm is VLLMOff.
type vllm struct {
	engine string
	all    bool

	running, waiting, kv, gpuCache, lora, cache *prometheus.Desc
	preemptions, queries, hits                  *prometheus.Desc // VLLMAll, as all below

	ttft, itl, tpot, e2e, queue, prefill, decode, inference *prometheus.HistogramVec
	prompt, generation                                      *prometheus.HistogramVec
	promptTokens, generationTokens, success                 *prometheus.CounterVec
}

var vllmLabels = []string{"model_name", "engine"}

// Labels that vLLM's metrics have besides.
var (
	vllmLoRALabels   = []string{"max_lora", "running_lora_adapters", "waiting_lora_adapters"}
	vllmCacheLabels  = []string{"block_size", "num_gpu_blocks"}
	vllmReasonLabels = []string{"finished_reason"}
)

func newVLLM(cfg *ServingConfig) *vllm {
	if cfg.VLLM.Level == VLLMOff {
		return nil
	}
	with := func(more []string) []string { return append(append([]string{}, vllmLabels...), more...) }
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("vllm:"+name, help, with(more), cfg.ConstLabels)
	}
	v := &vllm{
		engine:   cfg.VLLM.Engine,
		running:  desc("num_requests_running", "Number of requests in model execution batches."),
		waiting:  desc("num_requests_waiting", "Number of requests waiting to be processed."),
		kv:       desc("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
		gpuCache: desc("gpu_cache_usage_perc", "KV-cache usage under its older name. 1 means 100 percent usage."),
		lora:     desc("lora_requests_info", "Running stats on LoRA requests.", vllmLoRALabels...),
		cache:    desc("cache_config_info", "Information of the KV cache's layout.", vllmCacheLabels...),
	}
	if cfg.VLLM.Level != VLLMAll {
		return v
	}
	v.all = true
	v.preemptions = desc("num_preemptions_total", "Cumulative number of preemptions from the engine.")
	v.queries = desc("prefix_cache_queries_total", "Prefix cache queries, in terms of number of queried tokens.")
	v.hits = desc("prefix_cache_hits_total", "Prefix cache hits, in terms of number of cached tokens.")
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vllm:" + name, Help: help, ConstLabels: cfg.ConstLabels, Buckets: buckets}, vllmLabels)
	}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vllm:" + name, Help: help, ConstLabels: cfg.ConstLabels}, with(more))
	}
	tokens := oneTwoFive(cfg.VLLM.MaxModelLen)
	v.ttft = histogram("time_to_first_token_seconds", "Time to first token in seconds.", vllmTTFT)
	v.itl = histogram("inter_token_latency_seconds", "Inter-token latency in seconds.", vllmToken)
	v.tpot = histogram("request_time_per_output_token_seconds", "Time per output token of a request in seconds.", vllmToken)
	v.e2e = histogram("e2e_request_latency_seconds", "End to end request latency in seconds.", vllmLong)
	v.queue = histogram("request_queue_time_seconds", "Time spent in the WAITING phase.", vllmLong)
	v.prefill = histogram("request_prefill_time_seconds", "Time spent in the PREFILL phase.", vllmLong)
	v.decode = histogram("request_decode_time_seconds", "Time spent in the DECODE phase.", vllmLong)
	v.inference = histogram("request_inference_time_seconds", "Time spent in the RUNNING phase.", vllmLong)
	v.prompt = histogram("request_prompt_tokens", "Number of prefill tokens processed.", tokens)
	v.generation = histogram("request_generation_tokens", "Number of generation tokens processed.", tokens)
	v.promptTokens = counter("prompt_tokens_total", "Number of prefill tokens processed.")
	v.generationTokens = counter("generation_tokens_total", "Number of generation tokens processed.")
	v.success = counter("request_success_total", "Count of successfully processed requests.", vllmReasonLabels...)
	return v
}

// vectors are the metrics that requests move.
func (v *vllm) vectors() []prometheus.Collector {
	if v == nil || !v.all {
		return nil
	}
	return []prometheus.Collector{v.ttft, v.itl, v.tpot, v.e2e, v.queue, v.prefill, v.decode, v.inference,
		v.prompt, v.generation, v.promptTokens, v.generationTokens, v.success}
}

// descs are the metrics that are made at Collect.
func (v *vllm) descs() []*prometheus.Desc {
	if v == nil {
		return nil
	}
	d := []*prometheus.Desc{v.running, v.waiting, v.kv, v.gpuCache, v.lora, v.cache}
	if v.all {
		d = append(d, v.preemptions, v.queries, v.hits)
	}
	return d
}

// live makes the metrics of one model's engine.
func (v *vllm) live(put func(*prometheus.Desc, prometheus.ValueType, float64, ...string), model string, e *liveEngine) {
	if v == nil {
		return
	}
	const gauge = prometheus.GaugeValue
	put(v.running, gauge, float64(e.running), model, v.engine)
	put(v.waiting, gauge, float64(e.waiting), model, v.engine)
	if e.kvCount > 0 {
		put(v.kv, gauge, e.kvSum/float64(e.kvCount), model, v.engine)
		put(v.gpuCache, gauge, e.kvSum/float64(e.kvCount), model, v.engine)
	}
	if !e.loraAt.IsZero() { // the time tells a scheduler which of several states is the latest
		put(v.lora, gauge, float64(e.loraAt.UnixNano())/1e9, model, v.engine, strconv.Itoa(e.lora.Max),
			labelText(strings.Join(e.lora.Running, ",")), labelText(strings.Join(e.lora.Waiting, ",")))
	}
	if e.blocks > 0 {
		put(v.cache, gauge, 1, model, v.engine, strconv.Itoa(e.blockTokens), strconv.Itoa(e.blocks))
	}
	if v.all {
		put(v.preemptions, prometheus.CounterValue, float64(e.preemptions), model, v.engine)
		put(v.queries, prometheus.CounterValue, float64(e.queries), model, v.engine)
		put(v.hits, prometheus.CounterValue, float64(e.found), model, v.engine)
	}
}

// labelText makes text of an application fit for a label value.
func labelText(s string) string { return strings.ToValidUTF8(s, "�") }

// vllmSeries holds the handles of one model. A nil one records nothing.
type vllmSeries struct {
	ttft, itl, tpot, e2e, queue, prefill, decode, inference, prompt, generation prometheus.Observer
	promptTokens, generationTokens                                              prometheus.Counter
	stop, length, abort                                                         prometheus.Counter
}

func (v *vllm) series(model string) *vllmSeries {
	if v == nil || !v.all {
		return nil
	}
	h := func(x *prometheus.HistogramVec) prometheus.Observer { return x.WithLabelValues(model, v.engine) }
	return &vllmSeries{
		ttft: h(v.ttft), itl: h(v.itl), tpot: h(v.tpot), e2e: h(v.e2e), queue: h(v.queue), prefill: h(v.prefill),
		decode: h(v.decode), inference: h(v.inference), prompt: h(v.prompt), generation: h(v.generation),
		promptTokens:     v.promptTokens.WithLabelValues(model, v.engine),
		generationTokens: v.generationTokens.WithLabelValues(model, v.engine),
		stop:             v.success.WithLabelValues(model, v.engine, "stop"),
		length:           v.success.WithLabelValues(model, v.engine, "length"),
		abort:            v.success.WithLabelValues(model, v.engine, "abort"),
	}
}

func (s *vllmSeries) gaps(gaps []time.Duration) {
	if s == nil {
		return
	}
	for _, g := range gaps {
		s.itl.Observe(g.Seconds())
	}
}

// record counts a request as vLLM does: what failed has no place in
// request_success, what was left is an abort.
func (s *vllmSeries) record(r *observe.RequestStats) {
	if s == nil {
		return
	}
	s.e2e.Observe(r.Duration.Seconds())
	for _, t := range [...]struct {
		to    prometheus.Observer
		d     time.Duration
		valid bool
	}{
		{s.ttft, r.TTFT, r.Has(observe.FieldTTFT)},
		{s.tpot, r.TPOT, r.Has(observe.FieldTPOT)},
		{s.queue, r.Queue, r.Has(observe.FieldQueue) && !r.Abandoned},
		{s.prefill, r.Prefill, r.Has(observe.FieldPrefill)},
		{s.decode, r.Decode, r.Has(observe.FieldDecode)},
		{s.inference, r.Prefill + r.Decode, r.Has(observe.FieldPrefill | observe.FieldDecode)},
	} {
		if t.valid {
			t.to.Observe(t.d.Seconds())
		}
	}
	if r.InputSource != observe.TokensUnknown {
		s.prompt.Observe(float64(r.Usage.Input))
		s.promptTokens.Add(float64(r.Usage.Input))
	}
	if r.OutputSource != observe.TokensUnknown {
		s.generation.Observe(float64(r.Usage.Output))
		s.generationTokens.Add(float64(r.Usage.Output))
	}
	switch r.Outcome {
	case observe.OutcomeOK:
		if r.FinishReason == "length" {
			s.length.Inc()
		} else {
			s.stop.Inc()
		}
	case observe.OutcomeClientDisconnect, observe.OutcomeAborted:
		s.abort.Inc()
	}
}
