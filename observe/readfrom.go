package observe

import (
	"io"
	"net/http"
	"sync"
)

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// onlyWriter hides ReadFrom from io.CopyBuffer.
type onlyWriter struct{ io.Writer }

// sniffBytes are copied through Write when there is no Content-Type: net/http
// looks at as many before it uses sendfile.
const sniffBytes = 512

// parsing reports whether what follows of the body is to be read.
func (w *responseWriter) parsing() bool {
	if !w.enter() {
		return false
	}
	defer w.leave()
	return w.stream != nil && w.stream.kind != bodyOpaque
}

// readFrom implements io.ReaderFrom for the types that have it. A body that we
// parse goes through Write; any other keeps the inner writer's sendfile.
func (w *responseWriter) readFrom(src io.Reader) (int64, error) {
	w.decide(nil)
	var begun int64
	if w.kind == bodyUnknown {
		var err error
		if begun, err = io.CopyN(onlyWriter{w}, src, sniffBytes); err != nil {
			if err == io.EOF {
				err = nil
			}
			return begun, err
		}
	}
	if w.parsing() {
		buf := copyBuffers.Get().(*[32 << 10]byte)
		defer copyBuffers.Put(buf)
		n, err := io.CopyBuffer(onlyWriter{w}, src, buf[:])
		return begun + n, err
	}
	if w.enter() {
		if !w.hasTTFB {
			w.ttfb, w.hasTTFB = w.req.since(), true
		}
		w.leave()
	}
	n, err := w.inner.(io.ReaderFrom).ReadFrom(src)
	if w.enter() {
		w.bytes += max(n, 0)
		if w.status == 0 && (err == nil || n > 0) {
			w.status = http.StatusOK
		}
		// The error may be the source's. What tells is whether the client is
		// still there, and the context says so at the end.
		if err != nil && w.req.ctx.Err() != nil {
			w.failed(err)
		}
		w.leave()
	}
	return begun + n, err
}
