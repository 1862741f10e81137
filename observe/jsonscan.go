package observe

import (
	"bytes"
)

// maxDepth bounds the nesting that the scanner follows.
const maxDepth = 64

// scanner reads JSON in place, without allocating. It walks one value; the
// caller asks for the members it wants and skips the others. A fault sticks:
// after it every method reports nothing.
//
// It checks structure, not spelling: a number or an escape that encoding/json
// would refuse may pass inside a value that nobody asked for.
type scanner struct {
	b      []byte
	p      int
	fault  scanFault
	layout *layout  // notes what the scan does not decide by; nil: nothing does
	keyBuf [32]byte // an unescaped key; longer ones are none of ours
}

type scanFault uint8

const (
	scanOK  scanFault = iota
	scanCut           // the input ended inside the value
	scanBad           // not JSON
)

func (s *scanner) fail(f scanFault) {
	if s.fault == scanOK {
		s.fault = f
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	if s.p < len(s.b) && s.b[s.p] > ' ' { // what a server writes
		return s.b[s.p]
	}
	return s.peekSpace()
}

func (s *scanner) peekSpace() byte {
	for ; s.p < len(s.b); s.p++ {
		switch c := s.b[s.p]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take consumes c, the next byte that is not white space.
func (s *scanner) take(c byte) bool {
	switch got := s.peek(); {
	case s.fault != scanOK:
		return false
	case got == c:
		s.p++
		return true
	case s.p == len(s.b):
		s.fail(scanCut)
	default:
		s.fail(scanBad)
	}
	return false
}

// object enters an object; any other value is skipped and reports false.
func (s *scanner) object() bool { return s.enter('{') }

// array enters an array; any other value is skipped and reports false.
func (s *scanner) array() bool { return s.enter('[') }

func (s *scanner) enter(open byte) bool {
	if s.fault != scanOK {
		return false
	}
	if s.peek() == open {
		s.p++
		return true
	}
	s.skip()
	return false
}

// member moves to the value of the i-th member of the object entered last and
// returns its key; ok is false at the end of the object.
func (s *scanner) member(i int) (key []byte, ok bool) {
	if key := s.plainMember(i); key != nil {
		return key, true
	}
	if !s.more(i, '}') {
		return nil, false
	}
	if s.peek() != '"' {
		s.expected()
		return nil, false
	}
	raw, whole := s.quoted()
	if !whole {
		return nil, false
	}
	if s.p < len(s.b) && s.b[s.p] == ':' {
		s.p++
	} else if !s.take(':') {
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		raw = unescape(s.keyBuf[:0], raw)
	}
	return raw, true
}

// plainMember is member for what servers write: no white space, and a short key
// without escapes. Otherwise it moves nothing and returns nil.
func (s *scanner) plainMember(i int) []byte {
	b := s.b
	p := s.p
	if i > 0 {
		if p >= len(b) || b[p] != ',' {
			return nil
		}
		p++
	}
	if s.fault != scanOK || p >= len(b) || b[p] != '"' {
		return nil
	}
	p++
	for end := p; end < min(p+len(s.keyBuf), len(b)-1) && b[end] != '\\'; end++ {
		if b[end] == '"' {
			if b[end+1] != ':' || end == p {
				return nil
			}
			s.p = end + 2
			return b[p:end]
		}
	}
	return nil
}

// element moves to the i-th element of the array entered last; it is false at
// the end of the array.
func (s *scanner) element(i int) bool { return s.more(i, ']') }

// more consumes the comma before an item, or the closing byte.
func (s *scanner) more(i int, end byte) bool {
	if s.fault != scanOK {
		return false
	}
	c := s.peek()
	if c == end {
		s.p++
		return false
	}
	if i > 0 && !s.take(',') {
		return false
	}
	if i > 0 && s.peek() == end { // a trailing comma
		s.fail(scanBad)
		return false
	}
	return true
}

// expected faults for a byte that should have been another.
func (s *scanner) expected() {
	if s.p >= len(s.b) {
		s.fail(scanCut)
	} else {
		s.fail(scanBad)
	}
}

// quoted consumes a string and returns what is between its quotes, escapes as
// they are; whole is false if the input ended first.
func (s *scanner) quoted() (raw []byte, whole bool) {
	start := s.p + 1
	end := stringEnd(s.b, start)
	if end < 0 {
		s.p = len(s.b)
		s.fail(scanCut)
		return s.b[start:], false
	}
	s.p = end + 1
	return s.b[start:end], true
}

// stringEnd returns where the quote is that ends the string whose content begins
// at start, -1 if it is not in b.
func stringEnd(b []byte, start int) int {
	// Most strings are short and plain: for them a loop is faster than a search.
	for i, c := range b[start:min(start+16, len(b))] {
		if c == '"' {
			return start + i
		}
		if c == '\\' {
			break
		}
	}
	for from := start; ; {
		i := bytes.IndexByte(b[from:], '"')
		if i < 0 {
			return -1
		}
		end := from + i
		n := 0 // backslashes before the quote: an odd number escapes it
		for end-n > start && b[end-n-1] == '\\' {
			n++
		}
		if n%2 == 0 {
			return end
		}
		from = end + 1
	}
}

// numberEnd returns where the number ends that begins at start, start if none
// does.
func numberEnd(b []byte, start int) int {
	if start == len(b) || b[start] != '-' && !isDigit(b[start]) {
		return start
	}
	for i, c := range b[start:] {
		if !isDigit(c) && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return start + i
		}
	}
	return len(b)
}

// str returns the raw content of a string value; any other value is skipped and
// reports false. So does a string that the input cuts: a part of a name is
// another name.
func (s *scanner) str() (raw []byte, ok bool) {
	if s.fault != scanOK {
		return nil, false
	}
	if s.peek() != '"' {
		s.skip()
		return nil, false
	}
	if raw, ok = s.quoted(); !ok {
		return nil, false
	}
	return raw, true
}

// text consumes a value and reports where its opening quote is, if it is a
// string of at least one character, and -1 otherwise. A string that the input
// cuts counts if it has begun.
func (s *scanner) text() int {
	if s.fault != scanOK {
		return -1
	}
	if s.peek() != '"' {
		s.skip()
		return -1
	}
	at := s.p
	raw, _ := s.quoted()
	s.layout.note(s.b, at, s.p, partString)
	if len(raw) == 0 {
		return -1
	}
	return at
}

// null consumes the value if it is null.
func (s *scanner) null() bool {
	if s.fault == scanOK && s.peek() == 'n' {
		s.skip()
		return s.fault == scanOK
	}
	return false
}

// isTrue consumes the value and reports whether it is true.
func (s *scanner) isTrue() bool {
	is := s.fault == scanOK && s.peek() == 't'
	s.skip()
	return is && s.fault == scanOK
}

// value is str for a string that is taken as it comes, for what k says.
func (s *scanner) value(k partKind) (raw []byte, ok bool) {
	raw, ok = s.str()
	switch l := s.layout; {
	case l == nil:
	case ok:
		l.note(s.b, s.p-len(raw)-len(`""`), s.p, k)
	default:
		l.unfit = true // in the next answer it may be a string
	}
	return raw, ok
}

// count reads a number of tokens: an integer from 0 to 2^53. Null is no number
// and no fault; anything else that is not such an integer reports bad.
func (s *scanner) count() (n int64, ok, bad bool) {
	if s.fault != scanOK || s.null() {
		return 0, false, false
	}
	s.peek()
	at := s.p
	s.skip()
	if s.fault != scanOK {
		return 0, false, false
	}
	if n, ok = integer(s.b[at:s.p]); !ok {
		return 0, false, true
	}
	return n, true, false
}

// integer returns the integer from 0 to 2^53 that raw is, if it is one.
func integer(raw []byte) (n int64, ok bool) {
	if len(raw) > len("9007199254740992") { // also a string or an object, of any size
		return 0, false
	}
	for _, c := range raw {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= 1<<53
}

// skip consumes any value.
func (s *scanner) skip() {
	var arrays uint64 // a bit for each level: 1 is an array
	depth := 0
	for s.fault == scanOK {
		switch c := s.peek(); c {
		case '{', '[':
			s.p++
			if depth == maxDepth {
				s.fail(scanBad)
				return
			}
			arrays <<= 1
			if c == '[' {
				arrays |= 1
			}
			depth++
			if n := s.peek(); c == '{' && n == '}' || c == '[' && n == ']' {
				s.p++
				depth--
				arrays >>= 1
				break
			}
			if c == '{' {
				s.skipKey()
			}
			continue
		case '"':
			from := s.p
			s.quoted()
			s.layout.note(s.b, from, s.p, partString)
		default:
			from := s.p
			s.skipLiteral(c)
			if c == '-' || isDigit(c) {
				s.layout.note(s.b, from, s.p, partNumber)
			}
		}
		if depth == 0 {
			return
		}
		// After a value: close levels, or go on to the next item.
		for s.fault == scanOK {
			if depth == 0 {
				return
			}
			c := s.peek()
			if c == ',' {
				s.p++
				if arrays&1 == 0 {
					s.skipKey()
				}
				break
			}
			if arrays&1 == 1 && c == ']' || arrays&1 == 0 && c == '}' {
				s.p++
				depth--
				arrays >>= 1
				continue
			}
			s.expected()
		}
	}
}

func (s *scanner) skipKey() {
	if s.peek() != '"' {
		s.expected()
		return
	}
	if _, whole := s.quoted(); whole {
		s.take(':')
	}
}

// skipLiteral consumes true, false, null or a number.
func (s *scanner) skipLiteral(c byte) {
	word := ""
	switch c {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if s.p = numberEnd(s.b, s.p); s.p == len(s.b) {
			s.fail(scanCut) // the numbers that we read are inside objects: the input cuts this one
		}
		return
	default:
		s.expected()
		return
	}
	rest := s.b[s.p:]
	if len(rest) < len(word) && word[:len(rest)] == string(rest) {
		s.p = len(s.b)
		s.fail(scanCut)
	} else if !bytes.HasPrefix(rest, []byte(word)) {
		s.fail(scanBad)
	} else {
		s.p += len(word)
	}
}
