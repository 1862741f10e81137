package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/training/tfevents"
)

// The training under a Recorder is the same training, and leaves its figures in
// the registry and its history beside the checkpoint.
func TestTrain(t *testing.T) {
	want, err := testModel()
	require.NoError(t, err)
	corpus := tinylm.Corpus{Text: []byte(testText)}
	path := filepath.Join(t.TempDir(), "deep", "model.ckpt")
	reg := prometheus.NewPedanticRegistry()
	var out bytes.Buffer
	lm, err := train(t.Context(), corpus, testConfig, path, reg, &out)
	require.NoError(t, err)
	assert.Equal(t, want.Digest(), lm.Digest())
	assert.Regexp(t, `trained  in \d+\.\d s, MFU \d+ % of this machine's \d+ GFLOP/s, goodput \d+ %\n`, out.String())

	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	assert.Empty(t, problems)
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	for name, value := range map[string]float64{
		"llm_train_step": 20, "llm_train_steps_total": 20, "llm_train_tokens_total": 20 * 8 * 32, "llm_train_running": 0,
		"llm_train_model_flops_total": 20 * 8 * 32 * lm.TrainFLOPsPerToken(),
	} {
		assert.InDelta(t, value, got[name], 1e-6, name)
	}
	assert.Positive(t, got["llm_train_loss"])
	assert.Positive(t, got["llm_train_peak_flops"])

	points, err := tfevents.Load(os.DirFS(path + ".history"))
	require.NoError(t, err)
	assert.Len(t, points["train/loss"], 20)
	require.Len(t, points["gradients/embeddings"], 1)
	assert.Positive(t, points["gradients/embeddings"][0].Histogram.Count)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = train(ctx, corpus, testConfig, "", prometheus.NewRegistry(), &out)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "before step 1")
	_, err = train(t.Context(), corpus, modelConfig{Steps: -1}, "", reg, &out)
	require.ErrorContains(t, err, "Config.Steps")
	_, err = train(t.Context(), corpus, testConfig, "", reg, &out)
	assert.ErrorContains(t, err, "refused the metrics", "twice in one registry")
}
