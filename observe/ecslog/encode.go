package ecslog

import (
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxTermBytes is the longest term of Lucene. A longer value of a keyword without
// ignore_above has its document refused.
const maxTermBytes = 32766

// flattenedKey is the member under which a text stands in a field of type
// flattened, which takes objects only. Its term is the member's name, a zero byte
// and the text.
const flattenedKey = "text"

// appendValue appends the value of a field under its own name.
func (l *line) appendValue(b []byte, f *field) []byte {
	v := f.value
	switch f.kind {
	case slog.KindAny:
		return l.appendList(b, f)
	case slog.KindInt64:
		if f.key.kind == typeDouble || f.key.kind == typeFloat {
			return appendFloat(b, float64(v.Int64()))
		}
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		if f.key.kind == typeDouble || f.key.kind == typeFloat {
			return appendFloat(b, float64(v.Uint64()))
		}
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return appendFloat(b, v.Float64())
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return strconv.AppendInt(b, int64(v.Duration()), 10)
	case slog.KindTime:
		return appendTime(b, v.Time())
	}
	text, limit := l.text(f), l.termLimit
	switch f.key.kind {
	case typeText, typeWildcard:
		limit = l.h.core.cfg.MaxValueBytes
	case typeFlattened:
		limit -= len(flattenedKey) + 1
		b = append(b, `{"`+flattenedKey+`":`...)
		return append(l.appendText(b, f, text, limit), '}')
	case typeKeywords:
		return append(l.appendText(append(b, '['), f, text, limit), ']')
	}
	return l.appendText(b, f, text, limit)
}

// appendLabelValue appends the value of a field as that of a label: a string.
func (l *line) appendLabelValue(b []byte, f *field) []byte {
	switch f.kind {
	case slog.KindAny:
		return l.appendText(b, f, strings.Join(l.list(f), ","), l.termLimit)
	case slog.KindString:
		return l.appendText(b, f, l.text(f), l.termLimit)
	}
	b = append(b, '"')
	v := f.value
	switch f.kind {
	case slog.KindInt64:
		b = strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		b = strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		b = appendFloat(b, v.Float64())
	case slog.KindBool:
		b = strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		b = strconv.AppendInt(b, int64(v.Duration()), 10)
	case slog.KindTime:
		b = v.Time().UTC().AppendFormat(b, time.RFC3339Nano)
	}
	return append(b, '"')
}

// appendText appends a string that is cut at a limit.
func (l *line) appendText(b []byte, f *field, s string, limit int) []byte {
	s, cut := cutText(s, limit)
	f.cut = f.cut || cut
	return appendString(b, s)
}

// appendList appends an array of strings, which together are as long as one may be.
func (l *line) appendList(b []byte, f *field) []byte {
	b = append(b, '[')
	left := l.termLimit
	for i, s := range l.list(f) {
		if left <= 0 {
			f.cut = true
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = l.appendText(b, f, s, left)
		left -= len(s) + 1
	}
	return append(b, ']')
}

// fits reports whether a value can be written under its own name.
func (f *field) fits() bool {
	kind := f.key.kind
	if kind == typeLabel || kind == typeNested || kind == typeObject {
		return false
	}
	switch v := f.value; f.kind {
	case slog.KindAny:
		return kind == typeKeywords || kind == typeOwn && !hasNonfinite(f.list())
	case slog.KindString:
		return fitsText(kind, v.String())
	case slog.KindInt64:
		return fitsInt(kind, v.Int64())
	case slog.KindUint64:
		return v.Uint64() <= math.MaxInt64 && fitsInt(kind, int64(v.Uint64()))
	case slog.KindFloat64:
		// Elasticsearch maps a number with a point that it sees first as 32 bits.
		most := math.MaxFloat32
		if kind == typeDouble {
			most = math.MaxFloat64
		}
		return (kind == typeOwn || kind == typeFloat || kind == typeDouble) && math.Abs(v.Float64()) <= most
	case slog.KindBool:
		return kind == typeOwn
	case slog.KindDuration:
		return fitsInt(kind, int64(v.Duration()))
	case slog.KindTime:
		return (kind == typeOwn || kind == typeDate) && yearFits(v.Time())
	}
	return false
}

func fitsInt(kind fieldType, n int64) bool {
	switch kind {
	case typeOwn, typeLong, typeDouble, typeFloat:
		return true
	case typeInteger:
		return n == int64(int32(n))
	}
	return false
}

func fitsText(kind fieldType, s string) bool {
	switch kind {
	case typeOwn:
		return !spellsNonfinite(s)
	case typeText, typeWildcard, typeKeyword, typeKeywords, typeFlattened:
		return true
	case typeIP:
		a, err := netip.ParseAddr(s)
		return err == nil && a.Zone() == ""
	}
	return false
}

// yearFits reports whether RFC 3339 has the year.
func yearFits(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// spellsNonfinite reports whether a string is what others write for a number that
// JSON has no form for.
func spellsNonfinite(s string) bool {
	if len(s) < len("NaN") || len(s) > len("-Infinity") {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

func hasNonfinite(list []string) bool {
	return slices.ContainsFunc(list, spellsNonfinite)
}

// appendFloat appends the shortest number that reads as the same value. It has a
// point or an exponent, so that nothing takes it for an integer.
func appendFloat(b []byte, x float64) []byte {
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, x, 'e', -1, 64)
	}
	from := len(b)
	b = strconv.AppendFloat(b, x, 'f', -1, 64)
	if slices.Contains(b[from:], '.') {
		return b
	}
	return append(b, '.', '0')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// cutText returns at most limit bytes of a string, cut before a rune. What is not
// UTF-8 is replaced before, as it grows by that.
func cutText(s string, limit int) (string, bool) {
	if len(s) <= limit/len(string(utf8.RuneError)) {
		return s, false
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	if len(s) <= limit {
		return s, false
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], true
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

// appendEscaped appends what stands between the quotes of a JSON string. Bytes that
// are not UTF-8 become U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plainBytes[c] {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			b = appendEscape(b, c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		// Some readers take the line and paragraph separators for ends of lines.
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[from:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, "\uFFFD"...)
			}
			from = i + size
		}
		i += size
	}
	return append(b, s[from:]...)
}

// plainBytes are the ASCII characters that stand for themselves in a JSON string.
var plainBytes = func() (t [utf8.RuneSelf]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
