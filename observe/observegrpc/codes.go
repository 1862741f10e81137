package observegrpc

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// codeOf is the code that the server sends for an error of a handler: that of
// the status in it, wrapped or not, else that of a context's end, else Unknown.
func codeOf(err error) codes.Code {
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	return s.Code()
}

// outcomeOf is what a code says of a request.
func outcomeOf(c codes.Code) observe.Outcome {
	switch c {
	case codes.OK:
		return observe.OutcomeOK
	case codes.Canceled:
		return observe.OutcomeClientDisconnect
	case codes.DeadlineExceeded:
		return observe.OutcomeTimeout
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.FailedPrecondition, codes.OutOfRange, codes.ResourceExhausted:
		return observe.OutcomeClientError
	}
	return observe.OutcomeServerError // Unknown, Aborted, Unimplemented, Internal, Unavailable, DataLoss
}
