package observe

// anthropicTypes are the events that only Anthropic's Messages API sends.
var anthropicTypes = map[string]bool{
	"message_start": true, "message_delta": true, "message_stop": true, "ping": true,
	"content_block_start": true, "content_block_delta": true, "content_block_stop": true,
}

// block is a delta or content_block object: its type, and the output in it.
type block struct {
	typ        []byte
	text       int // offset of the output's opening quote; -1: none
	field      string
	typeFirst  bool // the type came before the output
	stopReason []byte
}

// class is what the block carries if it is a delta.
func (b *block) class() class {
	if b.text < 0 {
		return classNone
	}
	switch string(b.typ) {
	case "text_delta":
		if b.field == "text" {
			return classContent
		}
	case "input_json_delta":
		if b.field == "partial_json" {
			return classContent
		}
	case "thinking_delta":
		if b.field == "thinking" {
			return classReasoning
		}
	}
	return classNone
}

// anthropic reads an event of the Messages API. Members may come in any order:
// what cannot be decided on the way is decided at the end.
func (e *event) anthropic(s *scanner, name []byte, whole bool) {
	if !s.object() {
		return
	}
	typ, known := name, false
	delta, start := block{text: -1}, block{text: -1}
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
			s.block(&delta)
			if c := delta.class(); c != classNone && delta.typeFirst && known && string(typ) == "content_block_delta" {
				e.output(c, delta.text)
				if !whole {
					return
				}
			}
		case "content_block":
			s.block(&start)
		case "message":
			e.message(s)
		case "usage":
			e.usage.usage(s)
		case "error":
			e.failure(s)
		default:
			s.skip()
		}
	}
	switch string(typ) {
	case "content_block_delta":
		if c := delta.class(); c != classNone {
			e.output(c, -1)
		}
	case "content_block_start":
		switch string(start.typ) {
		case "tool_use", "server_tool_use":
			e.output(classContent, -1)
		case "redacted_thinking":
			e.output(classReasoning, -1)
		}
	case "message_delta":
		e.finish = delta.stopReason
	case "message_stop":
		e.terminal = true
	case "error":
		e.failed = true
	}
}

func (s *scanner) block(b *block) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "type":
			b.typ, _ = s.str()
		case "text", "thinking", "partial_json":
			if at := s.text(); at >= 0 && b.text < 0 {
				b.text, b.typeFirst = at, b.typ != nil
				b.field = blockField(k)
			}
		case "stop_reason":
			if f, ok := s.str(); ok {
				b.stopReason = f
			}
		default:
			s.skip()
		}
	}
}

// blockField names one of three keys; k itself may live in the scanner's buffer.
func blockField(k []byte) string {
	switch string(k) {
	case "text":
		return "text"
	case "thinking":
		return "thinking"
	}
	return "partial_json"
}

// message reads message_start.message.
func (e *event) message(s *scanner) {
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
		default:
			s.skip()
		}
	}
}
