package observe

import "bytes"

// event reads the payload of one event. raw is what the memo is taken from, and
// at the payload's place in it; tail is the end of a payload that is cut.
func (s *stream) event(raw, payload, tail []byte, at int, name []byte, lines int, cut bool) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return
	}
	if bytes.Equal(bytes.TrimSpace(payload), doneData) {
		s.events++
		s.readLast()
		s.terminal = true
		return
	}
	if s.protocol == ProtocolAuto {
		s.protocol = shape(payload, s.kind == bodyNDJSON)
	}
	var e event
	bad := s.classify(&e, payload, name, cut, false)
	if string(name) == "error" {
		e.failed = true
	}
	if e.failed || string(name) == "ping" {
		e.class = classNone
	}
	if e.class != classNone && !bad {
		s.remember(raw, at, lines, &e)
		s.token(e.class, tail, cut)
		if s.model.n == 0 && len(e.model) > 0 {
			s.model.set(e.model)
		}
		return
	}
	s.events++
	if s.first == FirstTokenChunk {
		s.tokens++
		s.content = true
	}
	s.readLast()
	if bad {
		s.badEvents++
	}
	s.apply(&e)
	if cut {
		s.search(tail)
	}
}

// classify scans a payload by the protocol in force. bad: it is not JSON though
// the protocol is.
func (s *stream) classify(e *event, payload, name []byte, cut, whole bool) (bad bool) {
	e.valueAt = -1
	sc := scanner{b: payload}
	switch s.protocol {
	case ProtocolOpenAI:
		e.openai(&sc, whole)
	case ProtocolResponses:
		e.responses(&sc, name, whole)
	case ProtocolAnthropic:
		e.anthropic(&sc, name, whole)
	case ProtocolOllama:
		e.ollama(&sc, whole)
	default:
		e.generic(payload)
		return false
	}
	if e.class != classNone && !whole {
		return false // decided before the end
	}
	switch {
	case sc.fault == scanBad, sc.fault == scanCut && !cut:
		return true
	case sc.fault == scanOK && sc.peek() != 0:
		return true // something after the value
	}
	return sc.fault == scanOK && payload[firstNonSpace(payload)] != '{'
}

func firstNonSpace(b []byte) int {
	s := scanner{b: b}
	s.peek()
	return s.p
}

// remember keeps the shape of a token event.
func (s *stream) remember(raw []byte, at, lines int, e *event) {
	n := at + e.valueAt + 1
	if e.valueAt < 0 || raw == nil || n > memoSize {
		s.memoLen = 0
		return
	}
	s.memoLen = copy(s.memo[:], raw[:n])
	s.memoLines, s.memoClass = lines, e.class
}

// token notes an event that carries output. Its payload is read for usage and
// finish reason only if no later token event follows.
func (s *stream) token(c class, tail []byte, cut bool) {
	s.events++
	s.reasoned = s.reasoned || c == classReasoning
	if s.first != FirstTokenContent || c == classContent {
		s.tokens++
		s.content = s.content || c == classContent
	}
	s.lastRef, s.lastCut, s.hasLast = tail, cut, true
}

// keepLast copies the end of the last token event out of the caller's bytes.
func (s *stream) keepLast() {
	b := s.lastRef
	if b == nil {
		return
	}
	if len(b) > lastSize {
		b, s.lastCut = b[len(b)-lastSize:], true
	}
	s.lastLen = copy(s.last[:], b)
	s.lastRef = nil
}

// readLast reads what the last token event says besides its output.
func (s *stream) readLast() {
	if !s.hasLast {
		return
	}
	s.hasLast = false
	b := s.lastRef
	if b == nil {
		b = s.last[:s.lastLen]
	}
	s.lastRef = nil
	if !s.lastCut {
		if s.kind == bodySSE {
			if f := parseFields(b); f.datas == 1 {
				b = f.data // a remembered event is kept with its field names
			}
		}
		var e event
		s.classify(&e, b, nil, true, true)
		s.apply(&e)
		return
	}
	s.search(b)
}

// apply notes what an event says of the request.
func (s *stream) apply(e *event) {
	if s.model.n == 0 && len(e.model) > 0 {
		s.model.set(e.model)
	}
	if len(e.finish) > 0 {
		s.finish.set(e.finish)
	}
	if e.failed {
		s.streamError = true
		if len(e.detail) > 0 {
			s.detail.set(e.detail[:min(len(e.detail), 64)])
		}
	}
	s.terminal = s.terminal || e.terminal
	s.usage.merge(&e.usage)
}

// search reads usage and finish reason from the end of a payload whose
// beginning is lost.
func (s *stream) search(tail []byte) {
	s.usage.searchUsage(tail)
	for _, needle := range [...]string{`finish_reason"`, `stop_reason"`, `done_reason"`} {
		if at := lastKey(tail, needle); at >= 0 {
			sc := scanner{b: tail, p: at}
			if f, ok := sc.str(); ok && sc.fault == scanOK {
				s.finish.set(f)
			}
		}
	}
	if s.protocol != ProtocolOllama && s.kind != bodyJSON {
		return
	}
	for _, c := range []struct {
		needle string
		field  *int64
		bit    usageBits
	}{{`prompt_eval_count"`, &s.usage.input, hasInput}, {`eval_count"`, &s.usage.output, hasOutput}} {
		if at := lastKey(tail, c.needle); at >= 0 {
			sc := scanner{b: tail, p: at}
			s.usage.set(&sc, c.field, c.bit)
		}
	}
	if s.kind == bodyNDJSON {
		if at := lastKey(tail, `done"`); at >= 0 {
			sc := scanner{b: tail, p: at}
			s.terminal = s.terminal || sc.isTrue()
		}
	}
}

// end reads what the end of the body completes: an event without its blank
// line, or a JSON body. Tokens, content and events are set as after a Write.
func (s *stream) end() {
	s.tokens, s.content, s.events = 0, false, 0
	switch s.kind {
	case bodySSE, bodyNDJSON:
		if s.carryLen > 0 {
			if s.framer.midLine {
				s.framer.lines++ // the line that has no end counts as the others do
			}
			head, tail := s.kept()
			s.raw(head, tail, s.carryCut)
			s.carryLen = 0
		}
		s.readLast()
	case bodyJSON:
		s.answer()
	}
}

// answer reads a JSON body that was not streamed.
func (s *stream) answer() {
	var e event
	if !s.carryCut {
		sc := scanner{b: s.carry[:s.carryLen]}
		p := e.answer(&sc)
		if sc.fault == scanOK {
			s.learn(p)
			s.apply(&e)
		}
		return
	}
	rotate(s.carry[:], s.carryPos)
	sc := scanner{b: s.memo[:s.memoLen]}
	s.learn(e.answer(&sc))
	s.apply(&event{model: e.model})
	s.search(s.carry[:])
}

func (s *stream) learn(p Protocol) {
	if s.protocol == ProtocolAuto {
		s.protocol = p
	}
}
