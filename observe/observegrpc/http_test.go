package observegrpc

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// behindHTTP serves gRPC by net/http, behind what wrap makes
// of it.
func behindHTTP(wrap func(*observe.Recorder, http.Handler) http.Handler) setup {
	return setup{serve: func(h *harness, l net.Listener) error {
		s := &http.Server{Handler: wrap(h.rec, h.server), Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		return s.Serve(l)
	}}
}

// TestBehindHTTP: a call behind the HTTP middleware is one request, with the
// outcome of the call: HTTP says 200 whatever happens.
func TestBehindHTTP(t *testing.T) {
	h := start(t, behindHTTP(func(r *observe.Recorder, next http.Handler) http.Handler {
		return r.Handler(observe.RequestInfo{Operation: observe.OperationChat, Provider: "openai"}, next)
	}))
	n := 0
	check := func(outcome observe.Outcome, code string) observe.RequestStats {
		t.Helper()
		n++
		s := h.next(t, n)
		assert.Equal(t, outcome, s.Outcome)
		assert.Equal(t, code, s.Code)
		assert.Equal(t, observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "openai"}, s.Labels,
			"what HTTP knew, and what the message said")
		return s
	}
	for _, kind := range []string{unary, clientStream, outStream, bidi} {
		_, err := h.do(t.Context(), kind, order{Model: "m", N: 3, Wait: time.Millisecond}, 0)
		require.NoError(t, err)
		s := check(observe.OutcomeOK, "OK")
		if kind == outStream || kind == bidi {
			assert.Equal(t, 3, s.TokenEvents)
			assert.GreaterOrEqual(t, s.TTFT, time.Millisecond)
		}
		_, err = h.do(t.Context(), kind, order{Model: "m", Code: codes.ResourceExhausted}, 0)
		require.Equal(t, codes.ResourceExhausted, status.Code(err))
		check(observe.OutcomeClientError, "ResourceExhausted")

		_, err = h.do(t.Context(), kind, order{Model: "m", Do: "panic"}, 0)
		require.Equal(t, codes.Internal, status.Code(err))
		assert.Equal(t, "boom", <-h.recovered)
		s = check(observe.OutcomePanic, "none")
		assert.ErrorContains(t, s.Err, "boom")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := h.do(ctx, outStream, order{Model: "m", N: 1 << 30, Gap: time.Millisecond}, 3)
	require.NoError(t, err)
	cancel()
	// grpc's ServeHTTP does not wait for the handler then, so the middleware ends
	// the request, as that of an answer of which it cannot see the end.
	s := h.next(t, n+1)
	assert.GreaterOrEqual(t, s.TokenEvents, 3)
	assert.Contains(t, []observe.Outcome{observe.OutcomeOK, observe.OutcomeClientDisconnect}, s.Outcome)
}

// TestBehindHTTPUnmeasured: left out by the middleware, a call is a request of
// the interceptors alone, as behind grpc's own transport.
func TestBehindHTTPUnmeasured(t *testing.T) {
	h := start(t, behindHTTP(func(_ *observe.Recorder, next http.Handler) http.Handler { return next }))
	_, err := h.do(t.Context(), outStream, order{Model: "m", N: 2}, 0)
	require.NoError(t, err)
	s := h.next(t, 1)
	assert.True(t, s.Stream)
	assert.Equal(t, "custom", s.Provider)
	_, err = h.do(t.Context(), unary, order{Model: "m", Do: "panic"}, 0)
	require.Error(t, err)
	assert.Equal(t, observe.OutcomePanic, h.next(t, 2).Outcome)
}

// TestGoexitBehindHTTP: net/http's context, without its server.
func TestGoexitBehindHTTP(t *testing.T) {
	for _, c := range []struct {
		value   any
		outcome observe.Outcome
	}{{nil, observe.OutcomeAborted}, {http.ErrAbortHandler, observe.OutcomeAborted}, {[]int{1}, observe.OutcomePanic}} {
		var all []observe.RequestStats
		rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) { all = append(all, s) }})
		require.NoError(t, err)
		i, err := NewInterceptors(Config{Recorder: rec})
		require.NoError(t, err)
		ctx := context.WithValue(t.Context(), http.ServerContextKey, new(http.Server))
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			ctx, outer := rec.Start(ctx, observe.RequestInfo{})
			defer outer.End(nil)
			_ = i.Stream(nil, &fakeStream{ctx: ctx}, info, func(any, grpc.ServerStream) error {
				if c.value == nil {
					runtime.Goexit()
				}
				panic(c.value)
			})
		}()
		assert.Equal(t, c.value, <-done)
		require.Len(t, all, 1)
		assert.Equal(t, c.outcome, all[0].Outcome)
	}
}
