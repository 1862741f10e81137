package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/dashboards"
)

// output is read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// TestRun starts a real Prometheus: its rules are loaded, and none fails.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("prometheus"); err != nil {
		missing := "no prometheus in PATH (Debian: apt-get install prometheus)"
		if os.Getenv("CALM_E2E") == "required" {
			t.Fatal(missing + ", but CALM_E2E=required")
		}
		t.Skip(missing)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(t.Context())
	var out output
	done := make(chan error)
	go func() {
		done <- run(ctx, options{listen: addr, dir: t.TempDir(), program: "prometheus", demo: true}, &out)
	}()

	s := server{"http://" + addr}
	var last report
	assert.Eventually(t, func() bool {
		r, err := s.rules(ctx)
		if err != nil {
			return false
		}
		last = r
		for _, g := range r.Groups {
			for _, rule := range g.Rules {
				if rule.Health != "ok" {
					return false
				}
			}
		}
		return len(r.Groups) > 0
	}, 60*time.Second, 200*time.Millisecond, "every rule is evaluated")
	rules, err := dashboards.Alerts(dashboards.AlertConfig{})
	require.NoError(t, err)
	assert.Len(t, last.Groups, len(rules))
	assert.NotContains(t, last.String(), "failed")
	cancel()
	require.NoError(t, <-done)
	assert.Contains(t, out.String(), addr+"/alerts")
	_, err = s.rules(t.Context())
	assert.Error(t, err, "it has ended")
}

func TestWithoutPrometheus(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out output
	require.NoError(t, run(t.Context(), options{target: "127.0.0.1:1", dir: dir, program: "no-such-program"}, &out))
	assert.Contains(t, out.String(), "apt-get install prometheus")
	for _, name := range []string{"prometheus.yml", "rules.yml"} {
		assert.FileExists(t, filepath.Join(dir, name))
	}
}

func TestDoesNotStart(t *testing.T) {
	var out output
	err := run(t.Context(), options{listen: "127.0.0.1:1", dir: t.TempDir(), program: "false"}, &out)
	assert.ErrorContains(t, err, "did not start")
}

// Every alert has a heading in README.md, which its runbook_url leads to.
func TestRunbook(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	headings := map[string]bool{}
	for line := range strings.Lines(string(readme)) {
		if name, ok := strings.CutPrefix(line, "### "); ok {
			headings[strings.TrimSpace(name)] = true
		}
	}
	rules, err := dashboards.Alerts(dashboards.AlertConfig{NoTraffic: true})
	require.NoError(t, err)
	for _, g := range rules {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			assert.True(t, headings[r.Alert], r.Alert)
			url := r.Annotations["runbook_url"]
			assert.True(t, strings.HasSuffix(url, "/examples/prometheus/README.md#"+strings.ToLower(r.Alert)), url)
		}
	}
	for _, g := range rules {
		for _, r := range g.Rules {
			delete(headings, r.Alert)
		}
	}
	assert.Empty(t, headings, "no alert is called that")
}

func TestReport(t *testing.T) {
	var r report
	assert.Equal(t, "0 of 0 rules in 0 groups evaluated", r.String())
}
