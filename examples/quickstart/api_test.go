package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/internal/tinylm"
)

// testConfig is a model that trains in a second or two.
var testConfig = modelConfig{Steps: 20, Batch: 8, Context: 32, Width: 32, Embed: 16, Buckets: 512}

// testText is enough English for it.
var testText = strings.Repeat("The rays of light differ in their degrees of refrangibility, and the colours of bodies differ with them. ", 60)

var testModel = sync.OnceValues(func() (*tinylm.Model, error) {
	return tinylm.Train(context.Background(), []byte(testText), testConfig)
})

func startAPI(t *testing.T) (*httptest.Server, *engine) {
	lm, err := testModel()
	require.NoError(t, err)
	e := newEngine()
	e.start(lm)
	s := httptest.NewServer(newAPI(e, nil, 1))
	t.Cleanup(s.Close)
	return s, e
}

func post(t *testing.T, url, body string) (int, string) {
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestBadRequests(t *testing.T) {
	s, _ := startAPI(t)
	const chat, text = "/v1/chat/completions", "/v1/completions"
	for _, c := range []struct {
		name, path, body, param string
		status                  int
	}{
		{"not JSON", chat, `{`, "", 400},
		{"empty body", chat, ``, "", 400},
		{"wrong type", chat, `{"model":7}`, "", 400},
		{"no model", chat, `{"messages":[{"role":"user","content":"a"}]}`, "model", 400},
		{"other model", chat, `{"model":"gpt-4","messages":[{"role":"user","content":"a"}]}`, "model", 404},
		{"no messages", chat, `{"model":"tinylm"}`, "messages", 400},
		{"bad role", chat, `{"model":"tinylm","messages":[{"role":"king","content":"a"}]}`, "messages[0].role", 400},
		{"bad content", chat, `{"model":"tinylm","messages":[{"role":"user","content":7}]}`, "messages[0].content", 400},
		{"no content", chat, `{"model":"tinylm","messages":[{"role":"user"}]}`, "messages[0].content", 400},
		{"image part", chat, `{"model":"tinylm","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, "messages[0].content", 400},
		{"no prompt", text, `{"model":"tinylm"}`, "prompt", 400},
		{"zero tokens", text, `{"model":"tinylm","prompt":"a","max_tokens":0}`, "max_tokens", 400},
		{"too many tokens", text, `{"model":"tinylm","prompt":"a","max_completion_tokens":5000}`, "max_completion_tokens", 400},
		{"hot", text, `{"model":"tinylm","prompt":"a","temperature":2.1}`, "temperature", 400},
		{"cold", text, `{"model":"tinylm","prompt":"a","temperature":-1}`, "temperature", 400},
		{"empty stop", text, `{"model":"tinylm","prompt":"a","stop":""}`, "stop", 400},
		{"stop of numbers", text, `{"model":"tinylm","prompt":"a","stop":[1]}`, "stop", 400},
		{"five stops", text, `{"model":"tinylm","prompt":"a","stop":["a","b","c","d","e"]}`, "stop", 400},
		{"two choices", text, `{"model":"tinylm","prompt":"a","n":2}`, "n", 400},
		{"top_p", text, `{"model":"tinylm","prompt":"a","top_p":0.5}`, "top_p", 400},
		{"tools", chat, `{"model":"tinylm","messages":[{"role":"user","content":"a"}],"tools":[{}]}`, "tools", 400},
		{"usage without stream", text, `{"model":"tinylm","prompt":"a","stream_options":{"include_usage":true}}`, "stream_options", 400},
		{"too large", text, `{"model":"tinylm","prompt":"` + strings.Repeat("a", maxBody) + `"}`, "", 413},
		{"no such path", "/v1/images", `{}`, "", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := post(t, s.URL+c.path, c.body)
			assert.Equal(t, c.status, status)
			var e struct {
				Error struct {
					Message, Type string
					Param, Code   *string
				}
			}
			require.NoError(t, json.Unmarshal([]byte(body), &e), body)
			assert.NotEmpty(t, e.Error.Message)
			assert.Equal(t, "invalid_request_error", e.Error.Type)
			if c.param == "" {
				assert.Nil(t, e.Error.Param)
			} else if assert.NotNil(t, e.Error.Param) {
				assert.Equal(t, c.param, *e.Error.Param)
			}
		})
	}
}

func TestAnswerWhole(t *testing.T) {
	s, _ := startAPI(t)
	status, body := post(t, s.URL+"/v1/chat/completions",
		`{"model":"tinylm","max_tokens":9,"messages":[{"role":"system","content":"The "},{"role":"user","content":[{"type":"text","text":"rays"}]}]}`)
	require.Equal(t, 200, status, body)
	var c completion
	require.NoError(t, json.Unmarshal([]byte(body), &c))
	assert.Equal(t, "chat.completion", c.Object)
	assert.Equal(t, modelName, c.Model)
	require.Len(t, c.Choices, 1)
	assert.Equal(t, "length", *c.Choices[0].Finish)
	assert.Equal(t, "assistant", c.Choices[0].Message.Role)
	assert.Equal(t, 9, utf8.RuneCountInString(*c.Choices[0].Message.Content))
	assert.Equal(t, usageBody{Prompt: 9, Completion: 9, Total: 18}, *c.Usage) // "The \nrays"
}

// events returns the payloads of a stream.
func events(t *testing.T, body string) (out []string) {
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			out = append(out, data)
		} else {
			assert.Empty(t, lines.Text(), "only data lines and blank ones")
		}
	}
	return out
}

func TestAnswerStream(t *testing.T) {
	s, _ := startAPI(t)
	for _, usage := range []bool{false, true} {
		body := `{"model":"tinylm","max_tokens":5,"temperature":0,"stream":true,"messages":[{"role":"user","content":"The "}]`
		if usage {
			body += `,"stream_options":{"include_usage":true}`
		}
		status, got := post(t, s.URL+"/v1/chat/completions", body+"}")
		require.Equal(t, 200, status)
		es := events(t, got)
		want := 1 + 5 + 1 + 1 // role, tokens, finish, [DONE]
		if usage {
			want++
		}
		require.Len(t, es, want)
		assert.Equal(t, "[DONE]", es[len(es)-1])
		assert.Contains(t, es[0], `"role":"assistant"`)
		var text strings.Builder
		for _, e := range es[:len(es)-1] {
			var c completion
			require.NoError(t, json.Unmarshal([]byte(e), &c))
			assert.Equal(t, "chat.completion.chunk", c.Object)
			for _, ch := range c.Choices {
				if ch.Delta.Content != nil {
					text.WriteString(*ch.Delta.Content)
				}
			}
		}
		assert.Equal(t, 5, utf8.RuneCountInString(text.String()))
		assert.Equal(t, usage, strings.Contains(got, `"usage"`))
	}
}

// TestStop asks greedily for a text, then for the same with a part of it as stop
// sequence: what comes before that part must be the answer.
func TestStop(t *testing.T) {
	s, _ := startAPI(t)
	ask := func(extra string, stream bool) (text, finish string) {
		body := `{"model":"tinylm","prompt":"The rays","max_tokens":40,"temperature":0` + extra
		if stream {
			body += `,"stream":true`
		}
		status, got := post(t, s.URL+"/v1/completions", body+"}")
		require.Equal(t, 200, status, got)
		if !stream {
			var c completion
			require.NoError(t, json.Unmarshal([]byte(got), &c))
			return *c.Choices[0].Text, *c.Choices[0].Finish
		}
		for _, e := range events(t, got) {
			var c completion
			if json.Unmarshal([]byte(e), &c) == nil && len(c.Choices) > 0 {
				text += *c.Choices[0].Text
				if f := c.Choices[0].Finish; f != nil {
					finish = *f
				}
			}
		}
		return text, finish
	}
	whole, finish := ask("", false)
	require.Equal(t, "length", finish)
	require.Greater(t, len(whole), 12)
	part := whole[8:11]
	quoted, err := json.Marshal([]string{"never in it", part})
	require.NoError(t, err)
	for _, stream := range []bool{false, true} {
		text, finish := ask(`,"stop":`+string(quoted), stream)
		assert.Equal(t, "stop", finish)
		assert.Equal(t, whole[:strings.Index(whole, part)], text)
	}
}

// TestStopperProperties compares with a search over the whole text: cut at the
// first place where a sequence is complete, whatever the pieces.
func TestStopperProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab"[rng.IntN(2)]
		}
		return string(b)
	}
	for range 20_000 {
		text := letters(rng.IntN(20))
		stops := make([]string, 1+rng.IntN(3))
		for i := range stops {
			stops[i] = letters(1 + rng.IntN(4))
		}
		want, wantStop := text, false
	search:
		for end := 1; end <= len(text); end++ { // the first end at which one is complete
			for _, stop := range stops {
				if strings.HasSuffix(text[:end], stop) {
					at := end
					for _, s := range stops { // of those that end here, the longest
						if i := strings.Index(text[:end], s); i >= 0 {
							at = min(at, i)
						}
					}
					want, wantStop = text[:at], true
					break search
				}
			}
		}
		s := stopper{stops: stops}
		var got strings.Builder
		stopped := false
		for i := 0; i < len(text) && !stopped; i++ {
			var send string
			send, stopped = s.add(text[i : i+1])
			got.WriteString(send)
		}
		if !stopped {
			got.WriteString(s.held)
		}
		require.Equal(t, want, got.String(), "text %q stops %q", text, stops)
		require.Equal(t, wantStop, stopped)
	}
}

func TestFullAndLoading(t *testing.T) {
	e := newEngine()
	s := httptest.NewServer(newAPI(e, nil, 1))
	defer s.Close()
	const body = `{"model":"tinylm","prompt":"a","max_tokens":1}`
	status, got := post(t, s.URL+"/v1/completions", body)
	assert.Equal(t, 503, status)
	assert.Contains(t, got, `"type":"server_error"`)

	lm, err := testModel()
	require.NoError(t, err)
	e.start(lm)
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	e.maxQueue = 0
	res, err := http.Post(s.URL+"/v1/completions", "application/json", bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, 429, res.StatusCode)
	assert.Equal(t, "1", res.Header.Get("Retry-After"))
	<-e.slots
	status, _ = post(t, s.URL+"/v1/completions", body)
	assert.Equal(t, 200, status)
	assert.Zero(t, e.waiting.Load())
}

func TestModels(t *testing.T) {
	s, _ := startAPI(t)
	res, err := http.Get(s.URL + "/v1/models")
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"id":"tinylm"`)
}
