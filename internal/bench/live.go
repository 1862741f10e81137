package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/calmops/calm/observe/observelive"
	"github.com/prometheus/client_golang/prometheus"
)

func liveSuites() []Suite { return []Suite{liveSample(), liveAllocs(), liveData()} }

// A sampler takes samples of a live page one by one: its Run ends after each, since the sampler
// is among what is gathered, as a collector without metrics.
type sampler struct {
	live   *observelive.Live
	cancel context.CancelFunc // of the Run under way
}

func newSampler(reg *prometheus.Registry) (*sampler, error) {
	s := &sampler{cancel: func() {}}
	if err := reg.Register(s); err != nil {
		return nil, err
	}
	var err error
	s.live, err = observelive.New(observelive.Config{Gatherer: reg})
	return s, err
}

// Describe implements [prometheus.Collector].
func (s *sampler) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (s *sampler) Collect(chan<- prometheus.Metric) { s.cancel() }

// sample takes n samples.
func (s *sampler) sample(n int) error {
	for range n {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(context.Background())
		if err := s.live.Run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// registry500 has 500 series: 400 plain and 100 histograms of 16 buckets; work changes them all.
func registry500() (reg *prometheus.Registry, work func(), err error) {
	reg = prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "app_events_total"}, []string{"kind"})
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_level"}, []string{"kind"})
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "app_seconds", Buckets: prometheus.ExponentialBuckets(.001, 2, 16)}, []string{"kind"})
	work = func() {
		for i := range 200 {
			k := strconv.Itoa(i)
			c.WithLabelValues(k).Add(float64(i))
			g.WithLabelValues(k).Set(float64(i))
			if i < 100 {
				h.WithLabelValues(k).Observe(float64(i%17) / 100)
			}
		}
	}
	work()
	return reg, work, errors.Join(reg.Register(c), reg.Register(g), reg.Register(h))
}

// steady is a sampler of registry500 whose series are all known.
func steady() (*sampler, *prometheus.Registry, error) {
	reg, work, err := registry500()
	if err != nil {
		return nil, nil, err
	}
	s, err := newSampler(reg)
	if err != nil {
		return nil, nil, err
	}
	for range 1000 {
		work()
		if err := s.sample(1); err != nil {
			return nil, nil, err
		}
	}
	return s, reg, nil
}

// liveSample is one sample of 500 series.
func liveSample() Suite {
	const sample, gather = "sample", "Gather"
	return Suite{
		Name: "observelive.sample",
		Claims: []Claim{
			{Name: "observelive.sample.time", Doc: "one sample of 400 plain series and 100 histograms of 16 buckets, Gather included, in ns", Ours: Of(sample), Bar: 2e6},
			{Name: "observelive.sample.own", Doc: "what a sample adds to Gather / Gather", Ours: Added(sample, gather), Peer: Of(gather), Bar: 1},
		},
		Cases: func() ([]Case, func(), error) {
			s, reg, err := steady()
			if err != nil {
				return nil, nil, err
			}
			return []Case{
				{Name: sample, N: 1, Run: func(n int) { _ = s.sample(n) }},
				{Name: gather, N: 1, Run: func(n int) {
					for range n {
						_, _ = reg.Gather()
					}
				}},
			}, func() {}, nil
		},
	}
}

// liveAllocs counts allocations of a sample.
func liveAllocs() Suite {
	const sample, gather = "sample", "Gather"
	return Suite{
		Name: "observelive.allocs", Unit: Allocations,
		Claims: []Claim{
			{Name: "observelive.allocs.own", Doc: "allocations that a sample adds to Gather, its Run and context included", Ours: Added(sample, gather), Bar: 64},
		},
		Count: func() (map[string]float64, error) {
			s, reg, err := steady()
			if err != nil {
				return nil, err
			}
			return map[string]float64{
				sample: mallocs(func() { _ = s.sample(1) }),
				gather: mallocs(func() { _, _ = reg.Gather() }),
			}, nil
		},
	}
}

// liveData is a request of 100 curves of 900 points, and of the next point of them.
func liveData() Suite {
	const full, next = "900 points", "one point"
	return Suite{
		Name: "observelive.data",
		Claims: []Claim{
			{Name: "observelive.data.full", Doc: "data request, 100 curves of 900 points, in ns", Ours: Of(full), Bar: 5e6},
			{Name: "observelive.data.next", Doc: "data request, the next point of 100 curves, in ns", Ours: Of(next), Bar: 3e5},
		},
		Cases: func() ([]Case, func(), error) {
			reg := prometheus.NewRegistry()
			g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_level"}, []string{"kind"})
			if err := reg.Register(g); err != nil {
				return nil, nil, err
			}
			s, err := newSampler(reg)
			if err != nil {
				return nil, nil, err
			}
			for i := range 900 {
				for k := range 100 {
					g.WithLabelValues(strconv.Itoa(k)).Set(float64(i*k) / 7)
				}
				if err := s.sample(1); err != nil {
					return nil, nil, err
				}
			}
			seq, err := newest(s.live)
			if err != nil {
				return nil, nil, err
			}
			ask := func(target string) func(int) {
				r := dataRequest(target)
				return func(n int) {
					for range n {
						s.live.ServeHTTP(&nowhere{h: http.Header{}}, r)
					}
				}
			}
			return []Case{
				{Name: full, N: 1, Run: ask("data")},
				{Name: next, N: 1, Run: ask("data?since=" + strconv.FormatInt(seq-1, 10))},
			}, func() {}, nil
		},
	}
}

// dataRequest is a request as a browser on this machine sends it.
func dataRequest(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/"+target, nil)
	r.RemoteAddr = "127.0.0.1:50000"
	return r
}

// newest asks a live page for the number of its newest sample, and checks that the answer is what
// the claims speak of.
func newest(live *observelive.Live) (int64, error) {
	w := &nowhere{h: http.Header{}, keep: true}
	live.ServeHTTP(w, dataRequest("data"))
	var d struct {
		Seq int64
		T   []int64
		S   []struct{ P []*float64 }
	}
	if err := json.Unmarshal(w.kept.Bytes(), &d); err != nil {
		return 0, err
	}
	if len(d.T) != 900 || len(d.S) != 100 || len(d.S[0].P) != 900 {
		return 0, fmt.Errorf("%d times, %d curves", len(d.T), len(d.S))
	}
	return d.Seq, nil
}

// nowhere is a response that nobody reads.
type nowhere struct {
	h    http.Header
	keep bool
	kept bytes.Buffer
}

func (w *nowhere) Header() http.Header { return w.h }
func (w *nowhere) WriteHeader(int)     {}
func (w *nowhere) Write(p []byte) (int, error) {
	if w.keep {
		return w.kept.Write(p)
	}
	return len(p), nil
}
