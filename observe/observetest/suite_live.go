package observetest

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/calmops/calm/observe"
)

// engines: what engines say of themselves, and what is served.
func engines(s *scene) {
	rec := s.recorder(observe.Config{})
	a, b := rec.Engine("a"), rec.Engine("b")
	s.settle("before an engine says anything", 0)
	a.SetRunning(7)
	a.SetWaiting(3)
	a.SetKVUsage(0.25)
	a.AddPreemptions(2)
	a.AddPrefixCache(100, 40)
	b.SetKVUsage(0) // a usage of zero is one
	b.AddPrefixCache(10, 0)
	rec.SetServed(observe.Served{Model: "a", Version: "v1", Checkpoint: "sha256:1", Commit: "c1"})
	rec.SetServed(observe.Served{Model: "b", Version: "v7"})
	s.settle("after the engines spoke", 0)
	s.expect("after the engines spoke", observe.MetricKVCacheUsage, Reading{Sum: 0.25}, map[string]string{"model": "a"})
	s.expect("after the engines spoke", observe.MetricRunning, Reading{Sum: 7}, map[string]string{"model": "a"})
	a.SetRunning(0)
	a.SetWaiting(1)
	a.SetKVUsage(2) // clamped
	a.AddPreemptions(1)
	a.AddPrefixCache(100, 60)
	rec.SetServed(observe.Served{Model: "a", Version: "v2", Checkpoint: "sha256:2", Commit: "c2"})
	s.expect("after a new version", observe.MetricModelInfo, Reading{}, map[string]string{"version": "v1"})
	q := s.start(rec, observe.RequestInfo{Model: "b"})
	q.Queued()
	q.Scheduled()
	q.Preempted()
	q.Scheduled()
	s.settle("while an engine works", 1)
	q.End(nil)
}

// liveState: what is in flight and waiting, at each step of a request.
func liveState(s *scene) {
	rec := s.recorder(observe.Config{})
	at := map[string]string{"model": "m", "operation": "chat"}
	model := map[string]string{"model": "m"}
	s.serve(rec, call{handler: func(w http.ResponseWriter, r *http.Request) {
		q := observe.FromContext(r.Context())
		s.expect("in the handler", observe.MetricInFlight, Reading{Sum: 1}, at)
		s.expect("in the handler", observe.MetricRunning, Reading{Sum: 1}, model)
		q.Queued()
		s.expect("queued", observe.MetricWaiting, Reading{Sum: 1}, model)
		s.expect("queued", observe.MetricRunning, Reading{}, model)
		time.Sleep(time.Millisecond)
		q.Scheduled()
		s.expect("scheduled", observe.MetricWaiting, Reading{}, model)
		q.Preempted()
		s.expect("preempted", observe.MetricWaiting, Reading{Sum: 1}, model)
		s.expect("preempted", observe.MetricPreemptions, Reading{Sum: 1}, model)
		q.Scheduled()
		s.expect("before the end", observe.MetricRequests, Reading{}, nil)
		s.play(w, sseHeader, "5ms "+token, "5ms "+token, done)
		s.expect("after the answer", observe.MetricInFlight, Reading{Sum: 1}, at)
	}})
	s.idle("after the request")

	const n = 5
	open := make([]*observe.Request, n)
	for i := range open {
		open[i] = s.start(rec, observe.RequestInfo{Model: "m", Operation: observe.OperationChat, Provider: fmt.Sprint("p", i%2)})
		open[i].Queued()
		s.expect("while requests come", observe.MetricInFlight, Reading{Sum: float64(i + 1)}, at)
		s.expect("while requests come", observe.MetricWaiting, Reading{Sum: float64(i + 1)}, model)
	}
	open[0].SetModel("m2") // takes its place along
	s.expect("after a move", observe.MetricInFlight, Reading{Sum: n - 1}, at)
	s.expect("after a move", observe.MetricWaiting, Reading{Sum: 1}, map[string]string{"model": "m2"})
	s.settle("while requests wait", n)
	for _, q := range open {
		q.End(nil)
	}
	s.idle("after the requests")
}

// lost: whatever a Recorder says it lost.
func lost(s *scene) {
	rec := s.recorder(observe.Config{MaxModels: 2, OnRequest: func(r observe.RequestStats) {
		if r.Value == boom {
			panic(boom)
		}
	}})
	for i := range 5 {
		s.start(rec, observe.RequestInfo{Model: fmt.Sprint("m", i), Priority: fmt.Sprint("p", i)}).End(nil)
	}
	for i := range 20 {
		s.start(rec, observe.RequestInfo{Model: "m0", Priority: fmt.Sprint("q", i)}).End(nil)
	}
	s.serve(rec, call{script: []string{sseHeader, token, data(`{"choices":[`), data(`nothing`), done}})
	long := make([]byte, 8<<10)
	for i := range long {
		long[i] = 'x'
	}
	s.serve(rec, call{script: []string{sseHeader, token, `write "data: {\"choices\":[{\"delta\":{\"content\":\""`,
		fmt.Sprintf("write %q", long), `write "\"}}]}\n\n"`, done}})
	q := s.start(rec, observe.RequestInfo{Model: "m0"})
	now := time.Now()
	time.Sleep(10 * time.Millisecond)
	q.TokenAt(1, now.Add(5*time.Millisecond))
	q.TokenAt(1, now.Add(2*time.Millisecond))
	q.TokenAt(1, now.Add(9*time.Millisecond))
	for range 3 {
		q.TokenAt(1, now.Add(time.Millisecond))
	}
	q.End(nil)
	for range 3 {
		q := s.start(rec, observe.RequestInfo{Model: "m0"})
		q.SetValue(boom)
		q.End(nil)
		s.panics++
	}
	// Each count is another, so that a sink cannot take one for the other.
	n := rec.Losses()
	counts := []uint64{n.ModelOverflow, n.LabelOverflow, n.BadEvents, n.TruncatedEvents, n.ClockSteps, n.CallbackPanics}
	slices.Sort(counts)
	if counts[0] == 0 || len(slices.Compact(counts)) != 6 {
		s.faultf("the Recorder lost %+v, want some of each and no two equal", n)
	}
}

// severalRecorders feed one sink: equal label sets add up.
func severalRecorders(s *scene) {
	recs := []*observe.Recorder{s.recorder(observe.Config{}), s.recorder(observe.Config{}), s.recorder(observe.Config{Models: []string{"m"}})}
	open := make([]*observe.Request, len(recs))
	for i, r := range recs {
		s.serve(r, call{script: []string{sseHeader, "10ms " + token, "20ms " + token, usage, done}})
		r.Engine("m").AddPrefixCache(10*(i+1), i)
		r.SetServed(observe.Served{Model: "m", Version: "v1", Commit: "c"})
		open[i] = s.start(r, observe.RequestInfo{Model: "m", Operation: observe.OperationChat})
		open[i].Queued()
	}
	s.settle("while all have a request", len(open))
	s.expect("while all have a request", observe.MetricInFlight, Reading{Sum: 3}, map[string]string{"model": "m"})
	s.expect("while all have a request", observe.MetricModelInfo, Reading{Sum: 1}, map[string]string{"model": "m"})
	for _, q := range open {
		q.End(nil)
	}
	s.idle("after the requests")
}
