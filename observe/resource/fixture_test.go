package resource

import (
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// files is a file system to be: contents by absolute path.
type files map[string]string

func (f files) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for path, content := range f {
		m[path[1:]] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

// with returns a copy with more files, or others.
func (f files) with(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// without returns a copy that lacks a file.
func (f files) without(path string) files {
	all := maps.Clone(f)
	delete(all, path)
	return all
}

const nsfsLine = "1412 1 0:4 net:[4026532281] /run/docker/netns/1a2b rw shared:719 - nsfs nsfs rw\n"

// process is /proc without a cgroup.
var process = files{
	"/proc/self/stat":   "4242 (a (very) odd\n name) S 1 4242 4242 0 -1 4194560 1500 7 12 0 310 45 6 7 20 0 9 0 12000 1048576000 2500 18446744073709551615 1 1 0\n",
	"/proc/uptime":      "1120.50 4000.00\n",
	"/proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \nMax open files            1024                 524288               files     \n",
	"/proc/self/fd/0":   "", "/proc/self/fd/1": "", "/proc/self/fd/2": "",
	"/proc/self/io":         "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 40960\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
	"/proc/self/net/dev":    netHeading + "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n  eth0: 415607577   30499    0    0    0     0          0         0  3336705   27894    0    0    0     0       0          0\n",
	"/proc/pressure/cpu":    "some avg10=1.50 avg60=2.00 avg300=3.00 total=5000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=250000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=125000\n",
	"/proc/pressure/io":     "some avg10=100.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
}

const netHeading = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"

const (
	v2Root = "/sys/fs/cgroup"
	v2Pod  = v2Root + "/kubepods/pod:7"
	v2Leaf = v2Pod + "/app"
)

// v2 is a container whose pod is limited: to two CPUs and 1 GiB.
var v2 = process.with(files{
	"/proc/self/cgroup": "0::/kubepods/pod:7/app\n",
	"/proc/self/mountinfo": nsfsLine +
		"22 1 0:21 / /proc rw,relatime - proc proc rw\n" +
		"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate\n",
	v2Leaf + "/cpu.max":         "max 100000\n",
	v2Pod + "/cpu.max":          "200000 100000\n",
	v2Leaf + "/cpu.stat":        "usage_usec 7500000\nuser_usec 5000000\nsystem_usec 2500000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
	v2Pod + "/cpu.stat":         "usage_usec 9900000\nuser_usec 1\nsystem_usec 1\nnr_periods 400\nnr_throttled 100\nthrottled_usec 3500000\n",
	v2Leaf + "/memory.max":      "max\n",
	v2Pod + "/memory.max":       "1073741824\n",
	v2Leaf + "/memory.high":     "max\n",
	v2Pod + "/memory.high":      "966367641\n",
	v2Leaf + "/memory.current":  "524288000\n",
	v2Leaf + "/memory.stat":     "anon 300000000\nfile 200000000\ninactive_anon 1\ninactive_file 24288000\n",
	v2Leaf + "/memory.events":   "low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
	v2Leaf + "/io.stat":         "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n259:3 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n",
	v2Leaf + "/cpu.pressure":    "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
	v2Leaf + "/memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=30\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=20\n",
	v2Leaf + "/io.pressure":     "some avg10=0.00 avg60=0.00 avg300=0.00 total=3\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
})

// v1 is a container of Docker, whose own cgroup is what is mounted.
var v1 = process.with(files{
	"/proc/self/cgroup": "12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc\n4:blkio:/docker/abc\n1:name=systemd:/docker/abc\n0::/system.slice/containerd.service\n",
	"/proc/self/mountinfo": nsfsLine +
		"700 699 0:28 /docker/abc /sys/fs/cgroup/systemd ro master:9 - cgroup cgroup rw,xattr,name=systemd\n" +
		"701 699 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:14 - cgroup cgroup rw,cpu,cpuacct\n" +
		"702 699 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n" +
		"703 699 0:33 /docker/abc /sys/fs/cgroup/blkio ro,nosuid - cgroup cgroup rw,blkio\n",
	"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "150000\n",
	"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
	"/sys/fs/cgroup/cpu,cpuacct/cpu.stat":          "nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n",
	"/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage":     "6250000000\n",
	"/sys/fs/cgroup/memory/memory.limit_in_bytes":  "536870912\n",
	"/sys/fs/cgroup/memory/memory.usage_in_bytes":  "500000000\n",
	"/sys/fs/cgroup/memory/memory.stat":            "cache 1\nrss 2\ninactive_file 3\ntotal_rss 400000000\ntotal_inactive_file 6000000\n",
	"/sys/fs/cgroup/memory/memory.oom_control":     "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
})

// read takes a Snapshot of a file system.
func read(t testing.TB, fsys fs.FS) Snapshot {
	t.Helper()
	r, err := New(Config{FS: fsys})
	require.NoError(t, err)
	return r.Snapshot()
}

// failures is the number of errors counted, and of which files.
func failures(s Snapshot) (n uint64, names string) {
	var all []string
	for _, f := range s.ReadErrors {
		if n += f.Count; f.Count > 0 {
			all = append(all, f.File)
		}
	}
	return n, strings.Join(all, " ")
}
