package text

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEmpty(t *testing.T) {
	for _, text := range []string{"", " \n\t", "\u00a0\u3000\x1c"} {
		assert.True(t, Empty(text), "%q", text)
	}
	for _, text := range []string{".", " a", "\u200b", "\xff"} {
		assert.False(t, Empty(text), "%q", text)
	}
}

func TestDistinct(t *testing.T) {
	for _, c := range []struct {
		n    int
		text string
		want float64
		ok   bool
	}{
		{1, "a b a b", 0.5, true},
		{2, "a b a b", 2.0 / 3, true},
		{3, "a b a b", 1, true},
		{4, "a b a b", 1, true},
		{5, "a b a b", 0, false},
		{1, "a a a a", 0.25, true},
		{1, "", 0, false},
		{0, "a", 0, false},
		{-1, "a", 0, false},
	} {
		got, ok := Distinct(c.n, Words(c.text))
		assert.Equal(t, c.ok, ok, "%+v", c)
		assert.InDelta(t, c.want, got, 1e-12, "%+v", c)
	}
}

func TestDistinctAgainstASet(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 10_000 {
		words, n := randomWords(r, 20, 3), 1+r.IntN(4)
		set := map[string]bool{}
		for i := 0; i+n <= len(words); i++ {
			set[strings.Join(words[i:i+n], " ")] = true
		}
		got, ok := Distinct(n, words)
		require.Equal(t, len(words) >= n, ok)
		if ok {
			require.InDelta(t, float64(len(set))/float64(len(words)-n+1), got, 1e-12)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"I'm sorry, but I can't help with that.",
		"  I’m   sorry, but\ni CAN’T assist.",
		"**I cannot provide** that",
		"\"I won't help you.\"",
		"As an AI language model, I cannot",
	} {
		assert.True(t, Refused(text, Openings()), "%q", text)
	}
	for _, text := range []string{
		"",
		"I'm sorry",
		"I'm sorry, but I cannothing",
		"Sure: I cannot provide less than the best.",
		"She said: I'm sorry, but I can't.",
		"\xff",
	} {
		assert.False(t, Refused(text, Openings()), "%q", text)
	}
	assert.False(t, Refused("I cannot provide", nil))
	assert.False(t, Refused("anything", []string{"", " "}), "an empty opening is none")
	assert.True(t, Refused("申し訳ありません、できません", []string{"申し訳ありません"}))
	assert.True(t, Refused("No.", []string{" no "}))
}

func TestOpeningsAreTheCallers(t *testing.T) {
	a := Openings()
	a[0] = "x"
	assert.NotEqual(t, a[0], Openings()[0])
	for _, o := range Openings() {
		assert.True(t, Refused(o+".", Openings()))
	}
}

func TestRefusedAllocatesNothing(t *testing.T) {
	openings := Openings()
	assert.Zero(t, testing.AllocsPerRun(100, func() { Refused("I'm glad to help with that.", openings) }))
}

func TestRepeatedRun(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0},
		{"a", 0},
		{"a b", 0},
		{"a a", 1},
		{"a b a", 0},
		{"a b a b", 2},
		{"a a a", 1},
		{"a a a a", 2},
		{"x a b c a b c y", 3},
		{"a b c a b c a b", 3},
		{"the cat sat and the cat sat and then", 4},
		{"a b a b x c c", 2},
	} {
		assert.Equal(t, c.want, RepeatedRun(Words(c.text)), "%q", c.text)
	}
}

// slowRun is the definition.
func slowRun(words []string) int {
	for n := len(words) / 2; n > 0; n-- {
		for i := 0; i+2*n <= len(words); i++ {
			if slices.Equal(words[i:i+n], words[i+n:i+2*n]) {
				return n
			}
		}
	}
	return 0
}

func TestRepeatedRunAgainstTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	most := 0
	for range 20_000 {
		words := randomWords(r, 40, 1+r.IntN(4))
		if r.IntN(2) == 0 && len(words) > 0 { // plant a repetition
			i := r.IntN(len(words))
			j := i + r.IntN(len(words)-i)
			words = slices.Concat(words[:j], words[i:])
		}
		want := slowRun(words)
		require.Equal(t, want, RepeatedRun(words), "%q", words)
		most = max(most, want)
	}
	assert.Greater(t, most, 10)
}

// TestHostileText goes through long texts of the worst kinds. A method that is
// quadratic takes hours.
func TestHostileText(t *testing.T) {
	assert.Equal(t, 1<<18, RepeatedRun(Words(strings.Repeat("a ", 1<<19))))
	a, b := "a ", "a b "
	for len(b) < 1<<18 {
		a, b = b, b+a
	}
	assert.Equal(t, 75025, RepeatedRun(Words(b)), "a Fibonacci word has repetitions of all sizes")
	const n = 1 << 16
	for _, text := range []string{b, strings.Repeat(".,", n), strings.Repeat("Σ'", n), strings.Repeat("\xff", n)} {
		bleu, err := NewBLEU(BLEUConfig{Lowercase: true})
		require.NoError(t, err)
		chrf, err := NewChrF(ChrFConfig{})
		require.NoError(t, err)
		bleu.Add(text, text)
		chrf.Add(text, text)
		assert.InDelta(t, 100, chrf.Score().Score, 1e-9)
		assert.LessOrEqual(t, cap(bleu.grams.counts), maxKept, "huge buffers are not kept")
		assert.LessOrEqual(t, cap(chrf.chars.hyp), maxKept)
		Refused(text, Openings())
		assert.False(t, Refused(strings.Repeat(" ", n), []string{"a " + text}))
	}
}
