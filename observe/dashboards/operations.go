package dashboards

func operationsBoard() board {
	const used, cpuLimit = "cgroup_cpu_usage_seconds_total", "cgroup_cpu_limit_cores"
	const memory, memoryLimit = "cgroup_memory_working_set_bytes", "cgroup_memory_limit_bytes"
	const noLimit, noPrice = "No limit", "No cost"
	perInstance := func(counter string) string { return rate(counter, "instance") }
	return board{
		name: "operations", title: "Operations", about: "What models run on and what that costs: resources, log lines and cost, as calm/observe/resource, ecslog and cost tell.",
		anchor: "up", // a program may export any of the three
		rows: []row{
			{title: "Now", panels: []panel{
				{title: "CPU of limit", kind: stat, unit: "percentunit", empty: noLimit, limits: []limit{{.8, "orange"}, {.95, "red"}}, about: "The instance that is nearest to its CPU limit.",
					q: []query{{expr: "max(" + share(perInstance(used), sum(cpuLimit, "instance")) + ")"}}},
				{title: "Periods throttled", kind: stat, unit: "percentunit", empty: noLimit, limits: []limit{{.05, "orange"}, {.25, "red"}}, about: "Share of periods in which the CPU limit stopped the instance that is hit most.",
					q: []query{{expr: "max(" + share(perInstance("cgroup_cpu_throttled_periods_total"), perInstance("cgroup_cpu_periods_total")) + ")"}}},
				{title: "Memory of limit", kind: stat, unit: "percentunit", empty: noLimit, limits: []limit{{.8, "orange"}, {.9, "red"}}, about: "The instance that is nearest to its memory limit, without page cache that can be dropped.",
					q: []query{{expr: "max(" + share(memory, memoryLimit) + ")"}}},
				{title: "Killed for memory, 24 h", kind: stat, unit: "short", limits: []limit{{1, "red"}}, about: "Processes of the cgroups.", q: []query{{expr: "sum(increase(cgroup_oom_kills_total[24h]))", now: true}}},
				{title: "Log lines lost, 24 h", kind: stat, unit: "short", limits: []limit{{1, "red"}}, about: "That could not be written, or lost fields as they were too long.",
					q: []query{{expr: `sum(increase(llm_log_dropped_total{reason!="sampled"}[24h]))`, now: true}}},
				{title: "Cost, 24 h", kind: stat, unit: "short", empty: noPrice, about: "By currency. Amounts without a price are not in it.", q: []query{{expr: "sum by (currency) (increase(llm_cost_total[24h]))", legend: "{{currency}}", now: true}}},
			}},
			{title: "CPU", panels: []panel{
				{title: "CPU used and its limit", unit: "short", about: "Cores.", q: []query{
					{expr: perInstance(used), legend: "{{instance}}"}, {expr: sum(cpuLimit, "instance"), legend: "{{instance}} limit"}}},
				{title: "Throttled periods", unit: "percentunit", empty: noLimit, between: [2]float64{0, 1}, limits: []limit{{.25, "red"}}, about: "Share of periods with work in which the limit stopped the cgroup: every token waits.", q: []query{
					{expr: share(perInstance("cgroup_cpu_throttled_periods_total"), perInstance("cgroup_cpu_periods_total")), legend: "{{instance}}"}}},
				{title: "Throttled time", unit: "short", empty: noLimit, about: "Cores that the limit stopped.", q: []query{{expr: perInstance("cgroup_cpu_throttled_seconds_total"), legend: "{{instance}}"}}},
				{title: "GOMAXPROCS over the limit", unit: "percentunit", empty: noLimit, about: "Above 100 % goroutines run in bursts and are then stopped.", q: []query{{expr: "max by (instance) (cgroup_gomaxprocs_ratio)", legend: "{{instance}}"}}},
				{title: "Pressure in the cgroup", unit: "percentunit", empty: "No pressure files", about: "Share of time that some, or all, tasks waited for the resource.", q: []query{
					{expr: "max by (resource, kind) (rate(cgroup_pressure_stall_seconds_total[$__rate_interval]))", legend: "{{resource}} {{kind}}"}}},
				{title: "Pressure in the system", unit: "percentunit", empty: "No pressure files", about: "The same for the whole machine: neighbours count.", q: []query{
					{expr: "max by (resource, kind) (rate(system_pressure_stall_seconds_total[$__rate_interval]))", legend: "{{resource}} {{kind}}"}}},
			}},
			{title: "Memory, disk, network", panels: []panel{
				{title: "Memory and its limits", unit: "bytes", wide: 16, about: "Working set, with page cache, the limit, and memory.high, above which processes are slowed.", q: []query{
					{expr: sum(memory, "instance"), legend: "{{instance}} working set"}, {expr: sum("cgroup_memory_usage_bytes", "instance"), legend: "{{instance}} usage"},
					{expr: sum(memoryLimit, "instance"), legend: "{{instance}} limit"}, {expr: sum("cgroup_memory_high_bytes", "instance"), legend: "{{instance}} high"}}},
				{title: "Killed for memory, last hour", unit: "short", about: "Processes of the cgroup.", q: []query{{expr: "sum by (instance) (increase(cgroup_oom_kills_total[1h]))", legend: "{{instance}}"}}},
				{title: "Disk", unit: "Bps", about: "Bytes a second from and to storage, of the cgroups and of the processes.", q: []query{
					{expr: rate("cgroup_disk_read_bytes_total"), legend: "cgroup read"}, {expr: rate("cgroup_disk_written_bytes_total"), legend: "cgroup written"},
					{expr: rate("process_disk_read_bytes_total"), legend: "process read"}, {expr: rate("process_disk_written_bytes_total"), legend: "process written"}}},
				{title: "Network", unit: "Bps", about: "Of the network namespace of the process, without the loopback device.", q: []query{
					{expr: rate("system_network_receive_bytes_total", "device"), legend: "{{device}} received"}, {expr: rate("system_network_transmit_bytes_total", "device"), legend: "{{device}} sent"}}},
				{title: "Files not read, and panics", unit: "short", empty: "None", about: "A second. Files that were there and could not be understood, and panics of the warning callback.", q: []query{
					{expr: rate("cgroup_read_errors_total", "file"), legend: "{{file}}"}, {expr: rate("cgroup_callback_panics_total"), legend: "panics"}}},
			}},
			{title: "Logs", panels: []panel{
				{title: "Log lines", kind: stacked, unit: "short", wide: 12, about: "A second, by level.", q: []query{{expr: rate("llm_log_lines_total", "level"), legend: "{{level}}"}}},
				{title: "Log lines dropped", unit: "short", wide: 12, about: "A second. Sampled ones were left out on purpose, too long ones lost fields.", q: []query{
					{expr: rate("llm_log_dropped_total", "reason"), legend: "{{reason}}"}}},
			}},
			{title: "Cost", panels: []panel{
				{title: "Cost an hour by kind", kind: stacked, unit: "short", empty: noPrice, about: "Idle is what autoscaling can save.", q: []query{
					{expr: rate("llm_cost_total", "kind", "currency") + " * 3600", legend: "{{kind}}, {{currency}}"}}},
				{title: "Cost of tenants, last hour", unit: "short", empty: "No tenants", about: "Upstream tokens and the share of busy, energy and egress cost.", q: []query{
					{expr: "sum by (tenant, currency) (increase(llm_cost_tenant_total[1h]))", legend: "{{tenant}}, {{currency}}"}}},
				{title: "Cost of a thousand tokens", unit: "short", empty: "No tokens", about: "All cost of the last hour over input and output tokens of the servers that are selected.", q: []query{
					{expr: `sum by (currency) (increase(llm_cost_total[1h])) / on () group_left () (sum(increase(llm_server_tokens_total{type=~"input|output"}[1h])) > 0) * 1000`, legend: "{{currency}}"}}},
				{title: "Without a price, last hour", unit: "short", wide: 12, empty: "None", about: "Hours of devices and people, joules, bytes, tokens that are in no cost.", q: []query{
					{expr: "sum by (kind, name) (increase(llm_cost_unpriced_total[1h]))", legend: "{{kind}} {{name}}"}}},
				{title: "Usages refused", unit: "short", wide: 12, about: "A second, for impossible amounts.", q: []query{{expr: rate("llm_cost_refused_usage_total"), legend: "refused"}}},
			}},
		},
	}
}

func resourceAlerts() []alert {
	return []alert{
		{name: "CPUThrottled", expr: "rate(cgroup_cpu_throttled_periods_total[5m]) / (rate(cgroup_cpu_periods_total[5m]) > 0) > 0.25", minutes: 15, severity: ticket,
			summary: "{{ $labels.instance }} is throttled in {{ $value | humanizePercentage }} of its periods.",
			about:   "Its CPU limit stops it again and again: gaps between tokens grow, and so does the time to everything."},
		{name: "MemoryNearLimit", expr: "cgroup_memory_working_set_bytes / cgroup_memory_limit_bytes > 0.9", minutes: 10, severity: ticket,
			summary: "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory.",
			about:   "The next request may be the one for which the kernel kills it."},
		{name: "OOMKill", expr: "increase(cgroup_oom_kills_total[10m]) > 0", severity: ticket,
			summary: "A process of {{ $labels.instance }} was killed for want of memory.",
			about:   "What it was doing is lost."},
		{name: "GOMAXPROCSAboveLimit", minutes: 10, severity: info,
			expr:    "round(cgroup_gomaxprocs_ratio * cgroup_cpu_limit_cores) > ceil(cgroup_cpu_limit_cores) and cgroup_gomaxprocs_ratio * cgroup_cpu_limit_cores > 2",
			summary: "GOMAXPROCS of {{ $labels.instance }} is {{ $value }}, above its CPU limit.",
			about:   "More threads run than the limit allows, so that it stops them in bursts."},
	}
}

func logAlerts() []alert {
	return []alert{
		{name: "LogsDropped", expr: `increase(llm_log_dropped_total{reason=~"write_error|too_long"}[15m]) > 0`, severity: ticket,
			summary: "{{ $labels.instance }} loses log lines: {{ $labels.reason }}.",
			about:   "Lines could not be written, or lost fields as they were too long."},
	}
}
