package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// point is what MLflow's SQL stores hold once.
type point struct {
	key             string
	value           uint64 // bits
	timestamp, step int64
}

type fakeRun struct {
	experiment, name, status string
	start, end               int64
	tags, params             map[string]string
	points                   map[point]int
}

// fake is an MLflow server: its answers, limits and rules follow
// mlflow/server/handlers.py and mlflow/utils/validation.py.
type fake struct {
	mu           sync.Mutex
	appends      bool // keeps duplicates
	finiteOnly   bool
	experiments  map[string]string
	runs         []*fakeRun
	requests     map[string]int
	refusals     []string
	bodies       [][]byte // of log-batch
	keepBodies   bool
	beforeCreate func()                                      // at experiments/create
	metrics      func(body []byte, share float64) *fakeError // takes batches in place of the store
}

func newFake() *fake { return &fake{experiments: map[string]string{}, requests: map[string]int{}} }

func (f *fake) run(t *testing.T) *fakeRun {
	t.Helper()
	require.Len(t, f.runs, 1)
	return f.runs[0]
}

type fakeError struct {
	status        int
	code, message string
}

func bad(format string, args ...any) *fakeError {
	return &fakeError{400, "INVALID_PARAMETER_VALUE", fmt.Sprintf(format, args...)}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.serve(w, r, body, 1)
}

// serve handles a request; share is the part of a batch that is taken before the
// store fails, 1 is all.
func (f *fake) serve(w http.ResponseWriter, r *http.Request, body []byte, share float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/")
	f.requests[what]++
	answer, fail := f.handle(what, r, body, share)
	if fail != nil {
		f.refusals = append(f.refusals, fmt.Sprintf("%s: %s", what, fail.message))
		w.WriteHeader(fail.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error_code": fail.code, "message": fail.message})
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fake) handle(what string, r *http.Request, body []byte, share float64) (any, *fakeError) {
	var in struct {
		Name         string   `json:"name"`
		ExperimentID string   `json:"experiment_id"`
		Experiments  []string `json:"experiment_ids"`
		Filter       string   `json:"filter"`
		RunName      string   `json:"run_name"`
		RunID        string   `json:"run_id"`
		Status       string   `json:"status"`
		Start        int64    `json:"start_time"`
		End          int64    `json:"end_time"`
		Tags         []pair   `json:"tags"`
	}
	if what == "runs/log-batch" {
		return f.logBatch(body, share)
	}
	if len(body) > 0 && json.Unmarshal(body, &in) != nil {
		return nil, bad("not JSON")
	}
	switch what {
	case "experiments/get-by-name":
		id, ok := f.experiments[r.URL.Query().Get("experiment_name")]
		if r.Method != http.MethodGet || !ok {
			return nil, &fakeError{404, "RESOURCE_DOES_NOT_EXIST", "no such experiment"}
		}
		return map[string]any{"experiment": map[string]string{"experiment_id": id}}, nil
	case "experiments/create":
		if f.beforeCreate != nil {
			f.beforeCreate()
		}
		if f.experiments[in.Name] != "" {
			return nil, &fakeError{400, "RESOURCE_ALREADY_EXISTS", "it exists"}
		}
		f.experiments[in.Name] = fmt.Sprint(len(f.experiments) + 1)
		return map[string]string{"experiment_id": f.experiments[in.Name]}, nil
	case "runs/create":
		run := &fakeRun{experiment: in.ExperimentID, name: in.RunName, status: "RUNNING", start: in.Start, tags: map[string]string{}, params: map[string]string{}, points: map[point]int{}}
		f.runs = append(f.runs, run)
		for _, t := range in.Tags {
			run.tags[t.Key] = t.Value
		}
		return map[string]any{"run": f.info(len(f.runs) - 1)}, nil
	case "runs/search":
		m := regexp.MustCompile("^tags.`(.*)` = '(.*)'$").FindStringSubmatch(in.Filter)
		found := []any{}
		for i, run := range f.runs {
			if m != nil && run.tags[m[1]] == m[2] && len(in.Experiments) == 1 && run.experiment == in.Experiments[0] {
				found = append(found, f.info(i))
			}
		}
		return map[string]any{"runs": found}, nil
	case "runs/update":
		run := f.byID(in.RunID)
		if run == nil {
			return nil, &fakeError{404, "RESOURCE_DOES_NOT_EXIST", "no such run"}
		}
		run.status, run.end = in.Status, in.End
		return map[string]any{}, nil
	}
	return nil, &fakeError{404, "ENDPOINT_NOT_FOUND", what}
}

func (f *fake) info(i int) any {
	return map[string]any{"info": map[string]string{"run_id": fmt.Sprintf("run%d", i)}}
}

func (f *fake) byID(id string) *fakeRun {
	for i, run := range f.runs {
		if id == fmt.Sprintf("run%d", i) {
			return run
		}
	}
	return nil
}

type logBatch struct {
	RunID   string `json:"run_id"`
	Metrics []struct {
		Key       string          `json:"key"`
		Value     json.RawMessage `json:"value"`
		Timestamp int64           `json:"timestamp"`
		Step      int64           `json:"step"`
	} `json:"metrics"`
	Params []pair `json:"params"`
	Tags   []pair `json:"tags"`
}

func (f *fake) logBatch(body []byte, share float64) (any, *fakeError) {
	if f.keepBodies {
		f.bodies = append(f.bodies, bytes.Clone(body))
	}
	if len(body) > 1_000_000 {
		return nil, bad("a body of %d bytes", len(body))
	}
	if f.metrics != nil {
		return map[string]any{}, f.metrics(body, share)
	}
	var in logBatch
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, bad("%v", err)
	}
	run := f.byID(in.RunID)
	m, p, t := len(in.Metrics), len(in.Params), len(in.Tags)
	switch {
	case run == nil:
		return nil, &fakeError{404, "RESOURCE_DOES_NOT_EXIST", "no such run"}
	case m > 1000 || p > 100 || t > 100 || m+p+t > 1000:
		return nil, bad("%d metrics, %d params, %d tags", m, p, t)
	case m+p+t == 0:
		return nil, bad("nothing")
	}
	for _, pairs := range []struct {
		of    []pair
		limit int
	}{{in.Params, 6000}, {in.Tags, 5000}} {
		for _, p := range pairs.of {
			if err := checkName(p.Key); err != nil || len(p.Value) > pairs.limit || strings.ContainsRune(p.Value, 0) {
				return nil, bad("%q = %.20q: %v", p.Key, p.Value, err)
			}
		}
	}
	for _, p := range in.Params {
		if old, ok := run.params[p.Key]; ok && old != p.Value {
			return nil, bad("param %q has another value", p.Key)
		}
		run.params[p.Key] = p.Value
	}
	for i, x := range in.Metrics {
		if float64(i) >= share*float64(m) {
			return nil, &fakeError{500, "INTERNAL_ERROR", "the store failed in the middle"}
		}
		var value float64
		if x.Value[0] == '"' {
			values := map[string]float64{`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1)}
			v, ok := values[string(x.Value)]
			if !ok || f.finiteOnly {
				return nil, bad("value %s of %q", x.Value, x.Key)
			}
			value = v
		} else if err := json.Unmarshal(x.Value, &value); err != nil {
			return nil, bad("value %s of %q", x.Value, x.Key)
		}
		if !simpleName(x.Key) {
			if err := checkName(x.Key); err != nil {
				return nil, bad("metric %q: %v", x.Key, err)
			}
		}
		if x.Timestamp < 0 {
			return nil, bad("timestamp %d", x.Timestamp)
		}
		at := point{x.Key, math.Float64bits(value), x.Timestamp, x.Step}
		if f.appends {
			run.points[at]++
		} else {
			run.points[at] = 1
		}
	}
	for _, t := range in.Tags {
		run.tags[t.Key] = t.Value
	}
	return map[string]any{}, nil
}

func simpleName(s string) bool { return s == "train/loss" || s == "train/grad_norm" }

var nameCharacters = regexp.MustCompile(`^[/\p{L}\p{N}_.\- ]*$`)

// checkName is _validate_metric_name of a server on Windows, the strictest.
func checkName(s string) error {
	clean := path.Clean(s)
	switch {
	case s == "" || !nameCharacters.MatchString(s):
		return errors.New("characters")
	case clean != s || clean == "." || strings.HasPrefix(clean, "..") || clean[0] == '/':
		return errors.New("path is not unique")
	case len([]rune(s)) > 250:
		return errors.New("too long")
	}
	return nil
}

// fault is what happens to a request.
type fault int

const (
	works fault = iota
	refuse
	resetBefore
	resetAfter
	error500Before
	error500After
	partial
	busy429
	busy503
	hangBefore
	hangAfter

	numFaults
)

// network is a RoundTripper that calls the server directly, with faults.
type network struct {
	server http.Handler
	fault  func(path string, n int) fault // n counts the requests
	n      int
	at     []time.Time
}

func (w *network) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := works
	w.at = append(w.at, time.Now())
	if w.fault != nil {
		kind = w.fault(strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/"), w.n)
	}
	w.n++
	if kind == refuse {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	answer := httptest.NewRecorder()
	status := func(code int, text string) (*http.Response, error) {
		answer = httptest.NewRecorder()
		answer.Header().Set("Retry-After", "2")
		answer.WriteHeader(code)
		answer.WriteString(text)
		return answer.Result(), nil
	}
	serve := func(share float64) {
		if f, ok := w.server.(*fake); ok {
			f.serve(answer, r, body, share)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.server.ServeHTTP(answer, r)
	}
	switch kind {
	case resetBefore:
		return nil, syscall.ECONNRESET
	case resetAfter:
		serve(1)
		return nil, syscall.ECONNRESET
	case error500Before:
		return status(500, "<html>oops</html>")
	case error500After:
		serve(1)
		return status(502, "")
	case partial:
		serve(0.5)
		return status(500, `{"error_code":"INTERNAL_ERROR"}`)
	case busy429:
		return status(429, `{"error_code":"REQUEST_LIMIT_EXCEEDED"}`)
	case busy503:
		return status(503, `{"error_code":"TEMPORARILY_UNAVAILABLE"}`)
	case hangBefore:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case hangAfter:
		serve(1)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	serve(1)
	return answer.Result(), nil
}

func newSink(t *testing.T, w *network, change func(*Config)) *Sink {
	t.Helper()
	cfg := Config{URL: "http://mlflow.test", Client: &http.Client{Transport: w}}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	return s
}

var session = &training.Session{Run: "r7", World: 1}

// steps returns two metrics a step.
func steps(from, to int64) (batch []training.Record) {
	at := time.UnixMilli(1_700_000_000_000)
	for n := from; n < to; n++ {
		at := at.Add(time.Duration(n) * time.Second)
		batch = append(batch,
			training.Record{Kind: training.RecordStep, Session: session, At: at, Step: n, Tag: "train/loss", Value: float64(n) / 8},
			training.Record{Kind: training.RecordStep, Session: session, At: at, Step: n, Tag: "train/grad_norm", Value: 1})
	}
	return batch
}

// give writes a batch as a Recorder does: until it is taken, with pauses.
func give(t *testing.T, s *Sink, batch []training.Record) (failures int, dropped error) {
	t.Helper()
	for {
		err := s.Write(context.Background(), batch)
		if err == nil {
			return failures, nil
		}
		if errors.Is(err, training.ErrDropped) {
			return failures, err
		}
		failures++
		require.Less(t, failures, 1000, "%v", err)
		time.Sleep(time.Second / 2)
	}
}
