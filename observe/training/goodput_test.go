package training

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCauseNames(t *testing.T) {
	names := map[string]bool{}
	for c := range NumCauses {
		names[c.String()] = true
	}
	assert.Len(t, names, int(NumCauses))
	assert.Equal(t, "unknown", NumCauses.String())
	assert.Equal(t, "unknown", Cause(255).String())
	assert.Equal(t, "unknown", NumInterruptionCauses.String())
	// Every phase but that of steps has a cause of its name.
	for p := range numPhases {
		if p != PhaseStep {
			assert.Equal(t, p.String(), phaseCause(p).String())
		}
	}
}

func TestGoodputTable(t *testing.T) {
	g := Goodput{Elapsed: time.Hour, Productive: 45 * time.Minute, Ratio: 0.75, MaxProductiveStep: 1200}
	g.Badput[CauseInit] = 14 * time.Minute
	g.Badput[CauseCheckpointRestore] = time.Minute
	assert.Equal(t, ""+
		"elapsed                      1h0m0s  100.0 %\n"+
		"productive                    45m0s   75.0 %\n"+
		"init                          14m0s   23.3 %\n"+
		"checkpoint_restore             1m0s    1.7 %\n"+
		"newest step                    1200\n", g.String())

	g.Interruptions, g.Rollbacks, g.MTBF = 2, 3, 30*time.Minute
	g.IdealStep, g.StepDeviation = 1234567*time.Microsecond, -12345678
	assert.Contains(t, g.String(), ""+
		"newest step                    1200\n"+
		"rollbacks                         3\n"+
		"interruptions                     2\n"+
		"MTBF                          30m0s\n"+
		"ideal step                   1.235s\n"+
		"step deviation            -12.346ms\n")
	assert.Contains(t, Goodput{}.String(), "elapsed                          0s    0.0 %\n")
}

func TestRounded(t *testing.T) {
	for _, c := range []struct{ d, want time.Duration }{
		{0, 0}, {1, 1}, {-1, -1}, {99_999, 99_999}, {100_400, 100_000}, {12_345_678, 12_346_000}, {-123_456_789, -123 * time.Millisecond},
		{time.Hour + 1, time.Hour}, {math.MaxInt64, math.MaxInt64}, {math.MinInt64, math.MinInt64},
	} {
		assert.Equal(t, c.want, rounded(c.d), c.d)
	}
}

func TestStepDeviation(t *testing.T) {
	var s stepTimes
	for i := range 199 {
		s.add(time.Second)
		require.Zero(t, s.deviation(), i)
	}
	s.add(time.Second)
	require.Zero(t, s.deviation(), "all alike")

	// 1000 steps of 1 to 1000 ms, then 100 of 2001 to 2100 ms: the median of the
	// first is 500.5 ms, the 90th of the last is 2090 ms.
	s = stepTimes{}
	for range 77 { // forgotten
		s.add(time.Hour)
	}
	for i := range 1000 {
		s.add(time.Duration(i*7%1000+1) * time.Millisecond)
	}
	for i := range 100 {
		s.add(time.Duration(2001+i*13%100) * time.Millisecond)
	}
	assert.Equal(t, 2090*time.Millisecond-500500*time.Microsecond, s.deviation())
	assert.NotEqual(t, 2091*time.Millisecond-500500*time.Microsecond, s.deviation())
	for range 100 {
		s.add(time.Millisecond)
	}
	assert.Less(t, s.deviation(), time.Duration(0), "faster")
}

func TestIdealStep(t *testing.T) {
	var s stepTimes
	assert.Zero(t, s.ideal())
	// Median 100, distances 1, 1, 0, 2, 900: median 1, so that 103 is the limit.
	for _, ms := range []time.Duration{99, 101, 100, 102, 1000} {
		s.add(ms * time.Millisecond)
	}
	assert.Equal(t, 100500*time.Microsecond, s.ideal())
	// A small model's steps are no mistake.
	s = stepTimes{}
	s.add(3 * time.Microsecond)
	assert.Equal(t, 3*time.Microsecond, s.ideal())
	// A sum of the longest times is no overflow.
	s = stepTimes{}
	for range 5 {
		s.add(math.MaxInt64)
	}
	assert.Greater(t, s.ideal(), time.Duration(math.MaxInt64-2048))
}

func TestStepTimesAgainstAllTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	var s stepTimes
	var all []time.Duration
	for range 3000 {
		d := time.Duration(r.Int64N(1 << r.IntN(30)))
		s.add(d)
		all = append(all, d)
		want := all[max(len(all)-lastSteps-earlySteps, 0):]
		require.Equal(t, want, s.ordered())
		if r.IntN(100) > 0 || len(want) < 200 {
			continue
		}
		last, early := slices.Sorted(slices.Values(want[len(want)-100:])), slices.Sorted(slices.Values(want[:len(want)-100]))
		n := len(early)
		median := early[n/2]
		if n%2 == 0 {
			median = (early[n/2-1] + early[n/2]) / 2
		}
		require.Equal(t, last[89]-median, s.deviation())
	}
}
