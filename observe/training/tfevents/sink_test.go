package tfevents

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

var _ training.Sink = (*Sink)(nil)

// session makes the records of a process.
type session struct{ training.Session }

func (s *session) step(n int64, values ...float64) (all []training.Record) {
	for i, v := range values {
		all = append(all, training.Record{Kind: training.RecordStep, Session: &s.Session, At: at(float64(n)), Step: n,
			Tag: []string{"train/loss", "train/grad_norm", "train/mfu"}[i], Value: v})
	}
	return all
}

func (s *session) record(kind training.RecordKind, n int64) training.Record {
	r := training.Record{Kind: kind, Session: &s.Session, At: at(float64(n)), Step: n}
	switch kind {
	case training.RecordScalar:
		r.Tag, r.Value = "mine", float64(n)
	case training.RecordHistogram:
		r.Tag, r.Histogram = "gradients/a", &training.Histogram{Min: 1, Max: 2, Count: n, Limits: []float64{2}, Counts: []int64{n}}
	case training.RecordEvent:
		r.Event = &training.Event{Kind: training.EventSpike, Step: n}
	}
	return r
}

func newSink(t testing.TB, cfg Config) *Sink {
	s, err := New(cfg)
	require.NoError(t, err)
	return s
}

func write(t testing.TB, s *Sink, parts ...[]training.Record) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), slices.Concat(parts...)))
}

// lines tells the events of the files of a folder.
func lines(t testing.TB, fsys fs.FS) (all []string) {
	entries, err := fs.ReadDir(fsys, ".")
	require.NoError(t, err)
	for _, entry := range entries {
		if !entry.IsDir() {
			b, err := fs.ReadFile(fsys, entry.Name())
			require.NoError(t, err)
			events, err := readAll(b)
			require.NoError(t, err)
			for _, e := range events {
				all = append(all, line(e))
			}
		}
	}
	return all
}

func line(e Event) string {
	switch {
	case e.FileVersion != "":
		return "file"
	case e.Start:
		return fmt.Sprint("START ", e.Step)
	case e.Values[0].Histogram != nil:
		return fmt.Sprintf("%d %s %d", e.Step, e.Values[0].Tag, e.Values[0].Histogram.Count)
	}
	return fmt.Sprintf("%d %s %v", e.Step, e.Values[0].Tag, e.Values[0].Scalar)
}

func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, []string{"Config.Dir is empty"}},
		{Config{Host: "a/b", Perm: fs.ModeDir | 0o644}, []string{"Config.Dir is empty", `Config.Host is "a/b"`, "Config.Perm is 020000000644"}},
		{Config{Dir: "x", Host: strings.Repeat("h", maxHost+1)}, []string{"at most 128 bytes"}},
		{Config{Dir: "x", Host: "Ω"}, []string{"Config.Host"}},
	} {
		s, err := New(c.cfg)
		require.Error(t, err)
		assert.Nil(t, s)
		assert.Equal(t, len(c.want), len(strings.Split(err.Error(), "\n")))
		for _, want := range c.want {
			assert.ErrorContains(t, err, want)
		}
	}
	assert.Equal(t, "my_host.x_____", cleanHost("my host.x_/\n\x00ü"))
}

func TestSinkWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "r1")
	s := newSink(t, Config{Dir: dir, Host: "h"})
	assert.Equal(t, "tfevents", s.Name())
	assert.NoDirExists(t, dir, "nothing is touched before the first record")
	p := &session{training.Session{Run: "r1", World: 1}}
	write(t, s, []training.Record{p.record(training.RecordCheckpoint, 0), p.record(training.RecordSummary, 0)}, nil)
	assert.NoDirExists(t, dir, "nor before the first that is written")
	write(t, s, p.step(1, 3, math.NaN(), math.Inf(1)), []training.Record{
		p.record(training.RecordScalar, 1), p.record(training.RecordHistogram, 1), p.record(training.RecordCheckpoint, 1)})
	write(t, s, p.step(2, 2), []training.Record{p.record(training.RecordEvent, 2), p.record(training.RecordRollback, 2)}, p.step(2, 1),
		[]training.Record{p.record(training.RecordSession, 9), p.record(training.RecordSummary, 9), p.record(200, 9)})
	want := []string{"file", "START 1", "1 train/loss 3", "1 train/grad_norm NaN", "1 train/mfu +Inf", "1 mine 1", "1 gradients/a 1",
		"2 train/loss 2", "2 events/spike 1", "START 2", "2 train/loss 1", "START 9"}
	assert.Equal(t, want, lines(t, os.DirFS(dir)), "visible at once")
	require.NoError(t, s.Flush(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.ErrorIs(t, s.Write(t.Context(), p.step(3, 1)), fs.ErrClosed)
	assert.Equal(t, want, lines(t, os.DirFS(dir)))

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Equal(t, fmt.Sprintf("events.out.tfevents.1700000001.h.%d.0", os.Getpid()), entries[0].Name())
}

func TestSinkCloseUnused(t *testing.T) {
	s := newSink(t, Config{Dir: t.TempDir()})
	require.NoError(t, s.Flush(t.Context()))
	require.NoError(t, s.Close(t.Context()))
}

func TestSinkContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &session{}
	require.ErrorIs(t, newSink(t, Config{Dir: dir}).Write(ctx, p.step(1, 1)), context.Canceled)
	assert.Empty(t, lines(t, os.DirFS(dir)))
}

func TestSinkTensorsAndPerm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	s := newSink(t, Config{Dir: dir, Tensors: true, Perm: 0o640})
	p := &session{}
	write(t, s, p.step(1, 3))
	require.NoError(t, s.Close(t.Context()))
	names, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	require.Len(t, names, 1)
	info, err := os.Stat(names[0])
	require.NoError(t, err)
	assert.Zero(t, info.Mode().Perm()&^0o640)
	b, err := os.ReadFile(names[0])
	require.NoError(t, err)
	assert.Contains(t, string(b), "scalars")
	assert.Equal(t, []string{"file", "START 1", "1 train/loss 3"}, lines(t, os.DirFS(dir)))
}

func TestSinkRanks(t *testing.T) {
	dir := t.TempDir()
	for rank := range 3 {
		s := newSink(t, Config{Dir: dir})
		p := &session{training.Session{Rank: rank, World: 3}}
		write(t, s, p.step(1, float64(rank)))
		require.NoError(t, s.Close(t.Context()))
		sub, err := fs.Sub(os.DirFS(dir), fmt.Sprint("rank", rank))
		require.NoError(t, err)
		assert.Equal(t, []float64{float64(rank)}, values(t, sub, "train/loss"))
	}
	assert.Empty(t, lines(t, os.DirFS(dir)))
}

// A process that goes on: with Resume, without, with records before either, and
// one that begins again.
func TestSinkResumes(t *testing.T) {
	p := &session{}
	early := []training.Record{p.record(training.RecordScalar, 0), p.record(training.RecordEvent, 0), p.record(training.RecordHistogram, 0)}
	session := []training.Record{p.record(training.RecordSession, 4)}
	for name, c := range map[string]struct {
		second [][]training.Record
		want   []float64
	}{
		"Resume":            {[][]training.Record{session, p.step(4, 41), p.step(5, 51)}, []float64{10, 20, 30, 41, 51}},
		"no Resume":         {[][]training.Record{p.step(4, 41), p.step(5, 51)}, []float64{10, 20, 30, 41, 51}},
		"early, no Resume":  {[][]training.Record{early, p.step(4, 41)}, []float64{10, 20, 30, 41}},
		"early, Resume":     {[][]training.Record{early, session, p.step(4, 41)}, []float64{10, 20, 30, 41}},
		"early only":        {[][]training.Record{early}, []float64{10, 20, 30, 40, 50}},
		"ahead":             {[][]training.Record{p.step(8, 81)}, []float64{10, 20, 30, 40, 50, 81}},
		"from the start":    {[][]training.Record{p.step(1, 11)}, []float64{11}},
		"rolled back later": {[][]training.Record{p.step(6, 61), p.step(7, 71), {p.record(training.RecordRollback, 3)}, p.step(3, 32)}, []float64{10, 20, 32}},
	} {
		for _, oneBatch := range []bool{true, false} {
			dir := t.TempDir()
			s := newSink(t, Config{Dir: dir})
			for n := int64(1); n <= 5; n++ {
				write(t, s, p.step(n, float64(10*n)))
			}
			s = newSink(t, Config{Dir: dir}) // the first was killed
			if oneBatch {
				write(t, s, c.second...)
			} else {
				for _, batch := range c.second {
					write(t, s, batch)
				}
			}
			assert.Equal(t, c.want, values(t, os.DirFS(dir), "train/loss"), name)
			names, err := filepath.Glob(dir + "/*")
			require.NoError(t, err)
			assert.Len(t, names, 2, "never adds to an old file")
		}
	}
}

// Cut the first file anywhere; the process that comes after it writes a new file,
// and all that is whole is there.
func TestSinkResumesAfterTornTail(t *testing.T) {
	p := &session{}
	first := &failing{MapFS: fstest.MapFS{}}
	s := newSink(t, Config{Dir: "x"})
	s.disk = first
	for n := int64(1); n <= 5; n++ {
		write(t, s, p.step(n, float64(n)))
	}
	require.NoError(t, s.Close(t.Context()))
	name := filepath.Base(s.path)
	whole := first.MapFS[name].Data
	for cut := range whole {
		disk := &failing{MapFS: fstest.MapFS{name: &fstest.MapFile{Data: whole[:cut:cut]}}}
		kept := max(int(countRecords(whole[:cut]))-2, 0) // less version and START
		second := newSink(t, Config{Dir: "x"})
		second.disk = disk
		write(t, second, []training.Record{p.record(training.RecordSession, int64(kept+1))})
		for n := kept + 1; n <= 7; n++ {
			write(t, second, p.step(int64(n), float64(n)))
		}
		require.NoError(t, second.Close(t.Context()))
		require.Equal(t, []float64{1, 2, 3, 4, 5, 6, 7}, values(t, disk, "train/loss"), "cut at %d", cut)
		require.Equal(t, whole[:cut], disk.MapFS[name].Data, "the old file is as it was")
	}
}

func TestSinkRefuses(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, Config{Dir: dir})
	p := &session{}
	bad := p.record(training.RecordHistogram, 1)
	bad.Histogram = &training.Histogram{Limits: []float64{1}}
	missing := p.record(training.RecordEvent, 1)
	missing.Event = nil
	long := p.record(training.RecordScalar, 1)
	long.Tag = strings.Repeat("x", maxTag+1)
	err := s.Write(t.Context(), slices.Concat(p.step(1, 1), []training.Record{bad, missing, long}, p.step(2, 2)))
	require.ErrorIs(t, err, training.ErrDropped)
	require.ErrorIs(t, err, ErrInvalid)
	assert.ErrorContains(t, err, "3 of 5")
	write(t, s, p.step(3, 3))
	assert.Equal(t, []string{"file", "START 1", "1 train/loss 1", "2 train/loss 2", "3 train/loss 3"}, lines(t, os.DirFS(dir)))
}

func TestFileSecond(t *testing.T) {
	const now = 1_700_000_000
	name := func(second string) string { return namePrefix + second + ".host.7.0" }
	for _, c := range []struct {
		second int64
		names  []string
		want   int64
	}{
		{now, nil, now},
		{now, []string{name("1699999999"), "notes.txt", "1800000000"}, now},
		{now, []string{name("1700000000")}, now + 1},
		{now, []string{name("1700000005"), name("1700000003")}, now + 6}, // the clock was set back
		{now, []string{name("17000000051"), name("170"), name("x"), name(""), name("-170000001"), namePrefix}, now},
		{now, []string{name("9999999999")}, now},
		{now, []string{name("9999999998")}, 9999999999},
		{math.MinInt64, nil, 1_000_000_000},
		{math.MaxInt64, nil, 9_999_999_999},
		{time.Time{}.Unix(), nil, 1_000_000_000},
	} {
		assert.Equal(t, c.want, fileSecond(c.second, c.names), "%v", c.names)
	}
}

// A default name comes after all that are there, whoever wrote them and when.
func TestSinkNamesAscend(t *testing.T) {
	dir := t.TempDir()
	p := &session{}
	var last string
	for i := range 12 {
		s := newSink(t, Config{Dir: dir, Host: string(rune('z' - i))})
		write(t, s, p.step(int64(12-i), 1)) // the clock goes back
		require.NoError(t, s.Close(t.Context()))
		name := filepath.Base(s.path)
		assert.Greater(t, name, last)
		assert.Regexp(t, regexp.MustCompile(`^events\.out\.tfevents\.\d{10}\.[a-z]\.\d+\.0$`), name)
		last = name
	}
}

// All of it, under a Recorder: two processes, a rollback, a NaN.
func TestUnderRecorder(t *testing.T) {
	dir := t.TempDir()
	process := func(train func(*training.Recorder)) {
		synctest.Test(t, func(t *testing.T) {
			rec, err := training.New(training.Config{Run: "r", Sinks: []training.Sink{newSink(t, Config{Dir: dir})}})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- rec.Run(ctx) }()
			train(rec)
			cancel()
			require.NoError(t, <-ended)
		})
	}
	step := func(rec *training.Recorder, n int64, loss float64) {
		time.Sleep(time.Second)
		rec.Step(training.Step{N: n, Loss: loss})
	}
	process(func(rec *training.Recorder) {
		rec.Enter(training.PhaseStep)
		for n := int64(1); n <= 5; n++ {
			step(rec, n, float64(n))
			rec.Gradients("a", []float32{1, -2, 3})
		}
	})
	process(func(rec *training.Recorder) {
		rec.Resume(4)
		rec.Enter(training.PhaseStep)
		step(rec, 4, 40)
		step(rec, 5, math.NaN())
		rec.RolledBack(4, "NaN")
		step(rec, 5, 50)
	})
	points, err := Load(os.DirFS(dir))
	require.NoError(t, err)
	assert.Equal(t, []float64{1, 2, 3, 40, 50}, values(t, os.DirFS(dir), "train/loss"))
	assert.Len(t, points["train/step_seconds"], 5)
	require.Len(t, points["gradients/a"], 3)
	assert.Equal(t, int64(3), points["gradients/a"][0].Histogram.Count)
	assert.NotContains(t, points, "events/non_finite", "it was found at a step that was rolled back")
}
