package text

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTokens13a has lines that a run of sacreBLEU's tokenizer_13a gave.
func TestTokens13a(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", ""},
		{"The dog bit the man.", "The dog bit the man ."},
		{"It wasn't surprising.", "It wasn't surprising ."},
		{"3.14 and 1,000 are kept; 5. is not", "3.14 and 1,000 are kept ; 5 . is not"},
		{".5 ,a 1,b a,1", ". 5 , a 1 , b a , 1"},
		{"10-12 a-1 1-a - -1", "10 - 12 a-1 1 - a - -1"},
		{"a.,b", "a . , b"},
		{"...", ". . ."},
		{"state-\nof <skipped>art\nline", "stateof art line"},
		{"&quot;&amp;lt;&gt; &amp;amp;", `" < > & amp ;`},
		{"a/b [x] {y} `~ $5% #1 C++ foo_bar", "a / b [ x ] { y } ` ~ $ 5 % # 1 C + + foo _ bar"},
		{"漢字.é,ü", "漢字 . é , ü"},
		{"a\u00a0b\u3000c\x1cd\x1fe\u0085f", "a b c d e f"},
		{"zero\u200bwidth", "zero\u200bwidth"},
	} {
		assert.Equal(t, c.want, strings.Join(tokens13a(c.line), " "), "%q", c.line)
	}
}

func TestTokensChar(t *testing.T) {
	assert.Equal(t, []string{"a", "漢", "\xff", "é", "."}, tokensChar("a 漢\x1c\xffé."))
	assert.Empty(t, tokensChar(" \t"))
}

func TestWords(t *testing.T) {
	assert.Equal(t, []string{"a", "b", "c", "\xff", "d\u200b"}, Words(" a\tb\u2028c\x1d\xff\u0085d\u200b\n"))
	assert.Empty(t, Words("\x1c\x1d\x1e\x1f"))
}

// TestLower has values of Python's str.lower.
func TestLower(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"ABC é ÉCOLE ẞ", "abc é école ß"},
		{"ΟΔΟΣ", "οδος"},
		{"ΟΔΟΣ.", "οδος."},
		{"ΟΔΟΣ ΣΟΦΟΣ", "οδος σοφος"},
		{"Σ", "σ"},
		{"ΑΣΒ", "ασβ"},
		{"ΑΣ'Β", "ασ'β"},
		{"ΑΣ·Β", "ασ·β"},
		{"ΑΣ\u0301", "ας\u0301"},
		{"1Σ", "1σ"},
		{"'Σ", "'σ"},
		{"Α'Σ", "α'ς"},
		{"İstanbul", "i\u0307stanbul"},
	} {
		assert.Equal(t, c.want, lower(c.in), "%q", c.in)
	}
}

func TestAppendRunes(t *testing.T) {
	assert.Equal(t, []int32{'a', '漢', unicodeEnd + 0xff, utf8.RuneError}, appendRunes(nil, "a 漢\xff\ufffd", false))
	assert.Equal(t, []int32{'a', ' '}, appendRunes(nil, "a ", true))
}

func FuzzTokenizers(f *testing.F) {
	for _, s := range []string{"", "a b", "3.14, 10-12", "&amp;lt; <skipped>", "-\n.\xff,\x1c", "ΑΣ'İ", "a.,b.. ,.1", "漢\xe6."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, name := range []string{"13a", "none", "char"} {
			tokens := tokenizerNamed(name)(line)
			for _, token := range tokens {
				require.NotEmpty(t, token)
				require.False(t, strings.ContainsFunc(token, isSpace), "%s: %q", name, token)
			}
			joined := strings.Join(tokens, " ")
			require.NotContains(t, joined, "  ")
			if name != "13a" { // entities: &amp;lt; becomes &lt;, and that becomes <
				again := tokenizerNamed(name)(joined)
				require.True(t, slices.Equal(tokens, again), "%s: %q, then %q", name, tokens, again)
			}
			if name == "char" {
				require.Equal(t, strings.Join(Words(line), ""), strings.Join(tokens, ""))
			}
		}
		for _, w := range Words(lower(line)) {
			require.NotEmpty(t, w)
		}
	})
}

func FuzzScores(f *testing.F) {
	f.Add("a b c", "a c b")
	f.Add("", "\xff")
	f.Add("The dog. ", "the dog-\n")
	f.Fuzz(func(t *testing.T, hyp, ref string) {
		b, err := NewBLEU(BLEUConfig{EffectiveOrder: true, Lowercase: true})
		require.NoError(t, err)
		c, err := NewChrF(ChrFConfig{WordOrder: 2, Lowercase: true})
		require.NoError(t, err)
		m := NewTER(TERConfig{})
		b.Add(hyp, ref)
		c.Add(hyp, ref)
		m.Add(hyp, ref)
		require.True(t, b.Score().Score >= 0 && b.Score().Score <= 100)
		require.True(t, c.Score().Score >= 0 && c.Score().Score <= 100)
		require.True(t, m.Score().Score >= 0)
		require.LessOrEqual(t, int(m.Score().Edits), max(len(Words(lower(hyp))), len(Words(lower(ref)))))
		_, f1 := SQuAD(hyp, ref)
		require.True(t, f1 >= 0 && f1 <= 1)
		Refused(hyp, []string{ref})
	})
}
