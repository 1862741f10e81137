package drift

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func repeat(x float64, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = x
	}
	return xs
}

func TestPageHinkleySums(t *testing.T) {
	d := PageHinkley{MinInstances: 3, Delta: 0.5, Threshold: 2, Alpha: 0.5}
	// By hand: mean 1, 2, 3; sum 0, .5 x 0 + 3-2-.5 = .5, .25 + 5-3-.5 = 1.75.
	assert.Equal(t, Verdict{Statistic: 0, Limit: 2, Mean: 1, N: 1}, d.Update(1))
	assert.Equal(t, Verdict{Statistic: 0.5, Limit: 2, Mean: 2, N: 2}, d.Update(3))
	assert.Equal(t, Verdict{Statistic: 1.75, Limit: 2, Mean: 3, N: 3}, d.Update(5))
	// mean 4, sum .875 + 7-4-.5 = 3.375: a drift, and the next value is the first.
	assert.Equal(t, Verdict{Drift: true, Statistic: 3.375, Limit: 2, Mean: 4, N: 4}, d.Update(7))
	assert.Equal(t, Verdict{Limit: 2, Mean: 7, N: 1}, d.Update(7))
}

func TestPageHinkleyLooksUpOnly(t *testing.T) {
	rise := append(repeat(0, 500), repeat(5, 500)...)
	fall := append(repeat(5, 500), repeat(0, 500)...)
	assert.Len(t, drifts(&PageHinkley{}, rise), 1)
	assert.Empty(t, drifts(&PageHinkley{}, fall))
	for i := range fall {
		fall[i] = -fall[i]
	}
	assert.Len(t, drifts(&PageHinkley{}, fall), 1)
}

// The first value that can be a drift is number MinInstances - 1, as in river.
func TestPageHinkleyMinInstances(t *testing.T) {
	steep := make([]float64, 100)
	for i := range steep {
		steep[i] = float64(i) * 1000
	}
	for _, n := range []int{2, 30, 77} {
		assert.Equal(t, max(n-2, 1), drifts(&PageHinkley{MinInstances: n}, steep)[0])
	}
}

func TestParametersOutOfRange(t *testing.T) {
	nan := math.NaN()
	for _, d := range []PageHinkley{
		{}, {MinInstances: -1}, {MinInstances: 2e9}, {Delta: -1}, {Delta: nan}, {Threshold: nan},
		{Threshold: math.Inf(1)}, {Alpha: 1.1}, {Alpha: -1}, {Alpha: nan},
	} {
		d.Update(1)
		assert.Equal(t, []any{30, 0.005, 50.0, 0.9999}, []any{d.MinInstances, d.Delta, d.Threshold, d.Alpha})
	}
	for _, d := range []DDM{{}, {Warm: -1}, {Warning: -1}, {Warning: nan}, {Drift: nan}, {Drift: 1e7}} {
		d.Update(1)
		assert.Equal(t, []any{30, 2.0, 3.0}, []any{d.Warm, d.Warning, d.Drift})
	}
	d := DDM{Warm: 1, Warning: 0.5, Drift: 1e6}
	d.Update(1)
	assert.Equal(t, []any{1, 0.5, 1e6}, []any{d.Warm, d.Warning, d.Drift})
}

func TestDDMLimits(t *testing.T) {
	var d DDM
	for i := range 30 {
		v := d.Update(float64(i % 2))
		require.False(t, v.Warning || v.Drift)
		require.Equal(t, math.Inf(1), v.Limit)
	}
	// 15 errors of 31: p = .48387, s = .089756; the limit is p + 3 s.
	v := d.Update(0)
	assert.InDelta(t, 0.483871+0.089756, v.Statistic, 1e-6)
	assert.InDelta(t, 0.483871+3*0.089756, v.Limit, 1e-6)
	assert.InDelta(t, 0.483871, v.Mean, 1e-6)
	assert.EqualValues(t, 31, v.N)
}

// Where no error was seen, one is a drift.
func TestDDMWithoutErrors(t *testing.T) {
	var d DDM
	assert.Empty(t, drifts(&d, repeat(0, 1000)))
	assert.True(t, d.Update(1).Drift)
}

func TestDDMRefusesWhatIsNoRate(t *testing.T) {
	var d DDM
	for _, x := range []float64{-1, 1.000001, 2, math.MaxFloat64, -1e-9} {
		d.Update(x)
	}
	assert.EqualValues(t, 5, d.Refused())
	assert.EqualValues(t, 1, d.Update(0.5).N)
	assert.InDelta(t, 0.5, d.Update(0.5).Mean, 1e-15)
}

// A rate that falls is no drift.
func TestDDMLooksUpOnly(t *testing.T) {
	var xs []float64
	for i := range 2000 {
		x := float64(i % 2)
		if i >= 1000 && i%10 != 0 {
			x = 0
		}
		xs = append(xs, x)
	}
	assert.Empty(t, drifts(&DDM{}, xs))
}
