package resource

import (
	"fmt"
	"math"
)

// WarningKind is what a Warning is about.
type WarningKind uint8

// The kinds of warnings.
const (
	WarningGOMAXPROCS      WarningKind = iota // GOMAXPROCS is above max(2, the CPU limit rounded up): the process will be throttled
	WarningGOMEMLIMITUnset                    // there is a memory limit, and the garbage collector does not know it
	WarningGOMEMLIMITHigh                     // GOMEMLIMIT is above 95 % of the memory limit: too late for what is not Go's memory
	WarningApproximate                        // the cgroup is not visible, so that limits may be missed
	WarningWorkingSet                         // the working set is above 90 % of the memory limit
	numWarningKinds        = iota
)

// The parts of the memory limit above which there is a warning.
const (
	maxGOMEMLIMIT = .95
	maxWorkingSet = .90
)

// String returns the name of the kind, such as "gomaxprocs".
func (k WarningKind) String() string {
	switch k {
	case WarningGOMAXPROCS:
		return "gomaxprocs"
	case WarningGOMEMLIMITUnset:
		return "gomemlimit_unset"
	case WarningGOMEMLIMITHigh:
		return "gomemlimit_high"
	case WarningApproximate:
		return "approximate"
	case WarningWorkingSet:
		return "working_set"
	}
	return fmt.Sprintf("WarningKind(%d)", uint8(k))
}

// Warning says that the process does not fit its limits.
type Warning struct {
	Kind  WarningKind // what it is about
	Value float64     // GOMAXPROCS, or GOMEMLIMIT or the working set in bytes, else 0
	Limit float64     // the CPU limit in CPUs, or the memory limit in bytes; 0 for WarningApproximate
	Level string      // the directory of the limit, or for WarningApproximate the one that stands for the cgroup's
}

// String explains the warning with its numbers.
func (w Warning) String() string {
	switch w.Kind {
	case WarningGOMAXPROCS:
		return fmt.Sprintf("GOMAXPROCS is %.0f, the CPU limit %.4g CPUs (%s)", w.Value, w.Limit, w.Level)
	case WarningGOMEMLIMITUnset:
		return fmt.Sprintf("GOMEMLIMIT is not set, the memory limit is %.0f bytes (%s)", w.Limit, w.Level)
	case WarningGOMEMLIMITHigh:
		return fmt.Sprintf("GOMEMLIMIT is %.0f bytes, %.1f %% of the memory limit of %.0f (%s)", w.Value, 100*w.Value/w.Limit, w.Limit, w.Level)
	case WarningApproximate:
		return fmt.Sprintf("the cgroup is not visible: the limits of %s stand for its own", w.Level)
	case WarningWorkingSet:
		return fmt.Sprintf("the working set is %.0f bytes, %.1f %% of the memory limit of %.0f (%s)", w.Value, 100*w.Value/w.Limit, w.Limit, w.Level)
	}
	return w.Kind.String()
}

// Warnings returns what is wrong in a Snapshot, at most one of a kind, in the order of
// the kinds. It depends on nothing else. What is not known is not warned of.
func Warnings(s Snapshot) []Warning {
	var found []Warning
	c := &s.Cgroup
	if procs := float64(s.Runtime.GOMAXPROCS); s.Has(FieldCgroupCPULimit) && procs > max(2, math.Ceil(c.CPULimitCores)) {
		found = append(found, Warning{WarningGOMAXPROCS, procs, c.CPULimitCores, c.CPULimitLevel})
	}
	limit := float64(c.MemoryLimitBytes)
	if s.Has(FieldCgroupMemoryLimit) {
		if goLimit := float64(s.Runtime.MemoryLimitBytes); !s.Has(FieldGoMemoryLimit) {
			found = append(found, Warning{WarningGOMEMLIMITUnset, 0, limit, c.MemoryLimitLevel})
		} else if goLimit > maxGOMEMLIMIT*limit {
			found = append(found, Warning{WarningGOMEMLIMITHigh, goLimit, limit, c.MemoryLimitLevel})
		}
	}
	if c.Approximate {
		found = append(found, Warning{Kind: WarningApproximate, Level: c.Path})
	}
	if used := float64(c.WorkingSetBytes); s.Has(FieldCgroupMemoryLimit|FieldCgroupWorkingSet) && used > maxWorkingSet*limit {
		found = append(found, Warning{WarningWorkingSet, used, limit, c.MemoryLimitLevel})
	}
	return found
}

// notices remembers which warnings were told.
type notices struct {
	told [numWarningKinds]Warning
	on   [numWarningKinds]bool
}

// fresh returns those of the present warnings that are new, or have changed.
func (n *notices) fresh(present []Warning) []Warning {
	var fresh []Warning
	var on [numWarningKinds]bool
	for _, w := range present {
		on[w.Kind] = true
		key := w
		if w.Kind == WarningWorkingSet {
			key.Value = 0 // never twice the same
		}
		if !n.on[w.Kind] || n.told[w.Kind] != key {
			n.told[w.Kind] = key
			fresh = append(fresh, w)
		}
	}
	n.on = on
	return fresh
}
