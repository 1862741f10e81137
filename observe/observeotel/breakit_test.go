package observeotel

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/training"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// sums returns every monotone sum, and every histogram's count, of a collection.
func sums(t *testing.T, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &got))
	values := map[string]float64{}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[float64]:
				require.True(t, data.IsMonotonic, m.Name)
				for _, p := range data.DataPoints {
					values[m.Name+p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					values[m.Name+p.Attributes.Encoded(attribute.DefaultEncoder())] = float64(p.Count)
				}
			}
		}
	}
	return values
}

// Whatever is done to a Recorder and a Monitor, no counter falls.
func TestCountersNeverFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(8, 9))
		r, err := training.New(training.Config{Run: "r", FLOPsPerToken: 1})
		require.NoError(t, err)
		m, err := quality.New(quality.Config{MaxTasks: 3})
		require.NoError(t, err)
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		stopTraining, err := RegisterTraining(TrainingConfig{Recorders: []*training.Recorder{r}, MeterProvider: provider})
		require.NoError(t, err)
		stopQuality, err := RegisterQuality(QualityConfig{Monitor: m, MeterProvider: provider})
		require.NoError(t, err)
		before := sums(t, reader)
		for n := range int64(1000) {
			time.Sleep(time.Duration(rng.Int64N(int64(time.Minute))))
			switch rng.IntN(8) {
			case 0:
				r.RolledBack(rng.Int64N(n+1), "test")
			case 1:
				r.Resume(rng.Int64N(n + 1))
			case 2:
				r.Interrupted(time.Now().Add(time.Duration(rng.Int64N(int64(time.Hour)))-time.Hour/2), "test")
			case 3:
				r.Enter(training.Phase(rng.IntN(8)))
			default:
				r.Step(training.Step{N: n, Loss: math.NaN(), Tokens: 5, DataWait: time.Duration(rng.Int64N(int64(time.Minute))), Duration: time.Duration(rng.Int64N(int64(time.Hour)))})
			}
			name := [...]string{"", "\xff", "\xfe", "a", "a/error", "other"}[rng.IntN(6)]
			m.Classified(name, name, name, "a")
			m.Scored(name, name, true, 7)
			if n%10 == 0 {
				now := sums(t, reader)
				for key, v := range before {
					got, there := now[key]
					require.True(t, there, "%q is gone", key)
					require.GreaterOrEqual(t, got, v, key)
				}
				before = now
			}
		}
		require.NoError(t, stopTraining())
		require.NoError(t, stopQuality())
		n := len(before)
		r.Step(training.Step{N: 1e6, Duration: time.Second})
		assert.LessOrEqual(t, len(sums(t, reader)), n, "nothing is read any more")
	})
}

// Two Recorders of one run and rank would be added up.
func TestRecordersThatAreTheSame(t *testing.T) {
	var all []*training.Recorder
	for range 2 {
		r, err := training.New(training.Config{Run: "r"})
		require.NoError(t, err)
		all = append(all, r)
	}
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	_, err := RegisterTraining(TrainingConfig{Recorders: all, MeterProvider: provider})
	require.ErrorContains(t, err, `Recorders[1] has run "r" and rank 0`)

	// What the caller does with the slice later changes nothing.
	one := all[:1:1]
	stop, err := RegisterTraining(TrainingConfig{Recorders: one, MeterProvider: provider})
	require.NoError(t, err)
	one[0] = nil
	all[1].Step(training.Step{N: 1})
	assert.NotEmpty(t, sums(t, reader))
	require.NoError(t, stop())
}
