package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/ecslog"
)

// corpusFile writes the test's text, so that training takes a moment.
func corpusFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "corpus.txt")
	require.NoError(t, os.WriteFile(path, []byte(testText), 0o644))
	return path
}

func TestFaultsOfTheCommandLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	empty := filepath.Join(t.TempDir(), "empty.txt")
	require.NoError(t, os.WriteFile(empty, nil, 0o644))
	torn := filepath.Join(t.TempDir(), "torn.ckpt")
	require.NoError(t, os.WriteFile(torn, []byte("not a checkpoint"), 0o644))
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"unknown flag", []string{"-frobnicate"}, "frobnicate"},
		{"bad seed", []string{"-seed", "x"}, "seed"},
		{"bad duration", []string{"-for", "soon"}, "soon"},
		{"negative duration", []string{"-for", "-1s"}, "negative"},
		{"bad load", []string{"-load", "some"}, "on or off"},
		{"argument", []string{"hello"}, "hello"},
		{"port in use", []string{"-addr", taken.Addr().String(), "-corpus", corpusFile(t)}, "in use"},
		{"no such corpus", []string{"-corpus", "no/such/file", "-addr", "127.0.0.1:0"}, "no/such/file"},
		{"empty corpus", []string{"-corpus", empty, "-addr", "127.0.0.1:0"}, "corpus"},
		{"bad price", []string{"-price", "cheap EUR", "-corpus", corpusFile(t), "-addr", "127.0.0.1:0"}, "-price"},
		{"price without currency", []string{"-price", "2", "-corpus", corpusFile(t), "-addr", "127.0.0.1:0"}, "Currency"},
		{"no folder for the log", []string{"-log", "no/such/folder/log", "-corpus", corpusFile(t), "-addr", "127.0.0.1:0"}, "-log"},
		{"torn model", []string{"-model", torn, "-corpus", corpusFile(t), "-addr", "127.0.0.1:0"}, "torn.ckpt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, run(t.Context(), c.args, &stdout, &stderr))
			assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one clear line: %s", &stderr)
			assert.Contains(t, stderr.String(), c.says)
		})
	}
	kept, err := os.ReadFile(torn)
	require.NoError(t, err)
	assert.Equal(t, "not a checkpoint", string(kept), "a file that is no checkpoint is not written over")
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-help"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	for _, flag := range []string{"-addr", "-seed", "-corpus", "-model", "-for", "-load", "-log", "-price"} {
		assert.Contains(t, stdout.String(), flag)
	}
}

// TestStory runs the whole program twice: trained, and from the checkpoint.
func TestStory(t *testing.T) {
	o := options{addr: "127.0.0.1:0", agree: testAgreement, seed: 3, corpus: corpusFile(t), run: 3 * time.Second, load: true,
		model: filepath.Join(t.TempDir(), "deep", "model.ckpt"), log: filepath.Join(t.TempDir(), "log"), price: "36 EUR"}
	var out bytes.Buffer
	require.NoError(t, serve(t.Context(), o, testConfig, &out), &out)
	text := out.String()
	assert.Contains(t, text, "training step")
	assert.Contains(t, text, "saved ")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	assert.True(t, strings.HasPrefix(lines[len(lines)-1], "quickstart: ok "), text)
	assert.NotContains(t, text, "FAILED")
	for _, figure := range []string{"per request", "per 1000 tokens", "utilization", "EUR"} {
		assert.Contains(t, text, figure)
	}
	log, err := os.ReadFile(o.log)
	require.NoError(t, err)
	assert.NotEmpty(t, log)
	for line := range bytes.Lines(log) {
		assert.Empty(t, ecslog.Verify(line), "%s", line)
	}
	o.log, o.price = "", ""

	out.Reset()
	o.run, o.load = 200*time.Millisecond, false
	began := time.Now()
	require.NoError(t, serve(t.Context(), o, testConfig, &out), &out)
	assert.Contains(t, out.String(), "loaded ")
	assert.NotContains(t, out.String(), "training step")
	assert.Less(t, time.Since(began), 3*time.Second)

	// Another seed does not fit: it trains anew.
	out.Reset()
	o.seed = 4
	require.NoError(t, serve(t.Context(), o, testConfig, &out), &out)
	assert.Contains(t, out.String(), "training anew")
}

// TestInterrupt interrupts under load: streams in flight run to their end, and
// the report still holds.
func TestInterrupt(t *testing.T) {
	o := options{addr: "127.0.0.1:0", agree: testAgreement, seed: 5, corpus: corpusFile(t), load: true, model: filepath.Join(t.TempDir(), "m")}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	time.AfterFunc(5*time.Second, cancel)
	require.NoError(t, serve(ctx, o, testConfig, &out), &out)
	assert.Contains(t, out.String(), "quickstart: ok")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	o.model = ""
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	o.seed = 6
	assert.ErrorIs(t, serve(cancelled, o, testConfig, &out), context.Canceled, "interrupted in training")
}
