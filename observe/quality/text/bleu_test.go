package text

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readme is the example of sacreBLEU's README and test/test_bleu.py: three
// hypotheses, and two references of each.
func readme() (hyps []string, refs [][]string) {
	return []string{
			"The dog bit the man.",
			"It wasn't surprising.",
			"The man had just bitten him.",
		}, [][]string{
			{"The dog bit the man.", "The dog had bit the man."},
			{"It was not unexpected.", "No one was surprised."},
			{"The man bit him first.", "The man had bitten the dog."},
		}
}

func bleuOf(t testing.TB, config BLEUConfig, hyps []string, refs [][]string) BLEUScore {
	b, err := NewBLEU(config)
	require.NoError(t, err)
	for i, hyp := range hyps {
		b.Add(hyp, refs[i]...)
	}
	return b.Score()
}

func TestBLEUReadme(t *testing.T) {
	hyps, refs := readme()
	for _, c := range []struct {
		config BLEUConfig
		want   float64
	}{ // sacreBLEU test/test_bleu.py, and its README for the orders
		{BLEUConfig{}, 48.530827},
		{BLEUConfig{Tokenizer: "13a"}, 48.530827},
		{BLEUConfig{Tokenizer: "none"}, 49.1919566},
		{BLEUConfig{Smoothing: "none"}, 48.530827},
	} {
		assert.InDelta(t, c.want, bleuOf(t, c.config, hyps, refs).Score, 1e-6, "%+v", c.config)
	}
	for i, want := range []float64{77.65, 60.50, 53.93, 48.53, 46.14, 43.28} {
		assert.InDelta(t, want, bleuOf(t, BLEUConfig{Order: i + 1}, hyps, refs).Score, 0.005)
	}
	s := bleuOf(t, BLEUConfig{}, hyps, refs)
	assert.Equal(t, []int64{14, 7, 5, 3}, s.Counts)
	assert.Equal(t, []int64{17, 14, 11, 8}, s.Totals)
	assert.Equal(t, [2]int64{17, 18}, [2]int64{s.SysLen, s.RefLen})
	assert.InDelta(t, 0.942873, s.BP, 1e-6)
	assert.Equal(t, int64(3), s.Segments)
}

// TestBLEUTable has the one-segment cases of sacreBLEU's test/test_bleu.py.
func TestBLEUTable(t *testing.T) {
	for _, c := range []struct {
		config    BLEUConfig
		hyp, ref  string
		want      float64
		tolerance float64
	}{
		{BLEUConfig{Smoothing: "floor", SmoothValue: 0.01, EffectiveOrder: true}, "this is a test", "this is a test", 100, 1e-6},
		{BLEUConfig{Smoothing: "floor", SmoothValue: 0.01, EffectiveOrder: true}, "this is a fest", "this is a test", 22.3606797749979, 1e-6},
		{BLEUConfig{Smoothing: "floor", SmoothValue: 0.01, EffectiveOrder: true}, "test", "a test", 36.78794411714425, 1e-6},
		{BLEUConfig{Smoothing: "floor", SmoothValue: 0.01, EffectiveOrder: true}, "a test", "a test", 100, 1e-6},
		{BLEUConfig{Smoothing: "floor", SmoothValue: 0.01, EffectiveOrder: true}, "a little test", "a test", 3.218297948685433, 1e-6},
		{BLEUConfig{Smoothing: "floor"}, "am I am a character sequence", "I am a symbol string sequence a a", 15.55722182, 1e-6},
		{BLEUConfig{Smoothing: "none"}, "am I am a character sequence", "I am a symbol string sequence a a", 0, 0},
		{BLEUConfig{}, "this is a test", "ref1", 0, 0},
		{BLEUConfig{}, "a test", "a test", 0, 0}, // an order that is not reached
		{BLEUConfig{}, "", "a test", 0, 0},
		{BLEUConfig{}, "", "", 0, 0},
	} {
		got := bleuOf(t, c.config, []string{c.hyp}, [][]string{{c.ref}})
		assert.InDelta(t, c.want, got.Score, c.tolerance, "%+v %q %q", c.config, c.hyp, c.ref)
	}
	s := bleuOf(t, BLEUConfig{}, []string{"am I am a character sequence"}, [][]string{{"I am a symbol string sequence a a"}})
	assert.Equal(t, []int64{4, 2, 1, 0}, s.Counts)
	assert.Equal(t, []int64{6, 5, 4, 3}, s.Totals)
}

// TestBLEUClips has the example of Papineni et al. (2002), section 2.1: the
// candidate "the the the ..." matches the word as often as one reference has it.
func TestBLEUClips(t *testing.T) {
	s := bleuOf(t, BLEUConfig{Lowercase: true}, []string{"the the the the the the the"},
		[][]string{{"The cat is on the mat.", "There is a cat on the mat."}})
	assert.Equal(t, int64(2), s.Counts[0])
	assert.Equal(t, int64(7), s.Totals[0])
}

func TestBLEUClosestReference(t *testing.T) {
	five := "a b c d e"
	for _, c := range []struct {
		refs []string
		want int64
	}{
		{[]string{"a b c", "a b c d e f"}, 6},
		{[]string{"a b c d e f", "a b c d"}, 4}, // the shorter of two
		{[]string{"a b c d", "a b c d e f"}, 4},
		{[]string{""}, 0},
	} {
		assert.Equal(t, c.want, bleuOf(t, BLEUConfig{}, []string{five}, [][]string{c.refs}).RefLen, "%q", c.refs)
	}
}

func TestBLEUIsNoMeanOfSegments(t *testing.T) {
	hyps, refs := readme()
	sum := 0.0
	for i := range hyps {
		sum += bleuOf(t, BLEUConfig{EffectiveOrder: true}, hyps[i:i+1], refs[i:i+1]).Score
	}
	assert.Greater(t, math.Abs(sum/3-bleuOf(t, BLEUConfig{}, hyps, refs).Score), 0.5)
}

func TestBLEUConfigFaults(t *testing.T) {
	_, err := NewBLEU(BLEUConfig{Order: 17, Tokenizer: "intl", Smoothing: "add", SmoothValue: -1})
	for _, part := range []string{"BLEUConfig.Order is 17: want 0 to 16", `Tokenizer is "intl": want`, `Smoothing is "add": want`, "SmoothValue is -1: want"} {
		assert.ErrorContains(t, err, part)
	}
	for _, c := range []BLEUConfig{
		{Order: -1},
		{Tokenizer: "13A"},
		{SmoothValue: 1},
		{Smoothing: "none", SmoothValue: 0.1},
		{Smoothing: "floor", SmoothValue: math.NaN()},
		{Smoothing: "floor", SmoothValue: math.Inf(1)},
	} {
		_, err := NewBLEU(c)
		assert.ErrorContains(t, err, "text: BLEUConfig.", "%+v", c)
	}
}

func TestBLEUSignature(t *testing.T) {
	for _, c := range []struct {
		config BLEUConfig
		refs   []int
		want   string
	}{
		{BLEUConfig{}, nil, "nrefs:0|case:mixed|eff:no|tok:13a|smooth:exp|version:calm1"},
		{BLEUConfig{}, []int{1, 1}, "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:calm1"},
		{BLEUConfig{Lowercase: true, Smoothing: "floor"}, []int{2, 0, 1}, "nrefs:var|case:lc|eff:no|tok:13a|smooth:floor[0.10]|version:calm1"},
		{BLEUConfig{EffectiveOrder: true, Smoothing: "add-k", Tokenizer: "char"}, []int{2, 0}, "nrefs:2|case:mixed|eff:yes|tok:char|smooth:add-k[1.00]|version:calm1"},
	} {
		b, err := NewBLEU(c.config)
		require.NoError(t, err)
		for _, n := range c.refs {
			b.Add("a", slices.Repeat([]string{"a"}, n)...)
		}
		assert.Equal(t, c.want, b.Signature())
	}
}

func TestBLEURefusesMissingReference(t *testing.T) {
	b, err := NewBLEU(BLEUConfig{})
	require.NoError(t, err)
	b.Add("a b c d", "a b c d")
	want := b.Score()
	b.Add("a b c d")
	got := b.Score()
	assert.Equal(t, int64(1), got.Refused)
	got.Refused = 0
	assert.Equal(t, want, got)
	b.Reset()
	assert.Equal(t, BLEUScore{Precisions: make([]float64, 4), Counts: make([]int64, 4), Totals: make([]int64, 4), BP: 1}, b.Score())
}

func TestBLEUMergeRefusesOtherSettings(t *testing.T) {
	a, err := NewBLEU(BLEUConfig{})
	require.NoError(t, err)
	same, err := NewBLEU(BLEUConfig{Order: 4, Tokenizer: "13a", Smoothing: "exp"})
	require.NoError(t, err)
	require.NoError(t, a.Merge(same), "a default that is spelled out is the same")
	b, err := NewBLEU(BLEUConfig{Lowercase: true})
	require.NoError(t, err)
	assert.ErrorIs(t, a.Merge(b), ErrSettings)
}

// randomText is a text of up to n words of a small vocabulary, with marks,
// entities, odd spaces and bytes that are not UTF-8.
func randomText(r *rand.Rand, n int) string {
	words := strings.Split("the cat sat on a mat, The Cat. 3.5 1,000 10-12 &amp; &lt; Σ ΑΣ İ é 漢字 \xff \xe6\xbc 😀 ' (hi) -- .", " ")
	spaces := []string{" ", " ", " ", " ", "\n", "-\n", "\t", "\u00a0", "\x1c", ""}
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteString(spaces[r.IntN(len(spaces))])
	}
	return b.String()
}

func randomSegment(r *rand.Rand) (hyp string, refs []string) {
	for range r.IntN(4) {
		refs = append(refs, randomText(r, 12))
	}
	if len(refs) > 0 && r.IntN(3) == 0 {
		return refs[r.IntN(len(refs))], refs
	}
	return randomText(r, 12), refs
}

func TestBLEUProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tokenizers := []string{"13a", "none", "char"}
	smoothings := []string{"exp", "floor", "add-k", "none"}
	for range 3000 {
		config := BLEUConfig{
			Order: r.IntN(7), Tokenizer: tokenizers[r.IntN(3)], Smoothing: smoothings[r.IntN(4)],
			Lowercase: r.IntN(2) == 0, EffectiveOrder: r.IntN(2) == 0,
		}
		all, _ := NewBLEU(config)
		parts := [3]*BLEU{}
		for i := range parts {
			parts[i], _ = NewBLEU(config)
		}
		for range r.IntN(6) {
			hyp, refs := randomSegment(r)
			all.Add(hyp, refs...)
			parts[r.IntN(3)].Add(hyp, refs...) // merged later in another order
		}
		s := all.Score()
		require.False(t, math.IsNaN(s.Score) || s.Score < 0 || s.Score > 100, "%+v", s)
		require.NoError(t, parts[2].Merge(parts[0]))
		require.NoError(t, parts[2].Merge(parts[1]))
		require.Equal(t, s, parts[2].Score())
		require.Equal(t, all.Signature(), parts[2].Signature())
	}
}

func TestBLEUOfEqualTexts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		text := randomText(r, 12)
		s := bleuOf(t, BLEUConfig{}, []string{text}, [][]string{{"another", text}})
		if s.SysLen >= 4 {
			require.InDelta(t, 100, s.Score, 1e-9, "%q", text)
		} else {
			require.Zero(t, s.Score, "%q", text)
		}
	}
}
