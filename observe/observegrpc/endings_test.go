package observegrpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// outcomes is the table of the package's documentation.
var outcomes = map[codes.Code]observe.Outcome{
	codes.OK:       observe.OutcomeOK,
	codes.Canceled: observe.OutcomeClientDisconnect, codes.DeadlineExceeded: observe.OutcomeTimeout,
	codes.InvalidArgument: observe.OutcomeClientError, codes.NotFound: observe.OutcomeClientError,
	codes.AlreadyExists: observe.OutcomeClientError, codes.PermissionDenied: observe.OutcomeClientError,
	codes.Unauthenticated: observe.OutcomeClientError, codes.FailedPrecondition: observe.OutcomeClientError,
	codes.OutOfRange: observe.OutcomeClientError, codes.ResourceExhausted: observe.OutcomeClientError,
	codes.Unknown: observe.OutcomeServerError, codes.Aborted: observe.OutcomeServerError,
	codes.Unimplemented: observe.OutcomeServerError, codes.Internal: observe.OutcomeServerError,
	codes.Unavailable: observe.OutcomeServerError, codes.DataLoss: observe.OutcomeServerError,
}

// TestCodes: every code by every kind of method, end to end.
func TestCodes(t *testing.T) {
	require.Len(t, outcomes, 17)
	h := start(t, setup{})
	n := 0
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		for _, kind := range []string{unary, clientStream, outStream, bidi} {
			_, err := h.do(t.Context(), kind, order{Model: "m", N: 2, Code: code}, 0)
			require.Equal(t, code, status.Code(err))
			n++
			s := h.next(t, n)
			outcome := outcomes[code]
			assert.Equal(t, outcome, s.Outcome, code)
			assert.Equal(t, code.String(), s.Code)
			want := outcome.String()
			switch outcome {
			case observe.OutcomeOK:
				want = ""
			case observe.OutcomeClientError, observe.OutcomeServerError:
				want = code.String()
			}
			assert.Equal(t, want, s.ErrorType)
			assert.Equal(t, code == codes.OK, s.Err == nil)
			if kind == outStream || kind == bidi {
				assert.Equal(t, 2, s.TokenEvents, "tokens up to the failure are kept")
				assert.True(t, s.Has(observe.FieldTTFT))
				assert.Equal(t, code == codes.OK, s.Has(observe.FieldTPOT))
			}
		}
	}
	assert.Zero(t, h.rec.Losses())
}

type withStatus struct{ s *status.Status }

func (e withStatus) Error() string              { return "with status" }
func (e withStatus) GRPCStatus() *status.Status { return e.s }

// TestErrors: what the server makes of an error is what is recorded.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  codes.Code
		label string
	}{
		{nil, codes.OK, "OK"},
		{errors.New("plain"), codes.Unknown, "Unknown"},
		{status.Error(codes.NotFound, ""), codes.NotFound, "NotFound"},
		{fmt.Errorf("wrapped: %w", status.Error(codes.NotFound, "")), codes.NotFound, "NotFound"},
		{errors.Join(errors.New("a"), status.Error(codes.DataLoss, "")), codes.DataLoss, "DataLoss"},
		{context.Canceled, codes.Canceled, "Canceled"},
		{fmt.Errorf("wrapped: %w", context.Canceled), codes.Canceled, "Canceled"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "DeadlineExceeded"},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "DeadlineExceeded"},
		{withStatus{nil}, codes.Unknown, "Unknown"},
		{withStatus{status.New(codes.OK, "")}, codes.OK, "OK"}, // as the server sends it
		{status.Error(99, "made up"), 99, "other"},
	} {
		i, all := single(t, Config{})
		_, err := i.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(context.Context, any) (any, error) {
			return nil, c.err
		})
		assert.Equal(t, c.err, err, "the error goes on as it is")
		require.Len(t, *all, 1)
		assert.Equal(t, c.code, codeOf(c.err))
		assert.Equal(t, c.label, (*all)[0].Code)
		if c.code == 99 {
			assert.Equal(t, observe.OutcomeServerError, (*all)[0].Outcome)
		} else {
			assert.Equal(t, outcomes[c.code], (*all)[0].Outcome)
		}
		assert.Equal(t, c.err, (*all)[0].Err)
	}
}

// TestErrorType: the handler's own word wins.
func TestErrorType(t *testing.T) {
	i, all := single(t, Config{})
	_, _ = i.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(ctx context.Context, _ any) (any, error) {
		observe.FromContext(ctx).SetErrorType("no_kv_cache")
		return nil, status.Error(codes.ResourceExhausted, "")
	})
	require.Len(t, *all, 1)
	assert.Equal(t, "no_kv_cache", (*all)[0].ErrorType)
	assert.Equal(t, "ResourceExhausted", (*all)[0].Code)
}

// TestClientLeaves: what the handler says to a client that has left is not what
// happened, whether it notices or not.
func TestClientLeaves(t *testing.T) {
	h := start(t, setup{})
	n := 0
	for _, kind := range []string{outStream, bidi} {
		ctx, cancel := context.WithCancel(t.Context())
		got, err := h.do(ctx, kind, order{Model: "m", N: 100000, Gap: time.Millisecond}, 3)
		require.NoError(t, err)
		require.Equal(t, 3, got)
		cancel()
		n++
		s := h.next(t, n)
		assert.Equal(t, observe.OutcomeClientDisconnect, s.Outcome)
		assert.Equal(t, "Canceled", s.Code)
		assert.Equal(t, "client_disconnect", s.ErrorType)
		assert.GreaterOrEqual(t, s.TokenEvents, 3)
		assert.False(t, s.Has(observe.FieldTPOT))
	}
	for _, what := range []string{"wait", "outstay", "misreport"} {
		for _, kind := range []string{unary, clientStream, outStream, bidi} {
			ctx, cancel := context.WithCancel(t.Context())
			n++
			go func() {
				for int(h.entered.Load()) < n {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			_, err := h.do(ctx, kind, order{Do: what}, 0)
			require.Equal(t, codes.Canceled, status.Code(err))
			s := h.next(t, n)
			assert.Equal(t, observe.OutcomeClientDisconnect, s.Outcome, "%s, %s", what, kind)
			assert.Equal(t, "Canceled", s.Code)
			assert.Error(t, s.Err)
		}
	}
}

// TestConnectionLost: the TCP connection dies under streams.
func TestConnectionLost(t *testing.T) {
	var mu sync.Mutex
	var sockets []net.Conn
	h := start(t, setup{dial: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		mu.Lock()
		defer mu.Unlock()
		sockets = append(sockets, c)
		return c, err
	})}})
	const streams = 50
	var wg, first sync.WaitGroup
	first.Add(streams)
	for range streams {
		wg.Go(func() {
			_, err := h.do(t.Context(), outStream, order{N: 1}, 1)
			first.Done()
			assert.NoError(t, err)
			_, err = h.do(t.Context(), outStream, order{N: 1 << 30, Gap: 10 * time.Microsecond}, 0)
			assert.Error(t, err)
		})
	}
	first.Wait()
	time.Sleep(100 * time.Millisecond)
	mu.Lock()
	for _, c := range sockets {
		c.Close()
	}
	mu.Unlock()
	wg.Wait()
	h.next(t, 2*streams)
	lost := 0
	for _, s := range h.all {
		if s.Outcome != observe.OutcomeOK {
			assert.Equal(t, observe.OutcomeClientDisconnect, s.Outcome, "%s: %v", s.Code, s.Err)
			lost++
		}
	}
	assert.Positive(t, lost)
}

// TestDeadline: of the call, which the handler notices or not.
func TestDeadline(t *testing.T) {
	h := start(t, setup{})
	n := 0
	for _, what := range []string{"wait", "outstay", "misreport"} {
		for _, kind := range []string{unary, outStream} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			_, err := h.do(ctx, kind, order{Do: what}, 0)
			cancel()
			require.Equal(t, codes.DeadlineExceeded, status.Code(err))
			n++
			s := h.next(t, n)
			// The client's timer and the server's race; a client whose timer is first
			// resets the stream, which is all that the server then knows.
			switch s.Outcome {
			case observe.OutcomeTimeout:
				assert.Equal(t, "DeadlineExceeded", s.Code)
			case observe.OutcomeClientDisconnect:
				assert.Equal(t, "Canceled", s.Code)
			default:
				t.Errorf("%s, %s: %v %s", what, kind, s.Outcome, s.Code)
			}
		}
	}
	// Without the race.
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	i, all := single(t, Config{})
	_, _ = i.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, func(context.Context, any) (any, error) {
		return nil, nil
	})
	require.Len(t, *all, 1)
	assert.Equal(t, observe.OutcomeTimeout, (*all)[0].Outcome)
	assert.Equal(t, context.DeadlineExceeded, (*all)[0].Err)
}

// TestPanic: it is recorded, and goes on with the same value to an interceptor
// that recovers outside.
func TestPanic(t *testing.T) {
	h := start(t, setup{})
	for n, kind := range []string{unary, clientStream, outStream, bidi} {
		_, err := h.do(t.Context(), kind, order{Model: "m", Do: "panic"}, 0)
		assert.Equal(t, codes.Internal, status.Code(err))
		assert.Equal(t, "boom", <-h.recovered)
		s := h.next(t, n+1)
		assert.Equal(t, observe.OutcomePanic, s.Outcome)
		assert.Equal(t, "panic", s.ErrorType)
		assert.Equal(t, "none", s.Code)
		assert.ErrorContains(t, s.Err, "boom")
		assert.Equal(t, "m", s.Model)
	}
	_, err := h.do(t.Context(), outStream, order{N: 2, Do: "midpanic"}, 0)
	assert.Equal(t, codes.Internal, status.Code(err))
	assert.Equal(t, "late boom", <-h.recovered)
	assert.Equal(t, 2, h.next(t, 5).TokenEvents, "tokens so far are kept")
}

// TestGoexit: a handler whose goroutine ends is aborted.
func TestGoexit(t *testing.T) {
	h := start(t, setup{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := h.do(ctx, outStream, order{Do: "exit"}, 0)
	assert.Error(t, err)
	s := h.next(t, 1)
	assert.Equal(t, observe.OutcomeAborted, s.Outcome)
	assert.Equal(t, "none", s.Code)
}
