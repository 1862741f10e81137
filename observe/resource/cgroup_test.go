package resource

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseMemberships(t *testing.T) {
	got := parseMemberships([]byte("12:cpu,cpuacct:/a:b:c\n1:name=systemd:/\n0::/x y/é\n\n:\nbroken\n3:cpu:relative\n0::\n5:memory:/no newline"))
	assert.Equal(t, []membership{
		{controllers: "cpu,cpuacct", path: "/a:b:c"},
		{controllers: "name=systemd", path: "/"},
		{v2: true, path: "/x y/é"},
		{controllers: "memory", path: "/no newline"},
	}, got)
}

// The forms of lines in mountinfo, from proc_pid_mountinfo(5) and reports of those
// that other readers failed on.
func TestParseMount(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       mount
		ok         bool
	}{
		{"v2", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate", mount{true, "/", "/sys/fs/cgroup", "rw,nsdelegate"}, true},
		{"one optional field", "30 22 0:26 / /c rw shared:4 - cgroup2 none rw", mount{true, "/", "/c", "rw"}, true},
		{"several optional fields", "30 22 0:26 / /c rw shared:4 master:2 propagate_from:1 unbindable - cgroup cgroup rw,memory", mount{false, "/", "/c", "rw,memory"}, true},
		{"octal escapes", `30 22 0:26 /a\040b\134c /mnt/x\011y\012z\043 rw - cgroup2 c rw`, mount{true, `/a b\c`, "/mnt/x\ty\nz#", "rw"}, true},
		{"not an escape", `30 22 0:26 /a\9 /c\04 rw - cgroup2 c rw`, mount{true, `/a\9`, `/c\04`, "rw"}, true},
		{"super options with spaces", `30 22 0:26 / /c rw - cgroup2 c rw,path=C:\Program Files\x;a=b c`, mount{true, "/", "/c", `rw,path=C:\Program Files\x;a=b c`}, true},
		{"drvfs of WSL", `560 77 0:138 / /Docker/host rw,noatime - 9p drvfs rw,dirsync,aname=drvfs;path=C:\Program Files\Docker\Docker\resources;symlinkroot=/mnt/,mmap`, mount{}, false},
		{"nsfs", strings.TrimSuffix(nsfsLine, "\n"), mount{}, false},
		{"root of a namespace file", "30 22 0:4 net:[4026531993] /c rw - cgroup2 c rw", mount{true, "net:[4026531993]", "/c", "rw"}, false},
		{"another type", "26 1 254:0 / / rw - ext4 /dev/vda rw", mount{}, false},
		{"type that begins alike", "26 1 254:0 / / rw - cgroup3 c rw", mount{}, false},
		{"no separator", "30 22 0:26 / /c rw cgroup2 cgroup2 rw", mount{}, false},
		{"no options", "30 22 0:26 / /c rw - cgroup2 cgroup2", mount{}, false},
		{"too few fields", "30 22 0:26 / /c - cgroup2 cgroup2 rw", mount{}, false},
		{"empty", "", mount{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parseMount(c.line + "\n")
			assert.Equal(t, c.ok, ok)
			if ok {
				assert.Equal(t, c.want, got)
			}
		})
	}
}

// Each cut of a mount line is none, or one with a shorter list of options.
func TestParseMountCut(t *testing.T) {
	line := `30 22 0:26 /a\040b /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate`
	for i := range line {
		if m, ok := parseMount(line[:i]); ok {
			assert.Equal(t, "/a b", m.root)
			assert.True(t, strings.HasPrefix("rw,nsdelegate", m.options))
		}
	}
}

func TestLocate(t *testing.T) {
	v2At := func(root, point string) mount { return mount{v2: true, root: root, point: point} }
	for _, c := range []struct {
		name   string
		cgroup string
		mounts []mount
		dirs   string
		approx bool
	}{
		{"none", "/a", nil, "", false},
		{"root", "/", []mount{v2At("/", "/c")}, "/c", false},
		{"below", "/a/b", []mount{v2At("/", "/c")}, "/c/a/b /c/a /c", false},
		{"mount of the leaf", "/a/b", []mount{v2At("/a/b", "/c")}, "/c", false},
		{"mount of the parent", "/a/b", []mount{v2At("/a", "/c")}, "/c/b /c", false},
		{"by component, not by letter", "/ab/c", []mount{v2At("/a", "/c")}, "/c", true},
		{"colons", "/system.slice/docker:1:2", []mount{v2At("/", "/c")}, "/c/system.slice/docker:1:2 /c/system.slice /c", false},
		{"root is no ancestor", "/", []mount{v2At("/kubepods/pod1", "/c")}, "/c", true},
		{"root above the namespace", "/", []mount{v2At("/..", "/c")}, "/c", true},
		{"outside of the namespace", "/../../other", []mount{v2At("/", "/c")}, "/c", true},
		{"both outside", "/../other/x", []mount{v2At("/../other", "/c")}, "/c/x /c", false},
		{"the one that shows more", "/a/b", []mount{v2At("/a", "/c"), v2At("/", "/d"), v2At("/a/b", "/e")}, "/d/a/b /d/a /d", false},
		{"of equals, the later", "/a", []mount{v2At("/", "/c"), v2At("/", "/d")}, "/d/a /d", false},
		{"one that shows it before one that does not", "/a/b", []mount{v2At("/a/b", "/c"), v2At("/x", "/d")}, "/c", false},
		{"one that does not before one that shows it", "/a/b", []mount{v2At("/x", "/d"), v2At("/a/b", "/c")}, "/c", false},
		{"slashes", "//a///b/", []mount{v2At("/", "/c/")}, "/c/a/b /c/a /c", false},
		{"other kind", "/a", []mount{{root: "/", point: "/c"}}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := locate(c.cgroup, c.mounts, func(m mount) bool { return m.v2 })
			assert.Equal(t, c.dirs, strings.Join(g.dirs, " "))
			assert.Equal(t, c.approx, g.approximate)
		})
	}
	deep := locate(strings.Repeat("/x", 1000), []mount{v2At("/", "/c")}, func(mount) bool { return true })
	assert.Len(t, deep.dirs, maxLevels)
	assert.True(t, deep.approximate)
	assert.Equal(t, "/c"+strings.Repeat("/x", 1000), deep.dirs[0])
}

func TestResolve(t *testing.T) {
	const v1Lines = "1 0 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n2 0 0:2 / /c/acct rw - cgroup cgroup rw,cpuacct\n3 0 0:3 / /c/mem rw - cgroup cgroup rw,memory\n"
	const v2Line = "4 0 0:4 / /c/u rw - cgroup2 cgroup2 rw\n"
	l := resolve([]byte("4:memory:/m\n2:cpuacct:/\n1:cpu:/x\n0::/u\n"), []byte(v1Lines+v2Line))
	assert.Equal(t, layout{
		version: 3,
		cpu:     group{v1: true, dirs: []string{"/c/cpu/x", "/c/cpu"}},
		cpuacct: group{v1: true, dirs: []string{"/c/acct"}},
		memory:  group{v1: true, dirs: []string{"/c/mem/m", "/c/mem"}},
		blkio:   group{dirs: []string{"/c/u/u", "/c/u"}},
		unified: group{dirs: []string{"/c/u/u", "/c/u"}},
	}, l)
	assert.Equal(t, 1, resolve([]byte("1:cpu:/x\n0::/u\n"), []byte(v1Lines)).version, "v2 is not mounted")
	assert.Equal(t, 2, resolve([]byte("0::/u\n"), []byte(v1Lines+v2Line)).version, "no controller of v1")
	assert.Zero(t, resolve(nil, []byte(v1Lines+v2Line)))
	assert.Zero(t, resolve([]byte("1:cpu:/x\n0::/u\n"), nil))
}

// The limit is the lowest of all visible ancestors', whatever the tree.
func TestLimitIsTheMinimumOverAncestors(t *testing.T) {
	cases, leafWrong := 10_000, 0
	if testing.Short() {
		cases = 1000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range cases {
		f := files{}
		hidden, visible := rnd.IntN(3), rnd.IntN(5)
		var cgroup, root, dir string
		for i := range hidden {
			root += fmt.Sprintf("/h%d", i)
		}
		cgroup, dir = root, "/c"
		useV1 := rnd.IntN(2) == 0
		var cores, leafCores float64
		var bytes int64
		for i := range visible + 1 {
			if i > 0 {
				name := fmt.Sprintf("/l%d", rnd.IntN(3))
				cgroup, dir = cgroup+name, dir+name
			}
			leafCores = 0
			switch quota, period := 1+rnd.IntN(1_000_000), 1+rnd.IntN(1_000_000); rnd.IntN(3) {
			case 0: // none is said
			case 1:
				f[dir+"/cpu.max"], f[dir+"/cpu.cfs_quota_us"], f[dir+"/cpu.cfs_period_us"] = "max 100000\n", "-1\n", "100000\n"
			case 2:
				f[dir+"/cpu.max"] = fmt.Sprintf("%d %d\n", quota, period)
				f[dir+"/cpu.cfs_quota_us"], f[dir+"/cpu.cfs_period_us"] = fmt.Sprintln(quota), fmt.Sprintln(period)
				leafCores = float64(quota) / float64(period)
				if cores == 0 || leafCores < cores {
					cores = leafCores
				}
			}
			switch limit := 1 + rnd.Int64N(1<<40); rnd.IntN(3) {
			case 0:
			case 1:
				f[dir+"/memory.max"], f[dir+"/memory.limit_in_bytes"] = "max\n", "9223372036854771712\n"
			case 2:
				f[dir+"/memory.max"], f[dir+"/memory.limit_in_bytes"] = fmt.Sprintln(limit), fmt.Sprintln(limit)
				if bytes == 0 || limit < bytes {
					bytes = limit
				}
			}
		}
		member, kind := "0::", "cgroup2 c rw"
		if useV1 {
			member, kind = "7:memory,cpu:", "cgroup c rw,cpu,memory"
		}
		src := source{fsys: f.fs()}
		at := newCgroupFiles(&src, resolve([]byte(member+path.Clean("/"+cgroup)+"\n"), []byte(nsfsLine+"1 0 0:1 "+path.Clean("/"+root)+" /c rw - "+kind+"\n")))
		var s Snapshot
		at.read(&src, &s)
		if !assert.Equal(t, []any{cores, bytes, false}, []any{s.Cgroup.CPULimitCores, s.Cgroup.MemoryLimitBytes, s.Cgroup.Approximate}, "case %d: %q", n, f) {
			return
		}
		if leafCores != cores {
			leafWrong++
		}
	}
	assert.Greater(t, leafWrong, cases/5, "reading only the leaf must be wrong often, or this proves nothing")
}
