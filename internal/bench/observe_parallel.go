package main

import (
	"runtime"
	"strings"
	"sync"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// observeParallel looks for locks that streams wait for on the path of a chunk.
func observeParallel() Suite {
	const waits = "waits"
	return Suite{
		Name: "observe.parallel", Unit: Times,
		Claims: []Claim{{Name: "observe.parallel.locks", Ours: Of(waits),
			Doc: "times that two streams at once waited for a lock taken by observe or below it (mutex and block profile)"}},
		Count: func() (map[string]float64, error) {
			m, err := withObserve(observe.Config{}, observeprom.ServingConfig{})
			if err != nil {
				return nil, err
			}
			const packages = "github.com/calmops/calm/observe"
			w := chat(events)
			h := m(w.handler())
			w.served(h)(1) // The first request opens the series, behind a lock.
			n := contended(packages, func() {
				var streams sync.WaitGroup
				for range 2 {
					serve := w.served(h)
					streams.Go(func() { serve(2000) })
				}
				streams.Wait()
			})
			return map[string]float64{waits: float64(n)}, nil
		},
	}
}

// contended runs f and returns how often something waited for a lock, or at a
// channel, that a function of the packages took, or one that it called. What
// the runtime waits for is not counted: a collection, or a sync.Pool after one.
func contended(packages string, f func()) int64 {
	count := func() (n int64) {
		for _, profile := range []func([]runtime.BlockProfileRecord) (int, bool){runtime.MutexProfile, runtime.BlockProfile} {
			for _, r := range records(profile) {
				if through(r.Stack(), packages) {
					n += r.Count
				}
			}
		}
		return n
	}
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	before := count() // The profiles hold what was there before.
	f()
	return count() - before
}

func records(profile func([]runtime.BlockProfileRecord) (int, bool)) []runtime.BlockProfileRecord {
	n, _ := profile(nil)
	for {
		all := make([]runtime.BlockProfileRecord, n+64)
		var ok bool
		if n, ok = profile(all); ok {
			return all[:n]
		}
	}
}

// through reports whether a stack leads to a lock through a function whose name
// begins with prefix.
func through(stack []uintptr, prefix string) bool {
	frames := runtime.CallersFrames(stack)
	waiting := true // Still in the lock itself.
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, prefix):
			return true
		case strings.HasPrefix(f.Function, "sync.(*Pool)"):
			return false
		case waiting && (strings.HasPrefix(f.Function, "sync.") || strings.HasPrefix(f.Function, "internal/sync.") ||
			strings.HasPrefix(f.Function, "runtime.chan") || f.Function == "runtime.selectgo"):
		case waiting && strings.HasPrefix(f.Function, "runtime."):
			return false
		default:
			waiting = false
		}
		if !more {
			return false
		}
	}
}
