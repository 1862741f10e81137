package observe

import "bytes"

// A layout is what the JSON answers of a server have in common: every byte but
// those of the strings and numbers that a scan only passes over or takes as they
// come. Around them the same bytes lead a scan through the same states, so an
// answer that has the layout says what a scan would find, for a comparison of
// bytes and a search for quotes. A scan notes the layout of what it reads; it
// stays with the scratch of the stream until an answer differs.
type layout struct {
	parts [48]part
	n     int        // of parts; 0: there is no layout
	text  [1024]byte // the fixed bytes, those behind the last part too
	size  int        // of text

	protocol Protocol // that the fixed bytes show

	noted int  // while a scan notes it: where in the answer the last part ends
	unfit bool // it does not fit, or could not serve for others
}

// part is a string with its quotes, or a number.
type part struct {
	at   uint16 // in text: the fixed bytes before it end here
	kind partKind
}

// partKind says what a part is read for.
type partKind uint8

const (
	partString partKind = iota // nothing
	partModel
	partFinish // the finish reason of a choice: an empty one is none
	partReason // any other finish reason
	partStatus
	partNumber // nothing, and the first of the numbers
	partCount  // a count of tokens: partCount + its countKind
)

// begin makes ready for a scan.
func (l *layout) begin() { l.n, l.size, l.noted, l.unfit = 0, 0, 0, false }

// note adds the part b[from:to], and what is fixed before it. A nil layout notes
// nothing.
func (l *layout) note(b []byte, from, to int, k partKind) {
	if l == nil || l.unfit {
		return
	}
	l.fix(b[l.noted:from])
	l.noted = to
	if l.n == len(l.parts) {
		l.unfit = true
		return
	}
	l.parts[l.n] = part{uint16(l.size), k}
	l.n++
}

// counted says that the number noted last is a count.
func (l *layout) counted(k countKind) {
	if l != nil && !l.unfit {
		l.parts[l.n-1].kind = partCount + partKind(k)
	}
}

// fix adds bytes that stay.
func (l *layout) fix(b []byte) {
	n := copy(l.text[l.size:], b)
	l.size += n
	l.unfit = l.unfit || n < len(b)
}

// end completes the layout of the answer b. One with a count that cannot be is
// forgotten: in the next answer it may be one. So is one that ends with a part: a
// number alone has no fixed byte behind it that says where it ends.
func (l *layout) end(b []byte, e *event) {
	l.protocol = e.protocol
	bare := l.noted == len(b)
	if l.fix(b[l.noted:]); l.unfit || bare || e.usage.bad > 0 {
		l.n = 0
	}
}

// read reads an answer that has the layout. If it is false, e may hold anything.
func (l *layout) read(b []byte, e *event) bool {
	if l.n == 0 {
		return false
	}
	at, p := 0, 0 // in text, in b
	for i := range l.parts[:l.n] {
		next := &l.parts[i]
		fixed := l.text[at:next.at]
		at = int(next.at)
		from := p + len(fixed)
		if from >= len(b) || string(b[p:from]) != string(fixed) {
			return false
		}
		if next.kind < partNumber {
			if b[from] != '"' {
				return false
			}
			end := stringEnd(b, from+1)
			if end < 0 {
				return false
			}
			if next.kind != partString {
				e.word(next.kind, b[from+1:end])
			}
			p = end + 1
			continue
		}
		if p = numberEnd(b, from); p == from {
			return false
		}
		if next.kind != partNumber {
			n, ok := integer(b[from:p])
			if !ok {
				return false
			}
			e.usage.set(countKind(next.kind-partCount), n)
		}
	}
	e.protocol = l.protocol
	return bytes.HasPrefix(b[p:], l.text[at:l.size])
}

// word takes a string for what it is read for.
func (e *event) word(k partKind, raw []byte) {
	switch k {
	case partModel:
		e.model = raw
	case partFinish:
		if len(raw) > 0 {
			e.finish = raw
		}
	case partReason:
		e.finish = raw
	case partStatus:
		e.status = raw
	}
}
