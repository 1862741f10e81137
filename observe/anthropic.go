package observe

// anthropicTypes are the events that only Anthropic's Messages API sends.
var anthropicTypes = map[string]bool{
	"message_start": true, "message_delta": true, "message_stop": true, "ping": true,
	"content_block_start": true, "content_block_delta": true, "content_block_stop": true,
}

// block is a delta or content_block object: its type, and where its members
// have their opening quotes; -1: absent or empty.
type block struct {
	typ                     []byte
	typeAt                  int
	text, thinking, partial int
	stopReason              []byte
}

// output is what the block carries if it is a delta, and where.
func (b *block) output() (class, int) {
	c, at := classNone, -1
	switch string(b.typ) {
	case "text_delta":
		c, at = classContent, b.text
	case "input_json_delta":
		c, at = classContent, b.partial
	case "thinking_delta":
		c, at = classReasoning, b.thinking
	}
	if at < 0 {
		return classNone, -1
	}
	return c, at
}

// anthropic reads an event of the Messages API. Members may come in any order:
// what cannot be decided on the way is decided at the end.
func (e *event) anthropic(s *scanner, name []byte, whole bool) {
	if !s.object() {
		return
	}
	typ, known := name, false
	var delta, start block
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
			if c, at := delta.output(); c != classNone && delta.typeAt < at && known && string(typ) == "content_block_delta" {
				e.output(c, at)
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
		if c, _ := delta.output(); c != classNone {
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
	*b = block{text: -1, thinking: -1, partial: -1}
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
			b.typeAt = s.p
			b.typ, _ = s.str()
		case "text":
			b.text = s.text()
		case "thinking":
			b.thinking = s.text()
		case "partial_json":
			b.partial = s.text()
		case "stop_reason":
			if f, ok := s.str(); ok {
				b.stopReason = f
			}
		default:
			s.skip()
		}
	}
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
