package observetest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/calmops/calm/observe"
)

// scene is one run of a case: the sink, the Recorders that feed it, and what
// they said.
type scene struct {
	harness Harness

	mu        sync.Mutex
	recorders []*observe.Recorder
	stats     []observe.RequestStats
	sent      int             // requests begun; each must end once
	extra     []func(*ledger) // what was given to the sink without a Recorder
	panics    uint64          // callbacks of the suite that panicked
	faults    []string
}

func (s *scene) faultf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// recorder makes a Recorder that feeds the sink.
func (s *scene) recorder(cfg observe.Config) *observe.Recorder {
	after := cfg.OnRequest
	cfg.Sinks = []observe.Sink{s.harness.Sink}
	cfg.OnRequest = func(r observe.RequestStats) {
		s.mu.Lock()
		s.stats = append(s.stats, r)
		s.mu.Unlock()
		if after != nil {
			after(r)
		}
	}
	r, err := observe.New(cfg)
	if err != nil {
		panic(err) // a fault of the suite
	}
	s.recorders = append(s.recorders, r)
	return r
}

// start begins a request as an engine does.
func (s *scene) start(r *observe.Recorder, info observe.RequestInfo) *observe.Request {
	s.begin(1)
	_, q := r.Start(context.Background(), info)
	return q
}

// begin counts n requests.
func (s *scene) begin(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += n
}

// call is one HTTP request.
type call struct {
	ctx     context.Context     // Defaults to the background.
	path    string              // Defaults to /v1/chat/completions.
	body    string              // Defaults to one that asks for model m.
	writer  http.ResponseWriter // Defaults to an httptest.ResponseRecorder.
	script  []string            // Played, if there is no handler.
	handler http.HandlerFunc
}

// boom is what a handler of the suite panics with.
const boom = "boom"

// serve lets the middleware serve a call, on a goroutine of its own: the handler
// may panic or exit it.
func (s *scene) serve(r *observe.Recorder, c call) {
	if c.ctx == nil {
		c.ctx = context.Background()
	}
	if c.path == "" {
		c.path = "/v1/chat/completions"
	}
	if c.body == "" {
		c.body = `{"model":"m","messages":[]}`
	}
	if c.writer == nil {
		c.writer = httptest.NewRecorder()
	}
	if c.handler == nil {
		c.handler = func(w http.ResponseWriter, _ *http.Request) { s.play(w, c.script...) }
	}
	req := httptest.NewRequestWithContext(c.ctx, http.MethodPost, c.path, strings.NewReader(c.body))
	req.Header.Set("Content-Type", "application/json")
	s.begin(1)
	var done sync.WaitGroup
	done.Go(func() {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler && v != boom {
				s.faultf("the middleware panicked with %v", v)
			}
		}()
		r.Middleware(c.handler).ServeHTTP(c.writer, req)
	})
	done.Wait()
}

// play plays lines of a script; the writers of the suite may fail.
func (s *scene) play(w http.ResponseWriter, lines ...string) {
	script := strings.Join(lines, "\n")
	if _, err := parseScript(script); err != nil {
		s.faultf("a script of the suite: %v", err)
	}
	_ = Play(w, script)
}

// data is the script line that writes one server-sent event.
func data(payload string) string { return "write " + strconv.Quote("data: "+payload+"\n\n") }

// line is the script line that writes one line of NDJSON.
func line(payload string) string { return "write " + strconv.Quote(payload+"\n") }

// Lines of scripts.
const (
	sseHeader  = "header 200 text/event-stream"
	jsonHeader = "header 200 application/json"
)

// Events of an OpenAI stream.
var (
	rolePrelude = data(`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`)
	token       = data(`{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}`)
	reasoning   = data(`{"choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}`)
	finish      = data(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
	usage       = data(`{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":9,` +
		`"prompt_tokens_details":{"cached_tokens":30},"completion_tokens_details":{"reasoning_tokens":4}}}`)
	done = data(`[DONE]`)
)

// handle returns a handle that no Recorder uses, to be called by the case.
func (s *scene) handle(l observe.Labels) observe.SeriesSink {
	h := s.harness.Sink.Series(l)
	if h == nil {
		s.faultf("Series(%+v) is nil", l)
		return memorySeries{NewMemory(), l}
	}
	return h
}

// want adds to what the sink must export beside the requests of the Recorders.
func (s *scene) want(f func(*ledger)) { s.extra = append(s.extra, f) }

// expect compares one reading while something is going on.
func (s *scene) expect(when string, id observe.MetricID, want Reading, labels map[string]string) {
	got, ok := s.harness.Read(id, labels)
	if m := observe.Metrics()[id]; ok && !same(m, got, want) {
		s.faultf("%s: %s: got %s, want %s", when, name(m, labels), show(m, got), show(m, want))
	}
}

// settle compares all that the sink exports with all that happened; open is how
// many requests have not ended.
func (s *scene) settle(when string, open int) {
	l := newLedger()
	s.mu.Lock()
	stats, sent := s.stats, s.sent
	s.mu.Unlock()
	if len(stats) != sent-open {
		s.faultf("%s: %d requests began and %d ended, want %d", when, sent, len(stats), sent-open)
	}
	for i := range stats {
		l.request(&stats[i])
	}
	var panics uint64
	for _, r := range s.recorders {
		l.recorder(r)
		panics += r.Losses().CallbackPanics
	}
	if panics != s.panics {
		s.faultf("%s: the sink panicked %d times", when, panics-s.panics)
	}
	for _, f := range s.extra {
		f(l)
	}
	found := l.compare(s.harness)
	for _, fault := range found[:min(len(found), maxFaults)] {
		s.faultf("%s: %s", when, fault)
	}
	if more := len(found) - maxFaults; more > 0 {
		s.faultf("%s: and %d more", when, more)
	}
}

// maxFaults bounds what one comparison reports: a broken sink is wrong in many
// readings for one reason.
const maxFaults = 40

// idle checks that nothing is in flight or waiting, whatever the Recorders say.
func (s *scene) idle(when string) {
	s.expect(when, observe.MetricInFlight, Reading{}, nil)
	s.expect(when, observe.MetricWaiting, Reading{}, nil)
	s.expect(when, observe.MetricRunning, Reading{}, nil)
}

// tick is a wait of the suite that differs from the others.
func tick(i int) time.Duration { return time.Duration(1+i%7) * time.Millisecond }
