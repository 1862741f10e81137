//go:build !linux

package resource

import (
	"io/fs"
	"os"
)

// Elsewhere there is no such file, and the figures of the Go runtime are all.

func openKept(string) (*os.File, error) { return nil, fs.ErrNotExist }

func gone(error) bool { return false }

func countOpenFiles(string) (int64, error) { return 0, fs.ErrNotExist }

func readUsage() (usage, bool) { return usage{}, false }
