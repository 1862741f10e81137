package observeotel

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/training"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Every figure of the table is exported, with the value that the table reads, and
// every step duration is in the histogram.
func TestTraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, err := training.New(training.Config{Run: "7b", World: 4, FLOPsPerToken: 6e9, PeakFLOPS: 1e15})
		require.NoError(t, err)
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		stop, err := RegisterTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, MeterProvider: provider})
		require.NoError(t, err)
		rec.Enter(training.PhaseStep)
		for n := int64(1); n <= 100; n++ {
			time.Sleep(time.Second)
			rec.Step(training.Step{N: n, Loss: 2, GradNorm: .5, LearningRate: 1e-4, LossScale: 8, Tokens: 10})
		}
		rec.Checkpointed(100)
		rec.RankTimes([]time.Duration{2, 2, 2, 4})

		var got metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &got))
		require.Len(t, got.ScopeMetrics, 1)
		byName := map[string]metricdata.Metrics{}
		for _, m := range got.ScopeMetrics[0].Metrics {
			byName[m.Name] = m
		}
		snapshot := rec.Snapshot()
		for _, row := range training.Metrics() {
			m, found := byName[row.OTel]
			if row.Kind == observe.KindHistogram {
				h := m.Data.(metricdata.Histogram[float64])
				require.Len(t, h.DataPoints, 1)
				assert.EqualValues(t, 100, h.DataPoints[0].Count)
				assert.Equal(t, row.Buckets, h.DataPoints[0].Bounds)
				continue
			}
			want := map[string]float64{}
			row.Values(&snapshot, func(v float64, labels ...string) {
				var key strings.Builder
				for i, l := range labels {
					key.WriteString(row.Labels[i] + "=" + l + ";")
				}
				want[key.String()] = v
			})
			require.Equal(t, len(want) > 0, found, row.OTel)
			if !found {
				continue
			}
			assert.Equal(t, row.Unit, m.Unit)
			var points []metricdata.DataPoint[float64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				points = data.DataPoints
				assert.Equal(t, observe.KindGauge, row.Kind)
			case metricdata.Sum[float64]:
				points = data.DataPoints
				assert.True(t, data.IsMonotonic)
			}
			require.Len(t, points, len(want), row.OTel)
			for _, p := range points {
				var key strings.Builder
				for _, l := range row.Labels {
					v, _ := p.Attributes.Value(attribute.Key(l))
					key.WriteString(l + "=" + v.AsString() + ";")
				}
				assert.Equal(t, want[key.String()], p.Value, row.OTel+key.String())
			}
		}
		require.NoError(t, stop())
		rec.Step(training.Step{N: 101})
		got = metricdata.ResourceMetrics{}
		require.NoError(t, reader.Collect(context.Background(), &got))
		for _, scope := range got.ScopeMetrics {
			for _, m := range scope.Metrics {
				h, is := m.Data.(metricdata.Histogram[float64])
				require.True(t, is, "%s is still collected", m.Name)
				assert.EqualValues(t, 100, h.DataPoints[0].Count, "and no step is recorded any more")
			}
		}
	})
}

func TestTrainingFaults(t *testing.T) {
	_, err := RegisterTraining(TrainingConfig{Recorders: []*training.Recorder{nil}})
	require.Error(t, err)
	assert.ErrorContains(t, err, "Recorders[0]")
	assert.ErrorContains(t, err, "MeterProvider")
	_, err = RegisterTraining(TrainingConfig{})
	assert.ErrorContains(t, err, "Recorders is empty")
	rec, err := training.New(training.Config{Run: "r"})
	require.NoError(t, err)
	_, err = RegisterTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, MeterProvider: (*sdkmetric.MeterProvider)(nil)})
	assert.ErrorContains(t, err, "TrainingConfig.MeterProvider panicked")
}
