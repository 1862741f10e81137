package resource

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
)

// What client_golang v1.25 exports for a process, on any system.
var processCollector = []string{
	"process_cpu_seconds_total", "process_open_fds", "process_max_fds", "process_virtual_memory_bytes", "process_virtual_memory_max_bytes",
	"process_resident_memory_bytes", "process_start_time_seconds", "process_network_receive_bytes_total", "process_network_transmit_bytes_total",
}

func TestPrometheusNames(t *testing.T) {
	units := map[string]string{"s": "_seconds", "By": "_bytes"}
	seen := map[string]bool{}
	for i, m := range Metrics() {
		assert.Equal(t, observe.MetricID(i), m.ID)
		assert.NotEmpty(t, m.Help, m.Prometheus)
		assert.Regexp(t, `^(cgroup|system|process)_[a-z_]+$`, m.Prometheus)
		assert.NotContains(t, processCollector, m.Prometheus)
		assert.False(t, seen[m.Prometheus])
		seen[m.Prometheus] = true
		base, counts := strings.CutSuffix(m.Prometheus, "_total")
		assert.Equal(t, m.Kind == observe.KindCounter, counts, m.Prometheus)
		assert.True(t, strings.HasSuffix(base, units[m.Unit]), m.Prometheus)
		require.NotNil(t, m.Values, m.Prometheus)
	}
	assert.Equal(t, 22-1, len(seen))
}

// Names, kinds, units and attributes as in semantic-conventions 384d661.
func TestOpenTelemetryNames(t *testing.T) {
	want := `process.cpu.time counter s cpu.mode
process.cpu.utilization gauge 1 cpu.mode
process.memory.usage gauge By
process.memory.virtual gauge By
process.disk.io counter By disk.io.direction
process.thread.count gauge {thread}
process.unix.file_descriptor.count gauge {file_descriptor}
process.context_switches counter {context_switch} process.context_switch.type
process.paging.faults counter {fault} system.paging.fault.type
process.uptime gauge s
system.network.io counter By network.interface.name,network.io.direction
container.cpu.time counter s
container.cpu.usage gauge {cpu}
container.memory.usage gauge By
container.memory.available gauge By
container.memory.rss gauge By
container.memory.working_set gauge By
container.disk.io counter By disk.io.direction
go.memory.used gauge By go.memory.type
go.memory.limit gauge By
go.memory.allocated counter By
go.memory.allocations counter {allocation}
go.memory.gc.goal gauge By
go.memory.gc.cycles counter {gc_cycle}
go.memory.gc.pause.duration histogram s
go.cpu.time counter s go.cpu.state
go.goroutine.count gauge {goroutine}
go.processor.limit gauge {thread}
go.schedule.duration histogram s`
	var got []string
	for i, m := range OTelMetrics() {
		assert.Equal(t, observe.MetricID(i), m.ID)
		assert.Empty(t, m.Prometheus)
		assert.NotEmpty(t, m.Help)
		line := m.OTel + " " + []string{"counter", "gauge", "histogram"}[m.Kind] + " " + m.Unit
		if len(m.Labels) > 0 {
			line += " " + strings.Join(m.Labels, ",")
		}
		got = append(got, line)
		assert.Equal(t, m.Kind == observe.KindHistogram, m.Distributions != nil)
		assert.Equal(t, m.Kind != observe.KindHistogram, m.Values != nil)
	}
	assert.Equal(t, want, strings.Join(got, "\n"))

	// A quantity has one OpenTelemetry name, in one table.
	for _, m := range Metrics() {
		assert.False(t, m.OTel != "" && slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, m.OTel+" ") }), m.OTel)
	}
}

// Each value comes with as many label values as there are labels, once.
func TestValuesMatchTheirLabels(t *testing.T) {
	s := read(t, v2.fs())
	s.Valid = ^Field(0)
	for _, m := range slices.Concat(Metrics(), OTelMetrics()) {
		name, n, seen := m.Prometheus+m.OTel, 0, map[string]bool{}
		if m.Values != nil {
			m.Values(&s, func(_ float64, labels ...string) {
				n++
				assert.Len(t, labels, len(m.Labels), name)
				key := strings.Join(labels, "\xff")
				assert.False(t, seen[key], "%s %v", name, labels)
				seen[key] = true
			})
		} else {
			m.Distributions(&s, func(d observe.Distribution, labels ...string) {
				n++
				assert.Empty(t, labels)
				assert.Len(t, d.Counts, len(m.Buckets)+1)
				assert.Equal(t, d.Count, total(d.Counts))
				assert.True(t, slices.IsSorted(m.Buckets))
			})
		}
		assert.Positive(t, n, name)
	}
}

func TestValuesOfKnownFiles(t *testing.T) {
	got := values(read(t, v2.fs()))
	for series, want := range map[string]float64{
		"cgroup_cpu_limit_corescgroup.cpu.limit ":                              2,
		"cgroup_cpu_throttled_seconds_totalcgroup.cpu.throttled ":              3.5,
		"cgroup_memory_working_set_bytes ":                                     500000000,
		"cgroup_oom_kills_totalcgroup.oom_kills ":                              1,
		"cgroup_pressure_stall_seconds_totalcgroup.pressure.stall cpu,full":    1,
		"system_pressure_stall_seconds_totalsystem.pressure.stall memory,some": .25,
		"system_network_receive_bytes_total eth0":                              415607577,
		"process_disk_written_bytes_total ":                                    8192,
		"process.cpu.time system":                                              .45,
		"process.paging.faults major":                                          12,
		"process.uptime ":                                                      1000.5,
		"system.network.io eth0,transmit":                                      3336705,
		"container.cpu.time ":                                                  7.5,
		"container.memory.available ":                                          1<<30 - 500000000,
		"container.disk.io read":                                               5096,
	} {
		assert.Contains(t, got, series)
		assert.Equal(t, want, got[series], series)
	}
}

// Without any file there are no series but those of the Go runtime and of errors.
func TestNoFileNoSeries(t *testing.T) {
	s := read(t, files{}.fs())
	got := values(s)
	assert.Equal(t, map[string]float64{"cgroup_callback_panics_totalcgroup.callback_panics ": 0}, got)
}

func TestTablesBelongToTheCaller(t *testing.T) {
	a := OTelMetrics()
	i := slices.IndexFunc(a, func(m reading) bool { return m.Buckets != nil })
	a[i].Buckets[0], a[0].Labels[0], a[0].OTel = -1, "x", "y"
	assert.Positive(t, OTelMetrics()[i].Buckets[0])
	assert.Equal(t, "cpu.mode", OTelMetrics()[0].Labels[0])
	assert.Equal(t, "process.cpu.time", OTelMetrics()[0].OTel)
}
