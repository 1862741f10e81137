package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/observe/observelive"
)

const (
	model = "sim-7b"
	gpus  = 4

	// A story of three minutes repeats: a version goes out, its first tokens become
	// slow, it is taken back.
	storyLength = 180 * time.Second
	deployed    = 30 * time.Second
	slowFrom    = 55 * time.Second
	rolledBack  = 95 * time.Second
	slowTo      = 105 * time.Second
)

// A world makes up what a model server, a training run and some GPUs would report.
// step moves it on; it has no clock of its own.
type world struct {
	rng   *rand.Rand
	start time.Time
	last  time.Time

	requests, tokens, flops, trained, spent, lost *prometheus.CounterVec
	ttft, itl, duration, stepSeconds              *prometheus.HistogramVec
	inFlight, waiting, kv                         *prometheus.GaugeVec
	loss, gradNorm, rate, stepNumber              *prometheus.GaugeVec
	memory, busy, power, temperature              *prometheus.GaugeVec

	training training
	celsius  [gpus]float64

	mu    sync.Mutex // guards marks
	marks []observelive.Mark
}

// newWorld registers the metrics of a world that begins at start.
func newWorld(reg prometheus.Registerer, start time.Time) (*world, error) {
	var errs []error
	counter := func(name string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "Simulated."}, labels)
		errs = append(errs, reg.Register(c))
		return c
	}
	gauge := func(name string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "Simulated."}, labels)
		errs = append(errs, reg.Register(g))
		return g
	}
	histogram := func(name string, first float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: "Simulated.", Buckets: prometheus.ExponentialBuckets(first, 1.5, 20)}, labels)
		errs = append(errs, reg.Register(h))
		return h
	}
	w := &world{
		rng: rand.New(rand.NewPCG(1, 2)), start: start, last: start,

		requests: counter("llm_server_requests_total", "model", "operation", "stream", "outcome", "code"),
		tokens:   counter("llm_server_tokens_total", "model", "type"),
		ttft:     histogram("gen_ai_server_time_to_first_token_seconds", .02, "model", "operation"),
		itl:      histogram("llm_server_inter_token_latency_seconds", .002, "model", "operation"),
		duration: histogram("gen_ai_server_request_duration_seconds", .05, "model", "operation"),
		inFlight: gauge("llm_server_requests_in_flight", "model", "operation"),
		waiting:  gauge("llm_server_requests_waiting", "model"),
		kv:       gauge("llm_server_kv_cache_usage_ratio", "model"),

		loss:        gauge("llm_train_loss", "run", "rank"),
		gradNorm:    gauge("llm_train_grad_norm", "run", "rank"),
		rate:        gauge("llm_train_learning_rate", "run", "rank"),
		stepNumber:  gauge("llm_train_step", "run", "rank"),
		stepSeconds: histogram("llm_train_step_seconds", .1, "run", "rank"),
		trained:     counter("llm_train_tokens_total", "run", "rank"),
		flops:       counter("llm_train_model_flops_total", "run", "rank"),
		spent:       counter("llm_train_time_seconds_total", "run", "rank", "state"),
		lost:        counter("llm_train_lost_seconds_total", "run", "rank", "cause"),

		memory:      gauge("gpu_memory_used_bytes", "gpu"),
		busy:        gauge("gpu_busy_ratio", "gpu"),
		power:       gauge("gpu_power_watts", "gpu"),
		temperature: gauge("gpu_temperature_celsius", "gpu"),
	}
	// What carries the mark: every chart of these domains says that it is simulated.
	for _, name := range []string{"llm_server_simulated", "llm_train_simulated", "gpu_probe_simulated"} {
		gauge(name).WithLabelValues().Set(1)
	}
	gauge("llm_train_peak_flops", "run", "rank").WithLabelValues(runName, rank).Set(gpus * peakFLOPS)
	for i := range w.celsius {
		w.celsius[i] = 40
	}
	w.startStep()
	w.mark(observelive.Mark{At: start, Title: "simulation started", Kind: "start"})
	return w, errors.Join(errs...)
}

// run steps the world five times a second until ctx ends.
func (w *world) run(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			w.step(now)
		case <-ctx.Done():
			return
		}
	}
}

// step makes up what happened since the step before.
func (w *world) step(now time.Time) {
	before, at := w.last.Sub(w.start), now.Sub(w.start)
	if at <= before {
		return
	}
	w.last = now
	w.tell(before, at)
	w.serve(before, at)
	w.train(at - before)
	w.heat(at, at-before)
}

// slow is from 0 to 1: how far the new version's first tokens are behind.
func slow(at time.Duration) float64 {
	in := at % storyLength
	if in < slowFrom || in > slowTo {
		return 0
	}
	return min(1, (in-slowFrom).Seconds()/15, (slowTo-in).Seconds()/10)
}

// tell marks the turns of the story that were passed.
func (w *world) tell(before, at time.Duration) {
	round := at.Truncate(storyLength)
	passed := func(d time.Duration) bool { return before < round+d && at >= round+d }
	when := func(d time.Duration) time.Time { return w.start.Add(round + d) }
	version := int(round/storyLength) + 2
	switch {
	case passed(deployed):
		w.mark(observelive.Mark{At: when(deployed), Title: fmt.Sprintf("deploy v%d", version), Detail: "canary at 25 %", Kind: "deploy"})
	case passed(slowFrom):
		w.mark(observelive.Mark{At: when(slowFrom), Title: "slow first tokens", Detail: "p99 of the time to first token is above its limit", Severity: "critical", Kind: "incident"})
	case passed(rolledBack):
		w.mark(observelive.Mark{At: when(rolledBack), Title: fmt.Sprintf("v%d rolled back", version), Severity: "warning", Kind: "transition"})
	case passed(slowTo):
		w.mu.Lock()
		for i := range w.marks {
			if w.marks[i].Kind == "incident" && w.marks[i].End.IsZero() {
				w.marks[i].End = when(slowTo)
			}
		}
		w.mu.Unlock()
	}
}

func (w *world) mark(m observelive.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks = append(w.marks, m)
	w.marks = w.marks[max(0, len(w.marks)-100):]
}

// marksSince are the marks of a page.
func (w *world) marksSince(since time.Time) (out []observelive.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.marks {
		if m.At.After(since) || m.End.After(since) {
			out = append(out, m)
		}
	}
	return out
}

// serve makes up requests: about five a second, in waves.
func (w *world) serve(before, at time.Duration) {
	d, behind := (at - before).Seconds(), slow(at)
	load := 5 + 2*math.Sin(at.Seconds()/20) + .5*math.Sin(at.Seconds()/3)
	for n := w.poisson(load * d); n > 0; n-- {
		outcome, code := "ok", "200"
		switch x := w.rng.Float64(); {
		case x < .01+.12*behind:
			outcome, code = "timeout", "504"
		case x < .02+.12*behind:
			outcome, code = "client_disconnect", "499"
		}
		w.requests.WithLabelValues(model, "chat", "true", outcome, code).Inc()
		first := w.about(.18+.02*load, .25) * (1 + 6*behind*w.rng.Float64())
		output := 40 + w.rng.IntN(160)
		gap := .011 + .0012*load
		w.ttft.WithLabelValues(model, "chat").Observe(first)
		for range output / 8 { // every eighth gap will do
			w.itl.WithLabelValues(model, "chat").Observe(w.about(gap, .3))
		}
		w.duration.WithLabelValues(model, "chat").Observe(first + gap*float64(output))
		w.tokens.WithLabelValues(model, "input").Add(float64(100 + w.rng.IntN(900)))
		w.tokens.WithLabelValues(model, "output").Add(float64(output))
	}
	w.inFlight.WithLabelValues(model, "chat").Set(math.Round(load * (1.6 + 3*behind) * w.about(1, .08)))
	w.waiting.WithLabelValues(model).Set(math.Floor(max(0, load-6)*2 + 14*behind))
	w.kv.WithLabelValues(model).Set(min(.98, .2+.06*load+.35*behind))
}

// heat makes up the GPUs: they warm up slowly, and one has a worse place in the rack.
func (w *world) heat(at, d time.Duration) {
	for i := range gpus {
		id := fmt.Sprint(i)
		busy := min(1, max(0, .88+.08*math.Sin(at.Seconds()/9+float64(i))+.02*w.rng.NormFloat64()))
		if w.training.saving() {
			busy *= .15
		}
		power := 110 + 520*busy
		goal := 30 + power/14 + 6*float64(i)
		w.celsius[i] += (goal - w.celsius[i]) * min(1, d.Seconds()/20)
		w.busy.WithLabelValues(id).Set(busy)
		w.power.WithLabelValues(id).Set(power)
		w.temperature.WithLabelValues(id).Set(math.Round(w.celsius[i]))
		w.memory.WithLabelValues(id).Set((61 + float64(i) + 2*busy) * (1 << 30))
	}
}

// about is a positive number near mean.
func (w *world) about(mean, spread float64) float64 {
	return mean * math.Exp(spread*w.rng.NormFloat64())
}

// poisson is how many of mean expected events happened.
func (w *world) poisson(mean float64) (n int) {
	for p := w.rng.Float64(); p > math.Exp(-mean); n++ {
		p *= w.rng.Float64()
	}
	return n
}
