package observe

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// The wrappers. Each has what the inner writer has and no more, as far as it is
// one of these sets: HTTP/1, HTTP/2, most wrappers of other middleware, and
// recorders. Any other set takes the largest one it contains; the rest stays
// reachable through Unwrap. Each is one pointer wide: an interface holds it
// without an allocation.
type (
	flushWriter  struct{ *responseWriter }
	hijackWriter struct{ flushWriter }
	http1Writer  struct{ hijackWriter }
	http2Writer  struct{ flushWriter }
)

// Flush implements http.Flusher.
func (w flushWriter) Flush() { _ = w.flush() }

// FlushError is what http.ResponseController calls.
func (w flushWriter) FlushError() error { return w.flush() }

// Hijack implements http.Hijacker.
func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

// ReadFrom implements io.ReaderFrom.
func (w http1Writer) ReadFrom(src io.Reader) (int64, error) { return w.readFrom(src) }

// Push implements http.Pusher.
func (w http2Writer) Push(target string, opts *http.PushOptions) error {
	return w.inner.(http.Pusher).Push(target, opts)
}

func (w *responseWriter) hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := w.inner.(http.Hijacker).Hijack()
	if err == nil && w.enter() {
		w.hijacked = true
		w.leave()
	}
	return c, rw, err
}

// wrap returns w as the type that fits the inner writer.
func (w *responseWriter) wrap() http.ResponseWriter {
	if _, ok := w.inner.(http.Flusher); !ok {
		return w
	}
	f := flushWriter{w}
	if _, ok := w.inner.(http.Hijacker); ok {
		h := hijackWriter{f}
		if _, ok := w.inner.(io.ReaderFrom); ok {
			return http1Writer{h}
		}
		return h
	}
	if _, ok := w.inner.(http.Pusher); ok {
		return http2Writer{f}
	}
	return f
}
