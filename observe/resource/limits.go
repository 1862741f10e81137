package resource

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// unlimited is where limits of memory begin to mean none: v1 writes 2^63-1 rounded
// down to a page.
const unlimited = 1 << 62

// cgroupFiles are the files of a layout.
type cgroupFiles struct {
	layout layout

	cpu    []cpuLevel // from the leaf up
	memory []memoryLevel

	usage                    handle // cpuacct.usage of v1
	current, stat, oom, disk handle
	pressure                 pressureFiles
	hasPressure              bool
}

type cpuLevel struct {
	dir    string
	quota  handle // cpu.max, or of v1 cpu.cfs_quota_us
	period handle // of v1
	stat   handle // cpu.stat
}

type memoryLevel struct {
	dir  string
	max  handle
	high handle // of v2
}

func newCgroupFiles(s *source, l layout) cgroupFiles {
	f := cgroupFiles{layout: l}
	in := func(dir, name string) handle { return s.handle(name, dir+"/"+name) }
	for _, dir := range l.cpu.dirs {
		at := cpuLevel{dir: dir, stat: in(dir, "cpu.stat")}
		if l.cpu.v1 {
			at.quota, at.period = in(dir, "cpu.cfs_quota_us"), in(dir, "cpu.cfs_period_us")
		} else {
			at.quota = in(dir, "cpu.max")
		}
		f.cpu = append(f.cpu, at)
	}
	if l.cpuacct.v1 {
		f.usage = in(l.cpuacct.dirs[0], "cpuacct.usage")
	} else if l.cpuacct.dirs != nil {
		f.usage = in(l.cpuacct.dirs[0], "cpu.stat")
	}
	for _, dir := range l.memory.dirs {
		if l.memory.v1 {
			f.memory = append(f.memory, memoryLevel{dir: dir, max: in(dir, "memory.limit_in_bytes")})
		} else {
			f.memory = append(f.memory, memoryLevel{dir: dir, max: in(dir, "memory.max"), high: in(dir, "memory.high")})
		}
	}
	if l.memory.dirs != nil {
		dir := l.memory.dirs[0]
		f.stat = in(dir, "memory.stat")
		if l.memory.v1 {
			f.current, f.oom = in(dir, "memory.usage_in_bytes"), in(dir, "memory.oom_control")
		} else {
			f.current, f.oom = in(dir, "memory.current"), in(dir, "memory.events")
		}
	}
	if l.blkio.dirs != nil && !l.blkio.v1 {
		f.disk = in(l.blkio.dirs[0], "io.stat")
	}
	if l.unified.dirs != nil {
		dir := l.unified.dirs[0]
		f.pressure = pressureFiles{in(dir, "cpu.pressure"), in(dir, "memory.pressure"), in(dir, "io.pressure")}
		f.hasPressure = true
	}
	return f
}

func (f *cgroupFiles) close() {
	for i := range f.cpu {
		f.cpu[i].quota.close()
		f.cpu[i].period.close()
		f.cpu[i].stat.close()
	}
	for i := range f.memory {
		f.memory[i].max.close()
		f.memory[i].high.close()
	}
	for _, h := range []*handle{&f.usage, &f.current, &f.stat, &f.oom, &f.disk} {
		h.close()
	}
	f.pressure.close()
}

// read fills in what is known of the cgroup.
func (f *cgroupFiles) read(s *source, to *Snapshot) {
	c := &to.Cgroup
	c.Version = f.layout.version
	for _, g := range []*group{&f.layout.memory, &f.layout.cpu, &f.layout.unified} {
		if c.Path == "" && g.dirs != nil {
			c.Path = g.dirs[0]
		}
	}
	c.Approximate = f.layout.cpu.approximate || f.layout.memory.approximate
	f.readCPU(s, to)
	f.readMemory(s, to)
	if f.disk.path != "" {
		if b, ok := s.read(&f.disk); ok {
			var err error
			if c.DiskReadBytes, c.DiskWriteBytes, err = parseDisk(b); err == nil {
				to.Valid |= FieldCgroupDisk
			} else {
				s.fail(&f.disk, err)
			}
		}
	}
	if f.hasPressure {
		to.Own = f.pressure.read(s)
	}
}

// readCPU finds the level that binds. Its ancestors' counters are not the leaf's: a
// leaf that a parent throttles counts nothing.
func (f *cgroupFiles) readCPU(s *source, to *Snapshot) {
	c := &to.Cgroup
	bind := 0
	for i := range f.cpu {
		at := &f.cpu[i]
		if cores, ok := at.limit(s, f.layout.cpu.v1); ok && (!to.Has(FieldCgroupCPULimit) || cores < c.CPULimitCores) {
			bind, c.CPULimitCores, c.CPULimitLevel = i, cores, at.dir
			to.Valid |= FieldCgroupCPULimit
		}
	}
	if len(f.cpu) > 0 {
		h := &f.cpu[bind].stat
		if b, ok := s.read(h); ok {
			f.throttling(s, h, b, to)
			if h.path == f.usage.path { // the leaf's, of v2: one read gives both
				f.cpuUsage(s, h, b, to)
				return
			}
		}
	}
	if f.usage.path != "" {
		if b, ok := s.read(&f.usage); ok {
			f.cpuUsage(s, &f.usage, b, to)
		}
	}
}

func (f *cgroupFiles) throttling(s *source, h *handle, b []byte, to *Snapshot) {
	key, unit := "throttled_usec", 1e6
	if f.layout.cpu.v1 {
		key, unit = "throttled_time", 1e9
	}
	periods, ok1 := s.keyed(h, b, "nr_periods", " ")
	throttled, ok2 := s.keyed(h, b, "nr_throttled", " ")
	time, ok3 := s.keyed(h, b, key, " ")
	if ok1 && ok2 && ok3 {
		c := &to.Cgroup
		c.Periods, c.ThrottledPeriods, c.ThrottledSeconds = periods, throttled, float64(time)/unit
		to.Valid |= FieldCgroupThrottling
	}
}

func (f *cgroupFiles) cpuUsage(s *source, h *handle, b []byte, to *Snapshot) {
	if !f.layout.cpuacct.v1 {
		if v, ok := s.keyed(h, b, "usage_usec", " "); ok {
			to.Cgroup.CPUUsageSeconds = float64(v) / 1e6
			to.Valid |= FieldCgroupCPUUsage
		}
		return
	}
	if v, ok := s.number(h, b); ok {
		to.Cgroup.CPUUsageSeconds = float64(v) / 1e9
		to.Valid |= FieldCgroupCPUUsage
	}
}

func (f *cgroupFiles) readMemory(s *source, to *Snapshot) {
	c := &to.Cgroup
	for i := range f.memory {
		at := &f.memory[i]
		if n, ok := s.limit(&at.max); ok && (!to.Has(FieldCgroupMemoryLimit) || n < c.MemoryLimitBytes) {
			c.MemoryLimitBytes, c.MemoryLimitLevel = n, at.dir
			to.Valid |= FieldCgroupMemoryLimit
		}
		if at.high.path == "" {
			continue
		}
		if n, ok := s.limit(&at.high); ok && (!to.Has(FieldCgroupMemoryHigh) || n < c.MemoryHighBytes) {
			c.MemoryHighBytes = n
			to.Valid |= FieldCgroupMemoryHigh
		}
	}
	if len(f.memory) == 0 {
		return
	}
	inactive, anonymous := "inactive_file", "anon"
	if f.layout.memory.v1 {
		inactive, anonymous = "total_inactive_file", "total_rss"
	}
	if b, ok := s.read(&f.current); ok {
		if c.MemoryUsageBytes, ok = s.number(&f.current, b); ok {
			to.Valid |= FieldCgroupMemory
		}
	}
	if b, ok := s.read(&f.stat); ok {
		if c.RSSBytes, ok = s.keyed(&f.stat, b, anonymous, " "); ok {
			to.Valid |= FieldCgroupRSS
		}
		if n, ok := s.keyed(&f.stat, b, inactive, " "); ok && to.Has(FieldCgroupMemory) {
			c.WorkingSetBytes = max(0, c.MemoryUsageBytes-n)
			to.Valid |= FieldCgroupWorkingSet
		}
	}
	if b, ok := s.read(&f.oom); ok {
		if c.OOMKills, ok = s.keyed(&f.oom, b, "oom_kill", " "); ok {
			to.Valid |= FieldCgroupOOMKills
		}
	}
}

// limit is the CPU limit of one level, in CPUs. ok is false where it has none.
func (l *cpuLevel) limit(s *source, v1 bool) (cores float64, ok bool) {
	b, ok := s.read(&l.quota)
	if !ok {
		return 0, false
	}
	if !v1 {
		cores, ok, err := parseCPUMax(b)
		if err != nil {
			s.fail(&l.quota, err)
		}
		return cores, ok
	}
	quota, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		s.fail(&l.quota, err)
		return 0, false
	}
	if quota <= 0 {
		return 0, false
	}
	if b, ok = s.read(&l.period); !ok {
		return 0, false
	}
	period, ok := s.number(&l.period, b)
	if ok && period == 0 {
		s.fail(&l.period, errSyntax)
	}
	return float64(quota) / float64(max(1, period)), ok && period > 0
}

// parseCPUMax reads cpu.max: "max" or a quota, then a period, both in microseconds.
// ok is false where there is no limit.
func parseCPUMax(b []byte) (cores float64, ok bool, err error) {
	quota, rest, _ := bytes.Cut(bytes.TrimSpace(b), []byte(" "))
	if string(quota) == "max" {
		return 0, false, nil
	}
	q, err := parseCount(quota)
	if err != nil {
		return 0, false, err
	}
	p, err := parseCount(rest)
	if err != nil {
		return 0, false, err
	}
	if q == 0 || p == 0 {
		return 0, false, errSyntax
	}
	return float64(q) / float64(p), true, nil
}

// limit reads a file with a number of bytes or "max". ok is false where there is no
// limit.
func (s *source) limit(h *handle) (int64, bool) {
	b, ok := s.read(h)
	if !ok {
		return 0, false
	}
	n, err := parseLimit(b)
	if err != nil {
		s.fail(h, err)
		return 0, false
	}
	return n, n < unlimited
}

// parseLimit reads a number of bytes; "max", and any number above it, is the
// greatest.
func parseLimit(b []byte) (int64, error) {
	b = bytes.TrimSpace(b)
	if string(b) == "max" {
		return math.MaxInt64, nil
	}
	n, err := parseCount(b)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64, nil
	}
	return n, err
}

// number reads a file that was read as one number.
func (s *source) number(h *handle, b []byte) (int64, bool) {
	n, err := parseCount(bytes.TrimSpace(b))
	if err != nil {
		s.fail(h, err)
	}
	return n, err == nil
}
