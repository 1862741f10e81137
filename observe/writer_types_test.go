package observe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// mwBare can do nothing but write; the mw parts below are added to it.
type (
	mwBare   struct{ h http.Header }
	mwFlush  struct{}
	mwHijack struct{}
	mwReader struct{}
	mwPush   struct{}
	mwFlushE struct{}
)

func (w mwBare) Header() http.Header                          { return w.h }
func (mwBare) Write(b []byte) (int, error)                    { return len(b), nil }
func (mwBare) WriteHeader(int)                                {}
func (mwFlush) Flush()                                        {}
func (mwHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, io.EOF }
func (mwReader) ReadFrom(r io.Reader) (int64, error)          { return io.Copy(io.Discard, r) }
func (mwPush) Push(string, *http.PushOptions) error           { return io.EOF }
func (mwFlushE) FlushError() error                            { return io.ErrClosedPipe }
func mwHas[T any](w http.ResponseWriter) bool                 { _, ok := w.(T); return ok }

// mwWrap shows f the writer that a handler gets where the server's is inner.
func mwWrap(inner http.ResponseWriter, f func(http.ResponseWriter)) {
	rec, _ := New(Config{})
	h := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { f(w) }))
	h.ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
}

// mwInner are all 32 sets of what an inner writer may have.
func mwInner() []http.ResponseWriter {
	b := mwBare{http.Header{}}
	type (
		f = mwFlush
		h = mwHijack
		r = mwReader
		p = mwPush
		e = mwFlushE
	)
	return []http.ResponseWriter{b,
		struct {
			mwBare
			f
		}{mwBare: b}, struct {
			mwBare
			h
		}{mwBare: b}, struct {
			mwBare
			f
			h
		}{mwBare: b},
		struct {
			mwBare
			r
		}{mwBare: b}, struct {
			mwBare
			f
			r
		}{mwBare: b}, struct {
			mwBare
			h
			r
		}{mwBare: b}, struct {
			mwBare
			f
			h
			r
		}{mwBare: b},
		struct {
			mwBare
			p
		}{mwBare: b}, struct {
			mwBare
			f
			p
		}{mwBare: b}, struct {
			mwBare
			h
			p
		}{mwBare: b}, struct {
			mwBare
			f
			h
			p
		}{mwBare: b},
		struct {
			mwBare
			r
			p
		}{mwBare: b}, struct {
			mwBare
			f
			r
			p
		}{mwBare: b}, struct {
			mwBare
			h
			r
			p
		}{mwBare: b}, struct {
			mwBare
			f
			h
			r
			p
		}{mwBare: b},
		struct {
			mwBare
			e
		}{mwBare: b}, struct {
			mwBare
			f
			e
		}{mwBare: b}, struct {
			mwBare
			h
			e
		}{mwBare: b}, struct {
			mwBare
			f
			h
			e
		}{mwBare: b},
		struct {
			mwBare
			r
			e
		}{mwBare: b}, struct {
			mwBare
			f
			r
			e
		}{mwBare: b}, struct {
			mwBare
			h
			r
			e
		}{mwBare: b}, struct {
			mwBare
			f
			h
			r
			e
		}{mwBare: b},
		struct {
			mwBare
			p
			e
		}{mwBare: b}, struct {
			mwBare
			f
			p
			e
		}{mwBare: b}, struct {
			mwBare
			h
			p
			e
		}{mwBare: b}, struct {
			mwBare
			f
			h
			p
			e
		}{mwBare: b},
		struct {
			mwBare
			r
			p
			e
		}{mwBare: b}, struct {
			mwBare
			f
			r
			p
			e
		}{mwBare: b}, struct {
			mwBare
			h
			r
			p
			e
		}{mwBare: b}, struct {
			mwBare
			f
			h
			r
			p
			e
		}{mwBare: b},
	}
}

func TestWriterTypes(t *testing.T) {
	for i, inner := range mwInner() {
		f, h, r, p := i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0
		mwWrap(inner, func(w http.ResponseWriter) {
			name := fmt.Sprintf("%05b", i)
			require.Equal(t, f, mwHas[http.Flusher](w), name)
			require.Equal(t, f, mwHas[interface{ FlushError() error }](w), name)
			require.Equal(t, f && h, mwHas[http.Hijacker](w), name)
			require.Equal(t, f && h && r, mwHas[io.ReaderFrom](w), name)
			require.Equal(t, f && p && !h, mwHas[http.Pusher](w), name)
			require.True(t, mwHas[io.StringWriter](w), name)
			require.Equal(t, inner, w.(interface{ Unwrap() http.ResponseWriter }).Unwrap(), name)

			rc := http.NewResponseController(w) // what is not advertised is reached by Unwrap
			switch err := rc.Flush(); {
			case i&16 != 0:
				require.ErrorIs(t, err, io.ErrClosedPipe, name)
			case f:
				require.NoError(t, err, name)
			default:
				require.ErrorIs(t, err, http.ErrNotSupported, name)
			}
			_, _, err := rc.Hijack()
			if h {
				require.ErrorIs(t, err, io.EOF, name)
			} else {
				require.ErrorIs(t, err, http.ErrNotSupported, name)
			}
			if pusher, ok := w.(http.Pusher); ok {
				require.ErrorIs(t, pusher.Push("/", nil), io.EOF)
			}
		})
	}
	w := &responseWriter{inner: mwInner()[7]}
	var kept http.ResponseWriter
	require.Zero(t, testing.AllocsPerRun(100, func() { kept = w.wrap() }), "a wrapper is one pointer wide")
	require.NotNil(t, kept)
}
