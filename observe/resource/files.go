package resource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds what is read of one file, in bytes. A longer file is an error: half
// of one could be mistaken for the whole.
const maxFile = 1 << 20

var errTooLong = errors.New("longer than 1 MiB")

// handle is a file that is read again and again.
type handle struct {
	fault int      // its place in the counts of errors
	path  string   // absolute
	kept  *os.File // open, on the real file system
	found bool     // it has been read once
}

// fault is an error of a file.
type fault struct {
	path string
	err  error
}

// source reads files, into one buffer that is used again.
type source struct {
	fsys     fs.FS // nil: the real file system
	buf      []byte
	faults   []FileErrors // one a file name that was looked for
	vanished bool         // a file that had been read is gone
	first    []fault      // the first errors of files, not logged yet
}

// handle returns a handle of a file that is not open yet. Files of one name share
// the count of errors.
func (s *source) handle(name, path string) handle {
	for i := range s.faults {
		if s.faults[i].File == name {
			return handle{fault: i, path: path}
		}
	}
	s.faults = append(s.faults, FileErrors{File: name})
	return handle{fault: len(s.faults) - 1, path: path}
}

// read returns a file as it is now, until the next read. A file that is missing, not
// permitted or not supported is none, any other failure is counted.
func (s *source) read(h *handle) ([]byte, bool) {
	b, err := s.bytes(h)
	if err == nil {
		h.found = true
		return b, true
	}
	if h.found {
		h.found, s.vanished = false, true
	}
	if !missing(err) {
		s.fail(h, err)
	}
	return nil, false
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || gone(err)
}

// fail counts a file that could not be read or understood.
func (s *source) fail(h *handle, err error) {
	f := &s.faults[h.fault]
	f.Count++
	if f.Count == 1 {
		s.first = append(s.first, fault{h.path, err})
	}
}

func (s *source) bytes(h *handle) ([]byte, error) {
	if s.fsys != nil {
		return s.fixture(h.path)
	}
	if h.kept != nil {
		b, err := s.all(h.kept)
		if err == nil {
			return b, nil
		}
		h.close() // what it was is gone; there may be another at its path
	}
	f, err := openKept(h.path)
	if err != nil {
		return nil, err
	}
	h.kept = f
	b, err := s.all(f)
	if err != nil {
		h.close()
	}
	return b, err
}

// all reads a file from its beginning.
func (s *source) all(f io.ReaderAt) ([]byte, error) {
	n := 0
	for n <= maxFile {
		if n == len(s.buf) {
			s.buf = append(s.buf, make([]byte, max(8<<10, len(s.buf)))...)
		}
		m, err := f.ReadAt(s.buf[n:], int64(n))
		n += m
		switch {
		case err == nil:
		case err != io.EOF:
			return nil, err
		case n <= maxFile:
			return s.buf[:n], nil
		}
	}
	return nil, errTooLong
}

// fixture reads a file of Config.FS.
func (s *source) fixture(path string) (b []byte, err error) {
	defer func() {
		if v := recover(); v != nil { // an FS is the user's code
			b, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	f, err := s.fsys.Open(path[1:])
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(b) > maxFile {
		return nil, errTooLong
	}
	return b, err
}

// entries counts the entries of the directory of open files.
func (s *source) entries(h *handle) (n int64, ok bool) {
	n, err := s.count(h.path)
	if err != nil && !missing(err) {
		s.fail(h, err)
	}
	return n, err == nil
}

func (s *source) count(path string) (n int64, err error) {
	if s.fsys == nil {
		return countOpenFiles(path)
	}
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("panic: %v", v)
		}
	}()
	list, err := fs.ReadDir(s.fsys, path[1:])
	return int64(len(list)), err
}

func (h *handle) close() {
	if h.kept != nil {
		_ = h.kept.Close()
		h.kept = nil
	}
}
