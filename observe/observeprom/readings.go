package observeprom

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// readings exports a table of figures that are read at each scrape.
type readings[S any] struct {
	rows    []observe.Reading[S]
	descs   []*prometheus.Desc
	native  bool // histograms have the native form too
	created time.Time
}

// newReadings prepares a table for export with constant labels, whose faults it
// joins with the other faults of a configuration.
func newReadings[S any](config string, rows []observe.Reading[S], labels prometheus.Labels, faults ...error) (*readings[S], error) {
	var names []observe.Metric
	for _, r := range rows {
		names = append(names, r.Metric)
	}
	faults = append(faults, constLabelFaults(config, labels, takenLabels(names))...)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	labels = maps.Clone(labels)
	r := &readings[S]{rows: rows, created: time.Now()}
	for _, m := range names {
		r.descs = append(r.descs, prometheus.NewDesc(m.Prometheus, m.Help, m.Labels, labels))
	}
	return r, nil
}

// register registers a collector, if there is where to.
func register(config string, where prometheus.Registerer, c prometheus.Collector) error {
	if where == nil {
		return nil
	}
	if err := where.Register(c); err != nil {
		return fmt.Errorf("observeprom: %s.Registerer refused the metrics: %w", config, err)
	}
	return nil
}

// required is the fault of a field that is missing.
func required(missing bool, field string) error {
	if !missing {
		return nil
	}
	return fmt.Errorf("observeprom: %s is nil: it is required", field)
}

func (r *readings[S]) describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		ch <- d
	}
}

// collect sends what one snapshot holds.
func (r *readings[S]) collect(ch chan<- prometheus.Metric, snapshot S) {
	for i, row := range r.rows {
		desc := r.descs[i]
		if row.Distributions != nil {
			row.Distributions(snapshot, func(d observe.Distribution, labels ...string) {
				ch <- r.histogram(desc, row.Buckets, d, valid(labels))
			})
			continue
		}
		kind := prometheus.CounterValue
		if row.Kind == observe.KindGauge {
			kind = prometheus.GaugeValue
		}
		row.Values(snapshot, func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(desc, kind, value, valid(labels)...)
			if err != nil {
				m = prometheus.NewInvalidMetric(desc, err)
			}
			ch <- m
		})
	}
}

// valid makes label values of any string: Prometheus takes UTF-8 only.
func valid(labels []string) []string {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\ufffd")
	}
	return labels
}

// histogram turns a distribution into a metric with classic buckets and, where
// asked for, native ones.
func (r *readings[S]) histogram(desc *prometheus.Desc, bounds []float64, d observe.Distribution, labels []string) prometheus.Metric {
	h := &dto.Histogram{SampleCount: new(d.Count), SampleSum: new(d.Sum), CreatedTimestamp: timestamppb.New(r.created)}
	var below uint64
	for i, b := range bounds {
		if i < len(d.Counts) {
			below += d.Counts[i]
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(b), CumulativeCount: new(below)})
	}
	if r.native && d.Eighths != nil {
		native(h, d)
	}
	return &constHistogram{desc: desc, labels: prometheus.MakeLabelPairs(desc, labels), histogram: h}
}

// native adds the buckets of schema 3: each span is a run of buckets that are not
// empty, each bucket is written as the difference to the one before.
func native(h *dto.Histogram, d observe.Distribution) {
	h.Schema, h.ZeroThreshold, h.ZeroCount = proto.Int32(3), proto.Float64(prometheus.DefNativeHistogramZeroThreshold), new(d.Tiny)
	next, before := 0, int64(0)
	var span *dto.BucketSpan
	for i, n := range d.Eighths {
		if n == 0 {
			continue
		}
		at := d.EighthsFrom + i
		if span == nil || at != next {
			span = &dto.BucketSpan{Offset: new(int32(at - next)), Length: proto.Uint32(0)}
			h.PositiveSpan = append(h.PositiveSpan, span)
		}
		*span.Length++
		h.PositiveDelta = append(h.PositiveDelta, int64(n)-before)
		next, before = at+1, int64(n)
	}
	if h.PositiveSpan == nil && d.Tiny == 0 {
		// A span without buckets marks a native histogram that is empty.
		h.PositiveSpan = []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(0)}}
	}
}

// constHistogram is a histogram with both forms of buckets, which client_golang
// has no constructor for.
type constHistogram struct {
	desc      *prometheus.Desc
	labels    []*dto.LabelPair
	histogram *dto.Histogram
}

func (h *constHistogram) Desc() *prometheus.Desc { return h.desc }

func (h *constHistogram) Write(out *dto.Metric) error {
	out.Label, out.Histogram = slices.Clone(h.labels), h.histogram
	return nil
}
