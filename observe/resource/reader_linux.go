package resource

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// openKept opens a file to be read many times. Not os.Open: that would have files of
// cgroups watched by the network poller, which they can wake.
func openKept(path string) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if err != syscall.EINTR {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// gone tells whether an error means that the cgroup of a file was removed.
func gone(err error) bool { return errors.Is(err, syscall.ENODEV) }

// countOpenFiles counts the entries of /proc/self/fd. From Linux 6.2 on their number
// is the size of the directory.
func countOpenFiles(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if n := info.Size(); n > 0 {
		return n, nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = dir.Close() }()
	n := int64(-1) // dir itself
	for {
		names, err := dir.Readdirnames(1024)
		n += int64(len(names))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// readUsage is getrusage: exact to the microsecond, where /proc/self/stat has ticks
// of 10 ms, and the only one that sums the context switches of all threads.
func readUsage() (usage, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return usage{}, false
	}
	return usage{
		user:        time.Duration(u.Utime.Nano()).Seconds(),
		system:      time.Duration(u.Stime.Nano()).Seconds(),
		voluntary:   int64(u.Nvcsw),
		involuntary: int64(u.Nivcsw),
	}, true
}
