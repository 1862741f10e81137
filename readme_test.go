package calm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/calmops/calm/observe/training"
)

// TestReadmeMetrics checks that the reference lists every metric as it is
// exported: name, type, labels, meaning.
func TestReadmeMetrics(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, reference, ok := strings.Cut(string(readme), "## Metrics\n")
	require.True(t, ok)
	reference, _, _ = strings.Cut(reference, "\n## ")
	rows := 0
	for heading, metrics := range map[string][]observe.Metric{
		"Serving":  observe.Metrics(),
		"Training": names(training.Metrics()),
		"Quality":  names(quality.Metrics()),
		"Cost":     names(cost.Metrics()),
		"Resource": names(resource.Metrics()),
		"Logs":     names(ecslog.Metrics()),
	} {
		_, part, ok := strings.Cut(reference, "\n### "+heading+"\n")
		require.True(t, ok, heading)
		part, _, _ = strings.Cut(part, "\n### ")
		want := table(metrics)
		rows += len(metrics)
		assert.Contains(t, part, want, "the table of %s has to be\n%s", heading, want)
	}
	assert.Equal(t, rows, strings.Count(reference, "\n| `"), "a row for a metric that is not exported")
}

func table(metrics []observe.Metric) string {
	kinds := map[observe.MetricKind]string{observe.KindCounter: "counter", observe.KindGauge: "gauge", observe.KindHistogram: "histogram"}
	var out strings.Builder
	out.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, m := range metrics {
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", m.Prometheus, kinds[m.Kind], strings.Join(m.Labels, ", "), m.Help)
		out.WriteString(strings.ReplaceAll(row, "|  |", "| |") + "\n")
	}
	return out.String()
}

func names[S any](readings []observe.Reading[S]) (all []observe.Metric) {
	for _, r := range readings {
		all = append(all, r.Metric)
	}
	return all
}
