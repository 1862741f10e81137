package text

import (
	"strings"
	"unicode"
)

// Exact is true if the answer equals a reference, white space at both ends left
// out. Nothing else is changed: case, punctuation and inner spaces count.
func Exact(answer string, refs ...string) bool {
	answer = strings.TrimFunc(answer, isSpace)
	for _, ref := range refs {
		if strings.TrimFunc(ref, isSpace) == answer {
			return true
		}
	}
	return false
}

// SQuAD compares an answer with its references as the evaluation of SQuAD 2.0
// does, and returns the best of each figure over the references. Both sides are
// put in lower case, lose ASCII punctuation and the words a, an and the, and are
// split at white space. Exact says that the words are equal. F1, 0 to 1, is the
// harmonic mean of the shares of words that answer and reference have in
// common, a word as often as it stands in both; if either side has no word left,
// it is 1 when both have none, else 0. Without references the result is false
// and 0. Time is linear in the texts.
func SQuAD(answer string, refs ...string) (exact bool, f1 float64) {
	words := squadWords(answer)
	for _, ref := range refs {
		e, f := compareWords(words, squadWords(ref))
		exact, f1 = exact || e, max(f1, f)
	}
	return exact, f1
}

func compareWords(answer, ref []string) (exact bool, f1 float64) {
	exact = strings.Join(answer, " ") == strings.Join(ref, " ")
	if len(answer) == 0 || len(ref) == 0 {
		if exact {
			return true, 1
		}
		return false, 0
	}
	left := map[string]int{}
	for _, w := range ref {
		left[w]++
	}
	same := 0
	for _, w := range answer {
		if left[w] > 0 {
			left[w]--
			same++
		}
	}
	return exact, 2 * float64(same) / float64(len(answer)+len(ref))
}

func squadWords(text string) []string {
	text = strings.Map(func(r rune) rune {
		if r < 0x80 && isPunctuation(byte(r)) {
			return -1
		}
		return r
	}, lower(text))
	return Words(dropArticles(text))
}

// dropArticles puts a space for a, an and the. An article ends where letters and
// digits do, in any script, so that an em dash parts it from its neighbour.
func dropArticles(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		end := strings.IndexFunc(text, func(r rune) bool { return !isWordRune(r) })
		if end < 0 {
			end = len(text)
		}
		switch run := text[:end]; run {
		case "a", "an", "the":
			b.WriteByte(' ')
		default:
			b.WriteString(run)
		}
		text = text[end:]
		next := strings.IndexFunc(text, isWordRune)
		if next < 0 {
			next = len(text)
		}
		b.WriteString(text[:next])
		text = text[next:]
	}
	return b.String()
}

func isWordRune(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
}
