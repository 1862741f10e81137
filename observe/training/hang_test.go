package training

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHangLimits(t *testing.T) {
	type limits map[Phase]time.Duration
	for name, c := range map[string]struct {
		hang Hang
		want limits
	}{
		"defaults": {Hang{}, limits{PhaseInit: 30 * time.Minute, PhaseStep: 30 * time.Minute, PhaseCheckpointSave: 30 * time.Minute,
			PhaseCheckpointRestore: 30 * time.Minute, PhaseEval: time.Hour, PhaseCustom: 0, PhaseIdle: 0, numPhases: 0, 255: 0}},
		"own": {Hang{Init: 1, Save: 2, Restore: 3, Eval: 4, Custom: 5}, limits{PhaseInit: 1, PhaseStep: 1, PhaseCheckpointSave: 2,
			PhaseCheckpointRestore: 3, PhaseEval: 4, PhaseCustom: 5, PhaseIdle: 0}},
		"off": {Hang{Off: true, Custom: 5}, limits{PhaseInit: 0, PhaseStep: 0, PhaseCheckpointSave: 0, PhaseCheckpointRestore: 0,
			PhaseEval: 0, PhaseCustom: 0, PhaseIdle: 0}},
	} {
		for phase, want := range c.want {
			assert.Equal(t, want, c.hang.Limit(phase), "%s: %v", name, phase)
		}
	}
}

func TestHangStepLimit(t *testing.T) {
	var h Hang
	for range 31 {
		h.Step(40 * time.Second)
	}
	h.Step(0)
	h.Step(-time.Hour)
	require.Equal(t, 30*time.Minute, h.Limit(PhaseStep), "31 steps are known")
	h.Step(40 * time.Second)
	require.Equal(t, 2*time.Minute, h.Limit(PhaseStep))
	for range 512 {
		h.Step(time.Second)
	}
	require.Equal(t, time.Minute, h.Limit(PhaseStep), "the floor")
	for range 5 { // of 512, five are the highest 1 %
		h.Step(time.Hour)
	}
	require.Equal(t, time.Minute, h.Limit(PhaseStep))
	h.Step(time.Hour)
	require.Equal(t, 3*time.Hour, h.Limit(PhaseStep))
	for range 512 {
		h.Step(math.MaxInt64)
	}
	require.Equal(t, time.Duration(math.MaxInt64), h.Limit(PhaseStep))
}

// The limit is Factor times a percentile taken the plain way.
func TestHangStepLimitAgainstPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	h := Hang{Factor: 2, StepFloor: 1}
	var all []time.Duration
	for range 1500 {
		took := time.Duration(1 + rng.ExpFloat64()*1e9)
		all = append(all, took)
		h.Step(took)
		if len(all) < 32 {
			continue
		}
		last := slices.Sorted(slices.Values(all[max(len(all)-512, 0):]))
		p99 := last[int(math.Ceil(0.99*float64(len(last))))-1]
		require.Equal(t, 2*p99, h.Limit(PhaseStep))
	}
}

// Each hang is told once, and its end once.
func TestHangCheck(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	h := Hang{Eval: 10 * time.Second, Save: 20 * time.Second}
	for _, c := range []struct {
		now   int
		phase Phase
		since int
		want  HangVerdict
	}{
		{0, PhaseEval, 0, HangVerdict{Phase: PhaseEval, Limit: 10 * time.Second}},
		{10, PhaseEval, 0, HangVerdict{Phase: PhaseEval, Age: 10 * time.Second, Limit: 10 * time.Second}},
		{11, PhaseEval, 0, HangVerdict{Found: true, Kind: EventHang, Hanging: true, Phase: PhaseEval, Age: 11 * time.Second, Limit: 10 * time.Second}},
		{12, PhaseEval, 0, HangVerdict{Hanging: true, Phase: PhaseEval, Age: 12 * time.Second, Limit: 10 * time.Second}},
		{5, PhaseEval, 0, HangVerdict{Hanging: true, Phase: PhaseEval, Age: 5 * time.Second, Limit: 10 * time.Second}}, // the clock went back
		{-5, PhaseEval, 0, HangVerdict{Hanging: true, Phase: PhaseEval, Limit: 10 * time.Second}},
		{30, PhaseEval, 0, HangVerdict{Hanging: true, Phase: PhaseEval, Age: 30 * time.Second, Limit: 10 * time.Second}},
		{60, PhaseCheckpointSave, 31, HangVerdict{Found: true, Kind: EventHangEnd, Phase: PhaseEval, Age: 31 * time.Second, Limit: 10 * time.Second}},
		{60, PhaseCheckpointSave, 31, HangVerdict{Found: true, Kind: EventHang, Hanging: true, Phase: PhaseCheckpointSave, Age: 29 * time.Second, Limit: 20 * time.Second}},
		{61, PhaseCheckpointSave, 60, HangVerdict{Found: true, Kind: EventHangEnd, Phase: PhaseCheckpointSave, Age: 29 * time.Second, Limit: 20 * time.Second}},
		{61, PhaseCheckpointSave, 60, HangVerdict{Phase: PhaseCheckpointSave, Age: time.Second, Limit: 20 * time.Second}},
		{61, PhaseCheckpointSave, 100, HangVerdict{Phase: PhaseCheckpointSave, Limit: 20 * time.Second}}, // since is to come
		{1 << 30, PhaseIdle, 100, HangVerdict{Phase: PhaseIdle, Age: (1<<30 - 100) * time.Second}},
		{1 << 30, PhaseCustom, 100, HangVerdict{Phase: PhaseCustom, Age: (1<<30 - 100) * time.Second}},
	} {
		require.Equal(t, c.want, h.Check(at(c.now), c.phase, at(c.since)), "at %d", c.now)
	}
	// Progress that seems to lie before what it followed ends a hang too.
	h.Check(at(1000), PhaseEval, at(500))
	require.Equal(t, HangVerdict{Found: true, Kind: EventHangEnd, Phase: PhaseEval, Limit: 10 * time.Second}, h.Check(at(1000), PhaseEval, at(400)))

	off := Hang{Off: true}
	off.Step(time.Second)
	require.Zero(t, off.Check(at(1<<30), PhaseEval, at(0)))
}

// As a Recorder uses it: one look a second, steps of one second, and one that stands
// for ten minutes.
func TestHangInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hang
		begun, last := time.Now(), time.Now()
		var found []HangVerdict
		for range 2000 {
			time.Sleep(time.Second)
			if age := time.Since(begun); age < 1000*time.Second || age >= 1600*time.Second {
				h.Step(time.Since(last))
				last = time.Now()
			}
			if v := h.Check(time.Now(), PhaseStep, last); v.Found {
				found = append(found, v)
			}
		}
		require.Len(t, found, 2)
		assert.Equal(t, HangVerdict{Found: true, Kind: EventHang, Hanging: true, Phase: PhaseStep, Age: 61 * time.Second, Limit: time.Minute}, found[0])
		assert.Equal(t, HangVerdict{Found: true, Kind: EventHangEnd, Phase: PhaseStep, Age: 601 * time.Second, Limit: time.Minute}, found[1])
	})
}

func TestHangFaults(t *testing.T) {
	for _, h := range []Hang{{}, {Factor: 1, StepFloor: 1, Init: 1, Restore: 1, Save: 1, Eval: math.MaxInt64, Custom: 1}} {
		assert.Empty(t, h.faults("x"))
	}
	bad := Hang{Factor: 0.5, StepFloor: -1, Init: -1, Restore: -1, Save: -1, Eval: -time.Hour, Custom: -1}
	faults := bad.faults("c.Hang")
	require.Len(t, faults, 7, "all at once")
	assert.EqualError(t, faults[0], "c.Hang.Factor is 0.5: want 1 to 1e+06")
	assert.EqualError(t, faults[5], "c.Hang.Eval is -1h0m0s: want 1ns to 2562047h47m16.854775807s")
	assert.Equal(t, time.Hour, bad.Limit(PhaseEval), "used all the same, it works with the defaults")
	for _, factor := range []float64{math.NaN(), math.Inf(1), -3} {
		assert.Len(t, (&Hang{Factor: factor}).faults("x"), 1)
	}
	var used Hang
	used.Step(1)
	assert.Len(t, used.faults("x"), 1)
}

func TestHangAllocatesOnce(t *testing.T) {
	var h Hang
	h.Step(time.Second)
	now := time.Now()
	assert.Zero(t, testing.AllocsPerRun(2000, func() {
		h.Step(time.Duration(rand.IntN(1e9)))
		h.Check(now, PhaseStep, now.Add(-time.Hour))
	}))
}
