package observe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/calmops/calm/observe"
)

// One streamed answer, and what is known of it when it ends.
func Example() {
	rec, err := observe.New(observe.Config{
		OnRequest: func(s observe.RequestStats) {
			fmt.Println("model:", s.Model)
			fmt.Println("first token after 20 ms or more:", s.TTFT >= 20*time.Millisecond)
			fmt.Println("gaps between tokens:", s.Gaps)
			fmt.Println("tokens in, out:", s.Usage.Input, s.Usage.Output)
			fmt.Println("outcome:", s.Outcome)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	chat := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush() // a byte, and no token
		time.Sleep(20 * time.Millisecond)
		for _, word := range []string{"Hello", ", ", "world"} {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", word)
		}
		fmt.Fprint(w, `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}`, "\n\n", "data: [DONE]\n\n")
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", rec.Middleware(http.HandlerFunc(chat)))

	post(mux, "/v1/chat/completions", `{"model":"tiny","stream":true}`)
	// Output:
	// model: tiny
	// first token after 20 ms or more: true
	// gaps between tokens: 2
	// tokens in, out: 9 3
	// outcome: ok
}

// post asks a handler something, as a client would.
func post(h http.Handler, path, body string) {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// newRecorder makes a Recorder that calls f for each finished request.
func newRecorder(f func(observe.RequestStats)) *observe.Recorder {
	rec, err := observe.New(observe.Config{OnRequest: f})
	if err != nil {
		panic(err)
	}
	return rec
}

func ExampleNew() {
	_, err := observe.New(observe.Config{
		Models:    []string{"tiny", "tiny"},
		PeekBytes: -1,
		SLO:       observe.SLO{TTFT: -time.Second},
	})
	fmt.Println(err)
	// Output:
	// observe: Config.Models[1] = "tiny" is listed twice
	// observe: Config.PeekBytes = -1 is negative
	// observe: Config.SLO.TTFT = -1s is negative
}

func ExampleConfig() {
	rec, err := observe.New(observe.Config{
		Models: []string{"tiny", "large"}, // a client that asks for another reads "other"
		Classify: func(r *http.Request) (observe.RequestInfo, bool) {
			return observe.RequestInfo{Priority: r.Header.Get("X-Priority")}, r.URL.Path != "/healthz"
		},
		OnRequest: func(s observe.RequestStats) { fmt.Println(s.Model, s.RequestModel) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := rec.Middleware(http.NotFoundHandler())
	post(h, "/v1/completions", `{"model":"tiny"}`)
	post(h, "/v1/completions", `{"model":"made-up"}`)
	post(h, "/healthz", "")
	fmt.Println("without a place:", rec.Losses().ModelOverflow)
	// Output:
	// tiny tiny
	// other made-up
	// without a place: 1
}

func ExampleRecorder_Handler() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Operation, s.Provider, s.Route) })
	rerank := observe.RequestInfo{Operation: "rerank", Provider: "acme"}
	mux := http.NewServeMux()
	mux.Handle("POST /rerank", rec.Handler(rerank, http.NotFoundHandler()))
	post(mux, "/rerank", "{}")
	// Output: rerank acme /rerank
}

// An engine in the same process, without HTTP.
func ExampleRecorder_Start() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Model, s.TokenEvents, s.Outcome) })
	generate := func(ctx context.Context) (err error) {
		ctx, req := rec.Start(ctx, observe.RequestInfo{Model: "tiny", Operation: observe.OperationChat})
		defer func() { req.End(err) }()
		for range 3 {
			req.Token(1)
		}
		return ctx.Err()
	}
	_ = generate(context.Background())
	// Output: tiny 3 ok
}

func ExampleRecorder_Func() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Outcome, s.ErrorType, s.Err) })
	info := observe.RequestInfo{Model: "tiny", Operation: observe.OperationEmbeddings}
	err := rec.Func(context.Background(), info, func(_ context.Context, req *observe.Request) error {
		req.SetErrorType("out_of_memory")
		return errors.New("cuda: out of memory")
	})
	fmt.Println(err)
	// Output:
	// server_error out_of_memory cuda: out of memory
	// cuda: out of memory
}

// Marks for queue and prefill time. A time can be given where it was taken
// elsewhere, as by an engine that reports late.
func ExampleRequest() {
	rec := newRecorder(func(s observe.RequestStats) {
		fmt.Println("TTFT", s.TTFT, "decode", s.Decode, "TPOT", s.TPOT, "tenant", s.Value)
		fmt.Println("waited:", s.Has(observe.FieldQueue), "preemptions:", s.Preemptions)
	})
	arrival := time.Now().Add(-time.Second)
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "tiny", Received: arrival})
	req.SetValue("acme")
	req.Queued()
	req.Scheduled()
	for i := range 5 {
		req.TokenAt(1, arrival.Add(time.Duration(300+20*i)*time.Millisecond))
	}
	req.SetUsage(observe.Usage{Input: 9, Output: 5})
	req.SetFinishReason("stop")
	req.End(nil)
	// Output:
	// TTFT 300ms decode 80ms TPOT 20ms tenant acme
	// waited: true preemptions: 0
}

func ExampleFromContext() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Model) })
	h := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		observe.FromContext(r.Context()).SetModel("tiny:v2") // an alias was resolved
	}))
	post(h, "/v1/chat/completions", `{"model":"tiny"}`)
	// Output: tiny:v2
}

func ExampleUsage() {
	rec := newRecorder(func(s observe.RequestStats) {
		fmt.Printf("%+v\n", s.Usage)
		fmt.Println(s.InputSource, s.OutputSource)
	})
	h := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"type":"message","usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":4}}`)
	}))
	post(h, "/v1/messages", `{"model":"tiny"}`)
	// Output:
	// {Input:100 Output:4 CachedInput:90 CacheWriteInput:0 ReasoningOutput:0}
	// usage usage
}

// The same stream under the three definitions of a first token.
func ExampleFirstToken() {
	for _, mode := range []observe.FirstToken{observe.FirstTokenChunk, observe.FirstTokenOutput, observe.FirstTokenContent} {
		rec, err := observe.New(observe.Config{FirstToken: mode, OnRequest: func(s observe.RequestStats) {
			fmt.Println("token events:", s.TokenEvents)
		}})
		if err != nil {
			fmt.Println(err)
			return
		}
		post(rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, `data: {"choices":[{"delta":{"role":"assistant","content":""}}]}`+"\n\n")
			io.WriteString(w, `data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}`+"\n\n")
			io.WriteString(w, `data: {"choices":[{"delta":{"content":"42"}}]}`+"\n\n")
		})), "/v1/chat/completions", `{}`)
	}
	// Output:
	// token events: 3
	// token events: 2
	// token events: 1
}

func ExampleOutcome() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Outcome, s.Code) })
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") },
		func(w http.ResponseWriter, r *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) },
		func(w http.ResponseWriter, r *http.Request) { panic("boom") },
	} {
		func() {
			defer func() { _ = recover() }() // net/http does so, too: the panic goes on
			post(rec.Middleware(h), "/", "")
		}()
	}
	// Output:
	// ok 200
	// client_error 429
	// panic none
}

func ExampleSLO() {
	rec, err := observe.New(observe.Config{
		SLO: observe.SLO{TTFT: 500 * time.Millisecond, TPOT: 50 * time.Millisecond},
		OnRequest: func(s observe.RequestStats) {
			fmt.Printf("ttft %v, tpot %v, duration %q\n", s.SLO.TTFT, s.SLO.TPOT, s.SLO.Duration)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	arrival := time.Now().Add(-time.Minute)
	_, req := rec.Start(context.Background(), observe.RequestInfo{Received: arrival})
	req.TokenAt(1, arrival.Add(400*time.Millisecond))
	req.TokenAt(1, arrival.Add(480*time.Millisecond))
	req.SetUsage(observe.Usage{Output: 2})
	req.End(nil)
	// Output: ttft met, tpot missed, duration ""
}

func ExampleAttainment() {
	met, counted := 0, 0
	rec, err := observe.New(observe.Config{
		SLO: observe.SLO{Duration: time.Minute},
		OnRequest: func(s observe.RequestStats) {
			if s.SLO.Duration != observe.SLONotCounted {
				counted++
			}
			if s.SLO.Duration == observe.SLOMet {
				met++
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, err := range []error{nil, nil, nil, errors.New("failed"), context.Canceled} {
		_, req := rec.Start(context.Background(), observe.RequestInfo{})
		req.End(err)
	}
	fmt.Printf("%d of %d\n", met, counted)
	// Output: 3 of 4
}

func ExampleRequestStats_LogValue() {
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: drop}))
	rec := newRecorder(func(s observe.RequestStats) { log.Info("request", "req", s) })
	arrival := time.Now().Add(-time.Second)
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "tiny", Received: arrival})
	req.TokenAt(1, arrival.Add(250*time.Millisecond))
	req.End(nil)
	// Output: level=INFO msg=request req.model=tiny req.operation=other req.provider=custom req.outcome=ok req.stream=true req.ttft=0.25 req.decode=0
}

// A sink of one's own: the gaps of all streams, live.
type gapSink struct{ n *int }

func (s gapSink) Attach(*observe.Recorder)                       {}
func (s gapSink) Series(observe.Labels) observe.SeriesSink       { return s }
func (s gapSink) Gaps(gaps []time.Duration)                      { *s.n += len(gaps) }
func (s gapSink) Request(context.Context, *observe.RequestStats) {}

func ExampleSink() {
	n := 0
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{gapSink{&n}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, req := rec.Start(context.Background(), observe.RequestInfo{})
	for range 100 {
		req.Token(1)
	}
	fmt.Println("while it runs:", n)
	req.End(nil)
	fmt.Println("at the end:", n)
	// Output:
	// while it runs: 64
	// at the end: 99
}

func ExampleEngine() {
	rec := newRecorder(nil)
	engine := rec.Engine("tiny")
	engine.SetKVUsage(0.75)
	engine.SetCache(16, 4096)
	engine.AddPrefixCache(1000, 600)
	engine.SetLoRA(observe.LoRA{Max: 4, Running: []string{"legal"}})
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "tiny"})
	req.Queued()
	for s := range rec.Engines() {
		fmt.Println(s.Model, "running", s.Running, "waiting", s.Waiting, "kv", s.KVUsage, "prefix hits", s.PrefixHits, "of", s.PrefixQueries, s.LoRA.Running)
	}
	req.End(nil)
	// Output: tiny running 0 waiting 1 kv 0.75 prefix hits 600 of 1000 [legal]
}

func ExampleLive() {
	rec := newRecorder(nil)
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "tiny", Operation: observe.OperationChat})
	for l := range rec.Live() {
		fmt.Println(l.Model, l.Operation, l.InFlight, l.Waiting)
	}
	req.End(nil)
	for l := range rec.Live() {
		fmt.Println(l.Model, l.Operation, l.InFlight, l.Waiting)
	}
	// Output:
	// tiny chat 1 0
	// tiny chat 0 0
}

func ExampleServed() {
	rec := newRecorder(nil)
	rec.SetServed(observe.Served{Model: "tiny", Version: "v1", Commit: "3f2a"})
	rec.SetServed(observe.Served{Model: "tiny", Version: "v2", Checkpoint: "sha256:9c1d", Commit: "3f2a"})
	for s := range rec.Served() {
		fmt.Println(s.Model, s.Version, s.Checkpoint, s.Commit)
	}
	// Output: tiny v2 sha256:9c1d 3f2a
}

func ExampleLosses() {
	rec := newRecorder(func(observe.RequestStats) { panic("a bug in a callback") })
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "not\x00a name"})
	req.End(nil)
	fmt.Printf("%+v\n", rec.Losses())
	// Output: {ModelOverflow:1 LabelOverflow:0 BadEvents:0 TruncatedEvents:0 ClockSteps:0 CallbackPanics:1}
}

func ExampleMetrics() {
	for _, m := range observe.Metrics() {
		if m.Kind == observe.KindHistogram && len(m.Labels) == 2 {
			fmt.Println(m.Prometheus, m.Unit, m.Labels)
		}
	}
	// Output:
	// gen_ai_server_time_per_output_token_seconds s [model operation]
	// llm_server_inter_token_latency_seconds s [model operation]
	// llm_server_time_to_first_byte_seconds s [model operation]
	// llm_server_time_to_first_content_seconds s [model operation]
}

func ExampleProtocol() {
	rec := newRecorder(func(s observe.RequestStats) { fmt.Println(s.Protocol, s.Provider, s.TokenEvents) })
	post(rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, `{"model":"tiny","response":"Hi","done":false}`+"\n")
	})), "/generate", "")
	// Output: ollama ollama 1
}
