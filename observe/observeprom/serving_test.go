package observeprom

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewServingReportsAllFaultsAtOnce(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	_, err := NewServing(ServingConfig{
		Registerer:  reg,
		ConstLabels: prometheus.Labels{"model": "m", "": "x", "__name": "y", "zone": "\xff", "le": "1", "fine": "yes"},
		Buckets: Buckets{
			TTFT:     []float64{1, 1},
			ITL:      []float64{math.NaN()},
			Duration: []float64{1, math.Inf(1)},
			Queue:    []float64{2, 1, 3},
			Tokens:   []float64{math.Inf(-1), 1},
		},
	})
	require.Error(t, err)
	assert.Equal(t, []string{
		`observeprom: ServingConfig.Buckets.TTFT[1] = 1: want more than the 1 before it`,
		`observeprom: ServingConfig.Buckets.ITL[0] = NaN: want a finite number`,
		`observeprom: ServingConfig.Buckets.Duration[1] = +Inf: want a finite number`,
		`observeprom: ServingConfig.Buckets.Queue[1] = 1: want more than the 2 before it`,
		`observeprom: ServingConfig.Buckets.Tokens[0] = -Inf: want a finite number`,
		`observeprom: ServingConfig.ConstLabels[""] = "x": want a name of UTF-8 text`,
		`observeprom: ServingConfig.ConstLabels["__name"] = "y": names that begin with __ are reserved`,
		`observeprom: ServingConfig.ConstLabels["le"] = "1": the name is a label of every histogram already`,
		`observeprom: ServingConfig.ConstLabels["model"] = "m": the name is a label of gen_ai_server_request_duration_seconds already`,
		`observeprom: ServingConfig.ConstLabels["zone"] = "\xff": want a value of UTF-8 text`,
	}, strings.Split(err.Error(), "\n"))
	assertEmpty(t, reg)
}

func assertEmpty(t *testing.T, reg prometheus.Gatherer) {
	t.Helper()
	got, err := reg.Gather()
	require.NoError(t, err)
	assert.Empty(t, got, "something was registered")
}

// TestEveryLabelOfTheTableIsRefused: whatever the table gains, a constant label
// can never shadow it.
func TestEveryLabelOfTheTableIsRefused(t *testing.T) {
	for _, m := range observe.Metrics() {
		for _, l := range m.Labels {
			_, err := NewServing(ServingConfig{ConstLabels: prometheus.Labels{l: "x"}})
			assert.ErrorContains(t, err, "the name is a label of", l)
		}
	}
}

func TestConstLabelsThatAreAccepted(t *testing.T) {
	labels := prometheus.Labels{"cluster": "c", "zone": "", "datacenter_1": "é", "service.name": "s"}
	reg := prometheus.NewPedanticRegistry()
	s := newServing(t, ServingConfig{Registerer: reg, ConstLabels: labels})
	labels["cluster"] = "changed" // the caller's own again
	newRecorder(t, s).Engine("m")
	families, err := reg.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
	for _, f := range families {
		for _, m := range f.Metric {
			assert.True(t, has(m, map[string]string{"cluster": "c", "service.name": "s"}), f.GetName())
		}
	}
}

func TestRefusingRegisterer(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	newServing(t, ServingConfig{Registerer: reg})
	again, err := NewServing(ServingConfig{Registerer: reg})
	assert.Nil(t, again)
	var already prometheus.AlreadyRegisteredError
	require.ErrorAs(t, err, &already)
	assert.ErrorContains(t, err, "observeprom: ServingConfig.Registerer refused the metrics: ")

	// One name of another's is enough, and then nothing is registered.
	reg = prometheus.NewPedanticRegistry()
	row := observe.Metrics()[observe.MetricCallbackPanics]
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: row.Prometheus, Help: row.Help})
	require.NoError(t, reg.Register(taken))
	_, err = NewServing(ServingConfig{Registerer: reg})
	require.Error(t, err)
	require.True(t, reg.Unregister(taken))
	assertEmpty(t, reg)
	newServing(t, ServingConfig{Registerer: reg})

	// Two of them fit side by side if a label tells them apart.
	reg = prometheus.NewPedanticRegistry()
	for _, pool := range []string{"a", "b"} {
		newServing(t, ServingConfig{Registerer: reg, ConstLabels: prometheus.Labels{"pool": pool}})
	}

	broken := errors.New("no more room")
	_, err = NewServing(ServingConfig{Registerer: refusing{broken}})
	assert.ErrorIs(t, err, broken)
}

type refusing struct{ err error }

func (r refusing) Register(prometheus.Collector) error  { return r.err }
func (r refusing) MustRegister(...prometheus.Collector) {}
func (r refusing) Unregister(prometheus.Collector) bool { return false }

// newRecorder makes a Recorder that feeds the sinks.
func newRecorder(t testing.TB, sinks ...observe.Sink) *observe.Recorder {
	t.Helper()
	r, err := observe.New(observe.Config{Sinks: sinks})
	require.NoError(t, err)
	return r
}

func TestSeriesExistAtZero(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := newServing(t, ServingConfig{Registerer: reg})
	_, err := observe.New(observe.Config{Sinks: []observe.Sink{s}, Models: []string{"m"}})
	require.NoError(t, err)
	at := map[string]string{"model": "m", "operation": "chat"}
	for _, labels := range []map[string]string{
		{"stream": "true", "outcome": "ok", "code": "200"},
		{"stream": "false", "outcome": "ok", "code": "200"},
	} {
		labels["model"], labels["operation"] = "m", "chat"
		found := read(s, name(observe.MetricRequests), labels)
		if assert.Len(t, found, 1, "%v", labels) {
			assert.Zero(t, found[0].Counter.GetValue())
		}
	}
	for _, typ := range []string{"input", "output"} {
		assert.Len(t, read(s, name(observe.MetricTokens), map[string]string{"model": "m", "type": typ}), 1)
	}
	for _, id := range []observe.MetricID{observe.MetricResponseBytes, observe.MetricInFlight, observe.MetricInterTokenLatency,
		observe.MetricTimePerOutputToken, observe.MetricTimeToFirstByte, observe.MetricTimeToFirstToken} {
		assert.Len(t, read(s, name(id), at), 1, name(id))
	}
	for _, id := range []observe.MetricID{observe.MetricPrefillDuration, observe.MetricDecodeDuration, observe.MetricRequestInputTokens,
		observe.MetricRequestOutputTokens, observe.MetricWaiting, observe.MetricRunning, observe.MetricPreemptions} {
		assert.Len(t, read(s, name(id), map[string]string{"model": "m"}), 1, name(id))
	}
	// Nothing of what was not seen: the engine has no KV usage, nobody measures the overhead.
	for _, id := range []observe.MetricID{observe.MetricKVCacheUsage, observe.MetricOverhead, observe.MetricFinish, observe.MetricSLO,
		observe.MetricQueueDuration, observe.MetricModelInfo} {
		assert.Empty(t, read(s, name(id), nil), name(id))
	}
	// The losses are there without a Recorder.
	alone := newServing(t, ServingConfig{})
	assert.Len(t, read(alone, name(observe.MetricSeriesOverflow), nil), 2)
	assert.Len(t, read(alone, name(observe.MetricParseErrors), nil), 3)
	assert.Len(t, read(alone, name(observe.MetricCallbackPanics), nil), 1)
}

func name(id observe.MetricID) string { return observe.Metrics()[id].Prometheus }

// TestTheTableIsExported: every metric of the table appears under its name, with
// its kind, help, labels and default buckets, after enough happened.
func TestTheTableIsExported(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := newServing(t, ServingConfig{Registerer: reg})
	everything(t, s)
	families, err := reg.Gather()
	require.NoError(t, err)
	var got []string
	for _, f := range families {
		i := slices.IndexFunc(observe.Metrics(), func(m observe.Metric) bool { return m.Prometheus == f.GetName() })
		require.GreaterOrEqual(t, i, 0, "%s is not in the table", f.GetName())
		m := observe.Metrics()[i]
		got = append(got, f.GetName())
		assert.Equal(t, m.Help, f.GetHelp())
		assert.Equal(t, map[observe.MetricKind]string{observe.KindCounter: "COUNTER", observe.KindGauge: "GAUGE",
			observe.KindHistogram: "HISTOGRAM"}[m.Kind], f.GetType().String(), m.Prometheus)
		for _, x := range f.Metric {
			var labels []string
			for _, p := range x.Label {
				labels = append(labels, p.GetName())
			}
			assert.ElementsMatch(t, m.Labels, labels, m.Prometheus)
			var bounds []float64
			for _, b := range x.Histogram.GetBucket() {
				bounds = append(bounds, b.GetUpperBound())
			}
			assert.Equal(t, m.Buckets, bounds, m.Prometheus)
		}
	}
	var want []string
	for _, m := range observe.Metrics() {
		want = append(want, m.Prometheus)
	}
	assert.ElementsMatch(t, want, got)
}

func TestGatherAndLint(t *testing.T) {
	for _, native := range []bool{false, true} {
		reg := prometheus.NewPedanticRegistry()
		everything(t, newServing(t, ServingConfig{Registerer: reg, NativeHistograms: native, ConstLabels: prometheus.Labels{"pool": "a"}}))
		problems, err := testutil.GatherAndLint(reg)
		require.NoError(t, err)
		assert.Empty(t, problems)
	}
}

func TestBuckets(t *testing.T) {
	own := Buckets{TTFT: []float64{.1, .2}, ITL: []float64{-1, 0, .3}, Duration: []float64{4}, Queue: []float64{5, 6}, Tokens: []float64{7}}
	s := newServing(t, ServingConfig{Buckets: own})
	everything(t, s)
	for id, want := range map[observe.MetricID][]float64{
		observe.MetricTimeToFirstToken: own.TTFT, observe.MetricTimeToFirstByte: own.TTFT, observe.MetricTimeToFirstContent: own.TTFT,
		observe.MetricPrefillDuration:   own.TTFT,
		observe.MetricInterTokenLatency: own.ITL, observe.MetricTimePerOutputToken: own.ITL,
		observe.MetricRequestDuration: own.Duration, observe.MetricDecodeDuration: own.Duration,
		observe.MetricQueueDuration:      own.Queue,
		observe.MetricRequestInputTokens: own.Tokens, observe.MetricRequestOutputTokens: own.Tokens,
		observe.MetricOverhead: observe.Metrics()[observe.MetricOverhead].Buckets,
	} {
		found := read(s, name(id), nil)
		if !assert.NotEmpty(t, found, name(id)) {
			continue
		}
		var got []float64
		for _, b := range found[0].Histogram.Bucket {
			got = append(got, b.GetUpperBound())
		}
		assert.Equal(t, want, got, name(id))
	}
}

func TestNilServing(t *testing.T) {
	var s *Serving
	assert.NotPanics(t, func() {
		s.Attach(newRecorder(t))
		assert.Nil(t, s.Series(observe.Labels{}))
		s.Describe(nil)
		s.Collect(nil)
		newRecorder(t, s).Engine("m")
	})
	newServing(t, ServingConfig{}).Attach(nil)
}
