package resource

import (
	"math"
	"strings"
	"testing"
)

func FuzzResolve(f *testing.F) {
	f.Add(v2["/proc/self/cgroup"], v2["/proc/self/mountinfo"])
	f.Add(v1["/proc/self/cgroup"], v1["/proc/self/mountinfo"])
	f.Add("0::/../a b:c\n", "30 22 0:26 /.. /sys\\040x rw a b - cgroup2 c rw x\n")
	f.Fuzz(func(t *testing.T, cgroup, mountinfo string) {
		l := resolve([]byte(cgroup), []byte(mountinfo))
		if l.version == versionNone && (l.cpu.dirs != nil || l.memory.dirs != nil) {
			t.Fatal("files of no cgroup")
		}
		for _, g := range []group{l.cpu, l.cpuacct, l.memory, l.blkio, l.unified} {
			if len(g.dirs) > maxLevels {
				t.Fatal("too many levels")
			}
			for i, dir := range g.dirs {
				if !strings.HasPrefix(dir, "/") {
					t.Fatalf("relative: %q", dir)
				}
				if i > 0 && !strings.HasPrefix(g.dirs[i-1], dir) {
					t.Fatalf("%q is not above %q", dir, g.dirs[i-1])
				}
			}
		}
	})
}

// FuzzNumbers: no file makes a number that is negative or none at all.
func FuzzNumbers(f *testing.F) {
	for path, content := range v2 {
		if strings.HasPrefix(path, "/proc/self") || strings.HasPrefix(path, v2Leaf) {
			f.Add([]byte(content))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(what string, vs ...float64) {
			for _, v := range vs {
				if !(v >= 0) || math.IsInf(v, 0) {
					t.Fatalf("%s: %v from %q", what, v, b)
				}
			}
		}
		if s, err := parseStat(b); err == nil {
			check("stat", s.user, s.system, s.started, float64(s.threads), float64(s.minor), float64(s.major), float64(s.virtualBytes), float64(s.rBytes))
		}
		if v, err := parseUptime(b); err == nil {
			check("uptime", v)
		}
		if n, ok, err := parseMaxFiles(b); ok && err == nil {
			check("limits", float64(n))
		}
		if v, ok, err := parseCPUMax(b); ok {
			check("cpu.max", v)
			if v == 0 || err != nil {
				t.Fatalf("cpu.max: %v, %v from %q", v, err, b)
			}
		}
		if n, err := parseLimit(b); err == nil {
			check("limit", float64(n))
		}
		if v, found, _ := keyed(b, "usage_usec", " "); found {
			check("keyed", float64(v))
		}
		if read, written, err := parseDisk(b); err == nil {
			check("io.stat", float64(read), float64(written))
		}
		var d devices
		if d.parse(b) == nil {
			if len(d.list) > maxDevices+1 {
				t.Fatal("too many devices")
			}
			for _, v := range d.list {
				check("net/dev", float64(v.ReceiveBytes), float64(v.TransmitBytes))
			}
		}
	})
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte(process["/proc/pressure/cpu"]))
	f.Add([]byte("full avg10=NaN total=1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePressure(b)
		if err != nil && p != (Stalls{}) {
			t.Fatal("an error and a value")
		}
		for _, s := range []Stall{p.Some, p.Full} {
			for _, v := range []float64{s.Avg10Ratio, s.Avg60Ratio, s.Avg300Ratio} {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("%v from %q", v, b)
				}
			}
			if !(s.TotalSeconds >= 0) || !s.Valid && s != (Stall{}) {
				t.Fatalf("%+v from %q", s, b)
			}
		}
	})
}
