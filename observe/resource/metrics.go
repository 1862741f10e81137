package resource

import "github.com/calmops/calm/observe"

// reading and yield shorten the tables.
type (
	reading = observe.Reading[*Snapshot]
	yield   = func(value float64, labels ...string)
)

// Metrics returns the table of what a Snapshot gives to Prometheus, under names that
// none of client_golang's process and go collectors has. A value that is not known
// yields nothing. Where a row has an OpenTelemetry name too, it is a quantity that
// [OTelMetrics] has no row for. The caller owns the result.
func Metrics() []observe.Reading[*Snapshot] {
	return numbered([]reading{
		gauge("cgroup_cpu_limit_cores", "cgroup.cpu.limit", "{cpu}", "Lowest CPU limit of the cgroup and its visible ancestors; absent where there is none.",
			FieldCgroupCPULimit, func(s *Snapshot) float64 { return s.Cgroup.CPULimitCores }),
		gauge("cgroup_gomaxprocs_ratio", "cgroup.gomaxprocs", "1", "GOMAXPROCS over the CPU limit; absent where there is none.",
			FieldCgroupCPULimit, func(s *Snapshot) float64 { return float64(s.Runtime.GOMAXPROCS) / s.Cgroup.CPULimitCores }),
		counter("cgroup_cpu_usage_seconds_total", "", "s", "CPU time of all processes in the cgroup.",
			FieldCgroupCPUUsage, func(s *Snapshot) float64 { return s.Cgroup.CPUUsageSeconds }),
		counter("cgroup_cpu_throttled_seconds_total", "cgroup.cpu.throttled", "s", "Time that the CPU limit that binds stopped the cgroup for, summed over CPUs.",
			FieldCgroupThrottling, func(s *Snapshot) float64 { return s.Cgroup.ThrottledSeconds }),
		counter("cgroup_cpu_periods_total", "cgroup.cpu.periods", "{period}", "Periods of the CPU limit that binds, in which the cgroup had work.",
			FieldCgroupThrottling, func(s *Snapshot) float64 { return float64(s.Cgroup.Periods) }),
		counter("cgroup_cpu_throttled_periods_total", "cgroup.cpu.throttled_periods", "{period}", "Periods of the CPU limit that binds, in which it stopped the cgroup.",
			FieldCgroupThrottling, func(s *Snapshot) float64 { return float64(s.Cgroup.ThrottledPeriods) }),
		gauge("cgroup_memory_usage_bytes", "", "By", "Memory of all processes in the cgroup, page cache included.",
			FieldCgroupMemory, func(s *Snapshot) float64 { return float64(s.Cgroup.MemoryUsageBytes) }),
		gauge("cgroup_memory_working_set_bytes", "", "By", "Memory of the cgroup without inactive page cache.",
			FieldCgroupWorkingSet, func(s *Snapshot) float64 { return float64(s.Cgroup.WorkingSetBytes) }),
		gauge("cgroup_memory_limit_bytes", "cgroup.memory.limit", "By", "Lowest memory limit of the cgroup and its visible ancestors; absent where there is none.",
			FieldCgroupMemoryLimit, func(s *Snapshot) float64 { return float64(s.Cgroup.MemoryLimitBytes) }),
		gauge("cgroup_memory_high_bytes", "cgroup.memory.high", "By", "Lowest memory.high of the cgroup and its visible ancestors, above which processes are slowed; absent where there is none.",
			FieldCgroupMemoryHigh, func(s *Snapshot) float64 { return float64(s.Cgroup.MemoryHighBytes) }),
		counter("cgroup_oom_kills_total", "cgroup.oom_kills", "{process}", "Processes of the cgroup killed for want of memory.",
			FieldCgroupOOMKills, func(s *Snapshot) float64 { return float64(s.Cgroup.OOMKills) }),
		pressure("cgroup_pressure_stall_seconds_total", "cgroup.pressure.stall", "Time that some, or all, tasks of the cgroup waited for a resource.",
			func(s *Snapshot) *Pressure { return &s.Own }),
		pressure("system_pressure_stall_seconds_total", "system.pressure.stall", "Time that some, or all, tasks of the system waited for a resource.",
			func(s *Snapshot) *Pressure { return &s.System }),
		counter("cgroup_disk_read_bytes_total", "", "By", "Bytes read from storage by the cgroup, summed over devices.",
			FieldCgroupDisk, func(s *Snapshot) float64 { return float64(s.Cgroup.DiskReadBytes) }),
		counter("cgroup_disk_written_bytes_total", "", "By", "Bytes written to storage by the cgroup, summed over devices.",
			FieldCgroupDisk, func(s *Snapshot) float64 { return float64(s.Cgroup.DiskWriteBytes) }),
		counter("process_disk_read_bytes_total", "", "By", "Bytes that the process had read from storage.",
			FieldDisk, func(s *Snapshot) float64 { return float64(s.DiskReadBytes) }),
		counter("process_disk_written_bytes_total", "", "By", "Bytes that the process had written to storage.",
			FieldDisk, func(s *Snapshot) float64 { return float64(s.DiskWriteBytes) }),
		each("system_network_receive_bytes_total", "", observe.KindCounter, "By", "Bytes received in the network namespace of the process, by device; the loopback device left out.",
			[]string{"device"}, func(s *Snapshot, yield yield) {
				for _, d := range s.Network {
					yield(float64(d.ReceiveBytes), d.Name)
				}
			}),
		each("system_network_transmit_bytes_total", "", observe.KindCounter, "By", "Bytes sent in the network namespace of the process, by device; the loopback device left out.",
			[]string{"device"}, func(s *Snapshot, yield yield) {
				for _, d := range s.Network {
					yield(float64(d.TransmitBytes), d.Name)
				}
			}),
		each("cgroup_read_errors_total", "cgroup.read_errors", observe.KindCounter, "1", "Times that a file in /proc or of the cgroup was there and could not be read or understood.",
			[]string{"file"}, func(s *Snapshot, yield yield) {
				for _, f := range s.ReadErrors {
					yield(float64(f.Count), f.File)
				}
			}),
		counter("cgroup_callback_panics_total", "cgroup.callback_panics", "1", "Panics of the warning callback and of the logger that were caught.",
			0, func(s *Snapshot) float64 { return float64(s.CallbackPanics) }),
	})
}

// numbered gives each row its place as ID.
func numbered(t []reading) []reading {
	for i := range t {
		t[i].ID = observe.MetricID(i)
	}
	return t
}

// gauge is a metric of one value, which is absent unless all of the fields are known.
func gauge(prometheus, otel, unit, help string, needs Field, value func(*Snapshot) float64) reading {
	return each(prometheus, otel, observe.KindGauge, unit, help, nil, single(needs, value))
}

// counter is the same, and never falls.
func counter(prometheus, otel, unit, help string, needs Field, value func(*Snapshot) float64) reading {
	return each(prometheus, otel, observe.KindCounter, unit, help, nil, single(needs, value))
}

func single(needs Field, value func(*Snapshot) float64) func(*Snapshot, yield) {
	return func(s *Snapshot, yield yield) {
		if s.Has(needs) {
			yield(value(s))
		}
	}
}

// each is a metric of any number of values.
func each(prometheus, otel string, kind observe.MetricKind, unit, help string, labels []string, values func(*Snapshot, yield)) reading {
	return reading{
		Metric: observe.Metric{Prometheus: prometheus, OTel: otel, Kind: kind, Unit: unit, Labels: labels, Help: help},
		Values: values,
	}
}

// pressure is the time lost to each resource.
func pressure(prometheus, otel, help string, of func(*Snapshot) *Pressure) reading {
	return each(prometheus, otel, observe.KindCounter, "s", help, []string{"resource", "kind"}, func(s *Snapshot, yield yield) {
		p := of(s)
		stalls(yield, "cpu", &p.CPU)
		stalls(yield, "memory", &p.Memory)
		stalls(yield, "io", &p.IO)
	})
}

func stalls(yield yield, resource string, s *Stalls) {
	if s.Some.Valid {
		yield(s.Some.TotalSeconds, resource, "some")
	}
	if s.Full.Valid {
		yield(s.Full.TotalSeconds, resource, "full")
	}
}
