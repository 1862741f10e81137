package observeprom

import (
	"fmt"
	"math"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
)

// Buckets are the upper bounds of the classic histograms: finite, ascending,
// without +Inf, which is always there. A list that is empty takes the defaults of
// [observe.Metrics]; the zero value takes all of them.
type Buckets struct {
	// TTFT are the bounds, in seconds, of time to first token, first byte and
	// first content, and of prefill. Defaults to .001 to 160.
	TTFT []float64
	// ITL are the bounds, in seconds, of inter-token latency and of time per
	// output token. Defaults to .001 to 2.5.
	ITL []float64
	// Duration are the bounds, in seconds, of requests and of decoding. Defaults
	// to .01 to 327.68, doubling.
	Duration []float64
	// Queue are the bounds, in seconds, of the time in the queue. Defaults to
	// .001 to 60.
	Queue []float64
	// Tokens are the bounds of input and output tokens a request. Defaults to 1
	// to 67108864, times four.
	Tokens []float64
}

// of returns the bounds for a metric: the configured ones, else the table's.
func (b *Buckets) of(m observe.Metric) []float64 {
	var own []float64
	switch m.ID {
	case observe.MetricTimeToFirstToken, observe.MetricTimeToFirstByte, observe.MetricTimeToFirstContent, observe.MetricPrefillDuration:
		own = b.TTFT
	case observe.MetricInterTokenLatency, observe.MetricTimePerOutputToken:
		own = b.ITL
	case observe.MetricRequestDuration, observe.MetricDecodeDuration:
		own = b.Duration
	case observe.MetricQueueDuration:
		own = b.Queue
	case observe.MetricRequestInputTokens, observe.MetricRequestOutputTokens:
		own = b.Tokens
	}
	if len(own) > 0 {
		return own
	}
	return m.Buckets
}

// faults reports every bound that is not finite or does not ascend.
func (b *Buckets) faults() (errs []error) {
	for _, list := range []struct {
		name   string
		bounds []float64
	}{{"TTFT", b.TTFT}, {"ITL", b.ITL}, {"Duration", b.Duration}, {"Queue", b.Queue}, {"Tokens", b.Tokens}} {
		for i, v := range list.bounds {
			switch {
			case math.IsNaN(v) || math.IsInf(v, 0):
				errs = append(errs, fmt.Errorf("observeprom: ServingConfig.Buckets.%s[%d] = %v: want a finite number", list.name, i, v))
			case i > 0 && v <= list.bounds[i-1]:
				errs = append(errs, fmt.Errorf("observeprom: ServingConfig.Buckets.%s[%d] = %v: want more than the %v before it",
					list.name, i, v, list.bounds[i-1]))
			}
		}
	}
	return errs
}

// Native histograms, where they are on.
const (
	nativeFactor     = 1.1
	nativeBuckets    = 160
	nativeResetAfter = time.Hour
)

// histogramOpts are the options of one histogram of the table.
func histogramOpts(m observe.Metric, cfg *ServingConfig) prometheus.HistogramOpts {
	o := prometheus.HistogramOpts{Name: m.Prometheus, Help: m.Help, ConstLabels: cfg.ConstLabels, Buckets: cfg.Buckets.of(m)}
	if cfg.NativeHistograms {
		o.NativeHistogramBucketFactor = nativeFactor
		o.NativeHistogramMaxBucketNumber = nativeBuckets
		o.NativeHistogramMinResetDuration = nativeResetAfter
	}
	return o
}
