package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOutcomeRules is each rule alone, in the order of precedence.
func TestOutcomeRules(t *testing.T) {
	for _, c := range []struct {
		name string
		e    ending
		want Outcome
	}{
		{"panic", ending{panicked: true}, OutcomePanic},
		{"hijacked", ending{hijacked: true}, OutcomeHijacked},
		{"stream error", ending{streamError: true, status: 200}, OutcomeStreamError},
		{"terminal", ending{terminal: true, status: 200}, OutcomeOK},
		{"cancelled and unfinished", ending{cancelled: true, unfinished: true}, OutcomeClientDisconnect},
		{"cancelled and finished", ending{cancelled: true, status: 200}, OutcomeOK},
		{"write failed", ending{writeFailed: true, status: 200}, OutcomeClientDisconnect},
		{"abort with cancelled context", ending{aborted: true, cancelled: true}, OutcomeClientDisconnect},
		{"abort", ending{aborted: true, status: 200}, OutcomeAborted},
		{"deadline and unfinished", ending{deadline: true, unfinished: true, status: 200}, OutcomeTimeout},
		{"deadline and 5xx", ending{deadline: true, status: 503}, OutcomeTimeout},
		{"deadline and 4xx", ending{deadline: true, status: 404}, OutcomeClientError},
		{"deadline and finished", ending{deadline: true, status: 200}, OutcomeOK},
		{"write deadline", ending{writeTimeout: true, status: 200}, OutcomeTimeout},
		{"write deadline cancels the context", ending{writeTimeout: true, cancelled: true, unfinished: true}, OutcomeTimeout},
		{"500", ending{status: 500}, OutcomeServerError},
		{"599", ending{status: 599}, OutcomeServerError},
		{"400", ending{status: 400}, OutcomeClientError},
		{"499", ending{status: 499}, OutcomeClientError},
		{"399", ending{status: 399}, OutcomeOK},
		{"nothing", ending{}, OutcomeOK},
	} {
		require.Equal(t, c.want, c.e.outcome(), c.name)
	}
}

// TestOutcomePrecedence: where two rules hold, the earlier one decides.
func TestOutcomePrecedence(t *testing.T) {
	rules := []struct {
		want Outcome
		set  func(*ending)
	}{
		{OutcomePanic, func(e *ending) { e.panicked = true }},
		{OutcomeHijacked, func(e *ending) { e.hijacked = true }},
		{OutcomeStreamError, func(e *ending) { e.streamError = true }},
		{OutcomeOK, func(e *ending) { e.terminal = true }},
		{OutcomeClientDisconnect, func(e *ending) { e.writeFailed = true }},
		{OutcomeAborted, func(e *ending) { e.aborted = true }},
		{OutcomeTimeout, func(e *ending) { e.deadline, e.unfinished = true, true }},
		{OutcomeServerError, func(e *ending) { e.status = 500 }},
		{OutcomeClientError, func(e *ending) { e.status = max(e.status, 404) }},
	}
	for i, first := range rules {
		for _, second := range rules[i:] {
			var e ending
			second.set(&e)
			first.set(&e)
			require.Equal(t, first.want, e.outcome(), "%v before %v", first.want, second.want)
		}
	}
}

func TestOutcomeWords(t *testing.T) {
	for o, w := range outcomeWords {
		require.Equal(t, w, Outcome(o).String())
	}
	require.Equal(t, "Outcome(99)", Outcome(99).String())
	for status, want := range map[int]string{0: "none", 99: "other", 100: "100", 200: "200", 599: "599", 600: "other", -1: "other"} {
		require.Equal(t, want, codeLabel(status))
	}
	require.Equal(t, "other", errorType(OutcomeServerError, 700))
	require.Equal(t, "_OTHER", errorType(OutcomeServerError, 0))
	require.Empty(t, errorType(OutcomeHijacked, 500))
}

// mwCancelled are contexts as a request may end with.
func mwCancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func mwExpired() context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	cancel()
	return ctx
}

// mwBroken fails each Write or Flush with its error.
type mwBroken struct {
	*nopWriter
	write, flush error
}

func (w mwBroken) Write(b []byte) (int, error) {
	if w.write != nil {
		return 0, w.write
	}
	return len(b), nil
}
func (w mwBroken) FlushError() error { return w.flush }

// TestOutcomeOfHandler is the rules end to end, where handler, context and
// writer decide.
func TestOutcomeOfHandler(t *testing.T) {
	answer := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			if status != 0 {
				w.WriteHeader(status)
			}
			if body != "" {
				mwSend(w, body)
			}
		}
	}
	then := func(h http.HandlerFunc, v any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { h(w, r); panic(v) }
	}
	const ct, sse = "Content-Type", "text/event-stream"
	bg, gone, late := context.Background, mwCancelled, mwExpired
	timeout := fmt.Errorf("write tcp: %w", os.ErrDeadlineExceeded)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		ctx     func() context.Context
		write   error
		flush   error
		want    Outcome
		error   string
		code    string
	}{
		{"no terminal event", answer(0, mwChunk, ct, sse), bg, nil, nil, OutcomeOK, "", "200"},
		{"left mid-stream", answer(0, mwChunk, ct, sse), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"left before the stream began", answer(200, "", ct, sse), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"left after the terminal event", answer(0, mwChunk+mwDone, ct, sse), gone, nil, nil, OutcomeOK, "", "200"},
		{"abort after the terminal event", then(answer(0, mwChunk+mwDone, ct, sse), http.ErrAbortHandler), gone, nil, nil, OutcomeOK, "", "200"},
		{"panic after the terminal event", then(answer(0, mwChunk+mwDone, ct, sse), "x"), bg, nil, nil, OutcomePanic, "panic", "200"},
		{"left with nothing sent", answer(0, ""), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "none"},
		{"left after a whole answer", answer(0, `{}`, ct, "application/json"), gone, nil, nil, OutcomeOK, "", "200"},
		{"left in a short answer", answer(0, `{`, ct, "application/json", "Content-Length", "2"), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"left, so the proxy says 502", answer(502, ""), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "none"},
		{"abort", then(answer(0, mwChunk, ct, sse), http.ErrAbortHandler), bg, nil, nil, OutcomeAborted, "aborted", "200"},
		{"left, so the proxy aborts", then(answer(0, mwChunk), http.ErrAbortHandler), gone, nil, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"wrapped abort is a panic", then(answer(0, ""), fmt.Errorf("x: %w", http.ErrAbortHandler)), bg, nil, nil, OutcomePanic, "panic", "none"},
		{"error event, then panic", then(answer(0, "event: error\ndata: {}\n\n", ct, sse), "x"), bg, nil, nil, OutcomePanic, "panic", "200"},
		{"error event, then left", answer(0, "event: error\ndata: {}\n\n", ct, sse), gone, nil, nil, OutcomeStreamError, "stream_error", "200"},
		{"error event, then terminal", answer(0, "event: error\ndata: {}\n\n"+mwDone, ct, sse), bg, nil, nil, OutcomeStreamError, "stream_error", "200"},
		{"deadline mid-stream", answer(0, mwChunk, ct, sse), late, nil, nil, OutcomeTimeout, "timeout", "200"},
		{"deadline with nothing sent", answer(0, ""), late, nil, nil, OutcomeTimeout, "timeout", "none"},
		{"deadline and 503", answer(503, ""), late, nil, nil, OutcomeTimeout, "timeout", "503"},
		{"deadline and 429", answer(429, ""), late, nil, nil, OutcomeClientError, "429", "429"},
		{"deadline after a whole answer", answer(0, `{}`), late, nil, nil, OutcomeOK, "", "200"},
		{"write failed", answer(0, mwChunk, ct, sse), bg, io.ErrClosedPipe, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"write failed, JSON", answer(200, "{}"), bg, io.ErrClosedPipe, nil, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"flush failed", answer(0, mwChunk, ct, sse), bg, nil, io.ErrClosedPipe, OutcomeClientDisconnect, "client_disconnect", "200"},
		{"write deadline", answer(0, mwChunk, ct, sse), bg, timeout, nil, OutcomeTimeout, "timeout", "200"},
		{"write deadline, context cancelled by it", answer(0, mwChunk, ct, sse), gone, timeout, io.ErrClosedPipe, OutcomeTimeout, "timeout", "none"},
		{"flush deadline", answer(200, mwChunk, ct, sse), bg, nil, timeout, OutcomeTimeout, "timeout", "200"},
		{"handler timeout", answer(200, mwChunk, ct, sse), bg, http.ErrHandlerTimeout, nil, OutcomeTimeout, "timeout", "200"},
		{"body not allowed", answer(204, "x"), bg, http.ErrBodyNotAllowed, nil, OutcomeOK, "", "204"},
		{"too long", answer(200, "x"), bg, http.ErrContentLength, nil, OutcomeOK, "", "200"},
		{"hijacked by an inner one", answer(200, "x"), bg, http.ErrHijacked, nil, OutcomeOK, "", "200"},
		{"cannot flush", answer(200, "x"), bg, nil, fmt.Errorf("mine: %w", http.ErrNotSupported), OutcomeOK, "", "200"},
		{"write failed and 500", answer(500, "x"), bg, io.ErrClosedPipe, nil, OutcomeClientDisconnect, "client_disconnect", "500"},
		{"500", answer(500, "x"), bg, nil, nil, OutcomeServerError, "500", "500"},
		{"404", answer(404, "x"), bg, nil, nil, OutcomeClientError, "404", "404"},
		{"700", answer(700, "x"), bg, nil, nil, OutcomeServerError, "other", "other"},
		{"304", answer(304, ""), bg, nil, nil, OutcomeOK, "", "304"},
		{"error event under 500", answer(500, "event: error\ndata: {}\n\n", ct, sse), bg, nil, nil, OutcomeServerError, "500", "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mwNew(t, Config{})
			r := httptest.NewRequest("GET", "/", nil).WithContext(c.ctx())
			func() {
				defer func() { recover() }()
				m.Middleware(c.handler).ServeHTTP(mwBroken{&nopWriter{http.Header{}}, c.write, c.flush}, r)
			}()
			s := m.next(t)
			require.Equal(t, c.want, s.Outcome)
			require.Equal(t, c.error, s.ErrorType)
			require.Equal(t, c.code, s.Code)
			m.idle(t)
		})
	}
}

// net/http cancels the request context when a write deadline passes: over a real
// connection that is a timeout all the same.
func TestOutcomeWriteDeadline(t *testing.T) {
	m := mwNew(t, Config{})
	srv, _ := mwServer(t, m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mwSSE(w)
		rc := http.NewResponseController(w)
		rc.SetWriteDeadline(time.Now().Add(-time.Second))
		io.WriteString(w, mwChunk)
		if err := rc.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
			panic(err)
		}
		<-r.Context().Done()
		io.WriteString(w, mwChunk)
		rc.Flush()
	})))
	mwGet(srv.URL)
	s := m.next(t)
	require.Equal(t, OutcomeTimeout, s.Outcome)
	require.Equal(t, "timeout", s.ErrorType)
}

// TestOutcomeOfEnd: the error of End decides, with and without a writer.
func TestOutcomeOfEnd(t *testing.T) {
	own := errors.New("cuda: out of memory")
	for _, c := range []struct {
		err   error
		want  Outcome
		error string
		http  Outcome // where a whole JSON answer was sent before
	}{
		{nil, OutcomeOK, "", OutcomeOK},
		{context.Canceled, OutcomeClientDisconnect, "client_disconnect", OutcomeClientDisconnect},
		{fmt.Errorf("generate: %w", context.Canceled), OutcomeClientDisconnect, "client_disconnect", OutcomeClientDisconnect},
		{context.DeadlineExceeded, OutcomeTimeout, "timeout", OutcomeTimeout},
		{own, OutcomeServerError, "_OTHER", OutcomeServerError},
		{errors.Join(own, context.DeadlineExceeded), OutcomeTimeout, "timeout", OutcomeTimeout},
	} {
		m := mwNew(t, Config{})
		_, q := m.Start(context.Background(), RequestInfo{})
		q.End(c.err)
		q.End(own)
		s := m.next(t)
		require.Equal(t, c.want, s.Outcome, c.err)
		require.Equal(t, c.error, s.ErrorType, c.err)
		require.Equal(t, c.err, s.Err)
		require.Equal(t, "none", s.Code)
		require.False(t, s.Has(FieldTTFB))

		require.Equal(t, c.err, m.Func(context.Background(), RequestInfo{}, func(context.Context, *Request) error { return c.err }))
		require.Equal(t, c.want, m.next(t).Outcome, c.err)

		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
			FromContext(r.Context()).End(c.err)
			io.WriteString(w, "not counted")
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		s = m.next(t)
		require.Equal(t, c.http, s.Outcome, c.err)
		require.Equal(t, c.error, s.ErrorType, c.err)
		require.EqualValues(t, 2, s.ResponseBytes)
		require.Empty(t, m.done)
	}
}

// Func tells apart how f ended, and lets a panic go on.
func TestOutcomeOfFunc(t *testing.T) {
	for _, c := range []struct {
		v    any
		want Outcome
	}{{"boom", OutcomePanic}, {io.EOF, OutcomePanic}, {http.ErrAbortHandler, OutcomeAborted}} {
		m := mwNew(t, Config{})
		func() {
			defer func() { require.Equal(t, c.v, recover()) }()
			m.Func(context.Background(), RequestInfo{}, func(context.Context, *Request) error { panic(c.v) })
		}()
		require.Equal(t, c.want, m.next(t).Outcome)
		m.idle(t)
	}
}

func TestSetErrorType(t *testing.T) {
	m := mwNew(t, Config{})
	end := func(word string, err error) RequestStats {
		_, q := m.Start(context.Background(), RequestInfo{})
		q.SetErrorType(word)
		q.End(err)
		return m.next(t)
	}
	require.Equal(t, "oom", end("oom", io.EOF).ErrorType)
	require.Equal(t, "oom", end("oom", context.DeadlineExceeded).ErrorType, "it overrides any word")
	require.Empty(t, end("oom", nil).ErrorType, "it makes no error")
	require.Equal(t, "_OTHER", end("bad\x00word", io.EOF).ErrorType)
	require.EqualValues(t, 1, m.Losses().LabelOverflow)
	for i := range 100 {
		want := fmt.Sprintf("e%d", i)
		if i >= 31 { // with oom: the first 32
			want = "_OTHER"
		}
		require.Equal(t, want, end(fmt.Sprintf("e%d", i), io.EOF).ErrorType)
	}
	require.EqualValues(t, 1+69, m.Losses().LabelOverflow)
}

// LogValue is one group with the durations in seconds and nothing that is absent.
func TestLogValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mwNew(t, Config{})
		_, q := m.Start(context.Background(), RequestInfo{Model: "m", Operation: OperationChat, Priority: "high"})
		q.Queued()
		time.Sleep(time.Second)
		q.Scheduled()
		time.Sleep(time.Second)
		q.Token(1)
		time.Sleep(time.Second)
		q.Token(1)
		q.SetUsage(Usage{Input: 3, Output: 2, CachedInput: 1, ReasoningOutput: 1})
		q.SetResponseModel("m-0714")
		q.SetFinishReason("end_turn")
		q.Preempted()
		q.End(io.EOF)
		s := m.next(t)
		got := s.LogValue().String()
		require.Equal(t, "[model=m operation=chat provider=custom response_model=m-0714 priority=high outcome=server_error error_type=_OTHER "+
			"error=EOF stream=true duration=3 ttft=2 queue=1 prefill=1 decode=1 gap_max=1 input_tokens=3 output_tokens=2 "+
			"cached_input_tokens=1 reasoning_output_tokens=1 preemptions=1 finish_reason=stop]", got)
		require.Equal(t, "[outcome=ok stream=false duration=0]", RequestStats{}.LogValue().String())
		require.False(t, strings.Contains(got, "ttfb"))
	})
}
