package calm_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// chat is the user's handler: it streams "Hello" a letter at a time.
func chat(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(data string) {
		fmt.Fprintf(w, "data: %s\n\n", data)
		http.NewResponseController(w).Flush()
	}
	send(`{"model":"tiny","choices":[{"delta":{"role":"assistant","content":""}}]}`)
	for _, letter := range "Hello" {
		time.Sleep(time.Millisecond)
		send(fmt.Sprintf(`{"model":"tiny","choices":[{"delta":{"content":%q}}]}`, string(letter)))
	}
	send(`{"model":"tiny","choices":[{"delta":{},"finish_reason":"stop"}]}`)
	send(`{"model":"tiny","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}`)
	send(`[DONE]`)
}

// ask is a client that reads one answer to its end.
func ask(base string) {
	res, err := http.Post(base+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"tiny","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}`))
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
}

// show prints the lines of a page that begin with one of the prefixes.
func show(w io.Writer, url string, prefixes ...string) {
	res, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		for _, p := range prefixes {
			if strings.HasPrefix(lines.Text(), p) && !strings.HasSuffix(lines.Text(), " 0") {
				fmt.Fprintln(w, lines.Text())
			}
		}
	}
}

func Example() {
	reg := prometheus.NewRegistry()
	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	if err != nil {
		log.Fatal(err)
	}
	rec, err := observe.New(observe.Config{
		Sinks: []observe.Sink{prom},
		SLO:   observe.SLO{TTFT: 500 * time.Millisecond},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", rec.Middleware(http.HandlerFunc(chat))) // your handler
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	server := httptest.NewServer(mux) // or http.ListenAndServe
	defer server.Close()

	ask(server.URL) // a client streams an answer of five tokens
	show(os.Stdout, server.URL+"/metrics", "llm_server_requests_total", "llm_server_tokens_total", "llm_server_slo_total",
		"gen_ai_server_time_to_first_token_seconds_count", "llm_server_inter_token_latency_seconds_count")
	// Output:
	// gen_ai_server_time_to_first_token_seconds_count{error_type="",model="tiny",operation="chat"} 1
	// llm_server_inter_token_latency_seconds_count{model="tiny",operation="chat"} 4
	// llm_server_requests_total{code="200",model="tiny",operation="chat",outcome="ok",stream="true"} 1
	// llm_server_slo_total{model="tiny",objective="ttft",result="met"} 1
	// llm_server_tokens_total{model="tiny",type="input"} 3
	// llm_server_tokens_total{model="tiny",type="output"} 5
}

// canary stands for whatever wants to know how requests of a version end.
type canary struct {
	mu       sync.Mutex
	good, of int
}

func (c *canary) observe(good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of++
	if good {
		c.good++
	}
}

func Example_join() {
	var release canary // yours, or a package that does not know observe
	rec, err := observe.New(observe.Config{
		OnRequest: func(r observe.RequestStats) {
			release.observe(r.Outcome == observe.OutcomeOK && r.TTFT < time.Second)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(rec.Middleware(http.HandlerFunc(chat)))
	ask(server.URL)
	server.Close()
	fmt.Println(release.good, "of", release.of)
	// Output: 1 of 1
}

func Example_engine() {
	rec, err := observe.New(observe.Config{
		OnRequest: func(r observe.RequestStats) {
			fmt.Println(r.Outcome, r.TokenEvents, "tokens,", r.Has(observe.FieldQueue), r.Has(observe.FieldPrefill))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	slots := make(chan struct{}, 1)
	decode := func(w http.ResponseWriter, r *http.Request) {
		req := observe.FromContext(r.Context())
		req.Queued()
		slots <- struct{}{}
		req.Scheduled()
		defer func() { <-slots }()
		chat(w, r)
	}
	server := httptest.NewServer(rec.Middleware(http.HandlerFunc(decode)))
	ask(server.URL)
	server.Close()
	// Output: ok 5 tokens, true true
}
