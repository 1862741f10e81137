package observegrpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/calmops/calm/observe"
)

// modelInfer describes the parts of KServe's open inference protocol, version 2,
// that matter here, with its field numbers.
func modelInfer(t testing.TB) protoreflect.MessageDescriptor {
	field := func(name string, number int32) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: new(name), Number: new(number),
			Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("open_inference_grpc.proto"), Package: new("inference"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("ModelInferRequest"),
			Field: []*descriptorpb.FieldDescriptorProto{field("model_name", 1), field("model_version", 2), field("id", 3)}}},
	}, nil)
	require.NoError(t, err)
	return file.Messages().Get(0)
}

// modelInferRequest has the getter that generated code would have.
type modelInferRequest struct{ *dynamicpb.Message }

func (m modelInferRequest) GetModelName() string {
	return m.Get(m.Descriptor().Fields().ByName("model_name")).String()
}

// TestKServe: messages of the open inference protocol over the wire name their
// model with the default Config: ModelInfer, and Triton's ModelStreamInfer.
func TestKServe(t *testing.T) {
	descriptor := modelInfer(t)
	message := func(model string) modelInferRequest {
		m := modelInferRequest{dynamicpb.NewMessage(descriptor)}
		if model != "" {
			m.Set(descriptor.Fields().ByName("model_name"), protoreflect.ValueOfString(model))
		}
		return m
	}
	// These answer with the request, and fail for one model.
	answer := func(m modelInferRequest) error {
		if m.GetModelName() == "absent" {
			return status.Error(codes.NotFound, "no such model")
		}
		return nil
	}
	desc := &grpc.ServiceDesc{ServiceName: "inference.GRPCInferenceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: func(srv any, ctx context.Context, decode func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
			in := message("")
			if err := decode(in); err != nil {
				return nil, err
			}
			return i(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/inference.GRPCInferenceService/ModelInfer"},
				func(_ context.Context, in any) (any, error) { return in, answer(in.(modelInferRequest)) })
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := message("")
				if err := s.RecvMsg(in); err != nil {
					return nil // the client has no more
				}
				if err := answer(in); err != nil {
					return err
				}
				for range 4 {
					if err := s.SendMsg(in); err != nil {
						return err
					}
				}
			}
		}}}}
	h := start(t, setup{config: Config{Model: modelOf, Tokens: func(any) int { return 1 }}, register: func(s *grpc.Server) { s.RegisterService(desc, nil) }})

	out := message("")
	require.NoError(t, h.conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", message("llama"), out))
	assert.Equal(t, "llama", out.GetModelName())
	s := h.next(t, 1)
	assert.Equal(t, "llama", s.Model)
	assert.Equal(t, observe.OutcomeOK, s.Outcome)

	err := h.conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", message("absent"), out)
	require.Equal(t, codes.NotFound, status.Code(err))
	s = h.next(t, 2)
	assert.Equal(t, "absent", s.Model)
	assert.Equal(t, "NotFound", s.ErrorType)

	stream, err := h.conn.NewStream(t.Context(), &desc.Streams[0], "/inference.GRPCInferenceService/ModelStreamInfer")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(message("mistral")))
	require.NoError(t, stream.CloseSend())
	for range 4 {
		require.NoError(t, stream.RecvMsg(message("")))
	}
	require.Error(t, stream.RecvMsg(message("")))
	s = h.next(t, 3)
	assert.Equal(t, "mistral", s.Model)
	assert.Equal(t, 4, s.TokenEvents)
	assert.True(t, s.Stream)
}
