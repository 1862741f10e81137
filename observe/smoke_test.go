package observe

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

type nopWriter struct{ h http.Header }

func (w *nopWriter) Header() http.Header         { return w.h }
func (w *nopWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nopWriter) WriteHeader(int)             {}
func (w *nopWriter) Flush()                      {}

func TestSmokeChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got RequestStats
		rec, err := New(Config{OnRequest: func(r RequestStats) { got = r }})
		require.NoError(t, err)
		h := rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			w.Write([]byte(`data: {"model":"m1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"))
			time.Sleep(300 * time.Millisecond)
			for range 5 {
				w.Write([]byte(`data: {"model":"m1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}` + "\n\n"))
				time.Sleep(20 * time.Millisecond)
			}
			w.Write([]byte(`data: {"model":"m1","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}` + "\n\n"))
			w.Write([]byte(`data: {"model":"m1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}}` + "\n\ndata: [DONE]\n\n"))
		}))
		req := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"stream":true,"model":"m1"}`))
		req.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), req)
		t.Logf("%+v", got)
		require.Equal(t, 300*time.Millisecond, got.TTFT)
		require.Equal(t, 4, got.Gaps)
		require.Equal(t, 80*time.Millisecond, got.GapSum)
		require.Equal(t, Usage{Input: 7, Output: 5, CachedInput: 3}, got.Usage)
		require.Equal(t, "length", got.FinishReason)
		require.True(t, got.Complete)
		require.Equal(t, "m1", got.Model)
		require.Equal(t, 20*time.Millisecond, got.TPOT)
	})
}

func chatHandler(n int) http.Handler {
	chunk := []byte(`data: {"id":"chatcmpl-9f8s7d6f5s","object":"chat.completion.chunk","created":1700000000,"model":"m1","choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}` + "\n\n")
	usage := []byte(`data: {"id":"chatcmpl-9f8s7d6f5s","object":"chat.completion.chunk","created":1700000000,"model":"m1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":256,"total_tokens":263}}` + "\n\n")
	done := []byte("data: [DONE]\n\n")
	ct := []string{"text/event-stream"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = ct
		f := w.(http.Flusher)
		for range n {
			w.Write(chunk)
			f.Flush()
		}
		w.Write(usage)
		w.Write(done)
	})
}

func BenchmarkSSE(b *testing.B) {
	rec, _ := New(Config{})
	for name, h := range map[string]http.Handler{"bare": chatHandler(256), "observe": rec.Middleware(chatHandler(256))} {
		b.Run(name, func(b *testing.B) {
			w := &nopWriter{h: http.Header{}}
			req := httptest.NewRequest("POST", "/v1/chat/completions", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, req)
			}
		})
	}
	b.Run("since", func(b *testing.B) {
		s := time.Now()
		for b.Loop() {
			_ = time.Since(s)
		}
	})
	j := []byte(`{"id":"chatcmpl-9f8s7d6f5s","object":"chat.completion","created":1700000000,"model":"m1","choices":[{"index":0,"message":{"role":"assistant","content":" hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":256,"total_tokens":263}}`)
	ct := []string{"application/json"}
	hj := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = ct; w.Write(j) })
	for name, h := range map[string]http.Handler{"bare": hj, "observe": rec.Middleware(hj)} {
		b.Run("json-"+name, func(b *testing.B) {
			w := &nopWriter{h: http.Header{}}
			req := httptest.NewRequest("POST", "/v1/chat/completions", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, req)
			}
		})
	}
}
