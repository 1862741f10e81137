package training

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNonFinite(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		step           Step
		loss, gradNorm bool
	}{
		{Step{}, false, false},
		{Step{Loss: 2, GradNorm: 1}, false, false},
		{Step{Loss: math.MaxFloat64, GradNorm: math.MaxFloat64}, false, false},
		{Step{Loss: nan, GradNorm: 1}, true, false},
		{Step{Loss: inf}, true, false},
		{Step{Loss: -inf}, true, false},
		{Step{Loss: 2, GradNorm: nan}, false, true},
		{Step{Loss: nan, GradNorm: inf}, true, true},
		{Step{GradNorm: inf, Skipped: true}, false, true},
		{Step{GradNorm: inf, LossScale: 1024}, false, true},
		{Step{GradNorm: inf, LossScale: nan, Skipped: true}, false, true},
		{Step{GradNorm: inf, LossScale: -1, Skipped: true}, false, true},
		{Step{GradNorm: inf, LossScale: 1024, Skipped: true}, false, false},
		{Step{Loss: nan, GradNorm: inf, LossScale: 1024, Skipped: true}, true, false},
	} {
		var n NonFinite
		v := n.Observe(c.step)
		assert.Equal(t, c.loss, v.Loss, "%+v", c.step)
		assert.Equal(t, c.gradNorm, v.GradNorm, "%+v", c.step)
	}
}

// A loss scale may overflow twice in a row; anything else in between, a skip for
// another reason too, begins the count anew.
func TestNonFiniteLossScale(t *testing.T) {
	overflow := Step{Loss: 2, GradNorm: math.Inf(1), LossScale: 65536, Skipped: true}
	good := Step{Loss: 2, GradNorm: 1, LossScale: 65536}
	chosen := Step{Loss: 2, GradNorm: 1, LossScale: 65536, Skipped: true}
	applied := Step{Loss: 2, GradNorm: math.NaN(), LossScale: 65536}
	var n NonFinite
	for i, c := range []struct {
		step  Step
		event bool
		skips int
	}{
		{overflow, false, 1}, {overflow, false, 2}, {overflow, true, 3}, {overflow, true, 4},
		{good, false, 0}, {overflow, false, 1}, {overflow, false, 2}, {chosen, false, 0},
		{overflow, false, 1}, {applied, true, 0}, {overflow, false, 1}, {overflow, false, 2}, {overflow, true, 3},
	} {
		v := n.Observe(c.step)
		require.Equal(t, NonFiniteVerdict{GradNorm: c.event, Skips: c.skips}, v, "step %d", i)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { n.Observe(overflow) }))
}
