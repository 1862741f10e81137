package observe

import "bytes"

// usageBits says which counts a usage object gave.
type usageBits uint8

const (
	hasInput usageBits = 1 << iota
	hasOutput
	hasCached
	hasCacheWrite
	hasReasoning
	hasAddedRead  // Anthropic: cache reads come on top of input_tokens
	hasAddedWrite // likewise cache writes
	hasWhole      // but not on top of prompt_tokens, of a proxy that gives both
)

// tally is what usage objects have said so far. A field that comes again
// replaces the one before: Anthropic's message_delta is cumulative, and servers
// that send usage with every chunk mean the last.
type tally struct {
	has                                   usageBits
	input, output, cached, cacheWrite     int64
	reasoning, addedRead, addedWrite      int64
	timingsPrompt, timingsCache, timingsN int64     // llama.cpp, used when there is no usage
	timed                                 usageBits // which of them it gave: input, cached, output
	bad                                   int       // counts that cannot be
}

// usage reads a usage object of any protocol: the field names do not collide.
func (t *tally) usage(s *scanner) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "prompt_tokens":
			t.set(s, &t.input, hasInput|hasWhole)
		case "input_tokens":
			t.set(s, &t.input, hasInput)
		case "completion_tokens", "output_tokens":
			t.set(s, &t.output, hasOutput)
		case "cache_read_input_tokens":
			t.set(s, &t.addedRead, hasAddedRead)
		case "cache_creation_input_tokens":
			t.set(s, &t.addedWrite, hasAddedWrite)
		case "prompt_tokens_details", "input_tokens_details",
			"completion_tokens_details", "output_tokens_details":
			t.details(s)
		default:
			s.skip()
		}
	}
}

func (t *tally) details(s *scanner) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "cached_tokens":
			t.set(s, &t.cached, hasCached)
		case "cache_write_tokens":
			t.set(s, &t.cacheWrite, hasCacheWrite)
		case "reasoning_tokens", "thinking_tokens":
			t.set(s, &t.reasoning, hasReasoning)
		default:
			s.skip()
		}
	}
}

func (t *tally) set(s *scanner, field *int64, bits usageBits) { t.note(s, field, &t.has, bits) }

// note reads a count into field, and adds bits to has if it is one.
func (t *tally) note(s *scanner, field *int64, has *usageBits, bits usageBits) {
	n, ok, bad := s.count()
	if bad {
		t.bad++
	}
	if ok {
		*field = n
		*has |= bits
	}
}

// timings reads llama.cpp's timings object. Its prompt_n leaves out cached tokens.
func (t *tally) timings(s *scanner) {
	if !s.object() {
		return
	}
	for i := 0; ; i++ {
		k, ok := s.member(i)
		if !ok {
			return
		}
		switch string(k) {
		case "prompt_n":
			t.note(s, &t.timingsPrompt, &t.timed, hasInput)
		case "cache_n":
			t.note(s, &t.timingsCache, &t.timed, hasCached)
		case "predicted_n":
			t.note(s, &t.timingsN, &t.timed, hasOutput)
		default:
			s.skip()
		}
	}
}

// total returns the counts as billed, and which of input and output are known.
func (t *tally) total() (u Usage, input, output bool) {
	if t.has&(hasInput|hasOutput) == 0 && t.timed != 0 {
		u = Usage{Output: t.timingsN, CachedInput: t.timingsCache}
		if t.timed&hasInput != 0 {
			u.Input = t.timingsPrompt + t.timingsCache
		}
		return u, t.timed&hasInput != 0, t.timed&hasOutput != 0
	}
	u = Usage{Input: t.input, Output: t.output, CachedInput: t.cached, CacheWriteInput: t.cacheWrite, ReasoningOutput: t.reasoning}
	if t.has&hasWhole == 0 {
		if t.has&hasAddedRead != 0 {
			u.CachedInput = t.addedRead
		}
		if t.has&hasAddedWrite != 0 {
			u.CacheWriteInput = t.addedWrite
		}
		if t.has&hasInput != 0 {
			u.Input += t.addedRead + t.addedWrite
		}
	}
	return u, t.has&hasInput != 0, t.has&hasOutput != 0
}

// searchUsage finds the usage object in the tail of a payload whose beginning
// is lost. It looks for the key as raw bytes: inside a JSON string every quote
// has a backslash before it, so a quoted word before a colon can only be a key.
// The last one with a known field wins.
func (t *tally) searchUsage(tail []byte) {
	for end := len(tail); end > 0; {
		at := lastKey(tail[:end], `usage"`)
		if at < 0 {
			return
		}
		var got tally
		s := scanner{b: tail, p: at}
		got.usage(&s)
		if got.has != 0 {
			t.merge(&got)
			return
		}
		end = at - len(`usage"`)
	}
}

func (t *tally) merge(o *tally) {
	if t.has == 0 && t.timed == 0 && t.bad == 0 {
		*t = *o
		return
	}
	t.bad += o.bad
	if o.has == 0 && o.timed == 0 {
		return
	}
	for _, f := range []struct {
		bit  usageBits
		dst  *int64
		from int64
	}{
		{hasInput, &t.input, o.input}, {hasOutput, &t.output, o.output}, {hasCached, &t.cached, o.cached},
		{hasCacheWrite, &t.cacheWrite, o.cacheWrite}, {hasReasoning, &t.reasoning, o.reasoning},
		{hasAddedRead, &t.addedRead, o.addedRead}, {hasAddedWrite, &t.addedWrite, o.addedWrite},
	} {
		if o.has&f.bit != 0 {
			*f.dst = f.from
		}
	}
	t.has |= o.has
	if o.timed != 0 {
		t.timed, t.timingsPrompt, t.timingsCache, t.timingsN = o.timed, o.timingsPrompt, o.timingsCache, o.timingsN
	}
}

// lastKey returns the offset of the value behind the last key that ends with
// needle (its name and closing quote) and whose opening quote is right before
// it; -1 if there is none.
func lastKey(b []byte, needle string) int {
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte(needle))
		if i < 1 {
			return -1
		}
		end = i
		if b[i-1] != '"' || i >= 2 && b[i-2] == '\\' {
			continue
		}
		p := i + len(needle)
		for p < len(b) && (b[p] == ' ' || b[p] == '\t' || b[p] == '\n' || b[p] == '\r') {
			p++
		}
		if p < len(b) && b[p] == ':' {
			return p + 1
		}
	}
}

// finishReason maps what servers send to a word of the finish label. raw is the
// same text as a constant, which costs nothing to keep.
func finishReason[T string | []byte](sent T) (raw, reason string, known bool) {
	switch string(sent) {
	case "stop":
		return "stop", "stop", true
	case "end_turn":
		return "end_turn", "stop", true
	case "stop_sequence":
		return "stop_sequence", "stop", true
	case "eos_token":
		return "eos_token", "stop", true
	case "response.completed":
		return "response.completed", "stop", true
	case "completed":
		return "completed", "stop", true
	case "length":
		return "length", "length", true
	case "max_tokens":
		return "max_tokens", "length", true
	case "max_output_tokens":
		return "max_output_tokens", "length", true
	case "model_context_window_exceeded":
		return "model_context_window_exceeded", "length", true
	case "tool_calls":
		return "tool_calls", "tool_calls", true
	case "function_call":
		return "function_call", "tool_calls", true
	case "tool_use":
		return "tool_use", "tool_calls", true
	case "content_filter":
		return "content_filter", "content_filter", true
	case "refusal":
		return "refusal", "content_filter", true
	}
	return "", "", false
}
