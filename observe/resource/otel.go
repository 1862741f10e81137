package resource

import (
	"slices"

	"github.com/calmops/calm/observe"
)

// OTelMetrics returns the table of what a Snapshot gives under the names of the
// OpenTelemetry semantic conventions. Its rows have no Prometheus name, and their
// labels are the names of attributes, dots included. Gauges are what the conventions
// call UpDownCounters, but process.cpu.utilization, process.uptime and
// container.cpu.usage. The caller owns the result.
func OTelMetrics() []observe.Reading[*Snapshot] {
	return numbered(slices.Concat(processMetrics(), containerMetrics(), goMetrics()))
}

func processMetrics() []reading {
	return []reading{
		two("process.cpu.time", observe.KindCounter, "s", "CPU time of the process.",
			"cpu.mode", "user", "system", FieldCPU, func(s *Snapshot) (a, b float64) { return s.UserSeconds, s.SystemSeconds }),
		two("process.cpu.utilization", observe.KindGauge, "1", "Share of the CPUs it may use that the process used, over at least the last second.",
			"cpu.mode", "user", "system", FieldCPURatio, func(s *Snapshot) (a, b float64) { return s.UserRatio, s.SystemRatio }),
		gauge("", "process.memory.usage", "By", "Physical memory of the process.",
			FieldMemory, func(s *Snapshot) float64 { return float64(s.RSSBytes) }),
		gauge("", "process.memory.virtual", "By", "Virtual memory of the process.",
			FieldMemory, func(s *Snapshot) float64 { return float64(s.VirtualBytes) }),
		two("process.disk.io", observe.KindCounter, "By", "Bytes that the process had read from and written to storage.",
			"disk.io.direction", "read", "write", FieldDisk, func(s *Snapshot) (a, b float64) { return float64(s.DiskReadBytes), float64(s.DiskWriteBytes) }),
		gauge("", "process.thread.count", "{thread}", "Threads of the process.",
			FieldThreads, func(s *Snapshot) float64 { return float64(s.Threads) }),
		gauge("", "process.unix.file_descriptor.count", "{file_descriptor}", "Open file descriptors of the process.",
			FieldOpenFiles, func(s *Snapshot) float64 { return float64(s.OpenFiles) }),
		two("process.context_switches", observe.KindCounter, "{context_switch}", "Context switches of the process.",
			"process.context_switch.type", "voluntary", "involuntary", FieldSwitches, func(s *Snapshot) (a, b float64) {
				return float64(s.VoluntarySwitches), float64(s.InvoluntarySwitches)
			}),
		two("process.paging.faults", observe.KindCounter, "{fault}", "Page faults of the process.",
			"system.paging.fault.type", "minor", "major", FieldFaults, func(s *Snapshot) (a, b float64) { return float64(s.MinorFaults), float64(s.MajorFaults) }),
		gauge("", "process.uptime", "s", "Time for which the process has run.",
			FieldUptime, func(s *Snapshot) float64 { return s.UptimeSeconds }),
		each("", "system.network.io", observe.KindCounter, "By", "Bytes transferred in the network namespace of the process; the loopback device left out.",
			[]string{"network.interface.name", "network.io.direction"}, func(s *Snapshot, yield yield) {
				for _, d := range s.Network {
					yield(float64(d.ReceiveBytes), d.Name, "receive")
					yield(float64(d.TransmitBytes), d.Name, "transmit")
				}
			}),
	}
}

func containerMetrics() []reading {
	return []reading{
		counter("", "container.cpu.time", "s", "CPU time of the container, all modes together.",
			FieldCgroupCPUUsage, func(s *Snapshot) float64 { return s.Cgroup.CPUUsageSeconds }),
		gauge("", "container.cpu.usage", "{cpu}", "CPUs that the container used, over at least the last second.",
			FieldCgroupCPUCores, func(s *Snapshot) float64 { return s.Cgroup.CPUUsageCores }),
		gauge("", "container.memory.usage", "By", "Memory of the container, page cache included.",
			FieldCgroupMemory, func(s *Snapshot) float64 { return float64(s.Cgroup.MemoryUsageBytes) }),
		gauge("", "container.memory.available", "By", "Memory limit less the working set; absent where there is no limit.",
			FieldCgroupMemoryLimit|FieldCgroupWorkingSet, func(s *Snapshot) float64 {
				return float64(max(0, s.Cgroup.MemoryLimitBytes-s.Cgroup.WorkingSetBytes))
			}),
		gauge("", "container.memory.rss", "By", "Anonymous memory of the container.",
			FieldCgroupRSS, func(s *Snapshot) float64 { return float64(s.Cgroup.RSSBytes) }),
		gauge("", "container.memory.working_set", "By", "Memory of the container without inactive page cache.",
			FieldCgroupWorkingSet, func(s *Snapshot) float64 { return float64(s.Cgroup.WorkingSetBytes) }),
		two("container.disk.io", observe.KindCounter, "By", "Bytes that the container read from and wrote to storage.",
			"disk.io.direction", "read", "write", FieldCgroupDisk, func(s *Snapshot) (a, b float64) {
				return float64(s.Cgroup.DiskReadBytes), float64(s.Cgroup.DiskWriteBytes)
			}),
	}
}

func goMetrics() []reading {
	return []reading{
		two("go.memory.used", observe.KindGauge, "By", "Memory used by the Go runtime.",
			"go.memory.type", "stack", "other", 0, func(s *Snapshot) (a, b float64) {
				r := &s.Runtime
				return float64(r.StackBytes), float64(r.UsedBytes - min(r.UsedBytes, r.StackBytes))
			}),
		gauge("", "go.memory.limit", "By", "Memory limit of the Go runtime; absent where there is none.",
			FieldGoMemoryLimit, func(s *Snapshot) float64 { return float64(s.Runtime.MemoryLimitBytes) }),
		counter("", "go.memory.allocated", "By", "Memory allocated on the heap.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.AllocatedBytes) }),
		counter("", "go.memory.allocations", "{allocation}", "Allocations on the heap.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.Allocations) }),
		gauge("", "go.memory.gc.goal", "By", "Heap size at which the GC cycle should end.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.HeapGoalBytes) }),
		counter("", "go.memory.gc.cycles", "{gc_cycle}", "Completed GC cycles.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.GCCycles) }),
		histogram("go.memory.gc.pause.duration", "Pauses of all goroutines for garbage collection; the sum is an estimate.",
			func(s *Snapshot) *durations { return &s.Runtime.pauses }),
		each("", "go.cpu.time", observe.KindCounter, "s", "CPU time as estimated by the Go runtime at the end of each GC cycle.",
			[]string{"go.cpu.state"}, func(s *Snapshot, yield yield) {
				r := &s.Runtime
				yield(r.UserSeconds, "user")
				yield(r.GCSeconds, "gc")
				yield(r.ScavengeSeconds, "scavenge")
				yield(r.IdleSeconds, "idle")
			}),
		gauge("", "go.goroutine.count", "{goroutine}", "Goroutines that exist.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.Goroutines) }),
		gauge("", "go.processor.limit", "{thread}", "Threads that may run Go code at once: GOMAXPROCS.",
			0, func(s *Snapshot) float64 { return float64(s.Runtime.GOMAXPROCS) }),
		histogram("go.schedule.duration", "Time that goroutines waited to run once they could; the sum is an estimate.",
			func(s *Snapshot) *durations { return &s.Runtime.delays }),
	}
}

// two is a metric of two values that differ in an attribute.
func two(otel string, kind observe.MetricKind, unit, help, label, first, second string, needs Field, values func(*Snapshot) (a, b float64)) reading {
	return each("", otel, kind, unit, help, []string{label}, func(s *Snapshot, yield yield) {
		if s.Has(needs) {
			a, b := values(s)
			yield(a, first)
			yield(b, second)
		}
	})
}

// histogram is one of durations.
func histogram(otel, help string, of func(*Snapshot) *durations) reading {
	return reading{
		Metric: observe.Metric{OTel: otel, Kind: observe.KindHistogram, Unit: "s", Help: help, Buckets: slices.Clone(durationBounds[:])},
		Distributions: func(s *Snapshot, yield func(observe.Distribution, ...string)) {
			d := of(s)
			yield(observe.Distribution{Count: d.count, Sum: d.sum, Counts: d.counts[:]})
		},
	}
}
