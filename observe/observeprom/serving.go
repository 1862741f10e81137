package observeprom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// ServingConfig configures a Serving. The zero value is valid: default buckets,
// classic histograms, and the caller registers the result.
type ServingConfig struct {
	// Registerer is where the collector is registered. Defaults to none: the
	// caller registers the *Serving.
	Registerer prometheus.Registerer

	// ConstLabels are added to every metric. The names of the metrics' own labels
	// cannot be used. Defaults to none.
	ConstLabels prometheus.Labels

	// Buckets are the bounds of the classic histograms. Defaults to those of
	// [observe.Metrics].
	Buckets Buckets

	// NativeHistograms adds native histograms beside the classic ones: growth
	// factor 1.1, at most 160 buckets, reset at most once an hour. Defaults to
	// false.
	NativeHistograms bool

	// Exemplar returns the exemplar of a request for its time to first token and
	// its duration; none if it returns no labels. It is called once a request, at
	// its end, with the context of the request. Labels that Prometheus does not
	// take (bad names, more than 128 characters together) are left out. A panic
	// loses the exemplar only, and counts as a callback panic of the Recorder.
	// Defaults to trace_id and span_id of a sampled traceparent header.
	Exemplar func(context.Context) prometheus.Labels

	// VLLM adds vLLM's own names. Defaults to none.
	VLLM VLLM
}

// Serving exports what the Recorders it is given to measure: it is an
// [observe.Sink] and a [prometheus.Collector]. Make one with NewServing; it is
// safe for concurrent use, and a nil *Serving does nothing.
type Serving struct {
	families families
	vllm     *vllm
	exemplar func(context.Context) prometheus.Labels

	mu        sync.Mutex
	recorders []*observe.Recorder // replaced, never changed in place
}

var (
	_ observe.Sink         = (*Serving)(nil)
	_ prometheus.Collector = (*Serving)(nil)
)

// NewServing returns a Serving, registered if there is a Registerer. The error
// joins every fault of the Config: bounds of Buckets that are not finite or do
// not ascend, ConstLabels that cannot be labels or are taken, a Registerer that
// refuses (it is wrapped, such as a [prometheus.AlreadyRegisteredError]). Nothing
// is registered then.
func NewServing(cfg ServingConfig) (*Serving, error) {
	faults := slices.Concat(cfg.Buckets.faults(), cfg.VLLM.faults(), labelFaults(&cfg))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	cfg.ConstLabels = maps.Clone(cfg.ConstLabels)
	s := &Serving{families: newFamilies(&cfg), vllm: newVLLM(&cfg), exemplar: cfg.Exemplar}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(s); err != nil {
			return nil, fmt.Errorf("observeprom: ServingConfig.Registerer refused the metrics: %w", err)
		}
	}
	return s, nil
}

// Attach implements [observe.Sink]. A Recorder stays attached for the life of the
// Serving; one that is attached twice counts once.
func (s *Serving) Attach(r *observe.Recorder) {
	if s == nil || r == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.recorders, r) {
		s.recorders = append(slices.Clip(s.recorders), r)
	}
}

// attached returns the Recorders so far.
func (s *Serving) attached() []*observe.Recorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recorders
}

// Series implements [observe.Sink]. The counters of the label set exist at zero
// from then on. Label sets that differ only in their Provider share their series:
// the provider is no label of Prometheus.
func (s *Serving) Series(l observe.Labels) observe.SeriesSink {
	if s == nil {
		return nil
	}
	x := newSeries(&s.families, s.exemplar, l)
	x.vllm = s.vllm.series(l.Model)
	return x
}

// Describe implements [prometheus.Collector].
func (s *Serving) Describe(ch chan<- *prometheus.Desc) {
	if s == nil {
		return
	}
	for _, v := range s.vectors() {
		v.Describe(ch)
	}
	for _, d := range s.vllm.descs() {
		ch <- d
	}
	for _, l := range s.families.live {
		if l.desc != nil {
			ch <- l.desc
		}
	}
}

// Collect implements [prometheus.Collector]. It holds no lock while it sends, so
// a slow reader delays no request.
func (s *Serving) Collect(ch chan<- prometheus.Metric) {
	if s == nil {
		return
	}
	for _, m := range s.snapshot() {
		ch <- m
	}
}

// snapshot gathers all metrics. A vector of client_golang sends with its lock
// held, so what it sends is taken here first.
func (s *Serving) snapshot() []prometheus.Metric {
	own := make(chan prometheus.Metric, 64)
	go func() {
		defer close(own)
		for _, v := range s.vectors() {
			v.Collect(own)
		}
	}()
	var all []prometheus.Metric
	for m := range own {
		all = append(all, m)
	}
	return s.appendLive(all, s.attached())
}

// vectors are the metrics that requests move.
func (s *Serving) vectors() []prometheus.Collector {
	return append(s.families.vectors(), s.vllm.vectors()...)
}
