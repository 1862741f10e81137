package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/calmops/calm/observe"
)

// The classes of requests; each asks for the model of its name.
const (
	classChat       = "chat"       // a stream of chat completions
	classOllama     = "ollama"     // NDJSON
	classUnstreamed = "unstreamed" // one JSON answer
	classPanics     = "panics"     // the handler panics after some tokens
	classFails      = "fails"      // an error event inside the stream
	classLeaves     = "leaves"     // the client leaves after some tokens
)

var classes = []string{classChat, classOllama, classUnstreamed, classPanics, classFails, classLeaves}

// simulation stands for a model: it knows how long tokens take, and no words.
type simulation struct {
	slots chan struct{} // two answers at a time; others wait
	mu    sync.Mutex
	rng   *rand.Rand
}

func newSimulation() *simulation {
	return &simulation{slots: make(chan struct{}, 2), rng: rand.New(rand.NewPCG(1, 1))}
}

// plan is the timing of one answer.
type plan struct {
	first time.Duration
	gaps  []time.Duration
}

func (s *simulation) plan() plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := plan{first: time.Duration(80+s.rng.IntN(220)) * time.Millisecond, gaps: make([]time.Duration, 19+s.rng.IntN(40))}
	for i := range p.gaps {
		p.gaps[i] = time.Duration(2000+s.rng.IntN(6000)) * time.Microsecond
	}
	return p
}

// ServeHTTP answers a request of any class.
func (s *simulation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Model  string
		Stream bool
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, `{"error":{"message":"not JSON"}}`, http.StatusBadRequest)
		return
	}
	send := sender(w, ask.Model)
	if ask.Stream {
		send.prelude()
	}

	// The wait for a slot, marked for the queue and prefill times.
	req := observe.FromContext(r.Context())
	req.Queued()
	select {
	case s.slots <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	defer func() { <-s.slots }()
	req.Scheduled()

	p := s.plan()
	time.Sleep(p.first)
	n := len(p.gaps) + 1
	if !ask.Stream {
		for _, g := range p.gaps {
			time.Sleep(g)
		}
		send.whole(n)
		return
	}
	for i := range n {
		if i > 0 {
			time.Sleep(p.gaps[i-1])
		}
		if i == 8 {
			switch ask.Model {
			case classPanics:
				panic("simulated fault of the engine")
			case classFails:
				send.failure()
				return
			}
		}
		if send.token(i) != nil {
			return // the client has left
		}
	}
	send.end(n)
}

// answer writes the events of one dialect.
type answer struct {
	w      http.ResponseWriter
	flush  func() error
	model  string
	ndjson bool
}

func sender(w http.ResponseWriter, model string) *answer {
	return &answer{w: w, flush: http.NewResponseController(w).Flush, model: model, ndjson: model == classOllama}
}

func (a *answer) write(text string) error {
	if _, err := a.w.Write([]byte(text)); err != nil {
		return err
	}
	return a.flush()
}

// prelude is what many servers send at once: it is no token.
func (a *answer) prelude() {
	if a.ndjson {
		a.w.Header().Set("Content-Type", "application/x-ndjson")
		return
	}
	a.w.Header().Set("Content-Type", "text/event-stream")
	a.write(fmt.Sprintf(`data: {"model":%q,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`, a.model) + "\n\n")
	a.write(": keep-alive\n\n")
}

func (a *answer) token(i int) error {
	if a.ndjson {
		return a.write(fmt.Sprintf(`{"model":%q,"message":{"role":"assistant","content":"t%d "},"done":false}`, a.model, i) + "\n")
	}
	return a.write(fmt.Sprintf(`data: {"model":%q,"choices":[{"index":0,"delta":{"content":"t%d "},"finish_reason":null}]}`, a.model, i) + "\n\n")
}

func (a *answer) failure() {
	a.write(`data: {"error":{"type":"overloaded","message":"simulated"}}` + "\n\n")
}

func (a *answer) end(n int) {
	if a.ndjson {
		a.write(fmt.Sprintf(`{"model":%q,"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":%d}`, a.model, n) + "\n")
		return
	}
	a.write(fmt.Sprintf(`data: {"model":%q,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, a.model) + "\n\n")
	a.write(fmt.Sprintf(`data: {"model":%q,"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d}}`, a.model, n) + "\n\n")
	a.write("data: [DONE]\n\n")
}

func (a *answer) whole(n int) {
	a.w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(a.w, `{"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"..."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":%d}}`, a.model, n)
}
