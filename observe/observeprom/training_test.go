package observeprom

import (
	"context"
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe/training"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type failingSink struct{}

func (failingSink) Name() string                                   { return "bad-name" }
func (failingSink) Write(context.Context, []training.Record) error { return training.ErrDropped }
func (failingSink) Flush(context.Context) error                    { return nil }
func (failingSink) Close(context.Context) error                    { return nil }

// trained lets a Recorder see everything that has a metric.
func trained(t *testing.T, path string) *training.Recorder {
	rec, err := training.New(training.Config{Run: "7b", World: 4, FLOPsPerToken: 6e9, PeakFLOPS: 1e15, Sinks: []training.Sink{failingSink{}}, LedgerPath: path})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	time.Sleep(10 * time.Second)
	rec.Enter(training.PhaseStep)
	for n := int64(1); n <= 200; n++ {
		s := training.Step{N: n, Loss: 2, GradNorm: .5, ClipAt: 1, LearningRate: 1e-4, LossScale: 1024, Tokens: 4096, DataWait: 100 * time.Millisecond}
		switch n {
		case 150:
			s.Loss = 50
		case 160:
			s.GradNorm = math.NaN()
		case 170:
			s.GradNorm, s.Skipped = 2, true
		}
		time.Sleep(time.Second)
		rec.Step(s)
		if n%50 == 0 {
			rec.Enter(rec.Enter(training.PhaseCheckpointSave))
			rec.Checkpointed(n)
		}
	}
	rec.RolledBack(150, "spike")
	rec.Gradients("layer", []float32{1, float32(math.Inf(1))})
	rec.RankTimes([]time.Duration{100, 100, 100, 200})
	time.Sleep(30 * time.Second)
	rec.Step(training.Step{N: 151, Loss: 2, Tokens: 4096})
	rec.Step(training.Step{N: 151, Loss: 2, Tokens: 4096})
	cancel()
	require.NoError(t, <-done)
	return rec
}

func TestTrainingMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		rec := trained(t, path)
		reg := prometheus.NewPedanticRegistry()
		c, err := NewTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, Registerer: reg, ConstLabels: prometheus.Labels{"cluster": "a"}, NativeHistograms: true})
		require.NoError(t, err)
		problems, err := testutil.GatherAndLint(reg)
		require.NoError(t, err)
		assert.Empty(t, problems)

		families, err := reg.Gather()
		require.NoError(t, err)
		got := map[string]bool{}
		for _, f := range families {
			got[f.GetName()] = true
		}
		for _, m := range training.Metrics() {
			assert.True(t, got[m.Prometheus], "%s was not gathered", m.Prometheus)
			delete(got, m.Prometheus)
		}
		assert.Empty(t, got, "not in the table")

		text := encode(t, families, expfmt.NewFormat(expfmt.TypeTextPlain))
		for _, line := range []string{
			`llm_train_step{cluster="a",rank="0",run="7b"} 151`,
			`llm_train_checkpoint_step{cluster="a",rank="0",run="7b"} 150`,
			`llm_train_steps_total{cluster="a",rank="0",run="7b"} 202`,
			`llm_train_tokens_total{cluster="a",rank="0",run="7b"} 827392`,
			`llm_train_model_flops_total{cluster="a",rank="0",run="7b"} 4.964352e+15`,
			`llm_train_peak_flops{cluster="a",rank="0",run="7b"} 4e+15`,
			`llm_train_skipped_steps_total{cluster="a",rank="0",run="7b"} 1`,
			`llm_train_clipped_steps_total{cluster="a",rank="0",run="7b"} 1`,
			`llm_train_out_of_order_steps_total{cluster="a",rank="0",run="7b"} 1`,
			`llm_train_nonfinite_total{cluster="a",rank="0",run="7b",what="grad_norm"} 1`,
			`llm_train_nonfinite_total{cluster="a",rank="0",run="7b",what="gradient"} 1`,
			`llm_train_spikes_total{cluster="a",rank="0",run="7b",signal="loss"} 1`,
			`llm_train_events_total{cluster="a",kind="spike",rank="0",run="7b"} 2`,
			`llm_train_time_seconds_total{cluster="a",rank="0",run="7b",state="data_wait"} 20`,
			`llm_train_time_seconds_total{cluster="a",rank="0",run="7b",state="init"} 10`,
			`llm_train_time_seconds_total{cluster="a",rank="0",run="7b",state="step"} 210`,
			`llm_train_lost_seconds_total{cause="rollback",cluster="a",rank="0",run="7b"} 45`,
			`llm_train_running{cluster="a",rank="0",run="7b"} 0`,
			`llm_train_straggler_score_ratio{cluster="a",rank="0",run="7b"} 0.5`,
			`llm_train_stragglers{cluster="a",rank="0",run="7b"} 0`,
			`llm_train_step_seconds_bucket{cluster="a",rank="0",run="7b",le="1"} 200`,
			`llm_train_step_seconds_count{cluster="a",rank="0",run="7b"} 201`,
			"llm_train_sink_errors_total{cluster=\"a\",rank=\"0\",run=\"7b\",sink=\"bad-name\"}",
			`llm_train_sink_errors_total{cluster="a",rank="0",run="7b",sink="ledger"} 0`,
		} {
			assert.Contains(t, text, line)
		}
		for _, f := range families {
			if f.GetName() == "llm_train_step_seconds" {
				h := f.GetMetric()[0].GetHistogram()
				assert.EqualValues(t, 3, h.GetSchema())
				var n, count int64
				for _, d := range h.GetPositiveDelta() {
					n += d
					count += n
				}
				assert.EqualValues(t, h.GetSampleCount(), uint64(count)+h.GetZeroCount())
			}
		}
		_ = c
	})
}

// A native bucket holds what its bounds say.
func TestNativeBucketsOfReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, err := training.New(training.Config{Run: "r"})
		require.NoError(t, err)
		for i, d := range []time.Duration{time.Second, time.Second + 1, 2 * time.Second, 300 * time.Millisecond, time.Nanosecond} {
			rec.Step(training.Step{N: int64(i + 1), Duration: d})
		}
		c, err := NewTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, NativeHistograms: true})
		require.NoError(t, err)
		reg := prometheus.NewRegistry()
		reg.MustRegister(c)
		families, err := reg.Gather()
		require.NoError(t, err)
		counts := map[int]int64{}
		for _, f := range families {
			if f.GetName() != "llm_train_step_seconds" {
				continue
			}
			h := f.GetMetric()[0].GetHistogram()
			assert.EqualValues(t, 1, h.GetZeroCount())
			at, i, n := 0, 0, int64(0)
			for _, span := range h.GetPositiveSpan() {
				at += int(span.GetOffset())
				for range span.GetLength() {
					n += h.GetPositiveDelta()[i]
					counts[at] = n
					at++
					i++
				}
			}
		}
		// Bucket k is (2^((k-1)/8), 2^(k/8)].
		assert.Equal(t, map[int]int64{0: 1, 1: 1, 8: 1, int(math.Ceil(math.Log2(.3) * 8)): 1}, counts)
	})
}

func TestTrainingFaults(t *testing.T) {
	_, err := NewTraining(TrainingConfig{})
	assert.ErrorContains(t, err, "Recorders")
	rec, err := training.New(training.Config{Run: "r"})
	require.NoError(t, err)
	_, err = NewTraining(TrainingConfig{Recorders: []*training.Recorder{rec, nil, rec}, ConstLabels: prometheus.Labels{"run": "x", "__a": "b"}})
	require.Error(t, err)
	for _, part := range []string{"[1] is nil", `run "r" and rank 0`, `"run"`, `"__a"`} {
		assert.ErrorContains(t, err, part)
	}
	reg := prometheus.NewRegistry()
	_, err = NewTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, Registerer: reg})
	require.NoError(t, err)
	_, err = NewTraining(TrainingConfig{Recorders: []*training.Recorder{rec}, Registerer: reg})
	var already prometheus.AlreadyRegisteredError
	assert.ErrorAs(t, err, &already)
	var none *Training
	none.Describe(nil)
	none.Collect(nil)
}
