package llm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// What the scripted model does.
const (
	requested    = "tiny"            // The model that is asked for, and so the label.
	answered     = "tiny-2026-01-01" // The model that answers.
	prefill      = 60 * time.Millisecond
	gap          = 5 * time.Millisecond
	tokens       = 24
	inputTokens  = 11
	outputTokens = tokens + 2 // Not the number of chunks.
	token        = "so "
)

// A backend is a scripted model server behind the middleware, with its metrics.
type backend struct {
	url      string        // Of the API.
	metrics  string        // To scrape.
	left     chan struct{} // Gets one from the handler of a stream whose client left before it returned.
	attempts atomic.Int32  // Calls of /v1/embeddings, which fails twice.
}

// start runs a backend until the test ends. The middleware sits on the API, as
// a user would have it; /metrics is not measured.
func start(t *testing.T, cfg observe.Config) *backend {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: registry})
	require.NoError(t, err)
	cfg.Sinks = []observe.Sink{sink}
	rec, err := observe.New(cfg)
	require.NoError(t, err)

	b := &backend{left: make(chan struct{}, 1)}
	api := http.NewServeMux()
	api.HandleFunc("POST /v1/chat/completions", b.chat)
	api.HandleFunc("POST /v1/responses", b.responses)
	api.HandleFunc("POST /v1/embeddings", b.embeddings)
	mux := http.NewServeMux()
	mux.Handle("/v1/", rec.Middleware(api))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.url, b.metrics = server.URL+"/v1/", server.URL+"/metrics"
	return b
}

// client is a client of the backend alone: nothing of the environment.
func (b *backend) client(opts ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{option.WithBaseURL(b.url), option.WithAPIKey("none"), option.WithMaxRetries(0)}, opts...)...)
}

// A call is what the backend reads of a request.
type call struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	User          string `json:"user"` // What to do: "", "tools", "error" or "endless".
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

func read(w http.ResponseWriter, r *http.Request) (c call, ok bool) {
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil || c.Model != requested {
		http.Error(w, fmt.Sprintf(`{"error":{"message":"model %q: %v"}}`, c.Model, err), http.StatusBadRequest)
		return c, false
	}
	return c, true
}

// A stream writes server-sent events, a flush each.
type stream struct {
	w http.ResponseWriter
	r *http.Request
}

func begin(w http.ResponseWriter, r *http.Request) stream {
	w.Header().Set("Content-Type", "text/event-stream")
	return stream{w, r}
}

// send writes one event. The error says that the client left.
func (s stream) send(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.w, format+"\n\n", args...); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// wait sleeps as the model would compute. It is false if the client left.
func (s stream) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.r.Context().Done():
		return false
	}
}

// chat answers /v1/chat/completions.
func (b *backend) chat(w http.ResponseWriter, r *http.Request) {
	c, ok := read(w, r)
	if !ok {
		return
	}
	const usage = `"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":4}}`
	head := func(object string) string {
		return fmt.Sprintf(`{"id":"chatcmpl-1","object":%q,"created":1767225600,"model":%q,`, object, answered)
	}
	if !c.Stream {
		time.Sleep(gap)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, head("chat.completion")+`"choices":[{"index":0,"message":{"role":"assistant","content":"So it is."},"finish_reason":"length"}],`+usage+"}",
			inputTokens, outputTokens, inputTokens+outputTokens)
		return
	}
	s := begin(w, r)
	choice := func(delta, reason string) error {
		return s.send("data: %s", head("chat.completion.chunk")+`"choices":[{"index":0,"delta":`+delta+`,"finish_reason":`+reason+`}]}`)
	}
	// What must not count as a token: the role, and a comment that keeps the
	// connection open.
	_ = choice(`{"role":"assistant","content":""}`, "null")
	_ = s.send(": still here")
	if !s.wait(prefill) {
		return
	}
	reason := `"stop"`
	for i := 0; i < tokens || c.User == "endless"; i++ {
		delta := fmt.Sprintf(`{"content":%q}`, token)
		if c.User == "tools" {
			reason, delta = `"tool_calls"`, `{"tool_calls":[{"index":0,"function":{"arguments":" "}}]}`
			if i == 0 {
				delta = `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look_up","arguments":""}}]}`
			}
		}
		if choice(delta, "null") != nil || !s.wait(gap) {
			return
		}
	}
	if c.User == "error" {
		_ = s.send(`data: {"error":{"type":"overloaded","message":"no more"}}`)
		return
	}
	_ = choice("{}", reason)
	if c.StreamOptions.IncludeUsage {
		_ = s.send("data: %s", head("chat.completion.chunk")+fmt.Sprintf(`"choices":[],`+usage+"}", inputTokens, outputTokens, inputTokens+outputTokens))
	}
	_ = s.send("data: [DONE]")
	b.linger(r)
}

// linger is what handlers do behind the last event: the client is free to leave.
func (b *backend) linger(r *http.Request) {
	select {
	case <-r.Context().Done():
		b.left <- struct{}{}
	case <-time.After(10 * time.Second):
	}
}

// responses answers /v1/responses.
func (b *backend) responses(w http.ResponseWriter, r *http.Request) {
	c, ok := read(w, r)
	if !ok {
		return
	}
	item := `{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"So it is.","annotations":[]}]}`
	response := func(status, output, usage string) string {
		return fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1767225600,"status":%q,"model":%q,"output":[%s],"usage":%s}`, status, answered, output, usage)
	}
	usage := fmt.Sprintf(`{"input_tokens":%d,"output_tokens":%d,"total_tokens":%d,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":0}}`,
		inputTokens, outputTokens, inputTokens+outputTokens)
	if !c.Stream {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, response("completed", item, usage))
		return
	}
	s := begin(w, r)
	number := 0
	send := func(kind, rest string) error {
		number++
		return s.send("event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,%s}", kind, kind, number-1, rest)
	}
	const place = `"item_id":"msg_1","output_index":0,"content_index":0,`
	_ = send("response.created", `"response":`+response("in_progress", "", "null"))
	_ = send("response.in_progress", `"response":`+response("in_progress", "", "null"))
	_ = send("response.output_item.added", `"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}`)
	_ = send("response.content_part.added", place+`"part":{"type":"output_text","text":"","annotations":[]}`)
	if !s.wait(prefill) {
		return
	}
	for range tokens {
		if send("response.output_text.delta", place+fmt.Sprintf(`"delta":%q`, token)) != nil || !s.wait(gap) {
			return
		}
	}
	_ = send("response.output_text.done", place+`"text":"So it is."`)
	_ = send("response.output_item.done", `"output_index":0,"item":`+item)
	_ = send("response.completed", `"response":`+response("completed", item, usage))
}

// embeddings answers /v1/embeddings, the third time.
func (b *backend) embeddings(w http.ResponseWriter, r *http.Request) {
	if _, ok := read(w, r); !ok {
		return
	}
	if b.attempts.Add(1) < 3 {
		w.Header().Set("Retry-After-Ms", "1")
		http.Error(w, `{"error":{"type":"rate_limit","message":"later"}}`, http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"object":"list","model":%q,"data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":%d,"total_tokens":%d}}`,
		answered, inputTokens, inputTokens)
}
