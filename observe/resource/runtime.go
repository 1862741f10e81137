package resource

import (
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
)

// The samples of runtime/metrics that are read, in the order of sampleNames.
const (
	sampleGOMAXPROCS = iota
	sampleMemoryLimit
	sampleGoroutines
	sampleTotal
	sampleReleased
	sampleStacks
	sampleObjects
	sampleGoal
	sampleAllocated
	sampleAllocations
	sampleCycles
	sampleUserCPU
	sampleGCCPU
	sampleScavengeCPU
	sampleIdleCPU
	samplePauses
	sampleDelays
	numSamples
)

var sampleNames = [numSamples]string{
	"/sched/gomaxprocs:threads",
	"/gc/gomemlimit:bytes",
	"/sched/goroutines:goroutines",
	"/memory/classes/total:bytes",
	"/memory/classes/heap/released:bytes",
	"/memory/classes/heap/stacks:bytes",
	"/memory/classes/heap/objects:bytes",
	"/gc/heap/goal:bytes",
	"/gc/heap/allocs:bytes",
	"/gc/heap/allocs:objects",
	"/gc/cycles/total:gc-cycles",
	"/cpu/classes/user:cpu-seconds",
	"/cpu/classes/gc/total:cpu-seconds",
	"/cpu/classes/scavenge/total:cpu-seconds",
	"/cpu/classes/idle:cpu-seconds",
	"/sched/pauses/total/gc:seconds",
	"/sched/latencies:seconds",
}

// runtimeReader reads the figures of the Go runtime. It uses its samples, and the
// histograms in them, again and again: reading allocates nothing.
type runtimeReader struct {
	samples [numSamples]metrics.Sample
	cpus    int
}

func newRuntimeReader() runtimeReader {
	r := runtimeReader{cpus: runtime.NumCPU()}
	for i, name := range sampleNames {
		r.samples[i].Name = name
	}
	return r
}

func (r *runtimeReader) read(s *Snapshot) {
	metrics.Read(r.samples[:])
	count := func(i int) uint64 {
		if v := r.samples[i].Value; v.Kind() == metrics.KindUint64 {
			return v.Uint64()
		}
		return 0 // a later Go may have dropped it
	}
	seconds := func(i int) float64 {
		if v := r.samples[i].Value; v.Kind() == metrics.KindFloat64 {
			return v.Float64()
		}
		return 0
	}
	to := &s.Runtime
	to.GOMAXPROCS, to.NumCPU, to.Goroutines = int(count(sampleGOMAXPROCS)), r.cpus, int64(count(sampleGoroutines))
	if n := count(sampleMemoryLimit); n > 0 && n < math.MaxInt64 {
		to.MemoryLimitBytes = int64(n)
		s.Valid |= FieldGoMemoryLimit
	}
	to.UsedBytes = count(sampleTotal) - min(count(sampleTotal), count(sampleReleased))
	to.StackBytes, to.HeapBytes, to.HeapGoalBytes = count(sampleStacks), count(sampleObjects), count(sampleGoal)
	to.AllocatedBytes, to.Allocations, to.GCCycles = count(sampleAllocated), count(sampleAllocations), count(sampleCycles)
	to.UserSeconds, to.GCSeconds = seconds(sampleUserCPU), seconds(sampleGCCPU)
	to.ScavengeSeconds, to.IdleSeconds = seconds(sampleScavengeCPU), seconds(sampleIdleCPU)
	if v := r.samples[samplePauses].Value; v.Kind() == metrics.KindFloat64Histogram {
		to.pauses.fold(v.Float64Histogram())
	}
	if v := r.samples[sampleDelays].Value; v.Kind() == metrics.KindFloat64Histogram {
		to.delays.fold(v.Float64Histogram())
	}
}

// durationBounds are the upper bounds of durations in seconds: a part of the
// runtime's own, 2^k nanoseconds, so that its counts add up without a guess.
var durationBounds = [...]float64{
	1.024e-6, 4.096e-6, 1.6384e-5, 6.5536e-5, 2.62144e-4, 1.048576e-3, 4.194304e-3,
	1.6777216e-2, 6.7108864e-2, 2.68435456e-1, 1.073741824, 4.294967296,
}

// durations is a histogram of the runtime, in fewer buckets.
type durations struct {
	count  uint64
	sum    float64 // estimated: each value counts as the middle of its bucket
	counts [len(durationBounds) + 1]uint64
}

// fold reads a histogram of the runtime. A bucket goes into the first of ours that
// holds all of it.
func (d *durations) fold(h *metrics.Float64Histogram) {
	*d = durations{}
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		low, high := h.Buckets[i], h.Buckets[i+1]
		d.count += n
		at, _ := slices.BinarySearch(durationBounds[:], high)
		d.counts[at] += n
		low = max(0, low)
		if high = max(0, high); math.IsInf(high, 1) {
			high = low
		}
		d.sum += float64(n) * (low + high) / 2
	}
}
