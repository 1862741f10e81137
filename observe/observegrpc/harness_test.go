package observegrpc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/calmops/calm/observe"
)

// order is what a call asks of the test service, as JSON in a payload. The
// service is the one of grpc's interoperability tests.
type order struct {
	Model string
	N     int           // tokens
	Wait  time.Duration // before the first
	Gap   time.Duration // before each of the others
	Code  codes.Code    // to end with
	Do    string        // see run
}

func (o order) payload() *pb.Payload {
	body, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return &pb.Payload{Body: body}
}

// orderOf reads the order of any request of the service.
func orderOf(request any) (o order) {
	var p *pb.Payload
	switch r := request.(type) {
	case *pb.SimpleRequest:
		p = r.GetPayload()
	case *pb.StreamingInputCallRequest:
		p = r.GetPayload()
	case *pb.StreamingOutputCallRequest:
		p = r.GetPayload()
	}
	if len(p.GetBody()) > 0 {
		if err := json.Unmarshal(p.Body, &o); err != nil {
			panic(err)
		}
	}
	return o
}

// bodyOf is the text of any response of the service.
func bodyOf(response any) string {
	r, _ := response.(interface{ GetPayload() *pb.Payload })
	if r == nil {
		return ""
	}
	return string(r.GetPayload().GetBody())
}

// service answers with a payload "tok" a token, and then one with the usage.
type service struct {
	pb.UnimplementedTestServiceServer
}

func run(ctx context.Context, o order, send func(body string) error) error {
	req := observe.FromContext(ctx)
	if req == nil {
		return status.Error(codes.Internal, "the context has no request")
	}
	switch o.Do {
	case "panic":
		panic("boom")
	case "exit":
		runtime.Goexit()
	case "wait": // for the end of the call, and say so
		<-ctx.Done()
		return ctx.Err()
	case "outstay": // the end of the call, and not notice
		<-ctx.Done()
		return nil
	case "misreport":
		<-ctx.Done()
		return status.Error(codes.Internal, "engine stopped")
	case "queue":
		req.Queued()
		time.Sleep(o.Wait)
		req.Scheduled()
	case "manual": // two tokens a message
		req = ManualTokens(ctx)
		defer req.SetUsage(observe.Usage{Output: int64(2 * o.N)})
	}
	for n := range o.N {
		if n == 0 {
			time.Sleep(o.Wait)
		} else {
			time.Sleep(o.Gap)
		}
		if o.Do == "manual" {
			req.Token(2)
		}
		if err := send("tok"); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	switch {
	case o.Do == "midpanic":
		panic("late boom")
	case o.Code != codes.OK:
		return status.Error(o.Code, "as asked")
	case o.Do == "manual":
		return nil
	}
	usage, _ := json.Marshal(observe.Usage{Input: 7, Output: int64(o.N)})
	return send(string(usage))
}

func (service) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	out := &pb.SimpleResponse{Payload: &pb.Payload{}}
	err := run(ctx, orderOf(in), func(body string) error {
		out.Payload.Body = []byte(body)
		return nil
	})
	return out, err
}

func (service) StreamingOutputCall(in *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	return run(s.Context(), orderOf(in), func(body string) error {
		return s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: []byte(body)}})
	})
}

func (service) StreamingInputCall(s grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	var first *pb.StreamingInputCallRequest
	for size := int32(0); ; {
		in, err := s.Recv()
		switch {
		case err == io.EOF:
			if err := run(s.Context(), orderOf(first), func(string) error { return nil }); err != nil {
				return err
			}
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: size})
		case err != nil:
			return err
		case first == nil:
			first = in
		}
		size += int32(len(in.GetPayload().GetBody()))
	}
}

func (service) FullDuplexCall(s grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		err = run(s.Context(), orderOf(in), func(body string) error {
			return s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: []byte(body)}})
		})
		if err != nil {
			return err
		}
	}
}

// harness is a server with the interceptors, a client, and what was recorded.
type harness struct {
	rec       *observe.Recorder
	i         Interceptors
	server    *grpc.Server
	conn      *grpc.ClientConn
	client    pb.TestServiceClient
	recovered chan any     // values of panics that reached the outside
	entered   atomic.Int64 // calls of the test service

	mu  sync.Mutex
	all []observe.RequestStats
}

// setup is what a test changes of a harness.
type setup struct {
	config   Config
	sinks    []observe.Sink
	dial     []grpc.DialOption
	buffer   bool                                   // over bufconn, not TCP
	serve    func(h *harness, l net.Listener) error // other than by grpc's own transport
	register func(*grpc.Server)                     // more services
}

func start(t testing.TB, s setup) *harness {
	h := &harness{recovered: make(chan any, 1000)}
	rec, err := observe.New(observe.Config{Sinks: s.sinks, OnRequest: func(r observe.RequestStats) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, r)
	}})
	require.NoError(t, err)
	h.rec = rec
	cfg := s.config
	cfg.Recorder = rec
	if cfg.Model == nil {
		cfg.Model = func(_ context.Context, _ string, request any) string { return orderOf(request).Model }
	}
	if cfg.Tokens == nil {
		cfg.Tokens = func(m any) int {
			if bodyOf(m) == "tok" {
				return 1
			}
			return 0
		}
	}
	if cfg.Usage == nil {
		cfg.Usage = func(m any) (u observe.Usage, ok bool) {
			ok = json.Unmarshal([]byte(bodyOf(m)), &u) == nil
			return u, ok
		}
	}
	h.i, err = NewInterceptors(cfg)
	require.NoError(t, err)

	h.server = grpc.NewServer(
		grpc.ChainUnaryInterceptor(func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
			h.enter(info.FullMethod)
			defer h.recover(&err)
			return next(ctx, r)
		}, h.i.Unary),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			h.enter(info.FullMethod)
			defer h.recover(&err)
			return next(srv, s)
		}, h.i.Stream))
	if s.register != nil {
		s.register(h.server)
	}
	pb.RegisterTestServiceServer(h.server, service{})
	grpc_health_v1.RegisterHealthServer(h.server, health.NewServer())
	reflection.Register(h.server)

	dial := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, s.dial...)
	var listener net.Listener
	if s.buffer {
		buffer := bufconn.Listen(1 << 16)
		listener = buffer
		dial = append(dial, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return buffer.DialContext(ctx) }))
	} else {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if s.serve != nil {
			_ = s.serve(h, listener)
		} else {
			_ = h.server.Serve(listener)
		}
	})
	h.conn, err = grpc.NewClient("passthrough:///"+listener.Addr().String(), dial...)
	require.NoError(t, err)
	h.client = pb.NewTestServiceClient(h.conn)
	t.Cleanup(func() {
		h.conn.Close()
		h.server.Stop()
		listener.Close()
		serving.Wait()
	})
	return h
}

// enter counts a call in the outermost interceptor.
func (h *harness) enter(method string) {
	if measured(method) {
		h.entered.Add(1)
	}
}

// recover turns a panic into an error there.
func (h *harness) recover(err *error) {
	if v := recover(); v != nil {
		h.recovered <- v
		*err = status.Error(codes.Internal, "recovered")
	}
}

// next waits until n requests in all have ended, checks that nothing goes on, and
// returns the last.
func (h *harness) next(t testing.TB, n int) observe.RequestStats {
	t.Helper()
	for range 10_000 {
		h.mu.Lock()
		got := len(h.all)
		h.mu.Unlock()
		if got >= n {
			break
		}
		time.Sleep(time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Equal(t, n, len(h.all), "requests that ended")
	for l := range h.rec.Live() {
		assert.Zero(t, l.InFlight)
		assert.Zero(t, l.Waiting)
	}
	return h.all[n-1]
}

// The kinds of methods.
const (
	unary        = "unary"
	clientStream = "client stream"
	outStream    = "server stream"
	bidi         = "bidi"
)

// do calls a method of a kind and reads to its end, or until count messages have
// come if that is not 0.
func (h *harness) do(ctx context.Context, kind string, o order, count int) (got int, err error) {
	var recv func() error
	switch kind {
	case unary:
		_, err := h.client.UnaryCall(ctx, &pb.SimpleRequest{Payload: o.payload()})
		return 1, err
	case clientStream:
		s, err := h.client.StreamingInputCall(ctx)
		if err != nil {
			return 0, err
		}
		for range 3 {
			if err := s.Send(&pb.StreamingInputCallRequest{Payload: o.payload()}); err != nil {
				break // CloseAndRecv says why
			}
			o.Model = "of a later message"
		}
		_, err = s.CloseAndRecv()
		return 1, err
	case outStream:
		s, err := h.client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{Payload: o.payload()})
		if err != nil {
			return 0, err
		}
		recv = func() error { _, err := s.Recv(); return err }
	case bidi:
		s, err := h.client.FullDuplexCall(ctx)
		if err != nil {
			return 0, err
		}
		if err := s.Send(&pb.StreamingOutputCallRequest{Payload: o.payload()}); err != nil {
			return 0, err
		}
		if err := s.CloseSend(); err != nil {
			return 0, err
		}
		recv = func() error { _, err := s.Recv(); return err }
	}
	for {
		switch err := recv(); {
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
