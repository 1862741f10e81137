package observe

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nopWriter is the cheapest ResponseWriter that can flush.
type nopWriter struct{ h http.Header }

func (w *nopWriter) Header() http.Header         { return w.h }
func (w *nopWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nopWriter) WriteHeader(int)             {}
func (w *nopWriter) Flush()                      {}

// What a controller can do over a real connection.
func TestWriterController(t *testing.T) {
	m := mwNew(t, Config{})
	errs := make(chan error, 5)
	srv, _ := mwServer(t, m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		errs <- rc.SetReadDeadline(time.Now().Add(time.Minute))
		errs <- rc.SetWriteDeadline(time.Now().Add(time.Minute))
		errs <- rc.EnableFullDuplex()
		mwSSE(w)
		w.Header().Set("Trailer", "X-Tokens")
		_, err := io.WriteString(w, mwChunk)
		errs <- err
		errs <- rc.Flush()
		w.Header().Set("X-Tokens", "1")
	})))
	resp, err := http.Get(srv.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, mwChunk, string(body))
	require.Equal(t, "1", resp.Trailer.Get("X-Tokens"))
	for range 5 {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 1, m.next(t).TokenEvents)
}

// TestContentType is which bodies are read, and that others are only timed.
func TestContentType(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, mwChunk)
	z.Close()
	big := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 1<<20) + `"}}],"usage":{"prompt_tokens":3,"completion_tokens":9}}` + "\n\n"
	for _, c := range []struct {
		name, ct, encoding, body string
		status                   int
		stream                   bool
		tokens                   int
		usage                    Usage
		method                   string
		taken                    int64 // -1: all of the body
	}{
		{name: "sse", ct: "text/event-stream", body: mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "sse with parameter", ct: "Text/Event-Stream; charset=utf-8", body: mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "sse unterminated", ct: "text/event-stream", body: strings.TrimRight(mwChunk, "\n"), stream: true, tokens: 1, taken: -1},
		{name: "ndjson", ct: "application/x-ndjson", body: `{"model":"m","response":"a","done":false}` + "\n", stream: true, tokens: 1, taken: -1},
		{name: "jsonl", ct: "application/jsonl", body: `{"model":"m","response":"a","done":false}` + "\n", stream: true, tokens: 1, taken: -1},
		{name: "json", ct: "application/json", body: `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9}}`, usage: Usage{Input: 3, Output: 9}, taken: -1},
		{name: "problem json", ct: "application/problem+json", body: `{"usage":{"prompt_tokens":3}}`, usage: Usage{Input: 3}, taken: -1},
		{name: "no type, data", body: mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "no type, event", body: "event: message\n" + mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "no type, comment", body: ": hello\n\n" + mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "no type, other", body: "dat is no SSE\n\n" + mwChunk, taken: -1},
		{name: "no type, json", body: `{"usage":{"prompt_tokens":3}}`, taken: -1},
		{name: "no type, short", body: "dat", taken: -1},
		{name: "lying type", ct: "text/plain", body: mwChunk, taken: -1},
		{name: "empty type", ct: " ", body: mwChunk, taken: -1},
		{name: "html", ct: "text/html", body: mwChunk, taken: -1},
		{name: "gzip", ct: "text/event-stream", encoding: "gzip", body: zipped.String(), stream: true, taken: -1},
		{name: "identity", ct: "text/event-stream", encoding: "identity", body: mwChunk, stream: true, tokens: 1, taken: -1},
		{name: "status 400", ct: "text/event-stream", body: mwChunk, status: 400, stream: true, taken: -1},
		{name: "status 304", ct: "text/event-stream", body: mwChunk, status: 304, stream: true},
		{name: "status 204", body: mwChunk, status: 204},
		{name: "head", ct: "application/json", body: `{"usage":{"prompt_tokens":3}}`, method: "HEAD", usage: Usage{Input: 3}, taken: -1},
		{name: "1 MB of data", ct: "text/event-stream", body: big, stream: true, tokens: 1, usage: Usage{Input: 3, Output: 9}, taken: -1},
		{name: "NUL", ct: "text/event-stream", body: "data: \x00\n\n\x00\n\ndata:\n\n", stream: true, tokens: 1, taken: -1},
		{name: "octets", ct: "application/octet-stream", body: strings.Repeat("\x00", 1<<16), taken: -1},
		{name: "10 MB without type", body: strings.Repeat("\x00", 10<<20), taken: -1},
	} {
		for _, way := range []string{"write", "string", "bytes", "copy"} {
			if way == "bytes" && len(c.body) > 1000 || way != "write" && len(c.body) > 2<<20 {
				continue
			}
			t.Run(c.name+"/"+way, func(t *testing.T) {
				m := mwNew(t, Config{})
				h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					for k, v := range map[string]string{"Content-Type": c.ct, "Content-Encoding": c.encoding} {
						if v != "" {
							w.Header().Set(k, v)
						}
					}
					if c.status != 0 {
						w.WriteHeader(c.status)
					}
					switch way {
					case "write":
						w.Write([]byte(c.body))
					case "string":
						io.WriteString(w, c.body)
					case "bytes":
						for i := range len(c.body) {
							w.Write([]byte(c.body[i : i+1]))
						}
					case "copy": // neither side may take a short cut past ReadFrom
						io.Copy(w, struct{ io.Reader }{strings.NewReader(c.body)})
					}
				}))
				srv, _ := mwServer(t, h)
				req, err := http.NewRequest(c.method, srv.URL, nil)
				require.NoError(t, err)
				resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
				require.NoError(t, err)
				got := bytes.NewBuffer(make([]byte, 0, len(c.body)+512))
				_, err = got.ReadFrom(resp.Body)
				require.NoError(t, err)
				if c.taken < 0 {
					c.taken = int64(len(c.body))
					if c.method == "" {
						require.True(t, c.body == got.String(), "the client's bytes")
					}
				}
				s := m.next(t)
				require.Equal(t, c.stream, s.Stream, "Stream")
				require.Equal(t, c.tokens, s.TokenEvents, "tokens")
				require.Equal(t, c.usage, s.Usage)
				require.Equal(t, c.taken, s.ResponseBytes)
				require.Equal(t, max(c.status, 200), s.StatusCode)
				require.Equal(t, c.tokens > 0, s.Has(FieldTTFT))
			})
		}
	}
}

// A header may be set late, but before the body it counts.
func TestContentTypeLate(t *testing.T) {
	m := mwNew(t, Config{})
	h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(nil) // says nothing yet
		mwSSE(w)
		w.Header().Set("Content-Encoding", "identity")
		mwSend(w, mwChunk)
		w.Header().Set("Content-Type", "text/plain") // too late
		mwSend(w, mwChunk)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 2, m.next(t).TokenEvents)

	h = m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // keep-alive before any type is known
		mwSend(w, mwChunk)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 1, m.next(t).TokenEvents, "a body that begins like SSE is SSE")
}

// mwSource is an HTTP/1 writer that says what it copied from.
type mwSource struct {
	nopWriter
	mwHijack
	from []io.Reader
}

func (w *mwSource) ReadFrom(r io.Reader) (int64, error) {
	w.from = append(w.from, r)
	return io.Copy(io.Discard, r)
}

// The inner ReadFrom gets the very source: a counting wrapper would cost sendfile.
func TestReadFromUnwrapped(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, make([]byte, 100_000), 0o600))
	for _, ct := range []string{"video/mp4", ""} {
		f, err := os.Open(name)
		require.NoError(t, err)
		defer f.Close()
		m := mwNew(t, Config{})
		inner := &mwSource{nopWriter: nopWriter{http.Header{}}}
		limited := &io.LimitedReader{R: f, N: 60_000}
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if ct != "" {
				w.Header().Set("Content-Type", ct)
			}
			n, err := w.(io.ReaderFrom).ReadFrom(limited)
			require.NoError(t, err)
			require.EqualValues(t, 60_000, n)
			n, err = w.(io.ReaderFrom).ReadFrom(f)
			require.NoError(t, err)
			require.EqualValues(t, 40_000, n)
		})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
		require.Len(t, inner.from, 2)
		require.Same(t, limited, inner.from[0])
		require.Same(t, f, inner.from[1])
		s := m.next(t)
		require.EqualValues(t, 100_000, s.ResponseBytes)
		require.False(t, s.Stream)
		require.Equal(t, 200, s.StatusCode)
	}
}

// Empty and failing sources are passed on as they are.
func TestReadFromSource(t *testing.T) {
	for _, ct := range []string{"", "text/event-stream", "image/png"} {
		m := mwNew(t, Config{})
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if ct != "" {
				w.Header().Set("Content-Type", ct)
			}
			n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(""))
			require.NoError(t, err)
			require.Zero(t, n)
			bad := errors.New("source broke")
			n, err = w.(io.ReaderFrom).ReadFrom(io.MultiReader(strings.NewReader(mwChunk), mwFailing{bad}))
			require.ErrorIs(t, err, bad)
			require.EqualValues(t, len(mwChunk), n)
		})).ServeHTTP(&mwSource{nopWriter: nopWriter{http.Header{}}}, httptest.NewRequest("GET", "/", nil))
		s := m.next(t)
		require.Equal(t, OutcomeOK, s.Outcome, "a broken source is no client that left")
		require.EqualValues(t, len(mwChunk), s.ResponseBytes)
		require.Equal(t, ct != "image/png", s.TokenEvents == 1)
	}
}

type mwFailing struct{ err error }

func (f mwFailing) Read([]byte) (int, error) { return 0, f.err }

// mwShort takes n bytes of each Write, then fails.
type mwShort struct {
	nopWriter
	n   int
	err error
}

func (w *mwShort) Write(b []byte) (int, error) { return min(w.n, len(b)), w.err }

// Only what the inner writer took is counted and parsed, also if it lies.
func TestAcceptedPrefix(t *testing.T) {
	two := mwChunk + mwChunk
	for _, c := range []struct {
		n      int
		err    error
		bytes  int64
		tokens int
	}{
		{len(mwChunk), io.ErrShortWrite, int64(len(mwChunk)), 1},
		{len(mwChunk) + 3, io.ErrShortWrite, int64(len(mwChunk)) + 3, 1},
		{0, io.ErrClosedPipe, 0, 0},
		{-5, io.ErrClosedPipe, 0, 0},
		{len(two), nil, int64(len(two)), 2},
	} {
		m := mwNew(t, Config{})
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			w.Write([]byte(two))
		})).ServeHTTP(&mwShort{nopWriter{http.Header{}}, c.n, c.err}, httptest.NewRequest("GET", "/", nil))
		s := m.next(t)
		require.Equal(t, c.bytes, s.ResponseBytes)
		require.Equal(t, c.tokens, s.TokenEvents)
		if c.err != nil {
			require.Equal(t, OutcomeClientDisconnect, s.Outcome)
		}
	}
	m := mwNew(t, Config{})
	m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mwSSE(w)
		io.WriteString(w, mwChunk)
	})).ServeHTTP(mwLiar{&nopWriter{http.Header{}}}, httptest.NewRequest("GET", "/", nil))
	require.EqualValues(t, len(mwChunk), m.next(t).ResponseBytes)
}

type mwLiar struct{ *nopWriter }

func (mwLiar) Write(b []byte) (int, error) { return 3 * len(b), nil }

// A sink that ends the goroutine in the middle of a Write must not hang the end.
func TestGoexitInSink(t *testing.T) {
	rec, err := New(Config{Sinks: []Sink{mwExits{}}})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		rec.Middleware(chatHandler(100)).ServeHTTP(&nopWriter{http.Header{}}, httptest.NewRequest("GET", "/", nil))
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the end waits for a Write that is gone")
	}
	for l := range rec.Live() {
		require.Zero(t, l.InFlight)
	}
}

type mwExits struct{}

func (mwExits) Attach(*Recorder)         {}
func (mwExits) Series(Labels) SeriesSink { return mwExitsSeries{} }

type mwExitsSeries struct{}

func (mwExitsSeries) Gaps([]time.Duration)                   { runtime.Goexit() }
func (mwExitsSeries) Request(context.Context, *RequestStats) {}

// chatHandler is the stream that costs are told of.
func chatHandler(n int) http.Handler {
	chunk := []byte(`data: {"id":"chatcmpl-9f8s7d6f5s","object":"chat.completion.chunk","created":1700000000,"model":"m1","choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}` + "\n\n")
	usage := []byte(`data: {"id":"chatcmpl-9f8s7d6f5s","object":"chat.completion.chunk","created":1700000000,"model":"m1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":256,"total_tokens":263}}` + "\n\n")
	done := []byte("data: [DONE]\n\n")
	ct := []string{"text/event-stream"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = ct
		f := w.(http.Flusher)
		for range n {
			w.Write(chunk)
			f.Flush()
		}
		w.Write(usage)
		w.Write(done)
	})
}
