package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower is Unicode's full mapping to lower case, as Python's str.lower. It
// differs from strings.ToLower in two letters: a capital sigma at the end of a
// word, and the capital I with a dot. A byte that is not valid UTF-8 may become
// U+FFFD.
func lower(text string) string {
	if !strings.ContainsAny(text, "Σİ") {
		return strings.ToLower(text)
	}
	var b strings.Builder
	b.Grow(len(text) + 8)
	for i, r := range text {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(text, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is the condition Final_Sigma of the Unicode standard, section 3.13,
// for the capital sigma at byte i: a cased letter before it, none after it, with
// what is ignorable left out.
func endsWord(text string, i int) bool {
	for before := text[:i]; ; {
		r, n := utf8.DecodeLastRuneInString(before)
		if n == 0 {
			return false
		}
		if !isIgnorable(r) {
			if !isCased(r) {
				return false
			}
			break
		}
		before = before[:len(before)-n]
	}
	for _, r := range text[i+len("Σ"):] {
		if !isIgnorable(r) {
			return !isCased(r)
		}
	}
	return true
}

func isCased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func isIgnorable(r rune) bool {
	return strings.ContainsRune("'.:·՟״‘’․‧︓﹒﹕＇．：\u0387", r) ||
		unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}
