package observe

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// call is the one allocation that a request of the middleware costs, beside the
// copy of http.Request that carries its context.
type call struct {
	Request
	node   node
	writer responseWriter
	body   peekedBody
}

// Middleware measures every request that next serves. It may sit on the whole
// mux or on single routes; where both do, a request is counted once.
func (r *Recorder) Middleware(next http.Handler) http.Handler {
	return r.Handler(RequestInfo{}, next)
}

// Handler is Middleware for a route of which the operation or model is known;
// zero fields of info are found out as Middleware does.
func (r *Recorder) Handler(info RequestInfo, next http.Handler) http.Handler {
	if r == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if outer := r.carried(req.Context()); outer != nil {
			outer.fill(info)
			next.ServeHTTP(w, req)
			return
		}
		info := info
		if info.Received.IsZero() {
			info.Received = time.Now()
		}
		measure := true
		if r.cfg.Classify != nil {
			measure = r.classify(&info, req)
		}
		if !measure {
			next.ServeHTTP(w, req)
			return
		}
		r.serve(w, req, info, next)
	})
}

// classify asks the user; fields of the route win over the answer's.
func (r *Recorder) classify(info *RequestInfo, req *http.Request) (measure bool) {
	defer r.recovered()
	measure = true // if Classify panics
	got, measure := r.cfg.Classify(req)
	for _, f := range []struct{ dst, from *string }{
		{&info.Model, &got.Model}, {&info.Provider, &got.Provider}, {&info.Priority, &got.Priority},
		{(*string)(&info.Operation), (*string)(&got.Operation)},
	} {
		if *f.dst == "" {
			*f.dst = *f.from
		}
	}
	if info.Protocol == ProtocolAuto {
		info.Protocol = got.Protocol
	}
	if !got.Received.IsZero() {
		info.Received = got.Received
	}
	return measure
}

// serve runs the handler and ends the request, whatever the handler does.
func (r *Recorder) serve(w http.ResponseWriter, req *http.Request, info RequestInfo, next http.Handler) {
	c := &call{}
	c.node = node{req.Context(), &c.Request}
	c.init(r, &c.node, info)
	op, provider := route(req.URL.Path)
	if info.Operation == "" {
		c.operation = op
	}
	if c.provider == "" {
		c.provider = provider
	}
	c.writer.init(w, &c.Request)
	c.Request.writer = &c.writer

	inner := req.WithContext(&c.node)
	var m *model
	if c.model == "" && !r.cfg.NoPeek && canPeek(req) {
		name := c.body.peek(req.Body, r.cfg.PeekBytes)
		inner.Body = &c.body
		c.model, m = r.asked(name)
	} else {
		m = r.reg.model(c.model)
	}
	c.enter(m)
	c.writer.request = inner

	returned := false
	defer func() {
		if returned {
			c.writer.returned()
			c.Request.finish(handlerEnd{})
			return
		}
		v := recover()
		c.Request.finish(interrupted(v))
		if v != nil {
			panic(v) // the same value; the frames of the first panic stay in the log
		}
	}()
	next.ServeHTTP(c.writer.wrap(), inner)
	returned = true
}

// asked turns the raw string of a body into a name, the shared one if it has a
// place, and that place.
func (r *Recorder) asked(raw []byte) (string, *model) {
	if m, ok := r.reg.known(raw); ok {
		return m.name, m
	}
	name := ""
	if len(raw) > 0 {
		buf := make([]byte, 0, min(len(raw), maxNameBytes)+4)
		name = string(unescape(buf, raw)) // cut just above what could be a label value
	}
	return name, r.reg.model(name)
}

// route is the path table: what the suffix of a path says of the operation and
// of the dialect's provider.
func route(path string) (Operation, string) {
	if len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	at := strings.LastIndexByte(path, '/')
	dir, last := "", path
	if at >= 0 {
		dir, last = path[:at], path[at+1:]
	}
	api := dir == "/api" || strings.HasSuffix(dir, "/api")
	switch last {
	case "completions":
		if dir == "/chat" || strings.HasSuffix(dir, "/chat") {
			return OperationChat, "openai"
		}
		return OperationTextCompletion, "openai"
	case "responses":
		return OperationChat, "openai"
	case "embeddings":
		if api {
			return OperationEmbeddings, "ollama"
		}
		return OperationEmbeddings, "openai"
	case "messages":
		if dir == "/v1" || strings.HasSuffix(dir, "/v1") {
			return OperationChat, "anthropic"
		}
	case "chat":
		if api {
			return OperationChat, "ollama"
		}
	case "generate":
		if api {
			return OperationTextCompletion, "ollama"
		}
	case "embed":
		if api {
			return OperationEmbeddings, "ollama"
		}
	}
	if strings.HasSuffix(last, ":generateContent") || strings.HasSuffix(last, ":streamGenerateContent") {
		return OperationGenerateContent, "gcp.gemini"
	}
	return OperationOther, ""
}

// traceparent returns the ids of a sampled W3C traceparent header.
func traceparent(h http.Header) (trace, span string) {
	v := h["Traceparent"]
	if len(v) != 1 {
		return "", ""
	}
	s := v[0] // 00-<32 hex>-<16 hex>-<2 hex>; later versions may add more
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" ||
		len(s) > 55 && (s[:2] == "00" || s[55] != '-') {
		return "", ""
	}
	if !isHex(s[:2]) || !isHex(s[3:35]) || !isHex(s[36:52]) || !isHex(s[53:55]) ||
		strings.Count(s[3:35], "0") == 32 || strings.Count(s[36:52], "0") == 16 {
		return "", ""
	}
	low := s[54]
	if low >= 'a' {
		low -= 'a' - 10
	}
	if low&1 == 0 { // not sampled
		return "", ""
	}
	return s[3:35], s[36:52]
}

// isHex reports whether s is lower-case hexadecimal, as the header must be.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// canPeek reports whether reading ahead in the body is harmless and may find a
// model name.
func canPeek(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 {
		return false
	}
	h := req.Header
	if len(h["Expect"]) > 0 || len(h["Upgrade"]) > 0 || encoded(h) {
		return false
	}
	ct := h["Content-Type"]
	return len(ct) == 0 || contentKind(ct[0]) == bodyJSON
}

// encoded reports whether a Content-Encoding other than identity is set.
func encoded(h http.Header) bool {
	for _, v := range h["Content-Encoding"] {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// mediaType is a Content-Type less its parameters.
func mediaType(ct string) string {
	if i := strings.IndexByte(ct, ';'); i >= 0 {
		ct = ct[:i]
	}
	return strings.Trim(ct, " \t")
}

func isJSON(media string) bool {
	const suffix = "+json"
	return media == "application/json" || strings.EqualFold(media, "application/json") ||
		len(media) > len(suffix) && strings.EqualFold(media[len(media)-len(suffix):], suffix)
}

// contentKind is how a body of that Content-Type is read.
func contentKind(ct string) bodyKind {
	switch ct { // as nearly everyone writes them
	case "text/event-stream", "text/event-stream; charset=utf-8":
		return bodySSE
	case "application/json":
		return bodyJSON
	}
	media := mediaType(ct)
	switch {
	case strings.EqualFold(media, "text/event-stream"):
		return bodySSE
	case isJSON(media):
		return bodyJSON
	}
	for _, m := range [...]string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"} {
		if strings.EqualFold(media, m) {
			return bodyNDJSON
		}
	}
	return bodyOpaque
}

var (
	_ context.Context = (*node)(nil)
	_ io.ReadCloser   = (*peekedBody)(nil)
)
