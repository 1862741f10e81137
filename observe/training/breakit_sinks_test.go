package training_test

import (
	"context"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// Processes of one run are killed at any time, with their last lines torn, resumed,
// rolled back: in the files each step is there once, as it was run last, and no step
// is missing that was recorded two seconds before a kill.
func TestHistoriesOverKills(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) { killedRun(t, rand.New(rand.NewPCG(seed, 11))) })
	}
}

func killedRun(t *testing.T, rng *rand.Rand) {
	dir := t.TempDir()
	final := map[int64]float64{} // losses as run last
	unsure := map[int64]bool{}   // may have been lost by a kill
	at := map[int64]time.Time{}  // when they were recorded
	loss, newest := 0.0, int64(0)
	void := func(from int64) {
		maps.DeleteFunc(final, func(n int64, _ float64) bool { return n >= from })
		maps.DeleteFunc(unsure, func(n int64, _ bool) bool { return n >= from })
	}
	const processes = 5
	for process := range processes {
		board, err := tfevents.New(tfevents.Config{Dir: filepath.Join(dir, "board")})
		require.NoError(t, err)
		lines, err := training.NewJSONLines(training.JSONLinesConfig{Path: filepath.Join(dir, "lines.jsonl")})
		require.NoError(t, err)
		r, err := training.New(training.Config{Run: "r", Sinks: []training.Sink{board, lines}, LedgerPath: filepath.Join(dir, "ledger.json"), FlushEvery: time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()

		next := max(newest+1-rng.Int64N(10), 1)
		if process > 0 && rng.IntN(4) > 0 {
			r.Resume(next)
		} // else the first step says it
		if process > 0 {
			void(next)
			newest = next - 1
		}
		for range 1 + rng.IntN(60) {
			time.Sleep(time.Duration(1 + rng.Int64N(int64(500*time.Millisecond))))
			if newest > 0 && rng.IntN(15) == 0 && len(final) > 0 {
				newest = rng.Int64N(newest + 1)
				r.RolledBack(newest, "test")
				void(newest + 1)
				continue
			}
			newest++
			loss++
			r.Step(training.Step{N: newest, Loss: loss, GradNorm: math.NaN()})
			r.Scalar("x", loss)
			final[newest], at[newest] = loss, time.Now()
			delete(unsure, newest)
		}
		if process == processes-1 || rng.IntN(4) == 0 {
			cancel()
			require.NoError(t, <-done)
			continue
		}
		synctest.Wait()
		for n := range final {
			if time.Since(at[n]) < 2*time.Second {
				unsure[n] = true
			}
		}
		kept := t.TempDir() // what a kill leaves
		require.NoError(t, os.CopyFS(kept, os.DirFS(dir)))
		cancel()
		<-done
		dir = kept
		tear(t, rng, dir)
	}

	points, err := tfevents.Load(os.DirFS(filepath.Join(dir, "board")))
	require.NoError(t, err)
	ofBoard := map[int64]float64{}
	for _, p := range points["train/loss"] {
		_, twice := ofBoard[p.Step]
		require.False(t, twice, "step %d is on the board twice", p.Step)
		ofBoard[p.Step] = p.Value
	}
	file, err := os.Open(filepath.Join(dir, "lines.jsonl"))
	require.NoError(t, err)
	defer file.Close()
	ofLines := map[int64]float64{}
	for line, err := range training.ReadJSONLines(file) {
		require.NoError(t, err)
		switch line.Type {
		case "session", "rollback":
			maps.DeleteFunc(ofLines, func(n int64, _ float64) bool { return n >= line.Step })
		case "step":
			_, twice := ofLines[line.Step]
			require.False(t, twice, "step %d is in the lines twice", line.Step)
			ofLines[line.Step] = line.Values["loss"]
		}
	}
	for name, got := range map[string]map[int64]float64{"board": ofBoard, "lines": ofLines} {
		for n, v := range got {
			if !unsure[n] { // a rollback, and the step run again, may have been lost together
				require.Equal(t, final[n], v, "%s: step %d", name, n)
			}
		}
		for n := range final {
			if _, there := got[n]; !there {
				require.True(t, unsure[n], "%s: step %d is missing", name, n)
			}
		}
	}
}

// tear cuts the end of the newest files, as a crash of the machine may.
func tear(t *testing.T, rng *rand.Rand, dir string) {
	t.Helper()
	var newest string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(path, "tfevents") {
			newest = path // names are in order
		}
		return err
	}))
	for _, path := range []string{newest, filepath.Join(dir, "lines.jsonl")} {
		if path == "" || rng.IntN(2) == 0 {
			continue
		}
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(path, max(info.Size()-rng.Int64N(40), 0)))
	}
}
