package observe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mwWays are how a request of the soak may go. The client says which, and how
// many tokens; each way has one outcome.
var mwWays = []struct {
	name    string
	outcome Outcome
	serve   func(w http.ResponseWriter, r *http.Request, n int)
}{
	{"ok", OutcomeOK, func(w http.ResponseWriter, _ *http.Request, n int) {
		mwSSE(w)
		for range n {
			mwSend(w, mwChunk)
		}
		mwSend(w, fmt.Sprintf(`data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n\n", 2*n, n), mwDone)
	}},
	{"torn", OutcomeOK, func(w http.ResponseWriter, _ *http.Request, n int) { // events cut anywhere
		mwSSE(w)
		for all := strings.Repeat(mwChunk, n) + mwDone; all != ""; {
			k := min(len(all), 1+rand.IntN(200))
			mwSend(w, all[:k])
			all = all[k:]
		}
	}},
	{"panic", OutcomePanic, func(w http.ResponseWriter, _ *http.Request, n int) { mwSSE(w); mwSend(w, mwChunk); panic("soak") }},
	{"abort", OutcomeAborted, func(w http.ResponseWriter, _ *http.Request, n int) {
		mwSSE(w)
		mwSend(w, mwChunk)
		panic(http.ErrAbortHandler)
	}},
	{"cancel", OutcomeClientDisconnect, func(w http.ResponseWriter, r *http.Request, n int) {
		mwSSE(w)
		mwSend(w, mwChunk)
		<-r.Context().Done()
	}},
	{"hijack", OutcomeHijacked, func(w http.ResponseWriter, r *http.Request, n int) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	}},
	{"error", OutcomeServerError, func(w http.ResponseWriter, _ *http.Request, n int) {
		http.Error(w, "no", http.StatusServiceUnavailable)
	}},
	{"engine", OutcomeOK, func(w http.ResponseWriter, r *http.Request, n int) { // an engine calls, this goroutine writes
		q := FromContext(r.Context())
		q.Queued()
		tokens := make(chan int)
		go func() {
			defer close(tokens)
			q.Scheduled()
			for i := range n {
				q.Token(1)
				tokens <- i
			}
			q.SetUsage(Usage{Input: int64(2 * n), Output: int64(n)})
		}()
		mwSSE(w)
		for range tokens {
			mwSend(w, mwChunk)
		}
		mwSend(w, mwDone)
	}},
}

// TestSoak ends thousands of requests in every way at once: each ends once, with
// the outcome it had, and nothing is left behind.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("5 s of load: not with -short")
	}
	before := runtime.NumGoroutine()
	sink := &mwCount{}
	var finished [16]atomic.Int64 // by outcome
	var wrong atomic.Pointer[RequestStats]
	rec, err := New(Config{Sinks: []Sink{sink}, OnRequest: func(s RequestStats) {
		finished[s.Outcome].Add(1)
		var n int
		var way string
		fmt.Sscanf(s.Route, "/%s", &way)
		fmt.Sscanf(s.RequestModel, "m%d", &n)
		torn := way == "torn/" // its first Write may complete several events
		if s.Outcome == OutcomeOK && (s.TokenEvents != n || s.Gaps != n-1 && !torn || !s.Complete ||
			!torn && s.Usage != (Usage{Input: int64(2 * n), Output: int64(n)})) {
			wrong.Store(&s)
		}
	}})
	require.NoError(t, err)
	mux := http.NewServeMux()
	for _, way := range mwWays {
		mux.HandleFunc("/"+way.name+"/", func(w http.ResponseWriter, r *http.Request) {
			var n int
			fmt.Sscanf(r.URL.Query().Get("n"), "%d", &n)
			way.serve(w, r, n)
		})
	}
	srv := httptest.NewUnstartedServer(rec.Middleware(mux))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	var sent [16]atomic.Int64
	var wg sync.WaitGroup
	until := time.Now().Add(5 * time.Second)
	for worker := range 16 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			rng := rand.New(rand.NewPCG(7, uint64(worker)))
			for time.Now().Before(until) {
				way := mwWays[rng.IntN(len(mwWays))]
				n := 1 + rng.IntN(200)
				ctx, cancel := context.WithCancel(t.Context())
				req, _ := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("%s/%s/?n=%d", srv.URL, way.name, n), strings.NewReader(fmt.Sprintf(`{"model":"m%d"}`, n)))
				sent[way.outcome].Add(1)
				resp, err := client.Do(req)
				if err == nil {
					if way.name == "cancel" {
						bufio.NewReader(resp.Body).ReadString('\n')
						cancel()
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { n, _ := mwLive(rec); return n == 0 }, 10*time.Second, 10*time.Millisecond)
	srv.Close()
	total := int64(0)
	for o := range finished {
		require.Equal(t, sent[o].Load(), finished[o].Load(), Outcome(o).String())
		total += sent[o].Load()
	}
	require.Nil(t, wrong.Load(), "a stream that ended well has its own tokens and no other's")
	require.Equal(t, total, sink.requests.Load())
	require.Equal(t, sink.counted.Load(), sink.gaps.Load(), "each gap is merged once")
	for l := range rec.Live() {
		require.Zero(t, l.InFlight)
		require.Zero(t, l.Waiting)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 10*time.Second, 20*time.Millisecond, "goroutines left")
	t.Logf("%d requests", total)
}

// mwCount counts, and looks back into the Recorder as a careless sink may.
type mwCount struct {
	rec                     atomic.Pointer[Recorder]
	requests, gaps, counted atomic.Int64
}

func (c *mwCount) look() {
	r := c.rec.Load()
	for l := range r.Live() {
		_ = l.InFlight
	}
	for range r.Engines() {
	}
	r.Losses()
	r.Engine("looked at")
}
func (c *mwCount) Attach(r *Recorder)       { c.rec.Store(r); c.look() }
func (c *mwCount) Series(Labels) SeriesSink { c.look(); return c }
func (c *mwCount) Gaps(g []time.Duration)   { c.look(); c.gaps.Add(int64(len(g))) }
func (c *mwCount) Request(_ context.Context, s *RequestStats) {
	c.look()
	c.requests.Add(1)
	c.counted.Add(int64(s.Gaps))
}

// A sink may be attached to several Recorders; it is asked for series by each.
func TestSharedSink(t *testing.T) {
	s := &mwSink{series: map[Labels]int{}, gaps: map[Labels][]time.Duration{}}
	var recs []*Recorder
	for range 2 {
		r, err := New(Config{Sinks: []Sink{s, s}})
		require.NoError(t, err)
		recs = append(recs, r)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			_, q := recs[i%2].Start(context.Background(), RequestInfo{Model: "m"})
			q.Token(1)
			q.Token(3)
			q.End(nil)
		})
	}
	wg.Wait()
	l := Labels{"m", OperationOther, "custom"}
	require.Equal(t, map[Labels]int{l: 4}, s.series)
	require.Len(t, s.requests, 200)
	require.Len(t, s.gaps[l], 600)
}

// An engine goroutine may call every method while the handler writes and ends.
func TestEngineWhileHandlerWrites(t *testing.T) {
	rec, err := New(Config{Sinks: []Sink{&mwCount{}}, MeasureSelf: true})
	require.NoError(t, err)
	for i := range 200 {
		var wg sync.WaitGroup
		rec.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := FromContext(r.Context())
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			for g := range 3 {
				wg.Go(func() {
					for k := range 50 {
						q.Queued()
						q.SetModel(fmt.Sprint("m", k%3))
						q.Scheduled()
						q.SetUsage(Usage{Output: int64(k)})
						q.Preempted()
						q.SetResponseModel("x")
						q.SetFinishReason("stop")
						q.SetErrorType("x")
						q.SetValue(k)
						if _, other := rec.Start(ctx, RequestInfo{Priority: "p", Protocol: ProtocolOpenAI}); other != q {
							other.End(nil) // q has ended: this is another
						}
						if g == 0 && i%2 == 0 {
							q.Token(2)
							q.TokenAt(1, time.Now())
						}
						if g == 1 && i%3 == 0 && k == 40 {
							q.End(context.Canceled)
						}
					}
				})
			}
			mwSSE(w)
			w.Header().Set("Content-Length", "1000000")
			for range 80 {
				mwSend(w, mwChunk)
				w.Header().Set("X-Trailer", "changed while another goroutine may end the request")
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
		wg.Wait()
	}
	inFlight, waiting := mwLive(rec)
	require.Zero(t, inFlight)
	require.Zero(t, waiting)
}

// mwSafe is a writer that many goroutines may use, as a buggy handler's must be
// for the race to be ours.
type mwSafe struct {
	mu sync.Mutex
	h  http.Header
}

func (w *mwSafe) Header() http.Header { return w.h }
func (w *mwSafe) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(b), nil
}
func (w *mwSafe) WriteHeader(int)                              { w.Write(nil) }
func (w *mwSafe) Flush()                                       { w.Write(nil) }
func (w *mwSafe) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, io.EOF }
func (w *mwSafe) ReadFrom(r io.Reader) (int64, error)          { return io.Copy(io.Discard, r) }

// A handler that leaves a goroutine behind which writes on: what it writes goes
// to the inner writer, and into no other request's numbers.
func TestWriteAfterReturn(t *testing.T) {
	m := mwNew(t, Config{})
	var wg sync.WaitGroup
	for i := range 300 {
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk, mwChunk)
			begun := make(chan struct{})
			wg.Go(func() { // from here on only this goroutine uses w
				close(begun)
				for range 20 {
					mwSend(w, `data: {"choices":[{"delta":{"content":"late"}}],"usage":{"completion_tokens":99}}`+"\n\n")
					w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader(mwChunk)})
					w.WriteHeader(500)
					w.(http.Hijacker).Hijack()
				}
			})
			if i%2 == 0 {
				<-begun
			}
		})).ServeHTTP(&mwSafe{h: http.Header{}}, httptest.NewRequest("POST", "/", nil))
		_, q := m.Start(t.Context(), RequestInfo{Model: "clean"})
		q.Token(1)
		q.End(nil)
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mwSSE(w)
			mwSend(w, mwChunk, mwChunk, mwUsage, mwDone)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/clean", nil))
		require.GreaterOrEqual(t, m.next(t).TokenEvents, 2)
		require.Equal(t, 1, m.next(t).TokenEvents)
		s := m.next(t)
		require.Equal(t, 2, s.TokenEvents)
		require.Equal(t, Usage{Input: 7, Output: 5}, s.Usage)
	}
	wg.Wait()
	m.idle(t)
	require.Empty(t, m.done)
}

// End from many goroutines ends once, and no token is later than the end.
func TestEndOnce(t *testing.T) {
	m := mwNew(t, Config{})
	for range 200 {
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := FromContext(r.Context())
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { q.End(nil) })
			}
			mwSSE(w)
			for range 5 {
				mwSend(w, mwChunk)
			}
			wg.Wait()
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
		s := m.next(t)
		require.LessOrEqual(t, s.LastToken, s.Duration)
	}
	require.Empty(t, m.done)
	m.idle(t)
}
