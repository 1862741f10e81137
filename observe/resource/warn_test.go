package resource

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

const gib = 1 << 30

// fits is a Snapshot that nothing is wrong with.
func fits() Snapshot {
	return Snapshot{
		Valid: FieldCgroupCPULimit | FieldCgroupMemoryLimit | FieldCgroupWorkingSet | FieldGoMemoryLimit,
		Cgroup: Cgroup{Version: 2, Path: "/c/a", CPULimitCores: 4, CPULimitLevel: "/c/a", MemoryLimitBytes: 2 * gib,
			MemoryLimitLevel: "/c", WorkingSetBytes: gib},
		Runtime: Runtime{GOMAXPROCS: 4, MemoryLimitBytes: gib},
	}
}

func TestWarnings(t *testing.T) {
	assert.Empty(t, Warnings(fits()))
	assert.Empty(t, Warnings(Snapshot{}))
	for _, c := range []struct {
		name   string
		change func(*Snapshot)
		want   []Warning
		text   string
	}{
		{"GOMAXPROCS", func(s *Snapshot) { s.Runtime.GOMAXPROCS = 5 },
			[]Warning{{WarningGOMAXPROCS, 5, 4, "/c/a"}}, "GOMAXPROCS is 5, the CPU limit 4 CPUs (/c/a)"},
		{"a part of a CPU counts as one", func(s *Snapshot) { s.Cgroup.CPULimitCores = 3.1 }, nil, ""},
		{"two is allowed", func(s *Snapshot) { s.Cgroup.CPULimitCores, s.Runtime.GOMAXPROCS = .1, 2 }, nil, ""},
		{"three is not", func(s *Snapshot) { s.Cgroup.CPULimitCores, s.Runtime.GOMAXPROCS = .1, 3 },
			[]Warning{{WarningGOMAXPROCS, 3, .1, "/c/a"}}, "GOMAXPROCS is 3, the CPU limit 0.1 CPUs (/c/a)"},
		{"no CPU limit", func(s *Snapshot) { s.Valid &^= FieldCgroupCPULimit; s.Runtime.GOMAXPROCS = 99 }, nil, ""},
		{"GOMEMLIMIT unset", func(s *Snapshot) { s.Valid &^= FieldGoMemoryLimit },
			[]Warning{{WarningGOMEMLIMITUnset, 0, 2 * gib, "/c"}}, "GOMEMLIMIT is not set, the memory limit is 2147483648 bytes (/c)"},
		{"GOMEMLIMIT at 95 %", func(s *Snapshot) { s.Cgroup.MemoryLimitBytes, s.Runtime.MemoryLimitBytes = 2e9, 1.9e9 }, nil, ""},
		{"GOMEMLIMIT above 95 %", func(s *Snapshot) { s.Cgroup.MemoryLimitBytes, s.Runtime.MemoryLimitBytes = 2e9, 1.96e9 },
			[]Warning{{WarningGOMEMLIMITHigh, 1.96e9, 2e9, "/c"}}, "GOMEMLIMIT is 1960000000 bytes, 98.0 % of the memory limit of 2000000000 (/c)"},
		{"no memory limit", func(s *Snapshot) { s.Valid &^= FieldCgroupMemoryLimit | FieldGoMemoryLimit }, nil, ""},
		{"approximate", func(s *Snapshot) { s.Cgroup.Approximate = true },
			[]Warning{{WarningApproximate, 0, 0, "/c/a"}}, "the cgroup is not visible: the limits of /c/a stand for its own"},
		{"working set at 90 %", func(s *Snapshot) { s.Cgroup.MemoryLimitBytes, s.Cgroup.WorkingSetBytes = 2e9, 1.8e9 }, nil, ""},
		{"working set above 90 %", func(s *Snapshot) { s.Cgroup.MemoryLimitBytes, s.Cgroup.WorkingSetBytes = 2e9, 1.9e9 },
			[]Warning{{WarningWorkingSet, 1.9e9, 2e9, "/c"}}, "the working set is 1900000000 bytes, 95.0 % of the memory limit of 2000000000 (/c)"},
		{"working set not known", func(s *Snapshot) { s.Valid &^= FieldCgroupWorkingSet; s.Cgroup.WorkingSetBytes = 9 * gib }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fits()
			c.change(&s)
			got := Warnings(s)
			assert.Equal(t, c.want, got)
			if len(got) == 1 {
				assert.Equal(t, c.text, got[0].String())
			}
		})
	}
	assert.Equal(t, "WarningKind(9)", Warning{Kind: 9}.String())
}

// At most one of a kind, in order, and the same for the same Snapshot.
func TestWarningsAreOneOfAKind(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	seen := map[WarningKind]bool{}
	for range 10_000 {
		s := fits()
		s.Valid = Field(rnd.Uint32())
		s.Runtime.GOMAXPROCS, s.Cgroup.CPULimitCores = rnd.IntN(9), rnd.Float64()*8
		s.Cgroup.MemoryLimitBytes, s.Cgroup.WorkingSetBytes, s.Runtime.MemoryLimitBytes = rnd.Int64N(9), rnd.Int64N(9), rnd.Int64N(9)
		s.Cgroup.Approximate = rnd.IntN(2) == 0
		got := Warnings(s)
		assert.Equal(t, got, Warnings(s))
		for i, w := range got {
			seen[w.Kind] = true
			if i > 0 && got[i-1].Kind >= w.Kind {
				t.Fatalf("%v", got)
			}
		}
	}
	assert.Len(t, seen, numWarningKinds)
}
