package observe

import "bytes"

// maxDetail is how much is kept of what an error event says it is.
const maxDetail = 64

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
	case sc.fault == scanOK:
		if sc.peek(); sc.p < len(payload) {
			return true // something after the value
		}
	}
	return sc.fault == scanOK && payload[firstNonSpace(payload)] != '{'
}

func firstNonSpace(b []byte) int {
	s := scanner{b: b}
	s.peek()
	return s.p
}

// token notes an event that carries output. Its payload is read for usage and
// finish reason only if no later token event follows.
func (s *stream) token(c class, tail []byte, cut bool) {
	s.events++
	switch {
	case c == classContent:
		s.answered = true
	case !s.answered:
		s.reasoned, s.thoughtFirst = true, true
	default:
		s.reasoned = true
	}
	if s.first != FirstTokenContent || c == classContent {
		s.tokens++
		s.content = s.content || c == classContent
	}
	s.lastRef, s.lastRaw, s.lastCut, s.hasLast = tail, false, cut, true
}

// keepLast copies the end of the last token event out of the caller's bytes.
func (s *stream) keepLast() {
	if s.lastRef != nil {
		s.lastLen = copy(s.last[:], s.lastBytes())
		s.lastRef = nil
	}
}

// lastBytes returns as much of the last token event as is kept, wherever it is:
// what is read of it does not depend on where the Writes are cut.
func (s *stream) lastBytes() []byte {
	b := s.lastRef
	if b == nil {
		return s.last[:s.lastLen]
	}
	if len(b) > lastSize && !s.lastCut {
		b = s.payload(b)
	}
	if len(b) > lastSize {
		b, s.lastCut = b[len(b)-lastSize:], true
	}
	return b
}

// payload returns the data of the last token event.
func (s *stream) payload(b []byte) []byte {
	if s.lastRaw {
		s.lastRaw = false
		return parseFields(b).data
	}
	return b
}

// readLast reads what the last token event says besides its output.
func (s *stream) readLast() {
	if !s.hasLast {
		return
	}
	s.hasLast = false
	b := s.lastBytes()
	s.lastRef = nil
	if !s.lastCut {
		var e event
		s.classify(&e, s.payload(b), nil, true, true)
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
			s.detail.set(e.detail)
			s.detail.cut(maxDetail)
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
		if s.searchFinish(tail, needle) {
			break // vLLM has a stop_reason of another meaning beside its finish_reason
		}
	}
	if s.protocol != ProtocolOllama && s.kind != bodyJSON {
		return
	}
	for _, c := range []struct {
		needle string
		kind   countKind
	}{{`prompt_eval_count"`, countInput}, {`eval_count"`, countOutput}} {
		if at := lastKey(tail, c.needle); at >= 0 {
			sc := scanner{b: tail, p: at}
			s.usage.read(&sc, c.kind)
		}
	}
	if s.kind == bodyNDJSON {
		if at := lastKey(tail, `done"`); at >= 0 {
			sc := scanner{b: tail, p: at}
			s.terminal = s.terminal || sc.isTrue()
		}
	}
}

// searchFinish finds the last such key whose value is a string: of several
// choices some may go on.
func (s *stream) searchFinish(tail []byte, needle string) bool {
	for end := len(tail); end > 0; {
		at := lastKey(tail[:end], needle)
		if at < 0 {
			break
		}
		sc := scanner{b: tail, p: at}
		if f, ok := sc.str(); ok && len(f) > 0 {
			s.finish.set(f)
			return true
		}
		end = at - len(needle)
	}
	return false
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
		if s.wholeAnswer(&e, s.carry[:s.carryLen]) {
			s.said(&e)
		}
		return
	}
	rotate(s.carry[:], s.carryPos)
	sc := scanner{b: s.memo[:s.memoLen]}
	e.answer(&sc)
	s.said(&e)
	s.search(s.carry[:])
}

// wholeAnswer reads an answer that is kept as a whole, by the layout of the one
// before if it has that, and reports whether it is JSON.
func (s *stream) wholeAnswer(e *event, b []byte) bool {
	if s.layout == nil {
		s.layout = new(layout)
	}
	l := s.layout
	if !s.noMemo && l.read(b, e) {
		return true
	}
	*e = event{}
	l.begin()
	sc := scanner{b: b, layout: l}
	e.answer(&sc)
	if sc.fault != scanOK {
		l.n = 0
		return false
	}
	l.end(b[:sc.p], e)
	return true
}

// said notes what an answer says of the request.
func (s *stream) said(e *event) {
	if s.protocol == ProtocolAuto {
		s.protocol = e.protocol
	}
	if e.protocol == ProtocolResponses && string(e.status) == "completed" {
		e.finish = e.status
	}
	s.apply(e)
}
