package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// observeLoopback is a real server and its client in this process. One slice is
// a stream of 256 chunks, or ten JSON answers.
func observeLoopback() Suite {
	const jsonOurs, jsonBare = "observe, JSON", "bare, JSON"
	return Suite{
		Name: "observe.loopback", Process: true,
		Claims: []Claim{
			{Name: "observe.loopback.bare", Doc: "process CPU of a stream over loopback, with observe / bare",
				Ours: Of(ours), Peer: Of(bare), Bar: 1.12},
			{Name: "observe.loopback.otelhttp", Doc: "the same / with otelhttp and SDK metrics",
				Ours: Of(ours), Peer: Of(otel), Bar: 1.00},
			{Name: "observe.loopback.json", Doc: "process CPU of a JSON answer over loopback, with observe / bare",
				Ours: Of(jsonOurs), Peer: Of(jsonBare), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			l := loopback{}
			l.add(bare, chat(events), 1, plain)
			l.add(ours, chat(events), 1, l.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
			l.add(otel, chat(events), 1, l.must(withOtelhttp()))
			l.add(jsonBare, answer(), 10, plain)
			l.add(jsonOurs, answer(), 10, l.must(withObserve(observe.Config{}, observeprom.ServingConfig{})))
			return l.cases, l.close, l.err
		},
	}
}

// A loopback gathers cases that each have a server.
type loopback struct {
	caseBuilder
	servers []*httptest.Server
}

func (l *loopback) close() {
	for _, s := range l.servers {
		s.Close()
	}
}

// add is a server for the workload, and the client that asks it n times a slice.
func (l *loopback) add(name string, w workload, n int, m middleware) {
	server := httptest.NewServer(m(w.handler()))
	l.servers = append(l.servers, server)
	client, buf := server.Client(), make([]byte, 32<<10)
	body := &requestBody{}
	req, err := http.NewRequest(http.MethodPost, server.URL+w.path, body)
	if err != nil {
		panic("bench: " + err.Error()) // The paths are ours.
	}
	req.ContentLength = int64(len(w.body))
	req.Header.Set("Content-Type", "application/json")
	want := 0
	for _, b := range w.writes {
		want += len(b)
	}
	l.cases = append(l.cases, Case{Name: name, N: n, Run: func(n int) {
		for range n {
			body.data.Reset(w.body)
			resp, err := client.Do(req)
			if err != nil {
				panic("bench: " + err.Error())
			}
			got, err := io.CopyBuffer(onlyWriter{io.Discard}, resp.Body, buf)
			resp.Body.Close()
			if err != nil || got != int64(want) {
				panic(fmt.Sprintf("bench: %s: %d of %d bytes: %v", name, got, want, err))
			}
		}
	}})
}

// onlyWriter hides ReadFrom, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// observeAllocs counts allocations.
func observeAllocs() Suite {
	const one, long, short = "JSON answer", "512 chunks", "256 chunks"
	return Suite{
		Name: "observe.allocs", Unit: Allocations,
		Claims: []Claim{
			{Name: "observe.allocs.json", Doc: "allocations that observe with observeprom adds to a JSON answer", Ours: Added(one, bare), Bar: 2},
			{Name: "observe.allocs.chunk", Doc: "allocations of a stream of 512 chunks less those of one of 256", Ours: Added(long, short), Bar: 0},
		},
		Count: func() (map[string]float64, error) {
			m, err := withObserve(observe.Config{}, observeprom.ServingConfig{})
			if err != nil {
				return nil, err
			}
			return map[string]float64{
				bare:  allocations(answer(), plain),
				one:   allocations(answer(), m),
				short: allocations(chat(events), m),
				long:  allocations(chat(2*events), m),
			}, nil
		},
	}
}

// allocations is the mean number of a request, less what is not of each.
func allocations(w workload, m middleware) float64 {
	const runs = 200
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // A collection would empty the pools.
	serve := w.served(m(w.handler()))
	serve(10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	serve(runs)
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / runs)
}
