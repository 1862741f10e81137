package llm

import (
	"net/http"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// A scrape is one answer of /metrics, parsed.
type scrape map[string]*dto.MetricFamily

// labels select series: those whose labels have these values.
type labels map[string]string

// scraped waits until the backend has counted the requests, which it does when
// their handlers return, and returns what /metrics says then.
func (b *backend) scraped(t *testing.T, requests int) scrape {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := b.scrape(t)
		if n := s.sum("llm_server_requests_total", nil); n == float64(requests) {
			return s
		} else if n > float64(requests) || time.Now().After(deadline) {
			require.FailNowf(t, "requests", "%v counted, want %d", n, requests)
		}
	}
}

func (b *backend) scrape(t *testing.T) scrape {
	t.Helper()
	resp, err := http.Get(b.metrics)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	require.NoError(t, err)
	return families
}

// series are the series of a metric that have the labels.
func (s scrape) series(name string, want labels) (found []*dto.Metric) {
	for _, m := range s[name].GetMetric() {
		got := labels{}
		for _, p := range m.GetLabel() {
			got[p.GetName()] = p.GetValue()
		}
		all := true
		for k, v := range want {
			all = all && got[k] == v
		}
		if all {
			found = append(found, m)
		}
	}
	return found
}

// sum adds up counters and gauges, and the sums of histograms.
func (s scrape) sum(name string, want labels) (v float64) {
	for _, m := range s.series(name, want) {
		v += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
	}
	return v
}

// seconds is the sum of a histogram of times.
func (s scrape) seconds(name string) time.Duration {
	return time.Duration(s.sum(name, nil) * float64(time.Second))
}

// count adds up the observations of histograms.
func (s scrape) count(name string, want labels) (n int) {
	for _, m := range s.series(name, want) {
		n += int(m.GetHistogram().GetSampleCount())
	}
	return n
}

// tokens are the token counts by type.
func (s scrape) tokens(kind string) int64 {
	return int64(s.sum("llm_server_tokens_total", labels{"model": requested, "type": kind}))
}
