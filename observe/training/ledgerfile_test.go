package training

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledgerTen is an account of ten steps of a second, of which the last checkpoint
// is the seventh.
func ledgerTen() (*Ledger, time.Time) {
	l, now := NewLedger(ledgerStart), ledgerStart
	l.Enter(PhaseStep, now)
	for n := range int64(10) {
		now = now.Add(time.Second)
		l.Step(n+1, 0, 0, now)
	}
	l.Checkpointed(7, now)
	return l, now
}

func ledgerSave(t *testing.T, path string, f ledgerFile) {
	t.Helper()
	require.NoError(t, saveLedger(path, f))
}

// files returns the names in a folder.
func ledgerFiles(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLedgerFileMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, counters, lost, err := loadLedger(path, "run", ledgerStart)
	require.NoError(t, err)
	assert.Empty(t, lost)
	assert.Equal(t, NewLedger(ledgerStart), l)
	assert.Zero(t, counters)
	assert.Empty(t, ledgerFiles(t, filepath.Dir(path)), "loading writes nothing")
}

func TestLedgerFileOfCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	saved := now.Add(500 * time.Millisecond)
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: saved, Ledger: l, Counters: ledgerCounters{10, 1, 2, 5000}})
	assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)))

	back := saved.Add(time.Minute)
	got, counters, lost, err := loadLedger(path, "run", back)
	require.NoError(t, err)
	assert.Empty(t, lost)
	assert.Equal(t, ledgerCounters{10, 1, 2, 5000}, counters)
	assert.True(t, got.Recovering())
	got.Resumed(8, back)
	g := got.Goodput(back)
	assert.Equal(t, [NumCauses]time.Duration{CauseWasted: 3500 * time.Millisecond, CauseRecovery: time.Minute}, g.Badput)
	assert.Equal(t, 7*time.Second, g.Productive)
	totals := got.Totals(back)
	assert.EqualValues(t, 1, totals.Interruptions[InterruptedByCrash])
	assert.Equal(t, 500*time.Millisecond, totals.Spent[CauseWasted])
	assert.Equal(t, 3*time.Second, totals.LostToInterruption)
}

func TestLedgerFileOfPlannedStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	l.Enter(PhaseIdle, now)
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now.Add(time.Second), Closed: true, Ledger: l})
	got, _, _, err := loadLedger(path, "run", now.Add(time.Hour))
	require.NoError(t, err)
	got.Resumed(11, now.Add(time.Hour))
	g := got.Goodput(now.Add(time.Hour))
	assert.Equal(t, [NumCauses]time.Duration{CauseIdle: time.Second, CauseRecovery: time.Hour - time.Second}, g.Badput)
	assert.EqualValues(t, 1, got.Totals(now).Interruptions[InterruptedPlanned])
}

// A process that ends before it resumes is part of the same interruption.
func TestLedgerFileOfRecovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: l})
	for range 3 {
		now = now.Add(time.Minute)
		got, counters, _, err := loadLedger(path, "run", now)
		require.NoError(t, err)
		ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now.Add(time.Second), Closed: true, Ledger: got, Counters: counters})
	}
	got, _, _, err := loadLedger(path, "run", now.Add(time.Minute))
	require.NoError(t, err)
	got.Resumed(11, now.Add(time.Minute))
	g := got.Goodput(now.Add(time.Minute))
	assert.Equal(t, 4*time.Minute, g.Badput[CauseRecovery])
	assert.EqualValues(t, 1, g.Interruptions)
	assert.EqualValues(t, 1, got.interruptions[InterruptedByCrash], "the first cause")
}

func TestLedgerFileFromTheFuture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	for name, c := range map[string]struct{ saved, now time.Time }{
		"saved after now":            {now.Add(time.Hour), now.Add(time.Minute)},
		"saved and booked after now": {now.Add(time.Hour), now.Add(-5 * time.Second)},
		"a century":                  {now.AddDate(100, 0, 0), now},
	} {
		t.Run(name, func(t *testing.T) {
			ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: c.saved, Ledger: l})
			got, _, lost, err := loadLedger(path, "run", c.now)
			require.NoError(t, err)
			assert.Empty(t, lost)
			assert.EqualValues(t, 1, got.Totals(c.now).ClockBackwards)
			// The account goes on at once.
			before := got.Goodput(c.now)
			got.Resumed(11, c.now.Add(time.Second))
			after := got.Goodput(c.now.Add(time.Second))
			assert.Equal(t, time.Second, after.Elapsed-before.Elapsed)
			assert.Equal(t, time.Second, after.Badput[CauseRecovery])
			assert.Equal(t, 10*time.Second, after.Productive)
			ledgerSum(t, got, c.now)
		})
	}
}

func TestLedgerFileOfAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	ledgerSave(t, path, ledgerFile{Run: "theirs", SavedAt: now, Ledger: l})
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, _, _, err = loadLedger(path, "ours", now)
	require.ErrorContains(t, err, `"theirs"`)
	require.ErrorContains(t, err, `"ours"`)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after, "it stays")
	assert.Len(t, ledgerFiles(t, filepath.Dir(path)), 1)
}

func TestLedgerFileOfLaterVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"version":2,"run":["of","other","form"]}`), 0o600))
	_, _, _, err := loadLedger(path, "run", ledgerStart)
	require.ErrorContains(t, err, "version 2")
	assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)), "it stays")
}

// A file that ends anywhere but at its end is no ledger.
func TestLedgerFileCutAnywhere(t *testing.T) {
	l, now := ledgerTen()
	path := filepath.Join(t.TempDir(), "ledger.json")
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: l})
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range len(whole) - 1 { // the last byte is a line's end
		_, err := parseLedger(whole[:n])
		require.Error(t, err, "%s", whole[:n])
	}
	f, err := parseLedger(whole)
	require.NoError(t, err)
	assert.Equal(t, l.Goodput(now), f.Ledger.Goodput(now))

	// One bit that is wrong is found, or harmless to the sums.
	for i := range whole {
		for bit := range 8 {
			b := []byte(string(whole))
			b[i] ^= 1 << bit
			if f, err := parseLedger(b); err == nil && f.Version == ledgerVersion {
				f.takeOver(now)
				ledgerSum(t, f.Ledger, now)
			}
		}
	}
}

func TestLedgerFileCorrupt(t *testing.T) {
	l, now := ledgerTen()
	whole, err := json.Marshal(ledgerFile{Version: 1, Run: "run", SavedAt: now, Ledger: l})
	require.NoError(t, err)
	replaced := func(old, with string) string {
		require.Contains(t, string(whole), old)
		return strings.Replace(string(whole), old, with, 1)
	}
	for name, content := range map[string]string{
		"empty":             "",
		"zeros":             strings.Repeat("\x00", 4096),
		"half":              string(whole[:len(whole)/2]),
		"null":              "null",
		"no version":        replaced(`"version":1`, `"version":0`),
		"negative version":  replaced(`"version":1`, `"version":-1`),
		"no ledger":         `{"version":1,"run":"run","saved_at":"2026-01-02T03:04:05Z","ledger":null}`,
		"no time":           replaced(`"saved_at":"2026-01-02T03:04:15Z",`, ``),
		"negative counters": replaced(`"Tokens":0`, `"Tokens":-1`),
		"bad ledger":        replaced(`"pending_ns":0`, `"pending_ns":1`),
		"too long":          string(whole) + strings.Repeat(" ", maxLedgerFile),
		"two":               string(whole) + string(whole),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.json")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			got, counters, lost, err := loadLedger(path, "run", now)
			require.NoError(t, err)
			assert.Contains(t, lost, path)
			assert.Contains(t, lost, path+".corrupt")
			assert.Equal(t, NewLedger(now), got)
			assert.Zero(t, counters)
			assert.Equal(t, []string{"ledger.json.corrupt"}, ledgerFiles(t, filepath.Dir(path)))
			kept, err := os.ReadFile(path + ".corrupt")
			require.NoError(t, err)
			assert.True(t, content == string(kept), "kept as it was")
			ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: got})
			_, _, lost, err = loadLedger(path, "run", now)
			require.NoError(t, err)
			assert.Empty(t, lost)
		})
	}
}

func TestLedgerFileCorruptAgainAndAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	for i := range 15 {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "broken %d", i), 0o600))
		_, _, lost, err := loadLedger(path, "run", ledgerStart)
		require.NoError(t, err)
		require.Contains(t, lost, "kept as "+path+".corrupt")
	}
	content := func(name string) string {
		b, err := os.ReadFile(path + name)
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "broken 0", content(".corrupt"), "an older one stays")
	assert.Equal(t, "broken 1", content(".corrupt.1"))
	assert.Equal(t, "broken 8", content(".corrupt.8"))
	assert.Equal(t, "broken 14", content(".corrupt.9"), "the last of ten")
	assert.Len(t, ledgerFiles(t, filepath.Dir(path)), maxCorrupt)
}

func TestLedgerFileUnreadable(t *testing.T) {
	_, _, _, err := loadLedger(t.TempDir(), "run", ledgerStart) // a folder
	require.Error(t, err)
	_, _, _, err = loadLedger("bad\x00name", "run", ledgerStart)
	require.Error(t, err)
}

func TestLedgerFileCannotBePutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	require.NoError(t, os.WriteFile(path, []byte("broken"), 0o600))
	for i := range maxCorrupt {
		name := path + ".corrupt"
		if i > 0 {
			name = fmt.Sprintf("%s.%d", name, i)
		}
		require.NoError(t, os.MkdirAll(filepath.Join(name, "full"), 0o700))
	}
	_, _, _, err := loadLedger(path, "run", ledgerStart)
	require.ErrorContains(t, err, "cannot be put aside")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "broken", string(b))
}

// A save that fails leaves the file before, whole, and nothing else.
func TestLedgerSaveFails(t *testing.T) {
	l, now := ledgerTen()
	good := ledgerFile{Run: "run", SavedAt: now, Ledger: l}
	intact := func(t *testing.T, path string, err error) {
		t.Helper()
		require.Error(t, err)
		got, _, lost, err := loadLedger(path, "run", now)
		require.NoError(t, err)
		assert.Empty(t, lost)
		assert.Equal(t, 10*time.Second, got.Goodput(now).Productive)
	}
	t.Run("disk full", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("/dev/full is Linux's")
		}
		path := filepath.Join(t.TempDir(), "ledger.json")
		ledgerSave(t, path, good)
		require.NoError(t, os.Symlink("/dev/full", path+".tmp"))
		err := saveLedger(path, good)
		require.ErrorIs(t, err, syscall.ENOSPC)
		intact(t, path, err)
		assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)), "the rest is gone")
		ledgerSave(t, path, good) // when there is room again
	})
	t.Run("in the way", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.json")
		ledgerSave(t, path, good)
		require.NoError(t, os.Mkdir(path+".tmp", 0o700))
		intact(t, path, saveLedger(path, good))
	})
	t.Run("no JSON", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.json")
		ledgerSave(t, path, good)
		intact(t, path, saveLedger(path, ledgerFile{Run: "run", SavedAt: now, Ledger: NewLedger(now.AddDate(9000, 0, 0))}))
		assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)))
	})
	t.Run("target is a folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.json")
		require.NoError(t, os.Mkdir(path, 0o700))
		require.Error(t, saveLedger(path, good))
		assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)))
	})
	t.Run("no folder", func(t *testing.T) {
		err := saveLedger(filepath.Join(t.TempDir(), "none", "ledger.json"), good)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// A process that dies while it writes leaves a part of a temporary file: it is not
// read, and the next save replaces it.
func TestLedgerFileDiesWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	l, now := ledgerTen()
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: l})
	require.NoError(t, os.WriteFile(path+".tmp", []byte(strings.Repeat("half", 1e5)), 0o600))
	got, _, lost, err := loadLedger(path, "run", now)
	require.NoError(t, err)
	assert.Empty(t, lost)
	ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: got})
	assert.Equal(t, []string{"ledger.json"}, ledgerFiles(t, filepath.Dir(path)))
}

// The whole way through a file, as often as there are steps, changes nothing.
func TestLedgerFileEveryStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	kept, now := NewLedger(ledgerStart), ledgerStart
	l := NewLedger(ledgerStart)
	for n := range int64(50) {
		now = now.Add(time.Second)
		for _, l := range []*Ledger{kept, l} {
			l.Interrupted(now, InterruptedByCrash)
			l.Resumed(max(n-3, 1), now.Add(time.Second))
			l.Step(max(n-3, 1), time.Second, 0, now.Add(3*time.Second))
		}
		now = now.Add(4 * time.Second)
		kept.Interrupted(now, InterruptedByCrash)
		kept.Resumed(n, now.Add(5*time.Second))
		ledgerSave(t, path, ledgerFile{Run: "run", SavedAt: now, Ledger: l})
		now = now.Add(5 * time.Second)
		var err error
		l, _, _, err = loadLedger(path, "run", now)
		require.NoError(t, err)
		l.Resumed(n, now)
		require.Equal(t, kept.Goodput(now), l.Goodput(now))
	}
}
