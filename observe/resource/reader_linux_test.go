package resource

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// real skips where this machine has no /proc.
func real(t *testing.T) *Reader {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc on this machine:", err)
	}
	r, err := New(Config{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

func cpuNow(t *testing.T) float64 {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// CPU time lies between what getrusage says before and after, and the two are within
// 10 ms of it.
func TestRealCPUTime(t *testing.T) {
	r := real(t)
	close := false
	for range 100 { // the machine may be busy, and stop us between the calls
		before := cpuNow(t)
		s := r.Snapshot()
		after := cpuNow(t)
		require.True(t, s.Has(FieldCPU))
		require.GreaterOrEqual(t, s.CPUSeconds, before-1e-6)
		require.LessOrEqual(t, s.CPUSeconds, after+1e-6)
		close = close || after-before < .01
	}
	assert.True(t, close, "no Snapshot took less than 10 ms of CPU time")
}

// The same files through os.DirFS: what does not move is the same.
func TestRealFilesThroughFS(t *testing.T) {
	r := real(t)
	other, err := New(Config{FS: os.DirFS("/")})
	require.NoError(t, err)
	a, b := r.Snapshot(), other.Snapshot()
	assert.Equal(t, a.Valid&^FieldSwitches, b.Valid)
	assert.Equal(t, a.MaxFiles, b.MaxFiles)
	assert.InDelta(t, a.CPUSeconds, b.CPUSeconds, .5)
	assert.InDelta(t, a.UptimeSeconds, b.UptimeSeconds, 5)
	assert.Equal(t, a.Cgroup.Path, b.Cgroup.Path)
	assert.Equal(t, a.Cgroup.CPULimitCores, b.Cgroup.CPULimitCores)
	assert.Equal(t, a.Cgroup.MemoryLimitBytes, b.Cgroup.MemoryLimitBytes)
	assert.Equal(t, len(a.Network), len(b.Network))
	for _, s := range []Snapshot{a, b} {
		n, names := failures(s)
		assert.Zero(t, n, names)
	}
}

func TestRealProcess(t *testing.T) {
	r := real(t)
	r.Snapshot() // its own files are open from now on
	s := r.Snapshot()
	assert.Positive(t, s.Threads)
	assert.Greater(t, s.RSSBytes, int64(1<<20))
	assert.Greater(t, s.VirtualBytes, s.RSSBytes)
	assert.Positive(t, s.UptimeSeconds)
	assert.Less(t, s.UptimeSeconds, 3600.)
	assert.Positive(t, s.MinorFaults)
	assert.Positive(t, s.VoluntarySwitches+s.InvoluntarySwitches)

	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	assert.Equal(t, s.OpenFiles+1, r.Snapshot().OpenFiles)
	require.NoError(t, f.Close())
	assert.Equal(t, s.OpenFiles, r.Snapshot().OpenFiles)
}

// Closing gives all files back, and the next Snapshot opens them again.
func TestRealClose(t *testing.T) {
	r := real(t)
	before, err := countOpenFiles("/proc/self/fd")
	require.NoError(t, err)
	first := r.Snapshot()
	assert.Greater(t, first.OpenFiles, before)
	require.NoError(t, r.Close())
	after, err := countOpenFiles("/proc/self/fd")
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Equal(t, first.Valid|FieldCPURatio|FieldCgroupCPUCores, r.Snapshot().Valid|FieldCPURatio|FieldCgroupCPUCores)
}

// A file that is replaced while it is kept open is opened again once what it was can
// no longer be read.
func TestKeptFiles(t *testing.T) {
	real(t)
	path := t.TempDir() + "/value"
	require.NoError(t, os.WriteFile(path, []byte("1\n"), 0o600))
	var s source
	h := s.handle("value", path)
	defer h.close()
	for _, want := range []string{"1\n", "22\n", ""} {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		b, ok := s.read(&h)
		require.True(t, ok)
		assert.Equal(t, want, string(b))
	}
	require.NoError(t, h.kept.Close()) // stands for a cgroup that was removed
	require.NoError(t, os.Remove(path))
	_, ok := s.read(&h)
	assert.False(t, ok)
	assert.True(t, s.vanished)
	assert.Zero(t, s.faults[0].Count, "a file that is gone is no error")

	require.NoError(t, os.WriteFile(path, make([]byte, maxFile), 0o600))
	b, ok := s.read(&h)
	require.True(t, ok)
	assert.Len(t, b, maxFile)
	require.NoError(t, os.WriteFile(path, make([]byte, maxFile+1), 0o600))
	_, ok = s.read(&h)
	assert.False(t, ok)
	assert.Equal(t, uint64(1), s.faults[0].Count)
	assert.True(t, gone(&os.PathError{Err: syscall.ENODEV}))
	assert.False(t, gone(syscall.EIO))
}

// Reading allocates for the network devices, the errors and the warnings, not for
// the files.
func TestRealSnapshotAllocations(t *testing.T) {
	r := real(t)
	r.Snapshot()
	assert.LessOrEqual(t, testing.AllocsPerRun(20, func() { r.Snapshot() }), 8.)
}
