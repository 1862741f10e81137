package observeotel

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// loopback is a real server: what otelhttp does outside, the middleware, and a
// handler.
type loopback struct {
	*rig
	url   string
	ended chan observe.RequestStats
	panic any // what the middleware let through
}

func newLoopback(t *testing.T, h http.HandlerFunc) *loopback {
	l := &loopback{rig: newRig(t, ServingConfig{}), ended: make(chan observe.RequestStats, 4096)}
	rec := l.recorder(t, observe.Config{OnRequest: func(s observe.RequestStats) { l.ended <- s }})
	tracer := l.traces.Tracer("http")
	inner := rec.Middleware(h)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), "POST", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		defer func() {
			if l.panic = recover(); l.panic != nil {
				panic(l.panic)
			}
		}()
		inner.ServeHTTP(w, r.WithContext(ctx))
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	l.url = srv.URL + "/v1/chat/completions"
	return l
}

// post sends a request and reads what comes of it. leave, if not nil, is called once
// something has been read.
func (l *loopback) post(ctx context.Context, t *testing.T, leave func()) (status int, body []byte) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(`{"model":"m"}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if leave != nil {
		_, _ = resp.Body.Read(make([]byte, 1))
		time.AfterFunc(50*time.Millisecond, leave) // both tokens are on their way
	}
	body, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, body
}

func (l *loopback) next(t *testing.T) observe.RequestStats {
	select {
	case s := <-l.ended:
		return s
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no request ended")
		return observe.RequestStats{}
	}
}

const sseToken = `{"choices":[{"delta":{"content":"a"}}]}`

// TestBehaviourMatrix: how each kind of request is exported, over a real server.
func TestBehaviourMatrix(t *testing.T) {
	hijack := func(w http.ResponseWriter) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_ = buf.Flush()
		time.Sleep(20 * time.Millisecond)
		_ = conn.Close()
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		leave   bool   // the client leaves when it has read something
		want    string // outcome, code, error.type, span status
		tokens  int    // gaps + 1
		panic   any
	}{
		{name: "panic before any write", want: "panic none panic Error", panic: "boom",
			handler: func(http.ResponseWriter, *http.Request) { panic("boom") }},
		{name: "panic after an event", want: "panic 200 panic Error", panic: "boom", tokens: 2,
			handler: func(w http.ResponseWriter, _ *http.Request) { sse(w, sseToken, sseToken); panic("boom") }},
		{name: "abort", want: "aborted 200 aborted Error", panic: http.ErrAbortHandler, tokens: 2,
			handler: func(w http.ResponseWriter, _ *http.Request) { sse(w, sseToken, sseToken); panic(http.ErrAbortHandler) }},
		{name: "client leaves mid-stream", want: "client_disconnect 200 client_disconnect Unset", leave: true, tokens: 2,
			handler: func(w http.ResponseWriter, r *http.Request) {
				sse(w, sseToken, sseToken)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}},
		{name: "103 then 200", want: "ok 200  Unset", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</s.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		}},
		{name: "201 then 500", want: "ok 201  Unset", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusInternalServerError)
		}},
		{name: "hijack", want: "hijacked none  Unset", handler: func(w http.ResponseWriter, _ *http.Request) { hijack(w) }},
		{name: "500", want: "server_error 500 500 Error", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		{name: "error event after 200", want: "stream_error 200 stream_error Error", tokens: 2,
			handler: func(w http.ResponseWriter, _ *http.Request) {
				sse(w, sseToken, sseToken, `{"error":{"type":"overloaded"}}`)
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLoopback(t, tt.handler)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var leave func()
			if tt.leave {
				leave = cancel
			}
			l.post(ctx, t, leave)
			s := l.next(t)
			require.Eventually(t, func() bool { return len(l.spans.Ended()) == 1 }, 10*time.Second, time.Millisecond)

			word := strings.Fields(tt.want)
			if len(word) == 3 {
				word = []string{word[0], word[1], "", word[2]}
			}
			counted := 0.0
			for _, p := range l.points("llm.server.requests") {
				if counted += p.sum; p.sum > 0 {
					assert.True(t, matches(p.attrs, map[string]string{keyOutcome: word[0], keyCode: word[1], keyModel: "m"}), show(p.attrs))
				}
			}
			assert.Equal(t, 1.0, counted)
			duration := l.points("gen_ai.server.request.duration")
			require.Len(t, duration, 1)
			assert.True(t, matches(duration[0].attrs, map[string]string{keyErrorType: word[2]}), show(duration[0].attrs))
			assert.InDelta(t, s.Duration.Seconds(), duration[0].sum, 1e-9)
			inFlight := l.points("llm.server.requests_in_flight")
			require.Len(t, inFlight, 1)
			assert.Zero(t, inFlight[0].sum)
			span := l.spans.Ended()[0]
			assert.Equal(t, word[3], span.Status().Code.String())
			assert.Contains(t, attrsOf(span), keySpanOutcome+"="+word[0])
			if tt.panic != nil {
				assert.Equal(t, tt.panic, l.panic, "the same value goes on")
			}
			first, gaps := l.points("gen_ai.server.time_to_first_token"), l.sets("llm.server.inter_token_gaps")
			if tt.tokens == 0 {
				assert.Empty(t, first)
			} else {
				require.Len(t, first, 1)
				assert.EqualValues(t, 1, first[0].count)
				assert.True(t, matches(first[0].attrs, map[string]string{keyErrorType: word[2]}))
				assert.EqualValues(t, tt.tokens-1, gaps[byOpM+" le=+Inf"])
			}
			assert.Empty(t, l.points("gen_ai.server.time_per_output_token"))
		})
	}
}

// TestTimesOfAStream: headers at once, the first token after 300 ms, 5 tokens 20
// ms apart.
func TestTimesOfAStream(t *testing.T) {
	t.Parallel()
	l := newLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(300 * time.Millisecond)
		for range 5 {
			sse(w, sseToken)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
		sse(w, "[DONE]")
	})
	_, body := l.post(context.Background(), t, nil)
	assert.Equal(t, 6, bytes.Count(body, []byte("data: ")))
	s := l.next(t)
	at := func(name string) float64 {
		points := l.points(name)
		require.Len(t, points, 1, name)
		return points[0].sum
	}
	// A loaded machine sleeps too long, never too short.
	assert.GreaterOrEqual(t, at("gen_ai.server.time_to_first_token"), .3)
	assert.Less(t, at("llm.server.time_to_first_byte"), .3)
	assert.GreaterOrEqual(t, at("llm.server.inter_token_time"), .08)
	assert.InDelta(t, s.GapSum.Seconds(), at("llm.server.inter_token_time"), 1e-9)
	assert.EqualValues(t, 4, l.sets("llm.server.inter_token_gaps")[byOpM+" le=+Inf"])
	assert.GreaterOrEqual(t, at("gen_ai.server.request.duration"), .4)
}

// TestFile: a copied file keeps sendfile, and its bytes are counted.
func TestFile(t *testing.T) {
	const size = 100_000
	readerFrom := make(chan bool, 1)
	l := newLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		_, ok := w.(io.ReaderFrom)
		readerFrom <- ok
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("x", size)), size))
	})
	status, body := l.post(context.Background(), t, nil)
	assert.Equal(t, 200, status)
	assert.Len(t, body, size)
	l.next(t)
	assert.True(t, <-readerFrom)
	assert.Equal(t, map[string]float64{byOpM: size}, l.sets("llm.server.response_bytes"))
}

// TestHosts: 3000 Host headers are one series.
func TestHosts(t *testing.T) {
	l := newLoopback(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(l.url, "/v1/chat/completions"), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	const hosts = 3000
	go func() {
		for i := range hosts {
			_, _ = fmt.Fprintf(conn, "GET /v1/chat/completions HTTP/1.1\r\nHost: h%d.example\r\n\r\n", i)
		}
	}()
	answers := textproto.NewConn(conn)
	for range hosts {
		line, err := answers.ReadLine()
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 204 No Content", line)
		_, err = answers.ReadMIMEHeader()
		require.NoError(t, err)
		l.next(t)
	}
	points := l.points("gen_ai.server.request.duration")
	require.Len(t, points, 1)
	assert.EqualValues(t, hosts, points[0].count)
	assert.Equal(t, []string{"gen_ai.operation.name=chat", "gen_ai.provider.name=openai"}, show(points[0].attrs))
}

// TestController: what a handler may do with its writer still works, and is
// exported as an answer that ended well.
func TestController(t *testing.T) {
	errs := make(chan error, 4)
	l := newLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		errs <- c.EnableFullDuplex()
		errs <- c.SetWriteDeadline(time.Now().Add(time.Minute))
		errs <- c.Flush()
		_, err := w.(io.StringWriter).WriteString("x")
		errs <- err
	})
	l.post(context.Background(), t, nil)
	l.next(t)
	for range 4 {
		assert.NoError(t, <-errs)
	}
	require.Eventually(t, func() bool { return len(l.spans.Ended()) == 1 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, codes.Unset, l.spans.Ended()[0].Status().Code)
}
