package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestModel is where the model's name comes from: SetModel, RequestInfo, the
// request body, the response, in that order.
func TestModel(t *testing.T) {
	const body = `{"messages":[{"model":"inner"}],"model":"from-body"}`
	for _, c := range []struct {
		name              string
		set, info, body   string
		response, want    string
		header            string // "name: value" of the request
		noPeek, noContent bool
	}{
		{name: "set wins", set: "set", info: "info", body: body, response: "resp", want: "set"},
		{name: "info", info: "info", body: body, response: "resp", want: "info"},
		{name: "body", body: body, response: "resp", want: "from-body"},
		{name: "response", body: `{}`, response: "resp", want: "resp"},
		{name: "nothing", want: "unknown"},
		{name: "no peek", body: body, noPeek: true, want: "unknown"},
		{name: "text body", body: body, header: "Content-Type: text/plain", want: "unknown"},
		{name: "json with parameter", body: body, header: "Content-Type: Application/JSON; charset=utf-8", want: "from-body"},
		{name: "json suffix", body: body, header: "Content-Type: application/vnd.x+json", want: "from-body"},
		{name: "no type", body: body, header: "Content-Type:", want: "from-body"},
		{name: "encoded", body: body, header: "Content-Encoding: gzip", want: "unknown"},
		{name: "identity", body: body, header: "Content-Encoding: identity", want: "from-body"},
		{name: "expect", body: body, header: "Expect: 100-continue", want: "unknown"},
		{name: "upgrade", body: body, header: "Upgrade: websocket", want: "unknown"},
		{name: "not JSON", body: `model=x`, want: "unknown"},
		{name: "array", body: `[{"model":"x"}]`, want: "unknown"},
		{name: "not a string", body: `{"model":{"model":"x"}}`, want: "unknown"},
		{name: "null", body: `{"model":null}`, response: "resp", want: "resp"},
		{name: "empty", body: `{"model":""}`, response: "resp", want: "resp"},
		{name: "escaped", body: `{"model":"a\u002fb\n"}`, want: "other"},
		{name: "escaped slash", body: `{"model":"org\/m"}`, want: "org/m"},
		{name: "cut", body: `{"model":"fro`, want: "unknown"},
		{name: "first of two", body: `{"model":"a","model":"b"}`, want: "a"},
		{name: "far away", body: `{"p":"` + strings.Repeat("x", 20<<10) + `","model":"far"}`, want: "far"},
		{name: "beyond the peek", body: `{"p":"` + strings.Repeat("x", 65<<10) + `","model":"far"}`, want: "unknown"},
		{name: "1 MB", body: `{"model":"` + strings.Repeat("x", 1<<20) + `"}`, want: "unknown"},
		{name: "just too long", body: `{"model":"` + strings.Repeat("x", 129) + `"}`, want: "other"},
		{name: "longest", body: `{"model":"` + strings.Repeat("x", 128) + `"}`, want: strings.Repeat("x", 128)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mwNew(t, Config{NoPeek: c.noPeek})
			h := m.Handler(RequestInfo{Model: c.info}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.Equal(t, c.body, string(got), "the handler reads every byte")
				if c.set != "" {
					FromContext(r.Context()).SetModel(c.set)
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"model":%q,"choices":[]}`, c.response)
			}))
			r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			if name, v, ok := strings.Cut(c.header, ":"); ok {
				if r.Header.Del(name); v != "" {
					r.Header.Set(name, strings.TrimSpace(v))
				}
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			s := m.next(t)
			require.Equal(t, c.want, s.Model)
			require.Equal(t, c.response, s.ResponseModel)
			m.idle(t)
		})
	}
}

// The body is given back byte for byte, with its error at its place, however
// small the pieces are that it arrives in.
func TestPeekGivesBack(t *testing.T) {
	broke := errors.New("connection broke")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := rng.IntN(12_000)
		body := `{"pad":"` + strings.Repeat("p", n) + `","model":"m"}`
		body = body[:rng.IntN(len(body)+1)]
		m := mwNew(t, Config{PeekBytes: 1 + rng.IntN(16_000)})
		m.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(mwPieces{r.Body, rng})
			require.Equal(t, broke, err)
			require.Equal(t, body, string(got))
			_, err = r.Body.Read(make([]byte, 1))
			require.Equal(t, broke, err, "again")
			require.NoError(t, r.Body.Close())
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/",
			mwPieces{io.MultiReader(strings.NewReader(body), mwFailing{broke}), rng}))
		m.next(t)
	}
}

// mwPieces reads a few bytes at a time.
type mwPieces struct {
	r   io.Reader
	rng *rand.Rand
}

func (p mwPieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), 1+p.rng.IntN(1+min(5000, len(b))))])
}

func TestPathTable(t *testing.T) {
	for path, want := range map[string]Labels{
		"/v1/chat/completions":               {"", OperationChat, "openai"},
		"/v1/chat/completions/":              {"", OperationChat, "openai"},
		"/openai/deployments/x/completions":  {"", OperationTextCompletion, "openai"},
		"/completions":                       {"", OperationTextCompletion, "openai"},
		"/chat/completions":                  {"", OperationChat, "openai"},
		"/mychat/completions":                {"", OperationTextCompletion, "openai"},
		"/v1/responses":                      {"", OperationChat, "openai"},
		"/v1/embeddings":                     {"", OperationEmbeddings, "openai"},
		"/v1/messages":                       {"", OperationChat, "anthropic"},
		"/proxy/v1/messages":                 {"", OperationChat, "anthropic"},
		"/messages":                          {"", OperationOther, "custom"},
		"/api/chat":                          {"", OperationChat, "ollama"},
		"/api/generate":                      {"", OperationTextCompletion, "ollama"},
		"/api/embed":                         {"", OperationEmbeddings, "ollama"},
		"/api/embeddings":                    {"", OperationEmbeddings, "ollama"},
		"/myapi/embeddings":                  {"", OperationEmbeddings, "openai"},
		"/v1beta/models/g:generateContent":   {"", OperationGenerateContent, "gcp.gemini"},
		"/v1/models/g:streamGenerateContent": {"", OperationGenerateContent, "gcp.gemini"},
		"/v1/chat/completions2":              {"", OperationOther, "custom"},
		"/":                                  {"", OperationOther, "custom"},
		"*":                                  {"", OperationOther, "custom"},
	} {
		m := mwNew(t, Config{})
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		m.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		want.Model = "unknown"
		require.Equal(t, want, m.next(t).Labels, path)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.Path = ""
	m := mwNew(t, Config{Provider: "acme"})
	m.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, Labels{"unknown", OperationOther, "acme"}, m.next(t).Labels)
}

// The route is the pattern that a mux inside or outside matched, less its method.
func TestRoute(t *testing.T) {
	for pattern, want := range map[string]string{
		"POST /v1/chat/{rest...}": "/v1/chat/{rest...}", "/v1/": "/v1/", "POST  /v1/chat/a b": "/v1/chat/a b", "example.com/v1/": "example.com/v1/",
	} {
		for _, inside := range []bool{true, false} {
			m := mwNew(t, Config{})
			mux := http.NewServeMux()
			var h http.Handler = mux
			if inside {
				mux.Handle(pattern, http.NotFoundHandler())
				h = m.Middleware(mux)
			} else {
				mux.Handle(pattern, m.Middleware(http.NotFoundHandler()))
			}
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "http://example.com/v1/chat/a%20b", nil))
			require.Equal(t, want, m.next(t).Route, "inside %v", inside)
		}
	}
}

// SetModel moves a request between series until gaps were merged into one.
func TestSetModelDuringStream(t *testing.T) {
	inFlight := func(m *mwRec) map[string]int64 {
		got := map[string]int64{}
		for l := range m.Live() {
			if l.InFlight != 0 || l.Waiting != 0 {
				got[l.Model] = 100*l.InFlight + l.Waiting
			}
		}
		return got
	}
	for _, c := range []struct {
		chunks int // before SetModel
		want   string
	}{{0, "set"}, {1, "set"}, {64, "set"}, {65, "m"}, {200, "m"}} {
		m := mwNew(t, Config{})
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := FromContext(r.Context())
			q.Queued()
			require.Equal(t, map[string]int64{"m": 101}, inFlight(m))
			mwSSE(w)
			for range c.chunks {
				io.WriteString(w, mwChunk)
			}
			q.SetModel("set")
			require.Equal(t, map[string]int64{c.want: 101}, inFlight(m))
			q.Scheduled()
			for range 10 {
				io.WriteString(w, mwChunk)
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
		s := m.next(t)
		require.Equal(t, c.want, s.Model)
		require.Equal(t, "set", s.RequestModel)
		require.Len(t, m.sink.gaps, 1)
		require.Len(t, m.sink.gaps[s.Labels], c.chunks+9)
		require.Equal(t, s.Gaps, c.chunks+9)
		m.idle(t)
	}
}

func TestClassify(t *testing.T) {
	m := mwNew(t, Config{Classify: func(r *http.Request) (RequestInfo, bool) {
		switch r.URL.Path {
		case "/panic":
			panic("classify")
		case "/healthz":
			return RequestInfo{}, false
		}
		return RequestInfo{Model: "classified", Priority: "high", Provider: "acme", Operation: "rerank"}, true
	}})
	h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, FromContext(r.Context()) != nil)
	}))
	for path, want := range map[string]string{"/healthz": "false", "/x": "true", "/panic": "true"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, want, w.Body.String(), path)
		if want == "true" {
			s := m.next(t)
			if path == "/x" {
				require.Equal(t, Labels{"classified", "rerank", "acme"}, s.Labels)
				require.Equal(t, "high", s.Priority)
			}
		}
	}
	require.Empty(t, m.done)
	require.EqualValues(t, 1, m.Losses().CallbackPanics)
	m.Handler(RequestInfo{Model: "route", Operation: OperationChat}, http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	require.Equal(t, Labels{"route", OperationChat, "acme"}, m.next(t).Labels, "the route wins, the rest is asked for")
}

// Middleware on the mux and on the route: one request. Two Recorders: both.
func TestNested(t *testing.T) {
	a, b := mwNew(t, Config{}), mwNew(t, Config{})
	h := a.Middleware(b.Middleware(a.Handler(RequestInfo{Model: "route", Operation: OperationChat, Provider: "acme", Priority: "p", Protocol: ProtocolOpenAI},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := a.Func(r.Context(), RequestInfo{}, func(ctx context.Context, q *Request) error {
				require.NotNil(t, q)
				return io.EOF // a part of the request, not its end
			})
			require.Equal(t, io.EOF, err)
			require.Same(t, b.Recorder, FromContext(r.Context()).rec, "the innermost")
			mwSSE(w)
			mwSend(w, mwChunk, mwDone)
		}))))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/x", nil))
	s, o := a.next(t), b.next(t)
	require.Equal(t, Labels{"route", OperationChat, "acme"}, s.Labels)
	require.Equal(t, "p", s.Priority)
	require.Equal(t, Labels{"m", OperationOther, "openai"}, o.Labels)
	for _, x := range []RequestStats{s, o} {
		require.Equal(t, 1, x.TokenEvents)
		require.EqualValues(t, len(mwChunk+mwDone), x.ResponseBytes)
		require.Equal(t, OutcomeOK, x.Outcome)
	}
	require.Empty(t, a.done)
	require.Empty(t, b.done)
	a.idle(t)

	m := mwNew(t, Config{}) // SetModel beats a route that is entered later
	m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		FromContext(r.Context()).SetModel("set")
		m.Handler(RequestInfo{Model: "route"}, http.NotFoundHandler()).ServeHTTP(w, r)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/x", nil))
	require.Equal(t, "set", m.next(t).Model)
}

// Work that outlives its request and starts another is measured.
func TestStartAfterEnd(t *testing.T) {
	m := mwNew(t, Config{})
	ctx, q := m.Start(context.Background(), RequestInfo{Model: "first"})
	same, q2 := m.Start(ctx, RequestInfo{Priority: "late"})
	require.Same(t, q, q2)
	require.Equal(t, ctx, same)
	q2.End(errors.New("of the inner part only"))
	require.Empty(t, m.done, "the inner part is over, the request is not")
	q.End(nil)
	s := m.next(t)
	require.Equal(t, "late", s.Priority)
	require.Equal(t, OutcomeOK, s.Outcome)
	require.NoError(t, m.Func(context.WithoutCancel(ctx), RequestInfo{Model: "second"}, func(context.Context, *Request) error { return nil }))
	require.Equal(t, "second", m.next(t).Model)
}

// What nil receivers, nil Recorders and ended requests do: nothing.
func TestNilAndEnded(t *testing.T) {
	all := func(q *Request) {
		q.SetModel("x")
		q.SetResponseModel("x")
		q.SetFinishReason("x")
		q.SetUsage(Usage{Output: 9})
		q.Queued()
		q.Scheduled()
		q.Preempted()
		q.Token(3)
		q.TokenAt(3, time.Now())
		q.SetErrorType("x")
		q.SetValue("x")
		q.End(io.EOF)
	}
	all(nil)
	require.Nil(t, FromContext(context.Background()))
	m := mwNew(t, Config{})
	_, q := m.Start(context.Background(), RequestInfo{})
	q.End(nil)
	want := m.next(t)
	all(q)
	require.Empty(t, m.done)
	require.Len(t, m.sink.requests, 1)
	require.Equal(t, want, m.sink.requests[0])
	m.idle(t)

	var r *Recorder
	ctx, q := r.Start(context.Background(), RequestInfo{})
	require.Nil(t, q)
	require.Equal(t, context.Background(), ctx)
	require.Equal(t, io.EOF, r.Func(ctx, RequestInfo{}, func(_ context.Context, q *Request) error { all(q); return io.EOF }))
	h := http.NewServeMux()
	require.Equal(t, http.Handler(h), r.Middleware(h))
	require.Equal(t, http.Handler(h), r.Handler(RequestInfo{}, h))
	r.SetServed(Served{Model: "x"})
	r.Engine("x").SetRunning(1)
	require.Zero(t, r.Losses())
	for range r.Live() {
		require.Fail(t, "a row of nothing")
	}
	for range r.Engines() {
		require.Fail(t, "a row of nothing")
	}
	for range r.Served() {
		require.Fail(t, "a row of nothing")
	}
}

// The order of times, over random streams in a bubble: a duration of zero is
// present, and no later time is before an earlier one.
func TestClockProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, mode := range []FirstToken{FirstTokenOutput, FirstTokenContent, FirstTokenChunk} {
			m := mwNew(t, Config{FirstToken: mode})
			for range 400 {
				slow := rng.IntN(4) > 0
				first, tokens := 0, 0 // of the first batch; all
				m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mwSSE(w)
					for range rng.IntN(8) {
						if slow {
							time.Sleep(time.Duration(rng.IntN(int(time.Second))))
						}
						var b bytes.Buffer
						n := 0
						for range 1 + rng.IntN(4) {
							switch rng.IntN(4) {
							case 0:
								b.WriteString(`data: {"choices":[{"delta":{"role":"assistant","content":""}}]}` + "\n\n")
								if mode == FirstTokenChunk {
									n++
								}
							case 1:
								b.WriteString(": comment\n\n")
							case 2:
								b.WriteString(`data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}` + "\n\n")
								if mode != FirstTokenContent {
									n++
								}
							case 3:
								b.WriteString(mwChunk)
								n++
							}
						}
						w.Write(b.Bytes())
						if tokens == 0 {
							first = n
						}
						tokens += n
					}
				})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/chat/completions", nil))
				s := m.next(t)
				require.Equal(t, tokens, s.TokenEvents)
				require.Equal(t, tokens-first, s.Gaps)
				require.Equal(t, tokens > 0, s.Has(FieldTTFT|FieldLastToken|FieldDecode|FieldFirstEvent))
				require.Equal(t, s.LastToken-s.TTFT, s.GapSum)
				last := time.Duration(0)
				for _, f := range []struct {
					bit Field
					d   time.Duration
				}{{FieldTTFB, s.TTFB}, {FieldFirstEvent, s.FirstEvent}, {FieldTTFT, s.TTFT}, {FieldFirstContent, s.FirstContent}, {FieldLastToken, s.LastToken}, {0, s.Duration}} {
					if s.Has(f.bit) {
						require.LessOrEqual(t, last, f.d, "%+v", s)
						last = f.d
					}
				}
				if !slow {
					require.Zero(t, s.Duration)
				}
			}
		}
	})
}

// TestAllocations: two allocations a request, none a chunk.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops what it is given at random")
	}
	rec, err := New(Config{Sinks: []Sink{mwNull{}}})
	require.NoError(t, err)
	answer := []byte(`{"id":"x","model":"m","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":256}}`)
	ct := []string{"application/json"}
	read := make([]byte, 512)
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil {
			for err := error(nil); err == nil; {
				_, err = r.Body.Read(read)
			}
		}
		w.Header()["Content-Type"] = ct
		w.Write(answer)
	})
	w := &nopWriter{http.Header{}}
	question := strings.NewReader("")
	cost := func(h http.Handler, body string, runs int) float64 {
		r := httptest.NewRequest("POST", "/v1/chat/completions", nil)
		r.Header.Set("Content-Type", "application/json")
		if body != "" {
			r.Body, r.ContentLength = io.NopCloser(question), int64(len(body))
		}
		return testing.AllocsPerRun(runs, func() { question.Reset(body); h.ServeHTTP(w, r) })
	}
	for _, body := range []string{"", `{"stream":false,"model":"m"}`, `{"stream":false,"model":"` + strings.Repeat("y", 50) + `"}`} {
		require.LessOrEqual(t, cost(rec.Middleware(bare), body, 1000)-cost(bare, body, 1000), 2.0, body)
	}
	stream := func(n int) float64 { return cost(rec.Middleware(chatHandler(n)), "", 100) }
	require.Zero(t, stream(512)-stream(256), "a chunk allocates nothing")
	require.LessOrEqual(t, stream(256), 2.0)
}

// mwNull is a sink that does nothing.
type mwNull struct{}

func (mwNull) Attach(*Recorder)                       {}
func (mwNull) Series(Labels) SeriesSink               { return mwNull{} }
func (mwNull) Gaps([]time.Duration)                   {}
func (mwNull) Request(context.Context, *RequestStats) {}

func BenchmarkMiddleware(b *testing.B) {
	rec, err := New(Config{Sinks: []Sink{mwNull{}}})
	require.NoError(b, err)
	answer := []byte(`{"id":"x","model":"m","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":256}}`)
	ct := []string{"application/json"}
	js := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = ct; w.Write(answer) })
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"json/bare", js}, {"json/observe", rec.Middleware(js)}, {"sse256/bare", chatHandler(256)}, {"sse256/observe", rec.Middleware(chatHandler(256))}} {
		b.Run(c.name, func(b *testing.B) {
			w := &nopWriter{http.Header{}}
			r := httptest.NewRequest("POST", "/v1/chat/completions", nil)
			b.ReportAllocs()
			for b.Loop() {
				c.h.ServeHTTP(w, r)
			}
		})
	}
}
