package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/dashboards"
)

func TestRun(t *testing.T) {
	for _, native := range []bool{false, true} {
		dir := t.TempDir()
		var out bytes.Buffer
		require.NoError(t, run(options{dir: dir, target: "a\"b:1", job: "llm", native: native}, &out))
		boards, err := filepath.Glob(filepath.Join(dir, "grafana/dashboards/*.json"))
		require.NoError(t, err)
		require.Len(t, boards, len(dashboards.All(dashboards.Config{})))
		for _, path := range boards {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			var board struct{ UID string }
			require.NoError(t, json.Unmarshal(text, &board))
			assert.Equal(t, board.UID+".json", filepath.Base(path))
			if board.UID != "calm-operations" { // it has no histogram
				assert.Equal(t, native, !bytes.Contains(text, []byte("_bucket")))
			}
		}
		for _, name := range []string{"docker-compose.yml", "prometheus/prometheus.yml", "prometheus/rules.yml",
			"grafana/provisioning/datasources/calm.yml", "grafana/provisioning/dashboards/calm.yml"} {
			assert.FileExists(t, filepath.Join(dir, name))
			assert.Contains(t, out.String(), filepath.Join(dir, name))
		}
		text, err := os.ReadFile(filepath.Join(dir, "docker-compose.yml"))
		require.NoError(t, err)
		assert.Equal(t, native, bytes.Contains(text, []byte("--enable-feature=native-histograms")))
	}
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o644))
	assert.Error(t, run(options{dir: blocked}, &bytes.Buffer{}))
}

// TestConfig lets promtool read the configuration of Prometheus with its rules.
func TestConfig(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		missing := "no promtool in PATH (Debian: apt-get install prometheus)"
		if os.Getenv("CALM_E2E") == "required" {
			t.Fatal(missing + ", but CALM_E2E=required")
		}
		t.Skip(missing)
	}
	dir := t.TempDir()
	require.NoError(t, run(options{dir: dir, target: "127.0.0.1:8080"}, &bytes.Buffer{}))
	out, err := exec.Command(promtool, "check", "config", filepath.Join(dir, "prometheus/prometheus.yml")).CombinedOutput()
	assert.NoError(t, err, string(out))
	assert.Contains(t, string(out), "1 rule files found")
}
