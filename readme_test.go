package calm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
)

// TestReadmeMetrics checks that the reference lists every metric as it is
// exported: name, type, labels, meaning.
func TestReadmeMetrics(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(readme), "## Metrics\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n## ")
	kinds := map[observe.MetricKind]string{observe.KindCounter: "counter", observe.KindGauge: "gauge", observe.KindHistogram: "histogram"}
	for _, m := range observe.Metrics() {
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", m.Prometheus, kinds[m.Kind], strings.Join(m.Labels, ", "), m.Help)
		row = strings.ReplaceAll(row, "|  |", "| |")
		assert.Contains(t, table, row+"\n")
	}
	assert.Equal(t, len(observe.Metrics()), strings.Count(table, "| `"), "a row for a metric that is not exported")
}
