package observe

// ollama reads a line of /api/chat or /api/generate.
func (e *event) ollama(s *scanner, whole bool) {
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
		case "message":
			e.ollamaMessage(s, whole)
		case "response":
			if at := s.text(); at >= 0 {
				e.output(classContent, at)
			}
		case "thinking":
			if at := s.text(); at >= 0 {
				e.output(classReasoning, at)
			}
		case "done":
			e.terminal = s.isTrue()
		case "done_reason":
			if f, ok := s.str(); ok {
				e.finish = f
			}
		case "prompt_eval_count":
			e.usage.set(s, &e.usage.input, hasInput)
		case "eval_count":
			e.usage.set(s, &e.usage.output, hasOutput)
		case "error":
			e.failure(s)
		default:
			s.skip()
		}
		if e.class != classNone && !whole {
			return
		}
	}
}

func (e *event) ollamaMessage(s *scanner, whole bool) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "content":
			if at := s.text(); at >= 0 {
				e.output(classContent, at)
			}
		case "thinking":
			if at := s.text(); at >= 0 {
				e.output(classReasoning, at)
			}
		case "tool_calls":
			if s.nonEmptyArray() {
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

// generic applies the rules that hold for any stream: data that is not an error
// is output.
func (e *event) generic(payload []byte) {
	s := scanner{b: payload}
	if s.peek() == '{' && s.object() {
		for i := 0; ; i++ {
			k, ok := s.member(i)
			if !ok {
				break
			}
			if string(k) == "error" {
				e.failure(&s)
			} else {
				s.skip()
			}
		}
	}
	if !e.failed {
		e.output(classContent, -1)
	}
}

// answer reads a whole JSON body, not streamed, of any protocol: the members
// that we want do not collide.
func (e *event) answer(s *scanner) (p Protocol) {
	if !s.object() {
		return p
	}
	var status []byte
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			if p == ProtocolResponses && string(status) == "completed" {
				e.finish = status
			}
			return p
		}
		switch string(k) {
		case "model":
			e.model, _ = s.str()
		case "usage":
			e.usage.usage(s)
		case "timings":
			e.usage.timings(s)
		case "choices":
			p = ProtocolOpenAI
			if s.array() {
				for j := 0; s.element(j); j++ {
					e.choice(s, true)
				}
			}
		case "type":
			if t, _ := s.str(); string(t) == "message" {
				p = ProtocolAnthropic
			}
		case "stop_reason":
			p = ProtocolAnthropic
			if f, ok := s.str(); ok {
				e.finish = f
			}
		case "object":
			if o, _ := s.str(); string(o) == "response" {
				p = ProtocolResponses
			}
		case "status":
			status, _ = s.str()
		case "incomplete_details":
			e.reason(s)
		case "done":
			p = ProtocolOllama
			s.skip()
		case "done_reason":
			if f, ok := s.str(); ok {
				e.finish = f
			}
		case "prompt_eval_count":
			e.usage.set(s, &e.usage.input, hasInput)
		case "eval_count":
			e.usage.set(s, &e.usage.output, hasOutput)
		default:
			s.skip()
		}
	}
}
