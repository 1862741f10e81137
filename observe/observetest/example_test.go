package observetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
)

// A handler is played by a script, and what was observed of it is kept.
func ExamplePlay() {
	sink := observetest.NewMemory()
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{sink}})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err := observetest.Play(w, `
			header 200 text/event-stream
			write "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
			1ms write "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
			write "data: [DONE]\n\n"
		`)
		if err != nil {
			fmt.Println(err)
		}
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil))

	for _, r := range sink.Requests() {
		fmt.Println(r.Operation, r.Outcome, r.FinishReason, r.TokenEvents)
	}
	// Output:
	// chat ok stop 1
}

func ExampleMemory() {
	sink := observetest.NewMemory()
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{sink}})
	if err != nil {
		fmt.Println(err)
		return
	}
	arrival := time.Now().Add(-time.Second)
	_, req := rec.Start(context.Background(), observe.RequestInfo{Model: "llama", Received: arrival})
	req.TokenAt(1, arrival.Add(300*time.Millisecond))
	req.TokenAt(1, arrival.Add(320*time.Millisecond))
	req.TokenAt(2, arrival.Add(360*time.Millisecond))
	req.End(nil)

	r := sink.Requests()[0]
	fmt.Println(r.Model, r.TTFT, sink.Gaps(r.Labels))
	// Output:
	// llama 300ms [20ms 20ms 20ms]
}

// countingSink is a small sink of one metric.
type countingSink struct {
	mu    sync.Mutex
	total map[string]float64 // by outcome
}

func (c *countingSink) Attach(*observe.Recorder)                 {}
func (c *countingSink) Series(observe.Labels) observe.SeriesSink { return c }
func (c *countingSink) Gaps([]time.Duration)                     {}
func (c *countingSink) Request(_ context.Context, r *observe.RequestStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total[r.Outcome.String()]++
}

// read tells the suite what the sink exports: requests, in all and by outcome.
func (c *countingSink) read(m observe.MetricID, labels map[string]string) (observetest.Reading, bool) {
	outcome, byOutcome := labels["outcome"]
	if m != observe.MetricRequests || len(labels) > 1 || len(labels) == 1 && !byOutcome {
		return observetest.Reading{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum float64
	for o, n := range c.total {
		if !byOutcome || o == outcome {
			sum += n
		}
	}
	return observetest.Reading{Sum: sum}, true
}

func newCountingHarness(*testing.T) observetest.Harness {
	c := &countingSink{total: make(map[string]float64)}
	return observetest.Harness{Sink: c, Read: c.read}
}

// The whole test of a sink.
func TestCountingSink(t *testing.T) {
	observetest.TestSink(t, newCountingHarness)
}

// A Harness is a sink and a way to read it.
func ExampleHarness() {
	h := newCountingHarness(nil)
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{h.Sink}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, err := range []error{nil, nil, context.Canceled} {
		_, req := rec.Start(context.Background(), observe.RequestInfo{})
		req.End(err)
	}
	fmt.Println(h.Read(observe.MetricRequests, nil))
	fmt.Println(h.Read(observe.MetricRequests, map[string]string{"outcome": "ok"}))
	fmt.Println(h.Read(observe.MetricTokens, nil))
	// Output:
	// {0 3} true
	// {0 2} true
	// {0 0} false
}

// A Reading of a histogram has both fields, one of a counter or gauge the sum.
func ExampleReading() {
	ttft := observetest.Reading{Count: 2, Sum: 0.3 + 0.5} // two first tokens, after 300 and 500 ms
	requests := observetest.Reading{Sum: 2}
	fmt.Println(ttft, requests)
	// Output:
	// {2 0.8} {0 2}
}
