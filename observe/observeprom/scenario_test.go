package observeprom

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
	"github.com/stretchr/testify/require"
)

// A stream that waits 50 ms, has its first token at 350 ms, four more 20 ms
// apart, and ends at 430 ms.
const stream = `
header 200 text/event-stream
write "data: {\"model\":\"m1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
300ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
20ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n"
20ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"}}]}\n\n"
20ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"d\"}}]}\n\n"
20ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"e\"}}]}\n\n"
write "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
write "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n"
write "data: [DONE]\n\n"
`

// A stream that reasons for 100 ms before it says something, and then panics.
const broken = `
header 200 text/event-stream
100ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n"
100ms write "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
panic "lost the GPU"
`

// play lets a Recorder serve a script; marks, if any, run before it.
func play(t testing.TB, r *observe.Recorder, script string, header http.Header, marks func(*observe.Request)) {
	t.Helper()
	h := r.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if marks != nil {
			marks(observe.FromContext(r.Context()))
		}
		require.NoError(t, observetest.Play(w, script))
	}))
	req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m1"}`))
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	defer func() { _ = recover() }()
	h.ServeHTTP(httptest.NewRecorder(), req)
}

// scenario is a few requests of every kind, at known times: run it in a bubble.
func scenario(t testing.TB, sinks ...observe.Sink) *observe.Recorder {
	t.Helper()
	r, err := observe.New(observe.Config{Sinks: sinks, SLO: observe.SLO{TTFT: 200 * time.Millisecond, TPOT: 50 * time.Millisecond}})
	require.NoError(t, err)
	queue := func(q *observe.Request) {
		q.Queued()
		time.Sleep(50 * time.Millisecond)
		q.Scheduled()
	}
	play(t, r, stream, nil, queue)
	play(t, r, broken, nil, nil)
	play(t, r, "header 429 application/json\n5ms write \"{}\"", nil, nil)
	e := r.Engine("m1")
	e.SetKVUsage(0.75)
	e.AddPreemptions(2)
	e.AddPrefixCache(7, 3)
	r.SetServed(observe.Served{Model: "m1", Version: "v3", Checkpoint: "sha256:4e1d", Commit: "f7fab42"})
	_, waiting := r.Start(context.Background(), observe.RequestInfo{Model: "m1", Operation: observe.OperationChat, Priority: "batch"})
	waiting.Queued()
	time.Sleep(time.Second)
	waiting.End(context.Canceled)
	_, open := r.Start(context.Background(), observe.RequestInfo{Model: "m1", Operation: observe.OperationChat})
	t.Cleanup(func() { open.End(nil) })
	return r
}

// everything gives every metric of the table a series.
func everything(t *testing.T, s *Serving) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { scenario(t, s) })
	r, err := observe.New(observe.Config{Sinks: []observe.Sink{s}, MeasureSelf: true})
	require.NoError(t, err)
	play(t, r, strings.Repeat("write \"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"a\\\"}}]}\\n\\n\"\n", 50),
		http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}, nil)
}
