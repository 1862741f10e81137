package training

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var jlSession = &Session{Run: "r7", Rank: 2, World: 4}

// jlStep returns the records of a step, with the values in the order that a
// Recorder has them.
func jlStep(n int64, at time.Time, pairs ...any) (batch []Record) {
	for i := 0; i < len(pairs); i += 2 {
		batch = append(batch, Record{Kind: RecordStep, Session: jlSession, At: at, Step: n, Tag: pairs[i].(string), Value: pairs[i+1].(float64)})
	}
	return batch
}

func jlOpen(t *testing.T, cfg JSONLinesConfig) *JSONLines {
	t.Helper()
	s, err := NewJSONLines(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s
}

func jlRead(t *testing.T, r io.Reader) (lines []Line) {
	t.Helper()
	for l, err := range ReadJSONLines(r) {
		require.NoError(t, err)
		lines = append(lines, l)
	}
	return lines
}

func jlReadFile(t *testing.T, path string) []Line {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return jlRead(t, bytes.NewReader(b))
}

func TestJSONLinesConfigFaults(t *testing.T) {
	_, err := NewJSONLines(JSONLinesConfig{MaxBytes: -1, Keep: -2, Perm: os.ModeDir | 0o700})
	for _, want := range []string{"JSONLinesConfig.Path is \"\"", "MaxBytes is -1", "Keep is -2", "Perm is d"} {
		require.ErrorContains(t, err, want)
	}
	_, err = NewJSONLines(JSONLinesConfig{Path: filepath.Join(t.TempDir(), "no", "such", "folder")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = NewJSONLines(JSONLinesConfig{Path: t.TempDir()})
	require.Error(t, err, "a folder")
}

func TestJSONLinesCutAtEveryByte(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var batch []Record
	for kind := range RecordSummary + 1 {
		rec := jlRandom(r)
		for rec.Kind != kind {
			rec = jlRandom(r)
		}
		batch = append(batch, rec)
	}
	var e lineEncoder
	e.encode(batch, 1<<20)
	path := filepath.Join(t.TempDir(), "cut.jsonl")
	for cut := range len(e.buf) + 1 {
		whole := 0
		for _, l := range e.lines {
			if l.end-1 <= cut {
				whole++
			}
		}
		require.Len(t, jlRead(t, bytes.NewReader(e.buf[:cut])), whole, "cut at %d", cut)

		if cut > e.lines[1].end && cut%5 != 0 { // opening files is slow
			continue
		}
		// A process that goes on loses none of them, and none of its own.
		require.NoError(t, os.WriteFile(path, e.buf[:cut], 0o644))
		s, err := NewJSONLines(JSONLinesConfig{Path: path})
		require.NoError(t, err)
		require.NoError(t, s.Write(context.Background(), []Record{{Kind: RecordCheckpoint, Session: jlSession, Step: 77}}))
		require.NoError(t, s.Close(context.Background()))
		lines := jlReadFile(t, path)
		require.Len(t, lines, whole+1, "cut at %d", cut)
		require.EqualValues(t, 77, lines[whole].Step)
	}
}

// jlFaulty fails after some bytes, in the middle of a Write.
type jlFaulty struct {
	io.WriteCloser
	left  int
	fails int
}

var errNoSpace = errors.New("no space left on device")

func (f *jlFaulty) Write(b []byte) (int, error) {
	if len(b) <= f.left {
		f.left -= len(b)
		return f.WriteCloser.Write(b)
	}
	n, err := f.WriteCloser.Write(b[:f.left])
	f.left = 0
	f.fails++
	return n, errors.Join(errNoSpace, err)
}

// TestJSONLinesWriteErrors: whatever byte a Write stops at, and however often, no
// whole line is lost or there twice.
func TestJSONLinesWriteErrors(t *testing.T) {
	const steps = 40
	var batch []Record
	at := time.Unix(1700000000, 0)
	for n := range int64(steps) {
		batch = append(batch, jlStep(n+1, at, "train/loss", float64(n), "train/grad_norm", 0.25)...)
	}
	ctx := context.Background()
	for room := range 400 {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		s := jlOpen(t, JSONLinesConfig{Path: path, MaxBytes: int64(room%3) * 1500, Keep: 20})
		for from := 0; from < len(batch); from += 20 {
			part := batch[from : from+20]
			for tries := 0; ; tries++ {
				require.Less(t, tries, 1000)
				if _, faulty := s.file.(*jlFaulty); !faulty && s.file != nil {
					s.file = &jlFaulty{WriteCloser: s.file}
				}
				if f, ok := s.file.(*jlFaulty); ok {
					f.left = room
				}
				if err := s.Write(ctx, part); err == nil {
					break
				} else if !errors.Is(err, errNoSpace) {
					t.Fatal(err)
				}
				room += 7 // a line of more than room bytes has to get through some time
			}
		}
		var got []int64
		for i := 20; i >= 0; i-- {
			if b, err := os.ReadFile(s.old(i)); err == nil {
				for _, l := range jlRead(t, bytes.NewReader(b)) {
					require.Len(t, l.Values, 2)
					got = append(got, l.Step)
				}
			}
		}
		require.Len(t, got, steps, "room %d", room)
		for i, n := range got {
			require.EqualValues(t, i+1, n)
		}
	}
}

func TestJSONLinesFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	s := jlOpen(t, JSONLinesConfig{Path: "/dev/full"})
	batch := jlStep(1, time.Now(), "train/loss", 1.0)
	for range 3 {
		require.ErrorContains(t, s.Write(context.Background(), batch), "no space left on device")
	}
	require.NoError(t, s.Flush(context.Background()))
}

func TestJSONLinesRotation(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "x.jsonl")
	s := jlOpen(t, JSONLinesConfig{Path: path, MaxBytes: 1000, Keep: 3})
	for n := range int64(60) {
		require.NoError(t, s.Write(ctx, jlStep(n+1, time.Unix(1700000000, 0), "train/loss", 1.0)))
	}
	require.NoError(t, s.Write(ctx, []Record{{Kind: RecordRollback, Session: jlSession, Step: 61, Text: strings.Repeat("x", 5000)}}))
	require.NoError(t, s.Write(ctx, jlStep(62, time.Unix(1700000000, 0), "train/loss", 1.0)))
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{path, path + ".1", path + ".2", path + ".3"}, files)
	last := int64(0)
	for i := 3; i >= 0; i-- {
		info, err := os.Stat(s.old(i))
		require.NoError(t, err)
		lines := jlReadFile(t, s.old(i))
		if len(lines) > 1 {
			require.LessOrEqual(t, info.Size(), int64(1000))
		}
		for _, l := range lines {
			if last != 0 {
				require.Equal(t, last+1, l.Step, "in order over the files, none missing")
			}
			last = l.Step
		}
	}
	require.EqualValues(t, 62, last)
	require.Len(t, jlReadFile(t, path+".1"), 1, "a long line has a file of its own")
}

// TestJSONLinesRotationFails: what cannot be renamed is tried again, and no kept
// file is moved twice.
func TestJSONLinesRotationFails(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.jsonl")
	s := jlOpen(t, JSONLinesConfig{Path: path, MaxBytes: 100, Keep: 2})
	write := func(n int64) error { return s.Write(ctx, jlStep(n, time.Unix(1700000000, 0), "train/loss", 1.0)) }
	require.NoError(t, write(1))
	require.NoError(t, write(2))
	// A folder with content in the place of .2 cannot be replaced.
	require.NoError(t, os.MkdirAll(filepath.Join(path+".2", "x"), 0o755))
	require.Error(t, write(3))
	require.Error(t, write(3))
	require.EqualValues(t, 1, jlReadFile(t, path+".1")[0].Step)
	require.NoError(t, os.RemoveAll(path+".2"))
	require.NoError(t, write(3))
	for i, want := range []int64{3, 2, 1} {
		require.EqualValues(t, want, jlReadFile(t, s.old(i))[0].Step)
	}
}

func TestJSONLinesCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	s := jlOpen(t, JSONLinesConfig{Path: path, Perm: 0o600})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := jlStep(1, time.Now(), "train/loss", 1.0)
	require.ErrorIs(t, s.Write(ctx, batch), context.Canceled)
	require.NoError(t, s.Write(context.Background(), batch))
	require.Len(t, jlReadFile(t, path), 1)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, "jsonlines", s.Name())
	require.NoError(t, s.Close(context.Background()))
	require.NoError(t, s.Write(context.Background(), batch), "it opens its file again, as after a failed rotation")
}

func TestJSONLinesAllocations(t *testing.T) {
	s := jlOpen(t, JSONLinesConfig{Path: os.DevNull})
	var batch []Record
	for n := range int64(50) {
		batch = append(batch, jlStep(n, time.Now(), "train/loss", 2.345678, "train/grad_norm", math.NaN(), "train/tokens", 1e9, "train/step_seconds", 0.51)...)
	}
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if s.Write(ctx, batch) != nil {
			t.Fatal("not written")
		}
	}))
}
