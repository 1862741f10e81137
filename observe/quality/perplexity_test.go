package quality

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each token weighs the same: neither the mean of the perplexities nor that of the
// texts' losses.
func TestPerplexityWeighsTokens(t *testing.T) {
	var p Perplexity
	p.Add(10*2, 10)
	p.Add(90*3, 90)
	assert.InDelta(t, 18.174145369, p.Value(), 1e-9)
	assert.Greater(t, math.Abs(p.Value()-(math.Exp(2)+math.Exp(3))/2), 4.0, "13.737 is the mean of the perplexities")
	assert.Greater(t, math.Abs(p.Value()-math.Exp(2.5)), 5.0, "12.182 is that of the mean loss of the texts")
	assert.EqualValues(t, 100, p.Tokens())
	assert.InDelta(t, 290/(400*math.Ln2), p.BitsPerByte(400), 1e-12)
}

// A model that gives each of 256 bytes the same chance needs 8 bits.
func TestBitsPerByte(t *testing.T) {
	var p Perplexity
	p.Add(1000*math.Log(256), 1000)
	assert.InDelta(t, 8, p.BitsPerByte(1000), 1e-12)
	assert.InDelta(t, 256, p.Value(), 1e-9)
	assert.True(t, math.IsNaN(p.BitsPerByte(0)))
	assert.True(t, math.IsNaN(p.BitsPerByte(-1)))
}

func TestPerplexityRefuses(t *testing.T) {
	var p Perplexity
	for _, nll := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1e-9} {
		p.Add(nll, 1)
	}
	for _, tokens := range []int64{0, -1, math.MinInt64} {
		p.Add(1, tokens)
	}
	assert.EqualValues(t, 7, p.Refused())
	assert.Zero(t, p.Tokens())
	assert.True(t, math.IsNaN(p.Value()))
	assert.True(t, math.IsNaN(p.BitsPerByte(10)))

	p.Add(0, math.MaxInt64)
	assert.Equal(t, 1.0, p.Value(), "certain of everything")
	p.Add(0, 1)
	assert.EqualValues(t, 8, p.Refused())
	full := p
	assert.ErrorIs(t, p.Merge(&full), ErrInput)
	assert.EqualValues(t, math.MaxInt64, p.Tokens())

	p.Reset()
	assert.Equal(t, Perplexity{}, p)
	p.Add(math.MaxFloat64, 1)
	assert.True(t, math.IsInf(p.Value(), 1))
}

func TestPerplexityMergeAndOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		var all Perplexity
		var parts [2]Perplexity
		n := 1 + r.IntN(50)
		nll, tokens := make([]float64, n), make([]int64, n)
		for i := range n {
			nll[i], tokens[i] = 100*r.Float64(), 1+r.Int64N(50)
			all.Add(nll[i], tokens[i])
		}
		shuffled(r, n, func(i int) { parts[r.IntN(2)].Add(nll[i], tokens[i]) })
		require.NoError(t, parts[0].Merge(&parts[1]))
		require.InEpsilon(t, all.Value(), parts[0].Value(), 1e-12)
		require.Equal(t, all.Tokens(), parts[0].Tokens())
	}
}

func TestPerplexityAllocatesNothing(t *testing.T) {
	var p Perplexity
	assert.Zero(t, testing.AllocsPerRun(100, func() { p.Add(1, 1) }))
}
