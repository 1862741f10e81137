package observeprom_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrape prints the lines of a scrape that have all of the words.
func scrape(reg prometheus.Gatherer, words ...string) {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
lines:
	for line := range strings.Lines(w.Body.String()) {
		for _, word := range words {
			if line[0] == '#' || !strings.Contains(line, word) {
				continue lines
			}
		}
		fmt.Print(line)
	}
}

func ExampleNewServing() {
	reg := prometheus.NewRegistry()
	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	if err != nil {
		fmt.Println(err)
		return
	}
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{prom}})
	if err != nil {
		fmt.Println(err)
		return
	}
	chat := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range []string{"Hello", " world"} {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", word)
		}
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
	}))
	body := strings.NewReader(`{"model":"llama","stream":true}`)
	chat.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", body))

	scrape(reg, "llm_server_requests_total", `stream="true"`)
	scrape(reg, "llm_server_tokens_total")
	scrape(reg, "time_to_first_token_seconds_count")
	scrape(reg, "inter_token_latency_seconds_count")
	// Output:
	// llm_server_requests_total{code="200",model="llama",operation="chat",outcome="ok",stream="true"} 1
	// llm_server_tokens_total{model="llama",type="input"} 9
	// llm_server_tokens_total{model="llama",type="output"} 2
	// gen_ai_server_time_to_first_token_seconds_count{error_type="",model="llama",operation="chat"} 1
	// llm_server_inter_token_latency_seconds_count{model="llama",operation="chat"} 1
}

// What is in flight is read from the Recorder at the moment of the scrape.
func ExampleServing() {
	prom, _ := observeprom.NewServing(observeprom.ServingConfig{})
	reg := prometheus.NewRegistry()
	reg.MustRegister(prom)
	rec, _ := observe.New(observe.Config{Sinks: []observe.Sink{prom}})

	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "llama", Operation: observe.OperationChat})
	req.Queued()
	scrape(reg, "llm_server_requests_in_flight")
	scrape(reg, "llm_server_requests_waiting")
	req.End(context.Canceled)
	scrape(reg, "llm_server_requests_in_flight")
	scrape(reg, "llm_server_requests_total", "client_disconnect")
	// Output:
	// llm_server_requests_in_flight{model="llama",operation="chat"} 1
	// llm_server_requests_waiting{model="llama"} 1
	// llm_server_requests_in_flight{model="llama",operation="chat"} 0
	// llm_server_requests_total{code="none",model="llama",operation="chat",outcome="client_disconnect",stream="false"} 1
}

// All faults are reported at once.
func ExampleServingConfig() {
	_, err := observeprom.NewServing(observeprom.ServingConfig{
		ConstLabels: prometheus.Labels{"cluster": "eu-1", "model": "llama"},
		Buckets:     observeprom.Buckets{ITL: []float64{.01, .005}},
	})
	fmt.Println(err)
	// Output:
	// observeprom: ServingConfig.Buckets.ITL[1] = 0.005: want more than the 0.01 before it
	// observeprom: ServingConfig.ConstLabels["model"] = "llama": the name is a label of gen_ai_server_request_duration_seconds already
}

// Fewer bounds are fewer series: a wait of four seconds between 1 and 10.
func ExampleBuckets() {
	reg := prometheus.NewRegistry()
	prom, _ := observeprom.NewServing(observeprom.ServingConfig{
		Registerer: reg,
		Buckets:    observeprom.Buckets{Queue: []float64{1, 10, 60}},
	})
	rec, _ := observe.New(observe.Config{Sinks: []observe.Sink{prom}})
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "llama", Received: time.Now().Add(-4 * time.Second)})
	req.Scheduled()
	req.End(nil)
	scrape(reg, "llm_server_queue_duration_seconds_bucket")
	// Output:
	// llm_server_queue_duration_seconds_bucket{model="llama",priority="",result="scheduled",le="1"} 0
	// llm_server_queue_duration_seconds_bucket{model="llama",priority="",result="scheduled",le="10"} 1
	// llm_server_queue_duration_seconds_bucket{model="llama",priority="",result="scheduled",le="60"} 1
	// llm_server_queue_duration_seconds_bucket{model="llama",priority="",result="scheduled",le="+Inf"} 1
}
