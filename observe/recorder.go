package observe

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Recorder measures requests and gives them to its sinks. It is safe for
// concurrent use. A nil *Recorder does nothing, and its Middleware returns the
// handler it was given.
type Recorder struct {
	cfg    Config
	reg    *registry
	losses losses

	operations, providers, priorities, errorTypes, reasons, codes *words // label values
	names                                                         *words // other strings worth sharing

	servedMu sync.Mutex
	served   []Served // replaced, never changed in place
}

// How many values of its own an application may put into a label.
const (
	maxOperations = 16
	maxProviders  = 16
	maxPriorities = 16
	maxErrorTypes = 32
	maxReasons    = 16
	maxCodes      = 32
	maxShared     = 256
)

// New returns a Recorder, or all faults of the Config joined: negative sizes and
// objectives, a nil sink, a bad model name, more Models than MaxModels, an
// unknown FirstToken. It starts no goroutine.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Sinks, cfg.Models = slices.Clone(cfg.Sinks), slices.Clone(cfg.Models)
	if cfg.MaxModels == 0 {
		cfg.MaxModels = max(defaultMaxModels, len(cfg.Models))
	}
	if cfg.PeekBytes == 0 {
		cfg.PeekBytes = defaultPeekBytes
	}
	r := &Recorder{
		cfg: cfg,
		operations: newWords(maxOperations, string(OperationChat), string(OperationTextCompletion),
			string(OperationEmbeddings), string(OperationGenerateContent), string(OperationOther)),
		providers:  newWords(maxProviders, "openai", "anthropic", "ollama", "gcp.gemini", customProvider),
		priorities: newWords(maxPriorities, ""),
		errorTypes: newWords(maxErrorTypes, otherErrorType),
		reasons:    newWords(maxReasons, "stop", "length", "tool_calls", "content_filter"),
		codes:      newWords(maxCodes),
		names:      newWords(maxShared),
	}
	r.reg = newRegistry(cfg.Models, cfg.MaxModels, r.open)
	for _, s := range cfg.Sinks {
		r.guard(func() { s.Attach(r) })
	}
	provider := cfg.Provider
	if provider == "" {
		provider = "openai"
	}
	for _, m := range cfg.Models {
		r.reg.find(r.reg.model(m), OperationChat, provider).handles()
	}
	return r, nil
}

// open asks every sink for its handles of a label set.
func (r *Recorder) open(l Labels) []SeriesSink {
	handles := make([]SeriesSink, 0, len(r.cfg.Sinks))
	for _, s := range r.cfg.Sinks {
		r.guard(func() {
			if h := s.Series(l); h != nil {
				handles = append(handles, h)
			}
		})
	}
	return handles
}

// guard runs code of the user; a panic of it is counted.
func (r *Recorder) guard(f func()) {
	defer r.recovered()
	f()
}

// recovered is deferred around code of the user.
func (r *Recorder) recovered() {
	if v := recover(); v != nil {
		r.losses.callbackPanics.Add(1)
	}
}

// label returns s if the set has room for it, else other, counted.
func (r *Recorder) label(w *words, s, other string) string {
	if v, ok := w.add(s); ok {
		return v
	}
	r.losses.labelOverflow.Add(1)
	return other
}

// share returns the string for b, the same one each time while there is room.
func (r *Recorder) share(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := r.names.get(b); ok {
		return s
	}
	s, _ := r.names.add(string(b))
	return s
}

// requestKey is the context key of the innermost Request.
type requestKey struct{}

// node is a context that carries a Request. It answers two keys, and is its
// parent for everything else: deriving a cancellable context from it starts no
// goroutine.
type node struct {
	context.Context
	req *Request
}

func (n *node) Value(key any) any {
	switch k := key.(type) {
	case requestKey:
		return n.req
	case *Recorder:
		if k == n.req.rec {
			return n.req
		}
	}
	return n.Context.Value(key)
}

// FromContext returns the request being measured, the innermost if there are
// several Recorders, or nil, on which every method does nothing.
func FromContext(ctx context.Context) *Request {
	q, _ := ctx.Value(requestKey{}).(*Request)
	return q
}

// carried returns the request of this Recorder that ctx carries, if it has not
// ended: work that goes on in the background is a request of its own.
func (r *Recorder) carried(ctx context.Context) *Request {
	q, ok := ctx.Value(r).(*Request)
	if !ok {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return nil
	}
	return q
}

// started is the one allocation of Start.
type started struct {
	Request
	node node
}

// Start begins a request that no Middleware sees: gRPC, an engine in this
// process, a queue worker. The context carries the Request for FromContext.
// Always defer End. If ctx carries a Request of this Recorder already, that one
// is returned: it is one request, and the End of the inner Start only says that
// the inner part is over.
func (r *Recorder) Start(ctx context.Context, info RequestInfo) (context.Context, *Request) {
	if r == nil {
		return ctx, nil
	}
	if q := r.carried(ctx); q != nil {
		q.fill(info)
		q.set(func() { q.nested++ })
		return ctx, q
	}
	s := &started{}
	s.node = node{ctx, &s.Request}
	s.init(r, &s.node, info)
	s.enter(r.reg.model(info.Model))
	return &s.node, &s.Request
}

// Func measures f as one request: any function or stream. It returns the error
// of f; a panic is recorded and goes on. A nil Recorder just calls f. Inside a
// request of this Recorder f is a part of it, which does not end it.
func (r *Recorder) Func(ctx context.Context, info RequestInfo, f func(context.Context, *Request) error) (err error) {
	if r == nil {
		return f(ctx, nil)
	}
	if q := r.carried(ctx); q != nil {
		q.fill(info)
		return f(ctx, q)
	}
	ctx, q := r.Start(ctx, info)
	returned := false
	defer func() {
		if returned {
			q.End(err)
			return
		}
		v := recover()
		q.finish(interrupted(v))
		if v != nil {
			panic(v)
		}
	}()
	err = f(ctx, q)
	returned = true
	return err
}

// init sets what is known when a request arrives.
func (q *Request) init(r *Recorder, ctx context.Context, info RequestInfo) {
	q.rec, q.ctx = r, ctx
	if q.start = info.Received; q.start.IsZero() {
		q.start = time.Now()
	}
	q.model, q.protocol = info.Model, info.Protocol
	q.operation = OperationOther
	if info.Operation != "" {
		q.operation = Operation(r.label(r.operations, string(info.Operation), otherLabel))
	}
	if info.Priority != "" {
		q.priority = r.label(r.priorities, info.Priority, otherLabel)
	}
	switch {
	case info.Provider != "":
		q.provider = r.label(r.providers, info.Provider, otherLabel)
	case r.cfg.Provider != "":
		q.provider = r.cfg.Provider
	default:
		q.provider = flavour(info.Protocol)
	}
}

// flavour is the provider that a protocol suggests.
func flavour(p Protocol) string {
	switch p {
	case ProtocolOpenAI, ProtocolResponses:
		return "openai"
	case ProtocolAnthropic:
		return "anthropic"
	case ProtocolOllama:
		return "ollama"
	}
	return ""
}
