package tinylm

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// maxVocab is the largest number of symbols, the unknown one among them.
const maxVocab = 128

// unknown is the symbol of every rune outside the vocabulary and of every byte
// that is not part of valid UTF-8. It is read, and never written.
const unknown = 0

// vocab maps runes to symbols and back. It is not changed once made.
type vocab struct {
	runes []rune // by symbol; runes[unknown] is U+FFFD, the others ascend
	texts []string
	ascii [utf8.RuneSelf]uint8
	other map[rune]uint8
}

// newVocab takes the most frequent runes of text.
func newVocab(text []byte) *vocab {
	count := map[rune]int{}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r != utf8.RuneError {
			count[r]++
		}
	}
	runes := make([]rune, 0, len(count))
	for r := range count {
		runes = append(runes, r)
	}
	slices.SortFunc(runes, func(a, b rune) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	runes = runes[:min(len(runes), maxVocab-1)]
	slices.Sort(runes)
	return vocabOf(slices.Insert(runes, unknown, utf8.RuneError))
}

func vocabOf(runes []rune) *vocab {
	v := &vocab{runes: runes, other: map[rune]uint8{}}
	for i, r := range runes {
		v.texts = append(v.texts, string(r))
		if i == unknown {
			continue
		}
		if r < utf8.RuneSelf {
			v.ascii[r] = uint8(i)
		} else {
			v.other[r] = uint8(i)
		}
	}
	return v
}

// symbol returns the symbol of r.
func (v *vocab) symbol(r rune) uint8 {
	if r >= 0 && r < utf8.RuneSelf {
		return v.ascii[r]
	}
	return v.other[r]
}

// encode returns the symbols of text.
func (v *vocab) encode(text []byte) []uint8 {
	ids := make([]uint8, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		ids = append(ids, v.symbol(r))
	}
	return ids
}
