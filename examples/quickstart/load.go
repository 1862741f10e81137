package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// load is the program's own clients: quiet minutes, bursts, clients that leave
// and clients that make mistakes, in an order that a seed decides. Each client
// times and counts its answer itself, so that the report has something to hold
// the server's figures against.
type load struct {
	base   string
	client *http.Client
	rng    *rand.Rand // of run's goroutine
	flying sync.WaitGroup
	ended  chan struct{}

	mu       sync.Mutex
	sent     int
	left     int        // clients that left on purpose
	ttft     *sampleSet // seconds, of streams
	problems []string   // answers that were not what they should be
}

const maxClients = 256

func newLoad(base string, seed uint64) *load {
	return &load{
		base: base, rng: rand.New(rand.NewPCG(seed, 2)), ended: make(chan struct{}), ttft: newSampleSet(seed),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxClients}},
	}
}

// run sends requests until ctx ends; those in flight then go on to their end.
func (l *load) run(ctx context.Context) {
	defer close(l.ended)
	slots := make(chan struct{}, maxClients)
	send := func() {
		a := l.draw()
		select {
		case slots <- struct{}{}:
		default:
			return // the server is far behind: no more clients come
		}
		l.flying.Go(func() {
			defer func() { <-slots }()
			l.note(l.do(a))
		})
	}
	for {
		for until := time.Now().Add(l.seconds(3, 6)); time.Now().Before(until); { // quiet
			if !pause(ctx, l.exponential(5)) {
				return
			}
			send()
		}
		for range 12 + l.rng.IntN(24) { // nearly everybody at once
			if !pause(ctx, l.exponential(400)) {
				return
			}
			send()
		}
		for until := time.Now().Add(l.seconds(2, 4)); time.Now().Before(until); { // busy
			if !pause(ctx, l.exponential(14)) {
				return
			}
			send()
		}
	}
}

// wait returns when no request is in flight any more.
func (l *load) wait() {
	<-l.ended
	l.flying.Wait()
	l.client.CloseIdleConnections()
}

func (l *load) seconds(from, to float64) time.Duration {
	return time.Duration((from + (to-from)*l.rng.Float64()) * float64(time.Second))
}

// exponential is the time to the next arrival of a Poisson process.
func (l *load) exponential(perSecond float64) time.Duration {
	return time.Duration(l.rng.ExpFloat64() / perSecond * float64(time.Second))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask is one request to send.
type ask struct {
	path      string
	body      map[string]any
	stream    bool
	leave     int // content events after which the client leaves; 0: it stays
	mistaken  bool
	maxTokens int
}

var prompts = []string{
	"The Rays of Light ", "Of the Colours of thin transparent Bodies ", "Exper. 1. I took a black ",
	"When the Sun's Light ", "If the Glass be ", "And therefore the ", "The Reflexion of ", "By the same Reason ",
	"In a very dark Chamber, at a round Hole, ", "Quest. 31. Have not the small Particles of Bodies ",
}

// draw decides on the next request.
func (l *load) draw() ask {
	prompt := prompts[l.rng.IntN(len(prompts))]
	a := ask{path: "/v1/chat/completions", stream: true, maxTokens: 40 + l.rng.IntN(200)}
	messages := []any{map[string]any{"role": "user", "content": prompt}}
	a.body = map[string]any{"model": modelName, "messages": messages, "max_tokens": a.maxTokens,
		"temperature": 0.7, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	switch k := l.rng.IntN(100); {
	case k < 15: // not streamed
		a.stream = false
		delete(a.body, "stream")
		delete(a.body, "stream_options")
	case k < 30: // the older API
		a.path = "/v1/completions"
		delete(a.body, "messages")
		a.body["prompt"] = prompt
	case k < 36: // reads a little and leaves
		a.leave = 1 + l.rng.IntN(30)
		a.body["max_tokens"] = maxNewTokens
	case k < 39: // asks for what cannot be
		a.mistaken = true
		a.body["temperature"] = 7
	}
	return a
}

// reply is what a client saw.
type reply struct {
	left    bool
	stream  bool
	ttft    time.Duration // first non-empty text; streams only
	problem string
}

func (l *load) note(r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	switch {
	case r.problem != "":
		l.problems = append(l.problems, r.problem)
	case r.left:
		l.left++
	case r.stream:
		l.ttft.add(r.ttft.Seconds())
	}
}

// do sends one request and checks its answer.
func (l *load) do(a ask) (r reply) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	body, err := json.Marshal(a.body)
	if err != nil {
		return reply{problem: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+a.path, bytes.NewReader(body))
	if err != nil {
		return reply{problem: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	res, err := l.client.Do(req)
	if err != nil {
		return reply{problem: err.Error()}
	}
	defer res.Body.Close()
	want := http.StatusOK
	if a.mistaken {
		want = http.StatusBadRequest
	}
	if res.StatusCode != want {
		if res.StatusCode == http.StatusTooManyRequests {
			return reply{} // an honest answer
		}
		return reply{problem: fmt.Sprintf("status %d, want %d", res.StatusCode, want)}
	}
	if a.stream && !a.mistaken {
		return readStream(res.Body, began, a.leave)
	}
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   struct {
			Completion int `json:"completion_tokens"`
		}
		Error struct{ Message string }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return reply{problem: err.Error()}
	}
	if a.mistaken {
		if answer.Error.Message == "" {
			return reply{problem: "a 400 without an error message"}
		}
		return reply{}
	}
	if len(answer.Choices) != 1 {
		return reply{problem: "no choice in the answer"}
	}
	return reply{problem: countProblem(utf8.RuneCountInString(answer.Choices[0].Message.Content), answer.Usage.Completion, a.maxTokens)}
}

// countProblem compares the characters received, each of which is a token, with
// the usage that the server billed and with what was asked for.
func countProblem(got, billed, asked int) string {
	if got != billed || got != asked {
		return fmt.Sprintf("%d tokens received, %d billed, %d asked for", got, billed, asked)
	}
	return ""
}

// readStream reads server-sent events as a client does, and leaves after leave
// events with text if that is not 0.
func readStream(body io.Reader, began time.Time, leave int) reply {
	r := reply{stream: true}
	lines := bufio.NewScanner(body)
	events, runes, billed := 0, 0, -1
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			io.Copy(io.Discard, body) // to its end, so that the connection is used again
			switch {
			case events == 0:
				r.problem = "a stream without a token"
			case billed >= 0 && billed != runes:
				r.problem = fmt.Sprintf("%d tokens received, %d billed", runes, billed)
			}
			return r
		}
		var chunk struct {
			Choices []struct {
				Text  string
				Delta struct{ Content string }
			}
			Usage *struct {
				Completion int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			r.problem = err.Error()
			return r
		}
		if chunk.Usage != nil {
			billed = chunk.Usage.Completion
		}
		for _, c := range chunk.Choices {
			text := c.Text + c.Delta.Content
			if text == "" {
				continue
			}
			if events == 0 {
				r.ttft = time.Since(began)
			}
			events++
			runes += utf8.RuneCountInString(text)
			if events == leave {
				r.left = true
				return r
			}
		}
	}
	r.problem = fmt.Sprintf("a stream that was cut after %d tokens: %v", runes, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
	return r
}

// firstToken asks for one short stream, and returns how long its first token took.
func firstToken(ctx context.Context, base string) (time.Duration, error) {
	l := newLoad(base, 0)
	defer l.client.CloseIdleConnections()
	r := l.do(ask{path: "/v1/completions", stream: true, body: map[string]any{
		"model": modelName, "prompt": prompts[0], "max_tokens": 16, "stream": true,
		"stream_options": map[string]any{"include_usage": true}}})
	if r.problem != "" {
		return 0, errors.New(r.problem)
	}
	return r.ttft, ctx.Err()
}
