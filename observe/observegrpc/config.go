package observegrpc

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/calmops/calm/observe"
)

// Config configures Interceptors. Its functions may be called from many
// goroutines; one that panics counts as not having answered, and in
// CallbackPanics.
type Config struct {
	// Recorder gets every call. Required.
	Recorder *observe.Recorder

	// Operation says what a method, "/package.Service/Method", asks for. Defaults
	// to observe.OperationOther.
	Operation func(fullMethod string) observe.Operation

	// Model names the model of a call, from the first message received; empty is
	// not known. A later Request.SetModel wins. Defaults to the message's
	// GetModelName (KServe's ModelInfer), else its GetModel, as generated code has
	// them.
	Model func(ctx context.Context, fullMethod string, request any) string

	// Tokens is the number of output tokens in a message that a server or
	// bidirectional stream has sent; less than 1 is no token event. It is not asked
	// on streams whose handler called ManualTokens. Defaults to 1 a message.
	Tokens func(message any) int

	// Usage reads token counts from a message that was sent. What a later message
	// gives replaces what earlier ones gave, field by field, unless it is 0. The
	// result goes to Request.SetUsage, of which the last call wins. Defaults to
	// none.
	Usage func(message any) (observe.Usage, bool)

	// Measure says whether a method is measured. Defaults to all but those of
	// grpc.health and grpc.reflection.
	Measure func(fullMethod string) bool
}

// Interceptors measure the calls of a server: give both to grpc.NewServer, as
// the outermost ones but for those that recover from panics. They are safe for
// concurrent use, and may serve several servers.
type Interceptors struct {
	// Unary is for calls of one message each way.
	Unary grpc.UnaryServerInterceptor
	// Stream is for all other calls.
	Stream grpc.StreamServerInterceptor

	panics *atomic.Uint64
}

// CallbackPanics is how many calls of the Config's functions have panicked.
func (i Interceptors) CallbackPanics() uint64 {
	if i.panics == nil {
		return 0
	}
	return i.panics.Load()
}

// NewInterceptors returns the interceptors, or the faults of the Config.
func NewInterceptors(cfg Config) (Interceptors, error) {
	if cfg.Recorder == nil {
		return Interceptors{}, errors.New("observegrpc: Config.Recorder is nil: it is required")
	}
	if cfg.Operation == nil {
		cfg.Operation = func(string) observe.Operation { return "" } // the Recorder's default, or HTTP's
	}
	if cfg.Model == nil {
		cfg.Model = modelOf
	}
	if cfg.Tokens == nil {
		cfg.Tokens = func(any) int { return 1 }
	}
	if cfg.Usage == nil {
		cfg.Usage = func(any) (observe.Usage, bool) { return observe.Usage{}, false }
	}
	if cfg.Measure == nil {
		cfg.Measure = measured
	}
	i := &interceptor{cfg: cfg}
	return Interceptors{Unary: i.unary, Stream: i.stream, panics: &i.panics}, nil
}

// modelOf asks a message for its model.
func modelOf(_ context.Context, _ string, request any) string {
	if m, ok := request.(interface{ GetModelName() string }); ok {
		if name := m.GetModelName(); name != "" {
			return name
		}
	}
	if m, ok := request.(interface{ GetModel() string }); ok {
		return m.GetModel()
	}
	return ""
}

func measured(fullMethod string) bool {
	return !strings.HasPrefix(fullMethod, "/grpc.health.") && !strings.HasPrefix(fullMethod, "/grpc.reflection.")
}
