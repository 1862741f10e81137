package observe

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// Sizes of the scratch of one stream. Together they stay below 8 KiB, whatever
// the stream's length.
const (
	carrySize = 4096     // an event that spans Writes, or the end of a JSON body
	carryHead = 1024     // of a longer one: its beginning; the rest is its end
	lastSize  = 2048     // the end of the last token event
	memoSize  = 512      // the shape of a token event
	inPlace   = 64 << 10 // longer events inside one Write are read in part:
	placeHead = 8 << 10  // from their beginning
	placeTail = 16 << 10 // and their end
)

// bodyKind is how a response body is read.
type bodyKind uint8

const (
	bodyUnknown bodyKind = iota // not decided yet
	bodyOpaque                  // timed and counted only
	bodySSE
	bodyNDJSON
	bodyJSON
	bodySniff // no Content-Type: SSE if it begins like it
)

// stream reads one response body as it is written. It knows no time: it says
// which Write completed what, and the caller reads the clock if it must.
type stream struct {
	streamState
	carry [carrySize]byte
	last  [lastSize]byte
	memo  [memoSize]byte
	gaps  gapBuffer

	model, finish, detail word // what the response says

	layout *layout // of the JSON answer that this scratch read last; nil: of none
}

type streamState struct {
	kind     bodyKind
	protocol Protocol // ProtocolAuto until a shape is known
	first    FirstToken
	framer   framer
	started  bool // the first event is past: no byte order mark any more

	carryLen, carryPos int // bytes in carry; where its end wraps around
	carryCut           bool

	memoLen   int
	memoLines int
	memoLast  bool // the memo ends in the last line of its event
	memoClass class

	lastRef          []byte // payload of the last token event, until the Write returns
	lastLen          int    // or its copy in last
	lastRaw          bool   // it has its field names: it was remembered, not parsed
	lastCut, hasLast bool

	// Of the Write being read.
	tokens  int  // token events it completed
	content bool // one of them is not reasoning
	events  int  // data events it completed

	clock        tokenClock
	usage        tally
	streamError  bool
	terminal     bool
	reasoned     bool // a reasoning event was streamed
	answered     bool // an event of any other output was
	thoughtFirst bool // reasoning came before any other output
	badEvents    int
	truncated    int
	bytes        int64
	noMemo       bool // tests: scan every event and answer
}

// maxWord is one byte more than a label value may have, so that a name which was
// cut is not taken for a whole one.
const maxWord = maxNameBytes + 1

// word is a short string kept by value: what is longer than maxWord is cut.
type word struct {
	n   uint8
	buf [maxNameBytes + utf8.UTFMax]byte // maxWord, and room for the character that crosses it
}

func (w *word) set(raw []byte) {
	n := 0
	if bytes.IndexByte(raw, '\\') >= 0 {
		n = len(unescape(w.buf[:0], raw))
	} else {
		n = copy(w.buf[:], raw)
	}
	w.n = uint8(min(n, maxWord))
}

func (w *word) bytes() []byte { return w.buf[:w.n] }

// cut leaves at most n bytes, and no part of a character.
func (w *word) cut(n int) {
	if int(w.n) <= n {
		return
	}
	for n > 0 && !utf8.RuneStart(w.buf[n]) {
		n--
	}
	w.n = uint8(n)
}

var streams = sync.Pool{New: func() any { return new(stream) }}

func newStream(kind bodyKind, p Protocol, first FirstToken) *stream {
	s := streams.Get().(*stream)
	s.streamState = streamState{}
	s.kind, s.protocol, s.first = kind, p, first
	s.model.n, s.finish.n, s.detail.n = 0, 0, 0
	s.framer.lineBased = kind == bodyNDJSON
	return s
}

func (s *stream) free() {
	s.lastRef, s.framer.b = nil, nil
	streams.Put(s)
}

// write reads the accepted bytes of one Write; tokens, content and events then
// say what it completed. It keeps no reference to b.
func (s *stream) write(b []byte) {
	s.tokens, s.content, s.events = 0, false, 0
	if len(b) == 0 {
		return
	}
	s.bytes += int64(len(b))
	switch s.kind {
	case bodySniff:
		if b = s.sniff(b); b != nil {
			s.frames(b)
		}
	case bodySSE, bodyNDJSON:
		s.frames(b)
	case bodyJSON:
		s.keep(b, 0)
	}
}

// pending reports whether an event has begun and not ended: if the body ends
// here, it does too, at the time of this Write.
func (s *stream) pending() bool {
	return s.carryLen > 0 && (s.kind == bodySSE || s.kind == bodyNDJSON)
}

// sniff decides whether a body without Content-Type is SSE, once enough bytes
// are there, and returns the bytes to read.
func (s *stream) sniff(b []byte) []byte {
	const longest = len("event:")
	n := s.carryLen
	s.carryLen += copy(s.carry[n:longest], b)
	got := s.carry[:s.carryLen]
	for _, prefix := range [...]string{":", "data:", "event:"} {
		if bytes.HasPrefix(got, []byte(prefix)) {
			s.kind, s.carryLen = bodySSE, 0
			if n == 0 {
				return b
			}
			// The bytes of earlier Writes are no whole line: they only open the first.
			s.carryLen = n
			s.framer.midLine = true
			return b
		}
		if len(got) < len(prefix) && prefix[:len(got)] == string(got) {
			return nil
		}
	}
	s.kind, s.carryLen = bodyOpaque, 0
	return nil
}

// frames cuts a piece into events.
func (s *stream) frames(b []byte) {
	if s.whole(b) {
		s.token(s.memoClass, b, false)
		s.lastRaw = s.kind == bodySSE
		s.keepLast()
		return
	}
	f := &s.framer
	if f.skipLF && s.carryLen == 0 && b[0] == '\n' { // the second half of the line end of an event that is past
		f.skipLF = false
		b = b[1:]
	}
	f.reset(b)
	start := 0
	for {
		end, ok := f.next()
		if !ok {
			break
		}
		if s.carryLen > 0 {
			s.keep(b[start:end], carryHead)
			head, tail := s.kept()
			s.raw(head, tail, s.carryCut)
			s.keepLast()
			s.carryLen, s.carryPos, s.carryCut = 0, 0, false
		} else if raw := b[start:end]; len(raw) > inPlace {
			s.truncated++
			s.raw(raw[:placeHead], raw[len(raw)-placeTail:], true)
		} else {
			s.raw(raw, raw, false)
		}
		start = end
		f.lines = 0
	}
	s.keepLast()
	if start < len(b) {
		s.keep(b[start:], carryHead)
	}
	f.b = nil
}

// keep appends to the carry. When that is full, its first head bytes stay and
// the rest becomes a ring of the latest bytes.
func (s *stream) keep(b []byte, head int) {
	n := copy(s.carry[s.carryLen:], b)
	s.carryLen += n
	b = b[n:]
	if len(b) == 0 {
		return
	}
	if !s.carryCut {
		s.carryCut = true
		s.carryPos = head
		if s.kind == bodyJSON {
			s.memoLen = copy(s.memo[:], s.carry[:])
		} else {
			s.truncated++
		}
	}
	ring := s.carry[head:]
	if len(b) > len(ring) {
		b = b[len(b)-len(ring):]
	}
	for len(b) > 0 {
		n := copy(s.carry[s.carryPos:], b)
		b = b[n:]
		if s.carryPos += n; s.carryPos == carrySize {
			s.carryPos = head
		}
	}
}

// kept returns the carried event: all of it twice, or its beginning and its end.
func (s *stream) kept() (head, tail []byte) {
	if !s.carryCut {
		return s.carry[:s.carryLen], s.carry[:s.carryLen]
	}
	rotate(s.carry[carryHead:], s.carryPos-carryHead)
	return s.carry[:carryHead], s.carry[carryHead:]
}

// rotate moves the element at n to the front.
func rotate(b []byte, n int) {
	reverse(b[:n])
	reverse(b[n:])
	reverse(b)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// raw reads one framed event: head is its beginning and tail its end; both are
// the whole event unless cut.
func (s *stream) raw(head, tail []byte, cut bool) {
	if !s.started {
		s.started = true
		if trimmed := bytes.TrimPrefix(head, bom); len(trimmed) < len(head) {
			head = trimmed
			if !cut {
				tail = head
			}
		}
	}
	if s.kind == bodyNDJSON {
		if !cut {
			head = bytes.TrimRight(head, "\r\n")
			tail = head
		}
		if len(bytes.TrimSpace(head)) == 0 {
			return
		}
		if s.remembered(head, 0) {
			s.token(s.memoClass, tail, cut)
			return
		}
		s.event(head, head, tail, 0, nil, 0, cut)
		return
	}
	if s.remembered(head, s.framer.lines) {
		s.token(s.memoClass, tail, cut)
		s.lastRaw = true
		return
	}
	f := parseFields(head)
	switch {
	case f.datas == 0:
	case f.datas == 1:
		if !cut {
			tail = f.data
		}
		if f.line != s.framer.lines {
			head = nil // a line that follows may change the event: nothing to remember
		}
		s.event(head, f.data, tail, f.at, f.name, s.framer.lines, cut)
	default:
		// The lines are joined in the carry, over the name. Such an event leaves no
		// memo, so the name finds room there.
		s.memoLen = 0
		name := s.memo[:copy(s.memo[:], f.name)]
		if s.carryLen == 0 && (cut || len(head) <= carrySize) {
			head = s.carry[:copy(s.carry[:], head)]
		} else if s.carryLen == 0 {
			head = bytes.Clone(head) // rare: many lines of data, more than fit
		}
		head = joinData(head)
		if !cut {
			tail = head
		}
		s.event(nil, head, tail, 0, name, 0, cut)
		s.keepLast()
	}
}
