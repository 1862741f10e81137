package observegrpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// ManualTokens returns the request of a handler's context, as
// observe.FromContext does, for a handler that calls Token on it: from here on a
// message sent on this stream is no token event, so that no token counts twice.
// Call it before the first message is sent. Without a measured request it returns
// nil, on which every method does nothing.
func ManualTokens(ctx context.Context) *observe.Request {
	if s, ok := ctx.Value(streamKey{}).(*serverStream); ok {
		s.manual.Store(true)
	}
	return observe.FromContext(ctx)
}

// streamKey is the context key of the serverStream of a call.
type streamKey struct{}

// node is the context of a stream's handler. It lies inside of the serverStream,
// and is its parent for all keys but one.
type node struct {
	context.Context
	stream *serverStream
}

func (n *node) Value(key any) any {
	if key == (streamKey{}) {
		return n.stream
	}
	return n.Context.Value(key)
}

// serverStream sees the messages of one call. gRPC allows one goroutine that
// receives beside one that sends: named belongs to the one, usage to the other.
type serverStream struct {
	grpc.ServerStream
	call
	node   node // of call.ctx, with the request and this stream
	req    *observe.Request
	i      *interceptor
	info   *grpc.StreamServerInfo
	manual atomic.Bool // the handler calls Token
	named  bool        // a first message was received
	usage  observe.Usage
}

// Context returns the context that carries the Request.
func (s *serverStream) Context() context.Context { return &s.node }

// RecvMsg takes the model from the first message.
func (s *serverStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil && !s.named {
		s.named = true
		if model := s.i.model(&s.node, s.info.FullMethod, m); model != "" {
			s.req.SetModel(model)
		}
	}
	return err
}

// SendMsg records the tokens of a message that was sent.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err != nil {
		// A server's stream is Unavailable when its connection is, which may be
		// just before its context ends.
		if status.Code(err) == codes.Unavailable {
			s.gone.Store(true)
		}
		return err
	}
	if s.info.IsServerStream && !s.manual.Load() {
		s.req.Token(s.i.tokens(m))
	}
	s.i.usage(s.req, &s.usage, m)
	return nil
}
