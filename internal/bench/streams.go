package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A workload is a request and what a model server answers to it.
type workload struct {
	path     string
	body     []byte // Of the request.
	media    string // Content-Type of the response.
	writes   [][]byte
	unpushed bool // No flush after each write.
}

const (
	events     = 256 // Content chunks of a stream.
	chunkBytes = 174 // Of a chat chunk, with its frame.
	modelName  = "bench"
	sse        = "text/event-stream"
)

// tokens are the texts of the chunks, in turn; all are of one length.
func tokens() []string {
	return []string{" the ", " and ", " for ", " not ", " one ", " two ", " say ", " you "}
}

// prompt is the body of a request as the clients of OpenAI write it: the
// messages before the model.
func prompt(size int) []byte {
	return fmt.Appendf(nil, `{"messages":[{"content":%q,"role":"user"}],"model":%q,"stream":true,"stream_options":{"include_usage":true}}`,
		strings.Repeat("Why so? ", size/8), modelName)
}

func textBody() []byte { return prompt(64) }

// answer is a chat completion that is not streamed.
func answer() workload {
	return workload{path: "/v1/chat/completions", body: textBody(), media: "application/json", unpushed: true, writes: [][]byte{
		fmt.Appendf(nil, `{"id":"chatcmpl-1","object":"chat.completion","created":1753000000,"model":%q,"choices":[{"index":0,`+
			`"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49}}`,
			modelName, strings.Repeat("Because. ", 20))}}
}

// chat is a stream of n content chunks, one with usage, and [DONE].
func chat(n int) workload {
	const form = `data: {"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1753000000,"model":%q,` +
		`"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}` + "\n\n"
	chunk := func(id, token string) []byte { return fmt.Appendf(nil, form, id, modelName, token) }
	w := workload{path: "/v1/chat/completions", body: textBody(), media: sse}
	texts := tokens()
	id := strings.Repeat("7", chunkBytes-len(chunk("", texts[0])))
	for i := range n {
		w.writes = append(w.writes, chunk(id, texts[i%len(texts)]))
	}
	w.writes = append(w.writes,
		fmt.Appendf(nil, `data: {"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1753000000,"model":%q,"choices":[],`+
			`"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n", id, modelName, n, n+9),
		[]byte("data: [DONE]\n\n"))
	return w
}

// crlf is the chat stream of a server that ends lines as HTTP does.
func crlf() workload {
	w := chat(events)
	for i, b := range w.writes {
		w.writes[i] = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	}
	return w
}

// responses is a stream of OpenAI's Responses API. Its events are numbered.
func responses() workload {
	w := workload{path: "/v1/responses", body: textBody(), media: sse}
	number := 0
	event := func(kind, format string, args ...any) {
		head := fmt.Sprintf(`{"type":%q,"sequence_number":%d,`, kind, number)
		number++
		w.writes = append(w.writes, []byte("event: "+kind+"\ndata: "+head+fmt.Sprintf(format, args...)+"}\n\n"))
	}
	event("response.created", `"response":{"id":"resp_1","object":"response","status":"in_progress","model":%q}`, modelName)
	event("response.output_item.added", `"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}`)
	event("response.content_part.added", `"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}`)
	texts := tokens()
	for i := range events {
		event("response.output_text.delta", `"item_id":"msg_1","output_index":0,"content_index":0,"delta":%q`, texts[i%len(texts)])
	}
	event("response.completed", `"response":{"id":"resp_1","object":"response","status":"completed","model":%q,`+
		`"usage":{"input_tokens":9,"output_tokens":%d,"total_tokens":%d}}`, modelName, events, events+9)
	return w
}

// anthropic is a stream of Anthropic's Messages API.
func anthropic() workload {
	w := workload{path: "/v1/messages", body: textBody(), media: sse}
	event := func(kind, format string, args ...any) {
		w.writes = append(w.writes, []byte("event: "+kind+"\ndata: {\"type\":\""+kind+"\""+fmt.Sprintf(format, args...)+"}\n\n"))
	}
	event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[],`+
		`"usage":{"input_tokens":9,"output_tokens":1}}`, modelName)
	event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	event("ping", "")
	texts := tokens()
	for i := range events {
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":%q}`, texts[i%len(texts)])
	}
	event("content_block_stop", `,"index":0`)
	event("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}`, events)
	event("message_stop", "")
	return w
}

// ollama is a stream of ollama's chat API: NDJSON, each line with its time.
func ollama() workload {
	w := workload{path: "/api/chat", body: textBody(), media: "application/x-ndjson"}
	texts := tokens()
	for i := range events {
		w.writes = append(w.writes, fmt.Appendf(nil, `{"model":%q,"created_at":"2026-01-02T03:04:05.%09dZ","message":{"role":"assistant","content":%q},"done":false}`+"\n",
			modelName, 104729*i, texts[i%len(texts)]))
	}
	w.writes = append(w.writes, fmt.Appendf(nil, `{"model":%q,"created_at":"2026-01-02T03:04:06Z","message":{"role":"assistant","content":""},"done":true,`+
		`"done_reason":"stop","total_duration":5000000000,"prompt_eval_count":9,"eval_count":%d}`+"\n", modelName, events))
	return w
}

// handler is the bare server: it reads the request and writes what the workload
// says.
func (w workload) handler() http.Handler {
	media := []string{w.media}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header()["Content-Type"] = media
		if w.unpushed {
			for _, b := range w.writes {
				_, _ = rw.Write(b)
			}
			return
		}
		f := rw.(http.Flusher)
		for _, b := range w.writes {
			_, _ = rw.Write(b)
			f.Flush()
		}
	})
}

// served returns a function that serves the request n times, over and over the
// same one, into a writer that does nothing.
func (w workload) served(h http.Handler) func(n int) {
	rw := &nullWriter{http.Header{}}
	body := &requestBody{}
	req, err := http.NewRequest(http.MethodPost, "http://bench.invalid"+w.path, body)
	if err != nil {
		panic("bench: " + err.Error()) // The paths are ours.
	}
	req.ContentLength = int64(len(w.body))
	req.Header.Set("Content-Type", "application/json")
	return func(n int) {
		for range n {
			body.data.Reset(w.body)
			h.ServeHTTP(rw, req)
		}
	}
}

// nullWriter is a ResponseWriter, and a Flusher, that does nothing.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(int)             {}
func (w *nullWriter) Flush()                      {}

// requestBody is a request body that can be read again after a Reset. Like one
// of net/http, it can do no more than be read.
type requestBody struct{ data bytes.Reader }

func (b *requestBody) Read(p []byte) (int, error) { return b.data.Read(p) }
func (b *requestBody) Close() error               { return nil }
