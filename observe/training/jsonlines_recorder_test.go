package training

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// jlRun runs a Recorder over a sink while f uses it.
func jlRun(t *testing.T, sink Sink, onEvent func(Event), f func(*Recorder)) (*Recorder, error) {
	t.Helper()
	r, err := New(Config{Run: "r7", Sinks: []Sink{sink}, OnEvent: onEvent})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	f(r)
	cancel()
	return r, <-done
}

// TestJSONLinesRecorder: two processes write one history.
func TestJSONLinesRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.jsonl")
	for process := range int64(2) {
		synctest.Test(t, func(t *testing.T) {
			s, err := NewJSONLines(JSONLinesConfig{Path: path})
			require.NoError(t, err)
			_, err = jlRun(t, s, nil, func(r *Recorder) {
				r.Resume(1 + process*10)
				for n := range int64(10) {
					time.Sleep(time.Second)
					r.Step(Step{N: 1 + process*10 + n, Loss: 2, GradNorm: math.Inf(1), Tokens: 1000})
				}
				r.Gradients("w", []float32{1, -2, 3})
				r.Checkpointed(10 + process*10)
			})
			require.NoError(t, err)
		})
	}
	count := map[string]int{}
	for _, l := range jlReadFile(t, path) {
		count[l.Type]++
		switch l.Type {
		case "step":
			require.EqualValues(t, count["step"], l.Step)
			require.Equal(t, 2.0, l.Values["loss"])
			require.Equal(t, math.Inf(1), l.Values["grad_norm"])
			if l.Step%10 != 1 { // how long the first took is not known
				require.Equal(t, 1.0, l.Values["step_seconds"])
			}
		case "gradients":
			require.Equal(t, "gradients/w", l.Tag)
			require.EqualValues(t, 3, l.Histogram.Count)
		case "summary":
			require.NotNil(t, l.Goodput)
		}
	}
	require.Equal(t, []int{20, 2, 2, 2, 2}, []int{count["step"], count["session"], count["checkpoint"], count["gradients"], count["summary"]})
}

// TestJSONLinesRecorderFullDisk: a full disk is told once and counted, and
// training goes on.
func TestJSONLinesRecorderFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := NewJSONLines(JSONLinesConfig{Path: "/dev/full"})
		require.NoError(t, err)
		var told []Event
		r, err := jlRun(t, s, func(e Event) {
			if e.Kind == EventSinkFailing {
				told = append(told, e)
			}
		}, func(r *Recorder) {
			for n := range int64(100) {
				time.Sleep(time.Second)
				r.Step(Step{N: n + 1, Loss: 2})
			}
		})
		require.ErrorContains(t, err, "records were not written")
		require.Len(t, told, 1)
		require.Contains(t, told[0].Detail, "no space left on device")
		snapshot := r.Snapshot()
		require.EqualValues(t, 100, snapshot.Steps)
		require.Greater(t, snapshot.Sinks[0].Errors, int64(3))
		require.Positive(t, snapshot.Sinks[0].Dropped)
	})
}
