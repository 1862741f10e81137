package observeprom

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// maxLocal is how many buckets a merge counts on its stack.
const maxLocal = 64

// gapFamily is the histogram of inter-token latency where no native histogram is
// asked for. A gap costs a bucket search: what 64 of them add to the shared
// counts is added at once, which no histogram of client_golang can do.
type gapFamily struct {
	desc   *prometheus.Desc
	bounds []float64
	limits []time.Duration // the same, of the counts

	mu  sync.Mutex // held to add a series and to list them
	all map[livePlace]*gapHistogram
}

type gapHistogram struct {
	family  *gapFamily
	labels  livePlace
	created time.Time
	sum     atomic.Int64    // nanoseconds
	counts  []atomic.Uint64 // by bucket; the last is +Inf
}

func newGapFamily(m observe.Metric, cfg *ServingConfig) *gapFamily {
	f := &gapFamily{
		desc:   prometheus.NewDesc(m.Prometheus, m.Help, m.Labels, cfg.ConstLabels),
		bounds: cfg.Buckets.of(m),
		all:    map[livePlace]*gapHistogram{},
	}
	for _, b := range f.bounds {
		f.limits = append(f.limits, time.Duration(math.Round(min(max(b*1e9, math.MinInt64), 1<<62))))
	}
	return f
}

// open returns the histogram of a label set: the same one each time.
func (f *gapFamily) open(l observe.Labels) *gapHistogram {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := livePlace{l.Model, l.Operation}
	h := f.all[place]
	if h == nil {
		h = &gapHistogram{family: f, labels: place, created: time.Now(), counts: make([]atomic.Uint64, len(f.bounds)+1)}
		f.all[place] = h
	}
	return h
}

// observe adds gaps.
func (h *gapHistogram) observe(gaps []time.Duration) {
	var local [maxLocal]uint32
	limits := h.family.limits
	var sum time.Duration
	for _, g := range gaps {
		sum += g
		i := 0
		for i < len(limits) && g > limits[i] {
			i++
		}
		if i < maxLocal {
			local[i]++
		} else {
			h.counts[i].Add(1)
		}
	}
	for i := range min(len(h.counts), maxLocal) {
		if n := local[i]; n > 0 {
			h.counts[i].Add(uint64(n))
		}
	}
	h.sum.Add(int64(sum))
}

func (f *gapFamily) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

func (f *gapFamily) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	all := make([]*gapHistogram, 0, len(f.all))
	for _, h := range f.all {
		all = append(all, h)
	}
	f.mu.Unlock()
	for _, h := range all {
		ch <- h.metric()
	}
}

func (h *gapHistogram) metric() prometheus.Metric {
	f := h.family
	buckets := make(map[float64]uint64, len(f.bounds))
	var n uint64
	for i, b := range f.bounds {
		n += h.counts[i].Load()
		buckets[b] = n
	}
	n += h.counts[len(f.bounds)].Load()
	m, err := prometheus.NewConstHistogramWithCreatedTimestamp(f.desc, n, time.Duration(h.sum.Load()).Seconds(), buckets, h.created,
		h.labels.model, string(h.labels.operation))
	if err != nil {
		return prometheus.NewInvalidMetric(f.desc, err)
	}
	return m
}
