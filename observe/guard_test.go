package observe

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// 5,000 names from 8 goroutines are MaxModels + 1 series, and each request that
// lost its name is counted.
func TestGuardManyNames(t *testing.T) {
	m := mwNew(t, Config{MaxModels: 50})
	const names, workers, each = 5000, 8, 2 * 5000 / 8
	h := m.Middleware(http.NotFoundHandler())
	var own, other atomic.Int64
	stop := make(chan struct{})
	var drained sync.WaitGroup
	drained.Go(func() {
		for {
			select {
			case s := <-m.done:
				if s.Model == "other" {
					other.Add(1)
				} else {
					own.Add(1)
					if s.Model != s.RequestModel {
						t.Errorf("%q under %q", s.RequestModel, s.Model)
					}
				}
			case <-stop:
				if len(m.done) == 0 {
					return
				}
			}
		}
	})
	var wg sync.WaitGroup
	for g := range workers {
		wg.Go(func() {
			for i := range each { // every name twice, by two goroutines
				name := fmt.Sprintf("m%d", (i+g*names/workers)%names)
				if i%2 == 0 {
					h.ServeHTTP(&nopWriter{http.Header{}}, httptest.NewRequest("POST", "/v1/completions", strings.NewReader(`{"model":"`+name+`"}`)))
				} else {
					_, q := m.Start(context.Background(), RequestInfo{Model: name, Operation: OperationTextCompletion, Provider: "openai"})
					q.End(nil)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	drained.Wait()
	require.Len(t, m.sink.series, 51)
	for l, n := range m.sink.series {
		require.Equal(t, 1, n, "Series is asked once for %v", l)
	}
	require.EqualValues(t, each*workers, own.Load()+other.Load())
	require.EqualValues(t, other.Load(), m.Losses().ModelOverflow)
	require.GreaterOrEqual(t, own.Load(), int64(50))
	m.idle(t)
}

var mwHostile = map[string]string{
	"empty": "", "invalid UTF-8": "a\xffb", "cut rune": "abc\xe2\x82", "NUL": "a\x00b", "newline": "a\nb", "DEL": "a\x7f",
	"C1 control": "a\u0085b", "129 bytes": strings.Repeat("x", 129), "1 MB": strings.Repeat("x", 1<<20), "surrogate": "\xed\xa0\x80",
}

// Names that cannot be label values never are, on whatever way they come.
func TestGuardHostileNames(t *testing.T) {
	for what, name := range mwHostile {
		m := mwNew(t, Config{})
		want, lost := "other", uint64(1)
		if name == "" {
			want, lost = "unknown", 0
		}
		_, q := m.Start(context.Background(), RequestInfo{Model: name})
		q.End(nil)
		require.Equal(t, want, m.next(t).Model, what)
		require.Equal(t, lost, m.Losses().ModelOverflow, what)

		_, q = m.Start(context.Background(), RequestInfo{Operation: Operation(name), Provider: name, Priority: name})
		q.SetErrorType(name)
		q.SetFinishReason(name)
		q.SetModel(name)
		q.End(http.ErrServerClosed)
		s := m.next(t)
		require.Equal(t, name, s.RequestModel, what)
		label := map[bool]string{true: "other", false: "_OTHER"}
		if name == "" {
			require.Equal(t, Labels{"unknown", OperationOther, "custom"}, s.Labels)
			require.Equal(t, []string{"", "_OTHER", ""}, []string{s.Priority, s.ErrorType, s.FinishReason})
		} else {
			require.Equal(t, Labels{"other", "other", "other"}, s.Labels, what)
			require.Equal(t, []string{"other", label[false], "other"}, []string{s.Priority, s.ErrorType, s.FinishReason}, what)
			require.EqualValues(t, 5, m.Losses().LabelOverflow, what)
		}
		m.Engine(name).SetRunning(1)
		m.SetServed(Served{Model: name, Version: name, Checkpoint: name, Commit: "c"})
		for e := range m.Engines() {
			require.True(t, validName(e.Model), what)
		}
		for v := range m.Served() {
			require.Equal(t, want, v.Model)
			if name != "" {
				require.Equal(t, Served{"other", "other", "other", "c"}, v)
			}
		}
		for l := range m.sink.series {
			require.True(t, validName(l.Model) && validName(string(l.Operation)) && validName(l.Provider), what)
		}
	}
	for _, name := range []string{"m", "org/model:tag", "модель", "模型 v2", strings.Repeat("x", 128), "other", "unknown"} {
		m := mwNew(t, Config{})
		_, q := m.Start(context.Background(), RequestInfo{Model: name})
		q.End(nil)
		require.Equal(t, name, m.next(t).Model)
		require.Zero(t, m.Losses())
	}
}

// An application may bring words of its own, so many and no more.
func TestGuardWords(t *testing.T) {
	m := mwNew(t, Config{})
	distinct := map[string]map[string]bool{"operation": {}, "provider": {}, "priority": {}, "error": {}, "reason": {}}
	for i := range 200 {
		_, q := m.Start(context.Background(), RequestInfo{Operation: Operation(fmt.Sprint("o", i)), Provider: fmt.Sprint("p", i), Priority: fmt.Sprint("q", i)})
		q.SetErrorType(fmt.Sprint("e", i))
		q.SetFinishReason(fmt.Sprint("f", i))
		q.End(http.ErrServerClosed)
		s := m.next(t)
		for k, v := range map[string]string{"operation": string(s.Operation), "provider": s.Provider, "priority": s.Priority, "error": s.ErrorType, "reason": s.FinishReason} {
			distinct[k][v] = true
		}
		require.Equal(t, fmt.Sprint("f", i), s.FinishReasonRaw)
	}
	for k, want := range map[string]int{"operation": 17, "provider": 17, "priority": 17, "error": 33, "reason": 17} {
		require.Len(t, distinct[k], want, k)
	}
	require.EqualValues(t, 4*184+168, m.Losses().LabelOverflow)
	require.Len(t, m.sink.series, 17)
}

// Listed models have series before traffic, and are the only ones.
func TestGuardListed(t *testing.T) {
	m := mwNew(t, Config{Models: []string{"a", "b"}, Provider: "acme"})
	require.Equal(t, map[Labels]int{{"a", OperationChat, "acme"}: 1, {"b", OperationChat, "acme"}: 1}, m.sink.series)
	var rows []string
	for l := range m.Live() {
		rows = append(rows, l.Model)
	}
	require.Equal(t, []string{"a", "b"}, rows)
	for _, name := range []string{"a", "c", "", "b", "d"} {
		_, q := m.Start(context.Background(), RequestInfo{Model: name, Operation: OperationChat})
		q.End(nil)
	}
	var got []string
	for range 5 {
		got = append(got, m.next(t).Model)
	}
	require.Equal(t, []string{"a", "other", "unknown", "b", "other"}, got)
	require.EqualValues(t, 2, m.Losses().ModelOverflow)
	require.Equal(t, "openai", func() string {
		for l := range mwNew(t, Config{Models: []string{"a"}}).sink.series {
			return l.Provider
		}
		return ""
	}())
}

// The response may name a hostile model, too.
func TestGuardResponseModel(t *testing.T) {
	m := mwNew(t, Config{MaxModels: 3})
	for i := range 10 {
		m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mwSSE(w)
			fmt.Fprintf(w, `data: {"model":"%s%d","choices":[{"delta":{"content":"x"}}]}`+"\n\n", strings.Repeat("y", 20*i), i)
		})).ServeHTTP(&nopWriter{http.Header{}}, httptest.NewRequest("GET", "/", nil))
		s := m.next(t)
		require.Equal(t, i < 3, s.Model != "other", "%d %q", i, s.Model)
		require.Less(t, len(s.ResponseModel), maxNameBytes+8, "a long name is cut")
	}
	require.EqualValues(t, 7, m.Losses().ModelOverflow)
}
