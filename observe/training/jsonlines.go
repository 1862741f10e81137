package training

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// JSONLinesConfig configures a JSONLines.
type JSONLinesConfig struct {
	// Path is the file to append to; it is made if it is not there, its folder is
	// not. One process writes to one file. Required.
	Path string
	// MaxBytes is the size at which the file is renamed to Path and ".1", and a new
	// one begun. A line is never divided: one that is longer has a file of its own.
	// Defaults to 0: never.
	MaxBytes int64
	// Keep is how many renamed files remain, ".1" the newest. Defaults to 5.
	Keep int
	// Perm is the permission of a new file, before umask. Defaults to 0644.
	Perm fs.FileMode
}

// JSONLines is a Sink that appends one JSON object a line to a file:
//
//	{"type":"step","run":"r7","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12,"loss":2.5,"nonfinite":{"grad_norm":"NaN"}}
//
// The types are step, gradients, scalar, session, checkpoint, rollback, event and
// summary. A line of type step holds all values of the step under their tags
// without "train/". A value that JSON cannot hold is left out and named in
// nonfinite as "NaN", "Infinity" or "-Infinity". A line has less than 1 MiB:
// names are cut at 250 bytes, other texts at 16 KiB, both with "…" at the end, and
// a histogram of more than 8192 buckets loses them. Bytes that are not UTF-8
// become U+FFFD.
//
// A Write that fails leaves at most one line torn. The next one ends it, and goes
// on with the line that was torn: no whole line is lost or written twice. What was
// written is with the operating system: a crash of the process loses nothing, one
// of the machine the last seconds. Its methods are called by one goroutine.
type JSONLines struct {
	cfg  JSONLinesConfig
	file io.WriteCloser // nil if it has to be opened
	size int64
	torn bool // the file does not end with a whole line

	taken int // records of the batch that are written
	enc   lineEncoder
}

// NewJSONLines opens the file, or returns every fault of the Config.
func NewJSONLines(cfg JSONLinesConfig) (*JSONLines, error) {
	setDefault(&cfg.Keep, 5)
	setDefault(&cfg.Perm, 0o644)
	var faults []error
	fault := func(bad bool, field string, value any, want string) {
		if bad {
			faults = append(faults, fmt.Errorf("training: JSONLinesConfig.%s is %v: %s", field, value, want))
		}
	}
	fault(cfg.Path == "", "Path", `""`, "want the path of a file")
	fault(cfg.MaxBytes < 0, "MaxBytes", cfg.MaxBytes, "want 0 or a positive number")
	fault(cfg.Keep < 0, "Keep", cfg.Keep, "want a positive number")
	fault(cfg.Perm != cfg.Perm.Perm(), "Perm", cfg.Perm, "want permission bits only")
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	s := &JSONLines{cfg: cfg}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens the file for appending, and looks whether its last line is whole.
func (s *JSONLines) open() error {
	f, err := os.OpenFile(s.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, s.cfg.Perm)
	if err != nil {
		return fmt.Errorf("training: JSON lines: %w", err)
	}
	size, torn, err := tail(f)
	if err != nil {
		return fmt.Errorf("training: JSON lines: %w", errors.Join(err, f.Close()))
	}
	s.file, s.size, s.torn = f, size, torn
	return nil
}

func tail(f *os.File) (size int64, torn bool, err error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, false, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return 0, false, err
	}
	return info.Size(), last[0] != '\n', nil
}

// Name is "jsonlines".
func (s *JSONLines) Name() string { return "jsonlines" }

// chunkBytes is how much is encoded before it is written.
const chunkBytes = 64 << 10

// Write appends the records to the file.
func (s *JSONLines) Write(ctx context.Context, batch []Record) error {
	for s.taken < len(batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.enc.encode(batch[s.taken:], chunkBytes)
		if err := s.put(); err != nil {
			return fmt.Errorf("training: JSON lines: %w", err)
		}
	}
	s.taken = 0
	return nil
}

// put writes the lines that are encoded.
func (s *JSONLines) put() error {
	lines := s.enc.lines
	for at, from := 0, 0; at < len(lines); {
		if err := s.ready(); err != nil {
			return err
		}
		to := at + s.fitting(lines[at:], from)
		if to == at {
			if err := s.rotate(); err != nil {
				return err
			}
			continue
		}
		n, err := s.write(s.enc.buf[from:lines[to-1].end])
		// A line that lacks nothing but its newline is whole: ready adds that.
		for at < to && lines[at].end-1 <= from+n {
			s.taken += lines[at].records
			at++
		}
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}

// ready makes sure that a line can follow.
func (s *JSONLines) ready() error {
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if !s.torn {
		return nil
	}
	_, err := s.write([]byte{'\n'})
	return err
}

// fitting returns how many lines, which begin at an offset of the buffer, the
// file has room for.
func (s *JSONLines) fitting(lines []lineEnd, from int) int {
	if s.cfg.MaxBytes == 0 {
		return len(lines)
	}
	n := 0
	for n < len(lines) && s.size+int64(lines[n].end-from) <= s.cfg.MaxBytes {
		n++
	}
	if n == 0 && s.size == 0 {
		n = 1
	}
	return n
}

func (s *JSONLines) write(b []byte) (int, error) {
	n, err := s.file.Write(b)
	if n < len(b) && err == nil {
		err = io.ErrShortWrite
	}
	if n > 0 {
		s.size += int64(n)
		s.torn = b[n-1] != '\n'
	}
	return n, err
}

// rotate renames the file, and those before it as far as they stand without a
// gap: after a failure in the middle nothing is moved twice.
func (s *JSONLines) rotate() error {
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return err
	}
	free := 1
	for free < s.cfg.Keep {
		if _, err := os.Lstat(s.old(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		free++
	}
	for i := free; i >= 1; i-- {
		if err := os.Rename(s.old(i-1), s.old(i)); err != nil {
			return err
		}
	}
	return nil
}

// old returns the name of the i-th file, counted back from the newest.
func (s *JSONLines) old(i int) string {
	if i == 0 {
		return s.cfg.Path
	}
	return s.cfg.Path + "." + strconv.Itoa(i)
}

// Flush does nothing: what was written can be read.
func (s *JSONLines) Flush(context.Context) error { return nil }

// Close closes the file.
func (s *JSONLines) Close(context.Context) error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("training: JSON lines: %w", err)
	}
	return nil
}
