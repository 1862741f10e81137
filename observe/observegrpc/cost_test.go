package observegrpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/calmops/calm/observe"
)

// TestAllocations: one a call for observe's own request, one more for the
// wrapper of a stream, none a message.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rec, err := observe.New(observe.Config{})
	require.NoError(t, err)
	i, err := NewInterceptors(Config{Recorder: rec,
		Operation: func(string) observe.Operation { return observe.OperationChat },
		Usage:     func(any) (observe.Usage, bool) { return observe.Usage{Input: 1, Output: 2}, true }})
	require.NoError(t, err)
	ctx := context.Background()

	var request any = &named{"m"}
	method := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	handler := func(context.Context, any) (any, error) { return request, nil }
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		_, _ = i.Unary(ctx, request, method, handler)
	}), 1.0)

	stream := func(n int) float64 {
		s := &fakeStream{ctx: ctx}
		handler := func(_ any, s grpc.ServerStream) error {
			for range n {
				if err := s.SendMsg(request); err != nil {
					return err
				}
			}
			return nil
		}
		return testing.AllocsPerRun(1000, func() { _ = i.Stream(nil, s, info, handler) })
	}
	assert.LessOrEqual(t, stream(10), 2.0)
	assert.Equal(t, stream(10), stream(1000))

	health := &grpc.UnaryServerInfo{FullMethod: "/grpc.health.v1.Health/Check"}
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		_, _ = i.Unary(ctx, request, health, handler)
	}))
}

// bare returns interceptors whose Recorder has no sinks.
func bare(t testing.TB) Interceptors {
	rec, err := observe.New(observe.Config{})
	require.NoError(t, err)
	i, err := NewInterceptors(Config{Recorder: rec})
	require.NoError(t, err)
	return i
}

func BenchmarkUnary(b *testing.B) {
	i := bare(b)
	var request any = &named{"m"}
	method := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	handler := func(context.Context, any) (any, error) { return request, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = i.Unary(context.Background(), request, method, handler)
	}
}

func BenchmarkStream(b *testing.B) {
	i := bare(b)
	s := &fakeStream{ctx: b.Context()}
	handler := func(any, grpc.ServerStream) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		_ = i.Stream(nil, s, info, handler)
	}
}

func BenchmarkSendMsg(b *testing.B) {
	i := bare(b)
	var message any = "x"
	b.ReportAllocs()
	_ = i.Stream(nil, &fakeStream{ctx: b.Context()}, info, func(_ any, s grpc.ServerStream) error {
		for b.Loop() {
			_ = s.SendMsg(message)
		}
		return nil
	})
}
