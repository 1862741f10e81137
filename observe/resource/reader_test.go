package resource

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const allButRates = FieldCgroupDisk | FieldCgroupOOMKills | FieldCgroupMemoryHigh | FieldCgroupMemoryLimit | FieldCgroupRSS |
	FieldCgroupWorkingSet | FieldCgroupMemory | FieldCgroupThrottling | FieldCgroupCPUUsage | FieldCgroupCPULimit |
	FieldDisk | FieldFaults | FieldUptime | FieldMemory | FieldMaxFiles | FieldOpenFiles | FieldThreads | FieldCPU

func TestVersion2(t *testing.T) {
	s := read(t, v2.fs())
	assert.Equal(t, allButRates, s.Valid&^FieldGoMemoryLimit)
	page := int64(os.Getpagesize())
	assert.InDelta(t, 3.55, s.CPUSeconds, 1e-12)
	assert.Equal(t, []any{3.1, .45, int64(9), int64(3), int64(1024), 2500 * page, int64(1048576000), 1000.5, int64(1500), int64(12), int64(40960), int64(8192)},
		[]any{s.UserSeconds, s.SystemSeconds, s.Threads, s.OpenFiles, s.MaxFiles, s.RSSBytes, s.VirtualBytes, s.UptimeSeconds, s.MinorFaults, s.MajorFaults, s.DiskReadBytes, s.DiskWriteBytes})
	assert.Equal(t, []Device{{"eth0", 415607577, 3336705}}, s.Network)
	assert.Equal(t, Cgroup{
		Version: 2, Path: v2Leaf,
		CPULimitCores: 2, CPULimitLevel: v2Pod, CPUUsageSeconds: 7.5,
		Periods: 400, ThrottledPeriods: 100, ThrottledSeconds: 3.5,
		MemoryUsageBytes: 524288000, WorkingSetBytes: 500000000, RSSBytes: 300000000,
		MemoryLimitBytes: 1 << 30, MemoryLimitLevel: v2Pod, MemoryHighBytes: 966367641, OOMKills: 1,
		DiskReadBytes: 5096, DiskWriteBytes: 8192,
	}, s.Cgroup)
	assert.Equal(t, Stall{true, .015, .02, .03, 5}, s.System.CPU.Some)
	assert.Equal(t, Stall{true, 1, 0, 0, 1e-6}, s.System.IO.Some)
	assert.Equal(t, Stalls{Stall{true, 0, 0, 0, 2}, Stall{true, 0, 0, 0, 1}}, s.Own.CPU)
	n, names := failures(s)
	assert.Zero(t, n, names)
}

func TestVersion1(t *testing.T) {
	s := read(t, v1.fs())
	assert.Equal(t, Cgroup{
		Version: 1, Path: "/sys/fs/cgroup/memory",
		CPULimitCores: 1.5, CPULimitLevel: "/sys/fs/cgroup/cpu,cpuacct", CPUUsageSeconds: 6.25,
		Periods: 10, ThrottledPeriods: 4, ThrottledSeconds: 2.5,
		MemoryUsageBytes: 500000000, WorkingSetBytes: 494000000, RSSBytes: 400000000,
		MemoryLimitBytes: 512 << 20, MemoryLimitLevel: "/sys/fs/cgroup/memory", OOMKills: 3,
	}, s.Cgroup)
	assert.Equal(t, allButRates&^(FieldCgroupDisk|FieldCgroupMemoryHigh), s.Valid&^FieldGoMemoryLimit)
	assert.Equal(t, Pressure{}, s.Own)
	assert.True(t, s.System.CPU.Some.Valid, "the system's pressure needs no v2")
}

// Systemd's hybrid: controllers of v1, and a v2 hierarchy with none.
func TestHybrid(t *testing.T) {
	f := v1.with(files{
		"/proc/self/mountinfo":                                                v1["/proc/self/mountinfo"] + "704 699 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		"/proc/self/cgroup":                                                   strings.Replace(v1["/proc/self/cgroup"], "4:blkio:/docker/abc\n", "", 1),
		"/sys/fs/cgroup/unified/system.slice/cpu.max":                         "100 100000\n",
		"/sys/fs/cgroup/unified/system.slice/memory.max":                      "1\n",
		"/sys/fs/cgroup/unified/system.slice/containerd.service/io.stat":      "8:0 rbytes=1 wbytes=2\n",
		"/sys/fs/cgroup/unified/system.slice/containerd.service/cpu.pressure": v2[v2Leaf+"/cpu.pressure"],
	})
	s, old := read(t, f.fs()), read(t, v1.fs())
	assert.Equal(t, 3, s.Cgroup.Version)
	assert.Equal(t, int64(2), s.Cgroup.DiskWriteBytes, "no v1 controller has it")
	assert.Equal(t, 2., s.Own.CPU.Some.TotalSeconds)
	s.Cgroup.Version, s.Cgroup.DiskReadBytes, s.Cgroup.DiskWriteBytes = 1, 0, 0
	assert.Equal(t, old.Cgroup, s.Cgroup, "v1 for the controllers listed there")
}

func TestKnownLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		base   files
		change files
		cores  float64 // 0: none
		bytes  int64   // 0: none
	}{
		{"leaf max, parent 200000 100000", v2, files{}, 2, 1 << 30},
		{"150000 100000", v2, files{v2Leaf + "/cpu.max": "150000 100000\n"}, 1.5, 1 << 30},
		{"leaf above its parent", v2, files{v2Leaf + "/cpu.max": "800000 100000\n", v2Leaf + "/memory.max": "4294967296\n"}, 2, 1 << 30},
		{"leaf below its parent", v2, files{v2Leaf + "/cpu.max": "50000 100000\n", v2Leaf + "/memory.max": "4096\n"}, .5, 4096},
		{"mount point binds", v2, files{v2Root + "/cpu.max": "10000 100000\n", v2Root + "/memory.max": "8192\n"}, .1, 8192},
		{"none", v2, files{v2Pod + "/cpu.max": "max 100000\n", v2Pod + "/memory.max": "max\n"}, 0, 0},
		{"v1", v1, files{}, 1.5, 512 << 20},
		{"v1 quota -1", v1, files{"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}, 0, 512 << 20},
		{"v1 quota 0", v1, files{"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "0\n"}, 0, 512 << 20},
		{"v1 memory none", v1, files{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1.5, 0},
		{"v1 memory none, old kernel", v1, files{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "18446744073709551615\n"}, 1.5, 0},
		{"v1 memory 2^62 - 1", v1, files{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4611686018427387903\n"}, 1.5, 1<<62 - 1},
		{"v1 memory 2^62", v1, files{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4611686018427387904\n"}, 1.5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := read(t, c.base.with(c.change).fs())
			assert.Equal(t, c.cores, s.Cgroup.CPULimitCores)
			assert.Equal(t, c.cores > 0, s.Has(FieldCgroupCPULimit))
			assert.Equal(t, c.cores > 0, s.Cgroup.CPULimitLevel != "")
			assert.Equal(t, c.bytes, s.Cgroup.MemoryLimitBytes)
			assert.Equal(t, c.bytes > 0, s.Has(FieldCgroupMemoryLimit))
			n, names := failures(s)
			assert.Zero(t, n, names)
		})
	}
}

// Throttling is counted where it happens.
func TestThrottlingOfTheLevelThatBinds(t *testing.T) {
	leaf := v2.with(files{
		v2Leaf + "/cpu.max":  "100000 100000\n",
		v2Leaf + "/cpu.stat": "usage_usec 7500000\nnr_periods 5\nnr_throttled 1\nthrottled_usec 1000000\n",
	})
	s := read(t, leaf.fs())
	assert.Equal(t, []any{v2Leaf, int64(5), int64(1), 1., 7.5}, []any{s.Cgroup.CPULimitLevel, s.Cgroup.Periods, s.Cgroup.ThrottledPeriods, s.Cgroup.ThrottledSeconds, s.Cgroup.CPUUsageSeconds})
	both := leaf.with(files{v2Leaf + "/cpu.max": "200000 100000\n"})
	assert.Equal(t, v2Leaf, read(t, both.fs()).Cgroup.CPULimitLevel, "of equals, the nearest")
}

func TestWorkingSetIsNeverNegative(t *testing.T) {
	s := read(t, v2.with(files{v2Leaf + "/memory.current": "5\n"}).fs())
	assert.True(t, s.Has(FieldCgroupWorkingSet))
	assert.Zero(t, s.Cgroup.WorkingSetBytes)
}

// A container may show an uptime of its own.
func TestUptimeBeforeTheStart(t *testing.T) {
	assert.False(t, read(t, v2.with(files{"/proc/uptime": "10.00 5.00\n"}).fs()).Has(FieldUptime))
}

// Each file missing in turn: some value becomes unknown, none becomes 0, nothing is an error.
func TestEachFileMissing(t *testing.T) {
	none := map[string]bool{v2Leaf + "/cpu.max": true, v2Leaf + "/memory.max": true, v2Leaf + "/memory.high": true} // "max"
	for name, f := range map[string]files{"v1": v1, "v2": v2} {
		whole := read(t, f.fs())
		series := values(whole)
		for path := range f {
			if strings.HasPrefix(path, "/proc/self/fd") {
				continue
			}
			s := read(t, f.without(path).fs())
			n, names := failures(s)
			assert.Zero(t, n, "%s without %s: %s", name, path, names)
			assert.Zero(t, s.Valid&^whole.Valid, "%s without %s", name, path)
			got := values(s)
			if none[path] {
				assert.Equal(t, whole.Valid, s.Valid, path)
			} else {
				assert.True(t, len(got) < len(series) || s.Valid != whole.Valid, "%s without %s", name, path)
			}
			for id, v := range got {
				assert.Contains(t, series, id)
				if v == 0 && path != v2Pod+"/cpu.max" { // without it the leaf's throttling is read
					assert.Zero(t, series[id], "%s without %s: %s", name, path, id)
				}
			}
		}
	}
	s := read(t, fstest.MapFS{})
	assert.Zero(t, s.Valid&^FieldGoMemoryLimit)
	assert.Zero(t, s.Cgroup)
	assert.Nil(t, s.Network)
	assert.Positive(t, s.Runtime.GOMAXPROCS)
}

// values are all the series of a Snapshot but those of the Go runtime and of errors.
func values(s Snapshot) map[string]float64 {
	all := map[string]float64{}
	for _, table := range [][]reading{Metrics(), OTelMetrics()} {
		for _, m := range table {
			name := m.Prometheus + m.OTel
			if m.Values == nil || strings.HasPrefix(name, "go.") || strings.HasPrefix(name, "cgroup_read_errors") {
				continue
			}
			m.Values(&s, func(v float64, labels ...string) { all[name+" "+strings.Join(labels, ",")] = v })
		}
	}
	return all
}

// Garbage in each file in turn: what it held becomes unknown, never a number.
func TestGarbageInEachFile(t *testing.T) {
	uncounted := map[string]bool{ // a key that is missing is no error: kernels differ
		"/proc/self/cgroup": true, "/proc/self/mountinfo": true, "/proc/self/io": true,
		v2Leaf + "/cpu.stat": true, v2Pod + "/cpu.stat": true, v2Leaf + "/memory.stat": true, v2Leaf + "/memory.events": true, v2Leaf + "/io.stat": true,
		"/sys/fs/cgroup/cpu,cpuacct/cpu.stat": true, "/sys/fs/cgroup/memory/memory.stat": true, "/sys/fs/cgroup/memory/memory.oom_control": true,
	}
	for _, garbage := range []string{"", "\n", "x", "-", "-5\n", "NaN\n", "1e9\n", "\xff\x00\n", "some avg10=NaN total=x\n", strings.Repeat("9", 400)} {
		for name, f := range map[string]files{"v1": v1, "v2": v2} {
			whole := values(read(t, f.fs()))
			for path := range f {
				if strings.HasPrefix(path, "/proc/self/fd") {
					continue
				}
				s := read(t, f.with(files{path: garbage}).fs())
				for series, v := range values(s) {
					assert.Contains(t, whole, series)
					assert.False(t, v < 0 || v != v, "%s: %q in %s: %s is %v", name, garbage, path, series, v)
				}
				n, _ := failures(s)
				if n == 0 && !uncounted[path] {
					switch { // what these say is allowed
					case strings.HasPrefix(garbage, "9") && (strings.Contains(path, "memory.") && (strings.HasSuffix(path, ".max") || strings.HasSuffix(path, ".high") || strings.HasSuffix(path, "limit_in_bytes"))):
					case garbage == "-5\n" && strings.HasSuffix(path, "cpu.cfs_quota_us"):
					case strings.Contains(path, "pressure") && garbage == "":
					case strings.HasPrefix(garbage, "1e9") && path == "/proc/uptime":
					case path == "/proc/self/net/dev" && strings.Count(garbage, "\n") < 3:
					default:
						assert.Fail(t, "not counted", "%s: %q in %s", name, garbage, path)
					}
				}
			}
		}
	}
}

func TestHugeNumbers(t *testing.T) {
	const most = "9223372036854775807"
	s := read(t, v2.with(files{
		v2Leaf + "/cpu.stat":       "usage_usec " + most + "\nnr_periods " + most + "\nnr_throttled 18446744073709551615\nthrottled_usec 1\n",
		v2Leaf + "/cpu.max":        most + " 1\n",
		v2Pod + "/cpu.max":         "max\n",
		v2Leaf + "/memory.current": most + "\n",
		v2Leaf + "/memory.max":     "99999999999999999999999999\n",
		v2Leaf + "/io.stat":        "8:0 rbytes=" + most + " wbytes=1\n8:1 rbytes=" + most + " wbytes=1\n",
		"/proc/self/net/dev":       netHeading + "eth0: 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		"/proc/self/stat":          "1 (x) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 " + most + " 1 1\n",
	}).fs())
	assert.Equal(t, 9223372036854775807., s.Cgroup.CPULimitCores)
	assert.Equal(t, 9223372036854775807/1e6, s.Cgroup.CPUUsageSeconds)
	assert.False(t, s.Has(FieldCgroupThrottling))
	assert.Equal(t, int64(1<<30), s.Cgroup.MemoryLimitBytes)
	assert.Equal(t, int64(9223372036854775807), s.Cgroup.DiskReadBytes)
	assert.Nil(t, s.Network)
	assert.False(t, s.Has(FieldMemory), "more pages than bytes can be counted")
	_, names := failures(s)
	assert.Equal(t, "self/stat self/net/dev cpu.stat", names)
}

// What is not known reads 0, also where a number is out of range.
func TestUnknownReadsZero(t *testing.T) {
	const over = "18446744073709551615"
	f := v2.with(files{})
	for path := range v2 {
		if strings.HasPrefix(path, v2Root) {
			f[path] = "usage_usec " + over + "\nanon " + over + "\noom_kill " + over + "\n"
		}
	}
	f[v2Leaf+"/memory.current"], f[v2Leaf+"/io.stat"] = over+"\n", "8:0 rbytes="+over+"\n"
	s := read(t, f.fs())
	s.Cgroup.Version, s.Cgroup.Path = 0, ""
	assert.Zero(t, s.Cgroup)
	assert.Zero(t, s.Own)
}

func TestFileTooLong(t *testing.T) {
	s := read(t, v2.with(files{v2Leaf + "/memory.stat": v2[v2Leaf+"/memory.stat"] + strings.Repeat("x 1\n", maxFile/4)}).fs())
	assert.False(t, s.Has(FieldCgroupRSS))
	_, names := failures(s)
	assert.Equal(t, "memory.stat", names)
}

// A process that moves is followed; so is a hierarchy that is made anew.
func TestMovedToAnotherCgroup(t *testing.T) {
	fsys := v2.fs()
	r, err := New(Config{FS: fsys})
	require.NoError(t, err)
	assert.Equal(t, v2Leaf, r.Snapshot().Cgroup.Path)
	fsys["proc/self/cgroup"] = &fstest.MapFile{Data: []byte("0::/kubepods/pod:7\n")}
	s := r.Snapshot()
	assert.Equal(t, v2Pod, s.Cgroup.Path)
	assert.Equal(t, 9.9, s.Cgroup.CPUUsageSeconds)
	assert.False(t, s.Has(FieldCgroupMemory))

	// Remounted elsewhere: a file that was there is not, and the next look finds it.
	fsys["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte("30 22 0:26 / /cg rw - cgroup2 none rw\n")}
	fsys["cg/kubepods/pod:7/cpu.max"] = &fstest.MapFile{Data: []byte("300000 100000\n")}
	delete(fsys, v2Pod[1:]+"/cpu.max")
	r.Snapshot()
	assert.Equal(t, 3., r.Snapshot().Cgroup.CPULimitCores)
}

func TestUseIsAnAverageOverASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := v2.fs()
		r, err := New(Config{FS: fsys})
		require.NoError(t, err)
		r.runtime.cpus = 8
		assert.False(t, r.Snapshot().Has(FieldCPURatio))
		use := func(user, system, cgroup string) {
			stat := strings.Replace(v2["/proc/self/stat"], " 310 45 ", " "+user+" "+system+" ", 1)
			fsys["proc/self/stat"] = &fstest.MapFile{Data: []byte(stat)}
			fsys[v2Leaf[1:]+"/cpu.stat"] = &fstest.MapFile{Data: []byte("usage_usec " + cgroup + "\n")}
		}
		time.Sleep(500 * time.Millisecond)
		use("400", "45", "9000000")
		assert.False(t, r.Snapshot().Has(FieldCPURatio), "too early")
		time.Sleep(500 * time.Millisecond)
		use("410", "145", "9500000")
		s := r.Snapshot()
		require.True(t, s.Has(FieldCPURatio|FieldCgroupCPUCores))
		assert.InDelta(t, .5, s.UserRatio, 1e-9) // one second of two CPUs
		assert.InDelta(t, .5, s.SystemRatio, 1e-9)
		assert.InDelta(t, 2, s.Cgroup.CPUUsageCores, 1e-9)

		time.Sleep(200 * time.Millisecond)
		use("900", "900", "99000000")
		assert.InDelta(t, .5, r.Snapshot().UserRatio, 1e-9, "as before, until a second has passed")
		time.Sleep(4 * time.Second)
		use("410", "145", "1") // another cgroup, and a process that fell back
		s = r.Snapshot()
		assert.False(t, s.Has(FieldCgroupCPUCores))
		assert.Zero(t, s.Cgroup.CPUUsageCores)
		assert.True(t, s.Has(FieldCPURatio))
		assert.Zero(t, s.UserRatio)
	})
}

func TestNewRefusesARootThatIsNotThere(t *testing.T) {
	_, err := New(Config{FS: os.DirFS("/nowhere/at/all")})
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "resource: FS: ")
}

func TestNilReader(t *testing.T) {
	var r *Reader
	assert.Zero(t, r.Snapshot())
	assert.NoError(t, r.Close())
}

func TestWarningsAreToldOncePerChange(t *testing.T) {
	f := v2.with(files{v2Pod + "/memory.max": "10000000000\n", "/proc/self/mountinfo": "30 22 0:26 /other /sys/fs/cgroup rw - cgroup2 c rw\n"})
	for path, content := range v2 {
		if rest, ok := strings.CutPrefix(path, v2Leaf); ok {
			f[v2Root+rest] = content
		}
	}
	f[v2Root+"/memory.max"] = "1000000000\n"
	fsys := f.fs()
	var told []Warning
	var log strings.Builder
	var r *Reader
	r, err := New(Config{FS: fsys, Logger: slog.New(slog.NewTextHandler(&log, nil)), OnWarning: func(w Warning) {
		told = append(told, w)
		if w.Kind == WarningApproximate {
			r.Snapshot() // no lock is held
			panic("user")
		}
	}})
	require.NoError(t, err)
	kinds := func() (kinds []WarningKind) {
		for _, w := range told {
			if w.Kind != WarningGOMEMLIMITUnset && w.Kind != WarningGOMEMLIMITHigh { // as the test is run
				kinds = append(kinds, w.Kind)
			}
		}
		told = nil
		return kinds
	}
	assert.Equal(t, uint64(1), r.Snapshot().CallbackPanics)
	assert.Equal(t, []WarningKind{WarningApproximate}, kinds())
	assert.Contains(t, log.String(), "kind=approximate")

	use := func(bytes string) {
		fsys[v2Root[1:]+"/memory.current"] = &fstest.MapFile{Data: []byte(bytes)}
		r.Snapshot()
	}
	use("950000000")
	assert.Equal(t, []WarningKind{WarningWorkingSet}, kinds())
	use("960000000")
	assert.Empty(t, kinds(), "the same warning, another number")
	use("500000000")
	assert.Empty(t, kinds())
	use("960000000")
	assert.Equal(t, []WarningKind{WarningWorkingSet}, kinds(), "it came back")
	fsys[v2Root[1:]+"/memory.max"] = &fstest.MapFile{Data: []byte("990000000")}
	use("960000000")
	assert.Equal(t, []WarningKind{WarningWorkingSet}, kinds(), "another limit")
}

// hostile is a file system that fails in other ways than by a missing file.
type hostile struct{ fs.FS }

func (h hostile) Open(name string) (fs.File, error) {
	switch {
	case strings.HasSuffix(name, "self/io"):
		return nil, fs.ErrPermission
	case strings.HasSuffix(name, "pressure/cpu"):
		return nil, errors.ErrUnsupported
	case strings.HasSuffix(name, "memory.max"), strings.HasSuffix(name, "self/fd"):
		panic("broken")
	case strings.HasSuffix(name, "cpu.max"):
		return nil, errors.New("input/output error")
	}
	return h.FS.Open(name)
}

func TestFailuresOfTheFileSystem(t *testing.T) {
	var log strings.Builder
	r, err := New(Config{FS: hostile{v2.fs()}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	r.Snapshot()
	s := r.Snapshot()
	assert.False(t, s.Has(FieldDisk) || s.Has(FieldCgroupMemoryLimit) || s.Has(FieldCgroupCPULimit) || s.Has(FieldOpenFiles))
	n, names := failures(s)
	assert.Equal(t, "self/fd cpu.max memory.max", names, "what is not permitted or supported is no error")
	assert.Equal(t, uint64(2*(1+4+4)), n)
	assert.Equal(t, 1, strings.Count(log.String(), "cpu.max"), "the first error of a file name is logged, no other")
}

func TestConcurrentSnapshots(t *testing.T) {
	var told sync.Map
	r, err := New(Config{FS: v2.fs(), OnWarning: func(w Warning) {
		_, twice := told.LoadOrStore(w.Kind, true)
		assert.False(t, twice, w.Kind)
	}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				assert.Equal(t, 2., r.Snapshot().Cgroup.CPULimitCores)
				assert.NoError(t, r.Close())
			}
		})
	}
	wg.Wait()
}
