package observeprom

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHostileModelNames: 5,000 names from 8 goroutines make a bounded number of
// series, and the overflow counter accounts for the rest.
func TestHostileModelNames(t *testing.T) {
	const names, workers = 5000, 8
	reg := prometheus.NewPedanticRegistry()
	s := newServing(t, ServingConfig{Registerer: reg})
	r := newRecorder(t, s)
	hostile := func(i int) string {
		switch i % 5 {
		case 1:
			return fmt.Sprintf("bad\xff%d", i)
		case 2:
			return fmt.Sprintf("nul\x00%d", i)
		case 3:
			return fmt.Sprintf("line %d\n", i)
		case 4:
			return strings.Repeat("x", 1<<12) + fmt.Sprint(i)
		}
		return fmt.Sprintf("model-%d\"}", i) // quotes are text
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < names; i += workers {
				_, q := r.Start(context.Background(), observe.RequestInfo{Model: hostile(i), Operation: observe.OperationChat})
				q.SetErrorType(fmt.Sprint("error-", i))
				q.SetFinishReason(fmt.Sprint("reason-", i))
				q.End(context.Canceled)
			}
		})
	}
	wg.Wait()
	families, err := reg.Gather()
	require.NoError(t, err)
	const perModel = 2 + 33 // no error and each error type, of which some are shared
	for _, f := range families {
		assert.LessOrEqual(t, len(f.Metric), 102*perModel, f.GetName())
	}
	get := reader(s)
	got, _ := get(observe.MetricRequests, nil)
	assert.EqualValues(t, names, got.Sum)
	models := read(s, name(observe.MetricInFlight), nil)
	assert.LessOrEqual(t, len(models), 102)
	overflow, _ := get(observe.MetricSeriesOverflow, map[string]string{"kind": "model"})
	other, _ := get(observe.MetricRequests, map[string]string{"model": "other"})
	assert.Equal(t, other.Sum, overflow.Sum)
	assert.Greater(t, overflow.Sum, 4000.)
}

func TestTwoRecordersAddUp(t *testing.T) {
	s := newServing(t, ServingConfig{})
	a, b := newRecorder(t, s), newRecorder(t, s)
	s.Attach(a) // again: it counts once
	for i, r := range []*observe.Recorder{a, b} {
		for range 2 + i {
			play(t, r, shortStream, nil, nil)
		}
		_, q := r.Start(context.Background(), observe.RequestInfo{Model: "m1", Operation: observe.OperationChat, Provider: fmt.Sprint("p", i)})
		defer q.End(nil)
		q.Queued()
		r.Engine("m1").SetKVUsage(.2 + .4*float64(i))
		r.Engine("m1").AddPrefixCache(10, i)
		r.SetServed(observe.Served{Model: "m1", Version: "v1", Commit: "c"})
	}
	b.Engine("m2").SetRunning(4)
	b.SetServed(observe.Served{Model: "m1", Version: "v2", Commit: "c"})
	get := reader(s)
	for id, want := range map[observe.MetricID]float64{
		observe.MetricRequests: 5, observe.MetricInFlight: 2, observe.MetricWaiting: 2, observe.MetricPrefixCacheQueries: 20,
		observe.MetricPrefixCacheHits: 1,
		observe.MetricKVCacheUsage:    .4, // a share cannot be added: the mean
		observe.MetricModelInfo:       2,  // one a version, never 2 of one
	} {
		got, _ := get(id, map[string]string{"model": "m1"})
		assert.InDelta(t, want, got.Sum, 1e-9, name(id))
	}
	running, _ := get(observe.MetricRunning, nil)
	assert.EqualValues(t, 4, running.Sum)
	assert.Len(t, read(s, name(observe.MetricInFlight), map[string]string{"model": "m1"}), 1, "providers share the series")
}

// TestCollectHoldsNoLock: a scrape that is read slowly delays no new series, no
// request and no Recorder.
func TestCollectHoldsNoLock(t *testing.T) {
	s := newServing(t, ServingConfig{})
	r := newRecorder(t, s)
	play(t, r, shortStream, nil, nil)
	ch := make(chan prometheus.Metric)
	var collecting sync.WaitGroup
	collecting.Go(func() {
		s.Collect(ch)
		close(ch)
	})
	<-ch // it is in the middle of sending
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 10 {
			_, q := r.Start(context.Background(), observe.RequestInfo{Model: fmt.Sprint("new-", i), Priority: fmt.Sprint("p", i)})
			q.Scheduled()
			q.Token(100)
			q.SetFinishReason("stop")
			q.End(fmt.Errorf("failed"))
		}
		newRecorder(t, s).Engine("m")
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("requests wait for the scrape")
	}
	for range ch {
	}
	collecting.Wait()
}

// TestConcurrentScrapes: scrapes, new Recorders, new series and requests at once.
func TestConcurrentScrapes(t *testing.T) {
	const workers, each = 6, 100
	reg := prometheus.NewPedanticRegistry()
	s := newServing(t, ServingConfig{Registerer: reg, NativeHistograms: true})
	stop := make(chan struct{})
	var scrapes, work sync.WaitGroup
	for range 2 {
		scrapes.Go(func() {
			for {
				if _, err := reg.Gather(); !assert.NoError(t, err) {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	for w := range workers {
		work.Go(func() {
			r := newRecorder(t, s)
			for i := range each {
				_, q := r.Start(context.Background(), observe.RequestInfo{Model: fmt.Sprint("m", i%7), Priority: fmt.Sprint("p", w)})
				q.Queued()
				q.Scheduled()
				q.Token(1)
				q.Token(70)
				q.SetUsage(observe.Usage{Input: 1, Output: 71, CachedInput: int64(i % 2)})
				q.SetErrorType(fmt.Sprint("e", i%5))
				q.End([]error{nil, context.Canceled, fmt.Errorf("failed")}[i%3])
			}
		})
	}
	work.Wait()
	close(stop)
	scrapes.Wait()
	get := reader(s)
	requests, _ := get(observe.MetricRequests, nil)
	assert.EqualValues(t, workers*each, requests.Sum)
	gaps, _ := get(observe.MetricInterTokenLatency, nil)
	assert.EqualValues(t, workers*each*70, gaps.Count)
	input, _ := get(observe.MetricTokens, map[string]string{"type": "input"})
	assert.EqualValues(t, workers*each, input.Sum)
}

// requestKinds are finished requests of each kind that has handles of its own.
func requestKinds() map[string]observe.RequestStats {
	const ms = time.Millisecond
	whole := observe.RequestStats{
		Labels: observe.Labels{Model: "m", Operation: observe.OperationChat}, Stream: true, StatusCode: 200, Code: "200", ResponseBytes: 10,
		Duration: 90 * ms, TTFB: ms, TTFT: 20 * ms, FirstContent: 30 * ms, LastToken: 80 * ms, Queue: 10 * ms, Prefill: 10 * ms,
		Decode: 60 * ms, TPOT: 12 * ms, Valid: 1<<9 - 1, Usage: observe.Usage{Input: 7, Output: 6, CachedInput: 3, CacheWriteInput: 2, ReasoningOutput: 1},
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage, FinishReason: "stop", Priority: "high",
		SLO: observe.Attainment{TTFT: observe.SLOMet, TPOT: observe.SLOMissed, Duration: observe.SLOMet}, Overhead: 1000,
	}
	plain := observe.RequestStats{Labels: whole.Labels, StatusCode: 200, Code: "200", Duration: ms}
	failed := whole
	failed.Outcome, failed.ErrorType, failed.Code, failed.Abandoned = observe.OutcomeServerError, "500", "500", true
	return map[string]observe.RequestStats{"whole": whole, "plain": plain, "failed": failed}
}

// TestAllocations: once a kind of request was seen, it costs no allocation, nor
// does a merge of gaps.
func TestAllocations(t *testing.T) {
	for config, cfg := range map[string]ServingConfig{
		"classic":  {},
		"native":   {NativeHistograms: true},
		"exemplar": {Exemplar: func(context.Context) prometheus.Labels { return nil }},
	} {
		h := newServing(t, cfg).Series(observe.Labels{Model: "m", Operation: observe.OperationChat})
		for kind, r := range requestKinds() {
			assert.Zero(t, testing.AllocsPerRun(200, func() { h.Request(context.Background(), &r) }), "%s %s", config, kind)
		}
		gaps := make([]time.Duration, 64)
		for i := range gaps {
			gaps[i] = time.Duration(i+1) * time.Millisecond
		}
		assert.Zero(t, testing.AllocsPerRun(200, func() { h.Gaps(gaps) }), config)
	}
}

func BenchmarkRequest(b *testing.B) {
	h := newServing(b, ServingConfig{}).Series(observe.Labels{Model: "m", Operation: observe.OperationChat})
	for kind, r := range requestKinds() {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Request(context.Background(), &r)
			}
		})
	}
}

func BenchmarkGaps(b *testing.B) {
	for name, native := range map[string]bool{"classic": false, "native": true} {
		b.Run(name, func(b *testing.B) {
			h := newServing(b, ServingConfig{NativeHistograms: native}).Series(observe.Labels{Model: "m"})
			gaps := make([]time.Duration, 64)
			for i := range gaps {
				gaps[i] = 20*time.Millisecond + time.Duration(i)*time.Microsecond
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Gaps(gaps)
			}
		})
	}
}

func BenchmarkCollect(b *testing.B) {
	s := newServing(b, ServingConfig{})
	for i := range 100 {
		s.Series(observe.Labels{Model: fmt.Sprint("m", i), Operation: observe.OperationChat})
	}
	b.ReportAllocs()
	for b.Loop() {
		s.snapshot()
	}
}
