package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Words returns the words of a text: what stands between white space. White
// space is Unicode's, and U+001C to U+001F, as in Python's str.split. The words
// share the memory of the text. Time is linear in the text.
func Words(text string) []string {
	return strings.FieldsFunc(text, isSpace)
}

func isSpace(r rune) bool {
	return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f
}

// A tokenizer splits one right-trimmed line into words.
type tokenizer func(line string) []string

// The names of the tokenizers, as BLEUConfig has them.
const (
	tokenizer13a  = "13a"
	tokenizerNone = "none"
	tokenizerChar = "char"
)

// tokenizerNamed returns nil for a name that it does not know.
func tokenizerNamed(name string) tokenizer {
	switch name {
	case tokenizer13a:
		return tokens13a
	case tokenizerNone:
		return Words
	case tokenizerChar:
		return tokensChar
	}
	return nil
}

// tokens13a splits as mteval-v13a, the tokenizer of the WMT evaluations, does.
func tokens13a(line string) []string {
	line = strings.ReplaceAll(line, "<skipped>", "")
	line = strings.ReplaceAll(line, "-\n", "")
	line = unescape(strings.ReplaceAll(line, "\n", " "))
	return Words(string(splitNumbers(splitPunctuation(" " + line + " "))))
}

// tokensChar makes every rune a word, and every byte that is not valid UTF-8.
func tokensChar(line string) []string {
	tokens := make([]string, 0, len(line))
	for len(line) > 0 {
		r, n := utf8.DecodeRuneInString(line)
		if !isSpace(r) {
			tokens = append(tokens, line[:n])
		}
		line = line[n:]
	}
	return tokens
}

// unescape resolves four entities, one after the other: &amp;lt; becomes <.
func unescape(line string) string {
	if strings.IndexByte(line, '&') < 0 {
		return line
	}
	line = strings.ReplaceAll(line, "&quot;", `"`)
	line = strings.ReplaceAll(line, "&amp;", "&")
	line = strings.ReplaceAll(line, "&lt;", "<")
	return strings.ReplaceAll(line, "&gt;", ">")
}

// splitPunctuation puts spaces around ASCII punctuation other than ' , - and
// the full stop.
func splitPunctuation(line string) []byte {
	out := make([]byte, 0, len(line)+len(line)/4+16)
	for i := range len(line) {
		if c := line[i]; isPunctuation(c) && !strings.ContainsRune("',-.", rune(c)) {
			out = append(out, ' ', c, ' ')
		} else {
			out = append(out, c)
		}
	}
	return out
}

// splitNumbers takes full stops, commas and dashes from words, but not from
// within numbers. Each of the three passes reads what the one before wrote, and
// a match of two bytes consumes both, as the regular expressions of
// mteval-v13a do.
func splitNumbers(line []byte) []byte {
	line = eachPair(line, func(a, b byte) bool { return !isDigit(a) && isStop(b) }, "\x00 \x01 ")
	line = eachPair(line, func(a, b byte) bool { return isStop(a) && !isDigit(b) }, " \x00 \x01")
	return eachPair(line, func(a, b byte) bool { return isDigit(a) && b == '-' }, "\x00 \x01 ")
}

// eachPair replaces pairs of bytes by the pattern, in which 0 stands for the
// first and 1 for the second. Only ASCII decides, so that the parts of a longer
// rune stay together.
func eachPair(line []byte, match func(a, b byte) bool, pattern string) []byte {
	out := make([]byte, 0, len(line)+len(line)/4+16)
	for i := 0; i < len(line); i++ {
		if i+1 == len(line) || !match(line[i], line[i+1]) {
			out = append(out, line[i])
			continue
		}
		for j := range len(pattern) {
			switch pattern[j] {
			case 0:
				out = append(out, line[i])
			case 1:
				out = append(out, line[i+1])
			default:
				out = append(out, ' ')
			}
		}
		i++
	}
	return out
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isStop(c byte) bool { return c == '.' || c == ',' }

// isPunctuation is true for the 32 marks of Python's string.punctuation.
func isPunctuation(c byte) bool {
	return '!' <= c && c <= '/' || ':' <= c && c <= '@' || '[' <= c && c <= '`' || '{' <= c && c <= '~'
}

// trimRight drops white space at the end.
func trimRight(text string) string {
	return strings.TrimRightFunc(text, isSpace)
}
