package observe

import (
	"bytes"
	"io"
	"sync"
)

const (
	firstPeek = 4 << 10
	maxEmpty  = 100 // reads in a row that give nothing, as bufio has it
)

// peekBuffers holds buffers of the sizes that were needed, the largest of
// defaultPeekBytes.
var peekBuffers = sync.Pool{New: func() any {
	b := make([]byte, firstPeek)
	return &b
}}

// peekedBody is a request body of which the beginning has been read. It gives
// back the same bytes, and at the same place the same error.
type peekedBody struct {
	io.ReadCloser
	pooled   *[]byte // nil when it was given back
	from, to int     // what of it was read ahead and not yet read again
	err      error   // of the read ahead, due behind it
}

// peek reads until the model's name is found, at most limit bytes. The name is a
// raw JSON string, valid until the first Read.
func (p *peekedBody) peek(body io.ReadCloser, limit int) (model []byte) {
	p.ReadCloser = body
	p.pooled = peekBuffers.Get().(*[]byte)
	buf := *p.pooled
	n, empty := 0, 0
	var f modelFinder
	for f.state != foundModel && f.state != noModel && n < limit && p.err == nil && empty < maxEmpty {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
			*p.pooled = buf
		}
		var m int
		m, p.err = body.Read(buf[n:min(len(buf), limit)])
		f.feed(buf[n:n+m], n)
		n += m
		if empty++; m > 0 {
			empty = 0
		}
	}
	p.to = n
	if n == 0 {
		p.release()
	}
	if f.state == foundModel {
		model = buf[f.from:f.to]
	}
	return model
}

// Read implements io.Reader.
func (p *peekedBody) Read(b []byte) (int, error) {
	if p.from < p.to {
		n := copy(b, (*p.pooled)[p.from:p.to])
		if p.from += n; p.from == p.to {
			p.release()
		}
		return n, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.ReadCloser.Read(b)
}

// release gives the buffer back: by the reader, when it has read the last byte.
func (p *peekedBody) release() {
	if p.pooled != nil && len(*p.pooled) <= defaultPeekBytes {
		peekBuffers.Put(p.pooled)
	}
	p.pooled = nil
}

// modelFinder looks for the top-level string member "model" of a JSON object
// that arrives in pieces of any size, each byte of which it reads once. It skips
// strings that it does not want, which is what prompts are, by looking for their
// quotes: what else is in them it does not check.
type modelFinder struct {
	state    finderState
	depth    int
	inString bool
	escaped  bool
	isKey    bool // the string being read is a key of the outermost object
	wantKey  bool // the next string of the outermost object is a key
	isModel  bool // the last key was "model"
	matched  int  // bytes of "model" that the key being read has matched; -1: it differs
	from, to int  // the value, once found
}

type finderState uint8

const (
	atStart finderState = iota
	inObject
	inValue // the model's name
	foundModel
	noModel
)

// feed reads b, which begins at offset base.
func (f *modelFinder) feed(b []byte, base int) {
	for i := 0; i < len(b) && f.state < foundModel; {
		if f.inString {
			i = f.more(b, i, base)
			continue
		}
		c := b[i]
		i++
		switch c {
		case '"':
			i = f.str(b, i, base)
		case '{', '[':
			if f.depth++; f.depth == 1 && c == '{' {
				f.state, f.wantKey = inObject, true
			}
		case '}', ']':
			f.depth--
		case ',':
			if f.depth == 1 {
				f.wantKey, f.isModel = true, false
			}
		case ' ', '\t', '\n', '\r':
			continue
		case ':', '-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
			't', 'r', 'u', 'e', 'f', 'a', 'l', 's', 'n', 'E':
		default:
			f.state = noModel // not JSON
		}
		if f.depth == 0 || f.state == atStart { // the object is past, or there is none
			f.state = noModel
		}
	}
}

// str reads the string that begins at i.
func (f *modelFinder) str(b []byte, i, base int) int {
	f.inString, f.escaped, f.matched = true, false, 0
	f.isKey = f.depth == 1 && f.wantKey
	isName := f.depth == 1 && !f.wantKey && f.isModel
	if f.isKey {
		f.wantKey, f.isModel = false, false
	} else if isName {
		f.state, f.from = inValue, base+i
	} else {
		return i + f.skipString(b[i:]) + 1
	}
	for n, c := range b[i:] { // what clients write: whole, and without an escape
		if c == '"' {
			f.inString = false
			if isName {
				f.state, f.to = foundModel, base+i+n
			} else {
				f.isModel = string(b[i:i+n]) == "model"
			}
			return i + n + 1
		}
		if c < ' ' || c == '\\' {
			break
		}
	}
	return i
}

// more reads on in a string that began in an earlier piece.
func (f *modelFinder) more(b []byte, i, base int) int {
	if !f.isKey && f.state != inValue {
		return i + f.skipString(b[i:]) + 1
	}
	f.stringByte(b[i], base+i)
	return i + 1
}

// skipString reads on to the quote that ends the string, and returns its offset,
// or that of the last byte.
func (f *modelFinder) skipString(b []byte) int {
	from := 0
	if f.escaped {
		f.escaped, from = false, 1
	}
	for from < len(b) {
		end, found := len(b), false
		if i := bytes.IndexByte(b[from:], '"'); i >= 0 {
			end, found = from+i, true
		}
		n := 0 // backslashes before it: an odd number escapes what follows
		for end-n > from && b[end-n-1] == '\\' {
			n++
		}
		if !found {
			f.escaped = n%2 == 1
			break
		}
		if n%2 == 0 {
			f.inString = false
			return end
		}
		from = end + 1
	}
	return len(b) - 1
}

// stringByte reads a byte inside a key or the name.
func (f *modelFinder) stringByte(c byte, at int) {
	switch {
	case c < 0x20:
		f.state = noModel
		return
	case f.escaped:
		f.escaped = false
		f.matched = -1 // an escaped spelling of the key is left to the response
	case c == '\\':
		f.escaped = true
		f.matched = -1
	case c == '"':
		f.inString = false
		if f.state == inValue {
			f.state, f.to = foundModel, at
		} else if f.isKey {
			f.isKey = false
			f.isModel = f.matched == len("model")
		}
	case f.isKey && f.matched >= 0:
		if f.matched < len("model") && c == "model"[f.matched] {
			f.matched++
		} else {
			f.matched = -1
		}
	}
}
