package observegrpc_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observegrpc"
)

// model is a service that streams a few tokens, for which a service of grpc's own
// tests stands in.
type model struct {
	pb.UnimplementedTestServiceServer
}

func (model) StreamingOutputCall(in *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	req := observe.FromContext(s.Context())
	req.SetModel("tiny") // where no getter of the request names it
	req.Queued()
	// ... wait for a slot ...
	req.Scheduled()
	for word := range strings.FieldsSeq(string(in.GetPayload().GetBody())) {
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: []byte(word)}}); err != nil {
			return err
		}
	}
	return nil
}

// A server, a stream of tokens, and a method that is not implemented.
func ExampleNewInterceptors() {
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		fmt.Println(s.Model, s.TokenEvents, "tokens,", s.Gaps, "gaps,", s.Outcome, s.Code)
	}})
	if err != nil {
		log.Fatal(err)
	}
	i, err := observegrpc.NewInterceptors(observegrpc.Config{Recorder: rec})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(i.Unary), grpc.ChainStreamInterceptor(i.Stream))
	pb.RegisterTestServiceServer(server, model{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewTestServiceClient(conn)
	stream, err := client.StreamingOutputCall(context.Background(),
		&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte("to be or not")}})
	for err == nil {
		_, err = stream.Recv()
	}
	fmt.Println("the client read to the end:", err == io.EOF)
	_, err = client.EmptyCall(context.Background(), &pb.Empty{})
	fmt.Println("the client got", status.Code(err))
	// Output:
	// tiny 4 tokens, 3 gaps, ok OK
	// the client read to the end: true
	// unknown 0 tokens, 0 gaps, server_error Unimplemented
	// the client got Unimplemented
}

// inferRequest and inferResponse stand for generated code.
type inferRequest struct{ name string }

func (r *inferRequest) GetModelName() string { return r.name }

type inferResponse struct{ prompt, output int64 }

// KServe's ModelInfer, with token counts in the answer.
func ExampleConfig() {
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		fmt.Println(s.Model, s.Operation, s.Usage.Input, s.Usage.Output, s.Outcome, s.Code)
	}})
	if err != nil {
		log.Fatal(err)
	}
	i, err := observegrpc.NewInterceptors(observegrpc.Config{
		Recorder: rec,
		Operation: func(method string) observe.Operation {
			if strings.HasSuffix(method, "/ModelInfer") {
				return observe.OperationTextCompletion
			}
			return observe.OperationOther
		},
		Usage: func(message any) (observe.Usage, bool) {
			r, ok := message.(*inferResponse)
			if !ok {
				return observe.Usage{}, false
			}
			return observe.Usage{Input: r.prompt, Output: r.output}, true
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	// What a server does when a call comes in.
	ctx := context.Background()
	info := &grpc.UnaryServerInfo{FullMethod: "/inference.GRPCInferenceService/ModelInfer"}
	i.Unary(ctx, &inferRequest{"tiny"}, info, func(context.Context, any) (any, error) {
		return &inferResponse{prompt: 12, output: 30}, nil
	})
	i.Unary(ctx, &inferRequest{"tiny"}, info, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.ResourceExhausted, "no slot")
	})
	// Output:
	// tiny text_completion 12 30 ok OK
	// tiny text_completion 0 0 client_error ResourceExhausted
}

// speculative is a service whose engine knows how many tokens a message has.
type speculative struct {
	pb.UnimplementedTestServiceServer
}

func (speculative) StreamingOutputCall(_ *pb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	req := observegrpc.ManualTokens(s.Context())
	for _, n := range []int{1, 4, 2} {
		req.Token(n) // when the engine has them, before they are sent
		if err := s.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return nil
}

// A handler that counts its tokens itself.
func ExampleManualTokens() {
	done := make(chan struct{})
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		fmt.Println(s.TokenEvents, "tokens")
		close(done)
	}})
	if err != nil {
		log.Fatal(err)
	}
	i, err := observegrpc.NewInterceptors(observegrpc.Config{Recorder: rec})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ChainStreamInterceptor(i.Stream))
	pb.RegisterTestServiceServer(server, speculative{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewTestServiceClient(conn).StreamingOutputCall(context.Background(), &pb.StreamingOutputCallRequest{}); err != nil {
		log.Fatal(err)
	}
	<-done
	// Output: 7 tokens
}
