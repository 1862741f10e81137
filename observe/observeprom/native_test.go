package observeprom

import (
	"math"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNativeHistograms(t *testing.T) {
	for _, native := range []bool{false, true} {
		histograms := 0
		for _, f := range gatherScenario(t, ServingConfig{NativeHistograms: native}) {
			for _, m := range f.Metric {
				h := m.Histogram
				if h == nil {
					continue
				}
				histograms++
				require.NotEmpty(t, h.Bucket, "%s: the classic buckets stay", f.GetName())
				assert.Equal(t, native, h.Schema != nil, f.GetName())
				if !native {
					continue
				}
				assert.EqualValues(t, 3, h.GetSchema(), "growth 2^(1/8) is the widest below 1.1")
				count := h.GetZeroCount()
				var bucket int64
				for _, d := range h.PositiveDelta {
					bucket += d
					count += uint64(bucket)
				}
				assert.Equal(t, h.GetSampleCount(), count, "%s: the native buckets hold every observation", f.GetName())
			}
		}
		assert.Greater(t, histograms, 10)
	}
}

// TestNativeHistogramsAreBounded: values over 15 orders of magnitude stay within
// 160 buckets.
func TestNativeHistogramsAreBounded(t *testing.T) {
	s := newServing(t, ServingConfig{NativeHistograms: true})
	h := s.Series(observe.Labels{Model: "m", Operation: observe.OperationChat})
	const n = 4000
	gaps := make([]time.Duration, 1)
	for i := range n {
		gaps[0] = time.Duration(math.Pow(10, float64(i)*15/n))
		h.Gaps(gaps)
	}
	found := read(s, name(observe.MetricInterTokenLatency), nil)
	require.Len(t, found, 1)
	buckets := 0
	for _, span := range found[0].Histogram.PositiveSpan {
		buckets += int(span.GetLength())
	}
	assert.LessOrEqual(t, buckets, 160+20, "spans join over small holes")
	assert.Greater(t, buckets, 50)
	assert.EqualValues(t, n, found[0].Histogram.GetSampleCount())
}

// TestNativeExemplars: an exemplar is kept in the native form too.
func TestNativeExemplars(t *testing.T) {
	s := newServing(t, ServingConfig{NativeHistograms: true})
	play(t, newRecorder(t, s), shortStream, map[string][]string{"Traceparent": {sampledHeader}}, nil)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(s))
	families, err := reg.Gather()
	require.NoError(t, err)
	with := make(map[string]*dto.Histogram)
	for _, f := range families {
		for _, m := range f.Metric {
			if len(m.Histogram.GetExemplars()) > 0 {
				with[f.GetName()] = m.Histogram
			}
		}
	}
	assert.Len(t, with, 2)
	assert.Contains(t, with, name(observe.MetricTimeToFirstToken))
	assert.Contains(t, with, name(observe.MetricRequestDuration))
}
