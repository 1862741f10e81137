// Package resource says what a process and its container use and what they may use:
// CPU time, memory, files, disk and network bytes, the limits of the control group
// and how often they bind, pressure, and the figures of the Go runtime.
//
// It reports. It never sets GOMAXPROCS or GOMEMLIMIT.
//
// # Quick start
//
//	res, err := resource.New(resource.Config{
//		Logger: slog.Default(), // warnings: GOMAXPROCS above the CPU limit and the like
//	})
//	s := res.Snapshot()
//	if s.Has(resource.FieldCgroupCPULimit) {
//		fmt.Println(s.Cgroup.CPULimitCores, "CPUs, set at", s.Cgroup.CPULimitLevel)
//	}
//
// observeprom.NewResource exports the figures of [Metrics] and
// observeotel.RegisterResource those of [OTelMetrics]. In Prometheus the figures of
// the process itself, and those of Go, stay with client_golang's process and go
// collectors; no name of Metrics is one of theirs, so that all can be registered.
//
// # Limits
//
// A control group may be limited at each of its levels, and the lowest limit binds: a
// container with cpu.max "max" in a pod with "200000 100000" has two CPUs, although
// its own file says that it has all. [Cgroup] has the minimum over the group and all of
// its ancestors that are visible, and the directory of the level that binds. There,
// and not at the leaf, it counts throttling: the leaf of a throttled parent counts
// none. Of levels with the same limit it is the one nearest the leaf.
//
//	CPU limit     quota / period            cpu.max; cpu.cfs_quota_us, cpu.cfs_period_us
//	memory limit  bytes                     memory.max; memory.limit_in_bytes, none from 2^62 on
//	working set   usage - inactive_file     memory.current, memory.stat; at least 0
//	throttled     time that a group with work was stopped, summed over CPUs
//
// Versions 1 and 2 of control groups are read, and both at once: version 1 for the
// controllers that it has, version 2 for the rest. Version is 3 then.
//
// The group is that of /proc/self/cgroup, below the mount in /proc/self/mountinfo that
// shows the most of its ancestors. In some private namespaces no mount shows it. Then
// the mount point stands for it, and Approximate is set.
//
// # Terms
//
//   - Missing: a file that is not there, may not be read, or that this system does
//     not support. Its values are unset in Snapshot.Valid, and their series absent.
//     They are never 0.
//   - Pressure: time in which some, or all, tasks waited for CPU, memory or IO, as the
//     kernel measures it. A rate of the total is a ratio, 0 to 1.
//   - CPU ratio: CPU time over time and over the CPUs that the process may use:
//     runtime.NumCPU, or the CPU limit if that is less. It and CPUUsageCores are
//     averages since the last Snapshot that is at least a second older, so they are
//     unset in the first.
//   - Disk bytes: those that storage had to move. Reads from the page cache are none.
//   - Network bytes: those of the network namespace, which processes may share, by
//     device. The loopback device is left out.
//
// # Warnings
//
// [Warnings] looks for what is wrong in a Snapshot:
//
//	gomaxprocs        GOMAXPROCS > max(2, the CPU limit rounded up)
//	gomemlimit_unset  there is a memory limit, and no GOMEMLIMIT
//	gomemlimit_high   GOMEMLIMIT > 95 % of the memory limit
//	approximate       the group is not visible; a limit may be missed
//	working_set       the working set > 90 % of the memory limit
//
// A Reader tells each once, again when it comes back, and when its numbers change
// other than by the working set. Go itself sets GOMAXPROCS by the limits of the leaf
// only, so that the first warning is about ancestors, or about a GOMAXPROCS that
// was set by hand.
//
// # Errors
//
// Nothing fails. A file that is there and cannot be read or understood is counted in
// Snapshot.ReadErrors, and its values are unset; the first error of a file is logged. A
// key that a file lacks is no error: kernels differ.
//
// # Concurrency and cost
//
// The methods of a Reader may be called from many goroutines; one at a time reads. A
// Snapshot is a value: it belongs to the caller. Files stay open until Close, some 20 and 3 for
// each level of the group, and are read by one system call or two. On a busy machine
// of two CPUs, with Linux 6.18 and groups of both versions, a Snapshot took 0.15 ms
// and 4 allocations where client_golang's process collector took 0.45 ms and 572. The
// part of the Go runtime allocates nothing. A file is read up to 1 MiB, a group up to 64 levels. Up to 16
// network devices have a name; the rest are "other", whose sum may fall when one of
// them goes away.
//
// # Limitations
//
//   - Only Linux has more than the figures of the Go runtime.
//   - Memory is that of the group; the limit may be of an ancestor that has other
//     groups too. It can be reached before the working set comes near it.
//   - RSS is what /proc/self/stat says, which kernels from 6.2 on keep only roughly.
//   - The uptime of a process is wrong where a container shows an uptime of its own
//     (lxcfs), and unset where that is shorter.
//   - Counters of throttling jump when another level begins to bind, counters of the
//     group when the process is moved.
//   - What is mounted is looked at again when the process is moved, a file vanishes,
//     or no group was found; not when a second mount appears.
//   - Version 1 gives no disk bytes. Those of version 2 count a byte twice where one
//     device lies on another.
//   - Network bytes count twice where devices are stacked, as a bridge on a card.
//   - container.cpu.time is not split by cpu.mode, and process.cpu.time has no mode
//     wait: /proc has none.
//   - The runtime's histograms have no sum. That of go.memory.gc.pause.duration and
//     go.schedule.duration is an estimate, the middle of each bucket, an eighth off at
//     most for durations above half a microsecond; their counts are exact in the buckets
//     of OTelMetrics.
//   - runtime/metrics brings CPU time up to date at the end of a GC cycle.
//
// # Sources
//
// Control groups: docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1. Pressure:
// docs.kernel.org/accounting/psi.html. Files: proc(5), proc_pid_mountinfo(5). That the
// leaf's limit is not the limit: golang/go#81180; that a mount line may be of any type:
// golang/go#81864, uber-go/automaxprocs#73, KimMachineGun/automemlimit#26. OpenTelemetry
// names: semantic-conventions at 384d661. Working set: cAdvisor. The bound of
// GOMAXPROCS: the documentation of package runtime.
package resource
