package observe

import "bytes"

// framer finds the ends of events in a stream that arrives in pieces: blank
// lines in server-sent events, line ends in NDJSON. It keeps nothing but where
// in a line it stands, so pieces may be cut anywhere.
type framer struct {
	b         []byte // the piece
	p         int    // next byte of it
	lf        int    // the next line feed at or after p, len(b) if there is none; -1: not looked for
	lines     int    // line ends in the event so far, its last blank line not counted
	midLine   bool   // the line at p has begun
	skipLF    bool   // a carriage return ended the line before: a line feed belongs to it
	lineBased bool   // NDJSON
}

func (f *framer) reset(b []byte) { f.b, f.p, f.lf = b, 0, -1 }

// next returns the offset behind the next event that ends in the piece.
func (f *framer) next() (end int, ok bool) {
	for f.p < len(f.b) {
		if f.skipLF {
			f.skipLF = false
			if f.b[f.p] == '\n' {
				f.p++
				continue
			}
		}
		if f.lf < f.p {
			f.lf = len(f.b)
			if i := bytes.IndexByte(f.b[f.p:], '\n'); i >= 0 {
				f.lf = f.p + i
			}
		}
		at := f.lf
		if !f.lineBased {
			if i := bytes.IndexByte(f.b[f.p:f.lf], '\r'); i >= 0 {
				at = f.p + i
			}
		}
		if at == len(f.b) {
			f.midLine = true
			f.p = at
			return 0, false
		}
		blank := at == f.p && !f.midLine
		if f.b[at] == '\r' {
			if at+1 == len(f.b) {
				f.skipLF = true
			} else if f.b[at+1] == '\n' {
				at++
			}
		}
		f.p = at + 1
		f.midLine = false
		if blank || f.lineBased {
			return f.p, true
		}
		f.lines++
	}
	return 0, false
}

// fields are what one server-sent event says.
type fields struct {
	name  []byte // of the last event field
	data  []byte // of its only data field, in place
	at    int    // offset of data in the event
	datas int    // data fields
	after bool   // a line follows the data
}

var (
	bom       = []byte("\xef\xbb\xbf")
	dataField = []byte("data")
	nameField = []byte("event")
	doneData  = []byte("[DONE]")
)

// parseFields reads the lines of an event. With several data fields, data is
// the last; joinData gives all of them.
func parseFields(raw []byte) (f fields) {
	for p := 0; p < len(raw); {
		line, next := cutLine(raw, p)
		if v, ok := field(line, dataField); ok {
			f.data, f.at = v, p+len(line)-len(v)
			f.datas++
			f.after = false
		} else {
			if v, ok := field(line, nameField); ok {
				f.name = v
			}
			f.after = f.after || f.datas > 0 && len(line) > 0
		}
		p = next
	}
	return f
}

// cutLine returns the line at p without its end, and where the next begins.
func cutLine(raw []byte, p int) (line []byte, next int) {
	end := len(raw)
	if i := bytes.IndexByte(raw[p:], '\n'); i >= 0 {
		end = p + i
	}
	if i := bytes.IndexByte(raw[p:end], '\r'); i >= 0 {
		end = p + i
	}
	next = end + 1
	if end+1 < len(raw) && raw[end] == '\r' && raw[end+1] == '\n' {
		next++
	}
	return raw[p:end], next
}

// field returns the value of a line if it is that field: what follows the colon
// and one space.
func field(line, name []byte) ([]byte, bool) {
	if !bytes.HasPrefix(line, name) {
		return nil, false
	}
	v := line[len(name):]
	if len(v) == 0 {
		return v, true
	}
	if v[0] != ':' {
		return nil, false
	}
	v = v[1:]
	if len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}

// joinData moves the data fields of raw to its front, joined by line feeds, and
// returns them. It overwrites raw: each field shrinks by its name and colon.
func joinData(raw []byte) []byte {
	n := 0
	for p := 0; p < len(raw); {
		line, next := cutLine(raw, p)
		if v, ok := field(line, dataField); ok {
			if n > 0 {
				raw[n] = '\n'
				n++
			}
			n += copy(raw[n:], v)
		}
		p = next
	}
	return raw[:n]
}
