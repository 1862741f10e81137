package resource_test

import (
	"fmt"
	"strings"
	"testing/fstest"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/resource"
)

// container is a file system with a control group whose parent is limited to two CPUs
// and 1 GiB.
func container() fstest.MapFS {
	fsys := fstest.MapFS{}
	for path, text := range map[string]string{
		"proc/self/cgroup":                  "0::/pod/app\n",
		"proc/self/mountinfo":               "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"proc/self/net/dev":                 "\n\nlo: 5 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\neth0: 1500 9 0 0 0 0 0 0 700 9 0 0 0 0 0 0\n",
		"proc/pressure/memory":              "some avg10=12.50 avg60=0.00 avg300=0.00 total=2500000\n",
		"proc/self/limits":                  "Max open files  many  many  files\n",
		"sys/fs/cgroup/pod/cpu.max":         "200000 100000\n",
		"sys/fs/cgroup/pod/cpu.stat":        "nr_periods 40\nnr_throttled 10\nthrottled_usec 250000\n",
		"sys/fs/cgroup/pod/memory.max":      "1073741824\n",
		"sys/fs/cgroup/pod/app/cpu.max":     "max 100000\n",
		"sys/fs/cgroup/pod/app/memory.max":  "max\n",
		"sys/fs/cgroup/pod/app/memory.stat": "anon 4096\n",
	} {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func snapshot() resource.Snapshot {
	r, err := resource.New(resource.Config{FS: container()})
	if err != nil {
		panic(err)
	}
	return r.Snapshot()
}

func ExampleReader() {
	r, err := resource.New(resource.Config{FS: container()}) // without FS: this machine
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = r.Close() }()
	s := r.Snapshot()
	fmt.Println(s.Cgroup.CPULimitCores, "CPUs,", s.Cgroup.MemoryLimitBytes>>20, "MiB")
	// Output:
	// 2 CPUs, 1024 MiB
}

func ExampleConfig() {
	fsys := container()
	fsys["sys/fs/cgroup/pod/app/memory.current"] = &fstest.MapFile{Data: []byte("1020054733")}
	fsys["sys/fs/cgroup/pod/app/memory.stat"] = &fstest.MapFile{Data: []byte("inactive_file 0\n")}
	r, err := resource.New(resource.Config{
		FS: fsys,
		OnWarning: func(w resource.Warning) {
			if w.Kind == resource.WarningWorkingSet {
				fmt.Println(w)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Snapshot()
	r.Snapshot() // nothing new
	// Output:
	// the working set is 1020054733 bytes, 95.0 % of the memory limit of 1073741824 (/sys/fs/cgroup/pod)
}

// What is not known is not 0.
func ExampleSnapshot_Has() {
	s := snapshot()
	fmt.Println("limit:", s.Has(resource.FieldCgroupMemoryLimit), s.Cgroup.MemoryLimitBytes)
	fmt.Println("usage:", s.Has(resource.FieldCgroupMemory))
	// Output:
	// limit: true 1073741824
	// usage: false
}

func ExampleField() {
	s := snapshot()
	fmt.Println(s.Has(resource.FieldCgroupRSS), s.Has(resource.FieldCgroupRSS|resource.FieldCgroupWorkingSet))
	// Output:
	// true false
}

func ExampleCgroup() {
	c := snapshot().Cgroup
	fmt.Println("in", c.Path)
	fmt.Println("limited by", c.CPULimitLevel)
	fmt.Printf("stopped in %d of %d periods, for %v s\n", c.ThrottledPeriods, c.Periods, c.ThrottledSeconds)
	// Output:
	// in /sys/fs/cgroup/pod/app
	// limited by /sys/fs/cgroup/pod
	// stopped in 10 of 40 periods, for 0.25 s
}

func ExamplePressure() {
	var p resource.Pressure = snapshot().System
	fmt.Println("CPU known:", p.CPU.Some.Valid)
	fmt.Println("memory:", p.Memory.Some.Avg10Ratio, p.Memory.Some.TotalSeconds, "s")
	// Output:
	// CPU known: false
	// memory: 0.125 2.5 s
}

func ExampleDevice() {
	for _, d := range snapshot().Network {
		fmt.Println(d.Name, d.ReceiveBytes, d.TransmitBytes)
	}
	// Output:
	// eth0 1500 700
}

// A file that is missing is no error, one with nonsense is.
func ExampleFileErrors() {
	for _, f := range snapshot().ReadErrors {
		if f.Count > 0 {
			fmt.Println(f.File, f.Count)
		}
	}
	// Output:
	// self/limits 1
}

func ExampleRuntime() {
	r := snapshot().Runtime
	fmt.Println(r.GOMAXPROCS > 0, r.Goroutines > 0, r.HeapBytes <= r.UsedBytes)
	// Output:
	// true true true
}

func ExampleWarnings() {
	s := resource.Snapshot{
		Valid: resource.FieldCgroupCPULimit | resource.FieldCgroupMemoryLimit | resource.FieldGoMemoryLimit,
		Cgroup: resource.Cgroup{Version: 2, CPULimitCores: 2, CPULimitLevel: "/sys/fs/cgroup/pod",
			MemoryLimitBytes: 1000, MemoryLimitLevel: "/sys/fs/cgroup"},
		Runtime: resource.Runtime{GOMAXPROCS: 64, MemoryLimitBytes: 990},
	}
	for _, w := range resource.Warnings(s) {
		fmt.Println(w)
	}
	// Output:
	// GOMAXPROCS is 64, the CPU limit 2 CPUs (/sys/fs/cgroup/pod)
	// GOMEMLIMIT is 990 bytes, 99.0 % of the memory limit of 1000 (/sys/fs/cgroup)
}

func ExampleWarning() {
	w := resource.Warning{Kind: resource.WarningWorkingSet, Value: 950, Limit: 1000, Level: "/sys/fs/cgroup"}
	fmt.Println(w.Kind, w.Value/w.Limit)
	// Output:
	// working_set 0.95
}

func ExampleWarningKind() {
	fmt.Println(resource.WarningGOMAXPROCS, resource.WarningApproximate)
	// Output:
	// gomaxprocs approximate
}

func ExampleMetrics() {
	s := snapshot()
	for _, m := range resource.Metrics() {
		if strings.HasPrefix(m.Prometheus, "cgroup_cpu") {
			m.Values(&s, func(v float64, _ ...string) { fmt.Println(m.Prometheus, v) })
		}
	}
	// Output:
	// cgroup_cpu_limit_cores 2
	// cgroup_cpu_throttled_seconds_total 0.25
	// cgroup_cpu_periods_total 40
	// cgroup_cpu_throttled_periods_total 10
}

func ExampleOTelMetrics() {
	s := snapshot()
	for _, m := range resource.OTelMetrics() {
		if m.Kind == observe.KindHistogram {
			m.Distributions(&s, func(d observe.Distribution, _ ...string) {
				fmt.Println(m.OTel, len(d.Counts) == len(m.Buckets)+1)
			})
		} else if m.OTel == "system.network.io" {
			m.Values(&s, func(v float64, labels ...string) { fmt.Println(m.OTel, m.Labels, labels, v) })
		}
	}
	// Output:
	// system.network.io [network.interface.name network.io.direction] [eth0 receive] 1500
	// system.network.io [network.interface.name network.io.direction] [eth0 transmit] 700
	// go.memory.gc.pause.duration true
	// go.schedule.duration true
}
