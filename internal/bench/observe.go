package main

import (
	"net/http"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// Names of the cases of package observe.
const (
	bare      = "bare"      // the handler alone
	ours      = "observe"   // package observe with observeprom, all metrics
	promChain = "promhttp"  // client_golang's own middleware, four of them
	otel      = "otelhttp"  // with metrics of the SDK, no traces
	unmarshal = "unmarshal" // json.Unmarshal of every chunk
	tee       = "tee"       // copy of the whole body, decoded at the end
	readClock = "time.Since"
)

func observeSuites() []Suite {
	return []Suite{observeJSON(), observeSSE(), observeStreams(), observeLoopback(), observeRecord(), observeOTel(), observeAllocs(), observeParallel()}
}

// observeJSON is one JSON chat answer.
func observeJSON() Suite {
	const longPrompt, bareLong = "observe, 4 KiB prompt", "bare, 4 KiB prompt"
	return Suite{
		Name: "observe.json",
		Claims: []Claim{
			{Name: "observe.json.clock", Doc: "added to a JSON answer by observe with observeprom / one time.Since",
				Ours: Added(ours, bare), Peer: Of(readClock), Bar: 24.5},
			{Name: "observe.json.otelhttp", Doc: "the same / added by otelhttp with SDK metrics",
				Ours: Added(ours, bare), Peer: Added(otel, bare), Bar: 0.20},
			{Name: "observe.json.promhttp", Doc: "the same / added by promhttp: in flight, duration, counter, response size",
				Ours: Added(ours, bare), Peer: Added(promChain, bare), Bar: 0.55},
			{Name: "observe.json.prompt", Doc: "added where 4 KiB of prompt precede the model's name / the same with 64 B",
				Ours: Added(longPrompt, bareLong), Peer: Added(ours, bare), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			long := answer()
			long.body = prompt(4 << 10)
			b := caseBuilder{}
			b.add(bare, answer(), plain)
			b.add(ours, answer(), b.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
			b.add(promChain, answer(), b.must(withPromhttp()))
			b.add(otel, answer(), b.must(withOtelhttp()))
			b.add(bareLong, long, plain)
			b.add(longPrompt, long, b.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
			b.cases = append(b.cases, clockCase())
			return b.cases, func() {}, b.err
		},
	}
}

// observeSSE is a stream of chat chunks.
func observeSSE() Suite {
	const native, self, vllm = "observe, native histograms", "observe, MeasureSelf", "observe, VLLMAll"
	return Suite{
		Name: "observe.sse",
		Claims: []Claim{
			{Name: "observe.sse.clock", Doc: "added to a stream of 256 chunks by observe with observeprom / 257 time.Since",
				Ours: Added(ours, bare), Peer: Cost{Case: readClock, Times: events + 1}, Bar: 3.2},
			{Name: "observe.sse.otelhttp", Doc: "the same / added by otelhttp with SDK metrics, which sees no tokens",
				Ours: Added(ours, bare), Peer: Added(otel, bare), Bar: 2.1},
			{Name: "observe.sse.unmarshal", Doc: "the same / added by json.Unmarshal of every chunk",
				Ours: Added(ours, bare), Peer: Added(unmarshal, bare), Bar: 0.07},
			{Name: "observe.sse.promhttp", Doc: "the same / added by the promhttp chain, which sees no tokens",
				Ours: Added(ours, bare), Peer: Added(promChain, bare), Open: true},
			{Name: "observe.sse.tee", Doc: "the same / added by a copy of the whole body, decoded at the end",
				Ours: Added(ours, bare), Peer: Added(tee, bare), Open: true},
			{Name: "observe.sse.native", Doc: "added with native histograms / without",
				Ours: Added(native, bare), Peer: Added(ours, bare), Open: true},
			{Name: "observe.sse.self", Doc: "added with MeasureSelf / without",
				Ours: Added(self, bare), Peer: Added(ours, bare), Open: true},
			{Name: "observe.sse.vllm", Doc: "added with the metrics of vLLM too / without",
				Ours: Added(vllm, bare), Peer: Added(ours, bare), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			w := chat(events)
			b := caseBuilder{}
			b.add(bare, w, plain)
			b.add(ours, w, b.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
			b.add(promChain, w, b.must(withPromhttp()))
			b.add(otel, w, b.must(withOtelhttp()))
			b.add(unmarshal, w, withUnmarshal)
			b.add(tee, w, withTee)
			b.add(native, w, b.must(withObserve(observe.Config{}, observeprom.ServingConfig{NativeHistograms: true})))
			b.add(self, w, b.must(withObserve(observe.Config{MeasureSelf: true}, observeprom.ServingConfig{})))
			b.add(vllm, w, b.must(withObserve(observe.Config{}, observeprom.ServingConfig{VLLM: observeprom.VLLM{Level: observeprom.VLLMAll}})))
			b.cases = append(b.cases, clockCase())
			return b.cases, func() {}, b.err
		},
	}
}

// observeStreams are the other dialects.
func observeStreams() Suite {
	s := Suite{Name: "observe.stream"}
	kinds := []struct {
		name, doc string
		make      func() workload
	}{
		{"crlf", "chat chunks whose lines end with CR LF", crlf},
		{"responses", "256 text deltas of the Responses API", responses},
		{"anthropic", "256 text deltas of the Messages API", anthropic},
		{"ollama", "256 lines of ollama's chat, NDJSON", ollama},
	}
	for _, k := range kinds {
		s.Claims = append(s.Claims, Claim{Name: "observe.stream." + k.name, Doc: "added to " + k.doc + " / added to 256 chat chunks",
			Ours: Added(k.name, k.name+", bare"), Peer: Added(ours, bare), Open: true})
	}
	s.Cases = func() ([]Case, func(), error) {
		b := caseBuilder{}
		b.add(bare, chat(events), plain)
		b.add(ours, chat(events), b.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
		for _, k := range kinds {
			b.add(k.name+", bare", k.make(), plain)
			b.add(k.name, k.make(), b.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
		}
		return b.cases, func() {}, b.err
	}
	return s
}

// A caseBuilder gathers cases, and what went wrong with them.
type caseBuilder struct {
	cases []Case
	err   error
}

// must returns the middleware, or notes the error.
func (b *caseBuilder) must(m middleware, err error) middleware {
	if err != nil {
		b.err = err
		return plain
	}
	return m
}

func (b *caseBuilder) add(name string, w workload, m middleware) {
	b.cases = append(b.cases, Case{Name: name, Run: w.served(m(w.handler()))})
}

// plain is no middleware.
func plain(h http.Handler) http.Handler { return h }

// clockCase reads the clock as package observe does for each token.
func clockCase() Case {
	start := time.Now()
	return Case{Name: readClock, Run: func(n int) {
		for range n {
			_ = time.Since(start)
		}
	}}
}
