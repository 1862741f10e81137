package observe

// class is what an event carries.
type class uint8

const (
	classNone      class = iota // nothing that a reader waits for
	classReasoning              // output that is reasoning
	classContent                // any other output
)

// event is what the scan of one payload found. Slices point into the payload.
type event struct {
	class    class
	valueAt  int      // offset of the opening quote of the output; -1: not a string, or not decided by what precedes it
	model    []byte   // raw JSON string
	finish   []byte   // raw JSON string
	status   []byte   // raw JSON string, of an answer
	protocol Protocol // of an answer
	failed   bool     // an error event
	detail   []byte   // its type or code
	terminal bool
	usage    tally
}

// output notes the output found at offset at; whole payloads go on, others are
// decided.
func (e *event) output(c class, at int) {
	if e.class == classNone {
		e.class, e.valueAt = c, at
	}
}

// failure reads the value of an error member: null is none.
func (e *event) failure(s *scanner) {
	if s.null() || s.fault != scanOK {
		return
	}
	e.failed = true
	if !s.object() {
		return
	}
	var typ, code []byte
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ, _ = s.str()
		case "code":
			code = s.word()
		default:
			s.skip()
		}
	}
	e.detail = typ
	if len(typ) == 0 {
		e.detail = code
	}
}

// word returns a string or number as it stands; other values are skipped.
func (s *scanner) word() []byte {
	if s.fault != scanOK {
		return nil
	}
	switch c := s.peek(); {
	case c == '"':
		raw, _ := s.str()
		return raw
	case c == '-', c >= '0' && c <= '9':
		at := s.p
		s.skip()
		return s.b[at:s.p]
	}
	s.skip()
	return nil
}

// openai reads a chunk of chat completions or completions. Unless whole, it
// stops as soon as the event is known to carry output.
func (e *event) openai(s *scanner, whole bool) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "model":
			e.model, _ = s.str()
		case "usage":
			e.usage.usage(s)
		case "timings":
			e.usage.timings(s)
		case "error":
			e.failure(s)
		case "choices":
			if s.array() {
				for j := 0; s.element(j); j++ {
					e.choice(s, whole)
					if e.class != classNone && !whole {
						return
					}
				}
			}
		default:
			s.skip()
		}
		if e.class != classNone && !whole {
			return
		}
	}
}

func (e *event) choice(s *scanner, whole bool) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "delta":
			e.delta(s, whole)
		case "text":
			if at := s.text(); at >= 0 {
				e.output(classContent, at)
			}
		case "finish_reason":
			if f, ok := s.value(partFinish); ok {
				e.word(partFinish, f)
			}
		default:
			s.skip()
		}
		if e.class != classNone && !whole {
			return
		}
	}
}

func (e *event) delta(s *scanner, whole bool) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "content", "refusal":
			if at := s.text(); at >= 0 {
				e.output(classContent, at)
			}
		case "reasoning_content", "reasoning":
			if at := s.text(); at >= 0 {
				e.output(classReasoning, at)
			}
		case "tool_calls":
			if s.nonEmptyArray() {
				e.output(classContent, -1)
			}
		case "function_call":
			if s.anyText("name", "arguments") {
				e.output(classContent, -1)
			}
		case "audio":
			if s.anyText("data", "transcript") {
				e.output(classContent, -1)
			}
		default:
			s.skip()
		}
		if e.class != classNone && !whole {
			return
		}
	}
}

// nonEmptyArray consumes a value and reports whether it is an array with an
// element.
func (s *scanner) nonEmptyArray() bool {
	if s.fault != scanOK || s.peek() != '[' {
		s.skip()
		return false
	}
	at := s.p
	s.p++
	c := s.peek()
	s.p = at
	s.skip()
	return c != ']' && c != 0
}

// anyText consumes an object and reports whether one of two members is a
// non-empty string.
func (s *scanner) anyText(a, b string) (found bool) {
	if !s.object() {
		return false
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return found
		}
		if string(k) == a || string(k) == b {
			found = s.text() >= 0 || found
		} else {
			s.skip()
		}
	}
}
