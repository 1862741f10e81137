package resource

import (
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Reader. The zero value reads the real file system and reports
// nothing by itself.
type Config struct {
	// FS is the root of the file system to read, for tests: "proc/self/stat" is a file
	// of it. Its files are opened for each Snapshot. Defaults to the real one, whose
	// files are kept open; and only there CPU time is that of getrusage, exact to the
	// microsecond, and context switches are known.
	FS fs.FS

	// OnWarning is told of each of the Warnings of a Snapshot when it first appears,
	// when it comes back and when its limit changes; not when only the working set
	// does. It is called by Snapshot, on its goroutine, with no lock held: it may call
	// Snapshot. A panic in it is caught and counted. Defaults to nobody.
	OnWarning func(Warning)

	// Logger gets the same warnings, and the first error of each file, at level Warn.
	// Defaults to silence.
	Logger *slog.Logger
}

// Reader reads the resources of the process that it runs in. Its methods may be
// called from many goroutines; a nil Reader knows nothing.
type Reader struct {
	cfg    Config
	panics atomic.Uint64

	mu      sync.Mutex
	src     source
	proc    procFiles
	where   string // /proc/self/cgroup as of when cgroup was found
	cgroup  cgroupFiles
	devices devices
	runtime runtimeReader
	rates   rates
	notices notices
}

// procFiles are the files that do not depend on the cgroup.
type procFiles struct {
	stat, uptime, limits, fd, io, net, cgroup, mountinfo handle
	pressure                                             pressureFiles
}

// New returns a Reader. It opens nothing yet. The error says that the root of
// Config.FS cannot be read.
func New(cfg Config) (*Reader, error) {
	if cfg.FS != nil {
		if _, err := fs.Stat(cfg.FS, "."); err != nil {
			return nil, fmt.Errorf("resource: FS: %w", err)
		}
	}
	r := &Reader{cfg: cfg, src: source{fsys: cfg.FS}, runtime: newRuntimeReader()}
	in := func(name string) handle { return r.src.handle(name, "/proc/"+name) }
	r.proc = procFiles{
		stat: in("self/stat"), uptime: in("uptime"), limits: in("self/limits"), fd: in("self/fd"), io: in("self/io"),
		net: in("self/net/dev"), cgroup: in("self/cgroup"), mountinfo: in("self/mountinfo"),
		pressure: pressureFiles{in("pressure/cpu"), in("pressure/memory"), in("pressure/io")},
	}
	return r, nil
}

// Snapshot reads each file once. What is missing is unset in Snapshot.Valid; nothing
// fails.
func (r *Reader) Snapshot() Snapshot {
	if r == nil {
		return Snapshot{}
	}
	s, fresh, faults := r.read()
	for _, f := range faults {
		r.log("resource: file not understood", "file", f.path, "error", f.err)
	}
	for _, w := range fresh {
		r.log("resource: "+w.String(), "kind", w.Kind.String(), "value", w.Value, "limit", w.Limit, "level", w.Level)
		if r.cfg.OnWarning != nil {
			r.guard(func() { r.cfg.OnWarning(w) })
		}
	}
	s.CallbackPanics = r.panics.Load()
	return s
}

func (r *Reader) read() (s Snapshot, fresh []Warning, faults []fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.At = time.Now()
	r.readProcess(&s)
	r.findCgroup()
	r.cgroup.read(&r.src, &s)
	s.System = r.proc.pressure.read(&r.src)
	r.runtime.read(&s)
	r.rates.next(&s)
	s.ReadErrors = slices.Clone(r.src.faults)
	faults, r.src.first = r.src.first, nil
	return s, r.notices.fresh(Warnings(s)), faults
}

// Close closes the files that are kept open. A later Snapshot opens them again. The
// error is always nil.
func (r *Reader) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.proc
	for _, h := range []*handle{&p.stat, &p.uptime, &p.limits, &p.io, &p.net, &p.cgroup, &p.mountinfo} {
		h.close()
	}
	p.pressure.close()
	r.cgroup.close()
	return nil
}

func (r *Reader) log(message string, args ...any) {
	if r.cfg.Logger != nil {
		r.guard(func() { r.cfg.Logger.Warn(message, args...) })
	}
}

// guard runs code of the user; a panic of it is counted.
func (r *Reader) guard(f func()) {
	defer func() {
		if recover() != nil {
			r.panics.Add(1)
		}
	}()
	f()
}

// findCgroup looks for the files of the cgroup, if the process is in another one now,
// or a file of it has gone.
func (r *Reader) findCgroup() {
	b, ok := r.src.read(&r.proc.cgroup)
	if ok && string(b) == r.where && !r.src.vanished && r.cgroup.layout.version != versionNone {
		return
	}
	r.src.vanished = false
	r.where = string(b)
	var l layout
	if ok {
		if b, ok := r.src.read(&r.proc.mountinfo); ok {
			l = resolve([]byte(r.where), b)
		}
		r.proc.mountinfo.close() // seldom read
	}
	r.cgroup.close()
	r.cgroup = newCgroupFiles(&r.src, l)
}

func (r *Reader) readProcess(s *Snapshot) {
	src, p := &r.src, &r.proc
	if b, ok := src.read(&p.stat); ok {
		if stat, err := parseStat(b); err == nil {
			r.useStat(s, stat)
		} else {
			src.fail(&p.stat, err)
		}
	}
	if r.cfg.FS == nil {
		if u, ok := readUsage(); ok {
			s.UserSeconds, s.SystemSeconds = u.user, u.system
			s.VoluntarySwitches, s.InvoluntarySwitches = u.voluntary, u.involuntary
			s.Valid |= FieldCPU | FieldSwitches
		}
	}
	s.CPUSeconds = s.UserSeconds + s.SystemSeconds
	if n, ok := src.entries(&p.fd); ok {
		s.OpenFiles = n
		s.Valid |= FieldOpenFiles
	}
	if b, ok := src.read(&p.limits); ok {
		n, ok, err := parseMaxFiles(b)
		if err != nil {
			src.fail(&p.limits, err)
		}
		if ok {
			s.MaxFiles = n
			s.Valid |= FieldMaxFiles
		}
	}
	if b, ok := src.read(&p.io); ok {
		read, ok1 := src.keyed(&p.io, b, "read_bytes", ": ")
		written, ok2 := src.keyed(&p.io, b, "write_bytes", ": ")
		if ok1 && ok2 {
			s.DiskReadBytes, s.DiskWriteBytes = read, written
			s.Valid |= FieldDisk
		}
	}
	if b, ok := src.read(&p.net); ok {
		if err := r.devices.parse(b); err == nil {
			s.Network = slices.Clone(r.devices.list)
		} else {
			src.fail(&p.net, err)
		}
	}
}

// useStat takes over what /proc/self/stat tells, and with /proc/uptime for how long
// the process has run.
func (r *Reader) useStat(s *Snapshot, stat procStat) {
	s.UserSeconds, s.SystemSeconds = stat.user, stat.system
	s.Threads, s.RSSBytes, s.VirtualBytes = stat.threads, stat.rBytes, stat.virtualBytes
	s.MinorFaults, s.MajorFaults = stat.minor, stat.major
	s.Valid |= FieldCPU | FieldThreads | FieldMemory | FieldFaults
	b, ok := r.src.read(&r.proc.uptime)
	if !ok {
		return
	}
	up, err := parseUptime(b)
	if err != nil {
		r.src.fail(&r.proc.uptime, err)
		return
	}
	// A container may have an uptime of its own, less than the process' start.
	if up >= stat.started {
		s.UptimeSeconds = up - stat.started
		s.Valid |= FieldUptime
	}
}
