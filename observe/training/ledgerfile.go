package training

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	ledgerVersion = 1
	// maxLedgerFile bounds what is read: several times the longest file that was seen.
	maxLedgerFile = 1 << 20
	// maxCorrupt bounds how many broken files are kept.
	maxCorrupt = 10
)

// ledgerCounters are the counters that go on after a restart.
type ledgerCounters struct {
	Steps, Skipped, Clipped, Tokens int64
}

// ledgerFile is the content of the file at Config.LedgerPath.
type ledgerFile struct {
	Version  int            `json:"version"`
	Run      string         `json:"run"`
	SavedAt  time.Time      `json:"saved_at"`
	Closed   bool           `json:"closed"` // the process has ended in order at SavedAt
	Counters ledgerCounters `json:"counters"`
	Ledger   *Ledger        `json:"ledger"`
}

// loadLedger returns the account that goes on, and its counters. It is new where
// there is no file, and in recovery where there is one: since the file was written,
// or since the end of an interruption that the file tells of. A file that cannot be
// understood is put aside, and lost says so. A file of another run, one of a later
// version, and one that cannot be read or put aside is an error and stays.
func loadLedger(path, run string, now time.Time) (l *Ledger, counters ledgerCounters, lost string, err error) {
	b, err := readLedger(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewLedger(now), ledgerCounters{}, "", nil
	}
	if err != nil {
		return nil, ledgerCounters{}, "", fmt.Errorf("training: ledger file: %w", err)
	}
	f, broken := parseLedger(b)
	if broken != nil {
		aside, err := putAside(path)
		if err != nil {
			return nil, ledgerCounters{}, "", fmt.Errorf("training: ledger file %s is corrupt (%w) and cannot be put aside: %w", path, broken, err)
		}
		return NewLedger(now), ledgerCounters{}, fmt.Sprintf("%s is corrupt (%v), kept as %s", path, broken, aside), nil
	}
	if f.Version > ledgerVersion {
		return nil, ledgerCounters{}, "", fmt.Errorf("training: ledger file %s has version %d: this program knows %d", path, f.Version, ledgerVersion)
	}
	if f.Run != run {
		return nil, ledgerCounters{}, "", fmt.Errorf("training: ledger file %s belongs to run %.140q, not to %q", path, f.Run, run)
	}
	f.takeOver(now)
	return f.Ledger, f.Counters, "", nil
}

// readLedger reads the file, or enough of it to see that it is too long.
func readLedger(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLedgerFile+1))
}

// parseLedger returns the content of a file, only its version if that is a later
// one, or why it is broken.
func parseLedger(b []byte) (f ledgerFile, err error) {
	if len(b) > maxLedgerFile {
		return f, fmt.Errorf("longer than %d bytes", maxLedgerFile)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return f, err
	}
	if v.Version > ledgerVersion {
		return ledgerFile{Version: v.Version}, nil
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, err
	}
	c := f.Counters
	switch {
	case f.Version < 1:
		err = fmt.Errorf("version is %d", f.Version)
	case f.Ledger == nil:
		err = errors.New("no ledger")
	case f.SavedAt.IsZero():
		err = errors.New("no saved_at")
	case min(c.Steps, c.Skipped, c.Clipped, c.Tokens) < 0:
		err = fmt.Errorf("counters are %+v", c)
	}
	return f, err
}

// takeOver puts the account of a process that is gone into recovery. A file from
// the future was written by a clock that was wrong: it counts as written now.
func (f *ledgerFile) takeOver(now time.Time) {
	end := f.SavedAt
	if end.After(now) {
		end = now
		if !f.Ledger.cursor.After(now) {
			f.Ledger.clockBackwards++ // else clamp counts it
		}
	}
	f.Ledger.clamp(now)
	cause := InterruptedByCrash
	if f.Closed {
		cause = InterruptedPlanned
	}
	f.Ledger.Interrupted(end, cause)
}

// putAside renames a file to its name and ".corrupt", or with a number from 1 up
// behind that if there are such files; when there are ten, it replaces the last.
func putAside(path string) (aside string, err error) {
	aside = path + ".corrupt"
	for n := 1; n < maxCorrupt; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.corrupt.%d", path, n)
	}
	return aside, os.Rename(path, aside)
}

// saveLedger replaces the file at once: after a crash or on a full disk there is the
// old one or the new one, whole. It writes to the name with ".tmp" behind it, so
// two processes must not save to one path; that is not noticed.
func saveLedger(path string, f ledgerFile) error {
	f.Version = ledgerVersion
	f.SavedAt = f.SavedAt.UTC()
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("training: ledger file: %w", err)
	}
	temp := path + ".tmp"
	if err := writeSynced(temp, append(b, '\n')); err != nil {
		return fmt.Errorf("training: ledger file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("training: ledger file: %w", err)
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// writeSynced leaves a file that is whole and durable, or none.
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// syncFolder makes a rename durable, where the system knows how to.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
