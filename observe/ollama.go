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
			e.usage.read(s, countInput)
		case "eval_count":
			e.usage.read(s, countOutput)
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
func (e *event) answer(s *scanner) {
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
			e.model, _ = s.value(partModel)
		case "usage":
			e.usage.usage(s)
		case "timings":
			e.usage.timings(s)
		case "choices":
			e.protocol = ProtocolOpenAI
			if s.array() {
				for j := 0; s.element(j); j++ {
					e.choice(s, true)
				}
			}
		case "type":
			if t, _ := s.str(); string(t) == "message" {
				e.protocol = ProtocolAnthropic
			}
		case "stop_reason":
			e.protocol = ProtocolAnthropic
			if f, ok := s.value(partReason); ok {
				e.finish = f
			}
		case "object":
			if o, _ := s.str(); string(o) == "response" {
				e.protocol = ProtocolResponses
			}
		case "status":
			e.status, _ = s.value(partStatus)
		case "incomplete_details":
			e.reason(s)
		case "done":
			e.protocol = ProtocolOllama
			s.skip()
		case "done_reason":
			if f, ok := s.value(partReason); ok {
				e.finish = f
			}
		case "prompt_eval_count":
			e.usage.read(s, countInput)
		case "eval_count":
			e.usage.read(s, countOutput)
		default:
			s.skip()
		}
	}
}
