package observegrpc

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// fakeStream gives what it is told, for calls without a server.
type fakeStream struct {
	ctx  context.Context
	recv []error // one a message, then io.EOF
	send error
}

func (s *fakeStream) SetHeader(metadata.MD) error  { return nil }
func (s *fakeStream) SendHeader(metadata.MD) error { return nil }
func (s *fakeStream) SetTrailer(metadata.MD)       {}
func (s *fakeStream) Context() context.Context     { return s.ctx }
func (s *fakeStream) SendMsg(any) error            { return s.send }

func (s *fakeStream) RecvMsg(any) error {
	if len(s.recv) == 0 {
		return io.EOF
	}
	err := s.recv[0]
	s.recv = s.recv[1:]
	return err
}

// single returns interceptors and where the stats of the one request will be.
func single(t testing.TB, cfg Config) (Interceptors, *[]observe.RequestStats) {
	all := new([]observe.RequestStats)
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) { *all = append(*all, s) }})
	require.NoError(t, err)
	cfg.Recorder = rec
	i, err := NewInterceptors(cfg)
	require.NoError(t, err)
	return i, all
}

type named struct{ name string }

func (n named) GetModelName() string { return n.name }

var info = &grpc.StreamServerInfo{FullMethod: "/a.B/C", IsServerStream: true, IsClientStream: true}

// TestStreamContext: the context of the wrapper carries the request, under
// derived contexts too, and what its parent carries.
func TestStreamContext(t *testing.T) {
	i, all := single(t, Config{})
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	defer cancel()
	err := i.Stream(nil, &fakeStream{ctx: parent}, info, func(_ any, s grpc.ServerStream) error {
		ctx, cancelChild := context.WithCancel(s.Context())
		defer cancelChild()
		require.NotNil(t, observe.FromContext(ctx))
		assert.Same(t, observe.FromContext(ctx), ManualTokens(ctx))
		assert.Equal(t, "kept", ctx.Value(key{}))
		cancel()
		<-ctx.Done()
		return nil
	})
	require.NoError(t, err)
	require.Len(t, *all, 1)
}

// TestReceive: the end of the client's messages is no fault, and only the first
// message that came names the model.
func TestReceive(t *testing.T) {
	i, all := single(t, Config{})
	err := i.Stream(nil, &fakeStream{ctx: t.Context(), recv: []error{errors.New("bad frame"), nil, nil}}, info, func(_ any, s grpc.ServerStream) error {
		assert.Error(t, s.RecvMsg(named{"never came"}))
		assert.NoError(t, s.RecvMsg(named{"first"}))
		assert.NoError(t, s.RecvMsg(named{"second"}))
		assert.Equal(t, io.EOF, s.RecvMsg(named{}), "the same error, for handlers compare it")
		return nil
	})
	require.NoError(t, err)
	require.Len(t, *all, 1)
	assert.Equal(t, "first", (*all)[0].Model)
	assert.Equal(t, observe.OutcomeOK, (*all)[0].Outcome)
}

// TestSetModelWins over the first message, if it comes later.
func TestSetModelWins(t *testing.T) {
	i, all := single(t, Config{})
	err := i.Stream(nil, &fakeStream{ctx: t.Context(), recv: []error{nil, nil}}, info, func(_ any, s grpc.ServerStream) error {
		assert.NoError(t, s.RecvMsg(named{"asked"}))
		observe.FromContext(s.Context()).SetModel("resolved")
		return s.RecvMsg(named{"later"})
	})
	require.NoError(t, err)
	require.Len(t, *all, 1)
	assert.Equal(t, "resolved", (*all)[0].Model)
}

// TestFailedSend: a message that was not sent is no token; one that found the
// connection closed says that nobody is there, though the context lives.
func TestFailedSend(t *testing.T) {
	for _, c := range []struct {
		send    error
		outcome observe.Outcome
		code    string
	}{
		{status.Error(codes.Unavailable, "transport is closing"), observe.OutcomeClientDisconnect, "Canceled"},
		{status.Error(codes.ResourceExhausted, "message larger than max"), observe.OutcomeClientError, "ResourceExhausted"},
		{status.Error(codes.Internal, "marshal"), observe.OutcomeServerError, "Internal"},
	} {
		i, all := single(t, Config{Usage: func(any) (observe.Usage, bool) { return observe.Usage{Input: 1}, true }})
		err := i.Stream(nil, &fakeStream{ctx: t.Context(), send: c.send}, info, func(_ any, s grpc.ServerStream) error {
			err := s.SendMsg("x")
			assert.Equal(t, c.send, err)
			return err
		})
		assert.Equal(t, c.send, err)
		require.Len(t, *all, 1)
		s := (*all)[0]
		assert.Equal(t, c.outcome, s.Outcome)
		assert.Equal(t, c.code, s.Code)
		assert.Zero(t, s.TokenEvents)
		assert.Zero(t, s.Usage)
	}
}

// TestAfterTheEnd: a goroutine that the handler left behind harms nothing.
func TestAfterTheEnd(t *testing.T) {
	i, all := single(t, Config{})
	var kept grpc.ServerStream
	require.NoError(t, i.Stream(nil, &fakeStream{ctx: t.Context(), recv: []error{nil}}, info, func(_ any, s grpc.ServerStream) error {
		kept = s
		return nil
	}))
	assert.NoError(t, kept.SendMsg("x"))
	assert.NoError(t, kept.RecvMsg(named{"m"}))
	require.Len(t, *all, 1)
	assert.Zero(t, (*all)[0].TokenEvents)
}

// TestWithin: inside a request of the same Recorder a call is a part of it, and
// interceptors that are installed twice count once, tokens too.
func TestWithin(t *testing.T) {
	i, all := single(t, Config{})
	handler := func(_ any, s grpc.ServerStream) error {
		if err := s.RecvMsg(named{"m"}); err != nil {
			return err
		}
		for range 3 {
			if err := s.SendMsg("x"); err != nil {
				return err
			}
		}
		return status.Error(codes.NotFound, "")
	}
	err := i.Stream(nil, &fakeStream{ctx: t.Context(), recv: []error{nil}}, info, func(srv any, s grpc.ServerStream) error {
		return i.Stream(srv, s, info, handler)
	})
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Len(t, *all, 1)
	assert.Equal(t, 3, (*all)[0].TokenEvents)
	assert.Equal(t, observe.OutcomeClientError, (*all)[0].Outcome)
	assert.Equal(t, "m", (*all)[0].Model)

	*all = nil
	unary := &grpc.UnaryServerInfo{FullMethod: "/a.B/D"}
	_, err = i.Unary(t.Context(), named{"m"}, unary, func(ctx context.Context, r any) (any, error) {
		_, err := i.Unary(ctx, r, unary, func(ctx context.Context, _ any) (any, error) {
			return nil, status.Error(codes.NotFound, "")
		})
		assert.Empty(t, *all, "it goes on")
		return nil, status.Error(codes.Internal, err.Error())
	})
	require.Error(t, err)
	require.Len(t, *all, 1)
	assert.Equal(t, "Internal", (*all)[0].Code, "the outer one saw how it ended")
}

// TestTwoRecorders: each has a request of its own, also when their interceptors
// are nested in one another and one of them comes twice.
func TestTwoRecorders(t *testing.T) {
	a, allA := single(t, Config{})
	b, allB := single(t, Config{})
	err := a.Stream(nil, &fakeStream{ctx: t.Context()}, info, func(srv any, s grpc.ServerStream) error {
		return b.Stream(srv, s, info, func(srv any, s grpc.ServerStream) error {
			err := a.Stream(srv, s, info, func(_ any, s grpc.ServerStream) error {
				ManualTokens(s.Context()) // of the innermost stream
				return nil
			})
			assert.Empty(t, *allA, "the innermost does not end it")
			return err
		})
	})
	require.NoError(t, err)
	assert.Len(t, *allA, 1)
	assert.Len(t, *allB, 1)
}

func TestModelOf(t *testing.T) {
	assert.Equal(t, "first", modelOf(t.Context(), "", named{"first"}))
	assert.Equal(t, "second", modelOf(t.Context(), "", byModel{}))
	assert.Equal(t, "second", modelOf(t.Context(), "", struct {
		named
		byModel
	}{}), "an empty name is none")
	assert.Empty(t, modelOf(t.Context(), "", named{}))
	assert.Empty(t, modelOf(t.Context(), "", 7))
	assert.Empty(t, modelOf(t.Context(), "", nil))
	assert.Empty(t, modelOf(t.Context(), "", otherModel{}), "a message, not a name")
}

type byModel struct{}

func (byModel) GetModel() string { return "second" }

type otherModel struct{}

func (otherModel) GetModel() *byModel { return nil }
