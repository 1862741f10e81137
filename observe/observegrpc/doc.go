// Package observegrpc measures the calls of a gRPC server with package observe:
// time to first token, every gap between messages, tokens, and how each call
// ended.
//
//	i, err := observegrpc.NewInterceptors(observegrpc.Config{Recorder: rec})
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(i.Unary),
//		grpc.ChainStreamInterceptor(i.Stream),
//	)
//
// The handler finds its request with observe.FromContext(stream.Context()) and
// may mark on it what the messages do not say: Queued, Scheduled, SetUsage.
//
// # Terms
//
// One call is one request of package observe, whose page defines the times. A
// message that a server stream has sent is a token event of Config.Tokens tokens,
// at the time when SendMsg returned nil: when the transport took it. Calls that
// answer with one message have no first token.
//
// The model is that of the first message received, by Config.Model. Until it is
// there, a stream counts as in flight under "unknown".
//
// # Outcomes
//
// The code of the status decides, by its name in the code label:
//
//	OK                                                           ok
//	Canceled                                                     client_disconnect
//	DeadlineExceeded                                             timeout
//	InvalidArgument, NotFound, AlreadyExists, PermissionDenied,
//	Unauthenticated, FailedPrecondition, OutOfRange,
//	ResourceExhausted                                            client_error
//	Unknown, Aborted, Unimplemented, Internal, Unavailable,
//	DataLoss, and any other                                      server_error
//
// The error_type of the last two is the code's name. An error without a status
// is read as grpc-go's server reads it: an end of the context by its reason, else
// Unknown. A handler that panics is the outcome panic, and the panic goes on: an
// interceptor that recovers belongs outside of these. A client that closes its
// side of a stream (io.EOF) is no fault.
//
// # Together with HTTP
//
// Where the middleware of package observe already measures the HTTP request in
// front of grpc.Server.ServeHTTP with the same Recorder, a call is a part of that
// request and is not counted again; its outcome is then the HTTP request's.
//
// # Errors
//
// NewInterceptors refuses a Config without a Recorder. After that nothing fails:
// a function of the Config that panics counts as not having answered.
//
// # Concurrency
//
// Interceptors are safe for concurrent use. Each call has state of its own.
//
// # Cost
//
// An allocation or two a call beyond package observe's own; one clock reading and
// no allocation a message.
//
// # Limitations
//
//   - Servers only: there are no client interceptors.
//   - A message is one token event unless Config.Tokens says otherwise. Where the
//     handler calls Token itself, let Config.Tokens return 0, or tokens count
//     twice.
//   - Bytes are not counted: messages are seen before they are encoded.
//   - Trace identifiers of the metadata are not read; the context is passed to the
//     sinks, which is where observeotel finds a span.
//
// # Sources
//
// Codes: the gRPC documentation, "Status codes and their use in gRPC". Which of
// them are the client's fault follows the mapping of google.rpc.Code to HTTP.
package observegrpc
