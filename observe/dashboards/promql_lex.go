package dashboards

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// tokenKind is the kind of a token of PromQL.
type tokenKind uint8

const (
	tokenEnd      tokenKind = iota
	tokenWord               // a name or a keyword, colons included
	tokenNumber             // 1, .5, 1e3, 0x1f
	tokenDuration           // 5m, 1h30m
	tokenString             // text is what is between the quotes, unescaped
	tokenVariable           // $name or ${name:format}: Grafana puts something else there
	tokenSign               // an operator, a bracket, a comma, a colon between brackets
)

// token is a piece of an expression, src[from:to].
type token struct {
	kind     tokenKind
	text     string
	from, to int
}

// is reports whether the token is one of the signs.
func (t token) is(signs ...string) bool {
	if t.kind != tokenSign {
		return false
	}
	return slices.Contains(signs, t.text)
}

// word reports whether the token is one of the keywords, which are written in any case.
func (t token) word(keywords ...string) bool {
	if t.kind != tokenWord {
		return false
	}
	for _, k := range keywords {
		if strings.EqualFold(t.text, k) {
			return true
		}
	}
	return false
}

// lex cuts an expression into tokens, the last of which is tokenEnd.
func lex(src string) ([]token, error) {
	var tokens []token
	inRange := false // between square brackets a colon is a sign, not a letter
	for at := 0; ; {
		at += blank(src[at:])
		if at == len(src) {
			return append(tokens, token{tokenEnd, "", at, at}), nil
		}
		t, err := next(src, at, inRange)
		if err != nil {
			return nil, err
		}
		inRange = t.is("[") || inRange && !t.is("]")
		tokens = append(tokens, t)
		at = t.to
	}
}

// blank returns the length of the white space and comments that s begins with.
func blank(s string) int {
	n := 0
	for n < len(s) {
		switch s[n] {
		case ' ', '\t', '\n', '\r':
			n++
		case '#':
			if end := strings.IndexByte(s[n:], '\n'); end >= 0 {
				n += end
			} else {
				n = len(s)
			}
		default:
			return n
		}
	}
	return n
}

// next reads the token at src[at:], which is not empty.
func next(src string, at int, inRange bool) (token, error) {
	s := src[at:]
	piece := func(kind tokenKind, n int) (token, error) { return token{kind, s[:n], at, at + n}, nil }
	switch c := s[0]; {
	case letter(c) || c == ':' && !inRange:
		n := 1
		for n < len(s) && (letter(s[n]) || digit(s[n]) || s[n] == ':' && !inRange) {
			n++
		}
		return piece(tokenWord, n)
	case digit(c), c == '.' && len(s) > 1 && digit(s[1]):
		return number(s, at)
	case c == '"', c == '\'', c == '`':
		return quoted(s, at)
	case c == '$':
		if n := variableEnd(s); n > 0 {
			return piece(tokenVariable, n)
		}
	case len(s) > 1 && strings.Contains("== != >= <= =~ !~", s[:2]) && s[1] != ' ':
		return piece(tokenSign, 2)
	case strings.IndexByte("+-*/%^=<>(){}[],:@", c) >= 0:
		return piece(tokenSign, 1)
	}
	r, _ := utf8.DecodeRuneInString(s)
	return token{}, fmt.Errorf("at %d: unexpected %q", at, r)
}

func letter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// number reads a number or a duration.
func number(s string, at int) (token, error) {
	if n := durationEnd(s); n > 0 {
		return token{tokenDuration, s[:n], at, at + n}, nil
	}
	n := 0
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		for n = 2; n < len(s) && (digit(s[n]) || 'a' <= s[n]|0x20 && s[n]|0x20 <= 'f'); n++ {
		}
	} else {
		for n < len(s) && digit(s[n]) {
			n++
		}
		if n < len(s) && s[n] == '.' {
			for n++; n < len(s) && digit(s[n]); n++ {
			}
		}
		if n < len(s) && s[n]|0x20 == 'e' {
			e := n + 1
			if e < len(s) && (s[e] == '+' || s[e] == '-') {
				e++
			}
			for from := e; e < len(s) && digit(s[e]); e++ {
				n = max(e, from) + 1
			}
		}
	}
	if n < len(s) && (letter(s[n]) || s[n] == '.') {
		return token{}, fmt.Errorf("at %d: %q is neither a number nor a duration", at, s[:n+1])
	}
	return token{tokenNumber, s[:n], at, at + n}, nil
}

// durationEnd returns the length of the duration that s begins with, such as
// 1h30m, or 0. Its units are in falling order.
func durationEnd(s string) int {
	units := []string{"y", "w", "d", "h", "m", "s", "ms"}
	n := 0
	for {
		digits := n
		for digits < len(s) && digit(s[digits]) {
			digits++
		}
		if digits == n {
			break
		}
		end := digits
		for end < len(s) && letter(s[end]) {
			end++
		}
		found := -1
		for i, u := range units {
			if s[digits:end] == u {
				found = i
			}
		}
		if found < 0 {
			return 0
		}
		units = units[found+1:]
		n = end
	}
	return n
}

// variableEnd returns the length of the Grafana variable that s begins with, or 0.
func variableEnd(s string) int {
	if strings.HasPrefix(s, "${") {
		end := strings.IndexByte(s, '}')
		if end < 3 || !letter(s[2]) {
			return 0
		}
		return end + 1
	}
	n := 1
	for n < len(s) && (letter(s[n]) || n > 1 && digit(s[n])) {
		n++
	}
	if n == 1 {
		return 0
	}
	return n
}

// quoted reads a string in single, double or back quotes.
func quoted(s string, at int) (token, error) {
	quote := s[0]
	var text strings.Builder
	for n := 1; n < len(s); n++ {
		switch c := s[n]; {
		case c == quote:
			return token{tokenString, text.String(), at, at + n + 1}, nil
		case c == '\n' && quote != '`':
			return token{}, fmt.Errorf("at %d: a string with a line break", at)
		case c == '\\' && quote != '`':
			value, size, err := escape(s[n:], quote)
			if err != nil {
				return token{}, fmt.Errorf("at %d: %w", at+n, err)
			}
			text.WriteString(value)
			n += size - 1
		default:
			text.WriteByte(c)
		}
	}
	return token{}, fmt.Errorf("at %d: a string without its end", at)
}
