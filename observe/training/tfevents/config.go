package tfevents

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Config says where a Sink writes.
type Config struct {
	// Dir is the folder of the run, as it is given to tensorboard --logdir or stands
	// below it. It is made when the first record comes. A run of several ranks has a
	// folder "rank0", "rank1", ... in it for each: one folder has one writer.
	// Required.
	Dir string

	// Tensors writes scalars as tensors, see Writer.Tensors. Defaults to false.
	Tensors bool

	// Host stands in the names of files: at most 128 bytes of [A-Za-z0-9._-].
	// Defaults to the name of the machine.
	Host string

	// Perm is the permissions of files, before the umask; folders can be searched by
	// whom they let read. Defaults to 0o644.
	Perm fs.FileMode
}

const maxHost = 128

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("tfevents: Config.Dir is empty"))
	}
	if c.Host == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		c.Host = cleanHost(name)
	} else if cleanHost(c.Host) != c.Host {
		errs = append(errs, fmt.Errorf("tfevents: Config.Host is %q, not at most %d bytes of [A-Za-z0-9._-]", c.Host, maxHost))
	}
	if c.Perm == 0 {
		c.Perm = 0o644
	} else if c.Perm&^fs.ModePerm != 0 {
		errs = append(errs, fmt.Errorf("tfevents: Config.Perm is %#o, not within %#o", uint32(c.Perm), uint32(fs.ModePerm)))
	}
	return c, errors.Join(errs...)
}

// cleanHost makes a name that can stand in a file's name.
func cleanHost(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-", r):
			return r
		}
		return '_'
	}, name)
	return name[:min(len(name), maxHost)]
}

// folder is what a Sink needs of the file system.
type folder interface {
	// names returns the names of what is in it, after it has made it if need be.
	names(dir string) ([]string, error)
	// create opens a new file for writing.
	create(path string) (io.WriteCloser, error)
	remove(path string) error
}

// disk is the file system of the machine.
type disk struct{ perm fs.FileMode }

func (d disk) names(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, d.perm|d.perm&0o444>>2|0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

func (d disk) create(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, d.perm)
}

func (disk) remove(path string) error { return os.Remove(path) }
