package observegrpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

func TestUnary(t *testing.T) {
	h := start(t, func(c *Config) { c.Operation = func(string) observe.Operation { return observe.OperationChat } })
	var a answer
	require.NoError(t, h.conn.Invoke(t.Context(), "/test.Generator/Unary", &infer{Model: "m", N: 3}, &a))
	s := h.next(t, 1)
	assert.Equal(t, observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "custom"}, s.Labels)
	assert.Equal(t, observe.OutcomeOK, s.Outcome)
	assert.Equal(t, "OK", s.Code)
	assert.Equal(t, observe.Usage{Input: 7, Output: 3}, s.Usage)
	assert.False(t, s.Stream)
	assert.False(t, s.Has(observe.FieldTTFT), "an answer of one message has no first token")
}

func TestStream(t *testing.T) {
	h := start(t, nil)
	for n, method := range []string{"Server", "Bidi"} {
		got, err := h.stream(t.Context(), method, &infer{Model: "m", N: 5, Gap: 10 * time.Millisecond, Do: "queue"}, -1)
		require.NoError(t, err)
		assert.Equal(t, 6, got)
		s := h.next(t, n+1)
		assert.Equal(t, "m", s.Model)
		assert.Equal(t, observe.OutcomeOK, s.Outcome)
		assert.True(t, s.Stream)
		assert.Equal(t, 5, s.TokenEvents)
		assert.Equal(t, 4, s.Gaps)
		assert.GreaterOrEqual(t, s.TTFT, 20*time.Millisecond, "the queue and the first gap")
		assert.GreaterOrEqual(t, s.GapSum, 40*time.Millisecond)
		assert.GreaterOrEqual(t, s.Queue, 10*time.Millisecond)
		assert.Equal(t, s.LastToken-s.TTFT, s.GapSum)
		assert.EqualValues(t, 5, s.Usage.Output)
	}
	got, err := h.stream(t.Context(), "Client", &infer{Model: "m"}, -1)
	require.NoError(t, err)
	assert.Equal(t, 1, got)
	s := h.next(t, 3)
	assert.Zero(t, s.TokenEvents, "a client stream is answered at once")
	assert.EqualValues(t, 7, s.Usage.Input)
}

// TestCodes: every code by the table, end to end.
func TestCodes(t *testing.T) {
	h := start(t, nil)
	want := map[codes.Code]observe.Outcome{
		codes.Canceled: observe.OutcomeClientDisconnect, codes.DeadlineExceeded: observe.OutcomeTimeout,
		codes.InvalidArgument: observe.OutcomeClientError, codes.NotFound: observe.OutcomeClientError,
		codes.AlreadyExists: observe.OutcomeClientError, codes.PermissionDenied: observe.OutcomeClientError,
		codes.Unauthenticated: observe.OutcomeClientError, codes.FailedPrecondition: observe.OutcomeClientError,
		codes.OutOfRange: observe.OutcomeClientError, codes.ResourceExhausted: observe.OutcomeClientError,
		codes.Unknown: observe.OutcomeServerError, codes.Aborted: observe.OutcomeServerError,
		codes.Unimplemented: observe.OutcomeServerError, codes.Internal: observe.OutcomeServerError,
		codes.Unavailable: observe.OutcomeServerError, codes.DataLoss: observe.OutcomeServerError,
	}
	n := 0
	for code, outcome := range want {
		for _, unary := range []bool{true, false} {
			m := &infer{Model: "m", N: 2, Code: code}
			var err error
			if unary {
				err = h.conn.Invoke(t.Context(), "/test.Generator/Unary", m, new(answer))
			} else {
				_, err = h.stream(t.Context(), "Server", m, -1)
			}
			require.Equal(t, code, status.Code(err))
			n++
			s := h.next(t, n)
			assert.Equal(t, outcome, s.Outcome, code)
			assert.Equal(t, code.String(), s.Code)
			errorType := outcome.String()
			if outcome == observe.OutcomeClientError || outcome == observe.OutcomeServerError {
				errorType = code.String()
			}
			assert.Equal(t, errorType, s.ErrorType)
			if !unary {
				assert.Equal(t, 2, s.TokenEvents, "tokens up to the failure are kept")
				assert.True(t, s.Has(observe.FieldTTFT))
			}
		}
	}
	assert.Equal(t, observe.OutcomeOK, outcomeOf(codeOf(nil)))
	assert.Equal(t, observe.OutcomeServerError, outcomeOf(codes.Code(99)))
	assert.Equal(t, codes.NotFound, codeOf(fmt.Errorf("wrapped: %w", status.Error(codes.NotFound, ""))))
	assert.Equal(t, codes.Canceled, codeOf(fmt.Errorf("wrapped: %w", context.Canceled)))
	assert.Equal(t, codes.DeadlineExceeded, codeOf(context.DeadlineExceeded))
	assert.Equal(t, codes.Unknown, codeOf(errors.New("plain")))
}

func TestClientLeavesAndDeadline(t *testing.T) {
	h := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := h.stream(ctx, "Server", &infer{Model: "m", N: 1000, Gap: time.Millisecond}, 3)
	require.NoError(t, err)
	require.Equal(t, 3, got)
	cancel()
	s := h.next(t, 1)
	assert.Equal(t, observe.OutcomeClientDisconnect, s.Outcome)
	assert.GreaterOrEqual(t, s.TokenEvents, 3)
	assert.False(t, s.Has(observe.FieldTPOT))

	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = h.stream(ctx, "Bidi", &infer{Do: "wait"}, -1)
	assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
	// The client's timer and the server's race: either may end the stream first.
	assert.Contains(t, []observe.Outcome{observe.OutcomeTimeout, observe.OutcomeClientDisconnect}, h.next(t, 2).Outcome)
}

func TestPanic(t *testing.T) {
	h := start(t, nil)
	assert.Error(t, h.conn.Invoke(t.Context(), "/test.Generator/Unary", &infer{Do: "panic"}, new(answer)))
	assert.Equal(t, "boom", <-h.gen.recovered, "the same value goes on")
	assert.Equal(t, observe.OutcomePanic, h.next(t, 1).Outcome)
	_, err := h.stream(t.Context(), "Server", &infer{Do: "panic"}, -1)
	assert.Error(t, err)
	<-h.gen.recovered
	assert.Equal(t, observe.OutcomePanic, h.next(t, 2).Outcome)
}

func TestMeasure(t *testing.T) {
	h := start(t, nil)
	// The health service speaks protobuf, which this server does not: the call
	// reaches the interceptor's edge or not at all, and is not counted either way.
	_, _ = grpc_health_v1.NewHealthClient(h.conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	for method, want := range map[string]bool{"/grpc.health.v1.Health/Check": false, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": false,
		"/inference.GRPCInferenceService/ModelInfer": true} {
		assert.Equal(t, want, measured(method), method)
	}
	require.NoError(t, h.conn.Invoke(t.Context(), "/test.Generator/Unary", &infer{}, new(answer)))
	assert.Equal(t, "unknown", h.next(t, 1).Model)
}

type byModel struct{}

func (byModel) GetModel() string { return "second" }

func TestDefaults(t *testing.T) {
	assert.Equal(t, "first", modelOf(t.Context(), "", &infer{Model: "first"}))
	assert.Equal(t, "second", modelOf(t.Context(), "", byModel{}))
	assert.Empty(t, modelOf(t.Context(), "", 7))
	_, err := NewInterceptors(Config{})
	assert.ErrorContains(t, err, "Config.Recorder")
}

// TestPanickingConfig: functions of the user that panic lose what they would
// have said, not the call.
func TestPanickingConfig(t *testing.T) {
	h := start(t, func(c *Config) {
		c.Operation = func(string) observe.Operation { panic(1) }
		c.Model = func(context.Context, string, any) string { panic(2) }
		c.Tokens = func(any) int { panic(3) }
		c.Usage = func(any) (observe.Usage, bool) { panic(4) }
		c.Measure = func(string) bool { panic(5) }
	})
	got, err := h.stream(t.Context(), "Server", &infer{Model: "m", N: 2}, -1)
	require.NoError(t, err)
	assert.Equal(t, 3, got)
	s := h.next(t, 1)
	assert.Equal(t, observe.Labels{Model: "unknown", Operation: observe.OperationOther, Provider: "custom"}, s.Labels)
	assert.Zero(t, s.TokenEvents)
	assert.Equal(t, observe.OutcomeOK, s.Outcome)
}

// TestInsideHTTP: a call is a part of the HTTP request that is measured already.
func TestInsideHTTP(t *testing.T) {
	var all []observe.RequestStats
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) { all = append(all, s) }})
	require.NoError(t, err)
	i, err := NewInterceptors(Config{Recorder: rec})
	require.NoError(t, err)
	ctx, outer := rec.Start(t.Context(), observe.RequestInfo{})
	_, err = i.Unary(ctx, &infer{Model: "m"}, &grpc.UnaryServerInfo{FullMethod: "/a/b"}, func(ctx context.Context, _ any) (any, error) {
		assert.Same(t, outer, observe.FromContext(ctx))
		return nil, status.Error(codes.NotFound, "")
	})
	require.Error(t, err)
	require.Empty(t, all, "it goes on")
	outer.End(nil)
	require.Len(t, all, 1)
	assert.Equal(t, "m", all[0].Model)
	assert.Equal(t, http.StatusText(0), all[0].ErrorType)
}

// TestSoak: 200 streams at a time that end, fail, panic and are left, at random.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("a soak of some seconds")
	}
	reg := prometheus.NewRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	require.NoError(t, err)
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{sink}})
	require.NoError(t, err)
	before := runtime.NumGoroutine()
	h := start(t, func(c *Config) { c.Recorder = rec })
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	until := time.Now().Add(3 * time.Second)
	for w := range 200 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for time.Now().Before(until) {
				m := &infer{Model: fmt.Sprint("m", rng.IntN(3)), N: rng.IntN(20), Gap: time.Millisecond}
				count := -1
				switch rng.IntN(6) {
				case 0:
					m.Do = "panic"
				case 1:
					m.Code = codes.Internal
				case 2:
					count, m.N = 1+rng.IntN(5), 50
				}
				ctx, cancel := context.WithCancel(context.Background())
				h.stream(ctx, "Server", m, count)
				cancel()
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool {
		for l := range rec.Live() {
			if l.InFlight != 0 {
				return false
			}
		}
		return true
	}, 10*time.Second, 10*time.Millisecond)
	families, err := reg.Gather()
	require.NoError(t, err)
	counted := 0.
	outcomes := map[string]bool{}
	for _, f := range families {
		if f.GetName() == "llm_server_requests_total" {
			for _, m := range f.Metric {
				counted += m.Counter.GetValue()
				for _, l := range m.Label {
					if l.GetName() == "outcome" && m.Counter.GetValue() > 0 {
						outcomes[l.GetValue()] = true
					}
				}
			}
		}
	}
	assert.EqualValues(t, sent, counted, "every call is counted once")
	assert.Subset(t, outcomes, map[string]bool{"ok": true, "panic": true, "server_error": true, "client_disconnect": true})
	h.conn.Close()
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() < before+30 }, 5*time.Second, 20*time.Millisecond)
}
