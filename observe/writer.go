package observe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// responseWriter measures what a handler writes. net/http writers belong to one
// goroutine, so there is no lock; the gate keeps a Write that comes during or
// after the end from touching what the end reads or has given back.
type responseWriter struct {
	inner   http.ResponseWriter
	req     *Request
	request *http.Request // as the handler got it: its pattern is set by routing
	gate    atomic.Uint32

	status       int
	bytes        int64
	kind         bodyKind
	isStream     bool // SSE or NDJSON by its type, also where it cannot be parsed
	hijacked     bool
	writeFailed  bool
	writeTimeout bool
	unseen       bool // the status is an error, sent when the client had left
	hasTTFB      bool
	hasEvent     bool
	learned      bool
	begun        bool // status and first byte are known; not touched by the end
	ttfb         time.Duration
	firstEvent   time.Duration
	lastWrite    time.Duration // of a Write that left an event unfinished
	overhead     time.Duration
	stream       *stream // nil: not parsed
}

const (
	gateOpen uint32 = iota
	gateBusy
	gateClosed
)

func (w *responseWriter) init(inner http.ResponseWriter, q *Request) { w.inner, w.req = inner, q }

// enter reports whether this call may be accounted for; leave ends that.
func (w *responseWriter) enter() bool { return w.gate.CompareAndSwap(gateOpen, gateBusy) }
func (w *responseWriter) leave()      { w.gate.Store(gateOpen) }

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header { return w.inner.Header() }

// Unwrap lets http.ResponseController reach what the inner writer has.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.inner }

// WriteHeader implements http.ResponseWriter. The first final status counts. An
// error that is sent because the client left (a proxy's 502, a handler's 499)
// was seen by nobody: it is no status of this request.
func (w *responseWriter) WriteHeader(code int) {
	w.inner.WriteHeader(code)
	if (code >= 200 || code == http.StatusSwitchingProtocols) && w.enter() {
		if w.status == 0 {
			w.status = code
			w.unseen = code >= 400 && w.req.ctx.Err() == context.Canceled
		}
		w.leave()
	}
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.decide(b)
	n, err := w.inner.Write(b)
	w.wrote(b[:min(max(n, 0), len(b))], err)
	return n, err
}

// WriteString implements io.StringWriter, so that io.WriteString does not copy.
func (w *responseWriter) WriteString(s string) (int, error) {
	b := unsafe.Slice(unsafe.StringData(s), len(s)) // only read
	w.decide(b)
	n, err := io.WriteString(w.inner, s)
	w.wrote(b[:min(max(n, 0), len(b))], err)
	return n, err
}

// decide settles at the first Write, ReadFrom or Flush how the body is read.
// begin is what the body begins with, if that is known.
func (w *responseWriter) decide(begin []byte) {
	if w.kind != bodyUnknown || !w.enter() {
		return
	}
	defer w.leave()
	h := w.inner.Header()
	ct := h["Content-Type"]
	switch {
	case len(ct) > 0:
		w.kind = contentKind(ct[0])
	case len(begin) == 0: // a Flush, or an empty Write: the body may still show what it is
		return
	default:
		w.kind = bodySniff
	}
	w.isStream = w.kind == bodySSE || w.kind == bodyNDJSON
	if w.status != 0 && (w.status < 200 || w.status > 299) || encoded(h) {
		w.kind = bodyOpaque
	}
	if p := w.req.dialect(); w.kind != bodyOpaque && p != ProtocolNone {
		w.stream = newStream(w.kind, p, w.req.rec.cfg.FirstToken)
	}
}

// wrote accounts for the bytes that the inner writer took. The gate opens again
// even if a sink ends this goroutine (runtime.Goexit): the end waits for it.
func (w *responseWriter) wrote(b []byte, err error) {
	if !w.enter() {
		return
	}
	defer w.leave()
	if err != nil {
		w.failed(err)
	}
	if w.status == 0 && (err == nil || len(b) > 0) {
		w.status = http.StatusOK
	}
	if len(b) > 0 {
		w.accept(b)
		w.begun = w.status != 0
	}
}

// accept reads accepted bytes. The clock is read once, and only if they begin
// the body, carry an event worth a time, or leave one unfinished.
func (w *responseWriter) accept(b []byte) {
	q := w.req
	w.bytes += int64(len(b))
	var now time.Duration
	read := false
	if !w.hasTTFB || q.rec.cfg.MeasureSelf {
		now, read = q.since(), true
	}
	if !w.hasTTFB {
		w.ttfb, w.hasTTFB = now, true
	}
	s := w.stream
	if s == nil {
		return
	}
	s.write(b)
	w.isStream = w.isStream || s.kind == bodySSE // a sniffed one
	if s.tokens > 0 || s.events > 0 && !w.hasEvent || s.pending() {
		if !read {
			now = q.since()
		}
		w.completed(now)
		if s.pending() {
			w.lastWrite = now
		}
	}
	if q.rec.cfg.MeasureSelf {
		w.overhead += q.since() - now
	}
}

// completed records what a Write completed, at its time.
func (w *responseWriter) completed(now time.Duration) {
	s, q := w.stream, w.req
	if s.events > 0 && !w.hasEvent {
		w.firstEvent, w.hasEvent = now, true
	}
	if !w.learned && (s.model.n > 0 || s.protocol != ProtocolAuto) {
		w.learned = true
		q.learn(s.model.bytes(), s.protocol)
	}
	if s.tokens == 0 || q.useManual.Load() {
		return
	}
	if !s.clock.hasFirst {
		q.hasToken.Store(true)
	}
	s.clock.batch(s.tokens, now, s.content)
	for s.clock.gather(&s.gaps) {
		s.clock.pending = 0
		q.merge(s.gaps[:])
	}
}

// failed notes why the first Write or Flush failed, unless the handler was at
// fault or the writer cannot flush. Later failures only follow from the first.
func (w *responseWriter) failed(err error) {
	switch {
	case w.writeFailed, w.writeTimeout:
	case errors.Is(err, http.ErrBodyNotAllowed), errors.Is(err, http.ErrContentLength),
		errors.Is(err, http.ErrHijacked), errors.Is(err, errors.ErrUnsupported):
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, http.ErrHandlerTimeout):
		w.writeTimeout = true
	default:
		w.writeFailed = true
	}
}

// flush implements http.Flusher, and the FlushError that ResponseController
// looks for first: without it a Flush through the controller would go past us.
func (w *responseWriter) flush() error {
	w.decide(nil)
	var err error
	if f, ok := w.inner.(interface{ FlushError() error }); ok {
		err = f.FlushError()
	} else {
		w.inner.(http.Flusher).Flush()
	}
	if err == nil && w.begun {
		return nil
	}
	if w.enter() {
		if err != nil {
			w.failed(err)
		}
		if w.status == 0 && err == nil {
			w.status = http.StatusOK
		}
		if !w.hasTTFB {
			w.ttfb, w.hasTTFB = w.req.since(), true
		}
		w.begun = w.status != 0
		w.leave()
	}
	return err
}

// returned notes that the handler returned: if it sent nothing, net/http now
// sends 200, unless nobody is there to get it.
func (w *responseWriter) returned() {
	w.decide(nil) // a stream that was announced and never begun is one
	if w.enter() {
		if w.status == 0 && !w.hijacked && w.req.ctx.Err() == nil {
			w.status = http.StatusOK
		}
		w.leave()
	}
}

// close lets no more through, after a Write in progress has been accounted for.
func (w *responseWriter) close() {
	for !w.gate.CompareAndSwap(gateOpen, gateClosed) {
		if w.gate.Load() == gateClosed {
			return
		}
		runtime.Gosched()
	}
}

// end reads what the end of the body completes.
func (w *responseWriter) end() {
	s := w.stream
	if s == nil {
		return
	}
	s.end()
	if s.tokens > 0 || s.events > 0 {
		w.completed(w.lastWrite)
	}
	w.req.adopt(s.model.bytes(), s.protocol) // before the last gaps fix the series
	if s.clock.pending > 0 && !w.req.useManual.Load() {
		w.req.merge(s.gaps[:s.clock.pending])
		s.clock.pending = 0
	}
	if s.kind == bodySniff || s.kind == bodyOpaque {
		w.stream = nil // it never showed what it is
		s.free()
	}
}

// release gives the scratch back.
func (w *responseWriter) release() {
	if w.stream != nil {
		w.stream.free()
		w.stream = nil
	}
}

// ending notes what the response says about the outcome. mayRead: this is the
// handler's goroutine, which alone may read the response header.
func (w *responseWriter) ending(e *ending, mayRead bool) {
	e.hijacked, e.writeFailed, e.writeTimeout = w.hijacked, w.writeFailed, w.writeTimeout
	if w.status >= e.status {
		e.status = w.status
	}
	s := w.stream
	if s != nil {
		e.streamError, e.terminal = s.streamError, s.terminal
	}
	switch {
	case e.unfinished: // End said so
	case w.status == 0 && w.bytes == 0, w.unseen:
		e.unfinished = true
	case w.isStream:
		e.unfinished = !e.terminal
	case mayRead && (e.cancelled || e.deadline):
		e.unfinished = w.short()
	}
}

// short reports whether the body is shorter than its header announced.
func (w *responseWriter) short() bool {
	v := w.inner.Header()["Content-Length"]
	if len(v) != 1 || w.request.Method == http.MethodHead {
		return false
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	return err == nil && w.bytes < n
}

// fillStats notes what the response says about the request.
func (w *responseWriter) fillStats(s *RequestStats, now time.Duration) {
	s.Stream, s.StatusCode, s.ResponseBytes, s.Overhead = w.isStream, w.status, w.bytes, w.overhead
	if w.unseen {
		s.StatusCode = 0
	}
	if s.TTFB = w.ttfb; !w.hasTTFB {
		s.TTFB = now
	}
	s.Valid |= FieldTTFB
	if w.hasEvent {
		s.FirstEvent = w.firstEvent
		s.Valid |= FieldFirstEvent
	}
	r := w.request
	s.Route = r.Pattern
	if i := strings.IndexAny(s.Route, " \t"); i >= 0 { // the method
		s.Route = strings.TrimLeft(s.Route[i:], " \t")
	}
	s.TraceID, s.SpanID = traceparent(r.Header)
}
