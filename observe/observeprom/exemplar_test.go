package observeprom

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observetest"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exemplars returns those of every metric, by its name.
func exemplars(t *testing.T, s *Serving) map[string][]*dto.Exemplar {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(s))
	families, err := reg.Gather()
	require.NoError(t, err)
	found := make(map[string][]*dto.Exemplar)
	for _, f := range families {
		for _, m := range f.Metric {
			if e := m.Counter.GetExemplar(); e != nil {
				found[f.GetName()] = append(found[f.GetName()], e)
			}
			for _, b := range m.Histogram.GetBucket() {
				if b.Exemplar != nil {
					found[f.GetName()] = append(found[f.GetName()], b.Exemplar)
				}
			}
		}
	}
	return found
}

// labelsOf is an exemplar's labels.
func labelsOf(e *dto.Exemplar) prometheus.Labels {
	l := make(prometheus.Labels)
	for _, p := range e.Label {
		l[p.GetName()] = p.GetValue()
	}
	return l
}

const (
	sampledHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	droppedHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	shortStream   = "header 200 text/event-stream\nwrite \"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"a\\\"}}]}\\n\\n\""
)

func TestExemplarOnlyOfSampledTraces(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         bool
	}{{"sampled", sampledHeader, true}, {"not sampled", droppedHeader, false}, {"none", "", false}, {"malformed", "00-1-2-01", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServing(t, ServingConfig{})
			h := http.Header{}
			if tt.header != "" {
				h.Set("Traceparent", tt.header)
			}
			play(t, newRecorder(t, s), shortStream, h, nil)
			got := exemplars(t, s)
			if !tt.want {
				assert.Empty(t, got)
				return
			}
			want := prometheus.Labels{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
			assert.Len(t, got, 2)
			for _, id := range []observe.MetricID{observe.MetricTimeToFirstToken, observe.MetricRequestDuration} {
				if assert.Len(t, got[name(id)], 1, name(id)) {
					assert.Equal(t, want, labelsOf(got[name(id)][0]))
				}
			}
		})
	}
}

func TestExemplarOfTheUser(t *testing.T) {
	type key struct{}
	calls := 0
	s := newServing(t, ServingConfig{Exemplar: func(ctx context.Context) prometheus.Labels {
		calls++
		user, _ := ctx.Value(key{}).(string)
		if user == "" {
			return nil
		}
		return prometheus.Labels{"shard": user}
	}})
	r := newRecorder(t, s)
	for _, user := range []string{"", "s7"} {
		_, q := r.Start(context.WithValue(context.Background(), key{}, user), observe.RequestInfo{Model: "m"})
		q.Token(1)
		q.End(nil)
	}
	assert.Equal(t, 2, calls, "once a request")
	got := exemplars(t, s)
	assert.Len(t, got, 2)
	for name, e := range got {
		require.Len(t, e, 1, name)
		assert.Equal(t, prometheus.Labels{"shard": "s7"}, labelsOf(e[0]))
	}

	// It is in place of the default.
	play(t, r, shortStream, http.Header{"Traceparent": {sampledHeader}}, nil)
	for _, e := range exemplars(t, s)[name(observe.MetricRequestDuration)] {
		assert.NotContains(t, labelsOf(e), "trace_id")
	}
}

// TestExemplarsThatCannotBe: the request counts, and nothing panics.
func TestExemplarsThatCannotBe(t *testing.T) {
	for name, labels := range map[string]prometheus.Labels{
		"empty":           {},
		"too long":        {"trace_id": strings.Repeat("a", 121)},
		"too long as one": {"a": strings.Repeat("b", 64), "b": strings.Repeat("c", 63)},
		"empty name":      {"": "x"},
		"bad name":        {"a b": "x"},
		"reserved name":   {"__a": "x"},
		"name not UTF-8":  {"\xff": "x"},
		"value not UTF-8": {"a": "\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServing(t, ServingConfig{Exemplar: func(context.Context) prometheus.Labels { return labels }})
			r := newRecorder(t, s)
			play(t, r, shortStream, nil, nil)
			assert.Empty(t, exemplars(t, s))
			assert.Zero(t, r.Losses().CallbackPanics)
			got, _ := reader(s)(observe.MetricRequests, nil)
			assert.Equal(t, observetest.Reading{Sum: 1}, got)
		})
	}
	t.Run("as long as may be", func(t *testing.T) {
		labels := prometheus.Labels{"trace_id": strings.Repeat("é", 120)}
		s := newServing(t, ServingConfig{Exemplar: func(context.Context) prometheus.Labels { return labels }})
		play(t, newRecorder(t, s), shortStream, nil, nil)
		assert.Len(t, exemplars(t, s), 2)
	})
}

// TestPanickingExemplar: the panic costs the exemplar, not the request, and is
// counted where panics of callbacks are.
func TestPanickingExemplar(t *testing.T) {
	n := 0
	s := newServing(t, ServingConfig{Exemplar: func(context.Context) prometheus.Labels {
		n++
		if n%2 == 0 {
			panic("no trace")
		}
		return prometheus.Labels{"n": "1"}
	}})
	after := observetest.NewMemory()
	r := newRecorder(t, s, after)
	for range 6 {
		play(t, r, shortStream, nil, nil)
	}
	get := reader(s)
	for _, id := range []observe.MetricID{observe.MetricRequestDuration, observe.MetricTimeToFirstToken, observe.MetricTimeToFirstByte} {
		got, _ := get(id, nil)
		assert.EqualValues(t, 6, got.Count, name(id))
	}
	got, _ := get(observe.MetricRequests, map[string]string{"outcome": "ok"})
	assert.EqualValues(t, 6, got.Sum)
	panics, _ := get(observe.MetricCallbackPanics, nil)
	assert.EqualValues(t, 3, panics.Sum)
	assert.Len(t, after.Requests(), 6)
	in, _ := get(observe.MetricInFlight, nil)
	assert.Zero(t, in.Sum)
}
