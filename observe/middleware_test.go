package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// mwSink keeps everything that a Recorder says.
type mwSink struct {
	mu       sync.Mutex
	rec      *Recorder
	series   map[Labels]int
	requests []RequestStats
	gaps     map[Labels][]time.Duration
}

type mwSeries struct {
	sink   *mwSink
	labels Labels
}

func (s *mwSink) Attach(r *Recorder) { s.rec = r }

func (s *mwSink) Series(l Labels) SeriesSink {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.series[l]++
	return mwSeries{s, l}
}

func (s mwSeries) Gaps(g []time.Duration) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.gaps[s.labels] = append(s.sink.gaps[s.labels], g...)
}

func (s mwSeries) Request(_ context.Context, r *RequestStats) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.requests = append(s.sink.requests, *r)
}

// mwRec is a Recorder with a sink and a channel of what OnRequest got.
type mwRec struct {
	*Recorder
	sink *mwSink
	done chan RequestStats
}

func mwNew(t testing.TB, cfg Config) *mwRec {
	t.Helper()
	m := &mwRec{
		sink: &mwSink{series: map[Labels]int{}, gaps: map[Labels][]time.Duration{}},
		done: make(chan RequestStats, 1<<10),
	}
	cfg.Sinks = append(cfg.Sinks, m.sink)
	cfg.OnRequest = func(s RequestStats) { m.done <- s }
	rec, err := New(cfg)
	require.NoError(t, err)
	m.Recorder = rec
	return m
}

// next is the next finished request; a handler ends later than its client knows.
func (m *mwRec) next(t testing.TB) RequestStats {
	t.Helper()
	select {
	case s := <-m.done:
		return s
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no request ended")
		return RequestStats{}
	}
}

// idle checks that nothing is in flight or waiting.
func (m *mwRec) idle(t testing.TB) {
	t.Helper()
	for l := range m.Live() {
		require.Zero(t, l.InFlight, l.Labels)
		require.Zero(t, l.Waiting, l.Labels)
	}
}

// mwLog is a log that many goroutines write.
type mwLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *mwLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *mwLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func mwServer(t testing.TB, h http.Handler) (*httptest.Server, *mwLog) {
	t.Helper()
	l := &mwLog{}
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(l, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s, l
}

const (
	mwChunk = `data: {"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}` + "\n\n"
	mwUsage = `data: {"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}` + "\n\n"
	mwDone  = "data: [DONE]\n\n"
)

func mwSSE(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") }

func mwSend(w http.ResponseWriter, chunks ...string) {
	for _, c := range chunks {
		io.WriteString(w, c)
		w.(http.Flusher).Flush()
	}
}

// mwGet does one request and reads what comes.
func mwGet(url string) (status int, body string, err error) {
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// mwLeave reads the first event and leaves.
func mwLeave(url string) (int, string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b := make([]byte, len(mwChunk))
	_, err = io.ReadFull(resp.Body, b)
	return resp.StatusCode, string(b), err
}

// TestMatrix is the behaviour matrix: what a model server does when it fails, and
// what must be recorded then, over a real connection.
func TestMatrix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 10_000), 0o600))
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		client  func(url string) (int, string, error) // defaults to mwGet
		seen    int                                   // status that the client got
		outcome Outcome
		code    string
		error   string
		bytes   int64
		tokens  int
		log     string // what the server logged
		check   func(*testing.T, RequestStats)
	}{
		{name: "panic before any write", handler: func(http.ResponseWriter, *http.Request) { panic("boom 1") },
			outcome: OutcomePanic, code: "none", error: "panic", log: "panic serving 127.0.0.1", check: func(t *testing.T, s RequestStats) {
				require.EqualError(t, s.Err, "panic: boom 1")
				require.False(t, s.Has(FieldTTFT))
			}},
		{name: "panic after an event", handler: func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk, mwChunk)
			panic(fmt.Errorf("boom 2: %w", io.ErrUnexpectedEOF))
		}, seen: 200, outcome: OutcomePanic, code: "200", error: "panic", bytes: 2 * int64(len(mwChunk)), tokens: 2, log: "boom 2",
			check: func(t *testing.T, s RequestStats) {
				require.ErrorIs(t, s.Err, io.ErrUnexpectedEOF)
				require.True(t, s.Has(FieldTTFT))
				require.False(t, s.Has(FieldTPOT))
			}},
		{name: "nil panic", handler: func(http.ResponseWriter, *http.Request) { panic(nil) },
			outcome: OutcomePanic, code: "none", error: "panic", log: "panic called with nil"},
		{name: "ErrAbortHandler", handler: func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk)
			panic(http.ErrAbortHandler)
		}, seen: 200, outcome: OutcomeAborted, code: "200", error: "aborted", bytes: int64(len(mwChunk)), tokens: 1},
		{name: "Goexit", handler: func(w http.ResponseWriter, _ *http.Request) { runtime.Goexit() },
			outcome: OutcomeAborted, code: "none", error: "aborted"},
		{name: "client leaves mid-stream", handler: func(w http.ResponseWriter, r *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk)
			<-r.Context().Done()
		}, client: mwLeave, seen: 200, outcome: OutcomeClientDisconnect, code: "200", error: "client_disconnect",
			bytes: int64(len(mwChunk)), tokens: 1, check: func(t *testing.T, s RequestStats) {
				require.True(t, s.Has(FieldTTFT))
				require.False(t, s.Has(FieldTPOT))
			}},
		{name: "client leaves a handler that answers 499", handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusProcessing)
			<-r.Context().Done()
			http.Error(w, "client closed request", 499)
		}, client: mwGlance, seen: 102, outcome: OutcomeClientDisconnect, code: "none", error: "client_disconnect", bytes: 22},
		{name: "103 then 200", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(200)
			io.WriteString(w, "ok")
		}, seen: 200, code: "200", bytes: 2},
		{name: "WriteHeader twice", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(500)
		}, seen: 201, code: "201", log: "superfluous response.WriteHeader call"},
		{name: "nothing written", handler: func(http.ResponseWriter, *http.Request) {}, seen: 200, code: "200"},
		{name: "io.Copy of a file", handler: func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			io.Copy(w, f)
		}, seen: 200, code: "200", bytes: 100_000},
		{name: "ServeFile", handler: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
			seen: 200, code: "200", bytes: 100_000},
		{name: "Hijack", handler: func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			time.Sleep(10 * time.Millisecond)
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
			c.Close()
			if _, err := w.Write([]byte("late")); err != http.ErrHijacked {
				panic(err)
			}
		}, client: mwUpgrade, seen: 101, outcome: OutcomeHijacked, code: "none", check: func(t *testing.T, s RequestStats) {
			require.GreaterOrEqual(t, s.Duration, 10*time.Millisecond) // until the handler returns
		}},
		{name: "101 and Hijack", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(101)
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			c.Close()
		}, client: mwUpgrade, seen: 101, outcome: OutcomeHijacked, code: "101"},
		{name: "status 500", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
			seen: 500, outcome: OutcomeServerError, code: "500", error: "500", bytes: 3},
		{name: "status 429", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTooManyRequests) },
			seen: 429, outcome: OutcomeClientError, code: "429", error: "429", bytes: 3},
		{name: "error event after 200", handler: func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk, `data: {"error":{"type":"overloaded","message":"x"}}`+"\n\n")
		}, seen: 200, outcome: OutcomeStreamError, code: "200", error: "stream_error", bytes: 144, tokens: 1,
			check: func(t *testing.T, s RequestStats) { require.Equal(t, "overloaded", s.ErrorDetail) }},
		{name: "a whole stream", handler: func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk, mwChunk, mwUsage, mwDone)
		}, seen: 200, code: "200", bytes: 2*int64(len(mwChunk)) + int64(len(mwUsage)+len(mwDone)), tokens: 2,
			check: func(t *testing.T, s RequestStats) {
				require.True(t, s.Complete && s.Stream)
				require.Equal(t, Usage{Input: 7, Output: 5}, s.Usage)
				require.Equal(t, Labels{"m", OperationChat, "openai"}, s.Labels)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mwNew(t, Config{})
			srv, logged := mwServer(t, m.Middleware(c.handler))
			if c.client == nil {
				c.client = mwGet
			}
			status, _, _ := c.client(srv.URL)
			require.Equal(t, c.seen, status, "what the client saw")
			s := m.next(t)
			require.Equal(t, c.outcome, s.Outcome)
			require.Equal(t, c.code, s.Code)
			require.Equal(t, c.error, s.ErrorType)
			require.Equal(t, c.bytes, s.ResponseBytes)
			require.Equal(t, c.tokens, s.TokenEvents)
			require.LessOrEqual(t, s.TTFB, s.Duration)
			if c.check != nil {
				c.check(t, s)
			}
			m.idle(t)
			require.Empty(t, m.done, "one end a request")
			require.Len(t, m.sink.requests, 1)
			require.Equal(t, s, m.sink.requests[0], "sink and OnRequest get the same")
			srv.CloseClientConnections()
			srv.Close() // waits for the connection, and so for the log
			if c.log == "" && c.outcome != OutcomeHijacked {
				require.Empty(t, logged.String())
			}
			require.Contains(t, logged.String(), c.log)
		})
	}
}

// mwUpgrade asks for another protocol and reads the whole answer.
func mwUpgrade(url string) (int, string, error) { return mwDial(url, io.ReadAll) }

// mwGlance leaves as soon as the first line of an answer is there.
func mwGlance(url string) (int, string, error) {
	return mwDial(url, func(r io.Reader) ([]byte, error) {
		b := make([]byte, 12)
		_, err := io.ReadFull(r, b)
		return b, err
	})
}

func mwDial(url string, read func(io.Reader) ([]byte, error)) (status int, body string, err error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	b, err := read(c)
	fmt.Sscanf(string(b), "HTTP/1.1 %d", &status)
	return status, string(b), err
}

func TestMatrixEarlyFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mwNew(t, Config{})
		h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mwSSE(w)
			w.(http.Flusher).Flush()
			time.Sleep(300 * time.Millisecond)
			for i := range 5 {
				if i > 0 {
					time.Sleep(20 * time.Millisecond)
				}
				mwSend(w, mwChunk)
			}
			mwSend(w, mwUsage, mwDone)
			time.Sleep(20 * time.Millisecond)
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/chat/completions", nil))
		s := m.next(t)
		ms := time.Millisecond
		require.Equal(t, []time.Duration{0, 300 * ms, 300 * ms, 380 * ms, 80 * ms, 20 * ms, 400 * ms},
			[]time.Duration{s.TTFB, s.TTFT, s.FirstEvent, s.LastToken, s.GapSum, s.TPOT, s.Duration})
		require.Equal(t, []time.Duration{20 * ms, 20 * ms, 20 * ms, 20 * ms}, m.sink.gaps[s.Labels])
	})
}

// A hostile client may choose any Host: it is no label.
func TestMatrixHosts(t *testing.T) {
	m := mwNew(t, Config{})
	srv, _ := mwServer(t, m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })))
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	go func() {
		for i := range 3000 {
			fmt.Fprintf(c, "GET /x%d HTTP/1.1\r\nHost: h%d.example\r\nUser-Agent: u%d\r\n\r\n", i, i, i)
		}
	}()
	go io.Copy(io.Discard, c)
	for range 3000 {
		m.next(t)
	}
	require.Equal(t, map[Labels]int{{"unknown", OperationOther, "custom"}: 1}, m.sink.series)
}

// The same value is re-panicked, and the frames of the first panic are kept.
func TestRepanic(t *testing.T) {
	type odd []int // not comparable
	for _, v := range []any{"s", odd{1}, http.ErrAbortHandler, io.EOF, 7} {
		m := mwNew(t, Config{})
		h := m.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(v) }))
		func() {
			defer func() { require.Equal(t, v, recover()) }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		m.next(t)
		m.idle(t)
	}
}
