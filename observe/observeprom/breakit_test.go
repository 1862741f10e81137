package observeprom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/training"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// monotone returns the values that must never fall, by name and labels.
func monotone(reg *prometheus.Registry) (map[string]float64, error) {
	families, err := reg.Gather()
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var key strings.Builder
			key.WriteString(f.GetName())
			for _, l := range m.GetLabel() {
				key.WriteString("|" + l.GetName() + "=" + l.GetValue())
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				values[key.String()] = m.GetCounter().GetValue()
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				values[key.String()+"|count"], values[key.String()+"|sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
				below := uint64(0)
				for _, b := range h.GetBucket() {
					if b.GetCumulativeCount() < below {
						err = errors.Join(err, fmt.Errorf("%s: buckets fall at %v", key.String(), b.GetUpperBound()))
					}
					below = b.GetCumulativeCount()
					values[fmt.Sprint(key.String(), "|le=", b.GetUpperBound())] = float64(below)
				}
				if below > h.GetSampleCount() {
					err = errors.Join(err, fmt.Errorf("%s: more in buckets than there are", key.String()))
				}
			}
		}
	}
	return values, err
}

// scrape gathers and compares with the scrape before, which it replaces.
func scrape(reg *prometheus.Registry, before *map[string]float64) error {
	now, err := monotone(reg)
	for key, v := range *before {
		if got, there := now[key]; !there || !(got >= v) || math.IsInf(got, 0) {
			err = errors.Join(err, fmt.Errorf("%s: %v after %v", key, got, v))
		}
	}
	*before = now
	return err
}

// abuse does one random thing to a Recorder.
func abuse(rng *rand.Rand, r *training.Recorder, newest int64) int64 {
	odd := func(x float64) float64 {
		return [...]float64{x, x, x, x, 0, math.NaN(), math.Inf(1), math.Inf(-1), -x, math.MaxFloat64}[rng.IntN(10)]
	}
	switch rng.IntN(14) {
	case 0:
		newest = rng.Int64N(newest + 1)
		r.RolledBack(newest, "test")
	case 1:
		r.Enter(training.Phase(rng.IntN(9)))
	case 2:
		r.Checkpointed(newest - rng.Int64N(5))
	case 3:
		r.Interrupted(time.Now().Add(time.Duration(rng.Int64N(int64(time.Hour)))-30*time.Minute), "test")
	case 4:
		newest = rng.Int64N(newest + 1)
		r.Resume(newest + 1)
	case 5:
		r.Gradients("w", []float32{float32(odd(1)), 2})
	case 6:
		r.RankTimes([]time.Duration{1, 1, 1, time.Duration(rng.IntN(9))})
	default:
		newest++
		r.Step(training.Step{N: newest - rng.Int64N(2)*rng.Int64N(3), Loss: odd(3), GradNorm: odd(1), ClipAt: odd(1), LossScale: odd(8), Tokens: rng.Int64N(100) - 10,
			Duration: time.Duration(rng.Int64N(int64(time.Minute)) - int64(10*time.Second)), DataWait: time.Duration(rng.Int64N(int64(time.Second))), Skipped: rng.IntN(9) == 0})
	}
	return newest
}

// Whatever is done to Recorders, with a ledger file and without, no counter falls.
func TestTrainingCountersNeverFall(t *testing.T) {
	for seed := range uint64(2) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			var all []*training.Recorder
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var running sync.WaitGroup
			for i, path := range []string{"", filepath.Join(dir, "ledger.json"), filepath.Join(dir, "missing", "ledger.json")} {
				r, err := training.New(training.Config{Run: fmt.Sprint("run", i), FLOPsPerToken: 6e9, LedgerPath: path})
				require.NoError(t, err)
				all = append(all, r)
				running.Go(func() { _ = r.Run(ctx) })
			}
			reg := prometheus.NewPedanticRegistry()
			_, err := NewTraining(TrainingConfig{Recorders: all, Registerer: reg, NativeHistograms: true})
			require.NoError(t, err)
			var before map[string]float64
			require.NoError(t, scrape(reg, &before))
			series, newest := len(before), make([]int64, len(all))
			for i := range 100 {
				time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
				for k, r := range all {
					newest[k] = abuse(rng, r, newest[k])
				}
				if i%7 == 0 {
					require.NoError(t, scrape(reg, &before))
					require.Len(t, before, series, "no series but the first")
				}
			}
			cancel()
			running.Wait()
			require.NoError(t, scrape(reg, &before))
		})
	}
}

// Names that are hostile make no scrape fail, and no more series than there may be.
func TestHostileNames(t *testing.T) {
	m, err := quality.New(quality.Config{MaxTasks: 5, MaxVersions: 3, MaxLabels: 10})
	require.NoError(t, err)
	a, err := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR"}, MaxTenants: 5})
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	_, err = NewQuality(QualityConfig{Monitor: m, Registerer: reg})
	require.NoError(t, err)
	_, err = NewCost(CostConfig{Account: a, Registerer: reg})
	require.NoError(t, err)
	names := []string{"", "\xff", "\xfe", "\xff\xfe", "a\x00", "\u202e", "🙂", "other", "a/error", "a\xff/error", "\"\\\n", strings.Repeat("\xff", 300), strings.Repeat("y", 1<<20)}
	for i := range 100 {
		names = append(names, fmt.Sprint("n", i, "\xff"))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var before map[string]float64
	for i := range 1500 {
		name := func() string { return names[rng.IntN(1+i*len(names)/1500)] }
		m.Classified(name(), name(), name(), name())
		m.Answered(name(), name(), quality.Answer{Text: name(), Reference: name(), HasReference: true, OutputTokens: i})
		m.Value(name(), rng.Float64())
		m.Scored(name(), name(), true, math.NaN())
		_ = m.Reference(name(), make([]float64, 10))
		_ = a.Add(cost.Usage{Device: name(), Busy: time.Second, Tenant: name(), Model: name(), Upstream: i%2 == 0, Requests: 1, InputTokens: 5})
		if i%50 == 0 {
			require.NoError(t, scrape(reg, &before))
		}
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		most := map[string]int{"llm_quality_score": 6 * 4 * (20 + 3*11), "llm_quality_drift_events_total": 6 * 16 * 2,
			"llm_cost_unpriced_total": 107, "llm_cost_tenant_total": 7}[f.GetName()]
		if most == 0 {
			most = 6 * 16 * 3
		}
		assert.LessOrEqual(t, len(f.GetMetric()), most, f.GetName())
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				assert.LessOrEqual(t, len(l.GetValue()), 300, f.GetName())
			}
		}
	}
}

// Scrapes and everything else at once.
func TestScrapesAtOnce(t *testing.T) {
	r, err := training.New(training.Config{Run: "r"})
	require.NoError(t, err)
	m, err := quality.New(quality.Config{})
	require.NoError(t, err)
	a, err := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR", KWh: 1}, Window: time.Millisecond})
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	_, err = NewTraining(TrainingConfig{Recorders: []*training.Recorder{r}, Registerer: reg})
	require.NoError(t, err)
	_, err = NewQuality(QualityConfig{Monitor: m, Registerer: reg})
	require.NoError(t, err)
	_, err = NewCost(CostConfig{Account: a, Registerer: reg})
	require.NoError(t, err)
	var scraping atomic.Int64
	scraping.Store(4)
	for range 4 {
		go func() {
			defer scraping.Add(-1)
			var before map[string]float64
			for range 30 {
				if err := scrape(reg, &before); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for n := int64(1); scraping.Load() > 0; n++ {
		r.Step(training.Step{N: n, Loss: 1, Duration: time.Second})
		if n%10 == 0 {
			m.Classified("a", "", "x", "x")
			m.Value("v", float64(n))
			_ = a.Add(cost.Usage{Tenant: "t", InputTokens: 1, EnergyJoules: 1})
		}
	}
}
