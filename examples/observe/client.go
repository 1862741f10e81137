package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/calmops/calm/observe"
)

// askAll sends 30 requests, 4 at a time, and measures each answer as a client
// can: with its own clock, started before the request is sent.
func askAll(ctx context.Context, base string) *tallies {
	t := newTallies()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range 30 {
		class := classChat
		switch i % 10 {
		case 1, 6:
			class = classOllama
		case 2:
			class = classUnstreamed
		case 4:
			class = classPanics
		case 5:
			class = classFails
		case 8:
			class = classLeaves
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			t.seen(class, ask(ctx, base, class))
		})
	}
	wg.Wait()
	return t
}

// seen is one answer as its client saw it.
type seen struct {
	ttft    time.Duration // 0: no token
	gaps    []time.Duration
	tokens  int
	outcome observe.Outcome
}

func ask(ctx context.Context, base, class string) (s seen) {
	path := "/v1/chat/completions"
	if class == classOllama {
		path = "/api/chat"
	}
	body := fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"hello"}]}`, class, class != classUnstreamed)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	s.outcome = observe.OutcomeServerError // unless it turns out otherwise
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		return s
	}
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s
	}
	defer res.Body.Close()
	if class == classUnstreamed {
		var got chunk
		if json.NewDecoder(res.Body).Decode(&got) == nil && got.Usage != nil {
			s.tokens, s.outcome = got.Usage.Completion, observe.OutcomeOK
		}
		return s
	}
	s.read(res.Body, began, class)
	return s
}

// chunk is an event of either dialect.
type chunk struct {
	Choices []struct{ Delta struct{ Content string } }
	Message struct{ Content string }
	Done    bool
	Error   json.RawMessage
	Usage   *struct {
		Completion int `json:"completion_tokens"`
	}
}

func (s *seen) read(body io.Reader, began time.Time, class string) {
	last := began
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		data := bytes.TrimPrefix(lines.Bytes(), []byte("data: "))
		if string(data) == "[DONE]" {
			s.outcome = observe.OutcomeOK
			return
		}
		var c chunk
		if len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &c) != nil {
			continue
		}
		var text strings.Builder
		text.WriteString(c.Message.Content)
		for _, choice := range c.Choices {
			text.WriteString(choice.Delta.Content)
		}
		switch {
		case c.Error != nil:
			s.outcome = observe.OutcomeStreamError
			return
		case c.Done:
			s.outcome = observe.OutcomeOK
			return
		case text.String() == "":
			continue
		}
		now := time.Now()
		if s.tokens++; s.tokens == 1 {
			s.ttft = now.Sub(began)
		} else {
			s.gaps = append(s.gaps, now.Sub(last))
		}
		last = now
		if class == classLeaves && s.tokens == 6 {
			s.outcome = observe.OutcomeClientDisconnect
			return
		}
	}
	s.outcome = observe.OutcomePanic // cut without a word: what a panic looks like from outside
}

// tally is what one side knows of a class.
type tally struct {
	requests   int
	ttft       []time.Duration
	firstEvent []time.Duration
	gaps       []time.Duration
	tokens     int
	outcomes   map[observe.Outcome]int
}

// tallies are a tally for each class. The server's are filled by the recorder: as
// a sink for the gaps, which come per label set, and by OnRequest for the rest.
type tallies struct {
	mu sync.Mutex
	m  map[string]*tally
}

func newTallies() *tallies { return &tallies{m: map[string]*tally{}} }

// of returns the tally of a class. The caller holds mu, or is alone.
func (t *tallies) of(class string) *tally {
	if t.m[class] == nil {
		t.m[class] = &tally{outcomes: map[observe.Outcome]int{}}
	}
	return t.m[class]
}

// total is the number of requests so far.
func (t *tallies) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.m {
		n += c.requests
	}
	return n
}

// wait returns when n requests have ended: a client may know of its end before
// the server does.
func (t *tallies) wait(n int) error {
	for range 500 {
		if t.total() >= n {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d of %d requests have ended after 5 s", t.total(), n)
}

func (t *tallies) seen(class string, s seen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(class)
	c.requests++
	c.tokens += s.tokens
	c.outcomes[s.outcome]++
	c.gaps = append(c.gaps, s.gaps...)
	if s.ttft > 0 {
		c.ttft = append(c.ttft, s.ttft)
	}
}

// add is the recorder's OnRequest.
func (t *tallies) add(r observe.RequestStats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(r.Model)
	c.requests++
	c.tokens += int(r.Usage.Output)
	c.outcomes[r.Outcome]++
	if r.Has(observe.FieldTTFT) {
		c.ttft = append(c.ttft, r.TTFT)
		c.firstEvent = append(c.firstEvent, r.FirstEvent)
	}
}

// Attach implements observe.Sink.
func (t *tallies) Attach(*observe.Recorder) {}

// Series implements observe.Sink.
func (t *tallies) Series(l observe.Labels) observe.SeriesSink { return gapSink{t, l.Model} }

type gapSink struct {
	t     *tallies
	class string
}

func (g gapSink) Request(context.Context, *observe.RequestStats) {}

func (g gapSink) Gaps(gaps []time.Duration) {
	g.t.mu.Lock()
	defer g.t.mu.Unlock()
	c := g.t.of(g.class)
	c.gaps = append(c.gaps, gaps...)
}

// quantile returns the q-quantile by the nearest rank; 0 if there is no value.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

func pair(values []time.Duration) string {
	if len(values) == 0 {
		return "-"
	}
	ms := func(q float64) float64 { return float64(quantile(values, q)) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f/%.1f", ms(.5), ms(.99))
}

func words(outcomes map[observe.Outcome]int) string {
	var list []string
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		list = append(list, fmt.Sprintf("%s %d", o, outcomes[o]))
	}
	return strings.Join(list, " ")
}
