package observegrpc_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observegrpc"
)

// request stands for generated code.
type request struct{ model string }

func (r request) GetModelName() string { return r.model }

func ExampleNewInterceptors() {
	rec, err := observe.New(observe.Config{OnRequest: func(s observe.RequestStats) {
		fmt.Println(s.Model, s.Outcome, s.Code)
	}})
	if err != nil {
		log.Fatal(err)
	}
	i, err := observegrpc.NewInterceptors(observegrpc.Config{Recorder: rec})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(i.Unary), grpc.ChainStreamInterceptor(i.Stream))
	defer server.Stop()

	// What the server does when a call comes in.
	info := &grpc.UnaryServerInfo{FullMethod: "/inference.GRPCInferenceService/ModelInfer"}
	i.Unary(context.Background(), request{"tiny"}, info, func(context.Context, any) (any, error) {
		return "answer", nil
	})
	i.Unary(context.Background(), request{"tiny"}, info, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.ResourceExhausted, "no slot")
	})
	// Output:
	// tiny ok OK
	// tiny client_error ResourceExhausted
}
