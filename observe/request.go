package observe

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Request is one request in flight. Its methods are nil-safe, never block on
// I/O, never fail, and do nothing after End. Any goroutine may call them: a mutex
// of this one request serialises them. The response writer takes it a few times
// a response and once for 64 gaps, not for a chunk.
type Request struct {
	rec    *Recorder
	ctx    context.Context
	start  time.Time
	writer *responseWriter // nil: from Start

	hasToken  atomic.Bool // a first token was seen, by either clock
	useManual atomic.Bool // Token was called: the parser's clock is off

	mu            sync.Mutex // guards all below
	ended         bool
	named         bool // model is SetModel's: it stays
	fixed         bool // gaps were merged: the series stays
	waiting       bool
	wasQueued     bool
	wasScheduled  bool
	protocol      Protocol
	nested        int32 // calls of Start inside of this request whose End is due
	preemptions   int32
	model         string // as asked for, or set
	operation     Operation
	provider      string // bounded; empty until the protocol is known
	priority      string // bounded
	series        *series
	responseModel string
	finishReason  string
	usage         Usage
	errorType     string
	value         any

	queuedAt, scheduledAt time.Duration
	manual                *manualClock
}

// manualClock is the token clock of a request whose engine calls Token.
type manualClock struct {
	clock tokenClock
	gaps  gapBuffer
	back  int // times that went backwards
}

var manualClocks = sync.Pool{New: func() any { return new(manualClock) }}

// since is the time since the arrival.
func (q *Request) since() time.Duration { return max(time.Since(q.start), 0) }

// enter makes the request count as in flight. m is the place of its model.
func (q *Request) enter(m *model) {
	q.series = q.find(m)
	q.series.handles()
	q.series.inFlight.Add(1)
}

// find returns the series of the labels in force. m is the place of the model.
func (q *Request) find(m *model) *series {
	p := q.provider
	if p == "" {
		p = customProvider
	}
	return q.rec.reg.find(m, q.operation, p)
}

// relabel moves the request to the series of its labels, unless gaps have been
// merged into the one it has. The caller holds mu.
func (q *Request) relabel() {
	if q.fixed || q.series == nil {
		return
	}
	s := q.find(q.rec.reg.model(q.model))
	if s == q.series {
		return
	}
	s.handles()
	s.inFlight.Add(1)
	q.series.inFlight.Add(-1)
	if q.waiting {
		s.waiting.Add(1)
		q.series.waiting.Add(-1)
	}
	q.series = s
}

// fill takes over what an inner middleware or Start knows of the same request.
func (q *Request) fill(info RequestInfo) {
	r := q.rec
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if info.Model != "" && !q.named {
		q.model = info.Model
	}
	if info.Operation != "" {
		q.operation = Operation(r.label(r.operations, string(info.Operation), otherLabel))
	}
	if info.Provider != "" {
		q.provider = r.label(r.providers, info.Provider, otherLabel)
	}
	if info.Priority != "" {
		q.priority = r.label(r.priorities, info.Priority, otherLabel)
	}
	if info.Protocol != ProtocolAuto {
		q.protocol = info.Protocol
	}
	q.relabel()
}

// learn takes over what the response says where the request said nothing.
func (q *Request) learn(model []byte, p Protocol) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.adopt(model, p)
}

// adopt is learn for a caller who holds mu, or has ended the request.
func (q *Request) adopt(model []byte, p Protocol) {
	if (q.model != "" || len(model) == 0) && q.provider != "" {
		return // nothing to learn
	}
	if q.model == "" && len(model) > 0 {
		if m, ok := q.rec.reg.known(model); ok {
			q.model = m.name
		} else {
			q.model = string(model)
		}
	}
	if q.provider == "" {
		q.provider = flavour(p)
	}
	q.relabel()
}

// dialect returns the protocol that the response is to be read as.
func (q *Request) dialect() Protocol {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.protocol
}

// merge gives gaps to the sinks, and fixes the series by that.
func (q *Request) merge(gaps []time.Duration) {
	if len(gaps) == 0 {
		return
	}
	q.mu.Lock()
	q.fixed = true
	s := q.series
	q.mu.Unlock()
	s.gaps(q.rec, gaps)
}

// SetModel names the model. It wins over what the body said, and moves the
// request to the model's series unless inter-token gaps have been merged before.
func (q *Request) SetModel(name string) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.model, q.named = name, name != ""
		q.relabel()
	}
}

// set runs f under the mutex unless the request has ended.
func (q *Request) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		f()
	}
}

// SetResponseModel names the model that answered. It wins over the response.
func (q *Request) SetResponseModel(name string) {
	if q != nil {
		q.set(func() { q.responseModel = name })
	}
}

// SetFinishReason says why generation ended, in any server's words. It wins over
// the response.
func (q *Request) SetFinishReason(reason string) {
	if q != nil {
		q.set(func() { q.finishReason = reason })
	}
}

// SetUsage gives the token counts. They win over the response, input and output
// each if it is not 0: zero is not known. Negative counts read 0.
func (q *Request) SetUsage(u Usage) {
	if q == nil {
		return
	}
	for _, n := range []*int64{&u.Input, &u.Output, &u.CachedInput, &u.CacheWriteInput, &u.ReasoningOutput} {
		*n = max(*n, 0)
	}
	q.set(func() { q.usage = u })
}

// SetErrorType replaces the error_type of a request that fails, by a word of low
// cardinality: the first 32 words are kept, others read "_OTHER". On a request
// that ends well it does nothing.
func (q *Request) SetErrorType(word string) {
	if q != nil {
		q.set(func() { q.errorType = word })
	}
}

// SetValue keeps a value of the application, such as a rollout decision, for
// RequestStats.Value.
func (q *Request) SetValue(v any) {
	if q != nil {
		q.set(func() { q.value = v })
	}
}

// Queued marks the request as waiting to be scheduled.
func (q *Request) Queued() {
	if q == nil {
		return
	}
	now := q.since()
	q.set(func() {
		if !q.wasQueued {
			q.wasQueued, q.queuedAt = true, now
		}
		q.wait()
	})
}

// wait counts the request as waiting. The caller holds mu.
func (q *Request) wait() {
	if !q.waiting {
		q.waiting = true
		q.series.waiting.Add(1)
	}
}

// Scheduled marks the end of the wait. Without Queued, the wait began at the
// arrival.
func (q *Request) Scheduled() {
	if q == nil {
		return
	}
	now := q.since()
	q.set(func() {
		if !q.hasToken.Load() {
			q.wasScheduled, q.scheduledAt = true, now
		}
		if q.waiting {
			q.waiting = false
			q.series.waiting.Add(-1)
		}
	})
}

// Preempted marks the request as put back into the queue.
func (q *Request) Preempted() {
	if q == nil {
		return
	}
	q.set(func() {
		q.preemptions++
		q.series.model.preemptions.Add(1)
		q.wait()
	})
}

// Token says that n output tokens are ready now; n < 1 is ignored, and n counts
// as at most 2^20. The first call makes this the only token clock of the
// request: call it from the first token on, or not at all.
func (q *Request) Token(n int) {
	if q != nil && n > 0 {
		q.token(n, q.since())
	}
}

// TokenAt is Token for tokens that were ready at a time in the past; keep the
// monotonic reading of it. A time before the last one counts as the last one,
// and as one clock step in Losses; a time to come counts as now.
func (q *Request) TokenAt(n int, at time.Time) {
	if q != nil && n > 0 {
		q.token(n, min(at.Sub(q.start), q.since()))
	}
}

func (q *Request) token(n int, at time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if q.manual == nil {
		q.manual = manualClocks.Get().(*manualClock)
		q.manual.clock, q.manual.back = tokenClock{}, 0
		q.useManual.Store(true)
		q.hasToken.Store(true)
	}
	m := q.manual
	if m.clock.batch(n, max(at, 0), true) || at < 0 {
		m.back++ // once a call, also where both hold
	}
	for m.clock.gather(&m.gaps) {
		m.clock.pending = 0
		q.fixed = true
		q.series.gaps(q.rec, m.gaps[:])
	}
}

// End ends the request; later calls do nothing. The error decides the outcome:
// nil is ok, context.Canceled client_disconnect, context.DeadlineExceeded
// timeout, any other server_error. A request of the Middleware ends by itself.
// Where Start found a request in its context and returned that one, its End only
// says that the inner part is over.
func (q *Request) End(err error) {
	if q != nil && !q.leave() {
		q.finish(handlerEnd{err: err, manual: true})
	}
}

// leave reports whether an End belongs to a Start inside of this request.
func (q *Request) leave() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.nested == 0 {
		return false
	}
	q.nested--
	return true
}

// EndStatus is End for a protocol that has status codes of its own, such as gRPC:
// the caller says which outcome a code means. The code is the code label, and the
// error_type of a client_error or server_error: the first 32 names are kept, then
// "other". An outcome that is none reads as OutcomeServerError.
func (q *Request) EndStatus(o Outcome, code string, err error) {
	if q == nil || q.leave() {
		return
	}
	if int(o) >= len(outcomeWords) {
		o = OutcomeServerError
	}
	q.finish(handlerEnd{err: err, manual: true, code: code, outcome: o})
}
