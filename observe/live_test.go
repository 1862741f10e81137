package observe

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// mwLive sums what is live.
func mwLive(r *Recorder) (inFlight, waiting int64) {
	for l := range r.Live() {
		inFlight += l.InFlight
		waiting += l.Waiting
	}
	return inFlight, waiting
}

// In flight and waiting go up once and come down once, on every way out.
func TestLiveWaysOut(t *testing.T) {
	ways := map[string]func(http.ResponseWriter, *http.Request){
		"return": func(http.ResponseWriter, *http.Request) {},
		"stream": func(w http.ResponseWriter, _ *http.Request) { mwSSE(w); io.WriteString(w, mwChunk) },
		"panic":  func(http.ResponseWriter, *http.Request) { panic("x") },
		"abort":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"goexit": func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
		"end":    func(_ http.ResponseWriter, r *http.Request) { FromContext(r.Context()).End(nil) },
		"rename": func(_ http.ResponseWriter, r *http.Request) { FromContext(r.Context()).SetModel("other name") },
	}
	marks := map[string]func(*Request){
		"none": func(*Request) {}, "queued": (*Request).Queued, "preempted": (*Request).Preempted,
		"queued twice":            func(q *Request) { q.Queued(); q.Queued() },
		"scheduled":               func(q *Request) { q.Queued(); q.Scheduled() },
		"scheduled only":          (*Request).Scheduled,
		"scheduled and preempted": func(q *Request) { q.Queued(); q.Scheduled(); q.Preempted(); q.Preempted() },
	}
	m := mwNew(t, Config{})
	for way, f := range ways {
		for mark, g := range marks {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recover() }()
				m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					q := FromContext(r.Context())
					g(q)
					inFlight, waiting := mwLive(m.Recorder)
					if inFlight != 1 || waiting != map[bool]int64{q.waiting: 1}[true] {
						t.Errorf("%s: %d in flight, %d waiting", mark, inFlight, waiting)
					}
					f(w, r)
				})).ServeHTTP(&nopWriter{http.Header{}}, httptest.NewRequest("GET", "/", nil))
			}()
			<-done
			m.next(t)
			inFlight, waiting := mwLive(m.Recorder)
			require.Zero(t, inFlight, "%s after %s", way, mark)
			require.Zero(t, waiting, "%s after %s", way, mark)
		}
	}
}

// TestQueueTimes is what Queued, Scheduled, Preempted and the first token give.
// Between two marks lies one second.
func TestQueueTimes(t *testing.T) {
	type q = *Request
	queued, scheduled, preempted := q.Queued, q.Scheduled, q.Preempted
	token := func(r q) { r.Token(1) }
	none := time.Duration(-1)
	for _, c := range []struct {
		name           string
		marks          []func(q)
		queue, prefill time.Duration // seconds; none: absent
		abandoned      bool
		preemptions    int
	}{
		{"no marks", []func(q){token}, none, none, false, 0},
		{"queued, scheduled", []func(q){queued, scheduled, token}, 1, 1, false, 0},
		{"scheduled only: from arrival", []func(q){scheduled, token}, 1, 1, false, 0},
		{"preempted before the first token: the last Scheduled", []func(q){queued, scheduled, preempted, scheduled, token}, 3, 1, false, 1},
		{"preempted after it: the one before it", []func(q){queued, scheduled, token, preempted, scheduled, token}, 1, 1, false, 1},
		{"queued twice: the first", []func(q){queued, queued, scheduled, token}, 2, 1, false, 0},
		{"abandoned", []func(q){queued}, 1, none, true, 0},
		{"abandoned after a preemption", []func(q){queued, scheduled, preempted}, 3, none, true, 1},
		{"preempted, never queued", []func(q){preempted}, 2, none, true, 1},
		{"ended while preempted, after tokens", []func(q){queued, scheduled, token, preempted}, 1, 1, false, 1},
		{"scheduled, no token", []func(q){queued, scheduled}, 1, none, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := mwNew(t, Config{})
			_, r := m.Start(t.Context(), RequestInfo{Model: "m"})
			for _, mark := range c.marks {
				time.Sleep(time.Second)
				mark(r)
			}
			time.Sleep(time.Second)
			r.End(nil)
			s := m.next(t)
			require.Equal(t, c.queue != none, s.Has(FieldQueue), c.name)
			require.Equal(t, max(c.queue, 0)*time.Second, s.Queue, c.name)
			require.Equal(t, c.prefill != none, s.Has(FieldPrefill), c.name)
			require.Equal(t, max(c.prefill, 0)*time.Second, s.Prefill, c.name)
			require.Equal(t, c.abandoned, s.Abandoned, c.name)
			require.Equal(t, c.preemptions, s.Preemptions, c.name)
			for e := range m.Engines() {
				require.EqualValues(t, c.preemptions, e.Preemptions)
			}
		})
	}
}

// mwTokens plays batches a second apart.
func mwTokens(q *Request, batches ...int) {
	for i, n := range batches {
		if i > 0 {
			time.Sleep(time.Second)
		}
		q.Token(n)
	}
}

// TestTPOT is which n divides the decode time, and when there is none.
func TestTPOT(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		tokens []int
		usage  Usage
		err    error
		want   time.Duration // 0: absent
	}{
		{"usage", Config{}, []int{1, 1, 1, 1, 1}, Usage{Output: 9}, nil, 500 * time.Millisecond},
		{"n = 2", Config{}, []int{1, 1}, Usage{Output: 2}, nil, time.Second},
		{"n = 1", Config{}, []int{1, 1}, Usage{Output: 1}, nil, 0},
		{"n = 0", Config{}, []int{1, 1}, Usage{Input: 3}, nil, 0},
		{"no usage", Config{}, []int{1, 1}, Usage{}, nil, 0},
		{"counted", Config{CountEvents: true}, []int{1, 2, 2}, Usage{}, nil, 500 * time.Millisecond},
		{"usage before counted", Config{CountEvents: true}, []int{1, 1}, Usage{Output: 3}, nil, 500 * time.Millisecond},
		{"failed", Config{}, []int{1, 1}, Usage{Output: 2}, io.EOF, 0},
		{"no token", Config{}, nil, Usage{Output: 9}, nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.cfg.SLO.TPOT = time.Second
			m := mwNew(t, c.cfg)
			_, q := m.Start(t.Context(), RequestInfo{})
			mwTokens(q, c.tokens...)
			if c.usage != (Usage{}) {
				q.SetUsage(c.usage)
			}
			q.End(c.err)
			s := m.next(t)
			require.Equal(t, c.want > 0, s.Has(FieldTPOT), c.name)
			require.Equal(t, c.want, s.TPOT, c.name)
			require.Equal(t, c.want > 0, s.SLO.TPOT == SLOMet, c.name)
			require.Equal(t, len(c.tokens) > 0, s.Stream)
		})
	}
}

// Reasoning tokens count where they can be token events, only.
func TestTPOTReasoning(t *testing.T) {
	const think = `data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}` + "\n\n"
	const usage = `data: {"choices":[],"usage":{"completion_tokens":11,"completion_tokens_details":{"reasoning_tokens":6}}}` + "\n\n"
	for _, c := range []struct {
		mode   FirstToken
		events []string
		want   time.Duration
	}{
		{FirstTokenOutput, []string{mwChunk, mwChunk}, time.Second / 4},             // hidden: 5 tokens
		{FirstTokenOutput, []string{think, mwChunk, mwChunk}, 2 * time.Second / 10}, // seen: 11
		{FirstTokenContent, []string{think, mwChunk, mwChunk}, time.Second / 4},     // seen, no token events: 5
		{FirstTokenChunk, []string{mwChunk, mwChunk}, time.Second / 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := mwNew(t, Config{FirstToken: c.mode})
			m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mwSSE(w)
				for i, e := range c.events {
					if i > 0 {
						time.Sleep(time.Second)
					}
					io.WriteString(w, e)
				}
				io.WriteString(w, usage+mwDone)
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
			require.Equal(t, c.want, m.next(t).TPOT, "mode %d", c.mode)
		})
	}
}

// Times that cannot be are made possible, and counted where they go backwards.
func TestTokenAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mwNew(t, Config{})
		_, q := m.Start(t.Context(), RequestInfo{})
		start := time.Now()
		time.Sleep(10 * time.Second)
		q.Token(0)
		q.Token(-1)
		q.TokenAt(1, start.Add(2*time.Second))
		q.TokenAt(2, start.Add(4*time.Second))
		q.TokenAt(1, start.Add(3*time.Second))  // before the last
		q.TokenAt(1, time.Time{})               // long before
		q.TokenAt(1, start.Add(24*time.Hour))   // to come
		q.TokenAt(1, start.Add(1000*time.Hour)) // and again
		q.End(nil)
		s := m.next(t)
		require.Equal(t, 2*time.Second, s.TTFT)
		require.Equal(t, 10*time.Second, s.LastToken, "never after the end")
		require.Equal(t, s.Duration, s.LastToken)
		require.Equal(t, []time.Duration{time.Second, time.Second, 0, 0, 6 * time.Second, 0}, m.sink.gaps[s.Labels])
		require.Equal(t, 6*time.Second, s.GapMax)
		require.EqualValues(t, 2, m.Losses().ClockSteps)

		_, q = m.Start(t.Context(), RequestInfo{Received: time.Now().Add(time.Hour)}) // an arrival to come
		q.Token(1)
		q.End(nil)
		s = m.next(t)
		require.Zero(t, s.TTFT)
		require.Zero(t, s.Duration)
		_, q = m.Start(t.Context(), RequestInfo{Received: time.Now().Add(-time.Hour)})
		q.Token(math.MaxInt)
		q.End(nil)
		s = m.next(t)
		require.Equal(t, time.Hour, s.TTFT)
		require.Equal(t, 1<<20, s.TokenEvents, "a batch is bounded")
	})
}

// Token makes the engine's clock the only one; usage is still read.
func TestManualClockWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mwNew(t, Config{})
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := FromContext(r.Context())
			mwSSE(w)
			for range 100 {
				time.Sleep(time.Second)
				q.Token(1)
				time.Sleep(time.Second)
				mwSend(w, mwChunk)
			}
			mwSend(w, mwUsage, mwDone)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
		s := m.next(t)
		require.Equal(t, time.Second, s.TTFT)
		require.Equal(t, 100, s.TokenEvents)
		require.Equal(t, 199*time.Second, s.LastToken)
		require.Equal(t, Usage{Input: 7, Output: 5}, s.Usage)
		require.True(t, s.Complete)
		require.Len(t, m.sink.gaps[s.Labels], 99)
		for _, g := range m.sink.gaps[s.Labels] {
			require.Equal(t, 2*time.Second, g)
		}
	})
}

// What the code says wins over what the response says, negatives read 0.
func TestSetters(t *testing.T) {
	m := mwNew(t, Config{})
	m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := FromContext(r.Context())
		q.SetUsage(Usage{Input: -1, Output: 3, CachedInput: -5})
		q.SetResponseModel("resp")
		q.SetFinishReason("max_tokens")
		q.SetValue(42)
		mwSSE(w)
		mwSend(w, mwChunk, mwUsage, mwDone)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
	s := m.next(t)
	require.Equal(t, Usage{Input: 7, Output: 3}, s.Usage, "what was not said comes from the response")
	require.Equal(t, [2]TokenSource{TokensUsage, TokensManual}, [2]TokenSource{s.InputSource, s.OutputSource})
	require.Equal(t, []any{"resp", "length", "max_tokens", 42}, []any{s.ResponseModel, s.FinishReason, s.FinishReasonRaw, s.Value})
}

// Engine gauges say what the requests say until they are set.
func TestEngine(t *testing.T) {
	m := mwNew(t, Config{MaxModels: 2})
	state := func(model string) EngineState {
		for e := range m.Engines() {
			if e.Model == model {
				return e
			}
		}
		return EngineState{}
	}
	e := m.Engine("m")
	require.Same(t, e, m.Engine("m"))
	require.Equal(t, EngineState{Model: "m"}, state("m"), "its gauges exist before traffic")
	var requests []*Request
	for range 3 {
		_, q := m.Start(t.Context(), RequestInfo{Model: "m"})
		requests = append(requests, q)
	}
	requests[0].Queued()
	require.Equal(t, EngineState{Model: "m", Running: 2, Waiting: 1}, state("m"))
	e.SetRunning(7)
	require.Equal(t, EngineState{Model: "m", Running: 7, Waiting: 1}, state("m"))
	e.SetWaiting(-9)
	e.SetRunning(-1)
	require.Equal(t, EngineState{Model: "m"}, state("m"))

	for _, c := range [][2]float64{{0.5, 0.5}, {math.NaN(), 0.5}, {-1, 0}, {math.Inf(1), 1}, {1.5, 1}, {math.Inf(-1), 0}} {
		e.SetKVUsage(c[0])
		require.True(t, state("m").HasKVUsage)
		require.Equal(t, c[1], state("m").KVUsage)
	}
	e.AddPreemptions(2)
	e.AddPreemptions(-2)
	requests[1].Preempted()
	e.AddPrefixCache(10, 4)
	e.AddPrefixCache(-10, -4)
	e.SetCache(16, 1000)
	names := []string{"a", "b"}
	e.SetLoRA(LoRA{Max: 4, Running: names})
	names[0] = "changed"
	s := state("m")
	require.WithinDuration(t, time.Now(), s.LoRAAt, time.Minute)
	s.LoRAAt = time.Time{}
	require.Equal(t, EngineState{Model: "m", HasKVUsage: true, Preemptions: 3, PrefixQueries: 10, PrefixHits: 4,
		BlockTokens: 16, Blocks: 1000, LoRA: LoRA{Max: 4, Running: []string{"a", "b"}}}, s)
	for _, q := range requests {
		q.End(nil)
	}

	m.Engine("second")
	require.Same(t, m.Engine("third"), m.Engine("fourth"), "names without a place share one")
	require.Same(t, m.Engine("third"), m.Engine("other"))
	for range m.Engines() {
		break // may be left early
	}
	for range m.Live() {
		break
	}
	var none *Engine
	none.SetRunning(1)
	none.SetWaiting(1)
	none.SetKVUsage(1)
	none.AddPreemptions(1)
	none.AddPrefixCache(1, 1)
	none.SetCache(1, 1)
	none.SetLoRA(LoRA{})
}

func TestServed(t *testing.T) {
	m := mwNew(t, Config{})
	m.SetServed(Served{Model: "a", Version: "v1", Commit: "c1"})
	m.SetServed(Served{Model: "b", Version: "v1", Commit: "c1"})
	before := m.Served()
	m.SetServed(Served{Model: "a", Version: "v2", Checkpoint: "sha256:1", Commit: "c2"})
	require.Equal(t, []Served{{"a", "v2", "sha256:1", "c2"}, {"b", "v1", "", "c1"}}, slices.Collect(m.Served()))
	require.Equal(t, []Served{{"a", "v1", "", "c1"}, {"b", "v1", "", "c1"}}, slices.Collect(before), "a reading does not change")
	m.SetServed(Served{Model: "c"})
	require.Equal(t, buildCommit(), slices.Collect(m.Served())[2].Commit)
}

// A context derived from the request's starts no goroutine and sees its values.
func TestContextNode(t *testing.T) {
	type key struct{}
	m := mwNew(t, Config{})
	parent, cancelParent := context.WithCancelCause(context.WithValue(t.Context(), key{}, "v"))
	ctx, q := m.Start(parent, RequestInfo{})
	before := runtime.NumGoroutine()
	for range 100 {
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		require.Equal(t, "v", child.Value(key{}))
		require.Same(t, q, FromContext(child))
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	cancelParent(io.EOF)
	require.Equal(t, io.EOF, context.Cause(ctx))
	q.End(nil)
}
