package observetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"time"

	"bufio"

	"github.com/calmops/calm/observe"
)

// ending is one way to end a request.
type ending struct {
	name string
	want observe.Outcome
	run  func(*scene, *observe.Recorder)
}

// endings are ways to end a request that cover every outcome, through the
// middleware and without it.
func endings() []ending {
	return append(servedEndings(), startedEndings()...)
}

// played is an ending that a script brings about.
func played(name string, want observe.Outcome, script ...string) ending {
	return ending{name, want, func(s *scene, r *observe.Recorder) { s.serve(r, call{script: script}) }}
}

// left is one where the client leaves after a script.
func left(name string, want observe.Outcome, script ...string) ending {
	return ending{name, want, func(s *scene, r *observe.Recorder) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s.serve(r, call{ctx: ctx, handler: func(w http.ResponseWriter, _ *http.Request) {
			s.play(w, script...)
			cancel()
			time.Sleep(time.Millisecond)
		}})
	}}
}

func servedEndings() []ending {
	return []ending{
		played("ok/json", observe.OutcomeOK, jsonHeader, `3ms write "{}"`),
		played("ok/stream", observe.OutcomeOK, sseHeader, rolePrelude, "30ms "+token, "20ms "+token, "20ms "+token, finish, usage, done),
		played("ok/cut", observe.OutcomeOK, sseHeader, "30ms "+token, "20ms "+token),
		played("ok/created", observe.OutcomeOK, "1ms header 201"),
		played("ok/silent", observe.OutcomeOK),
		left("ok/left-after-the-end", observe.OutcomeOK, sseHeader, "5ms "+token, "5ms "+token, done),
		played("client-error/429", observe.OutcomeClientError, "header 429 application/json", `2ms write "{}"`),
		played("client-error/404", observe.OutcomeClientError, "header 404"),
		played("server-error/500", observe.OutcomeServerError, "2ms header 500"),
		played("server-error/503", observe.OutcomeServerError, "header 503 text/plain", `write "busy"`),
		played("server-error/999", observe.OutcomeServerError, "header 999"),
		left("client-disconnect/early", observe.OutcomeClientDisconnect),
		left("client-disconnect/stream", observe.OutcomeClientDisconnect, sseHeader, "30ms "+token, "20ms "+token, "20ms "+token),
		{"client-disconnect/write", observe.OutcomeClientDisconnect, func(s *scene, r *observe.Recorder) {
			s.serve(r, call{writer: &cutWriter{ResponseWriter: httptest.NewRecorder(), left: 2},
				script: []string{sseHeader, "4ms " + token, "4ms " + token, "4ms " + token, done}})
		}},
		{"timeout/deadline", observe.OutcomeTimeout, func(s *scene, r *observe.Recorder) {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			s.serve(r, call{ctx: ctx, script: []string{sseHeader, "20ms " + token, "20ms " + token, "20ms flush"}})
		}},
		played("aborted/early", observe.OutcomeAborted, "2ms abort"),
		played("aborted/stream", observe.OutcomeAborted, sseHeader, "6ms "+token, "6ms "+token, "abort"),
		{"aborted/goexit", observe.OutcomeAborted, func(s *scene, r *observe.Recorder) {
			s.serve(r, call{handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }})
		}},
		played("panic/early", observe.OutcomePanic, `panic "boom"`),
		played("panic/stream", observe.OutcomePanic, sseHeader, "6ms "+token, "6ms "+token, `panic "boom"`),
		played("stream-error", observe.OutcomeStreamError, sseHeader, "6ms "+token, data(`{"error":{"type":"overloaded"}}`)),
		{"hijacked", observe.OutcomeHijacked, func(s *scene, r *observe.Recorder) {
			s.serve(r, call{writer: hijackable{httptest.NewRecorder()}, handler: func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(2 * time.Millisecond)
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					s.faultf("hijack: %v", err)
					return
				}
				conn.Close()
			}})
		}},
	}
}

// ended is an ending by Request.End, after some tokens.
func ended(name string, want observe.Outcome, err error, set ...func(*observe.Request)) ending {
	return ending{name, want, func(s *scene, r *observe.Recorder) {
		q := s.start(r, observe.RequestInfo{Model: "m", Operation: observe.OperationChat})
		time.Sleep(3 * time.Millisecond)
		q.Token(1)
		time.Sleep(4 * time.Millisecond)
		q.Token(2)
		q.SetUsage(observe.Usage{Input: 5, Output: 3})
		for _, f := range set {
			f(q)
		}
		q.End(err)
	}}
}

func startedEndings() []ending {
	failed := errors.New("out of memory")
	return []ending{
		ended("end/nil", observe.OutcomeOK, nil),
		ended("end/error-type-of-ok", observe.OutcomeOK, nil, func(q *observe.Request) { q.SetErrorType("unused") }),
		ended("end/canceled", observe.OutcomeClientDisconnect, context.Canceled),
		ended("end/deadline", observe.OutcomeTimeout, context.DeadlineExceeded),
		ended("end/error", observe.OutcomeServerError, failed),
		ended("end/error-type", observe.OutcomeServerError, failed, func(q *observe.Request) { q.SetErrorType("out_of_memory") }),
		ended("status/ok", observe.OutcomeOK, nil, func(q *observe.Request) { q.EndStatus(observe.OutcomeOK, "OK", nil) }),
		ended("status/not-found", observe.OutcomeClientError, nil, func(q *observe.Request) { q.EndStatus(observe.OutcomeClientError, "NotFound", failed) }),
		ended("status/internal", observe.OutcomeServerError, nil, func(q *observe.Request) { q.EndStatus(observe.OutcomeServerError, "Internal", failed) }),
		{"func/error", observe.OutcomeServerError, func(s *scene, r *observe.Recorder) {
			s.begin(1)
			if err := r.Func(context.Background(), observe.RequestInfo{Model: "m"}, func(context.Context, *observe.Request) error {
				return failed
			}); !errors.Is(err, failed) {
				s.faultf("Func returned %v, want %v", err, failed)
			}
		}},
		{"func/panic", observe.OutcomePanic, func(s *scene, r *observe.Recorder) {
			s.begin(1)
			defer func() {
				if v := recover(); v != boom {
					s.faultf("Func panicked with %v, want %v", v, boom)
				}
			}()
			_ = r.Func(context.Background(), observe.RequestInfo{Model: "m"}, func(_ context.Context, q *observe.Request) error {
				q.Token(1)
				panic(boom)
			})
		}},
	}
}

// cutWriter is a connection that breaks after some writes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(b []byte) (int, error) {
	if w.left == 0 {
		return 0, syscall.EPIPE
	}
	w.left--
	return w.ResponseWriter.Write(b)
}

// hijackable is a writer whose connection can be taken over.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	ours, theirs := net.Pipe()
	theirs.Close()
	return ours, bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours)), nil
}
