package observe

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mwQuestion = `{"model":"m","stream":true}`

// mwModel is a small model server: three tokens, usage, [DONE].
func mwModel(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	mwSSE(w)
	for range 3 {
		io.WriteString(w, mwChunk)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	io.WriteString(w, mwUsage+mwDone)
}

func mwWhole(t *testing.T, s RequestStats) {
	t.Helper()
	require.Equal(t, OutcomeOK, s.Outcome)
	require.Equal(t, 3, s.TokenEvents)
	require.Equal(t, Usage{Input: 7, Output: 5}, s.Usage)
	require.Equal(t, Labels{"m", OperationChat, "openai"}, s.Labels)
	require.True(t, s.Complete)
}

// http.TimeoutHandler inside: its one Write at the end is what the client gets.
// Outside: the handler runs on, and its writes fail.
func TestTimeoutHandler(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mwSSE(w)
		<-r.Context().Done()
		for { // the outer handler may be slower to notice
			if _, err := io.WriteString(w, mwChunk); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	m := mwNew(t, Config{})
	srv, _ := mwServer(t, m.Middleware(http.TimeoutHandler(http.HandlerFunc(mwModel), time.Minute, "late")))
	_, _, err := mwGet(srv.URL)
	require.NoError(t, err)
	s := m.next(t)
	mwWhole(t, s)
	require.Zero(t, s.Gaps, "one Write, one time")

	srv, _ = mwServer(t, m.Middleware(http.TimeoutHandler(slow, 20*time.Millisecond, "late")))
	status, body, _ := mwGet(srv.URL)
	require.Equal(t, "503 late", fmt.Sprint(status, " ", body))
	s = m.next(t)
	require.Equal(t, OutcomeServerError, s.Outcome, "to us it is the handler's own 503")
	require.Equal(t, "503", s.ErrorType)

	srv, _ = mwServer(t, http.TimeoutHandler(m.Middleware(slow), 20*time.Millisecond, "late"))
	status, _, _ = mwGet(srv.URL)
	require.Equal(t, 503, status)
	s = m.next(t)
	require.Equal(t, OutcomeTimeout, s.Outcome)
	require.NotEqual(t, "503", s.Code, "that is the outer handler's")

	srv, _ = mwServer(t, http.TimeoutHandler(m.Middleware(http.HandlerFunc(mwModel)), time.Minute, "late"))
	mwGet(srv.URL)
	mwWhole(t, m.next(t))
	m.idle(t)
}

// mwProxy is a quiet reverse proxy.
func mwProxy(t *testing.T, backend string) *httputil.ReverseProxy {
	target, err := url.Parse(backend)
	require.NoError(t, err)
	p := httputil.NewSingleHostReverseProxy(target)
	p.ErrorLog = log.New(io.Discard, "", 0)
	return p
}

// A gateway in front of a measured server, and a measured gateway: both see the
// same stream, however the proxy cuts it.
func TestReverseProxy(t *testing.T) {
	backend, gateway := mwNew(t, Config{}), mwNew(t, Config{})
	back, _ := mwServer(t, backend.Middleware(http.HandlerFunc(mwModel)))
	front, _ := mwServer(t, gateway.Middleware(mwProxy(t, back.URL)))
	status, body, err := mwGet(front.URL)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, strings.Repeat(mwChunk, 3)+mwUsage+mwDone, body)
	mwWhole(t, backend.next(t))
	mwWhole(t, gateway.next(t))
}

// The Transport of a proxy may still read the request body when the answer has
// begun, and when the handler has returned.
func TestReverseProxyFullDuplex(t *testing.T) {
	m := mwNew(t, Config{})
	answered := make(chan struct{})
	back, _ := mwServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		mwSSE(w)
		mwSend(w, mwChunk)
		close(answered)
		n, _ := io.Copy(io.Discard, r.Body)
		mwSend(w, fmt.Sprintf(`data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":1}}`+"\n\n", n), mwDone)
	}))
	proxy := mwProxy(t, back.URL)
	front, _ := mwServer(t, m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})))
	pr, pw := io.Pipe()
	go func() {
		io.WriteString(pw, mwQuestion[:len(mwQuestion)-1])
		<-answered // the rest comes after the first token
		io.WriteString(pw, `,"pad":"`+strings.Repeat("x", 100_000)+`"}`)
		pw.Close()
	}()
	resp, err := http.Post(front.URL, "application/json", pr)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	s := m.next(t)
	require.EqualValues(t, len(mwQuestion)-1+100_000+10, s.Usage.Input, "the backend got every byte")
	require.Equal(t, "m", s.RequestModel)
	require.Equal(t, OutcomeOK, s.Outcome)
}

// A client that leaves a gateway before the model answers, and in mid-stream: the
// proxy's 502 and its abort are no fault of the model.
func TestReverseProxyClientLeaves(t *testing.T) {
	for _, chunks := range []int{0, 1} {
		backend, gateway := mwNew(t, Config{}), mwNew(t, Config{})
		entered := make(chan struct{})
		back, _ := mwServer(t, backend.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mwSSE(w)
			for range chunks {
				mwSend(w, mwChunk)
			}
			close(entered)
			<-r.Context().Done()
		})))
		front, _ := mwServer(t, gateway.Middleware(mwProxy(t, back.URL)))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", front.URL, nil)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				io.Copy(io.Discard, resp.Body)
			}
		}()
		<-entered
		if chunks > 0 {
			time.Sleep(20 * time.Millisecond) // let the proxy pass it on
		}
		cancel()
		for _, m := range []*mwRec{backend, gateway} {
			s := m.next(t)
			require.Equal(t, OutcomeClientDisconnect, s.Outcome, "%d chunks", chunks)
			require.Equal(t, "client_disconnect", s.ErrorType)
		}
	}
}

// A proxy that is told the backend is gone says 502, and that is a server error.
func TestReverseProxyBackendGone(t *testing.T) {
	m := mwNew(t, Config{})
	back, _ := mwServer(t, http.NotFoundHandler())
	back.Close()
	front, _ := mwServer(t, m.Middleware(mwProxy(t, back.URL)))
	status, _, _ := mwGet(front.URL)
	require.Equal(t, 502, status)
	s := m.next(t)
	require.Equal(t, OutcomeServerError, s.Outcome)
	require.Equal(t, "502", s.ErrorType)
}

// HTTP/2: flush, trailers, push refused by the inner writer, a cancelled stream.
func TestHTTP2(t *testing.T) {
	m := mwNew(t, Config{})
	hold := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Tokens")
		mwModel(w, r)
		w.Header().Set("X-Tokens", "3")
		_, hijacker := w.(http.Hijacker)
		pusher, ok := w.(http.Pusher)
		if hijacker || !ok || pusher.Push("/x", nil) == nil {
			panic("an HTTP/2 writer can push and cannot be hijacked; the client refuses pushes")
		}
	})
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		mwSSE(w)
		mwSend(w, mwChunk)
		close(hold)
		<-r.Context().Done()
	})
	srv := httptest.NewUnstartedServer(m.Middleware(mux))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Post(srv.URL+"/v1/chat/completions", "application/json", strings.NewReader(mwQuestion))
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "3", resp.Trailer.Get("X-Tokens"))
	mwWhole(t, m.next(t))

	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/leave", nil)
	resp, err = srv.Client().Do(req)
	require.NoError(t, err)
	<-hold
	cancel()
	resp.Body.Close()
	s := m.next(t)
	require.Equal(t, OutcomeClientDisconnect, s.Outcome)
	require.Equal(t, 1, s.TokenEvents)
	m.idle(t)
}

// mwGzip compresses what is written to it, as a compressing middleware does.
type mwGzip struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (w mwGzip) Write(b []byte) (int, error) { return w.z.Write(b) }
func (w mwGzip) Flush() {
	w.z.Flush()
	w.ResponseWriter.(http.Flusher).Flush()
}

func mwCompress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(mwGzip{w, z}, r)
	})
}

// Compression inside hides the tokens: only times are known. Outside, the header
// is set before the handler runs, and there the bytes are plain all the same.
func TestCompression(t *testing.T) {
	m := mwNew(t, Config{})
	srv, _ := mwServer(t, m.Middleware(mwCompress(http.HandlerFunc(mwModel))))
	_, body, err := mwGet(srv.URL)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat(mwChunk, 3)+mwUsage+mwDone, body, "the client unpacks it")
	s := m.next(t)
	require.True(t, s.Stream)
	require.Zero(t, s.TokenEvents)
	require.False(t, s.Has(FieldTTFT))
	require.True(t, s.Has(FieldTTFB))
	require.Equal(t, OutcomeOK, s.Outcome)

	srv, _ = mwServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z := gzip.NewWriter(w)
		defer z.Close()
		h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mwModel(w, r)
		}))
		h.ServeHTTP(mwLateGzip{mwGzip{w, z}}, r)
	}))
	_, body, err = mwGet(srv.URL)
	require.NoError(t, err)
	require.Contains(t, body, mwDone)
	mwWhole(t, m.next(t))
}

// mwLateGzip sets the header in its own Write, below a middleware that has
// decided by then.
type mwLateGzip struct{ mwGzip }

func (w mwLateGzip) Write(b []byte) (int, error) {
	w.Header().Set("Content-Encoding", "gzip")
	return w.mwGzip.Write(b)
}

// mwFramework is a writer as frameworks make them: Flush and Hijack, no more.
type mwFramework struct {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	size int
}

func (w *mwFramework) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.size += n
	return n, err
}

func TestFrameworkWriter(t *testing.T) {
	m := mwNew(t, Config{})
	framework := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&mwFramework{ResponseWriter: w, Flusher: w.(http.Flusher), Hijacker: w.(http.Hijacker)}, r)
		})
	}
	for _, h := range []http.Handler{
		framework(m.Middleware(http.HandlerFunc(mwModel))),
		m.Middleware(framework(http.HandlerFunc(mwModel))),
		framework(m.Middleware(framework(m.Middleware(http.HandlerFunc(mwModel))))),
	} {
		srv, _ := mwServer(t, h)
		mwGet(srv.URL)
		mwWhole(t, m.next(t))
		require.Empty(t, m.done)
	}
}

// A body limit in front of us or behind: the handler gets the limit's error at
// the place where it belongs.
func TestMaxBytes(t *testing.T) {
	limit := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 100)
			next.ServeHTTP(w, r)
		})
	}
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) || len(b) != 100 {
			panic(fmt.Sprint(len(b), err))
		}
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	m := mwNew(t, Config{})
	for _, h := range []http.Handler{limit(m.Middleware(read)), m.Middleware(limit(read))} {
		for _, question := range []string{`{"model":"m","pad":"` + strings.Repeat("x", 200) + `"}`, strings.Repeat("x", 200)} {
			srv, _ := mwServer(t, h)
			resp, err := http.Post(srv.URL, "application/json", strings.NewReader(question))
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, 413, resp.StatusCode)
			s := m.next(t)
			require.Equal(t, OutcomeClientError, s.Outcome)
			require.Equal(t, question[0] == '{', s.RequestModel == "m")
		}
	}
}

// Values, deadlines and the server's keys of the request context stay visible.
func TestContextVisible(t *testing.T) {
	type key struct{}
	m := mwNew(t, Config{})
	srv, _ := mwServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), key{}, "v"), time.Hour)
		defer cancel()
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			_, deadline := ctx.Deadline()
			_, server := ctx.Value(http.ServerContextKey).(*http.Server)
			fmt.Fprint(w, ctx.Value(key{}), deadline, server, FromContext(ctx) != nil)
		})).ServeHTTP(w, r.WithContext(ctx))
	}))
	_, body, err := mwGet(srv.URL)
	require.NoError(t, err)
	require.Equal(t, "vtrue true true", body)
	m.next(t)
}

// The ids of a sampled traceparent are kept, of no other.
func TestTraceparent(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for header, sampled := range map[string]bool{
		"00-" + trace + "-" + span + "-01":                    true,
		"00-" + trace + "-" + span + "-03":                    true,
		"00-" + trace + "-" + span + "-0f":                    true,
		"cc-" + trace + "-" + span + "-01-more":               true,
		"00-" + trace + "-" + span + "-00":                    false,
		"00-" + trace + "-" + span + "-01-more":               false,
		"cc-" + trace + "-" + span + "-01more":                false,
		"ff-" + trace + "-" + span + "-01":                    false,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":   false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":  false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01": false,
		"00-" + trace + "-" + span:                            false,
		"":                                                    false,
	} {
		m := mwNew(t, Config{})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Traceparent", header)
		m.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		s := m.next(t)
		require.Equal(t, sampled, s.TraceID == trace && s.SpanID == span, header)
		require.Equal(t, sampled, s.TraceID+s.SpanID != "", header)
	}
}
