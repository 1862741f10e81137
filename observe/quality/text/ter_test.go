package text

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func terOf(config TERConfig, hyps []string, refs [][]string) TERScore {
	m := NewTER(config)
	for i, hyp := range hyps {
		m.Add(hyp, refs[i]...)
	}
	return m.Score()
}

func TestTERReadme(t *testing.T) {
	hyps, refs := readme()
	// A run of sacreBLEU at commit f615c72.
	assert.InDelta(t, 40, terOf(TERConfig{}, hyps, refs).Score, 1e-9)
}

// TestTERTable has the cases of sacreBLEU's test/test_ter.py.
func TestTERTable(t *testing.T) {
	for _, c := range []struct {
		hyps, refs []string
		want       float64
	}{
		{[]string{"aaaa bbbb cccc dddd"}, []string{"aaaa bbbb cccc dddd"}, 0},
		{[]string{"dddd eeee ffff"}, []string{"aaaa bbbb cccc"}, 100},
		{[]string{""}, []string{"a"}, 100},
		{[]string{"a"}, []string{""}, 100},
		{[]string{""}, []string{""}, 0},
		{[]string{"d e f g h a b c"}, []string{"a b c d e f g h"}, 12.5},
		{
			[]string{
				`wählen Sie " Bild neu berechnen , " um beim Ändern der Bildgröße Pixel hinzuzufügen oder zu entfernen , damit das Bild ungefähr dieselbe Größe aufweist wie die andere Größe .`,
				`wenn Sie alle Aufgaben im aktuellen Dokument aktualisieren möchten , wählen Sie im Menü des Aufgabenbedienfelds die Option " Alle Aufgaben aktualisieren . "`,
				`klicken Sie auf der Registerkarte " Optionen " auf die Schaltfläche " Benutzerdefiniert " und geben Sie Werte für " Fehlerkorrektur-Level " und " Y / X-Verhältnis " ein .`,
				`Sie können beispielsweise ein Dokument erstellen , das ein Auto über die Bühne enthält .`,
				`wählen Sie im Dialogfeld " Neu aus Vorlage " eine Vorlage aus und klicken Sie auf " Neu . "`,
			},
			[]string{
				`wählen Sie " Bild neu berechnen , " um beim Ändern der Bildgröße Pixel hinzuzufügen oder zu entfernen , damit die Darstellung des Bildes in einer anderen Größe beibehalten wird .`,
				`wenn Sie alle Aufgaben im aktuellen Dokument aktualisieren möchten , wählen Sie im Menü des Aufgabenbedienfelds die Option " Alle Aufgaben aktualisieren . "`,
				`klicken Sie auf der Registerkarte " Optionen " auf die Schaltfläche " Benutzerdefiniert " und geben Sie für " Fehlerkorrektur-Level " und " Y / X-Verhältnis " niedrigere Werte ein .`,
				`Sie können beispielsweise ein Dokument erstellen , das ein Auto enthalt , das sich über die Bühne bewegt .`,
				`wählen Sie im Dialogfeld " Neu aus Vorlage " eine Vorlage aus und klicken Sie auf " Neu . "`,
			}, 13.6,
		},
	} {
		var refs [][]string
		for _, ref := range c.refs {
			refs = append(refs, []string{ref})
		}
		assert.InDelta(t, c.want, terOf(TERConfig{}, c.hyps, refs).Score, 1e-3, "%q", c.hyps)
	}
}

// TestTERShifts is the one thing that tells TER from word edit distance, which
// is 6 here.
func TestTERShifts(t *testing.T) {
	hyp, ref := "d e f g h a b c", "a b c d e f g h"
	assert.Equal(t, int64(1), terOf(TERConfig{}, []string{hyp}, [][]string{{ref}}).Edits)
	assert.Equal(t, 6, levenshtein(Words(hyp), Words(ref)))
}

func TestTERSettings(t *testing.T) {
	hyp, ref := `He said: "Hi (there)!"`, "he said hi there"
	for _, c := range []struct {
		config TERConfig
		want   int64
	}{
		{TERConfig{}, 3},
		{TERConfig{CaseSensitive: true}, 4},
		{TERConfig{NoPunctuation: true}, 0},
		{TERConfig{NoPunctuation: true, CaseSensitive: true}, 2},
	} {
		assert.Equal(t, c.want, terOf(c.config, []string{hyp}, [][]string{{ref}}).Edits, "%+v", c.config)
	}
}

func TestTERReferences(t *testing.T) {
	s := terOf(TERConfig{}, []string{"a b c"}, [][]string{{"a b c d", "a b", "x"}})
	assert.Equal(t, int64(1), s.Edits, "of the closest reference")
	assert.InDelta(t, 7.0/3, s.RefLen, 1e-12, "the mean of all")
	assert.InDelta(t, 300.0/7, s.Score, 1e-9)
}

func TestTERSignature(t *testing.T) {
	m := NewTER(TERConfig{})
	m.Add("a", "a", "b")
	assert.Equal(t, "nrefs:2|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:calm1", m.Signature())
	m = NewTER(TERConfig{CaseSensitive: true, NoPunctuation: true})
	assert.Equal(t, "nrefs:0|case:mixed|tok:tercom|norm:no|punct:no|asian:no|version:calm1", m.Signature())
}

func TestTERRefusesMissingReference(t *testing.T) {
	m := NewTER(TERConfig{})
	m.Add("a")
	assert.Equal(t, TERScore{Refused: 1}, m.Score())
	m.Add("a", "")
	assert.Equal(t, TERScore{Score: 100, Edits: 1, Segments: 1, Refused: 1}, m.Score())
	assert.ErrorIs(t, m.Merge(NewTER(TERConfig{CaseSensitive: true})), ErrSettings)
	m.Reset()
	assert.Zero(t, m.Score())
}

// levenshtein is the plain distance in words.
func levenshtein(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, w := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, v := range b {
			cost := diagonal + 1
			if w == v {
				cost = diagonal
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func TestTERBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	fewer := 0
	for range 10_000 {
		hyp, ref := randomWords(r, 10, 6), randomWords(r, 10, 6)
		got := int(terOf(TERConfig{}, []string{strings.Join(hyp, " ")}, [][]string{{strings.Join(ref, " ")}}).Edits)
		plain := levenshtein(hyp, ref)
		require.LessOrEqual(t, got, plain, "%q %q", hyp, ref)
		require.GreaterOrEqual(t, got, max(len(hyp), len(ref))-min(len(hyp), len(ref)), "%q %q", hyp, ref)
		if got < plain {
			fewer++
		}
		same := terOf(TERConfig{}, []string{strings.Join(ref, " ")}, [][]string{{"another", strings.Join(ref, " ")}})
		require.Zero(t, same.Edits)
	}
	assert.Greater(t, fewer, 500, "shifts are of no use in these texts")
}

func randomWords(r *rand.Rand, n, vocabulary int) []string {
	out := make([]string, r.IntN(n+1))
	for i := range out {
		out[i] = string(rune('a' + r.IntN(vocabulary)))
	}
	return out
}

// TestTERBeam goes through texts of very different lengths: the beams of two
// rows must always meet.
func TestTERBeam(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		hyp, ref := randomWords(r, 6, 3), randomWords(r, 600, 3)
		if r.IntN(2) == 0 {
			hyp, ref = ref, hyp
		}
		s := terOf(TERConfig{}, []string{strings.Join(hyp, " ")}, [][]string{{strings.Join(ref, " ")}})
		require.GreaterOrEqual(t, int(s.Edits), max(len(hyp), len(ref))-min(len(hyp), len(ref)))
		require.LessOrEqual(t, int(s.Edits), max(len(hyp), len(ref)))
	}
}

func TestTERMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 1000 {
		config := TERConfig{CaseSensitive: r.IntN(2) == 0, NoPunctuation: r.IntN(2) == 0}
		all := NewTER(config)
		parts := [3]*TER{NewTER(config), NewTER(config), NewTER(config)}
		for range r.IntN(6) {
			hyp, refs := randomSegment(r)
			all.Add(hyp, refs...)
			parts[r.IntN(3)].Add(hyp, refs...)
		}
		require.NoError(t, parts[2].Merge(parts[0]))
		require.NoError(t, parts[2].Merge(parts[1]))
		want, got := all.Score(), parts[2].Score()
		require.GreaterOrEqual(t, got.Score, 0.0)
		require.InDelta(t, want.RefLen, got.RefLen, 1e-9)
		require.InDelta(t, want.Score, got.Score, 1e-9)
		want.RefLen, want.Score = got.RefLen, got.Score // thirds are summed in another order
		require.Equal(t, want, got)
		require.Equal(t, all.Signature(), parts[2].Signature())
	}
}

func TestAppendShifted(t *testing.T) {
	words := []int32{0, 1, 2, 3, 4, 5}
	for _, c := range []struct {
		from, size, to int
		want           []int32
	}{
		{3, 2, 1, []int32{0, 3, 4, 1, 2, 5}},
		{3, 2, 0, []int32{3, 4, 0, 1, 2, 5}},
		{1, 2, 6, []int32{0, 3, 4, 5, 1, 2}},
		{1, 2, 4, []int32{0, 3, 1, 2, 4, 5}},
		{1, 2, 1, []int32{0, 1, 2, 3, 4, 5}}, // within itself: on by so many words
		{1, 2, 2, []int32{0, 3, 1, 2, 4, 5}},
		{1, 2, 3, []int32{0, 3, 4, 1, 2, 5}},
		{4, 2, 6, []int32{0, 1, 2, 3, 4, 5}},
	} {
		assert.Equal(t, c.want, appendShifted(nil, words, c.from, c.size, c.to), "%+v", c)
	}
}

// TestTERStaysWithinLimits: sentences of some hundred words are never cut, long
// hostile texts are, and their edits are still an upper bound.
func TestTERStaysWithinLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	text := make([]string, 400)
	for i := range text {
		text[i] = fmt.Sprint(i)
	}
	ref := strings.Join(text, " ")
	for range 20 {
		i, j := r.IntN(400), r.IntN(400)
		text[i], text[j] = text[j], text[i]
	}
	s := terOf(TERConfig{}, []string{strings.Join(text, " ")}, [][]string{{ref}})
	assert.Zero(t, s.Cut)
	assert.LessOrEqual(t, s.Edits, int64(40))

	long := slices.Repeat([]string{"a", "b", "c", "c", "b", "d"}, 4000)
	ref = strings.Join(long, " ")
	for i := 0; i+5 < len(long); i += 30 {
		long[i], long[i+5] = long[i+5], long[i]
	}
	hyp := strings.Join(long, " ")
	m := NewTER(TERConfig{})
	require.Equal(t, maxWork, m.limit)
	m.limit = 1 << 23
	m.Add(hyp, ref)
	s = m.Score()
	assert.Equal(t, int64(1), s.Cut)
	assert.LessOrEqual(t, s.Edits, int64(1600))
	assert.Positive(t, s.Edits)
	assert.Equal(t, TERScore{RefLen: 24_000, Segments: 1}, terOf(TERConfig{}, []string{ref}, [][]string{{ref}}))
}
