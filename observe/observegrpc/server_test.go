package observegrpc

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// jsonCodec lets the tests have messages without generated code.
type jsonCodec struct{}

func (jsonCodec) Name() string                  { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }
func (jsonCodec) Unmarshal(b []byte, v any) error {
	return json.Unmarshal(b, v)
}

// infer is a message like KServe's ModelInferRequest.
type infer struct {
	Model string
	N     int           // messages or tokens wanted
	Gap   time.Duration // before each
	Code  codes.Code
	Do    string // "panic", "wait", "token", "queue"
}

func (m *infer) GetModelName() string { return m.Model }

// answer is a message with tokens and usage.
type answer struct {
	Text  string
	Usage *observe.Usage
}

// generator is the service: every kind of method does what the message says.
type generator struct{ recovered chan any }

func (g *generator) run(ctx context.Context, m *infer, send func(*answer) error) error {
	req := observe.FromContext(ctx)
	switch m.Do {
	case "panic":
		panic("boom")
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "queue":
		req.Queued()
		time.Sleep(m.Gap)
		req.Scheduled()
	}
	for range m.N {
		time.Sleep(m.Gap)
		if err := send(&answer{Text: "x"}); err != nil {
			return err
		}
	}
	if m.Code != codes.OK {
		return status.Error(m.Code, "as asked")
	}
	return send(&answer{Usage: &observe.Usage{Input: 7, Output: int64(m.N)}})
}

var service = grpc.ServiceDesc{
	ServiceName: "test.Generator", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(srv any, ctx context.Context, dec func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
		in := new(infer)
		if err := dec(in); err != nil {
			return nil, err
		}
		return i(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.Generator/Unary"}, func(ctx context.Context, in any) (any, error) {
			var last *answer
			err := srv.(*generator).run(ctx, in.(*infer), func(a *answer) error { last = a; return nil })
			return last, err
		})
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Server", ServerStreams: true, Handler: streamed},
		{StreamName: "Client", ClientStreams: true, Handler: streamed},
		{StreamName: "Bidi", ServerStreams: true, ClientStreams: true, Handler: streamed},
	},
}

// streamed reads messages up to the end, the last of which says what to do.
func streamed(srv any, s grpc.ServerStream) error {
	m := new(infer)
	for {
		next := new(infer)
		err := s.RecvMsg(next)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		m = next
	}
	if observe.FromContext(s.Context()) == nil {
		return status.Error(codes.Internal, "the context has no request")
	}
	return srv.(*generator).run(s.Context(), m, func(a *answer) error { return s.SendMsg(a) })
}

// harness is a running server and what was recorded of it.
type harness struct {
	rec  *observe.Recorder
	conn *grpc.ClientConn
	mu   sync.Mutex
	all  []observe.RequestStats
	gen  *generator
}

func start(t testing.TB, change func(*Config)) *harness {
	h := &harness{gen: &generator{recovered: make(chan any, 1000)}}
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, s)
	}})
	require.NoError(t, err)
	h.rec = rec
	cfg := Config{Recorder: rec,
		Usage: func(m any) (observe.Usage, bool) {
			a, ok := m.(*answer)
			if !ok || a == nil || a.Usage == nil {
				return observe.Usage{}, false
			}
			return *a.Usage, true
		},
		Tokens: func(m any) int {
			if m.(*answer).Text == "" {
				return 0
			}
			return 1
		}}
	if change != nil {
		change(&cfg)
	}
	i, err := NewInterceptors(cfg)
	require.NoError(t, err)
	recoverPanic := func(err *error) {
		if v := recover(); v != nil {
			select {
			case h.gen.recovered <- v:
			default: // nobody waits for it
			}
			*err = status.Error(codes.Internal, "recovered")
		}
	}
	server := grpc.NewServer(grpc.ForceServerCodec(jsonCodec{}),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
			defer recoverPanic(&err)
			return next(ctx, r)
		}, i.Unary),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer recoverPanic(&err)
			return next(srv, s)
		}, i.Stream))
	server.RegisterService(&service, h.gen)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	h.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(jsonCodec{})))
	require.NoError(t, err)
	t.Cleanup(func() { h.conn.Close() })
	return h
}

// next waits for the n-th request; there must be no more.
func (h *harness) next(t testing.TB, n int) observe.RequestStats {
	t.Helper()
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.all) >= n
	}, 10*time.Second, time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Len(t, h.all, n)
	for l := range h.rec.Live() {
		assert.Zero(t, l.InFlight)
		assert.Zero(t, l.Waiting)
	}
	return h.all[n-1]
}

// stream sends one message on a stream and reads to its end, or count messages.
func (h *harness) stream(ctx context.Context, method string, m *infer, count int) (got int, err error) {
	desc := &grpc.StreamDesc{ServerStreams: method != "Client", ClientStreams: method != "Server"}
	s, err := h.conn.NewStream(ctx, desc, "/test.Generator/"+method)
	if err != nil {
		return 0, err
	}
	if err := s.SendMsg(m); err != nil {
		return 0, err
	}
	if err := s.CloseSend(); err != nil {
		return 0, err
	}
	for {
		switch err := s.RecvMsg(new(answer)); {
		case err == io.EOF:
			return got, nil
		case err != nil:
			return got, err
		}
		if got++; got == count {
			return got, nil
		}
	}
}
