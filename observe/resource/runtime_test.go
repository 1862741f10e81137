package resource

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRuntime(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(3 << 40))
	runtime.GC()
	r := newRuntimeReader()
	var s Snapshot
	r.read(&s)
	got := s.Runtime
	assert.Equal(t, []any{runtime.GOMAXPROCS(0), runtime.NumCPU(), int64(3 << 40)}, []any{got.GOMAXPROCS, got.NumCPU, got.MemoryLimitBytes})
	assert.True(t, s.Has(FieldGoMemoryLimit))
	for i, sample := range r.samples {
		assert.NotEqual(t, metrics.KindBad, sample.Value.Kind(), sampleNames[i])
	}
	for i, v := range []float64{float64(got.Goroutines), float64(got.UsedBytes), float64(got.StackBytes), float64(got.HeapBytes), float64(got.HeapGoalBytes),
		float64(got.AllocatedBytes), float64(got.Allocations), float64(got.GCCycles), got.UserSeconds, got.GCSeconds, float64(got.pauses.count), got.pauses.sum} {
		assert.Positive(t, v, i)
	}
	assert.Less(t, got.StackBytes+got.HeapBytes, got.UsedBytes)

	debug.SetMemoryLimit(math.MaxInt64)
	s = Snapshot{}
	r.read(&s)
	assert.False(t, s.Has(FieldGoMemoryLimit), "no limit is set")
}

func TestRuntimeAllocatesNothing(t *testing.T) {
	r := newRuntimeReader()
	var s Snapshot
	r.read(&s) // the histograms are made once
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.read(&s) }))
}

// The bounds are some of the runtime's own, so that no count is put in a wrong bucket.
func TestDurationBoundsAreTheRuntimes(t *testing.T) {
	r := newRuntimeReader()
	r.read(&Snapshot{})
	for _, i := range []int{samplePauses, sampleDelays} {
		own := r.samples[i].Value.Float64Histogram().Buckets
		for _, b := range durationBounds {
			assert.True(t, slices.Contains(own, b), "%v in %s", b, sampleNames[i])
		}
	}
}

// Folding counts each value once, in a bucket it belongs to, and the estimate of the
// sum is within an eighth of the truth once values are above a microsecond.
func TestFold(t *testing.T) {
	r := newRuntimeReader()
	r.read(&Snapshot{})
	bounds := r.samples[sampleDelays].Value.Float64Histogram().Buckets
	rnd := rand.New(rand.NewPCG(5, 6))
	h := metrics.Float64Histogram{Buckets: bounds, Counts: make([]uint64, len(bounds)-1)}
	var sum float64
	var counts [len(durationBounds) + 1]uint64
	for range 10_000 {
		v := 1e-6 * math.Exp(rnd.Float64()*math.Log(2e7)) // up to 20 s
		sum += v
		at, exact := slices.BinarySearch(bounds, v)
		if exact {
			at++
		}
		h.Counts[at-1]++
		at, _ = slices.BinarySearch(durationBounds[:], v)
		counts[at]++
	}
	var d durations
	d.fold(&h)
	assert.Equal(t, uint64(10_000), d.count)
	assert.Equal(t, counts, d.counts)
	assert.InEpsilon(t, sum, d.sum, .125)
	assert.Equal(t, total(d.counts[:]), d.count)
}

func total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// The outer buckets have no middle.
func TestFoldOfInfiniteBuckets(t *testing.T) {
	var d durations
	d.fold(&metrics.Float64Histogram{Buckets: []float64{math.Inf(-1), 0, 2, math.Inf(1)}, Counts: []uint64{3, 2, 1}})
	assert.Equal(t, uint64(6), d.count)
	assert.Equal(t, 0*3+1*2+2*1., d.sum)
	d.fold(&metrics.Float64Histogram{Buckets: []float64{math.Inf(-1), math.Inf(1)}, Counts: []uint64{3}})
	assert.Equal(t, uint64(3), d.counts[len(d.counts)-1])
	assert.Zero(t, d.sum)
}

func TestRatesNeedATime(t *testing.T) {
	var r rates
	at := time.Unix(100, 0)
	r.next(&Snapshot{At: at, Valid: FieldCPU, UserSeconds: 5})
	back := Snapshot{At: at.Add(-time.Hour), Valid: FieldCPU, UserSeconds: 6, Runtime: Runtime{NumCPU: 1}}
	r.next(&back)
	require.False(t, back.Has(FieldCPURatio), "time went backwards")
	again := Snapshot{At: back.At.Add(2 * time.Second), Valid: FieldCPU, UserSeconds: 7, Runtime: Runtime{NumCPU: 1}}
	r.next(&again)
	require.True(t, again.Has(FieldCPURatio))
	assert.Equal(t, .5, again.UserRatio)
	back = Snapshot{At: again.At.Add(-time.Second), Valid: FieldCPU, UserSeconds: 8, Runtime: Runtime{NumCPU: 1}}
	r.next(&back)
	assert.Zero(t, back.UserRatio)
	unknown := Snapshot{At: again.At.Add(2 * time.Second), Runtime: Runtime{NumCPU: 1}}
	r.next(&unknown)
	assert.False(t, unknown.Has(FieldCPURatio))
}
