package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

var statsPool = sync.Pool{New: func() any { return new(RequestStats) }}

// handlerEnd is how the code that served a request ended.
type handlerEnd struct {
	code     string // of another protocol; then outcome is given too
	outcome  Outcome
	manual   bool // by End
	err      error
	panicked bool
	aborted  bool
	value    any // of the panic
}

// interrupted is the end of code that did not return. v is what recover gave:
// nil after runtime.Goexit.
func interrupted(v any) handlerEnd {
	if v == nil || v == http.ErrAbortHandler {
		return handlerEnd{aborted: true}
	}
	return handlerEnd{panicked: true, value: v}
}

func (e handlerEnd) error() error {
	switch v := e.value.(type) {
	case nil:
		return e.err
	case error:
		return v
	default:
		return fmt.Errorf("panic: %v", v)
	}
}

// ending gathers what decides the outcome of a request that has a response
// writer or none.
func (q *Request) ending(h handlerEnd, w *responseWriter) ending {
	e := ending{panicked: h.panicked, aborted: h.aborted}
	if h.manual && h.err != nil {
		switch {
		case errors.Is(h.err, context.Canceled):
			e.cancelled, e.unfinished = true, true
		case errors.Is(h.err, context.DeadlineExceeded):
			e.deadline, e.unfinished = true, true
		default:
			e.status = 500
		}
	}
	if w == nil {
		return e
	}
	switch q.ctx.Err() {
	case context.Canceled:
		e.cancelled = true
	case context.DeadlineExceeded:
		e.deadline = true
	}
	w.ending(&e, !h.manual)
	return e
}

// finish ends the request once: it closes the writer, gathers the stats and
// gives them to the sinks and to OnRequest.
func (q *Request) finish(h handlerEnd) {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended = true
	q.mu.Unlock()
	// From here on the methods of q do nothing, and its fields stay. The writer may be in the middle
	// of a Write on another goroutine: close waits until its accounting is done.
	// Then both token clocks stand, so that no token is later than the end.
	w := q.writer
	if w != nil {
		w.close()
	}
	now := q.since()
	if w != nil {
		w.end()
	}

	// OnRequest gets a copy, sinks a pointer that they may not keep: so the stats
	// need no allocation.
	s := statsPool.Get().(*RequestStats)
	defer func() {
		*s = RequestStats{}
		statsPool.Put(s)
	}()
	q.fillStats(s, h, w, now)

	series := q.series
	if q.waiting {
		series.waiting.Add(-1)
	}
	series.inFlight.Add(-1)

	if q.manual != nil {
		series.gaps(q.rec, q.manual.gaps[:q.manual.clock.pending])
		manualClocks.Put(q.manual)
		q.manual = nil
	}
	if w != nil {
		w.release()
	}
	for _, sink := range series.handles() {
		q.give(sink, s)
	}
	if q.rec.cfg.OnRequest != nil {
		q.report(*s)
	}
}

func (q *Request) give(sink SeriesSink, s *RequestStats) {
	defer q.rec.recovered()
	sink.Request(q.ctx, s)
}

func (q *Request) report(s RequestStats) {
	defer q.rec.recovered()
	q.rec.cfg.OnRequest(s)
}

// fillStats gathers everything that is known of the request at its end.
func (q *Request) fillStats(s *RequestStats, h handlerEnd, w *responseWriter, now time.Duration) {
	r := q.rec
	s.Start, s.Duration, s.Priority = q.start, now, q.priority
	s.Protocol, s.Err, s.Value, s.Preemptions = q.protocol, h.error(), q.value, int(q.preemptions)
	s.ResponseModel, s.FinishReasonRaw = q.responseModel, q.finishReason

	var st *stream
	if w != nil {
		st = w.stream
		w.fillStats(s, now)
	}
	if st != nil {
		s.Protocol = st.protocol
		if s.ResponseModel == "" {
			if s.ResponseModel = q.model; string(st.model.bytes()) != q.model {
				s.ResponseModel = r.share(st.model.bytes())
			}
		}
		if s.FinishReasonRaw == "" && st.finish.n > 0 {
			var known bool
			if s.FinishReasonRaw, s.FinishReason, known = finishReason(st.finish.bytes()); !known {
				s.FinishReasonRaw = r.share(st.finish.bytes())
			}
		}
		s.Complete = st.terminal
		s.ErrorDetail = r.share(st.detail.bytes())
		if n := st.badEvents + st.usage.bad; n > 0 { // most have none, and the counters are shared
			r.losses.badEvents.Add(uint64(n))
		}
		if st.truncated > 0 {
			r.losses.truncatedEvents.Add(uint64(st.truncated))
		}
	}

	if h.code != "" {
		s.Outcome, s.Code = h.outcome, r.label(r.codes, h.code, otherLabel)
		if s.ErrorType = errorType(s.Outcome, 0); s.ErrorType == otherErrorType {
			s.ErrorType = s.Code
		}
	} else {
		e := q.ending(h, w)
		s.Outcome = e.outcome()
		s.Code = codeLabel(s.StatusCode)
		s.ErrorType = errorType(s.Outcome, s.StatusCode)
	}
	if s.ErrorType != "" && q.errorType != "" {
		s.ErrorType = r.label(r.errorTypes, q.errorType, otherErrorType)
	}

	q.fillTimes(s, st)
	q.fillTokens(s, st)
	tpot, ok := q.tpot(s, st)
	if ok && s.Outcome == OutcomeOK {
		s.TPOT = tpot
		s.Valid |= FieldTPOT
	}
	s.SLO = r.cfg.SLO.judge(s, tpot, ok)

	if s.FinishReasonRaw != "" && s.FinishReason == "" {
		_, reason, known := finishReason(s.FinishReasonRaw)
		if !known {
			reason = r.label(r.reasons, s.FinishReasonRaw, otherLabel)
		}
		s.FinishReason = reason
	}
	s.Labels = q.series.labels
	s.RequestModel = q.model
	if q.model != "" && s.Model == otherLabel && q.model != otherLabel {
		r.losses.modelOverflow.Add(1)
	}
}

// fillTimes takes the token times of the clock in force, and the queue's.
func (q *Request) fillTimes(s *RequestStats, st *stream) {
	var c *tokenClock
	switch {
	case q.manual != nil:
		c = &q.manual.clock
		s.Stream = s.Stream || q.writer == nil
		q.rec.losses.clockSteps.Add(uint64(q.manual.back))
	case st != nil:
		c = &st.clock
	}
	if c != nil && c.hasFirst {
		s.TTFT, s.LastToken, s.Decode = c.first, c.last, c.last-c.first
		s.Valid |= FieldTTFT | FieldLastToken | FieldDecode
		s.TokenEvents, s.Gaps, s.GapSum, s.GapMax = c.events, c.count, c.sum, c.longest
		s.Reasoned = st != nil && st.thoughtFirst && q.manual == nil
		if c.hasContent {
			s.FirstContent = c.content
			s.Valid |= FieldFirstContent
		}
		if q.manual != nil && !s.Has(FieldFirstEvent) {
			s.FirstEvent = c.first
			s.Valid |= FieldFirstEvent
		}
	}
	switch {
	case q.waiting && !q.hasToken.Load():
		s.Queue, s.Abandoned = s.Duration-q.queuedAt, true
		s.Valid |= FieldQueue
	case q.wasScheduled:
		s.Queue = max(q.scheduledAt-q.queuedAt, 0)
		s.Valid |= FieldQueue
		if s.Has(FieldTTFT) {
			s.Prefill = max(s.TTFT-q.scheduledAt, 0)
			s.Valid |= FieldPrefill
		}
	}
}

// fillTokens takes each group of counts from its best source.
func (q *Request) fillTokens(s *RequestStats, st *stream) {
	if st != nil {
		u, input, output := st.usage.total()
		s.Usage = u
		if input {
			s.InputSource = TokensUsage
		}
		if output {
			s.OutputSource = TokensUsage
		}
	}
	if u := q.usage; u.Input > 0 {
		s.Usage.Input, s.Usage.CachedInput, s.Usage.CacheWriteInput = u.Input, u.CachedInput, u.CacheWriteInput
		s.InputSource = TokensManual
	}
	if u := q.usage; u.Output > 0 {
		s.Usage.Output, s.Usage.ReasoningOutput = u.Output, u.ReasoningOutput
		s.OutputSource = TokensManual
	}
	if s.OutputSource == TokensUnknown && q.rec.cfg.CountEvents && s.TokenEvents > 0 {
		s.Usage.Output, s.OutputSource = int64(s.TokenEvents), TokensEvents
	}
}

// tpot is the decode time for each visible output token after the first. What is
// visible is what may be a token event: reasoning tokens are billed, but often
// never sent, or sent and no token events by Config.FirstToken.
func (q *Request) tpot(s *RequestStats, st *stream) (time.Duration, bool) {
	n := s.Usage.Output
	if st != nil && q.manual == nil && s.OutputSource != TokensEvents {
		if !st.reasoned || q.rec.cfg.FirstToken == FirstTokenContent {
			n -= s.Usage.ReasoningOutput
		}
	}
	if s.OutputSource == TokensUnknown || !s.Has(FieldDecode) || n < 2 {
		return 0, false
	}
	return s.Decode / time.Duration(n-1), true
}

// handles returns the sinks' handles of the series, asking for them once.
func (s *series) handles() []SeriesSink {
	s.once.Do(func() { s.sinks = s.open(s.labels) })
	return s.sinks
}

// gaps gives gaps to every sink.
func (s *series) gaps(r *Recorder, gaps []time.Duration) {
	if len(gaps) == 0 {
		return
	}
	for _, sink := range s.handles() {
		giveGaps(r, sink, gaps)
	}
}

func giveGaps(r *Recorder, sink SeriesSink, gaps []time.Duration) {
	defer r.recovered()
	sink.Gaps(gaps)
}
