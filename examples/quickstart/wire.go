package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxBody      = 1 << 20
	maxNewTokens = 4096
	defaultNew   = 128
	maxStops     = 4
)

// wireRequest is the part of an OpenAI request, chat or completion, that is
// understood. What would change the answer and is not supported is refused.
type wireRequest struct {
	Model               string          `json:"model"`
	Prompt              json.RawMessage `json:"prompt"`
	Messages            []wireMessage   `json:"messages"`
	Stream              bool            `json:"stream"`
	StreamOptions       *streamOptions  `json:"stream_options"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Temperature         *float64        `json:"temperature"`
	Seed                *int64          `json:"seed"`
	Stop                json.RawMessage `json:"stop"`
	N                   *int            `json:"n"`
	TopP                *float64        `json:"top_p"`
	Tools               []any           `json:"tools"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type wireMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// wireError is an error body of the OpenAI API.
type wireError struct {
	status  int
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (e *wireError) Error() string { return e.Message }

// invalid is a 400 that names the parameter at fault.
func invalid(param, format string, args ...any) *wireError {
	e := &wireError{status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Type: "invalid_request_error"}
	if param != "" {
		e.Param = &param
	}
	return e
}

func writeError(w http.ResponseWriter, e *wireError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(map[string]*wireError{"error": e})
}

// readRequest decodes and checks a request body.
func readRequest(w http.ResponseWriter, r *http.Request, chat bool, seed uint64) (*wireRequest, generation, *wireError) {
	var q wireRequest
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e := invalid("", "the body could not be read: %v", err)
		if _, ok := err.(*http.MaxBytesError); ok {
			e.status = http.StatusRequestEntityTooLarge
		}
		return nil, generation{}, e
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, generation{}, invalid("", "the body is not the JSON of a request: %v", err)
	}
	g := generation{maxTokens: defaultNew, temperature: 0.7, seed: seed}
	if e := q.check(&g); e != nil {
		return nil, g, e
	}
	if chat {
		return &q, g, q.chatPrompt(&g)
	}
	return &q, g, q.textPrompt(&g)
}

// check fills in g from the parameters that chat and completions share.
func (q *wireRequest) check(g *generation) *wireError {
	switch {
	case q.Model == "":
		return invalid("model", "you must provide a model parameter")
	case q.Model != modelName:
		code := "model_not_found"
		e := invalid("model", "the model %.100q does not exist; this server has %q", q.Model, modelName)
		e.status, e.Code = http.StatusNotFound, &code
		return e
	case q.N != nil && *q.N != 1:
		return invalid("n", "n = %d: this server gives one choice", *q.N)
	case q.TopP != nil && *q.TopP != 1:
		return invalid("top_p", "top_p is not supported: use temperature")
	case len(q.Tools) > 0:
		return invalid("tools", "tools are not supported")
	case q.StreamOptions != nil && !q.Stream:
		return invalid("stream_options", "stream_options is only allowed with stream")
	}
	for name, n := range map[string]*int{"max_tokens": q.MaxTokens, "max_completion_tokens": q.MaxCompletionTokens} {
		if n == nil {
			continue
		}
		if *n < 1 || *n > maxNewTokens {
			return invalid(name, "%s = %d: want 1 to %d", name, *n, maxNewTokens)
		}
		g.maxTokens = *n
	}
	if t := q.Temperature; t != nil {
		if !(*t >= 0 && *t <= 2) {
			return invalid("temperature", "temperature = %g: want 0 to 2", *t)
		}
		g.temperature = *t
	}
	if q.Seed != nil {
		g.seed = uint64(*q.Seed)
	}
	return q.stops(g)
}

func (q *wireRequest) stops(g *generation) *wireError {
	if len(q.Stop) == 0 || string(q.Stop) == "null" {
		return nil
	}
	var one string
	if json.Unmarshal(q.Stop, &one) == nil {
		g.stop = []string{one}
	} else if json.Unmarshal(q.Stop, &g.stop) != nil {
		return invalid("stop", "stop must be a string or an array of strings")
	}
	if len(g.stop) > maxStops {
		return invalid("stop", "stop has %d sequences: want at most %d", len(g.stop), maxStops)
	}
	if slices.Contains(g.stop, "") {
		return invalid("stop", "stop must not hold an empty string")
	}
	return nil
}

func (q *wireRequest) textPrompt(g *generation) *wireError {
	if json.Unmarshal(q.Prompt, &g.prompt) != nil {
		return invalid("prompt", "prompt must be a string")
	}
	return nil
}

// chatPrompt joins the messages: the model knows prose, not roles.
func (q *wireRequest) chatPrompt(g *generation) *wireError {
	if len(q.Messages) == 0 {
		return invalid("messages", "messages must hold at least one message")
	}
	texts := make([]string, 0, len(q.Messages))
	for i, m := range q.Messages {
		switch m.Role {
		case "system", "developer", "user", "assistant":
		default:
			return invalid(fmt.Sprintf("messages[%d].role", i), "messages[%d].role = %.40q: want system, developer, user or assistant", i, m.Role)
		}
		text, ok := contentText(m.Content)
		if !ok {
			return invalid(fmt.Sprintf("messages[%d].content", i), "messages[%d].content must be a string, or an array of text parts", i)
		}
		texts = append(texts, text)
	}
	g.prompt = strings.Join(texts, "\n")
	return nil
}

func contentText(raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var parts []struct{ Type, Text string }
	if len(raw) == 0 || json.Unmarshal(raw, &parts) != nil {
		return "", false
	}
	for _, p := range parts {
		if p.Type != "text" {
			return "", false
		}
		text += p.Text
	}
	return text, utf8.ValidString(text)
}
