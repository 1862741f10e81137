package observe

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// remember keeps the shape of a token event. An escape in it may hold digits
// that decide, so that shape is not kept.
func (s *stream) remember(raw []byte, at, lines int, e *event) {
	n := at + e.valueAt + 1
	if e.valueAt < 0 || raw == nil || n > memoSize || bytes.IndexByte(raw[:n], '\\') >= 0 {
		s.memoLen, s.memoLast = 0, false
		return
	}
	s.memoLen = copy(s.memo[:], raw[:n])
	s.memoLines, s.memoClass = lines, e.class
	s.memoLast = s.kind == bodyNDJSON || bytes.Count(s.memo[:s.memoLen], []byte("\n"))+1 == lines
}

// whole reports whether a piece is exactly one event that begins like the last
// token event, which is what a server that flushes each token writes.
func (s *stream) whole(b []byte) bool {
	if s.memoLen == 0 || !s.memoLast || s.noMemo || s.carryLen > 0 || s.framer.midLine || s.framer.skipLF || len(b) > inPlace {
		return false
	}
	j := s.memoEnd(b)
	if j < 0 || j >= len(b) || b[j] == '"' || b[j] == '\n' || b[j] == '\r' {
		return false
	}
	rest := b[j:]
	n := len(rest)
	switch {
	case n < 4 || rest[n-1] != '\n':
		return false
	case s.kind == bodyNDJSON:
		n--
	case rest[n-2] == '\n':
		n -= 2
	case rest[n-2] == '\r' && rest[n-3] == '\n' && rest[n-4] == '\r':
		n -= 4
	default:
		return false
	}
	rest = rest[:n]
	return bytes.IndexByte(rest, '\n') < 0 && (s.kind == bodyNDJSON || bytes.IndexByte(rest, '\r') < 0)
}

// memoEnd returns where in raw the memo ends, -1 if raw begins otherwise.
func (s *stream) memoEnd(raw []byte) int {
	if n := s.memoLen; len(raw) >= n && bytes.Equal(raw[:n], s.memo[:n]) {
		return n
	}
	return matchDigits(raw, s.memo[:s.memoLen])
}

// remembered reports whether an event begins like the last token event up to
// the opening quote of its output, and the output is not empty. The same bytes
// leave a JSON parser in the same state, so this decides as a scan would; so do
// bytes that differ in runs of digits only, since digits are never structure
// and none of the keys and values that decide contains one. The data was the
// last line of the event; with as many lines it is so here too.
func (s *stream) remembered(raw []byte, lines int) bool {
	if s.memoLen == 0 || lines != s.memoLines || s.noMemo {
		return false
	}
	j := s.memoEnd(raw)
	return j >= 0 && j < len(raw) && raw[j] != '"' && raw[j] != '\n' && raw[j] != '\r'
}

// matchDigits returns where in raw the memo ends if it matches but for the
// digits in it, else -1.
func matchDigits(raw, memo []byte) int {
	i, j := 0, 0
	for {
		n := same(raw[j:], memo[i:])
		i += n
		j += n
		if i == len(memo) {
			return j
		}
		if j == len(raw) {
			return -1
		}
		// The runs may have begun before this place, or begin here; both must
		// have a digit.
		begun := i > 0 && isDigit(memo[i-1])
		if !begun && (!isDigit(memo[i]) || !isDigit(raw[j])) {
			return -1
		}
		if begun && !isDigit(memo[i]) && !isDigit(raw[j]) {
			return -1
		}
		for i < len(memo) && isDigit(memo[i]) {
			i++
		}
		for j < len(raw) && isDigit(raw[j]) {
			j++
		}
	}
}

// same returns how many bytes a and b have in common from the front.
func same(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
