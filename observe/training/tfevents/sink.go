package tfevents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/calmops/calm/observe/training"
)

// Sink writes the history of one rank as event files. It is a training.Sink: give
// it to one Recorder, which calls it from one goroutine.
type Sink struct {
	cfg   Config
	disk  folder
	files int // opened so far

	path string
	file io.WriteCloser // nil: the next write opens a new one
	w    *Writer

	placed bool // a START on disk says where this process goes on
	done   int  // entries of the current batch that are on disk, after a failure
	closed bool
}

// New returns a Sink, or every fault of the Config. It touches no file before the
// first Write.
func New(cfg Config) (*Sink, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg, disk: disk{perm: cfg.Perm}}, nil
}

// Name returns "tfevents".
func (s *Sink) Name() string { return "tfevents" }

// Write adds a batch; after it returns nil the operating system has all of it.
// When it fails, the next Write, which must be of the same batch, opens a new file
// and goes on after what is whole in the old one. Records that no file can hold are
// left out, and the rest of the batch is written: the error then wraps
// training.ErrDropped and ErrInvalid.
func (s *Sink) Write(ctx context.Context, batch []training.Record) error {
	if s.closed {
		return fmt.Errorf("tfevents: %w", fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	first := slices.IndexFunc(batch, func(r training.Record) bool {
		return r.Kind != training.RecordCheckpoint && r.Kind != training.RecordSummary
	})
	if first < 0 {
		return nil
	}
	if s.file == nil {
		if err := s.open(&batch[first]); err != nil {
			return err
		}
	}
	before := s.w.whole
	p := pass{w: s.w, skip: s.done, placed: s.placed}
	err := p.write(batch)
	if err == nil {
		err = s.w.Flush()
	}
	if err != nil {
		s.done += int(s.w.whole - before)
		s.abandon()
		return err
	}
	s.done, s.placed = 0, p.placed
	if p.refused > 0 {
		return fmt.Errorf("%w: %d of %d: %w", training.ErrDropped, p.refused, len(batch), p.reason)
	}
	return nil
}

// pass writes a batch, except for what is already on disk.
type pass struct {
	w       *Writer
	skip    int  // entries that are on disk
	entries int  // so far; the same for each pass over a batch
	placed  bool // there was a START
	refused int  // records that no file can hold
	reason  error
}

func (p *pass) write(batch []training.Record) error {
	for i := range batch {
		if err := p.record(&batch[i]); err != nil {
			return err
		}
	}
	return nil
}

// record writes one record. Its error is one of the file.
func (p *pass) record(r *training.Record) error {
	switch r.Kind {
	case training.RecordSession, training.RecordRollback:
		return p.start(r)
	case training.RecordStep:
		if !p.placed { // nobody said where the process goes on: here
			if err := p.start(r); err != nil {
				return err
			}
		}
		return p.scalar(r, r.Tag, r.Value)
	case training.RecordScalar:
		return p.scalar(r, r.Tag, r.Value)
	case training.RecordHistogram:
		if err := errors.Join(checkTag(r.Tag), checkHistogram(r.Histogram)); err != nil {
			return p.refuse(err)
		}
		if p.next() {
			return p.w.Histogram(r.At, r.Step, r.Tag, r.Histogram)
		}
	case training.RecordEvent:
		if r.Event == nil {
			return p.refuse(fmt.Errorf("%w: no event", ErrInvalid))
		}
		return p.scalar(r, "events/"+r.Event.Kind.String(), 1)
	}
	return nil
}

func (p *pass) start(r *training.Record) error {
	p.placed = true
	if p.next() {
		return p.w.SessionStart(r.At, r.Step)
	}
	return nil
}

func (p *pass) scalar(r *training.Record, tag string, v float64) error {
	if err := checkTag(tag); err != nil {
		return p.refuse(err)
	}
	if p.next() {
		return p.w.Scalar(r.At, r.Step, tag, v)
	}
	return nil
}

// next counts an entry, and reports whether it has to be written.
func (p *pass) next() bool {
	p.entries++
	return p.entries > p.skip
}

func (p *pass) refuse(err error) error {
	p.refused++
	if p.reason == nil {
		p.reason = err
	}
	return nil
}

// open begins a new file, whose name comes after those of all files in the folder:
// that is the order in which readers take them.
func (s *Sink) open(r *training.Record) error {
	dir := s.cfg.Dir
	if r.Session != nil && r.Session.World > 1 {
		dir = filepath.Join(dir, "rank"+strconv.Itoa(r.Session.Rank))
	}
	names, err := s.disk.names(dir)
	if err != nil {
		return fmt.Errorf("tfevents: %w", err)
	}
	name := fmt.Sprintf("%s%d.%s.%d.%d", namePrefix, fileSecond(r.At.Unix(), names), s.cfg.Host, os.Getpid(), s.files)
	path := filepath.Join(dir, name)
	file, err := s.disk.create(path)
	if err != nil {
		return fmt.Errorf("tfevents: %w", err)
	}
	s.files++
	s.file, s.path = file, path
	s.w, err = NewWriter(file, r.At)
	if err != nil {
		s.abandon()
		return err
	}
	s.w.Tensors = s.cfg.Tensors
	return nil
}

// abandon closes a file that failed, and removes it if it tells nothing, so that a
// full disk is not littered with one for each try. Its error is known by now.
func (s *Sink) abandon() {
	s.file.Close()
	if s.w == nil || s.w.whole <= 1 {
		s.disk.remove(s.path)
	}
	s.file, s.w = nil, nil
}

const namePrefix = "events.out.tfevents."

// fileSecond returns the second for the name of a new file: its own, or the one
// after the latest in the folder. Seconds have ten digits, so that names sort like
// numbers.
func fileSecond(second int64, names []string) int64 {
	const least, most = 1e9, 1e10 - 1
	second = min(max(second, least), most)
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, namePrefix)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && len(digits) == 10 && n >= second && n < most {
			second = n + 1
		}
	}
	return second
}

// Flush does nothing: Write keeps nothing back.
func (s *Sink) Flush(context.Context) error { return nil }

// Close closes the file. Write fails afterwards.
func (s *Sink) Close(context.Context) error {
	s.closed = true
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file, s.w = nil, nil
	if err != nil {
		return fmt.Errorf("tfevents: %w", err)
	}
	return nil
}
