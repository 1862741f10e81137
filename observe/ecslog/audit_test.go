package ecslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newAudit(t testing.TB, w io.Writer, cfg AuditConfig) *Audit {
	t.Helper()
	a, err := NewAudit(w, cfg)
	require.NoError(t, err)
	return a
}

func recordN(t testing.TB, a *Audit, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		require.NoError(t, a.Record(context.Background(), AuditEvent{Action: fmt.Sprintf("act-%d", i), Category: []string{"configuration"}, Outcome: "success", Attrs: []slog.Attr{slog.Int("i", i)}}))
	}
}

func openAudit(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestAuditLines(t *testing.T) {
	var b bytes.Buffer
	a := newAudit(t, &b, AuditConfig{Log: Config{Service: Service{Name: "gate"}, Trace: withTrace, Sample: Sample{PerSecond: .001}, Level: slog.LevelError}})
	require.NoError(t, a.Record(context.Background(), AuditEvent{
		Action: "weights-changed", Category: []string{"configuration", "web"}, Outcome: "success",
		Attrs: []slog.Attr{slog.String("user.name", "ann"), slog.String("prompt", canary), slog.String("note", canary), slog.Any("err", errors.New("x")),
			slog.Int("event.sequence", 99), slog.String("event.hash", "forged"), slog.String("event.kind", "metric"), slog.Int("labels.event_hash", 5)},
	}))
	recordN(t, a, 2, 20)
	for i, line := range bytes.SplitAfter(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n")) {
		m := verified(t, append(bytes.TrimSuffix(line, []byte("\n")), '\n'))
		assert.Equal(t, float64(i+1), m["event.sequence"])
		assert.Equal(t, "event", m["event.kind"])
		assert.Len(t, m["event.hash"], 64)
		if i == 0 {
			assert.Equal(t, []any{"configuration", "web"}, m["event.category"])
			assert.Equal(t, "weights-changed", m["event.action"])
			assert.Equal(t, "weights-changed", m["message"])
			assert.Equal(t, "success", m["event.outcome"])
			assert.Equal(t, "gate", m["event.dataset"])
			assert.Equal(t, "ann", m["user.name"])
			assert.Equal(t, "x", m["error.message"])
			assert.Equal(t, "99", m["labels.event_sequence"])
			assert.Equal(t, "forged", m["labels.event_hash"])
			assert.Equal(t, "5", m["labels.event_hash_2"])
			assert.Equal(t, "metric", m["labels.event_kind"])
			assert.Contains(t, m, "trace.id")
		}
	}
	noCanary(t, b.String())
	n, err := VerifyAudit(&b)
	assert.Equal(t, 21, n)
	assert.NoError(t, err)
}

func TestAuditDefaultsAndFaults(t *testing.T) {
	var b bytes.Buffer
	a := newAudit(t, &b, AuditConfig{})
	err := a.Record(context.Background(), AuditEvent{Action: "a\nb", Category: []string{"", "a", "b", "c", "d"}, Outcome: "fine"})
	for _, field := range []string{"Action", "Category is", "Category[0]", "Outcome"} {
		assert.ErrorContains(t, err, "AuditEvent."+field)
	}
	assert.ErrorContains(t, a.Record(context.Background(), AuditEvent{}), "Action")
	assert.Zero(t, b.Len())
	require.NoError(t, a.Record(context.Background(), AuditEvent{Action: "a", Message: "why"}))
	m := verified(t, b.Bytes())
	assert.Equal(t, "unknown", m["event.outcome"])
	assert.Equal(t, "why", m["message"])
	assert.NotContains(t, m, "event.category")

	_, err = NewAudit(nil, AuditConfig{Log: Config{Profile: ProfileOTel, MaxLineBytes: 5}})
	assert.ErrorContains(t, err, "writer is nil")
	assert.ErrorContains(t, err, "MaxLineBytes")
	assert.ErrorContains(t, err, "ProfileOTel")
	_, err = NewAudit(&b, AuditConfig{Sync: true})
	assert.ErrorContains(t, err, "no Sync method")
}

// The line of an event that is as long as one may be keeps what the chain needs.
func TestAuditLongLine(t *testing.T) {
	var b bytes.Buffer
	quotes := strings.Repeat("\"", 256)
	a := newAudit(t, &b, AuditConfig{Log: Config{MaxLineBytes: minLineBytes, Trace: withTrace, Service: Service{quotes, quotes, quotes, quotes}}})
	c := strings.Repeat("\"", 64)
	require.NoError(t, a.Record(context.Background(), AuditEvent{Action: quotes, Category: []string{c, c, c, c}, Outcome: "unknown",
		Message: strings.Repeat("\x00", 1<<20), Attrs: append(many(300), slog.String("event.kind", strings.Repeat("\x00", 1<<20)))}))
	assert.LessOrEqual(t, b.Len(), minLineBytes)
	m := verified(t, b.Bytes())
	assert.Equal(t, 1.0, m["event.sequence"])
	n, err := VerifyAudit(&b)
	assert.Equal(t, 1, n)
	assert.NoError(t, err)
}

func TestEveryChangeOfAByteIsFound(t *testing.T) {
	var b bytes.Buffer
	a := newAudit(t, &b, AuditConfig{Log: Config{Service: Service{Name: "s"}}})
	recordN(t, a, 1, 3)
	good := b.Bytes()
	lineOf := func(at int) int { return bytes.Count(good[:at], []byte("\n")) + 1 }
	for at := range good {
		for _, change := range []byte{good[at] ^ 1, good[at] ^ 0x20, good[at] ^ 0x80, '\n', '"'} {
			if change == good[at] {
				continue
			}
			bad := bytes.Clone(good)
			bad[at] = change
			n, err := VerifyAudit(bytes.NewReader(bad))
			if !errors.Is(err, ErrAuditBroken) || n+1 != lineOf(at) || !strings.Contains(err.Error(), fmt.Sprint("line ", n+1)) {
				t.Fatalf("byte %d %q to %q: %d, %v", at, good[at], change, n, err)
			}
		}
	}
	for at := range good {
		for _, bad := range [][]byte{append(bytes.Clone(good[:at]), good[at+1:]...), append(append(bytes.Clone(good[:at]), 'x'), good[at:]...)} {
			_, err := VerifyAudit(bytes.NewReader(bad))
			require.ErrorIs(t, err, ErrAuditBroken, "byte %d taken away or put in", at)
		}
		n, err := VerifyAudit(bytes.NewReader(good[:at]))
		assert.Equal(t, lineOf(at)-1, n)
		assert.Equal(t, at > 0 && good[at-1] != '\n', errors.Is(err, ErrAuditBroken), "cut at %d", at)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for _, bad := range [][][]byte{{lines[1], lines[2]}, {lines[0], lines[2]}, {lines[1], lines[0]}, {lines[0], lines[0]}, {lines[0], []byte("\n"), lines[1]}} {
		_, err := VerifyAudit(bytes.NewReader(bytes.Join(bad, nil)))
		assert.ErrorIs(t, err, ErrAuditBroken)
	}
	// A line that was chained by another program, with a number of its own.
	forged, _ := chained([]byte(`{"event.sequence":7}`+"\n"), [32]byte{})
	_, err := VerifyAudit(bytes.NewReader(forged))
	assert.ErrorContains(t, err, "event.sequence")
}

func TestVerifyAuditReads(t *testing.T) {
	n, err := VerifyAudit(strings.NewReader(""))
	assert.Zero(t, n)
	assert.NoError(t, err)
	_, err = VerifyAudit(io.MultiReader(strings.NewReader("{"), errReader{}))
	assert.ErrorIs(t, err, errDisk)
	_, err = VerifyAudit(io.LimitReader(zeros{}, maxLineBytes+100_000))
	assert.ErrorIs(t, err, ErrAuditBroken)
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errDisk }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAuditGoesOnAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openAudit(t, path)
	recordN(t, newAudit(t, f, AuditConfig{Sync: true}), 1, 3)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	// Whatever of its last line a crash has left, the chain goes on after a whole line.
	for cut := last; cut <= len(whole); cut++ {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		a := newAudit(t, openAudit(t, path), AuditConfig{})
		sequence, _ := a.Head()
		want := 2
		if cut == len(whole) {
			want = 3
		}
		require.EqualValues(t, want, sequence, "cut at %d", cut)
		recordN(t, a, want+1, 2)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		n, err := VerifyAudit(bytes.NewReader(text))
		require.NoError(t, err, "cut at %d: %s", cut, text)
		require.Equal(t, want+2, n)
		lost := cut - last
		if cut == len(whole) {
			lost = 0
		}
		require.Equal(t, lost > 0, bytes.Contains(text, fmt.Appendf(nil, `"labels.discarded_bytes":"%d"`, lost)))
		require.LessOrEqual(t, bytes.Count(text, []byte("discarded_bytes")), 1)
	}
}

func TestAuditReopensWithoutAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for i := range 5 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		a := newAudit(t, f, AuditConfig{})
		recordN(t, a, i, 40)
		require.NoError(t, a.Record(context.Background(), AuditEvent{Action: "long", Message: strings.Repeat("m", 20_000), Attrs: []slog.Attr{slog.String("error.message", strings.Repeat("n", 30_000)), slog.String("error.stack_trace", strings.Repeat("o", 30_000))}}))
		require.NoError(t, f.Close())
	}
	f := openAudit(t, path)
	n, err := VerifyAudit(f)
	assert.NoError(t, err)
	assert.Equal(t, 205, n)
}

func TestAuditRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lines":    "one\ntwo\n",
		"no hash":  `{"event.sequence":1}` + "\n",
		"sequence": string(first(chained([]byte(`{"event.sequence":0}`+"\n"), [32]byte{}))),
		"no JSON":  string(first(chained([]byte(`{"event.sequence"}`+"\n"), [32]byte{}))),
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := NewAudit(openAudit(t, path), AuditConfig{})
		assert.ErrorIs(t, err, ErrAuditBroken, name)
		after, _ := os.ReadFile(path)
		assert.Equal(t, text, string(after), "it is left alone")
	}
	path := filepath.Join(dir, "long")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 3*maxLineBytes))
	_, err := NewAudit(openAudit(t, path), AuditConfig{})
	assert.ErrorIs(t, err, ErrAuditBroken)

	path = filepath.Join(dir, "write only")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = NewAudit(f, AuditConfig{})
	var pathErr *fs.PathError
	assert.ErrorAs(t, err, &pathErr)

	r, w, err := os.Pipe() // no regular file: a new chain
	require.NoError(t, err)
	recordN(t, newAudit(t, w, AuditConfig{}), 1, 2)
	require.NoError(t, w.Close())
	n, err := VerifyAudit(r)
	assert.NoError(t, err)
	assert.Equal(t, 2, n)
	require.NoError(t, r.Close())
}

func first[A, B any](a A, _ B) A { return a }

// faultyFile is a file whose next Write, Truncate or Sync fails.
type faultyFile struct {
	*os.File
	write    func(*os.File, []byte) (int, error)
	truncate error
	sync     error
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if w := f.write; w != nil {
		f.write = nil
		return w(f.File, p)
	}
	return f.File.Write(p)
}

func (f *faultyFile) Truncate(n int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.File.Truncate(n)
}

func (f *faultyFile) Sync() error { return f.sync }

func TestAuditWriteFaults(t *testing.T) {
	event := AuditEvent{Action: "a"}
	half := func(f *os.File, p []byte) (int, error) { n, _ := f.Write(p[:len(p)/2]); return n, errDisk }
	for name, c := range map[string]struct {
		write    func(*os.File, []byte) (int, error)
		truncate error
		lines    int // that hold after the fault and one more event
		broken   bool
	}{
		"nothing written": {func(*os.File, []byte) (int, error) { return 0, errDisk }, nil, 2, false},
		"half":            {half, nil, 2, false},
		"short":           {func(f *os.File, p []byte) (int, error) { n, _ := f.Write(p[:3]); return n, nil }, nil, 2, false},
		"panic":           {func(f *os.File, p []byte) (int, error) { _, _ = f.Write(p[:3]); panic("x") }, nil, 2, false},
		"half for good":   {half, errDisk, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			f := &faultyFile{File: openAudit(t, path)}
			a := newAudit(t, f, AuditConfig{})
			recordN(t, a, 1, 1)
			f.write, f.truncate = c.write, c.truncate
			assert.Error(t, a.Record(context.Background(), event))
			err := a.Record(context.Background(), event)
			assert.Equal(t, c.broken, errors.Is(err, ErrAuditBroken), err)
			assert.Equal(t, c.broken, err != nil)
			n, err := VerifyAudit(first(os.Open(path)))
			assert.Equal(t, c.lines, n)
			assert.Equal(t, c.broken, err != nil)
		})
	}

	w := &faultyWriter{steps: []func(*bytes.Buffer, []byte) (int, error){failAt(0, errDisk), failAt(1<<20, errDisk), failAt(5, errDisk)}}
	a := newAudit(t, w, AuditConfig{})
	assert.ErrorIs(t, a.Record(context.Background(), event), errDisk)
	assert.ErrorIs(t, a.Record(context.Background(), event), errDisk, "written, but with an error")
	sequence, _ := a.Head()
	assert.EqualValues(t, 1, sequence)
	assert.ErrorIs(t, a.Record(context.Background(), event), ErrAuditBroken)
	assert.ErrorIs(t, a.Record(context.Background(), event), ErrAuditBroken)
	assert.Equal(t, 3, w.calls, "nothing is written any more")

	f := &faultyFile{File: openAudit(t, filepath.Join(t.TempDir(), "audit.log")), sync: errDisk}
	a = newAudit(t, f, AuditConfig{Sync: true})
	assert.ErrorIs(t, a.Record(context.Background(), event), errDisk)
	sequence, _ = a.Head()
	assert.EqualValues(t, 1, sequence, "it is in the file")
}

func TestAuditConcurrently(t *testing.T) {
	var b bytes.Buffer
	a := newAudit(t, &b, AuditConfig{})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() { recordN(t, a, g*50, 50) })
	}
	wg.Wait()
	n, err := VerifyAudit(&b)
	assert.NoError(t, err)
	assert.Equal(t, 800, n)
	sequence, hash := a.Head()
	assert.EqualValues(t, 800, sequence)
	assert.NotZero(t, hash)
}

func FuzzVerifyAudit(f *testing.F) {
	var b bytes.Buffer
	a, err := NewAudit(&b, AuditConfig{})
	require.NoError(f, err)
	recordN(f, a, 1, 2)
	good := b.Bytes()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := VerifyAudit(bytes.NewReader(text))
		if lines := bytes.Count(text, []byte("\n")); err == nil && n != lines || n > lines {
			t.Fatalf("%d of %d lines, %v", n, lines, err)
		}
	})
}
