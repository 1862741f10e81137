package resource

import "time"

// Field is a set of values of a Snapshot, one bit each, or one for values that are
// known together.
type Field uint32

// The fields of a Snapshot that may be missing, and what they cover.
const (
	FieldCPU               Field = 1 << iota // CPUSeconds, UserSeconds, SystemSeconds
	FieldCPURatio                            // UserRatio, SystemRatio
	FieldThreads                             // Threads
	FieldOpenFiles                           // OpenFiles
	FieldMaxFiles                            // MaxFiles; unset too where there is no limit
	FieldMemory                              // RSSBytes, VirtualBytes
	FieldUptime                              // UptimeSeconds
	FieldFaults                              // MinorFaults, MajorFaults
	FieldSwitches                            // VoluntarySwitches, InvoluntarySwitches
	FieldDisk                                // DiskReadBytes, DiskWriteBytes
	FieldCgroupCPULimit                      // Cgroup.CPULimitCores, CPULimitLevel; unset too where there is no limit
	FieldCgroupCPUUsage                      // Cgroup.CPUUsageSeconds
	FieldCgroupCPUCores                      // Cgroup.CPUUsageCores
	FieldCgroupThrottling                    // Cgroup.ThrottledSeconds, Periods, ThrottledPeriods
	FieldCgroupMemory                        // Cgroup.MemoryUsageBytes
	FieldCgroupWorkingSet                    // Cgroup.WorkingSetBytes
	FieldCgroupRSS                           // Cgroup.RSSBytes
	FieldCgroupMemoryLimit                   // Cgroup.MemoryLimitBytes, MemoryLimitLevel; unset too where there is no limit
	FieldCgroupMemoryHigh                    // Cgroup.MemoryHighBytes; unset too where there is none
	FieldCgroupOOMKills                      // Cgroup.OOMKills
	FieldCgroupDisk                          // Cgroup.DiskReadBytes, DiskWriteBytes
	FieldGoMemoryLimit                       // Runtime.MemoryLimitBytes; unset where there is no limit
)

// Snapshot is what a process, its cgroup, its system and its Go runtime have used,
// and may use. A value whose bit in Valid is unset is not known and reads 0.
type Snapshot struct {
	At    time.Time // when it was read
	Valid Field     // the values that are known

	// Of this process.
	CPUSeconds          float64 // CPU time: UserSeconds + SystemSeconds
	UserSeconds         float64 // CPU time in user mode
	SystemSeconds       float64 // CPU time in the kernel
	UserRatio           float64 // share of the CPUs it may use, in user mode, over at least the last second
	SystemRatio         float64 // the same, in the kernel
	Threads             int64   // threads of the operating system
	OpenFiles           int64   // open file descriptors, those of the Reader included
	MaxFiles            int64   // how many it may have: the soft limit
	RSSBytes            int64   // resident memory
	VirtualBytes        int64   // virtual memory
	UptimeSeconds       float64 // since it started
	MinorFaults         int64   // page faults that needed no disk
	MajorFaults         int64   // page faults that did
	VoluntarySwitches   int64   // context switches because it waited
	InvoluntarySwitches int64   // context switches because its turn was over
	DiskReadBytes       int64   // bytes it had read from storage, not from the page cache
	DiskWriteBytes      int64   // bytes it had, or will have, written to storage

	Network []Device // of its network namespace, without the loopback device; nil: not known
	Cgroup  Cgroup   // its control group
	System  Pressure // of the whole system
	Own     Pressure // of the cgroup
	Runtime Runtime  // its Go runtime

	ReadErrors     []FileErrors // one for each file name that was looked for
	CallbackPanics uint64       // panics of OnWarning and of the Logger that were caught
}

// Has reports whether all of the fields are known.
func (s Snapshot) Has(f Field) bool { return s.Valid&f == f }

// Device is a network device. The first 16 devices that a Reader sees have their own
// names, the others are one named "other".
type Device struct {
	Name          string // such as "eth0", or "other"
	ReceiveBytes  int64  // since it exists
	TransmitBytes int64  // since it exists
}

// FileErrors counts the times that a file was there but could not be read or
// understood. One that is missing, not permitted or not supported is no error.
type FileErrors struct {
	File  string // its path in /proc, or its name in the directory of a cgroup
	Count uint64 // since the Reader was made
}

// Cgroup is the control group of the process: that of its container, in one.
type Cgroup struct {
	Version     int    // 0 none found, 1, 2, or 3 for both: v1 for some controllers
	Path        string // the directory of its own level: of memory, else of CPU, else of v2; empty: none found
	Approximate bool   // its own level is not visible here: Path, the mount point, stands for it

	CPULimitCores    float64 // the lowest CPU limit of the cgroup and its visible ancestors, in CPUs
	CPULimitLevel    string  // the directory of that limit
	CPUUsageSeconds  float64 // CPU time of all processes in the cgroup
	CPUUsageCores    float64 // CPUs in use, over at least the last second
	Periods          int64   // periods of the CPU limit, at CPULimitLevel, in which it had work
	ThrottledPeriods int64   // those in which it was stopped for having used its share
	ThrottledSeconds float64 // for how long, summed over CPUs

	MemoryUsageBytes int64  // memory of all processes in the cgroup, page cache included
	WorkingSetBytes  int64  // MemoryUsageBytes without the page cache that is easily given up (inactive_file)
	RSSBytes         int64  // anonymous memory
	MemoryLimitBytes int64  // the lowest memory limit of the cgroup and its visible ancestors
	MemoryLimitLevel string // the directory of that limit
	MemoryHighBytes  int64  // the lowest memory.high, above which processes are slowed; v2 only
	OOMKills         int64  // processes killed for want of memory

	DiskReadBytes  int64 // bytes read, summed over devices; v2 only
	DiskWriteBytes int64 // bytes written, summed over devices; v2 only
}

// Pressure is how much time was lost by waiting for a resource.
type Pressure struct {
	CPU    Stalls // for a CPU to run on
	Memory Stalls // for memory to be freed or read back
	IO     Stalls // for storage
}

// Stalls are the two measures of a resource.
type Stalls struct {
	Some Stall // at least one task waited
	Full Stall // all tasks waited: nothing got done
}

// Stall is the time that tasks waited.
type Stall struct {
	Valid        bool    // it is known
	Avg10Ratio   float64 // share of the last 10 seconds, 0 to 1
	Avg60Ratio   float64 // share of the last minute
	Avg300Ratio  float64 // share of the last five minutes
	TotalSeconds float64 // since the system, or the cgroup, exists
}

// Runtime is the Go runtime. All is known, on every system, but MemoryLimitBytes
// where none is set.
type Runtime struct {
	GOMAXPROCS       int    // threads that may run Go code at once
	NumCPU           int    // CPUs that the process could run on when it started
	Goroutines       int64  // that exist now
	MemoryLimitBytes int64  // GOMEMLIMIT
	UsedBytes        uint64 // memory it holds, without what it gave back
	StackBytes       uint64 // the part of UsedBytes that is for stacks
	HeapBytes        uint64 // the part of UsedBytes that is objects, live or not yet collected
	HeapGoalBytes    uint64 // heap size at which the present GC cycle should end
	AllocatedBytes   uint64 // on the heap, in all
	Allocations      uint64 // on the heap, in all
	GCCycles         uint64 // completed

	// CPU time by what it was spent on, as estimated by the runtime at the end of
	// each GC cycle. Compare only with one another.
	UserSeconds, GCSeconds, ScavengeSeconds, IdleSeconds float64

	pauses, delays durations // of the garbage collector; of runnable goroutines
}
