package observetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/calmops/calm/observe"
)

// gapMerges: streams around the size of a merge, one token and many at a time,
// read while they run.
func gapMerges(s *scene) {
	rec := s.recorder(observe.Config{})
	for _, n := range []int{0, 1, 2, 63, 64, 65, 127, 128, 129, 500} {
		model := fmt.Sprint("gaps-", n)
		q := s.start(rec, observe.RequestInfo{Model: model, Operation: observe.OperationChat})
		q.Token(1)
		var merged time.Duration
		for i := range n {
			time.Sleep(tick(i))
			q.Token(1)
			if (i+1)%64 != 0 {
				continue
			}
			// Both this and the last multiple of 64 are merged: the sink must show
			// them now.
			merged = 0
			for j := range i + 1 {
				merged += tick(j)
			}
			s.expect(fmt.Sprintf("%d gaps into a stream", i+1), observe.MetricInterTokenLatency,
				Reading{uint64(i + 1), merged.Seconds()}, map[string]string{"model": model})
		}
		q.End(nil)
	}
	for i, batch := range []int{1, 63, 64, 65, 200} { // the gap is shared by the batch
		q := s.start(rec, observe.RequestInfo{Model: "batches", Operation: observe.OperationChat})
		q.Token(batch)
		time.Sleep(100*time.Millisecond + 1)
		q.Token(batch)
		time.Sleep(tick(i))
		q.Token(1)
		q.End(nil)
	}
	for _, err := range []error{context.Canceled, fmt.Errorf("failed")} { // gaps are kept, however the stream ends
		q := s.start(rec, observe.RequestInfo{Model: "failed", Operation: observe.OperationChat})
		for i := range 70 {
			q.Token(1)
			time.Sleep(tick(i))
		}
		q.End(err)
	}
}

// reuse: what a sink is given belongs to the caller again after the call.
func reuse(s *scene) {
	s.recorder(observe.Config{})
	l := observe.Labels{Model: "reused", Operation: observe.OperationChat, Provider: "openai"}
	h := s.handle(l)
	gaps := make([]time.Duration, 64)
	var sum time.Duration
	count := 0
	for _, n := range []int{64, 1, 64, 17, 64} {
		for i := range gaps[:n] {
			gaps[i] = tick(i + n)
			sum += gaps[i]
		}
		count += n
		h.Gaps(gaps[:n])
		for i := range gaps {
			gaps[i] = time.Hour
		}
		s.expect("after the slice was overwritten", observe.MetricInterTokenLatency,
			Reading{uint64(count), sum.Seconds()}, map[string]string{"model": l.Model})
	}
	s.want(func(w *ledger) {
		w.add(observe.MetricInterTokenLatency, uint64(count), sum.Seconds(), l.Model, string(l.Operation))
	})
	r := directStats(l)
	want := r
	for range 3 {
		h.Request(context.Background(), &r)
		s.want(func(w *ledger) { w.request(&want) })
		r = observe.RequestStats{Labels: observe.Labels{Model: "overwritten"}, Duration: time.Hour, Outcome: observe.OutcomePanic}
		s.expect("after the stats were overwritten", observe.MetricRequests, Reading{}, map[string]string{"outcome": "panic"})
		r = want
	}
}

// directStats is a request as a Recorder would give it, without gaps.
func directStats(l observe.Labels) observe.RequestStats {
	const ms = time.Millisecond
	return observe.RequestStats{
		Labels: l, Stream: true, StatusCode: 200, Code: "200", ResponseBytes: 1000, Complete: true,
		Duration: 90 * ms, TTFB: 5 * ms, FirstEvent: 5 * ms, TTFT: 20 * ms, FirstContent: 30 * ms, Reasoned: true, LastToken: 80 * ms,
		Queue: 10 * ms, Prefill: 10 * ms, Decode: 60 * ms, TPOT: 12 * ms,
		Valid: observe.FieldTTFB | observe.FieldFirstEvent | observe.FieldTTFT | observe.FieldFirstContent |
			observe.FieldLastToken | observe.FieldQueue | observe.FieldPrefill | observe.FieldDecode | observe.FieldTPOT,
		Usage:       observe.Usage{Input: 7, Output: 6, CachedInput: 3, CacheWriteInput: 2, ReasoningOutput: 1},
		InputSource: observe.TokensUsage, OutputSource: observe.TokensUsage,
		FinishReason: "stop", FinishReasonRaw: "stop",
	}
}

// emptyValues is a context that has a value for nothing.
type emptyValues struct{ context.Context }

func (emptyValues) Value(any) any { return nil }

// contexts: the context of a request is there for its values, and needs none.
func contexts(s *scene) {
	s.recorder(observe.Config{})
	l := observe.Labels{Model: "contexts", Operation: observe.OperationOther, Provider: "custom"}
	h := s.handle(l)
	type key struct{}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	for i, ctx := range []context.Context{context.Background(), context.WithValue(context.Background(), key{}, nil),
		emptyValues{context.Background()}, emptyValues{cancelled}, cancelled, late} {
		r := directStats(l)
		r.Duration += tick(i)
		if i == 1 { // a sampled trace changes no count either
			r.TraceID, r.SpanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		}
		if i == 2 { // the code is a label of its own: not every protocol has HTTP statuses
			r.Outcome, r.ErrorType, r.Code, r.StatusCode = observe.OutcomeClientError, "NotFound", "NotFound", 0
		}
		h.Request(ctx, &r)
		s.want(func(w *ledger) { w.request(&r) })
	}
}

// twice: a request that is ended twice, measured twice or used after its end is
// one request.
func twice(s *scene) {
	rec := s.recorder(observe.Config{})
	q := s.start(rec, observe.RequestInfo{Model: "m"})
	q.Token(2)
	time.Sleep(time.Millisecond)
	q.End(nil)
	q.Token(100)
	q.SetModel("late")
	q.Queued()
	q.End(context.Canceled)
	s.expect("after a second end", observe.MetricRequests, Reading{Sum: 1}, nil)

	s.begin(1)
	ctx, outer := rec.Start(context.Background(), observe.RequestInfo{Model: "m"})
	_, inner := rec.Start(ctx, observe.RequestInfo{Operation: observe.OperationChat})
	s.expect("measured twice", observe.MetricInFlight, Reading{Sum: 1}, nil)
	inner.End(nil)
	outer.End(fmt.Errorf("late"))
	s.expect("after both ends", observe.MetricRequests, Reading{Sum: 2}, nil)
	s.expect("after both ends", observe.MetricRequests, Reading{Sum: 1}, map[string]string{"outcome": "ok"})
	s.expect("after both ends", observe.MetricRequests, Reading{Sum: 1}, map[string]string{"outcome": "server_error"})
	s.idle("after both ends")
}

// overhead: what the Recorder costs itself, on the real clock.
func overhead(s *scene) {
	rec := s.recorder(observe.Config{MeasureSelf: true})
	for range 5 {
		script := []string{sseHeader}
		for range 50 {
			script = append(script, token)
		}
		s.serve(rec, call{script: append(script, usage, done)})
	}
}

// concurrency: many requests at once, of several kinds and label sets, while the
// sink is read. Nothing is lost and nothing counts twice.
func concurrency(s *scene) {
	const workers, each = 8, 60
	rec := s.recorder(observe.Config{SLO: observe.SLO{TTFT: time.Microsecond}})
	stop := make(chan struct{})
	var work, readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var last float64
			for {
				got, _ := s.harness.Read(observe.MetricRequests, nil)
				if got.Sum < last {
					s.faultf("while requests run: a counter went from %v to %v", last, got.Sum)
				}
				last = got.Sum
				s.harness.Read(observe.MetricInterTokenLatency, map[string]string{"model": "m0"})
				s.harness.Read(observe.MetricInFlight, nil)
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	ends := endings()
	fast := ends[:0:0]
	for _, e := range ends {
		if e.want != observe.OutcomeTimeout {
			fast = append(fast, e) // these take milliseconds of real time
		}
	}
	for w := range workers {
		work.Go(func() {
			for i := range each {
				if i%10 == 0 {
					fast[(w*each+i)/10%len(fast)].run(s, rec)
					continue
				}
				q := s.start(rec, observe.RequestInfo{Model: fmt.Sprint("m", i%5), Operation: observe.OperationChat, Priority: fmt.Sprint(w % 3)})
				q.Queued()
				q.Scheduled()
				for range 1 + i*3 {
					q.Token(1)
				}
				q.SetUsage(observe.Usage{Input: int64(i), Output: int64(1 + i*3)})
				q.End([]error{nil, nil, context.Canceled, fmt.Errorf("failed")}[i%4])
			}
		})
	}
	work.Wait()
	close(stop)
	readers.Wait()
	s.idle("after all")
}
