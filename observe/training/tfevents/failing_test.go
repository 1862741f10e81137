package tfevents

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// failing is a folder in memory. Each file takes the next of limits, in bytes, and
// then fails; after the last, files take everything.
type failing struct {
	fstest.MapFS
	limits  []int
	created int
	refuse  int // so many times names and create fail
}

func (f *failing) names(string) (all []string, err error) {
	if f.refuse > 0 {
		f.refuse--
		return nil, errFull
	}
	for name := range f.MapFS {
		all = append(all, name)
	}
	return all, nil
}

func (f *failing) create(path string) (io.WriteCloser, error) {
	path = filepath.Base(path)
	if f.MapFS[path] != nil {
		return nil, fs.ErrExist
	}
	left := math.MaxInt
	if f.created < len(f.limits) {
		left = f.limits[f.created]
	}
	f.created++
	f.MapFS[path] = &fstest.MapFile{}
	return &memory{file: f.MapFS[path], left: left}, nil
}

func (f *failing) remove(path string) error {
	delete(f.MapFS, filepath.Base(path))
	return nil
}

type memory struct {
	file *fstest.MapFile
	left int
	shut error
}

func (m *memory) Write(b []byte) (int, error) {
	n := min(len(b), m.left)
	m.left -= n
	m.file.Data = append(m.file.Data, b[:n]...)
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (m *memory) Close() error { return m.shut }

// history is batches with everything in them, and what files hold of it.
func history(p *session) (batches [][]training.Record, want []string) {
	bad := p.record(training.RecordHistogram, 1)
	bad.Histogram = nil
	batches = [][]training.Record{
		{p.record(training.RecordScalar, 0)},
		slices.Concat(p.step(1, 1, 2), []training.Record{p.record(training.RecordHistogram, 1), bad, p.record(training.RecordScalar, 1)}, p.step(2, 3, 4, 5)),
		slices.Concat([]training.Record{p.record(training.RecordCheckpoint, 2), p.record(training.RecordEvent, 2), p.record(training.RecordRollback, 2)}, p.step(2, 6)),
		slices.Concat(p.step(3, 7, 8), []training.Record{p.record(training.RecordSession, 3)}, p.step(3, 9)),
	}
	return batches, []string{"0 mine 0",
		"START 1", "1 train/loss 1", "1 train/grad_norm 2", "1 gradients/a 1", "1 mine 1", "2 train/loss 3", "2 train/grad_norm 4", "2 train/mfu 5",
		"2 events/spike 1", "START 2", "2 train/loss 6",
		"3 train/loss 7", "3 train/grad_norm 8", "START 3", "3 train/loss 9"}
}

// deliver does what a Recorder does: a batch that fails is given again.
func deliver(t testing.TB, s *Sink, batches [][]training.Record) (failures int) {
	for _, batch := range batches {
		for {
			err := s.Write(t.Context(), batch)
			if err == nil || errors.Is(err, training.ErrDropped) {
				break
			}
			require.ErrorIs(t, err, errFull)
			failures++
			require.Less(t, failures, 1000)
		}
	}
	require.NoError(t, s.Close(t.Context()))
	return failures
}

// A file fails at any byte, and the next ones too: every record is on disk, once,
// in order, and no file says anything after a torn tail.
func TestSinkFailsAnywhere(t *testing.T) {
	batches, want := history(&session{})
	run := func(disk *failing) int {
		s := newSink(t, Config{Dir: "x", Host: "h"})
		s.disk = disk
		failures := deliver(t, s, batches)
		var got []string
		for _, l := range lines(t, disk) {
			if l != "file" {
				got = append(got, l)
			}
		}
		require.Equal(t, want, got, "limits %v", disk.limits)
		for name, f := range disk.MapFS {
			assert.Greater(t, countRecords(f.Data), int64(1), "%s tells nothing", name)
		}
		return failures
	}
	disk := &failing{MapFS: fstest.MapFS{}}
	require.Zero(t, run(disk))
	require.Len(t, disk.MapFS, 1)
	var size int
	for _, f := range disk.MapFS {
		size = len(f.Data)
	}
	for limit := range size {
		require.Equal(t, 1, run(&failing{MapFS: fstest.MapFS{}, limits: []int{limit}}))
	}
	g := newGen(7)
	for range 300 {
		disk := &failing{MapFS: fstest.MapFS{}, refuse: g.IntN(3)}
		for range g.IntN(20) {
			disk.limits = append(disk.limits, g.IntN(300))
		}
		run(disk)
	}
}

// What a reader shows is the same with failures as without.
func TestSinkFailsUnseen(t *testing.T) {
	batches, _ := history(&session{})
	load := func(limits ...int) map[string][]Point {
		disk := &failing{MapFS: fstest.MapFS{}, limits: limits}
		s := newSink(t, Config{Dir: "x"})
		s.disk = disk
		deliver(t, s, batches)
		points, err := Load(disk)
		require.NoError(t, err)
		return points
	}
	want := load()
	g := newGen(8)
	for range 100 {
		require.Equal(t, want, load(g.IntN(500), g.IntN(500), g.IntN(500)))
	}
}

// A batch of several buffers, which fails between them.
func TestSinkFailsInLargeBatch(t *testing.T) {
	p := &session{}
	g := newGen(9)
	var batch []training.Record
	for n := range int64(1000) {
		r := p.record(training.RecordHistogram, n)
		for len(r.Histogram.Limits) < 20 {
			r.Histogram.Limits = append(r.Histogram.Limits, 3+float64(len(r.Histogram.Limits)))
			r.Histogram.Counts = append(r.Histogram.Counts, 1)
		}
		batch = append(batch, r)
	}
	for range 20 {
		disk := &failing{MapFS: fstest.MapFS{}, limits: []int{g.IntN(400_000), g.IntN(400_000), g.IntN(400_000)}}
		s := newSink(t, Config{Dir: "x"})
		s.disk = disk
		deliver(t, s, [][]training.Record{batch})
		points, err := Load(disk)
		require.NoError(t, err)
		require.Len(t, points["gradients/a"], len(batch))
		for i, point := range points["gradients/a"] {
			require.Equal(t, int64(i), point.Step)
		}
	}
}

// fullOnce is the real file system, full at first.
type fullOnce struct {
	disk
	full bool
}

func (f *fullOnce) create(path string) (io.WriteCloser, error) {
	file, err := f.disk.create(path)
	if err == nil && f.full {
		f.full = false
		return full{file}, nil
	}
	return file, err
}

type full struct{ io.WriteCloser }

func (f full) Write(b []byte) (int, error) {
	n, err := f.WriteCloser.Write(b[:min(len(b), 30)])
	if err == nil {
		err = errFull
	}
	return n, err
}

func TestSinkRemovesFilesThatTellNothing(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, Config{Dir: dir})
	s.disk = &fullOnce{disk: disk{perm: 0o600}, full: true}
	p := &session{}
	require.ErrorIs(t, s.Write(t.Context(), p.step(1, 1)), errFull)
	names, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	assert.Empty(t, names)
	write(t, s, p.step(1, 1))
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, []string{"file", "START 1", "1 train/loss 1"}, lines(t, os.DirFS(dir)))
}

func TestSinkRealDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer full.Close()
	_, err = NewWriter(full, day)
	require.Error(t, err)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o600))
	p := &session{}
	for _, bad := range []string{filepath.Join(dir, "x"), filepath.Join(dir, "x", "y")} {
		err := newSink(t, Config{Dir: bad}).Write(t.Context(), p.step(1, 1))
		require.Error(t, err, "a file stands where the folder should")
		require.NotErrorIs(t, err, training.ErrDropped)
	}
}

func TestSinkCloseError(t *testing.T) {
	s := newSink(t, Config{Dir: "x"})
	s.disk = &failing{MapFS: fstest.MapFS{}}
	p := &session{}
	write(t, s, p.step(1, 1))
	s.file.(*memory).shut = errFull
	require.ErrorIs(t, s.Close(t.Context()), errFull)
}
