package observe

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The reference for what payloads say: the protocol table, row by row, over
// decoded JSON.

// stWords are the types that decide.
var stWords = func() map[string]bool {
	words := map[string]bool{}
	for _, list := range [][]string{stResponsesContent, stResponsesReasoning, stAnthropicTypes, {
		"response.completed", "response.incomplete", "response.failed", "error", "text_delta", "thinking_delta",
		"input_json_delta", "tool_use", "server_tool_use", "redacted_thinking"}} {
		for _, word := range list {
			words[word] = true
		}
	}
	return words
}()

var (
	stResponsesContent = []string{"response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta",
		"response.custom_tool_call_input.delta", "response.mcp_call_arguments.delta", "response.code_interpreter_call_code.delta",
		"response.audio.delta", "response.audio.transcript.delta"}
	stResponsesReasoning = []string{"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
	stAnthropicTypes     = []string{"message_start", "content_block_start", "content_block_delta", "content_block_stop",
		"message_delta", "message_stop", "ping"}
)

func stShape(obj map[string]any, ndjson bool, why string) (Protocol, string) {
	var found []Protocol
	if _, ok := obj["choices"]; ok {
		found = append(found, ProtocolOpenAI)
	}
	typ := stString(obj["type"])
	if strings.HasPrefix(typ, "response.") {
		found = append(found, ProtocolResponses)
	}
	if slices.Contains(stAnthropicTypes, typ) {
		found = append(found, ProtocolAnthropic)
	}
	if _, ok := obj["done"]; ok && ndjson {
		found = append(found, ProtocolOllama)
	}
	switch len(found) {
	case 0:
		return ProtocolAuto, why
	case 1:
		return found[0], why
	}
	return found[0], "two shapes"
}

func stString(v any) string               { s, _ := v.(string); return s }
func stObject(v any) map[string]any       { m, _ := v.(map[string]any); return m }
func stIn(obj any, keys ...string) string { return stString(stAt(obj, keys...)) }
func stList(v any) []any                  { l, _ := v.([]any); return l }

func stAt(v any, keys ...string) any {
	for _, k := range keys {
		v = stObject(v)[k]
	}
	return v
}

func (i *stInfo) output(c class, is bool) {
	if is && i.class == classNone {
		i.class = c
	}
}

func (i *stInfo) fails(v any) {
	if v == nil {
		return
	}
	i.failed = true
	code := stIn(v, "code")
	if n, ok := stAt(v, "code").(json.Number); ok {
		code = n.String()
	}
	if i.detail != "" {
		i.unclear = "two errors"
	}
	if i.detail = stIn(v, "type"); i.detail == "" {
		i.detail = code
	}
}

func (i *stInfo) count(obj any, path ...string) {
	v := stAt(obj, path...)
	if v == nil {
		return
	}
	n, _ := v.(json.Number)
	c, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || c > 1<<53 || n[0] == '-' {
		i.bad++
		return
	}
	if i.counts == nil {
		i.counts = map[string]int64{}
	}
	i.counts[path[len(path)-1]] = c
}

// stFields are the paths in the usage object of a protocol.
var stFields = map[Protocol]string{
	ProtocolOpenAI:    "prompt_tokens completion_tokens prompt_tokens_details.cached_tokens prompt_tokens_details.cache_write_tokens completion_tokens_details.reasoning_tokens",
	ProtocolResponses: "input_tokens output_tokens input_tokens_details.cached_tokens input_tokens_details.cache_write_tokens output_tokens_details.reasoning_tokens",
	ProtocolAnthropic: "input_tokens output_tokens cache_read_input_tokens cache_creation_input_tokens output_tokens_details.thinking_tokens",
}

// usage reads the fields of p; those of another protocol make it unclear.
func (i *stInfo) usage(p Protocol, u any) {
	for other, fields := range stFields {
		for path := range strings.FieldsSeq(fields) {
			keys := strings.Split(path, ".")
			if other == p {
				i.count(u, keys...)
			} else if stAt(u, keys...) != nil && !slices.Contains(strings.Fields(stFields[p]), path) {
				i.unclear = "a count of another protocol"
			}
		}
	}
}

func stGeneric(obj map[string]any) (i stInfo) {
	i.fails(obj["error"])
	i.output(classContent, !i.failed)
	return i
}

func stClassify(p Protocol, obj map[string]any, name string) (i stInfo) {
	switch p {
	case ProtocolOpenAI:
		i.model = stString(obj["model"])
		i.usage(p, obj["usage"])
		for _, k := range []string{"prompt_n", "cache_n", "predicted_n"} {
			i.count(obj["timings"], k)
		}
		i.fails(obj["error"])
		reasoning := false
		for _, c := range stList(obj["choices"]) {
			d := stAt(c, "delta")
			content := stIn(d, "content") != "" || stIn(d, "refusal") != "" || len(stList(stAt(d, "tool_calls"))) > 0 ||
				stIn(d, "function_call", "name") != "" || stIn(d, "function_call", "arguments") != "" ||
				stIn(d, "audio", "data") != "" || stIn(d, "audio", "transcript") != "" || stIn(c, "text") != ""
			r := stIn(d, "reasoning_content") != "" || stIn(d, "reasoning") != ""
			i.output(classContent, content)
			if reasoning = reasoning || r; reasoning && i.class == classContent {
				i.unclear = "output and reasoning: whichever comes first"
			}
			if f := stIn(c, "finish_reason"); f != "" {
				i.finish = f
			}
		}
		i.output(classReasoning, reasoning)
	case ProtocolResponses:
		typ := stString(obj["type"])
		if _, ok := obj["type"].(string); !ok {
			typ = name
		}
		i.model = stIn(obj, "response", "model")
		i.usage(p, stAt(obj, "response", "usage"))
		i.finish = stIn(obj, "response", "incomplete_details", "reason")
		i.fails(stAt(obj, "response", "error"))
		i.fails(obj["error"])
		delta := stIn(obj, "delta") != ""
		i.output(classContent, delta && slices.Contains(stResponsesContent, typ))
		i.output(classReasoning, delta && slices.Contains(stResponsesReasoning, typ))
		i.terminal = typ == "response.completed" || typ == "response.incomplete"
		if typ == "response.completed" {
			i.finish = typ
		}
		if typ == "response.failed" || typ == "error" {
			i.failed = true
		}
		if n, ok := obj["code"].(json.Number); ok && typ == "error" && i.detail == "" {
			i.detail = n.String()
		} else if typ == "error" && i.detail == "" {
			i.detail = stIn(obj, "code")
		}
	case ProtocolAnthropic:
		typ := stString(obj["type"])
		if _, ok := obj["type"].(string); !ok {
			typ = name
		}
		i.model = stIn(obj, "message", "model")
		if i.usage(p, stAt(obj, "message", "usage")); obj["usage"] != nil && stAt(obj, "message", "usage") != nil {
			i.unclear = "two usages"
		}
		i.usage(p, obj["usage"])
		i.fails(obj["error"])
		switch typ {
		case "content_block_delta":
			d := obj["delta"]
			switch stIn(d, "type") {
			case "text_delta":
				i.output(classContent, stIn(d, "text") != "")
			case "input_json_delta":
				i.output(classContent, stIn(d, "partial_json") != "")
			case "thinking_delta":
				i.output(classReasoning, stIn(d, "thinking") != "")
			}
		case "content_block_start":
			b := stIn(obj, "content_block", "type")
			i.output(classContent, b == "tool_use" || b == "server_tool_use")
			i.output(classReasoning, b == "redacted_thinking")
		case "message_delta":
			i.finish = stIn(obj, "delta", "stop_reason")
		case "message_stop":
			i.terminal = true
		case "error":
			i.failed = true
		}
	case ProtocolOllama:
		i.model = stString(obj["model"])
		i.fails(obj["error"])
		i.output(classContent, stIn(obj, "message", "content") != "" || stIn(obj, "response") != "" ||
			len(stList(stAt(obj, "message", "tool_calls"))) > 0)
		r := stIn(obj, "message", "thinking") != "" || stIn(obj, "thinking") != ""
		if i.output(classReasoning, r); r && i.class == classContent {
			i.unclear = "output and reasoning: whichever comes first"
		}
		i.terminal = obj["done"] == true
		i.finish = stString(obj["done_reason"])
		i.count(obj, "prompt_eval_count")
		i.count(obj, "eval_count")
	}
	return i
}

// stTotal is the usage table.
func stTotal(p Protocol, n map[string]int64) (u Usage, input, output bool) {
	has := func(k string) bool { _, ok := n[k]; return ok }
	switch p {
	case ProtocolOpenAI:
		if !has("prompt_tokens") && !has("completion_tokens") && (has("prompt_n") || has("cache_n") || has("predicted_n")) {
			return Usage{Input: n["prompt_n"] + n["cache_n"], CachedInput: n["cache_n"], Output: n["predicted_n"]},
				has("prompt_n"), has("predicted_n")
		}
		return Usage{Input: n["prompt_tokens"], Output: n["completion_tokens"], CachedInput: n["cached_tokens"],
			CacheWriteInput: n["cache_write_tokens"], ReasoningOutput: n["reasoning_tokens"]}, has("prompt_tokens"), has("completion_tokens")
	case ProtocolResponses:
		return Usage{Input: n["input_tokens"], Output: n["output_tokens"], CachedInput: n["cached_tokens"],
			CacheWriteInput: n["cache_write_tokens"], ReasoningOutput: n["reasoning_tokens"]}, has("input_tokens"), has("output_tokens")
	case ProtocolAnthropic:
		read, write := n["cache_read_input_tokens"], n["cache_creation_input_tokens"]
		if !has("input_tokens") {
			return Usage{Output: n["output_tokens"], CachedInput: read, CacheWriteInput: write, ReasoningOutput: n["thinking_tokens"]}, false, has("output_tokens")
		}
		return Usage{Input: n["input_tokens"] + read + write, Output: n["output_tokens"], CachedInput: read,
			CacheWriteInput: write, ReasoningOutput: n["thinking_tokens"]}, has("input_tokens"), has("output_tokens")
	case ProtocolOllama:
		return Usage{Input: n["prompt_eval_count"], Output: n["eval_count"]}, has("prompt_eval_count"), has("eval_count")
	}
	return Usage{}, false, false
}

// stPlay feeds a stream of one protocol, an event a Write, and returns it ended.
func stPlay(p Protocol, first FirstToken, events ...string) *stream {
	kind, format := bodySSE, "data: %\n\n"
	if p == ProtocolOllama {
		kind, format = bodyNDJSON, "%\n"
	}
	s := newStream(kind, p, first)
	for _, e := range events {
		if !strings.Contains(e, "\n") {
			e = strings.ReplaceAll(format, "%", e)
		}
		s.write([]byte(e))
	}
	return s
}

// TestFirstToken lists what is no token event and what is one, by protocol.
func TestFirstToken(t *testing.T) {
	chat := func(delta string) string {
		return `{"choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}`
	}
	anthropic := func(delta string) string {
		return `{"type":"content_block_delta","index":0,"delta":` + delta + `}`
	}
	block := func(typ string) string {
		return `{"type":"content_block_start","index":0,"content_block":{"type":"` + typ + `","id":"x","name":"f","input":{}}}`
	}
	const none, reasoning, content = classNone, classReasoning, classContent
	for _, c := range []struct {
		p      Protocol
		class  class
		events int // data events
		body   string
	}{
		{ProtocolOpenAI, none, 1, chat(`{"role":"assistant"}`)},
		{ProtocolOpenAI, none, 1, chat(`{"role":"assistant","content":""}`)},
		{ProtocolOpenAI, none, 1, chat(`{"role":"assistant","content":null,"refusal":null}`)},
		{ProtocolOpenAI, none, 1, chat(`{}`)},
		{ProtocolOpenAI, none, 1, chat(`null`)},
		{ProtocolOpenAI, none, 1, chat(`"content"`)},
		{ProtocolOpenAI, none, 1, chat(`{"content":["text"]}`)},
		{ProtocolOpenAI, none, 1, chat(`{"content":5}`)},
		{ProtocolOpenAI, none, 1, chat(`{"tool_calls":[]}`)},
		{ProtocolOpenAI, none, 1, chat(`{"tool_calls":[ ]}`)},
		{ProtocolOpenAI, none, 1, chat(`{"tool_calls":null}`)},
		{ProtocolOpenAI, none, 1, chat(`{"function_call":{"name":"","arguments":""}}`)},
		{ProtocolOpenAI, none, 1, chat(`{"audio":{"id":"a","data":"","transcript":""}}`)},
		{ProtocolOpenAI, none, 1, chat(`{"reasoning_content":"","reasoning":null}`)},
		{ProtocolOpenAI, none, 1, chat(`{"annotations":[{"content":"x"}],"extra":{"content":"x"}}`)},
		{ProtocolOpenAI, none, 1, `{"choices":[{"index":0,"text":""}]}`},
		{ProtocolOpenAI, none, 1, `{"choices":[{"index":0,"message":{"content":"x"}}]}`},
		{ProtocolOpenAI, none, 1, `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`},
		{ProtocolOpenAI, none, 1, `{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content":"x"}]}`},
		{ProtocolOpenAI, none, 1, `{"content":"x"}`},
		{ProtocolOpenAI, none, 1, `not JSON`},
		{ProtocolOpenAI, none, 1, `[DONE]`},
		{ProtocolOpenAI, none, 1, ` [DONE] `},
		{ProtocolOpenAI, none, 0, ": keep-alive\n\n"},
		{ProtocolOpenAI, none, 0, "event: message\n\n"},
		{ProtocolOpenAI, none, 0, "data:\n\n"},
		{ProtocolOpenAI, none, 0, "data\n\n"},
		{ProtocolOpenAI, none, 0, "data: \ndata:  \n\n"},
		{ProtocolOpenAI, none, 0, "id: 7\nretry: 10\n\n"},
		{ProtocolOpenAI, none, 0, "DATA: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, none, 0, " data: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, none, 0, "database: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, none, 0, "data : " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, none, 1, "event: ping\ndata: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, none, 1, "data: " + chat(`{"content":"x"}`) + "\nevent: ping\n\n"},
		{ProtocolOpenAI, none, 1, "event: error\ndata: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, content, 1, chat(`{"content":"x"}`)},
		{ProtocolOpenAI, content, 1, chat(`{"content":" "}`)},
		{ProtocolOpenAI, content, 1, chat(`{"content":"\n"}`)},
		{ProtocolOpenAI, content, 1, chat(`{"content":"\""}`)},
		{ProtocolOpenAI, content, 1, chat(`{"content":"\u0000"}`)},
		{ProtocolOpenAI, content, 1, chat(`{"\u0063ontent":"x"}`)},
		{ProtocolOpenAI, content, 1, chat(`{ "content" : "x" }`)},
		{ProtocolOpenAI, content, 1, chat(`{"content":"","refusal":"x"}`)},
		{ProtocolOpenAI, content, 1, chat(`{"refusal":"x"}`)},
		{ProtocolOpenAI, content, 1, chat(`{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}`)},
		{ProtocolOpenAI, content, 1, chat(`{"function_call":{"name":"f"}}`)},
		{ProtocolOpenAI, content, 1, chat(`{"function_call":{"arguments":"{"}}`)},
		{ProtocolOpenAI, content, 1, chat(`{"audio":{"data":"AA=="}}`)},
		{ProtocolOpenAI, content, 1, chat(`{"audio":{"transcript":"x"}}`)},
		{ProtocolOpenAI, content, 1, `{"choices":[{"finish_reason":null,"text":"x","index":0}],"id":"i"}`},
		{ProtocolOpenAI, content, 1, `{"choices":[{"delta":{"content":""}},{"delta":{"content":"x"}}]}`},
		{ProtocolOpenAI, content, 1, "data:" + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, content, 1, "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\ndata: \"x\"}}]}\n\n"},
		{ProtocolOpenAI, content, 1, "event: ping\nevent:\ndata: " + chat(`{"content":"x"}`) + "\n\n"},
		{ProtocolOpenAI, reasoning, 1, chat(`{"reasoning_content":"x"}`)},
		{ProtocolOpenAI, reasoning, 1, chat(`{"content":"","reasoning":"x"}`)},

		{ProtocolResponses, none, 1, `{"type":"response.created","response":{"id":"r","model":"m","status":"in_progress"}}`},
		{ProtocolResponses, none, 1, `{"type":"response.output_item.added","item":{"type":"message","content":[]}}`},
		{ProtocolResponses, none, 1, `{"type":"response.content_part.added","part":{"type":"output_text","text":""}}`},
		{ProtocolResponses, none, 1, `{"type":"response.output_text.delta","delta":""}`},
		{ProtocolResponses, none, 1, `{"type":"response.output_text.done","text":"x","delta":"x"}`},
		{ProtocolResponses, none, 1, `{"type":"response.output_text.annotation.added","delta":"x"}`},
		{ProtocolResponses, none, 1, "event: response.output_text.delta\ndata: {\"type\":\"response.created\",\"delta\":\"x\"}\n\n"},
		{ProtocolResponses, content, 1, `{"delta":"x","type":"response.output_text.delta"}`},
		{ProtocolResponses, content, 1, "event: response.output_text.delta\ndata: {\"delta\":\"x\"}\n\n"},
		{ProtocolResponses, content, 1, "data: {\"delta\":\"x\"}\nevent: response.output_text.delta\n\n"},

		{ProtocolAnthropic, none, 1, `{"type":"message_start","message":{"id":"m","model":"c","content":[],"usage":{"input_tokens":3}}}`},
		{ProtocolAnthropic, none, 1, "event: ping\ndata: {\"type\": \"ping\"}\n\n"},
		{ProtocolAnthropic, none, 1, block("text")},
		{ProtocolAnthropic, none, 1, block("thinking")},
		{ProtocolAnthropic, none, 1, anthropic(`{"type":"text_delta","text":""}`)},
		{ProtocolAnthropic, none, 1, anthropic(`{"type":"signature_delta","signature":"x"}`)},
		{ProtocolAnthropic, none, 1, anthropic(`{"type":"signature_delta","text":"x"}`)},
		{ProtocolAnthropic, none, 1, anthropic(`{"type":"citations_delta","citation":{"text":"x","cited_text":"x"}}`)},
		{ProtocolAnthropic, none, 1, anthropic(`{"type":"thinking_delta","text":"x"}`)},
		{ProtocolAnthropic, none, 1, `{"type":"content_block_stop","index":0}`},
		{ProtocolAnthropic, none, 1, `{"type":"message_delta","delta":{"type":"text_delta","text":"x"},"usage":{"output_tokens":3}}`},
		{ProtocolAnthropic, none, 1, `{"type":"message_stop"}`},
		{ProtocolAnthropic, content, 1, anthropic(`{"type":"text_delta","text":"x"}`)},
		{ProtocolAnthropic, content, 1, anthropic(`{"text":"x","type":"text_delta"}`)},
		{ProtocolAnthropic, content, 1, `{"delta":{"text":"x","type":"text_delta"},"type":"content_block_delta"}`},
		{ProtocolAnthropic, content, 1, anthropic(`{"type":"text_delta","thinking":"y","text":"x"}`)},
		{ProtocolAnthropic, content, 1, anthropic(`{"type":"input_json_delta","partial_json":"{"}`)},
		{ProtocolAnthropic, content, 1, block("tool_use")},
		{ProtocolAnthropic, content, 1, block("server_tool_use")},
		{ProtocolAnthropic, reasoning, 1, block("redacted_thinking")},
		{ProtocolAnthropic, reasoning, 1, anthropic(`{"type":"thinking_delta","thinking":"x"}`)},

		{ProtocolOllama, none, 1, `{"model":"m","message":{"role":"assistant","content":""},"done":true,"eval_count":3}`},
		{ProtocolOllama, none, 1, `{"model":"m","response":"","done":false}`},
		{ProtocolOllama, none, 1, `{"message":{"content":null,"tool_calls":[]},"done":false}`},
		{ProtocolOllama, none, 0, "  \r\n"},
		{ProtocolOllama, content, 1, `{"message":{"content":"x"},"done":false}`},
		{ProtocolOllama, content, 1, `{"message":{"content":"","tool_calls":[{"function":{"name":"f"}}]},"done":false}`},
		{ProtocolOllama, content, 1, `{"response":" ","done":false}`},
		{ProtocolOllama, reasoning, 1, `{"message":{"content":"","thinking":"x"},"done":false}`},
		{ProtocolOllama, reasoning, 1, `{"response":"","thinking":"x","done":false}`},

		{ProtocolGeneric, content, 1, `hello`},
		{ProtocolGeneric, content, 1, `{"text":""}`},
		{ProtocolGeneric, content, 1, `{"error":null}`},
		{ProtocolGeneric, content, 1, `[{"error":"x"}]`},
		{ProtocolGeneric, content, 1, "data: data: {\"error\":\"x\"}\n\n"},
		{ProtocolGeneric, none, 1, `{"a":1,"error":{"type":"t"}}`},
		{ProtocolGeneric, none, 1, `[DONE]`},
		{ProtocolGeneric, none, 1, "event: ping\ndata: x\n\n"},
		{ProtocolGeneric, none, 1, "event: error\ndata: x\n\n"},
		{ProtocolGeneric, none, 0, "data: \t \n\n"},
	} {
		for _, p := range []Protocol{c.p, ProtocolAuto} {
			s := stPlay(p, FirstTokenOutput, c.body)
			if p == ProtocolAuto && (c.p == ProtocolGeneric || s.protocol != c.p) {
				continue // no shape to know it by
			}
			require.Equal(t, c.events, s.events, "%v %s", p, c.body)
			require.Equal(t, c.class != none, s.tokens == 1, "%v %s", p, c.body)
			require.Equal(t, c.class == content, s.content, "%v %s", p, c.body)
			require.Equal(t, c.class == reasoning, s.reasoned, "%v %s", p, c.body)
			s.end()
			require.Equal(t, strings.Contains(c.body, "event: error") || c.class == none && strings.Contains(c.body, `"error":{`), s.streamError, "%v %s", p, c.body)
			s.free()
		}
	}
	for _, typ := range stResponsesContent {
		require.True(t, stPlay(ProtocolAuto, FirstTokenContent, `{"type":"`+typ+`","delta":"x"}`).tokens == 1, typ)
	}
	for _, typ := range stResponsesReasoning {
		s := stPlay(ProtocolAuto, FirstTokenContent, `{"type":"`+typ+`","delta":"x"}`)
		require.True(t, s.tokens == 0 && s.reasoned, typ)
	}
}

// TestFirstTokenModes: one reasoning stream, written as a proxy may cut it.
func TestFirstTokenModes(t *testing.T) {
	chunk := func(delta string) string { return `data: {"choices":[{"delta":` + delta + `}]}` + "\n\n" }
	writes := []string{
		": keep-alive\n\n",
		chunk(`{"role":"assistant","content":""}`),
		chunk(`{"reasoning":"a"}`) + chunk(`{"reasoning":"b"}`),
		chunk(`{"reasoning":"c"}`) + chunk(`{"content":"d"}`) + chunk(`{"content":"e"}`)[:30],
		chunk(`{"content":"e"}`)[30:] + chunk(`{"content":"f"}`) + chunk(`{"content":"g"}`),
		chunk(`{}`) + "data: [DONE]\n\n",
	}
	for mode, want := range map[FirstToken]string{ // of each Write: its tokens, and a + if there is content among them
		FirstTokenOutput:  "0 0 2 2+ 3+ 0",
		FirstTokenContent: "0 0 0 1+ 3+ 0",
		FirstTokenChunk:   "0 1 2 2+ 3+ 1",
	} {
		s := newStream(bodySSE, ProtocolAuto, mode)
		var got []string
		for _, w := range writes {
			s.write([]byte(w))
			g := strconv.Itoa(s.tokens)
			if s.content {
				g += "+"
			}
			got = append(got, g)
		}
		require.Equal(t, want, strings.Join(got, " "), "mode %d", mode)
		require.True(t, s.terminal && s.reasoned)
		s.free()
	}
}
