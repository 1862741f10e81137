package observegrpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"

	"github.com/calmops/calm/observe"
)

// Config configures Interceptors. Its functions may be called from many
// goroutines; one that panics counts as not having answered.
type Config struct {
	// Recorder gets every call. Required.
	Recorder *observe.Recorder

	// Operation says what a method asks for. Defaults to observe.OperationOther.
	Operation func(fullMethod string) observe.Operation

	// Model names the model of a call, from the first message received; empty is
	// not known. Defaults to the message's GetModelName (KServe's ModelInfer) or
	// GetModel, as generated code has them.
	Model func(ctx context.Context, fullMethod string, request any) string

	// Tokens is the number of output tokens in a message that a server stream has
	// sent; 0 is none. Return 0 where the handler calls observe.Request.Token
	// itself. Defaults to 1 a message.
	Tokens func(message any) int

	// Usage reads token counts from a message that was sent. What a later message
	// gives replaces what earlier ones gave, field by field, unless it is 0.
	// Defaults to none.
	Usage func(message any) (observe.Usage, bool)

	// Measure says whether a method is measured. Defaults to all but
	// grpc.health and grpc.reflection.
	Measure func(fullMethod string) bool
}

// Interceptors measure the calls of a server: give both to grpc.NewServer, as
// the outermost ones but for those that recover from panics.
type Interceptors struct {
	// Unary is for calls of one message each way.
	Unary grpc.UnaryServerInterceptor
	// Stream is for all other calls.
	Stream grpc.StreamServerInterceptor
}

// NewInterceptors returns the interceptors, or the faults of the Config.
func NewInterceptors(cfg Config) (Interceptors, error) {
	if cfg.Recorder == nil {
		return Interceptors{}, errors.New("observegrpc: Config.Recorder is required")
	}
	if cfg.Operation == nil {
		cfg.Operation = func(string) observe.Operation { return observe.OperationOther }
	}
	if cfg.Model == nil {
		cfg.Model = modelOf
	}
	if cfg.Tokens == nil {
		cfg.Tokens = func(any) int { return 1 }
	}
	if cfg.Usage == nil {
		cfg.Usage = func(any) (observe.Usage, bool) { return observe.Usage{}, false }
	}
	if cfg.Measure == nil {
		cfg.Measure = measured
	}
	i := &interceptor{cfg}
	return Interceptors{Unary: i.unary, Stream: i.stream}, nil
}

// modelOf asks a message for its model.
func modelOf(_ context.Context, _ string, request any) string {
	switch m := request.(type) {
	case interface{ GetModelName() string }:
		return m.GetModelName()
	case interface{ GetModel() string }:
		return m.GetModel()
	}
	return ""
}

func measured(fullMethod string) bool {
	return !strings.HasPrefix(fullMethod, "/grpc.health.") && !strings.HasPrefix(fullMethod, "/grpc.reflection.")
}

type interceptor struct{ cfg Config }

// ask runs a function of the user; if it panics, otherwise is the answer.
func ask[T any](otherwise T, f func() T) (answer T) {
	defer func() {
		if recover() != nil {
			answer = otherwise
		}
	}()
	return f()
}

func (i *interceptor) measures(method string) bool {
	return ask(true, func() bool { return i.cfg.Measure(method) })
}

func (i *interceptor) model(ctx context.Context, method string, request any) string {
	return ask("", func() string { return i.cfg.Model(ctx, method, request) })
}

func (i *interceptor) tokens(message any) int {
	return ask(0, func() int { return i.cfg.Tokens(message) })
}

// usage merges what a message says into u.
func (i *interceptor) usage(q *observe.Request, u *observe.Usage, message any) {
	got, ok := observe.Usage{}, false
	ask(false, func() bool { got, ok = i.cfg.Usage(message); return ok })
	if !ok {
		return
	}
	for _, f := range []struct{ to, from *int64 }{
		{&u.Input, &got.Input}, {&u.Output, &got.Output}, {&u.CachedInput, &got.CachedInput},
		{&u.CacheWriteInput, &got.CacheWriteInput}, {&u.ReasoningOutput, &got.ReasoningOutput},
	} {
		if *f.from != 0 {
			*f.to = *f.from
		}
	}
	q.SetUsage(*u)
}

// call measures f as one request. Inside a request that is measured already
// (HTTP middleware in front of the gRPC server) it is a part of that one.
func (i *interceptor) call(ctx context.Context, method, model string, f func(context.Context, *observe.Request) error) error {
	outer := observe.FromContext(ctx)
	info := observe.RequestInfo{Model: model, Protocol: observe.ProtocolNone,
		Operation: ask("", func() observe.Operation { return i.cfg.Operation(method) })}
	return i.cfg.Recorder.Func(ctx, info, func(ctx context.Context, q *observe.Request) error {
		err := f(ctx, q)
		if q != outer {
			code := codeOf(err)
			q.EndStatus(outcomeOf(code), code.String(), err)
		}
		return err
	})
}

func (i *interceptor) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	if !i.measures(info.FullMethod) {
		return handler(ctx, request)
	}
	err = i.call(ctx, info.FullMethod, i.model(ctx, info.FullMethod, request), func(ctx context.Context, q *observe.Request) error {
		response, err = handler(ctx, request)
		if err == nil {
			i.usage(q, new(observe.Usage), response)
		}
		return err
	})
	return response, err
}

func (i *interceptor) stream(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !i.measures(info.FullMethod) {
		return handler(server, s)
	}
	return i.call(s.Context(), info.FullMethod, "", func(ctx context.Context, q *observe.Request) error {
		return handler(server, &serverStream{ServerStream: s, ctx: ctx, req: q, i: i, info: info})
	})
}

// serverStream sees the messages of one call. gRPC allows one goroutine that
// receives beside one that sends: named belongs to the one, usage to the other.
type serverStream struct {
	grpc.ServerStream
	ctx   context.Context
	req   *observe.Request
	i     *interceptor
	info  *grpc.StreamServerInfo
	named bool
	usage observe.Usage
}

// Context returns the context that carries the Request.
func (s *serverStream) Context() context.Context { return s.ctx }

// RecvMsg takes the model from the first message.
func (s *serverStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil && !s.named {
		s.named = true
		if model := s.i.model(s.ctx, s.info.FullMethod, m); model != "" {
			s.req.SetModel(model)
		}
	}
	return err
}

// SendMsg records the tokens of a message that was sent.
func (s *serverStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		if s.info.IsServerStream {
			s.req.Token(s.i.tokens(m))
		}
		s.i.usage(s.req, &s.usage, m)
	}
	return err
}
