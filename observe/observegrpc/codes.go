package observegrpc

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe"
)

// Code labels of what is no code.
const (
	noCode    = "none"  // the handler did not return
	otherCode = "other" // a number without a name
)

// label is the name of a code. A handler may make numbers up: they have none.
func label(c codes.Code) string {
	if c > codes.Unauthenticated { // the last one
		return otherCode
	}
	return c.String()
}

// code is the code that a call ended with, and the error to report for it. Once
// the context of a call has ended, nobody gets what the handler returns.
func (c *call) code(err error) (codes.Code, error) {
	over := c.ctx.Err()
	if over == nil && c.gone.Load() {
		over = context.Canceled
	}
	if over == nil {
		return codeOf(err), err
	}
	if err == nil {
		err = over
	}
	return codeOf(over), err
}

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
