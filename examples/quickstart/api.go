package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/quality"
)

// api is the OpenAI-compatible surface of the engine.
type api struct {
	*http.ServeMux
	engine  *engine
	quality *quality.Monitor
	seed    uint64
	ids     atomic.Uint64
}

func newAPI(e *engine, q *quality.Monitor, seed uint64) *api {
	a := &api{ServeMux: http.NewServeMux(), engine: e, quality: q, seed: seed}
	a.HandleFunc("GET /v1/models", a.models)
	a.HandleFunc("POST /v1/chat/completions", a.chat)
	a.HandleFunc("POST /v1/completions", a.completions)
	a.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		e := invalid("", "unknown request: %s %.100s", r.Method, r.URL.Path)
		e.status = http.StatusNotFound
		writeError(w, e)
	})
	return a
}

func (a *api) models(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": []any{
		map[string]any{"id": modelName, "object": "model", "created": 0, "owned_by": "calm", "version": modelVersion},
	}})
}

func (a *api) chat(w http.ResponseWriter, r *http.Request) { a.answer(w, r, chatShape) }

func (a *api) completions(w http.ResponseWriter, r *http.Request) { a.answer(w, r, textShape) }

// shape is where chat and completions differ on the wire.
type shape struct {
	chat            bool
	prefix          string
	object, partial string
}

var (
	chatShape = shape{true, "chatcmpl-", "chat.completion", "chat.completion.chunk"}
	textShape = shape{false, "cmpl-", "text_completion", "text_completion"}
)

type usageBody struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type choice struct {
	Index   int      `json:"index"`
	Message *message `json:"message,omitempty"`
	Delta   *message `json:"delta,omitempty"`
	Text    *string  `json:"text,omitempty"`
	Finish  *string  `json:"finish_reason"`
}

type message struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

type completion struct {
	ID      string     `json:"id"`
	Object  string     `json:"object"`
	Created int64      `json:"created"`
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *usageBody `json:"usage,omitempty"`
}

// answer reads a request, waits for a slot and writes the answer, whole or as a
// stream.
func (a *api) answer(w http.ResponseWriter, r *http.Request, s shape) {
	id := a.ids.Add(1)
	q, g, bad := readRequest(w, r, s.chat, a.seed+id)
	if bad != nil {
		writeError(w, bad)
		return
	}
	lm, err := a.engine.acquire(r.Context())
	if err != nil {
		refuse(w, err)
		return
	}
	defer a.engine.release()
	out := completion{ID: fmt.Sprintf("%s%d", s.prefix, id), Object: s.object, Created: time.Now().Unix(), Model: modelName}
	if q.Stream {
		out.Object = s.partial
		st := &stream{w: w, flush: http.NewResponseController(w).Flush, shape: s, head: out}
		if done, err := st.run(r.Context(), q, g, lm); err == nil {
			a.answered(s, done)
		}
		return
	}
	var text []byte
	done, err := generate(r.Context(), lm, g, func(piece string) error {
		text = append(text, piece...)
		return nil
	})
	if err != nil {
		return // the client has left: there is nobody to tell
	}
	a.answered(s, done)
	whole := string(text)
	c := choice{Finish: &done.finish}
	if s.chat {
		c.Message = &message{Role: "assistant", Content: &whole}
	} else {
		c.Text = &whole
	}
	out.Choices, out.Usage = []choice{c}, usageOf(done)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}

// answered tells the quality monitor of an answer that reached its client.
func (a *api) answered(s shape, g generated) {
	task := "completion"
	if s.chat {
		task = "chat"
	}
	a.quality.Answered(task, modelVersion, quality.Answer{Text: g.text, InputTokens: g.promptTokens, OutputTokens: g.tokens, Finish: g.finish})
	a.quality.Tokens(task, modelVersion, g.nll, int64(g.tokens))
}

func usageOf(g generated) *usageBody {
	return &usageBody{Prompt: g.promptTokens, Completion: g.tokens, Total: g.promptTokens + g.tokens}
}

// refuse answers a request that got no slot.
func refuse(w http.ResponseWriter, err error) {
	e := &wireError{Message: err.Error()}
	switch {
	case errors.Is(err, errFull):
		e.status, e.Type = http.StatusTooManyRequests, "rate_limit_error"
		w.Header().Set("Retry-After", "1")
	case errors.Is(err, errLoading):
		e.status, e.Type = http.StatusServiceUnavailable, "server_error"
		w.Header().Set("Retry-After", "5")
	default:
		return // the client left while it waited
	}
	writeError(w, e)
}

// stream writes an answer as server-sent events.
type stream struct {
	w     http.ResponseWriter
	flush func() error
	shape shape
	head  completion
	buf   []byte
}

func (s *stream) run(ctx context.Context, q *wireRequest, g generation, lm *tinylm.Model) (done generated, err error) {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	if s.shape.chat {
		empty := ""
		if err = s.send(choice{Delta: &message{Role: "assistant", Content: &empty}}); err != nil {
			return done, err
		}
	}
	done, err = generate(ctx, lm, g, func(piece string) error {
		if s.shape.chat {
			return s.send(choice{Delta: &message{Content: &piece}})
		}
		return s.send(choice{Text: &piece})
	})
	if err != nil {
		return done, err
	}
	last := choice{Finish: &done.finish}
	if s.shape.chat {
		last.Delta = &message{}
	} else {
		last.Text = new(string)
	}
	if err = s.send(last); err != nil {
		return done, err
	}
	if q.StreamOptions != nil && q.StreamOptions.IncludeUsage {
		c := s.head
		c.Choices, c.Usage = []choice{}, usageOf(done)
		if err = s.event(c); err != nil {
			return done, err
		}
	}
	s.w.Write([]byte("data: [DONE]\n\n"))
	return done, s.flush()
}

func (s *stream) send(c choice) error {
	out := s.head
	out.Choices = []choice{c}
	return s.event(out)
}

// event writes and flushes one event: a token must not wait for the next.
func (s *stream) event(c completion) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	s.buf = append(append(append(s.buf[:0], "data: "...), body...), "\n\n"...)
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	return s.flush()
}
