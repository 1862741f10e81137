package observeprom

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

func encode(t *testing.T, families []*dto.MetricFamily, format expfmt.Format) string {
	t.Helper()
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		require.NoError(t, e.Encode(f))
	}
	if c, ok := e.(expfmt.Closer); ok {
		require.NoError(t, c.Close())
	}
	return b.String()
}

// gatherScenario plays the scenario into a new Serving.
func gatherScenario(t *testing.T, cfg ServingConfig) (families []*dto.MetricFamily) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	cfg.Registerer = reg
	synctest.Test(t, func(t *testing.T) {
		scenario(t, newServing(t, cfg))
		var err error
		families, err = reg.Gather()
		require.NoError(t, err)
	})
	return families
}

func TestGolden(t *testing.T) {
	got := encode(t, gatherScenario(t, ServingConfig{}), expfmt.NewFormat(expfmt.TypeTextPlain))
	path := filepath.Join("testdata", "serving.prom")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.Split(string(want), "\n"), strings.Split(got, "\n"))
}

// TestScenarioByHand checks the numbers of the golden file against the scenario,
// worked out by hand.
func TestScenarioByHand(t *testing.T) {
	s := newServing(t, ServingConfig{})
	synctest.Test(t, func(t *testing.T) {
		scenario(t, s)
		get := reader(s)
		for _, w := range []struct {
			id     observe.MetricID
			labels string
			count  uint64
			sum    float64
		}{
			{observe.MetricRequests, "outcome=ok code=200 stream=true", 0, 1},
			{observe.MetricRequests, "outcome=ok stream=false", 0, 0},
			{observe.MetricRequests, "outcome=panic code=200 stream=true", 0, 1},
			{observe.MetricRequests, "outcome=client_error code=429 stream=false", 0, 1},
			{observe.MetricRequests, "outcome=client_disconnect code=none stream=false", 0, 1},
			{observe.MetricRequests, "", 0, 4},
			{observe.MetricRequestDuration, "error_type=", 1, .43},
			{observe.MetricRequestDuration, "error_type=panic", 1, .2},
			{observe.MetricRequestDuration, "error_type=429", 1, .005},
			{observe.MetricRequestDuration, "error_type=client_disconnect", 1, 1},
			{observe.MetricTimeToFirstToken, "error_type=", 1, .35},
			{observe.MetricTimeToFirstToken, "error_type=panic", 1, .1},
			{observe.MetricTimeToFirstToken, "", 2, .45},
			{observe.MetricTimeToFirstContent, "", 1, .2},
			{observe.MetricTimePerOutputToken, "", 1, .02},
			{observe.MetricInterTokenLatency, "model=m1", 5, .18},
			{observe.MetricTimeToFirstByte, "", 3, .155}, // 50, 100 and 5 ms
			{observe.MetricQueueDuration, "result=scheduled priority=", 1, .05},
			{observe.MetricQueueDuration, "result=abandoned priority=batch", 1, 1},
			{observe.MetricPrefillDuration, "", 1, .3},
			{observe.MetricDecodeDuration, "", 1, .08},
			{observe.MetricRequestInputTokens, "", 1, 7},
			{observe.MetricRequestOutputTokens, "", 1, 5},
			{observe.MetricTokens, "type=input", 0, 7},
			{observe.MetricTokens, "type=output", 0, 5},
			{observe.MetricTokens, "type=cached_input", 0, 3},
			{observe.MetricTokens, "type=reasoning", 0, 0},
			{observe.MetricFinish, "reason=length", 0, 1},
			{observe.MetricSLO, "objective=ttft result=missed", 0, 3}, // too late, panicked, never came
			{observe.MetricSLO, "objective=ttft result=met", 0, 0},
			{observe.MetricSLO, "objective=tpot result=met", 0, 1},
			{observe.MetricSLO, "objective=tpot result=missed", 0, 1}, // the panic
			{observe.MetricSLO, "objective=duration", 0, 0},
			{observe.MetricInFlight, "model=m1 operation=chat", 0, 1},
			{observe.MetricWaiting, "", 0, 0},
			{observe.MetricRunning, "", 0, 1},
			{observe.MetricKVCacheUsage, "model=m1", 0, .75},
			{observe.MetricPreemptions, "", 0, 2},
			{observe.MetricPrefixCacheQueries, "", 0, 7},
			{observe.MetricPrefixCacheHits, "", 0, 3},
			{observe.MetricModelInfo, "model=m1 version=v3 checkpoint=sha256:4e1d commit=f7fab42", 0, 1},
			{observe.MetricOverhead, "", 0, 0},
		} {
			labels := make(map[string]string)
			for f := range strings.FieldsSeq(w.labels) {
				k, v, _ := strings.Cut(f, "=")
				labels[k] = v
			}
			got, ok := get(w.id, labels)
			assert.True(t, ok)
			assert.Equal(t, w.count, got.Count, "%s %s", name(w.id), w.labels)
			assert.InDelta(t, w.sum, got.Sum, 1e-9, "%s %s", name(w.id), w.labels)
		}
	})
}

// TestFormatsParse: the text format parses, and OpenMetrics says the same in its
// own syntax.
func TestFormatsParse(t *testing.T) {
	for name, cfg := range map[string]ServingConfig{
		"classic": {},
		"native":  {NativeHistograms: true, ConstLabels: prometheus.Labels{"odd": "a\\b\"c\nd"}},
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewPedanticRegistry()
			cfg.Registerer = reg
			everything(t, newServing(t, cfg))
			families, err := reg.Gather()
			require.NoError(t, err)
			p := expfmt.NewTextParser(model.UTF8Validation)
			text, err := p.TextToMetricFamilies(strings.NewReader(encode(t, families, expfmt.NewFormat(expfmt.TypeTextPlain))))
			require.NoError(t, err)
			assert.Len(t, text, len(families))
			open := encode(t, families, expfmt.NewFormat(expfmt.TypeOpenMetrics))
			assert.True(t, strings.HasSuffix(open, "\n# EOF\n"))
			assert.Contains(t, open, `# {`, "exemplars of the sampled request")
			checkOpenMetrics(t, open)
			plain := regexp.MustCompile(`(?m) # \{.*$`).ReplaceAllString(strings.TrimSuffix(open, "# EOF\n"), "")
			again, err := p.TextToMetricFamilies(strings.NewReader(plain))
			require.NoError(t, err)
			for _, f := range families {
				in := f.GetName()
				if f.GetType() == dto.MetricType_HISTOGRAM {
					assert.Equal(t, len(f.Metric), len(again[in].GetMetric()), in)
					continue
				}
				assert.Equal(t, len(f.Metric), len(again[in].GetMetric()), in)
			}
		})
	}
}

// checkOpenMetrics checks each line against the syntax of the format.
func checkOpenMetrics(t *testing.T, text string) {
	t.Helper()
	const labels = `\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*\}`
	sample := regexp.MustCompile(`^([a-z_:]+)(?:` + labels + `)? [-+0-9.eInfNa]+(?: # ` + labels + ` [-+0-9.e]+(?: [0-9.e+]+)?)?$`)
	types := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if f := strings.Fields(line); f[0] == "#" {
			if f[1] == "TYPE" {
				types[f[2]] = f[3]
			}
			continue
		}
		m := sample.FindStringSubmatch(line)
		if !assert.NotNil(t, m, line) {
			continue
		}
		found := slices.ContainsFunc([]string{"", "_total", "_bucket", "_count", "_sum"}, func(suffix string) bool {
			base, ok := strings.CutSuffix(m[1], suffix)
			return ok && types[base] != "" && (suffix == "_total") == (types[base] == "counter")
		})
		assert.True(t, found, "no type for %s", line)
	}
}
