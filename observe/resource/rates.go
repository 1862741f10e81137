package resource

import "time"

// rateEvery is the least time over which CPU use is averaged.
const rateEvery = time.Second

// rates turns CPU time into CPU use. The result stays until rateEvery has passed, so
// that several callers of Snapshot do not spoil each other's.
type rates struct {
	at                   time.Time // of the base
	base                 Field     // what of it is known
	user, system, cgroup float64   // CPU time then

	known                         Field // what of the result is known
	userRatio, systemRatio, cores float64
}

// next fills in the CPU use of s, whose CPU times are known.
func (r *rates) next(s *Snapshot) {
	if d := s.At.Sub(r.at); r.at.IsZero() || d < 0 || d >= rateEvery {
		r.known, r.userRatio, r.systemRatio, r.cores = 0, 0, 0, 0
		if !r.at.IsZero() && d > 0 {
			r.over(d.Seconds(), s)
		}
		r.at, r.base = s.At, s.Valid
		r.user, r.system, r.cgroup = s.UserSeconds, s.SystemSeconds, s.Cgroup.CPUUsageSeconds
	}
	s.Valid |= r.known
	s.UserRatio, s.SystemRatio, s.Cgroup.CPUUsageCores = r.userRatio, r.systemRatio, r.cores
}

// over computes the use since the base.
func (r *rates) over(seconds float64, s *Snapshot) {
	user, system, cgroup := s.UserSeconds-r.user, s.SystemSeconds-r.system, s.Cgroup.CPUUsageSeconds-r.cgroup
	both := r.base & s.Valid
	if both&FieldCPU != 0 && user >= 0 && system >= 0 {
		cpus := float64(s.Runtime.NumCPU)
		if s.Has(FieldCgroupCPULimit) {
			cpus = min(cpus, s.Cgroup.CPULimitCores)
		}
		r.userRatio, r.systemRatio = user/seconds/cpus, system/seconds/cpus
		r.known |= FieldCPURatio
	}
	// Less than before: another cgroup.
	if both&FieldCgroupCPUUsage != 0 && cgroup >= 0 {
		r.cores = cgroup / seconds
		r.known |= FieldCgroupCPUCores
	}
}
