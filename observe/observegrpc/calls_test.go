package observegrpc

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// TestKinds: every kind of method, over TCP and in memory.
func TestKinds(t *testing.T) {
	for _, buffer := range []bool{false, true} {
		h := start(t, setup{buffer: buffer, config: Config{
			Operation: func(method string) observe.Operation {
				assert.Contains(t, method, "/grpc.testing.TestService/")
				return observe.OperationChat
			}}})
		for n, kind := range []string{unary, clientStream, outStream, bidi} {
			streams := kind == outStream || kind == bidi
			got, err := h.do(t.Context(), kind, order{Model: "m", N: 5}, 0)
			require.NoError(t, err)
			s := h.next(t, n+1)
			assert.Equal(t, observe.Labels{Model: "m", Operation: observe.OperationChat, Provider: "custom"}, s.Labels, kind)
			assert.Equal(t, observe.OutcomeOK, s.Outcome)
			assert.Equal(t, "OK", s.Code)
			assert.Empty(t, s.ErrorType)
			assert.NoError(t, s.Err)
			assert.Equal(t, streams, s.Stream, kind)
			assert.Equal(t, streams, s.Has(observe.FieldTTFT), "an answer of one message has no first token")
			assert.Equal(t, streams, s.Has(observe.FieldTPOT))
			if streams {
				assert.Equal(t, 6, got)
				assert.Equal(t, 5, s.TokenEvents)
				assert.Equal(t, 4, s.Gaps)
			}
			if kind != clientStream { // its answer has no payload
				assert.Equal(t, observe.Usage{Input: 7, Output: 5}, s.Usage)
				assert.Equal(t, observe.TokensManual, s.OutputSource)
			}
			assert.Positive(t, s.Duration)
			assert.WithinDuration(t, time.Now(), s.Start, 10*time.Second)
		}
	}
}

// TestTimes: first token, gaps and queue, exactly, on the clock of a bubble.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, setup{buffer: true})
		_, err := h.do(t.Context(), outStream, order{N: 5, Wait: 300 * time.Millisecond, Gap: 20 * time.Millisecond}, 0)
		require.NoError(t, err)
		s := h.next(t, 1)
		assert.Equal(t, 300*time.Millisecond, s.TTFT)
		assert.Equal(t, 4, s.Gaps)
		assert.Equal(t, 80*time.Millisecond, s.GapSum)
		assert.Equal(t, 20*time.Millisecond, s.GapMax)
		assert.Equal(t, 20*time.Millisecond, s.TPOT)
		assert.Equal(t, 380*time.Millisecond, s.Duration)
		assert.False(t, s.Has(observe.FieldQueue))

		_, err = h.do(t.Context(), bidi, order{N: 2, Do: "queue", Wait: 100 * time.Millisecond, Gap: time.Millisecond}, 0)
		require.NoError(t, err)
		s = h.next(t, 2)
		assert.Equal(t, 100*time.Millisecond, s.Queue)
		assert.Equal(t, 100*time.Millisecond, s.Prefill)
		assert.Equal(t, 200*time.Millisecond, s.TTFT)
		assert.Equal(t, time.Millisecond, s.Decode)
	})
}

// TestManualTokens: where the handler counts, messages do not.
func TestManualTokens(t *testing.T) {
	h := start(t, setup{})
	for n, kind := range []string{outStream, bidi} {
		_, err := h.do(t.Context(), kind, order{N: 3, Do: "manual"}, 0)
		require.NoError(t, err)
		s := h.next(t, n+1)
		assert.Equal(t, 6, s.TokenEvents)
		assert.EqualValues(t, 6, s.Usage.Output)
	}
	_, err := h.do(t.Context(), unary, order{N: 3, Do: "manual"}, 0)
	require.NoError(t, err)
	assert.Equal(t, 6, h.next(t, 3).TokenEvents, "also for one answer")
	assert.Nil(t, ManualTokens(t.Context()))
}

// TestUsage: the last message wins, field by field.
func TestUsage(t *testing.T) {
	messages := []observe.Usage{{Input: 7, CachedInput: 3}, {Output: 1}, {Output: 5, ReasoningOutput: 2, CacheWriteInput: 1}, {}}
	h := start(t, setup{config: Config{Usage: func(any) (u observe.Usage, ok bool) {
		u, messages = messages[0], messages[1:]
		return u, true
	}}})
	_, err := h.do(t.Context(), outStream, order{N: 3}, 0)
	require.NoError(t, err)
	assert.Equal(t, observe.Usage{Input: 7, CachedInput: 3, CacheWriteInput: 1, Output: 5, ReasoningOutput: 2}, h.next(t, 1).Usage)
	assert.Empty(t, messages)
}

// TestDefaults: each message sent is a token, and there is no usage.
func TestDefaults(t *testing.T) {
	i, all := single(t, Config{})
	err := i.Stream(nil, &fakeStream{ctx: t.Context()}, info, func(_ any, s grpc.ServerStream) error {
		for range 3 {
			require.NoError(t, s.SendMsg("x"))
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, *all, 1)
	s := (*all)[0]
	assert.Equal(t, 3, s.TokenEvents)
	assert.Equal(t, observe.TokensUnknown, s.OutputSource)
	assert.Equal(t, observe.Labels{Model: "unknown", Operation: observe.OperationOther, Provider: "custom"}, s.Labels)
	assert.Zero(t, i.CallbackPanics())
	assert.Zero(t, Interceptors{}.CallbackPanics())
}

// TestMeasure: health checks and reflection are not measured by default.
func TestMeasure(t *testing.T) {
	h := start(t, setup{})
	checked, err := grpc_health_v1.NewHealthClient(h.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, checked.Status)
	r, err := grpc_reflection_v1.NewServerReflectionClient(h.conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}))
	listed, err := r.Recv()
	require.NoError(t, err)
	assert.NotEmpty(t, listed.GetListServicesResponse().GetService())
	require.NoError(t, r.CloseSend())
	_, err = r.Recv()
	require.Equal(t, io.EOF, err)
	_, err = h.do(t.Context(), unary, order{Model: "m"}, 0)
	require.NoError(t, err)
	assert.Equal(t, "m", h.next(t, 1).Model, "the only one")

	h = start(t, setup{config: Config{Measure: func(method string) bool { return method == grpc_health_v1.Health_Check_FullMethodName }}})
	_, err = grpc_health_v1.NewHealthClient(h.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = h.client.EmptyCall(t.Context(), &pb.Empty{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	assert.Equal(t, "OK", h.next(t, 1).Code)
}

// TestPanickingConfig: functions of the user that panic lose what they would
// have said, with a count, and not the call.
func TestPanickingConfig(t *testing.T) {
	h := start(t, setup{config: Config{
		Operation: func(string) observe.Operation { panic(1) },
		Model:     func(context.Context, string, any) string { panic(2) },
		Tokens:    func(any) int { panic(3) },
		Usage:     func(any) (observe.Usage, bool) { panic(4) },
		Measure:   func(string) bool { panic(5) },
	}})
	got, err := h.do(t.Context(), outStream, order{Model: "m", N: 2}, 0)
	require.NoError(t, err)
	assert.Equal(t, 3, got)
	s := h.next(t, 1)
	assert.Equal(t, observe.Labels{Model: "unknown", Operation: observe.OperationOther, Provider: "custom"}, s.Labels)
	assert.Zero(t, s.TokenEvents)
	assert.Equal(t, observe.OutcomeOK, s.Outcome)
	assert.EqualValues(t, 1+1+1+3+3, h.i.CallbackPanics())
}

// TestHostileAnswers: numbers that are none.
func TestHostileAnswers(t *testing.T) {
	for _, n := range []int{-1, 0, -1 << 63, 1<<63 - 1} {
		h := start(t, setup{config: Config{
			Tokens: func(any) int { return n },
			Usage:  func(any) (observe.Usage, bool) { return observe.Usage{Input: int64(n), Output: -5}, true },
			Model:  func(context.Context, string, any) string { return "\xff\x00" },
		}})
		_, err := h.do(t.Context(), outStream, order{N: 1}, 0)
		require.NoError(t, err)
		s := h.next(t, 1)
		assert.Equal(t, "other", s.Model)
		assert.GreaterOrEqual(t, s.Usage.Input, int64(0))
		assert.Zero(t, s.Usage.Output)
		assert.Equal(t, n > 0, s.Has(observe.FieldTTFT))
		assert.LessOrEqual(t, s.TokenEvents, 2<<20)
	}
}

func TestConfigFaults(t *testing.T) {
	_, err := NewInterceptors(Config{})
	assert.ErrorContains(t, err, "Config.Recorder is nil")
}
