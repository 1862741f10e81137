package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/observelive"
)

// captions stand over the charts of the page.
var captions = []string{
	"Requests", "Time to first token", "Inter-token latency", "Request duration", "Tokens", "In flight", "Errors", "KV cache",
	"GPU memory", "GPU busy", "GPU power", "GPU temperature",
	"Loss", "Gradient norm", "Training tokens", "Model FLOPS utilization", "Goodput, 5 min", "Where the time goes", "Step", "Step time", "Learning rate",
}

// TestRun starts the example and asks it as a browser would.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", 200*time.Millisecond, write) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(line, "simulated data on http://127.0.0.1:"), line)
	base := strings.TrimSpace(strings.TrimPrefix(line, "simulated data on "))
	get := func(path string) []byte {
		res, err := http.Get(base + path)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return body
	}

	type layout struct {
		Title  string
		Panels []struct {
			Title          string
			Own, Simulated bool
		}
	}
	var l layout
	require.Eventually(t, func() bool {
		l = layout{}
		return json.Unmarshal(get("layout"), &l) == nil && len(l.Panels) >= len(captions)
	}, 20*time.Second, 100*time.Millisecond)
	assert.Contains(t, l.Title, "simulated")
	assert.Contains(t, string(get("")), "<h1>calm live (simulated)</h1>")
	var titles []string
	for _, p := range l.Panels {
		titles = append(titles, p.Title)
		assert.True(t, p.Own, "%s: a chart that no panel knows", p.Title)
		assert.True(t, p.Simulated, "%s does not say that it is simulated", p.Title)
	}
	assert.ElementsMatch(t, captions, titles)

	var data struct {
		Running bool
		T       []int64
		S       []struct{ P []*float64 }
		Marks   []struct{ Title string }
	}
	require.Eventually(t, func() bool {
		return json.Unmarshal(get("data"), &data) == nil && len(data.T) > 3 && len(data.S) >= 20
	}, 20*time.Second, 100*time.Millisecond)
	assert.True(t, data.Running)
	require.NotEmpty(t, data.Marks)
	assert.Equal(t, "simulation started", data.Marks[0].Title)

	cancel()
	require.NoError(t, <-ended)
	_, err = http.Get(base)
	assert.Error(t, err, "the server has ended")
}

func TestRunRefusesABadAddress(t *testing.T) {
	assert.Error(t, run(t.Context(), "127.0.0.1:nowhere", time.Second, io.Discard))
	assert.ErrorContains(t, run(t.Context(), "127.0.0.1:0", time.Millisecond, io.Discard), "Every")
}

// TestStory runs two stories in a moment: every mark is there, the incident ends, what was booked
// adds up to the time that passed, and the loss spike is undone once.
func TestStory(t *testing.T) {
	reg := prometheus.NewRegistry()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w, err := newWorld(reg, start)
	require.NoError(t, err)
	w.step(start) // no time has passed
	w.step(start.Add(-time.Hour))
	for at := time.Duration(0); at <= 2*storyLength; at += 200 * time.Millisecond {
		w.step(start.Add(at))
	}
	marks := w.marksSince(start.Add(-time.Second))
	count := func(kind string) (n int) {
		for _, m := range marks {
			if m.Kind == kind {
				n++
			}
		}
		return n
	}
	assert.Equal(t, []int{1, 2, 2, 2, 1}, []int{count("start"), count("deploy"), count("incident"), count("transition"), count("rollback")})
	for _, m := range marks {
		if m.Kind == "incident" {
			assert.Equal(t, slowTo-slowFrom, m.End.Sub(m.At))
		}
	}
	assert.Less(t, len(w.marksSince(start.Add(storyLength))), len(marks))

	families, err := reg.Gather()
	require.NoError(t, err)
	var spent, lost float64
	for _, f := range families {
		for _, m := range f.Metric {
			switch f.GetName() {
			case "llm_train_time_seconds_total":
				spent += m.GetCounter().GetValue()
			case "llm_train_lost_seconds_total":
				lost += m.GetCounter().GetValue()
			case "llm_train_step":
				assert.Greater(t, m.GetGauge().GetValue(), float64(spikeAt))
			case "gpu_busy_ratio", "llm_server_kv_cache_usage_ratio":
				assert.True(t, m.GetGauge().GetValue() >= 0 && m.GetGauge().GetValue() <= 1)
			}
		}
	}
	assert.InDelta(t, 2*storyLength.Seconds(), spent, 12, "steps are booked when they begin")
	assert.Greater(t, lost, 10.)
	assert.True(t, slices.IsSortedFunc(marks, func(a, b observelive.Mark) int { return a.At.Compare(b.At) }))
}
