package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Empty is true if the text is nothing but white space.
func Empty(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !isSpace(r) }) < 0
}

// Distinct is the share of a text's n-grams of words that are different from
// all before them, over 0 to 1 (distinct-1, distinct-2). Low means that the text
// repeats itself; it falls with the length of any text, so compare texts of like
// length. It is not ok where there is no n-gram: n below 1, or fewer than n
// words. Time is linear in n times words.
func Distinct(n int, words []string) (ratio float64, ok bool) {
	if n < 1 || len(words) < n {
		return 0, false
	}
	tokens := vocabulary{}.number(make([]int32, 0, len(words)), words)
	numbers := make([]int32, len(words))
	next := map[uint64]int32{}
	for k := 1; k <= n; k++ {
		clear(next)
		for i := range len(words) - k + 1 {
			key := gramKey(numbers[i], tokens[i+k-1])
			number, known := next[key]
			if !known {
				number = int32(len(next))
				next[key] = number
			}
			numbers[i] = number
		}
	}
	return float64(len(next)) / float64(len(words)-n+1), true
}

// Openings returns the words with which assistants refuse, in English: what
// [Refused] looks for when the application has nothing better. The slice is the
// caller's, to change.
func Openings() []string {
	return []string{
		"I'm sorry, but I can't", "I'm sorry, but I cannot", "I'm sorry, but I'm not able",
		"I'm sorry, but I'm unable", "I'm sorry, but I won't", "I'm sorry, I can't", "I'm sorry, I cannot",
		"I am sorry, but I can't", "I am sorry, but I cannot", "I am sorry, but I am unable",
		"Sorry, but I can't", "Sorry, but I cannot", "Sorry, I can't", "Sorry, I cannot",
		"I apologize, but I can't", "I apologize, but I cannot", "I apologize, but I'm unable",
		"I can't help with", "I can't assist with", "I can't provide", "I can't comply",
		"I cannot help with", "I cannot assist with", "I cannot provide", "I cannot comply", "I cannot fulfill",
		"I can't fulfill", "I'm unable to help", "I'm unable to assist", "I am unable to help", "I am unable to assist",
		"I'm not able to help", "I'm not able to assist", "I am not able to help", "I am not able to assist",
		"I won't help", "I won't be able to", "I will not help", "I must decline", "I have to decline",
		"As an AI language model, I can't", "As an AI language model, I cannot", "As an AI, I can't", "As an AI, I cannot",
	}
}

// Refused is true if the text begins with one of the openings, which must end
// where a word does. White space, quotation marks and marks of emphasis before
// the text are skipped, case is not looked at, the typographic apostrophe equals
// the plain one and any white space equals a space. An empty opening is none. It
// finds refusals by their form alone: one that begins otherwise is missed, and a
// story that begins so is taken for one. Time is linear in the openings and in
// the white space they meet, whatever the text's length.
func Refused(text string, openings []string) bool {
	text = strings.TrimLeftFunc(text, func(r rune) bool {
		return isSpace(r) || strings.ContainsRune("\"'*_>“”‘’«»", r)
	})
	for _, o := range openings {
		if o = strings.TrimFunc(o, isSpace); o != "" && opens(text, o) {
			return true
		}
	}
	return false
}

func opens(text, opening string) bool {
	for opening != "" {
		if text == "" {
			return false
		}
		var a, b rune
		a, text = nextFolded(text)
		b, opening = nextFolded(opening)
		if a != b {
			return false
		}
	}
	r, _ := utf8.DecodeRuneInString(text)
	return !isWordRune(r)
}

// nextFolded returns the first rune of a text that is not empty, as it is
// compared, and the rest. White space is one space, however long.
func nextFolded(text string) (rune, string) {
	r, n := utf8.DecodeRuneInString(text)
	switch {
	case isSpace(r):
		return ' ', strings.TrimLeftFunc(text, isSpace)
	case strings.ContainsRune("’‘ʼ＇", r):
		r = '\''
	}
	return unicode.ToLower(r), text[n:]
}
