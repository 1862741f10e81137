package observeotel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
	"github.com/calmops/calm/observe/observetest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
)

// book is what a sink exports: readings by metric and Prometheus labels.
type book map[string]observetest.Reading

func (b book) add(m observe.Metric, labels map[string]string, r observetest.Reading) {
	var key strings.Builder
	key.WriteString(m.Prometheus)
	for _, l := range m.Labels {
		fmt.Fprintf(&key, " %s=%q", l, labels[l])
	}
	sum := b[key.String()]
	sum.Count += r.Count
	sum.Sum += r.Sum
	b[key.String()] = sum
}

// prometheusBook reads a registry.
func prometheusBook(t *testing.T, reg prometheus.Gatherer) book {
	rows := map[string]observe.Metric{}
	for _, m := range observe.Metrics() {
		rows[m.Prometheus] = m
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	b := book{}
	for _, f := range families {
		m, ok := rows[f.GetName()]
		require.True(t, ok, f.GetName())
		if m.OTel == "" {
			continue
		}
		for _, s := range f.Metric {
			labels := map[string]string{}
			for _, p := range s.Label {
				labels[p.GetName()] = p.GetValue()
			}
			b.add(m, labels, observetest.Reading{
				Count: s.GetHistogram().GetSampleCount(),
				Sum:   s.GetHistogram().GetSampleSum() + s.GetCounter().GetValue() + s.GetGauge().GetValue(),
			})
		}
	}
	return b
}

// otelBook reads the same from OpenTelemetry, by the documented mapping.
func otelBook(r *rig) book {
	byName := map[string]observe.Metric{}
	for _, m := range observe.Metrics() {
		byName[m.OTel] = m
	}
	delete(byName, "")
	byName["llm.server.inter_token_time"] = observe.Metrics()[observe.MetricInterTokenLatency]
	b := book{}
	for _, in := range r.scope().Metrics {
		m, ok := byName[in.Name]
		if !ok {
			continue // of another convention
		}
		for _, p := range pointsOf(in) {
			at := func(key string) string {
				if a := attributeOf[key]; a != "" {
					key = a
				}
				v, ok := p.attrs.Value(attribute.Key(key))
				if !ok {
					return ""
				}
				return v.String()
			}
			labels := map[string]string{}
			for _, l := range m.Labels {
				labels[l] = at(l)
			}
			if labels["model"] == "" {
				labels["model"] = unknownModel
			}
			reading := observetest.Reading{Count: p.count, Sum: p.sum}
			row := m
			switch in.Name {
			case "llm.server.inter_token_gaps":
				if at("le") != "+Inf" {
					continue
				}
				reading = observetest.Reading{Count: uint64(p.sum)}
			case "gen_ai.client.token.usage":
				row = observe.Metrics()[observe.MetricRequestInputTokens]
				if at(keyTokenType) == tokenOutput {
					row = observe.Metrics()[observe.MetricRequestOutputTokens]
				}
			}
			b.add(row, labels, reading)
		}
	}
	return b
}

// TestSameAsPrometheus gives 10,000 random requests to both sinks of one Recorder:
// they export the same counts and sums.
func TestSameAsPrometheus(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	prom, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	require.NoError(t, err)
	reader := sdkmetric.NewManualReader()
	r := newRig(t, ServingConfig{StreamAttribute: true, Semconv: SemconvBoth, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader),
		sdkmetric.WithCardinalityLimit(0), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))})
	r.reader = reader

	ended := 0
	outcomes := map[observe.Outcome]int{}
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{prom, r.Serving}, MaxModels: 8,
		SLO: observe.SLO{TTFT: 200 * time.Millisecond, TPOT: 20 * time.Millisecond, Duration: time.Second},
		OnRequest: func(s observe.RequestStats) {
			ended++
			outcomes[s.Outcome]++
		}})
	require.NoError(t, err)
	e := rec.Engine("model-1")
	e.SetKVUsage(.3)
	e.AddPrefixCache(1000, 700)
	rec.SetServed(observe.Served{Model: "model-1", Version: "v1", Commit: "c"})

	const n = 10_000
	rng := rand.New(rand.NewPCG(1, 2))
	var open []*observe.Request
	for range n {
		if q := randomRequest(rec, rng); q != nil {
			open = append(open, q)
		}
	}
	require.Equal(t, n-len(open), ended)
	require.NotEmpty(t, open)
	for _, o := range []observe.Outcome{observe.OutcomeOK, observe.OutcomeClientError, observe.OutcomeServerError, observe.OutcomeClientDisconnect,
		observe.OutcomeTimeout, observe.OutcomeAborted, observe.OutcomePanic, observe.OutcomeStreamError} {
		assert.Greater(t, outcomes[o], 100, o)
	}
	names := sameBooks(t, prometheusBook(t, reg), otelBook(r))
	for _, m := range observe.Metrics() { // nothing is left out
		switch m.ID {
		case observe.MetricOverhead, observe.MetricCallbackPanics:
		default:
			assert.True(t, names[m.Prometheus], m.Prometheus)
		}
	}
	for _, q := range open {
		q.End(nil)
	}
	got := otelBook(r)
	sameBooks(t, prometheusBook(t, reg), got)
	assert.Zero(t, got[`llm_server_requests_in_flight model="model-1" operation="chat"`].Sum)
	assert.Zero(t, rec.Losses().CallbackPanics)
}

// sameBooks compares: the same series with the same counts, sums within 1e-9. It
// returns the metrics that were compared.
func sameBooks(t *testing.T, want, got book) (names map[string]bool) {
	t.Helper()
	for _, b := range []book{want, got} { // a series without observations is exported by Prometheus only
		maps.DeleteFunc(b, func(_ string, r observetest.Reading) bool { return r == observetest.Reading{} })
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	require.Greater(t, len(want), 200)
	names = map[string]bool{}
	for key, w := range want {
		names[strings.Fields(key)[0]] = true
		require.Equal(t, w.Count, got[key].Count, key)
		if w.Sum == 0 {
			require.Zero(t, got[key].Sum, key)
		} else {
			require.InEpsilon(t, w.Sum, got[key].Sum, 1e-9, key)
		}
	}
	return names
}

// randomRequest makes a request of a random kind; it returns one that has not
// ended.
func randomRequest(rec *observe.Recorder, rng *rand.Rand) *observe.Request {
	model := fmt.Sprint("model-", rng.IntN(11)) // more than have a place
	if rng.IntN(20) == 0 {
		model = ""
	}
	if rng.IntN(3) == 0 {
		randomAnswer(rec, rng, model)
		return nil
	}
	ops := []observe.Operation{observe.OperationChat, observe.OperationTextCompletion, observe.OperationEmbeddings, "rerank", ""}
	at := time.Now().Add(-time.Duration(rng.IntN(5000)) * time.Millisecond)
	_, q := rec.Start(context.Background(), observe.RequestInfo{Model: model, Operation: ops[rng.IntN(len(ops))], Received: at,
		Provider: []string{"openai", "own", ""}[rng.IntN(3)], Priority: []string{"", "high", "low"}[rng.IntN(3)]})
	if rng.IntN(3) == 0 {
		q.Queued()
	}
	if rng.IntN(3) == 0 {
		q.Scheduled()
	}
	if rng.IntN(20) == 0 {
		q.Preempted()
	}
	for range rng.IntN(150) {
		at = at.Add(time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)))
		if rng.IntN(50) == 0 {
			at = at.Add(-time.Second) // a clock that went back
		}
		q.TokenAt(1+rng.IntN(2), at)
	}
	if rng.IntN(2) == 0 {
		q.SetUsage(observe.Usage{Input: rng.Int64N(1 << rng.IntN(20)), Output: rng.Int64N(1000), CachedInput: rng.Int64N(9),
			CacheWriteInput: rng.Int64N(3), ReasoningOutput: rng.Int64N(5)})
	}
	q.SetFinishReason([]string{"", "stop", "length", "tool_use", "odd"}[rng.IntN(5)])
	if rng.IntN(10) == 0 {
		q.SetErrorType(fmt.Sprint("type_", rng.IntN(40)))
	}
	if rng.IntN(200) == 0 {
		return q
	}
	q.End([]error{nil, nil, nil, context.Canceled, context.DeadlineExceeded, errors.New("failed")}[rng.IntN(6)])
	return nil
}

// randomAnswer serves a request through the middleware.
func randomAnswer(rec *observe.Recorder, rng *rand.Rand, model string) {
	serve(context.Background(), rec, model, func(w http.ResponseWriter, _ *http.Request) {
		if rng.IntN(3) == 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader([]int{200, 200, 201, 400, 404, 429, 500, 503, 999}[rng.IntN(9)])
			_, _ = fmt.Fprintf(w, `{"choices":[{"finish_reason":"length"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, rng.IntN(99), rng.IntN(99))
			return
		}
		for range rng.IntN(80) {
			kind := []string{"content", "content", "content", "reasoning_content"}[rng.IntN(4)]
			sse(w, `{"choices":[{"delta":{"`+kind+`":"a"}}]}`)
		}
		switch rng.IntN(8) {
		case 0:
			panic("boom")
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			sse(w, `{"error":{"type":"overloaded"}}`)
		case 3:
			sse(w, `{"broken`)
		default:
			sse(w, fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, rng.IntN(5000), rng.IntN(99)), "[DONE]")
		}
	})
}
