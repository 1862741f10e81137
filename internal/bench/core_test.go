package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A machine is a fake one: its clock moves when a case works.
type machine struct {
	now   time.Duration
	extra time.Duration // What disturbs every slice.
	order []string
}

func (m *machine) read() time.Duration { return m.now }

func (m *machine) costs(name string, each time.Duration) Case {
	return Case{Name: name, Run: func(n int) {
		m.order = append(m.order, name)
		m.now += each*time.Duration(n) + m.extra
	}}
}

func TestMeasure(t *testing.T) {
	m := &machine{}
	cases := []Case{m.costs("fast", 50), m.costs("slow", 3*time.Microsecond), {Name: "fixed", N: 7, Run: m.costs("fixed", 1000).Run}}
	got := Measure(cases, m.read, m.read, Limits{Time: time.Hour, Rounds: 20, Slice: 400 * time.Microsecond})
	require.Equal(t, Summary{Slices: 20, Min: 50, P10: 50, P50: 50}, got["fast"])
	require.Equal(t, Summary{Slices: 20, Min: 3000, P10: 3000, P50: 3000}, got["slow"])
	require.Equal(t, Summary{Slices: 20, Min: 1000, P10: 1000, P50: 1000}, got["fixed"])

	// After they have been sized the cases run in turn, one slice each.
	turns := m.order[len(m.order)-60:]
	for i := 0; i < len(turns); i += 3 {
		require.Equal(t, []string{"fast", "slow", "fixed"}, turns[i:i+3])
	}
}

func TestMeasureEndsInTime(t *testing.T) {
	m := &machine{}
	got := Measure([]Case{m.costs("a", time.Millisecond), m.costs("b", time.Millisecond)}, m.read, m.read,
		Limits{Time: 20 * time.Millisecond, Rounds: 1000, Slice: time.Millisecond})
	require.Less(t, got["a"].Slices, 11)
	require.Equal(t, got["a"].Slices, got["b"].Slices)
	require.Positive(t, got["a"].Slices)
}

func TestSize(t *testing.T) {
	m := &machine{}
	for _, each := range []time.Duration{1, 7, 400, 99 * time.Microsecond, 400 * time.Microsecond, time.Second} {
		n := size(m.costs("", each), m.read, 400*time.Microsecond)
		require.Equal(t, max(1, int(math.Round(4e5/float64(each)))), n, each)
	}
	require.LessOrEqual(t, size(m.costs("", 0), m.read, time.Millisecond), 1<<24, "what costs nothing")
}

func TestSummarize(t *testing.T) {
	var costs []float64
	for i := range 100 {
		costs = append(costs, float64(100-i))
	}
	require.Equal(t, Summary{Slices: 100, Min: 1, P10: 10, P50: 50}, Summarize(costs))
	require.Equal(t, Summary{Slices: 1, Min: 3, P10: 3, P50: 3}, Summarize([]float64{3}))
	require.True(t, math.IsNaN(Summarize(nil).P10))
}

// TestDisturbance: what disturbs nine slices in ten does not reach a figure.
func TestDisturbance(t *testing.T) {
	m := &machine{}
	n := 0
	noisy := Case{Name: "noisy", N: 1, Run: func(int) {
		if m.now += 100; n%10 > 0 {
			m.now += time.Duration(n) * time.Microsecond
		}
		n++
	}}
	got := Measure([]Case{noisy}, m.read, m.read, Limits{Time: time.Hour, Rounds: 200})
	require.InDelta(t, 100, got["noisy"].P10, 0)
	require.Greater(t, got["noisy"].P50, 1000.)
}

func TestJudge(t *testing.T) {
	got := map[string]Summary{"bare": {P10: 100}, "ours": {P10: 300}, "peer": {P10: 500}, "clock": {P10: 10}, "nothing": {P10: 0}}
	added := Added("ours", "bare")
	for _, test := range []struct {
		name  string
		claim Claim
		ratio float64
		short bool
	}{
		{"within", Claim{Ours: added, Peer: Added("peer", "bare"), Bar: 0.6}, 0.5, false},
		{"just within", Claim{Ours: added, Peer: Added("peer", "bare"), Bar: 0.5}, 0.5, false},
		{"above", Claim{Ours: added, Peer: Added("peer", "bare"), Bar: 0.49}, 0.5, true},
		{"only reported", Claim{Ours: added, Peer: Added("peer", "bare"), Open: true}, 0.5, false},
		{"times", Claim{Ours: added, Peer: Cost{Case: "clock", Times: 10}, Bar: 2}, 2, false},
		{"as a whole", Claim{Ours: Of("ours"), Peer: Of("bare"), Bar: 2.9}, 3, true},
		{"no peer, within", Claim{Ours: added, Bar: 200}, math.NaN(), false},
		{"no peer, above", Claim{Ours: added, Bar: 199}, math.NaN(), true},
		{"nothing, and none allowed", Claim{Ours: Of("nothing")}, math.NaN(), false},
		{"a peer that costs nothing", Claim{Ours: added, Peer: Of("nothing"), Bar: 9}, math.NaN(), true},
		{"a peer below the bare one", Claim{Ours: added, Peer: Added("clock", "bare"), Bar: 9}, math.NaN(), true},
		{"not measured", Claim{Ours: Of("absent"), Peer: Of("bare"), Bar: 9}, math.NaN(), true},
		{"peer not measured", Claim{Ours: added, Peer: Of("absent"), Bar: 9}, math.NaN(), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := Judge(test.claim, got)
			require.Equal(t, test.short, l.Short)
			if math.IsNaN(test.ratio) {
				require.True(t, math.IsNaN(l.Ratio))
			} else {
				require.InDelta(t, test.ratio, l.Ratio, 1e-12)
			}
		})
	}
}
