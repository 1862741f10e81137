// Package http puts calm's middleware inside and outside of the frameworks and
// middleware that people use.
package http

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/calmops/calm/observe"
)

// measured is a recorder and what it recorded.
type measured struct {
	rec *observe.Recorder
	mu  sync.Mutex
	all []observe.RequestStats
}

func measure(t *testing.T) *measured {
	m := &measured{}
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.all = append(m.all, s)
	}})
	require.NoError(t, err)
	m.rec = rec
	return m
}

// last waits for the n-th request and returns it; there must be no more.
func (m *measured) last(t *testing.T, n int) observe.RequestStats {
	t.Helper()
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.all) >= n
	}, 10*time.Second, time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	require.Len(t, m.all, n, "each request is counted once")
	for l := range m.rec.Live() {
		assert.Zero(t, l.InFlight)
	}
	return m.all[n-1]
}

// app is what the handlers of every framework do, on plain net/http types.
func app(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/chat/completions":
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Cost")
		send := func(data string) {
			fmt.Fprintf(w, "data: %s\n\n", data)
			if err := http.NewResponseController(w).Flush(); errors.Is(err, http.ErrNotSupported) {
				panic(err)
			}
		}
		send(`{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`)
		time.Sleep(20 * time.Millisecond)
		for range 5 {
			send(`{"model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}`)
			time.Sleep(2 * time.Millisecond)
		}
		send(`{"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":5}}`)
		send("[DONE]")
		w.Header().Set("X-Cost", "7")
	case "/hijack":
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		c.Close()
	case "/hints":
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
	case "/panic":
		panic("boom")
	case "/deadline":
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			panic(err)
		}
		io.WriteString(w, "ok")
	}
}

var paths = []string{"/v1/chat/completions", "/hijack", "/hints", "/panic", "/deadline"}

// setups are the ways to put the middleware and a framework together.
func setups(rec *observe.Recorder) map[string]http.Handler {
	gin.SetMode(gin.ReleaseMode)
	inner, handler := rec.Middleware(http.HandlerFunc(app)), http.HandlerFunc(app)
	ginOf := func(h http.Handler) http.Handler {
		e := gin.New()
		for _, p := range paths {
			e.Any(p, gin.WrapH(h))
		}
		return e
	}
	echoOf := func(h http.Handler, middleware ...echo.MiddlewareFunc) http.Handler {
		e := echo.New()
		e.Use(middleware...)
		for _, p := range paths {
			e.Any(p, echo.WrapHandler(h))
		}
		return e
	}
	return map[string]http.Handler{
		"net/http":                   inner,
		"outside of gin":             rec.Middleware(ginOf(handler)),
		"inside of gin":              ginOf(inner),
		"both sides of gin":          rec.Middleware(ginOf(inner)),
		"outside of echo":            rec.Middleware(echoOf(handler)),
		"inside of echo":             echoOf(inner),
		"inside of echo's logger":    echoOf(inner, echomiddleware.RequestLoggerWithConfig(echomiddleware.RequestLoggerConfig{LogValuesFunc: func(echo.Context, echomiddleware.RequestLoggerValues) error { return nil }})),
		"echo's middleware":          echoOf(handler, echo.WrapMiddleware(rec.Middleware)),
		"outside of otelhttp":        rec.Middleware(otelhttp.NewHandler(handler, "calm")),
		"inside of otelhttp":         otelhttp.NewHandler(inner, "calm"),
		"inside of otelhttp and gin": otelhttp.NewHandler(ginOf(inner), "calm"),
	}
}

func start(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // panics on purpose
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	res, err := c.Post(url, "application/json", strings.NewReader(`{"model":"m","stream":true}`))
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// checkStream checks what is known of the stream of app.
func checkStream(t *testing.T, s observe.RequestStats) {
	t.Helper()
	assert.Equal(t, observe.OutcomeOK, s.Outcome)
	assert.True(t, s.Stream && s.Complete)
	assert.Equal(t, 5, s.TokenEvents)
	assert.Equal(t, observe.Usage{Input: 2, Output: 5}, s.Usage)
	assert.Equal(t, "m", s.Model)
	assert.GreaterOrEqual(t, s.TTFT, 20*time.Millisecond)
	assert.Less(t, s.FirstEvent, s.TTFT, "the prelude is no token")
}

func TestFrameworks(t *testing.T) {
	for name := range setups(measure(t).rec) {
		t.Run(name, func(t *testing.T) {
			m := measure(t)
			server := start(t, setups(m.rec)[name])

			res, body := ask(t, server.Client(), server.URL+paths[0])
			assert.Equal(t, 200, res.StatusCode)
			assert.True(t, strings.HasSuffix(body, "data: [DONE]\n\n"))
			assert.Equal(t, "7", res.Trailer.Get("X-Cost"))
			checkStream(t, m.last(t, 1))

			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "POST /hijack HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			got, err := io.ReadAll(bufio.NewReader(conn))
			require.NoError(t, err)
			assert.True(t, strings.HasSuffix(string(got), "hello"))
			assert.Equal(t, observe.OutcomeHijacked, m.last(t, 2).Outcome)

			hints := 0
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				hints += code
				return nil
			}})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/hints", nil)
			require.NoError(t, err)
			res, err = server.Client().Do(req)
			require.NoError(t, err)
			res.Body.Close()
			stats := m.last(t, 3)
			if !strings.Contains(name, "gin") && !strings.Contains(name, "echo") {
				// gin and echo keep the first status they see, and send nothing before it
				assert.Equal(t, 103, hints)
			}
			if !strings.Contains(name, "inside of echo") {
				// echo takes the 103 for the answer and drops the 201 without a word to
				// the handler inside of it
				assert.Equal(t, res.StatusCode, stats.StatusCode, "what the client got, whatever the framework made of it")
			}

			_, err = server.Client().Post(server.URL+"/panic", "", nil)
			assert.Error(t, err)
			assert.Equal(t, observe.OutcomePanic, m.last(t, 4).Outcome)

			_, body = ask(t, server.Client(), server.URL+"/deadline")
			assert.Equal(t, "ok", body)
			assert.EqualValues(t, 2, m.last(t, 5).ResponseBytes)
		})
	}
}

// TestRecovery is a framework that turns a panic into a 500: inside of it the
// middleware sees the panic, outside the answer.
func TestRecovery(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	for _, outside := range []bool{false, true} {
		m := measure(t)
		e := gin.New()
		e.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }))
		h, want := m.rec.Middleware(http.HandlerFunc(app)), observe.OutcomePanic
		if outside {
			h, want = http.HandlerFunc(app), observe.OutcomeServerError
		}
		e.Any("/panic", gin.WrapH(h))
		var root http.Handler = e
		if outside {
			root = m.rec.Middleware(e)
		}
		server := start(t, root)
		res, _ := ask(t, server.Client(), server.URL+"/panic")
		assert.Equal(t, 500, res.StatusCode)
		assert.Equal(t, want, m.last(t, 1).Outcome)
	}
}

// TestReverseProxy measures on both sides of a proxy: the gateway and the server
// see the same stream.
func TestReverseProxy(t *testing.T) {
	inner, outer := measure(t), measure(t)
	server := start(t, inner.rec.Middleware(http.HandlerFunc(app)))
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	gateway := start(t, outer.rec.Middleware(proxy))
	_, body := ask(t, gateway.Client(), gateway.URL+paths[0])
	assert.Contains(t, body, "[DONE]")
	i, o := inner.last(t, 1), outer.last(t, 1)
	checkStream(t, i)
	checkStream(t, o)
	assert.Equal(t, i.ResponseBytes, o.ResponseBytes)
	assert.InDelta(t, i.TTFT.Seconds(), o.TTFT.Seconds(), .25)
	assert.GreaterOrEqual(t, o.TTFT, i.TTFT-5*time.Millisecond, "the gateway gets the token after the server sent it")
}

// TestHTTP2 streams over HTTP/2, with a trailer, and is left in the middle.
func TestHTTP2(t *testing.T) {
	m := measure(t)
	s := httptest.NewUnstartedServer(m.rec.Middleware(http.HandlerFunc(app)))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	res, _ := ask(t, s.Client(), s.URL+paths[0])
	assert.Equal(t, 2, res.ProtoMajor)
	assert.Equal(t, "7", res.Trailer.Get("X-Cost"))
	checkStream(t, m.last(t, 1))

	res, err := s.Client().Post(s.URL+paths[0], "application/json", strings.NewReader(`{"model":"m"}`))
	require.NoError(t, err)
	buf := make([]byte, 16)
	_, err = res.Body.Read(buf)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, observe.OutcomeClientDisconnect, m.last(t, 2).Outcome)
}
