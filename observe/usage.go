package observe

import "bytes"

// countKind is a count that a usage object may give.
type countKind uint8

const (
	countInput countKind = iota
	countOutput
	countCached
	countCacheWrite
	countReasoning
	countAddedRead   // Anthropic: cache reads come on top of input_tokens
	countAddedWrite  // likewise cache writes
	countWhole       // input, but not on top of prompt_tokens, of a proxy that gives both
	countTimedPrompt // llama.cpp's timings, used when there is no usage
	countTimedCache
	countTimedOutput
	countKinds
)

// countSet is a set of kinds.
type countSet uint16

const timedCounts countSet = 1<<countTimedPrompt | 1<<countTimedCache | 1<<countTimedOutput

func (c countSet) has(k countKind) bool { return c>>k&1 != 0 }

// tally is what usage objects have said so far. A field that comes again
// replaces the one before: Anthropic's message_delta is cumulative, and servers
// that send usage with every chunk mean the last.
type tally struct {
	has countSet
	n   [countKinds]int64
	bad int // counts that cannot be
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
			t.read(s, countWhole)
		case "input_tokens":
			t.read(s, countInput)
		case "completion_tokens", "output_tokens":
			t.read(s, countOutput)
		case "cache_read_input_tokens":
			t.read(s, countAddedRead)
		case "cache_creation_input_tokens":
			t.read(s, countAddedWrite)
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
			t.read(s, countCached)
		case "cache_write_tokens":
			t.read(s, countCacheWrite)
		case "reasoning_tokens", "thinking_tokens":
			t.read(s, countReasoning)
		default:
			s.skip()
		}
	}
}

// read reads a count.
func (t *tally) read(s *scanner, k countKind) {
	n, ok, bad := s.count()
	if bad {
		t.bad++
	}
	if ok {
		t.set(k, n)
		s.layout.counted(k)
	}
}

func (t *tally) set(k countKind, n int64) {
	t.has |= 1 << k
	if k == countWhole {
		t.has |= 1 << countInput
		k = countInput
	}
	t.n[k] = n
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
			t.read(s, countTimedPrompt)
		case "cache_n":
			t.read(s, countTimedCache)
		case "predicted_n":
			t.read(s, countTimedOutput)
		default:
			s.skip()
		}
	}
}

// total returns the counts as billed, and which of input and output are known.
func (t *tally) total() (u Usage, input, output bool) {
	if !t.has.has(countInput) && !t.has.has(countOutput) && t.has&timedCounts != 0 {
		u = Usage{Output: t.n[countTimedOutput], CachedInput: t.n[countTimedCache]}
		if input = t.has.has(countTimedPrompt); input {
			u.Input = t.n[countTimedPrompt] + t.n[countTimedCache]
		}
		return u, input, t.has.has(countTimedOutput)
	}
	u = Usage{Input: t.n[countInput], Output: t.n[countOutput], CachedInput: t.n[countCached],
		CacheWriteInput: t.n[countCacheWrite], ReasoningOutput: t.n[countReasoning]}
	if !t.has.has(countWhole) {
		if t.has.has(countAddedRead) {
			u.CachedInput = t.n[countAddedRead]
		}
		if t.has.has(countAddedWrite) {
			u.CacheWriteInput = t.n[countAddedWrite]
		}
		if t.has.has(countInput) {
			u.Input += t.n[countAddedRead] + t.n[countAddedWrite]
		}
	}
	return u, t.has.has(countInput), t.has.has(countOutput)
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

// merge takes over what o says. Timings replace those before as a whole.
func (t *tally) merge(o *tally) {
	if t.has == 0 && t.bad == 0 {
		*t = *o
		return
	}
	t.bad += o.bad
	if o.has == 0 {
		return
	}
	replaced := o.has
	if o.has&timedCounts != 0 {
		t.has &^= timedCounts
		replaced |= timedCounts
	}
	t.has |= o.has
	for k, n := range o.n {
		if replaced.has(countKind(k)) {
			t.n[k] = n
		}
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
