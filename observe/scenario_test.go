package observe

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var mwUpdate = flag.Bool("update", false, "rewrite the expected part of testdata/*.txt")

// A scenario is a story of one request, played in a bubble where time is exact.
// Above the line of dashes stand its steps, one a line, each after a pause:
//
//	config count_events first=content slo_ttft=1s slo_tpot=30ms slo_duration=2s
//	request POST /v1/chat/completions {"model":"m"}
//	0ms header 200 text/event-stream
//	300ms event {"choices":[...]}          an SSE event of that data
//	20ms x5 event ...                      five times, with the pause before each
//	0ms write "any Go string"
//	0ms flush | queued | scheduled | preempted | token 2 | model m2 | usage 7 5
//	0ms leave | deadline | panic boom | abort | end boom
//
// Below it stands what was recorded; "go test -run Scenarios -update" rewrites it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			script, want, ok := strings.Cut(string(b), "---\n")
			require.True(t, ok || *mwUpdate, "no line of dashes")
			var got string
			synctest.Test(t, func(t *testing.T) { got = mwPlay(t, script) })
			if *mwUpdate {
				require.NoError(t, os.WriteFile(file, []byte(script+"---\n"+got), 0o644))
				return
			}
			require.Equal(t, want, got)
		})
	}
}

// mwPlay plays a script and returns what was recorded.
func mwPlay(t *testing.T, script string) string {
	var cfg Config
	req := httptest.NewRequest("POST", "/v1/chat/completions", nil)
	var steps []string
	for sc := bufio.NewScanner(strings.NewReader(script)); sc.Scan(); {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		switch word {
		case "", "#":
		case "config":
			mwConfig(t, &cfg, strings.Fields(rest))
		case "request":
			f := strings.SplitN(rest, " ", 3)
			req = httptest.NewRequest(f[0], f[1], strings.NewReader(f[2]))
		default:
			steps = append(steps, sc.Text())
		}
	}
	m := mwNew(t, cfg)
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	deadline, expire := context.WithDeadline(ctx, time.Now().Add(time.Hour))
	defer expire()
	h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, step := range steps {
			f := strings.SplitN(step, " ", 2)
			pause, err := time.ParseDuration(f[0])
			require.NoError(t, err, step)
			times := 1
			if rest, ok := strings.CutPrefix(f[1], "x"); ok {
				n, what, _ := strings.Cut(rest, " ")
				times, err = strconv.Atoi(n)
				require.NoError(t, err, step)
				f[1] = what
			}
			for range times {
				time.Sleep(pause)
				mwStep(t, w, r, cancel, f[1])
			}
		}
	}))
	func() {
		defer func() { recover() }()
		h.ServeHTTP(httptest.NewRecorder(), req.WithContext(deadline))
	}()
	s := m.next(t)
	return mwReport(s, m.sink.gaps[s.Labels])
}

func mwConfig(t *testing.T, cfg *Config, words []string) {
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		d, _ := time.ParseDuration(v)
		switch k {
		case "count_events":
			cfg.CountEvents = true
		case "first":
			cfg.FirstToken = map[string]FirstToken{"content": FirstTokenContent, "chunk": FirstTokenChunk}[v]
		case "slo_ttft":
			cfg.SLO.TTFT = d
		case "slo_tpot":
			cfg.SLO.TPOT = d
		case "slo_duration":
			cfg.SLO.Duration = d
		default:
			require.Fail(t, "unknown", word)
		}
	}
}

func mwStep(t *testing.T, w http.ResponseWriter, r *http.Request, leave func(), step string) {
	q := FromContext(r.Context())
	word, rest, _ := strings.Cut(step, " ")
	switch word {
	case "header":
		code, ct, _ := strings.Cut(rest, " ")
		if ct != "" {
			w.Header().Set("Content-Type", ct)
		}
		n, err := strconv.Atoi(code)
		require.NoError(t, err, step)
		w.WriteHeader(n)
	case "event":
		io.WriteString(w, "data: "+rest+"\n\n")
	case "write":
		s, err := strconv.Unquote(rest)
		require.NoError(t, err, step)
		io.WriteString(w, s)
	case "flush":
		w.(http.Flusher).Flush()
	case "queued":
		q.Queued()
	case "scheduled":
		q.Scheduled()
	case "preempted":
		q.Preempted()
	case "token":
		n, err := strconv.Atoi(rest)
		require.NoError(t, err, step)
		q.Token(n)
	case "model":
		q.SetModel(rest)
	case "usage":
		var u Usage
		_, err := fmt.Sscan(rest, &u.Input, &u.Output)
		require.NoError(t, err, step)
		q.SetUsage(u)
	case "leave":
		leave()
	case "deadline":
		<-r.Context().Done()
	case "panic":
		panic(rest)
	case "abort":
		panic(http.ErrAbortHandler)
	case "end":
		q.End(fmt.Errorf("%s", rest))
	default:
		require.Fail(t, "unknown step", step)
	}
}

// mwReport writes down what is known of a request, a group a line; what is absent
// is left out.
func mwReport(s RequestStats, gaps []time.Duration) string {
	var b strings.Builder
	line := func(name string, parts ...string) {
		var kept []string
		for _, p := range parts {
			if !strings.HasSuffix(p, "=") && p != "" {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(kept, " "))
		}
	}
	dur := func(name string, d time.Duration, f Field) string {
		if !s.Has(f) {
			return ""
		}
		return name + "=" + d.String()
	}
	line("outcome", s.Outcome.String(), "error_type="+s.ErrorType, "detail="+s.ErrorDetail, "code="+s.Code, fmt.Sprintf("complete=%t", s.Complete))
	line("labels", "model="+s.Model, "operation="+string(s.Operation), "provider="+s.Provider)
	line("seen", "request_model="+s.RequestModel, "response_model="+s.ResponseModel, "protocol="+s.Protocol.String(), fmt.Sprintf("stream=%t", s.Stream))
	line("times", dur("ttfb", s.TTFB, FieldTTFB), dur("first_event", s.FirstEvent, FieldFirstEvent), dur("ttft", s.TTFT, FieldTTFT),
		dur("first_content", s.FirstContent, FieldFirstContent), dur("last_token", s.LastToken, FieldLastToken), "duration="+s.Duration.String())
	queue := dur("queue", s.Queue, FieldQueue)
	if s.Abandoned {
		queue += " abandoned"
	}
	line("parts", queue, dur("prefill", s.Prefill, FieldPrefill), dur("decode", s.Decode, FieldDecode), dur("tpot", s.TPOT, FieldTPOT))
	if s.TokenEvents > 0 {
		line("tokens", fmt.Sprintf("events=%d gaps=%d gap_sum=%v gap_max=%v merged=%d", s.TokenEvents, s.Gaps, s.GapSum, s.GapMax, len(gaps)))
	}
	if s.InputSource != TokensUnknown || s.OutputSource != TokensUnknown {
		line("usage", fmt.Sprintf("%+v input=%v output=%v", s.Usage, s.InputSource, s.OutputSource))
	}
	line("finish", "reason="+s.FinishReason, "raw="+s.FinishReasonRaw)
	line("slo", "ttft="+s.SLO.TTFT.String(), "tpot="+s.SLO.TPOT.String(), "duration="+s.SLO.Duration.String())
	return b.String()
}
