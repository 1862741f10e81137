package text

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func chrfOf(t testing.TB, config ChrFConfig, hyps []string, refs [][]string) ChrFScore {
	c, err := NewChrF(config)
	require.NoError(t, err)
	for i, hyp := range hyps {
		c.Add(hyp, refs[i]...)
	}
	return c.Score()
}

func TestChrFReadme(t *testing.T) {
	hyps, refs := readme()
	// A run of sacreBLEU at commit f615c72.
	assert.InDelta(t, 59.727518, chrfOf(t, ChrFConfig{}, hyps, refs).Score, 1e-6)
	assert.InDelta(t, 59.153104, chrfOf(t, ChrFConfig{WordOrder: 2}, hyps, refs).Score, 1e-6)
}

// TestChrFTable has cases of sacreBLEU's test/test_chrf.py.
func TestChrFTable(t *testing.T) {
	eps := ChrFConfig{Beta: 3, EpsSmoothing: true}
	effective := ChrFConfig{Beta: 3}
	for _, c := range []struct {
		config     ChrFConfig
		hyps, refs []string
		want       float64
	}{
		{eps, []string{"abcdefg"}, []string{"hijklmnop"}, 0},
		{eps, []string{""}, []string{"b"}, 0},
		{eps, []string{"aa"}, []string{"ab"}, 8.3333},
		{eps, []string{"a", "b"}, []string{"a", "c"}, 8.3333},
		{eps, []string{"a"}, []string{"a"}, 16.6667},
		{eps, []string{"a b c"}, []string{"a b c"}, 50},
		{eps, []string{"a b c"}, []string{"abc"}, 50},
		{
			eps, []string{" risk assessment must be made of those who are qualified and expertise in the sector - these are the scientists ."},
			[]string{"risk assessment has to be undertaken by those who are qualified and expert in that area - that is the scientists ."}, 63.361730,
		},
		{
			eps, []string{" Die    Beziehung zwischen  Obama und Netanjahu ist nicht gerade  freundlich. "},
			[]string{"Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich."}, 64.1302698,
		},
		{eps, []string{"Niemand hat die Absicht, eine Mauer zu errichten"}, []string{"Niemand hat die Absicht, eine Mauer zu errichten"}, 100},
		{effective, []string{"a"}, []string{"a"}, 100},
		{effective, []string{""}, []string{"reference"}, 0},
		{effective, []string{"a b c"}, []string{"abc"}, 100},
		{effective, []string{"a", "b"}, []string{"a", "c"}, 50},
		{effective, []string{"aa"}, []string{"ab"}, 25},
		{
			ChrFConfig{Beta: 3, Whitespace: true}, []string{"Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich."},
			[]string{"Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich."}, 67.3481606,
		},
		{
			ChrFConfig{EpsSmoothing: true}, []string{"Co nás nejvíc trápí, protože lékaři si vybírají, kdo bude žít a kdo zemře."},
			[]string{"Nejvíce smutní jsme z toho, že musíme rozhodovat o tom, kdo bude žít a kdo zemře."}, 39.14078509,
		},
	} {
		var refs [][]string
		for _, ref := range c.refs {
			refs = append(refs, []string{ref})
		}
		assert.InDelta(t, c.want, chrfOf(t, c.config, c.hyps, refs).Score, 1e-4, "%q", c.hyps)
	}
}

// TestChrFTakesTheBestReference and does not pool them: the negative control is
// a hypothesis that has half of each.
func TestChrFTakesTheBestReference(t *testing.T) {
	one := chrfOf(t, ChrFConfig{}, []string{"abcdefg"}, [][]string{{"abcdxyz"}}).Score
	both := chrfOf(t, ChrFConfig{}, []string{"abcdefg"}, [][]string{{"tuvwefg", "abcdxyz"}}).Score
	assert.InDelta(t, one, both, 1e-12)
	assert.Less(t, both, 100.0)
}

func TestChrFWords(t *testing.T) {
	assert.Equal(t, []string{"(hi", ")", ".", "-", "5", "a", "!", "漢", "é", "."}, chrfWords(" (hi) . -5 a! 漢 é. "))
	assert.Empty(t, chrfWords(" \x1c"))
}

func TestChrFCounts(t *testing.T) {
	s := chrfOf(t, ChrFConfig{CharOrder: 3, WordOrder: 1}, []string{"ab ab"}, [][]string{{"ab"}})
	assert.Equal(t, []int64{2, 1, 0, 1}, s.Matches)
	assert.Equal(t, []int64{4, 3, 0, 2}, s.HypTotals, "the reference has no trigram: the hypothesis's do not count")
	assert.Equal(t, []int64{2, 1, 0, 1}, s.RefTotals)
}

func TestChrFConfigFaults(t *testing.T) {
	_, err := NewChrF(ChrFConfig{CharOrder: 17, WordOrder: -1, Beta: math.NaN()})
	for _, part := range []string{"CharOrder is 17", "WordOrder is -1", "Beta is NaN"} {
		assert.ErrorContains(t, err, part)
	}
	_, err = NewChrF(ChrFConfig{Beta: 101})
	assert.ErrorContains(t, err, "Beta is 101")
}

func TestChrFSignature(t *testing.T) {
	c, err := NewChrF(ChrFConfig{})
	require.NoError(t, err)
	c.Add("a", "a")
	assert.Equal(t, "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:calm1", c.Signature())
	c, err = NewChrF(ChrFConfig{WordOrder: 2, Beta: 0.5, Lowercase: true, Whitespace: true, EpsSmoothing: true})
	require.NoError(t, err)
	assert.Equal(t, "nrefs:0|case:lc|eff:no|nc:6|nw:2|space:yes|beta:0.5|version:calm1", c.Signature())
}

func TestChrFRefusesMissingReference(t *testing.T) {
	c, err := NewChrF(ChrFConfig{EpsSmoothing: true})
	require.NoError(t, err)
	c.Add("a")
	assert.Equal(t, int64(1), c.Score().Refused)
	assert.Zero(t, c.Score().Score)
	c.Reset()
	assert.Zero(t, c.Score().Refused)
	other, err := NewChrF(ChrFConfig{})
	require.NoError(t, err)
	assert.ErrorIs(t, c.Merge(other), ErrSettings)
}

func TestChrFProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		config := ChrFConfig{
			CharOrder: r.IntN(8), WordOrder: r.IntN(4), Beta: float64(r.IntN(4)),
			Lowercase: r.IntN(2) == 0, Whitespace: r.IntN(2) == 0, EpsSmoothing: r.IntN(2) == 0,
		}
		all, _ := NewChrF(config)
		parts := [3]*ChrF{}
		for i := range parts {
			parts[i], _ = NewChrF(config)
		}
		for range r.IntN(6) {
			hyp, refs := randomSegment(r)
			all.Add(hyp, refs...)
			parts[r.IntN(3)].Add(hyp, refs...)
		}
		s := all.Score()
		require.False(t, math.IsNaN(s.Score) || s.Score < 0 || s.Score > 100, "%+v", s)
		require.NoError(t, parts[2].Merge(parts[0]))
		require.NoError(t, parts[2].Merge(parts[1]))
		require.Equal(t, s, parts[2].Score())
		require.Equal(t, all.Signature(), parts[2].Signature())
	}
}

func TestChrFOfEqualTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		text := randomText(r, 12)
		s := chrfOf(t, ChrFConfig{WordOrder: 2}, []string{text}, [][]string{{"another", text}})
		if Empty(text) {
			require.Zero(t, s.Score, "%q", text)
		} else {
			require.InDelta(t, 100, s.Score, 1e-9, "%q", text)
		}
	}
}

func TestChrFAllocatesNothing(t *testing.T) {
	c, err := NewChrF(ChrFConfig{})
	require.NoError(t, err)
	hyps, refs := readme()
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Add(hyps[0], refs[0]...) }))
}
