package mlflow

import (
	"encoding/json"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// keyName returns a name that every version of the server accepts: letters,
// digits and "_./- ", a path that is clean, at most 250 bytes. Other characters
// become "_". cut says that it was too long.
func keyName(s string) (name string, cut bool) {
	s, cut = shorten(s, maxKey)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '/', r == '.', r == '-', r == ' ', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return r
		}
		return '_'
	}, s)
	s = path.Clean("/" + s)[1:]
	if rest, ok := strings.CutPrefix(s, ".."); ok {
		s = "__" + rest
	}
	if s == "" {
		s = "_"
	}
	return s, cut
}

// plainText returns a value without control characters, which some databases
// refuse, and of at most limit bytes.
func plainText(s string, limit int) (text string, cut bool) {
	s, cut = shorten(s, limit)
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			return ' '
		}
		return r
	}, s), cut
}

// shorten cuts a text at a character.
func shorten(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	for i := 0; i < utf8.UTFMax-1 && !utf8.RuneStart(s[limit]); i++ {
		limit--
	}
	return s[:limit], true
}

// jsonString returns the JSON of a text that is valid UTF-8 or nearly so.
func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string can always be encoded
	}
	return string(b)
}
