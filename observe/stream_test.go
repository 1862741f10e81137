package observe

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// stGen makes streams of every protocol, well formed but in every spelling.
type stGen struct {
	*rand.Rand
	ndjson          bool
	shuffle, spaces bool // members in any order; white space and line feeds between tokens
	short           bool // no long output now
}

func (g *stGen) chance(n int) bool { return g.IntN(n) == 0 }

func stPick[T any](g *stGen, of ...T) T { return of[g.IntN(len(of))] }

// cuts are random offsets in rising order.
func (g *stGen) cuts(n int) []int {
	c := make([]int, g.IntN(1+min(n, 1+g.IntN(40))))
	for i := range c {
		c[i] = g.IntN(n + 1)
	}
	slices.Sort(c)
	return c
}

// text is output that looks like everything else in a stream.
func (g *stGen) text() string {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		b.WriteString(stPick(g, "hello", " ", "\n", "\r\n\r\n", `"`, `\`, `\"`, "é", "日本語", "😀", "\u2028", "\x00", "{", "}", "[DONE]", "42",
			`"usage":{"prompt_tokens":99,"completion_tokens":99}`, `"finish_reason":"lies"`, `"done":true`, "data: x\n\n", "event: error\n", "<b>&amp;"))
	}
	if !g.shuffle && !g.short && g.chance(40) {
		b.WriteString(strings.Repeat("long ", stPick(g, 300, 500, 1000, 2000)))
	}
	return b.String()
}

// str spells a JSON string.
func (g *stGen) str(s string) string {
	if g.chance(12) {
		var b strings.Builder
		b.WriteByte('"')
		for _, u := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
		return b.String() + `"`
	}
	if g.chance(2) {
		b, _ := json.Marshal(s)
		return string(b)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

func (g *stGen) gap() string {
	if !g.spaces || g.chance(2) {
		return ""
	}
	return stPick(g, " ", "  ", "\t", "\n")
}

// obj writes an object from names and raw values; nothing is written for "".
func (g *stGen) obj(kv ...string) string {
	var members []string
	for i := 0; i < len(kv); i += 2 {
		if kv[i+1] == "" {
			continue
		}
		key := `"` + kv[i] + `"`
		if g.chance(60) {
			key = g.str(kv[i])
		}
		members = append(members, g.gap()+key+g.gap()+":"+g.gap()+kv[i+1]+g.gap())
	}
	if g.shuffle {
		g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g *stGen) num() string { return fmt.Sprint(g.IntN(stPick(g, 5, 50, 5_000_000))) }

// usage writes a usage object with some of the fields.
func (g *stGen) usage(in, out, details string) string {
	some := func(s string) string {
		if g.chance(6) {
			return stPick(g, "", "null", "-1", "9007199254740993", "1.5", `"7"`)
		}
		return s
	}
	return g.obj(in, some(g.num()), out, some(g.num()), in+"_details", some(g.obj("cached_tokens", g.num(), "audio_tokens", "3")),
		out+"_details", some(g.obj(details, some(g.num()))), "total_tokens", "12", "cost", "0.5e-3")
}

// named is an SSE event.
type stNamed struct{ name, data string }

// stream returns a stream of one protocol.
func (g *stGen) stream() string {
	g.shuffle, g.spaces = g.chance(4), g.chance(4)
	make := stPick(g, g.openai, g.openai, g.responses, g.anthropic, g.ollama, g.generic)
	g.ndjson = false
	events := make()
	var b strings.Builder
	if g.chance(6) {
		b.WriteString("\ufeff")
	}
	if g.ndjson {
		end := stPick(g, "\n", "\r\n")
		for _, e := range events {
			b.WriteString(strings.ReplaceAll(e.data, "\n", " ") + end)
			if g.chance(12) {
				b.WriteString(stPick(g, end, "  "+end))
			}
		}
	} else {
		ends := stPick(g, []string{"\n"}, []string{"\n"}, []string{"\r\n"}, []string{"\r"}, []string{"\n", "\r\n", "\r"})
		last := ""
		line := func(s string) {
			end := stPick(g, ends...)
			if s == "" && last == "\r" && end == "\n" {
				end = "\r\n" // else the two would be one line end
			}
			b.WriteString(s + end)
			last = end
		}
		for _, e := range events {
			g.frame(e, line)
		}
	}
	s := b.String()
	if g.chance(4) {
		s = strings.TrimRight(s, "\r\n") // the last event has no end
	}
	return s
}

func (g *stGen) frame(e stNamed, line func(string)) {
	if g.chance(10) {
		line(stPick(g, ": keep-alive", ":", "retry: 3000"))
		if g.chance(2) {
			line("")
		}
	}
	if g.chance(10) {
		line("id: " + g.num())
	}
	nameLater := e.name != "" && g.chance(8)
	if e.name != "" && !nameLater {
		line("event: " + e.name)
	}
	for part := range strings.SplitSeq(e.data, "\n") {
		line(stPick(g, "data: ", "data: ", "data:") + part)
		if g.chance(30) {
			line(": between")
		}
	}
	if nameLater {
		line("event: " + e.name)
	}
	line("")
	if g.chance(20) {
		line("")
	}
}

func (g *stGen) openai() (events []stNamed) {
	add := func(data string) { events = append(events, stNamed{stPick(g, "", "", "", "message"), data}) }
	id, model, perChunk := g.str("chatcmpl-"+g.num()), g.str(stPick(g, "gpt-4o", "org/model", "模型")), g.chance(4)
	text := g.chance(5)
	chunk := func(usage, finish string, deltas ...string) {
		var choices []string
		for i, d := range deltas {
			if text {
				choices = append(choices, g.obj("index", fmt.Sprint(i), "text", d, "logprobs", "null", "finish_reason", finish))
				continue
			}
			choices = append(choices, g.obj("index", fmt.Sprint(i), "delta", d, "logprobs", stPick(g, "", "null", `{"content":[{"token":"x"}]}`), "finish_reason", finish))
		}
		if perChunk && usage == "" {
			usage = stPick(g, "null", g.usage("prompt_tokens", "completion_tokens", "reasoning_tokens"))
		}
		add(g.obj("id", id, "object", `"chat.completion.chunk"`, "created", g.num(), "model", model, "error", stPick(g, "", "", "null"),
			"choices", "["+strings.Join(choices, ","+g.gap())+"]", "usage", usage))
	}
	delta := func(k, v string) string {
		if text {
			return v
		}
		return g.obj("role", stPick(g, "", `"assistant"`), k, v)
	}
	n := 1 + g.IntN(2)
	if !g.chance(4) {
		chunk("", "null", slices.Repeat([]string{delta("content", stPick(g, `""`, "null"))}, n)...)
	}
	for range g.IntN(5) {
		chunk("", "null", delta(stPick(g, "reasoning", "reasoning_content"), g.str(g.text())))
	}
	for range g.IntN(12) {
		d := slices.Repeat([]string{delta("content", `""`)}, n)
		d[g.IntN(n)] = delta(stPick(g, "content", "content", "content", "refusal"), g.str(g.text()))
		chunk("", stPick(g, "null", "null", "null", `"stop"`), d...)
	}
	if !text {
		for range g.IntN(4) / 2 {
			chunk("", "null", delta("tool_calls", "["+g.obj("index", "0", "function", g.obj("name", stPick(g, "", g.str("f")), "arguments", g.str(g.text())))+"]"))
			chunk("", "null", delta("function_call", g.obj("name", g.str("f"), "arguments", `""`)))
			chunk("", "null", delta("audio", g.obj("id", `"a"`, stPick(g, "data", "transcript"), g.str(g.text()))))
		}
	}
	if g.chance(8) {
		g.short = true // what it calls itself must be within the first kilobyte
		events = append(events, stNamed{stPick(g, "", "error"), g.obj("error", g.obj("message", g.str(g.text()), "type", stPick(g, "", `"server_error"`), "code", stPick(g, "null", "503", `"overloaded"`)))})
		return events
	}
	chunk("", g.str(stPick(g, "stop", "length", "tool_calls")), delta("content", stPick(g, `""`, g.str(g.text()))))
	if g.chance(3) {
		add(g.obj("choices", "[]", "timings", g.obj("prompt_n", g.num(), "cache_n", g.num(), "predicted_n", g.num(), "predicted_ms", "12.5")))
	}
	if g.chance(2) {
		chunk(g.usage("prompt_tokens", "completion_tokens", "reasoning_tokens"), "")
	}
	if !g.chance(4) {
		add("[DONE]")
	}
	return events
}

func (g *stGen) responses() (events []stNamed) {
	named := !g.chance(4)
	add := func(typ string, kv ...string) {
		e := stNamed{typ, g.obj(append([]string{"type", `"` + typ + `"`, "sequence_number", g.num()}, kv...)...)}
		if !named {
			e.name = ""
		}
		events = append(events, e)
	}
	response := func(kv ...string) string {
		return g.obj(append([]string{"id", `"r"`, "model", `"gpt-5"`, "error", "null", "output", "[]"}, kv...)...)
	}
	add("response.created", "response", response("usage", "null", "incomplete_details", "null"))
	for range g.IntN(12) {
		add(stPick(g, append(slices.Clone(stResponsesContent), stResponsesReasoning...)...), "item_id", `"i"`, "output_index", g.num(), "delta", g.str(g.text()))
		if g.chance(4) {
			add("response.output_text.done", "text", g.str(g.text()))
			add("response.output_text.delta", "delta", `""`)
		}
	}
	usage := g.usage("input_tokens", "output_tokens", "reasoning_tokens")
	switch g.IntN(5) {
	case 0:
		add("response.failed", "response", g.obj("error", g.obj("code", `"server_error"`, "message", `"x"`)))
	case 1:
		add("error", "code", stPick(g, `"rate_limit"`, "429", "null"), "message", `"x"`)
	case 2:
		add("response.incomplete", "response", response("incomplete_details", g.obj("reason", `"max_output_tokens"`), "usage", usage))
	default:
		add("response.completed", "response", response("incomplete_details", "null", "usage", usage))
	}
	return events
}

func (g *stGen) anthropic() (events []stNamed) {
	add := func(typ string, kv ...string) {
		events = append(events, stNamed{typ, g.obj(append([]string{"type", `"` + typ + `"`}, kv...)...)})
	}
	usage := func() string {
		return g.obj("input_tokens", stPick(g, "", g.num()), "cache_read_input_tokens", stPick(g, "", "null", "0", g.num()),
			"cache_creation_input_tokens", stPick(g, "", g.num()), "output_tokens", g.num(),
			"output_tokens_details", stPick(g, "", g.obj("thinking_tokens", g.num())), "service_tier", `"standard"`)
	}
	add("message_start", "message", g.obj("id", `"m"`, "role", `"assistant"`, "content", "[]", "model", `"claude"`, "stop_reason", "null",
		"usage", g.obj("input_tokens", g.num(), "output_tokens", "1")))
	for range g.IntN(4) {
		add("content_block_start", "index", g.num(), "content_block", g.obj("type", stPick(g, `"text"`, `"thinking"`, `"tool_use"`, `"server_tool_use"`, `"redacted_thinking"`), "text", `""`))
		add("ping")
		kind := stPick(g, []string{"text_delta", "text"}, []string{"thinking_delta", "thinking"}, []string{"input_json_delta", "partial_json"})
		for range g.IntN(6) {
			add("content_block_delta", "index", g.num(), "delta", g.obj("type", `"`+kind[0]+`"`, kind[1], g.str(g.text())))
		}
		add("content_block_delta", "index", "0", "delta", g.obj("type", `"signature_delta"`, "signature", `"abc"`))
		add("content_block_stop", "index", g.num())
	}
	if g.chance(5) {
		add("error", "error", g.obj("type", `"overloaded_error"`, "message", `"x"`))
		return events
	}
	add("message_delta", "delta", g.obj("stop_reason", stPick(g, `"end_turn"`, `"tool_use"`, `"max_tokens"`), "stop_sequence", "null"), "usage", usage())
	if !g.chance(4) {
		add("message_stop")
	}
	return events
}

func (g *stGen) ollama() (events []stNamed) {
	g.ndjson = true
	generate := g.chance(2)
	add := func(content, thinking string, done ...string) {
		kv := []string{"model", `"llama3"`, "created_at", `"2025-01-02T03:04:05.` + g.num() + `Z"`}
		if generate {
			kv = append(kv, "response", content, "thinking", thinking)
		} else {
			kv = append(kv, "message", g.obj("role", `"assistant"`, "content", content, "thinking", thinking,
				"tool_calls", stPick(g, "", "", "", "[]")))
		}
		events = append(events, stNamed{"", g.obj(append(kv, done...)...)})
	}
	g.short = true // what makes it known, its member done, must be within the first kilobyte once
	for range g.IntN(4) {
		add(`""`, g.str(g.text()), "done", "false")
		g.short = false
	}
	for range g.IntN(12) {
		add(g.str(g.text()), stPick(g, "", `""`), "done", "false")
		g.short = false
	}
	if g.chance(6) {
		events = append(events, stNamed{"", `{"error":"an error was encountered"}`})
		return events
	}
	add(`""`, "", "done", "true", "done_reason", `"stop"`, "total_duration", g.num(), "prompt_eval_count", stPick(g, "", g.num()), "eval_count", g.num())
	return events
}

func (g *stGen) generic() (events []stNamed) {
	g.ndjson = g.chance(2)
	for range 1 + g.IntN(6) {
		events = append(events, stNamed{stPick(g, "", "", "token"), stPick(g, "plain words", "42", "[1,2]", g.obj("token", g.str(g.text()), "error", stPick(g, "", "null")))})
	}
	if g.chance(4) {
		events = append(events, stNamed{"", g.obj("error", stPick(g, `"x"`, g.obj("type", `"t"`)))})
	} else if g.chance(2) {
		events = append(events, stNamed{"", "[DONE]"})
	}
	return events
}

// stSlow reports whether to do less: with -short, and with the race detector,
// which makes these loops over bytes ten times as long and has no goroutine of
// theirs to watch.
func stSlow() bool {
	info, _ := debug.ReadBuildInfo()
	return testing.Short() || info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// stTokens are token chunks of each protocol, of which the numbers move on.
var stTokens = map[string]string{
	"openai":    `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"tok"},"finish_reason":null}]}` + "\n\n",
	"tools":     `data: {"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"x"}}]}}]}` + "\n\n",
	"usage":     `data: {"model":"m","choices":[],"usage":{"prompt_tokens":12345,"completion_tokens":9007199254740993}}` + "\n\n",
	"big usage": `data: {"model":"m","choices":[],"usage":{"prompt_tokens":"` + strings.Repeat("1", 2000) + `","completion_tokens":{"a":[1,2,3]}}}` + "\n\n",
	"responses": "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","item_id":"msg_1","sequence_number":12,"delta":"tok"}` + "\n\n",
	"anthropic": "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"tok"}}` + "\n\n",
	"ollama":    `{"model":"llama3","created_at":"2025-01-02T03:04:05.123Z","message":{"role":"assistant","content":"tok"},"done":false}` + "\n",
	"generic":   "data: plain words\n\n",
	"lines":     "event: message\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"tok\"}}]}\n\n",
	"error":     `data: {"choices":[],"error":{"type":"server_error","code":503,"message":"boom"}}` + "\n\n",
	"done":      "data: [DONE]\n\n",
	"comment":   ": keep-alive\n\n",
}

// TestNoAllocationPerEvent: neither with a hit of the memo nor without, whole or
// in pieces, nor at the end.
func TestNoAllocationPerEvent(t *testing.T) {
	for name, chunk := range stTokens {
		kind := bodySSE
		if name == "ollama" {
			kind = bodyNDJSON
		}
		for _, noMemo := range []bool{false, true} {
			for _, piece := range []int{1, 100, len(chunk), 3 * len(chunk)} {
				s := newStream(kind, ProtocolAuto, FirstTokenOutput)
				s.noMemo = noMemo
				body := []byte(strings.Repeat(chunk, 3))
				n := testing.AllocsPerRun(50, func() {
					for b := body; len(b) > 0; b = b[min(piece, len(b)):] {
						s.write(b[:min(piece, len(b))])
					}
					s.end()
				})
				require.Zero(t, n, "%s, memo %t, pieces of %d", name, !noMemo, piece)
				s.free()
			}
		}
	}
}

func TestScratchIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(stream{}), uintptr(8<<10))
}

// TestEndlessStreams: memory does not grow with the length of a stream, of an
// event, or of a line, nor does the time for a byte.
func TestEndlessStreams(t *testing.T) {
	const mb = 1 << 20
	piece := func(unit string, n int) []byte { return []byte(strings.Repeat(unit, 1+n/len(unit))[:n]) }
	chunks := piece(stTokens["openai"], len(stTokens["openai"])*190)
	for _, c := range []struct {
		name  string
		kind  bodyKind
		open  string
		body  []byte // again and again
		total int
	}{
		{"chunks", bodySSE, "", chunks, 100 * mb},
		{"one event", bodySSE, `data: {"choices":[{"delta":{"content":"`, piece("words and ", 32<<10), 100 * mb},
		{"one event, one byte a Write", bodySSE, `data: {"choices":[{"delta":{"content":"`, []byte("x"), 4 * mb},
		{"chunks, one byte a Write", bodySSE, "", nil, 4 * mb},
		{"one JSON body", bodyJSON, `{"choices":[{"message":{"content":"`, piece("words and ", 32<<10), 100 * mb},
		{"one line", bodyNDJSON, `{"message":{"content":"`, piece("\\\"usage\\\":", 32<<10), 100 * mb},
		{"lines of one event that end in CR", bodySSE, "", piece("a\r", 32<<10), 20 * mb},
		{"events of 60 KiB whose lines end in CR", bodySSE, "", append(piece("a\r", 60<<10), '\r'), 20 * mb},
		{"lines of data", bodySSE, "", append(piece("data\n", 4000), '\n'), 20 * mb},
		{"blank lines", bodySSE, "", piece("\n\r", 32<<10), 20 * mb},
		{"quotes", bodySSE, "", append(piece(`data: {"choices":[{"delta":"`+strings.Repeat(`\"`, 10_000), 20<<10), "\n\n"...), 20 * mb},
		{"backslashes", bodySSE, "", append(piece(`data: {"choices":[{"delta":"`+strings.Repeat(`\`, 20_000), 20<<10), "\n\n"...), 20 * mb},
		{"usage keys in a tail", bodySSE, `data: {"choices":[`, append(piece(`{"usage":{"usage":{`, 128<<10), "\n\n"...), 10 * mb},
		{"finish keys in a tail", bodySSE, `data: {"choices":[`, append(piece(`"finish_reason":[`, 128<<10), "\n\n"...), 10 * mb},
		{"nesting", bodySSE, `data: {"choices":[`, append(append([]byte("data: "), piece("[", 60<<10)...), "\n\n"...), 20 * mb},
	} {
		t.Run(c.name, func(t *testing.T) {
			if stSlow() {
				c.total /= 20
			}
			s := newStream(c.kind, ProtocolAuto, FirstTokenOutput)
			defer s.free()
			s.write([]byte(c.open))
			feed := func(total int) {
				for n := 0; n < total; n += len(c.body) {
					if c.body == nil { // one byte a Write
						n++
						s.write(chunks[n%len(chunks) : n%len(chunks)+1])
						continue
					}
					s.write(c.body)
				}
			}
			feed(c.total / 10)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := time.Now()
			feed(c.total / 10 * 9)
			s.end()
			took := time.Since(began)
			runtime.GC()
			runtime.ReadMemStats(&after)
			require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<10))
			rate := float64(c.total) / mb / took.Seconds()
			t.Logf("%.0f MB/s", rate)
			require.Greater(t, rate, 0.2, "MB/s: more than linear, also with the race detector on a loaded machine")
		})
	}
}

// TestLinesThatEndInCR: one long event of many lines costs what as many bytes
// in short events do.
func TestLinesThatEndInCR(t *testing.T) {
	best := func(event string, n int) time.Duration {
		s := newStream(bodySSE, ProtocolAuto, FirstTokenOutput)
		defer s.free()
		took := time.Hour
		for range 20 {
			began := time.Now()
			for range n {
				s.write([]byte(event))
			}
			took = min(took, time.Since(began))
		}
		return took
	}
	short, long := best(strings.Repeat("a\r", 1000)+"\r", 32), best(strings.Repeat("a\r", 32_000)+"\r", 1)
	require.Less(t, long, 6*short, "32 times the lines in one event")
}
