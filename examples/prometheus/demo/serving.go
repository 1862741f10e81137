package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/calmops/calm/observe"
)

// serve lets four clients ask something, one after the other.
func (w *World) serve(ctx context.Context, round int) {
	engine := w.serving.Engine(simulated)
	engine.SetKVUsage(.3 + .05*float64(round%10))
	engine.AddPrefixCache(100, 40)
	engine.SetRunning(2)
	engine.SetWaiting(round % 3)
	if round%20 == 0 {
		engine.AddPreemptions(1)
	}
	handler := w.serving.Middleware(http.HandlerFunc(chat))
	for client := range 4 {
		model := simulated
		if (round+client)%40 == 0 {
			model = "unheard of"
		}
		body := fmt.Sprintf(`{"model":%q,"stream":true,"n":%d}`, model, round+client)
		asks, leave := context.WithCancel(ctx)
		r, err := http.NewRequestWithContext(asks, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		if err == nil {
			r.Header.Set("X-Round", fmt.Sprint(round+client))
			handler.ServeHTTP(&nobody{header: http.Header{}, leave: leave, stay: (round+client)%15 != 0}, r)
		}
		leave()
	}
}

// chat streams an answer; some fail.
func chat(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	var n int
	_, _ = fmt.Sscan(r.Header.Get("X-Round"), &n)
	req := observe.FromContext(r.Context())
	req.Queued()
	time.Sleep(time.Duration(1+n%4) * time.Millisecond)
	if n%50 == 0 {
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
		return
	}
	req.Scheduled()
	time.Sleep(time.Duration(5+n%20) * time.Millisecond)
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 6 {
		key := "content"
		if n%5 == 0 && i < 2 {
			key = "reasoning_content"
		}
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{%q:\"t\"}}]}\n\n", key)
		if r.Context().Err() != nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	if n%30 == 7 {
		io.WriteString(w, "data: {\"error\":{\"message\":\"lost a worker\"}}\n\n")
		return
	}
	thought := 0
	if n%5 == 0 {
		thought = 2
	}
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":6,"+
		"\"prompt_tokens_details\":{\"cached_tokens\":40},\"completion_tokens_details\":{\"reasoning_tokens\":%d}}}\n\n", thought)
	io.WriteString(w, "data: [DONE]\n\n")
}

// nobody reads answers, and may leave early.
type nobody struct {
	header http.Header
	writes int
	stay   bool
	leave  func()
}

func (w *nobody) Header() http.Header { return w.header }
func (w *nobody) WriteHeader(int)     {}
func (w *nobody) Flush()              {}
func (w *nobody) Write(b []byte) (int, error) {
	if w.writes++; w.writes > 3 && !w.stay {
		w.leave()
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}
