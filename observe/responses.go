package observe

import "bytes"

// responsesClass is the class of a Responses event whose delta is not empty.
func responsesClass(typ []byte) class {
	switch string(typ) {
	case "response.output_text.delta", "response.refusal.delta",
		"response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
		"response.mcp_call_arguments.delta", "response.code_interpreter_call_code.delta",
		"response.audio.delta", "response.audio.transcript.delta":
		return classContent
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		return classReasoning
	}
	return classNone
}

// responses reads an event of the Responses API. The type comes first in
// practice; where it does not, the event is decided at its end and leaves no
// trace for the next.
func (e *event) responses(s *scanner, name []byte, whole bool) {
	if !s.object() {
		return
	}
	typ := name
	delta := -1 // of a delta that came before the type
	known := false
	var code []byte
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			if t, ok := s.str(); ok {
				typ, known = t, true
			}
		case "delta":
			at := s.text()
			if at < 0 {
				break
			}
			if c := responsesClass(typ); known && c != classNone {
				e.output(c, at)
				if !whole {
					return
				}
			}
			delta = at
		case "response":
			e.response(s)
		case "error":
			e.failure(s)
		case "code":
			code = s.word()
		default:
			s.skip()
		}
	}
	if c := responsesClass(typ); c != classNone && delta >= 0 {
		e.output(c, -1)
	}
	switch string(typ) {
	case "response.completed":
		e.terminal = true
		e.finish = typ
	case "response.incomplete":
		e.terminal = true
	case "response.failed":
		e.failed = true
	case "error":
		e.failed = true
		if len(e.detail) == 0 {
			e.detail = code
		}
	}
}

// response reads the response object that the life-cycle events carry.
func (e *event) response(s *scanner) {
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
		case "incomplete_details":
			e.reason(s)
		case "error":
			e.failure(s)
		default:
			s.skip()
		}
	}
}

// reason reads incomplete_details.reason.
func (e *event) reason(s *scanner) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		if string(k) == "reason" {
			e.finish, _ = s.value(partReason)
		} else {
			s.skip()
		}
	}
}

// shape returns the protocol of a payload with a known shape, else ProtocolAuto.
func shape(payload []byte, ndjson bool) Protocol {
	s := scanner{b: payload}
	if s.peek() != '{' || !s.object() {
		return ProtocolAuto
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return ProtocolAuto
		}
		switch string(k) {
		case "choices":
			return ProtocolOpenAI
		case "type":
			if t, ok := s.str(); ok {
				if bytes.HasPrefix(t, []byte("response.")) {
					return ProtocolResponses
				}
				if anthropicTypes[string(t)] {
					return ProtocolAnthropic
				}
			}
		case "done":
			if ndjson {
				return ProtocolOllama
			}
			s.skip()
		default:
			s.skip()
		}
	}
}
