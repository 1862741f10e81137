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
	line  int    // number of the line of data, from 1
	datas int    // data fields
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
	lines := lineCutter{b: raw, lf: -1}
	for n := 1; ; n++ {
		line, at, ok := lines.next()
		if !ok {
			return f
		}
		if v, ok := field(line, dataField); ok {
			f.data, f.at, f.line = v, at+len(line)-len(v), n
			f.datas++
		} else if v, ok := field(line, nameField); ok {
			f.name = v
		}
	}
}

// lineCutter walks the lines of an event. It looks for each line feed once, so
// that lines which end in carriage returns cost no more than others.
type lineCutter struct {
	b  []byte
	p  int // the next line
	lf int // the next line feed at or after p, len(b) if there is none; -1: not looked for
}

// next returns a line without its end, and its offset.
func (c *lineCutter) next() (line []byte, at int, ok bool) {
	if c.p >= len(c.b) {
		return nil, 0, false
	}
	at = c.p
	if c.lf < at {
		c.lf = len(c.b)
		if i := bytes.IndexByte(c.b[at:], '\n'); i >= 0 {
			c.lf = at + i
		}
	}
	end := c.lf
	if i := bytes.IndexByte(c.b[at:end], '\r'); i >= 0 {
		end = at + i
	}
	c.p = end + 1
	if end+1 < len(c.b) && c.b[end] == '\r' && c.b[end+1] == '\n' {
		c.p++
	}
	return c.b[at:end], at, true
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
	n, joined := 0, false
	lines := lineCutter{b: raw, lf: -1}
	for {
		line, _, ok := lines.next()
		if !ok {
			return raw[:n]
		}
		if v, ok := field(line, dataField); ok {
			if joined {
				raw[n] = '\n'
				n++
			}
			joined = true
			n += copy(raw[n:], v)
		}
	}
}
