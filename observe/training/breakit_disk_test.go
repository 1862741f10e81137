//go:build linux

package training

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A full disk is told once for each file, counted, and training goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		lines, err := NewJSONLines(JSONLinesConfig{Path: "/dev/full"})
		require.NoError(t, err)
		var events log
		r := must(t, Config{Sinks: []Sink{lines}, LedgerPath: path, QueueSize: 50, OnEvent: events.add})
		stop := run(r)
		synctest.Wait()
		full := func() { // saving writes to this name, and takes it away when that fails
			if _, err := os.Lstat(path + ".tmp"); err != nil {
				require.NoError(t, os.Symlink("/dev/full", path+".tmp"))
			}
		}
		r.Enter(PhaseStep)
		for n := range int64(120) {
			synctest.Wait()
			full()
			r.Step(Step{N: n + 1, Loss: 1})
			time.Sleep(time.Second)
		}
		s := r.Snapshot()
		require.Len(t, events.all(), 2)
		for _, e := range events.all() {
			assert.Equal(t, EventSinkFailing, e.Kind)
			assert.Contains(t, e.Detail, syscall.ENOSPC.Error())
		}
		assert.EqualValues(t, 120, s.Last.N)
		assert.Greater(t, s.Sinks[0].Errors, int64(3))
		assert.Greater(t, s.Sinks[0].Dropped, int64(60))
		assert.GreaterOrEqual(t, s.Sinks[1].Errors, int64(10))
		assert.ErrorIs(t, stop(), syscall.ENOSPC, "the cause, not the end of the time for it")
		require.NoError(t, os.RemoveAll(path+".tmp"))

		// The old file is whole: the next process goes on from there.
		next := must(t, Config{LedgerPath: path})
		again := next.Snapshot()
		assert.Zero(t, again.Events(EventLedgerLost))
	})
}

// The ledger's folder may be missing, vanish, and come back.
func TestLedgerFolderComesAndGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	path := filepath.Join(dir, "ledger.json")
	synctest.Test(t, func(t *testing.T) {
		var events log
		r := must(t, Config{LedgerPath: path, OnEvent: events.add})
		stop := run(r)
		r.Enter(PhaseStep)
		for spell := range 3 {
			for n := range int64(30) {
				time.Sleep(time.Second)
				r.Step(Step{N: int64(spell)*30 + n + 1})
			}
			require.Len(t, events.all(), spell+1, "one a spell")
			assert.Equal(t, "ledger", events.all()[spell].Signal)
			require.NoError(t, os.Mkdir(dir, 0o700))
			time.Sleep(11 * time.Second)
			assert.EqualValues(t, spell*30+30, r.Snapshot().Steps, "as of the file")
			if spell < 2 {
				require.NoError(t, os.RemoveAll(dir))
			}
		}
		require.NoError(t, stop())
		require.FileExists(t, path)
	})
}

// A path that cannot be a ledger's is told at once.
func TestLedgerPathIsAFolder(t *testing.T) {
	_, err := New(Config{Run: "test", LedgerPath: t.TempDir()})
	require.ErrorIs(t, err, syscall.EISDIR)
}

// While the disk of the ledger hangs, a hang is found all the same: it may be the
// cause.
func TestLedgerFileThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	require.NoError(t, syscall.Mkfifo(path+".tmp", 0o600)) // opening it waits for a reader
	hung := make(chan Event, 100)
	r := must(t, Config{LedgerPath: path, Hang: Hang{Init: time.Millisecond}, OnEvent: func(e Event) { hung <- e }})
	stop := run(r)
	select {
	case e := <-hung:
		assert.Equal(t, EventHang, e.Kind)
	case <-time.After(20 * time.Second):
		t.Error("no hang was found")
	}
	reader, err := os.OpenFile(path+".tmp", os.O_RDWR, 0)
	require.NoError(t, err)
	defer reader.Close()
	if err := stop(); err != nil { // a pipe cannot be made durable
		assert.True(t, errors.Is(err, syscall.EINVAL) || errors.Is(err, os.ErrNotExist), err)
	}
}
