// Package observegrpc measures the calls of a gRPC server with package observe:
// time to first token, every gap between messages, tokens, time in the queue,
// what is in flight, and how each call ended.
//
// # Quick start
//
//	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
//	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{prom}})
//	i, err := observegrpc.NewInterceptors(observegrpc.Config{Recorder: rec})
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(recoverUnary, i.Unary),
//		grpc.ChainStreamInterceptor(recoverStream, i.Stream),
//	)
//
// Only interceptors that recover from panics belong outside of these: what
// recovers inside hides the panic, and what sets deadlines or rejects calls
// belongs inside, so that it is seen.
//
// Handlers are not changed. One that knows more than its messages say finds its
// request in the context:
//
//	req := observe.FromContext(stream.Context())
//	req.Queued()
//	// ... wait for a slot ...
//	req.Scheduled()
//
// # Terms
//
// One call is one request of package observe, whose page defines the times; they
// count from the interceptor. Durations are time.Duration.
//
//   - Model: that of the first message received, by Config.Model. Until it is
//     there, a stream is in flight under "unknown".
//   - Token event: a message of Config.Tokens tokens that a server or
//     bidirectional stream has sent, at the time when SendMsg returned nil. A
//     message that failed is none, and calls that answer with one message have no
//     first token.
//   - Usage: token counts that Config.Usage finds in messages sent. The last
//     message wins, field by field; zero is not known. The one answer of a call
//     counts if the call succeeded.
//
// # Tokens that the handler counts
//
// A handler that calls Request.Token itself, since its engine has the tokens
// before they are sent or has several for a message, gets the request from
// [ManualTokens]. The messages of that stream are no token events then, and no
// token counts twice. With observe.FromContext they would. Where no handler wants
// its messages counted, let Config.Tokens return 0.
//
// # Outcomes
//
// The code that the call ended with decides. Its name is the code label:
//
//	OK                                                           ok
//	Canceled                                                     client_disconnect
//	DeadlineExceeded                                             timeout
//	InvalidArgument, NotFound, AlreadyExists, PermissionDenied,
//	Unauthenticated, FailedPrecondition, OutOfRange,
//	ResourceExhausted                                            client_error
//	Unknown, Aborted, Unimplemented, Internal, Unavailable,
//	DataLoss                                                     server_error
//	other, a number without a name                               server_error
//	none: the handler panicked                                   panic
//	none: runtime.Goexit, http.ErrAbortHandler                   aborted
//
// The error_type of a client_error or server_error is the code's name, unless the
// handler has called Request.SetErrorType; of the others it is the outcome.
//
// The code of an error is the one that grpc-go's server sends for it: of the
// status in it, wrapped or not; else Canceled or DeadlineExceeded for an error of
// a context; else Unknown. Once the context of a call has ended, or a message
// found its connection closed, nobody gets what the handler returns. The code is
// then Canceled or DeadlineExceeded, as for the client: an engine that stops with
// "Internal" because its client has left is no server_error, and a handler that
// returns nil to nobody is not ok.
//
// A client that closes its side of a stream (io.EOF) is no fault. A panic goes on
// with the same value. What is known up to the end of a failed call is kept: its
// first token, its gaps, its tokens.
//
// # Together with HTTP
//
// Behind the HTTP middleware of package observe, grpc.Server.ServeHTTP makes one
// request of the two: a call in a request of the same Recorder is a part of it
// and is not counted again. HTTP says 200 whatever the call says, so the call ends
// the request, with its own outcome. Two things are not as they should be then:
// the bytes of the last message may be missing, and for a client that cancels,
// ServeHTTP returns before the handler does, so that HTTP's view stays. Better
// leave gRPC out of the middleware, by observe.Config.Classify:
//
//	Classify: func(r *http.Request) (observe.RequestInfo, bool) {
//		return observe.RequestInfo{}, !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
//	},
//
// Inside a request that another interceptor has begun with Recorder.Start, a call
// is a part as well; whoever began it ends it. The same interceptors installed
// twice count once.
//
// # Errors
//
// NewInterceptors reports every fault of the Config. After that nothing fails: a
// function of the Config that panics counts as not having answered (no model, no
// tokens, no usage, operation other, measured), and is counted in
// Interceptors.CallbackPanics.
//
// # Concurrency
//
// Interceptors are safe for concurrent use, and each call has state of its own.
// As gRPC demands, one goroutine may receive on a stream while another sends.
//
// # Cost
//
// One allocation a call, and one more a stream: 0.7 us without a sink. None a
// message, which costs one reading of the clock, 80 ns in all. Calls that are not
// measured cost the question.
//
// # Limitations
//
//   - There are no client interceptors: the metrics of package observe are a
//     server's, and a call that a measured server makes would be read as a call
//     that it serves. A gateway measures the calls that it serves.
//   - Interceptors do not see calls that fail before them: unknown methods,
//     messages that do not decode (unary), refusals of the transport.
//   - A bidirectional stream is one request, however many questions it holds; its
//     gaps include the client's pauses. For one request a turn leave the stream
//     out by Config.Measure and call Recorder.Func for each.
//   - A token's time is when the transport took the message, not when the client
//     read it. Flow control delays SendMsg once the client's window is full.
//   - Bytes are not counted: messages are seen before they are encoded. A
//     grpc.PreparedMsg is given to Tokens and Usage as it is.
//   - A client that cancels a stream after the last message, and before its
//     status, reads as client_disconnect.
//   - A client that lets its deadline pass may reset the stream before the
//     server's own timer fires: some of its calls then read as Canceled.
//   - A server that stops closes connections, and looks like clients that leave.
//   - A deadline that an interceptor outside of these sets reads as the call's.
//   - Trace identifiers of the metadata are not read; sinks get the context, in
//     which observeotel finds a span.
//
// # Sources
//
// Codes: the gRPC documentation, "Status codes and their use in gRPC". Which of
// them are the client's fault follows the mapping to HTTP in google/rpc/code.proto,
// with 5xx the server's; Aborted, 409 there, is a server's conflict here, and
// Canceled, 499, and DeadlineExceeded, 504, have outcomes of their own. Errors
// without a status: processUnaryRPC and processStreamingRPC of grpc-go. KServe's
// getter: the open inference protocol, version 2.
package observegrpc
