package observegrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/calmops/calm/observe"
)

type interceptor struct {
	cfg    Config
	panics atomic.Uint64
}

// ask runs a function of the user; if it panics, otherwise is the answer.
func ask[T any](i *interceptor, otherwise T, f func() T) (answer T) {
	defer func() {
		if recover() != nil {
			i.panics.Add(1)
			answer = otherwise
		}
	}()
	return f()
}

func (i *interceptor) measures(method string) bool {
	return ask(i, true, func() bool { return i.cfg.Measure(method) })
}

func (i *interceptor) model(ctx context.Context, method string, request any) string {
	return ask(i, "", func() string { return i.cfg.Model(ctx, method, request) })
}

func (i *interceptor) tokens(message any) int {
	return ask(i, 0, func() int { return i.cfg.Tokens(message) })
}

// usage merges what a message says into u.
func (i *interceptor) usage(q *observe.Request, u *observe.Usage, message any) {
	var got observe.Usage
	if !ask(i, false, func() (ok bool) { got, ok = i.cfg.Usage(message); return ok }) {
		return
	}
	for _, f := range [...]struct {
		to   *int64
		from int64
	}{
		{&u.Input, got.Input}, {&u.Output, got.Output}, {&u.CachedInput, got.CachedInput},
		{&u.CacheWriteInput, got.CacheWriteInput}, {&u.ReasoningOutput, got.ReasoningOutput},
	} {
		if f.from != 0 {
			*f.to = f.from
		}
	}
	q.SetUsage(*u)
}

func (i *interceptor) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	if !i.measures(info.FullMethod) {
		return handler(ctx, request)
	}
	arrival := time.Now()
	c := call{ctx: ctx}
	err = i.measure(&c, info.FullMethod, i.model(ctx, info.FullMethod, request), arrival, func(ctx context.Context, q *observe.Request) error {
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
	w := &serverStream{ServerStream: s, call: call{ctx: s.Context()}, i: i, info: info}
	return i.measure(&w.call, info.FullMethod, "", time.Now(), func(ctx context.Context, q *observe.Request) error {
		if outer, ok := ctx.Value(streamKey{}).(*serverStream); ok && outer.req == q {
			return handler(server, s) // the same interceptor further out sees the messages
		}
		w.req, w.node = q, node{ctx, w}
		return handler(server, w)
	})
}

// call is what decides how a call ended, besides the handler's error.
type call struct {
	ctx  context.Context // as the server gave it
	gone atomic.Bool     // SendMsg found the connection closed
}

// measure runs f as one request, or as a part of the one that its context
// carries already.
func (i *interceptor) measure(c *call, method, model string, arrival time.Time, f func(context.Context, *observe.Request) error) error {
	info := observe.RequestInfo{Model: model, Protocol: observe.ProtocolNone, Received: arrival,
		Operation: ask(i, "", func() observe.Operation { return i.cfg.Operation(method) })}
	outer := observe.FromContext(c.ctx)
	return i.cfg.Recorder.Func(c.ctx, info, func(ctx context.Context, q *observe.Request) error {
		switch {
		case q != outer && observe.FromContext(ctx) == q: // begun here; Func records a panic
			err := f(ctx, q)
			c.end(q, err)
			return err
		case ctx.Value(http.ServerContextKey) != nil:
			return c.insideHTTP(ctx, q, f)
		}
		return f(ctx, q) // whoever began the request ends it
	})
}

// end ends the request as the call ended.
func (c *call) end(q *observe.Request, err error) {
	code, err := c.code(err)
	q.EndStatus(outcomeOf(code), label(code), err)
}

// insideHTTP runs a call that grpc.Server.ServeHTTP serves, as the only one of
// its HTTP request. That has status 200 however the call ends, and a recovered
// panic never reaches its middleware: so the request is ended here.
func (c *call) insideHTTP(ctx context.Context, q *observe.Request, f func(context.Context, *observe.Request) error) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil || v == http.ErrAbortHandler {
			q.EndStatus(observe.OutcomeAborted, noCode, errors.New("the handler did not return"))
		} else {
			q.EndStatus(observe.OutcomePanic, noCode, fmt.Errorf("panic: %v", v))
		}
		if v != nil {
			panic(v)
		}
	}()
	err := f(ctx, q)
	returned = true
	c.end(q, err)
	return err
}
