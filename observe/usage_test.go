package observe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stSaid is what a stream said, in one line.
func stSaid(s *stream) string {
	u, in, out := s.usage.total()
	var b strings.Builder
	word := func(k string, w *word) {
		if w.n > 0 {
			fmt.Fprintf(&b, " %s=%s", k, w.bytes())
		}
	}
	fmt.Fprint(&b, s.protocol)
	word("model", &s.model)
	if in {
		fmt.Fprintf(&b, " in=%d", u.Input)
	}
	if out {
		fmt.Fprintf(&b, " out=%d", u.Output)
	}
	for _, c := range []struct {
		k string
		n int64
	}{{"cached", u.CachedInput}, {"written", u.CacheWriteInput}, {"reasoning", u.ReasoningOutput}, {"bad", int64(s.badEvents + s.usage.bad)}} {
		if c.n != 0 {
			fmt.Fprintf(&b, " %s=%d", c.k, c.n)
		}
	}
	word("finish", &s.finish)
	if s.streamError {
		b.WriteString(" error")
		word("detail", &s.detail)
	}
	if s.terminal {
		b.WriteString(" terminal")
	}
	return b.String()
}

const stUsageChunk = `{"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":256,"audio_tokens":0}}}`

// TestStreamsSay has a fixture for each row of the protocol table and of the
// usage table. The fixtures are shaped like the examples of the OpenAI API
// reference (chat streaming, responses streaming), Anthropic's "Streaming
// messages", ollama's docs/api.md and llama.cpp's server README.
func TestStreamsSay(t *testing.T) {
	start := `{"type":"message_start","message":{"id":"msg","type":"message","role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":1}}}`
	text := `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}`
	for _, c := range []struct {
		name, want string
		events     []string
	}{
		{"openai", "openai model=m in=2006 out=300 cached=1920 written=5 reasoning=256 finish=stop terminal", []string{
			`{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}`,
			`{"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}`,
			`{"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`, stUsageChunk, `[DONE]`}},
		{"usage only", "openai model=m in=2006 out=300 cached=1920 written=5 reasoning=256", []string{stUsageChunk}},
		{"usage on every chunk: last wins", "openai in=7 out=3", []string{
			`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}`,
			`{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}`,
			`{"choices":[{"delta":{"content":"c"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`}},
		{"usage and finish beside the last content", "openai in=7 out=1 finish=length terminal", []string{
			`{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}`, "[DONE]"}},
		{"no usage", "openai finish=content_filter", []string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"content_filter"}]}`}},
		{"zero is known", "openai in=0 out=0", []string{`{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}`}},
		{"half known", "openai out=4", []string{`{"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":null}}`}},
		{"impossible counts", "openai in=5 bad=5", []string{
			`{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":-1}}`, `{"choices":[],"usage":{"completion_tokens":9007199254740993}}`,
			`{"choices":[],"usage":{"completion_tokens":1e3}}`, `{"choices":[],"usage":{"completion_tokens":"12"}}`,
			`{"choices":[],"usage":{"completion_tokens":99999999999999999999999999}}`}},
		{"2^53", "openai in=9007199254740992", []string{`{"choices":[],"usage":{"prompt_tokens":9007199254740992}}`}},
		{"usage of another kind", "openai", []string{`{"choices":[],"usage":[{"prompt_tokens":5}]}`, `{"choices":[],"usage":"prompt_tokens"}`}},
		{"a proxy that adds Anthropic's names to a whole prompt", "openai in=1100 out=9 cached=1000", []string{
			`{"choices":[],"usage":{"prompt_tokens":1100,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":1000},"cache_read_input_tokens":1000,"cache_creation_input_tokens":0}}`}},
		{"any order, escaped keys", "openai model=org/m in=3 out=4 finish=stop", []string{
			`{"\u0075sage":{"completion_tokens":4,"prompt\u005ftokens":3},"choices":[{"finish\u005freason":"st\u006fp","delta":{}}],"model":"org\/m"}`}},
		{"a key twice", "openai model=b in=2", []string{`{"model":"a","choices":[],"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2},"model":"b"}`}},
		{"timings", "openai in=25 out=9 cached=20 finish=stop", []string{
			`{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"timings":{"cache_n":20,"prompt_n":5,"prompt_ms":30.9,"predicted_n":9,"predicted_ms":661.0,"predicted_per_second":52.9}}`}},
		{"timings do not beat usage", "openai in=1 out=2", []string{`{"choices":[],"timings":{"cache_n":20,"prompt_n":5,"predicted_n":9},"usage":{"prompt_tokens":1,"completion_tokens":2}}`}},
		{"half of the timings", "openai out=9", []string{`{"choices":[],"timings":{"predicted_n":9}}`}},
		{"openai error", "openai error detail=server_error", []string{`{"choices":[{"delta":{"content":"a"}}]}`, `{"error":{"message":"boom","type":"server_error","code":null}}`}},
		{"error before anything", "auto error detail=503", []string{`{"error":{"message":"boom","type":null,"code":503}}`}},
		{"error null", "openai finish=stop", []string{`{"error":null,"choices":[{"delta":{},"finish_reason":"stop"}]}`}},
		{"error as text", "openai error", []string{`{"choices":[]}`, `{"error":"out of memory"}`}},
		{"error event that is no JSON", "openai bad=1 error", []string{`{"choices":[]}`, "event: error\ndata: boom\n\n"}},
		{"long detail", "auto error detail=" + strings.Repeat("é", 32), []string{`{"error":{"type":"` + strings.Repeat("é", 100) + `"}}`}},
		{"detail cut between characters", "auto error detail=x" + strings.Repeat("é", 31), []string{`{"error":{"type":"x` + strings.Repeat("\\u00e9", 100) + `"}}`}},

		{"responses", "responses model=gpt in=36 out=87 cached=32 written=4 reasoning=64 finish=response.completed terminal", []string{
			`{"type":"response.created","response":{"id":"r","model":"gpt","usage":null,"error":null,"incomplete_details":null}}`,
			`{"type":"response.output_text.delta","delta":"x"}`,
			`{"type":"response.completed","response":{"id":"r","error":null,"incomplete_details":null,"model":"gpt","output":[{"type":"message"}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":32,"cache_write_tokens":4},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}}}`}},
		{"responses, incomplete", "responses in=3 out=16 finish=max_output_tokens terminal", []string{
			`{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":3,"output_tokens":16}}}`}},
		{"responses, failed", "responses error detail=server_error", []string{`{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}}`}},
		{"responses, error", "responses error detail=ERR_SOMETHING", []string{`{"type":"response.in_progress"}`, `{"type":"error","code":"ERR_SOMETHING","message":"boom","param":null}`}},

		{"anthropic", "anthropic model=claude in=1125 out=15 cached=1000 written=100 finish=end_turn terminal", []string{
			start, text, `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}`, `{"type":"message_stop"}`}},
		{"anthropic, cumulative delta", "anthropic model=claude in=10700 out=510 cached=500 reasoning=7 finish=tool_use", []string{
			start, `{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":10200,"cache_creation_input_tokens":0,"cache_read_input_tokens":500,"output_tokens":510,"output_tokens_details":{"thinking_tokens":7}}}`}},
		{"anthropic, cut off: the input is known", "anthropic model=claude in=1125 out=1 cached=1000 written=100", []string{start, text}},
		{"anthropic, error", "anthropic model=claude in=1125 out=1 cached=1000 written=100 error detail=overloaded_error", []string{
			start, "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}}\n\n"}},

		{"ollama", "ollama model=l in=26 out=282 finish=stop terminal", []string{
			"{\"model\":\"l\",\"message\":{\"role\":\"assistant\",\"content\":\"The\"},\"done\":false}\n",
			"{\"model\":\"l\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":4883583458,\"load_duration\":1334875,\"prompt_eval_count\":26,\"prompt_eval_duration\":342546000,\"eval_count\":282,\"eval_duration\":4535599000}\n"}},
		{"ollama, cached prompt", "ollama out=282 terminal", []string{"{\"response\":\"\",\"done\":true,\"eval_count\":282}\n"}},
		{"ollama, all in one line", "ollama in=1 out=2 finish=length terminal", []string{"{\"response\":\"x\",\"done\":true,\"done_reason\":\"length\",\"prompt_eval_count\":1,\"eval_count\":2}\n"}},
		{"ollama, error", "ollama model=l error", []string{"{\"model\":\"l\",\"response\":\"x\",\"done\":false}\n", "{\"error\":\"an error was encountered while running the model\"}\n"}},

		{"generic", "auto terminal", []string{"x", `{"usage":{"prompt_tokens":1}}`, "[DONE]"}},
		{"generic error", "auto error detail=t", []string{"x", `{"error":{"type":"t"}}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := ProtocolAuto
			var s *stream
			if strings.HasPrefix(c.want, "ollama") {
				s = newStream(bodyNDJSON, p, FirstTokenOutput)
				s.write([]byte(strings.Join(c.events, "")))
			} else {
				s = stPlay(p, FirstTokenOutput, c.events...)
			}
			defer s.free()
			s.end()
			require.Equal(t, c.want, stSaid(s))
		})
	}
}

// TestFinishReasons is the map of the finish label.
func TestFinishReasons(t *testing.T) {
	want := map[string]string{}
	for word, from := range map[string]string{
		"stop":           "stop end_turn stop_sequence eos_token response.completed completed",
		"length":         "length max_tokens max_output_tokens model_context_window_exceeded",
		"tool_calls":     "tool_calls function_call tool_use",
		"content_filter": "content_filter refusal",
	} {
		for f := range strings.FieldsSeq(from) {
			want[f] = word
		}
	}
	for f, word := range want {
		raw, reason, known := finishReason(f)
		require.Equal(t, []any{f, word, true}, []any{raw, reason, known})
		raw, reason, known = finishReason([]byte(f))
		require.Equal(t, []any{f, word, true}, []any{raw, reason, known})
	}
	_, _, known := finishReason("another")
	require.False(t, known)
}

// TestAnswers reads JSON bodies that are not streamed: short, and so long that
// only their beginning and end are kept.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("All work and no play. ", 1000)
	for _, c := range []struct{ want, body string }{
		{"openai model=m in=9 out=12 cached=4 reasoning=3 finish=stop", `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"TEXT"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}`},
		{"openai model=m in=9 out=12 finish=stop", `{"model":"m","usage":{"prompt_tokens":9,"completion_tokens":12},"choices":[{"finish_reason":"stop","message":{"content":"TEXT"}}]}`},
		{"openai model=m in=5 finish=length", `{"model":"m","choices":[{"finish_reason":"length","message":{"content":"TEXT"}},{"message":{},"finish_reason":null}],"usage":{"prompt_tokens":5}}`},
		{"openai model=m finish=stop", `{"model":"m","choices":[{"message":{"content":"TEXT"},"finish_reason":"stop","stop_reason":"</s>"}]}`},
		{"openai in=25 out=9 cached=20", `{"timings":{"cache_n":20,"prompt_n":5,"predicted_n":9},"choices":[{"text":"TEXT"}]}`},
		{"openai model=e in=8", `{"object":"list","model":"e","choices":[],"data":[{"embedding":"TEXT"}],"usage":{"prompt_tokens":8,"total_tokens":8}}`},
		{"auto model=e in=8", `{"object":"list","data":[{"embedding":[0.1,-2e-5],"x":"TEXT"}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}`},
		{"responses model=gpt in=36 out=87 finish=completed", `{"id":"r","object":"response","status":"completed","error":null,"incomplete_details":null,"model":"gpt","output":[{"content":"TEXT"}],"usage":{"input_tokens":36,"output_tokens":87}}`},
		{"responses model=gpt in=36 out=87 finish=max_output_tokens", `{"id":"r","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"gpt","output":[{"content":"TEXT"}],"usage":{"input_tokens":36,"output_tokens":87}}`},
		{"anthropic model=claude in=1103 out=6 cached=1000 written=100 finish=end_turn", `{"id":"m","type":"message","model":"claude","content":[{"type":"text","text":"TEXT"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":6}}`},
		{"ollama model=l in=26 out=298 finish=stop", `{"model":"l","done":true,"message":{"content":"TEXT"},"done_reason":"stop","prompt_eval_count":26,"eval_count":298}`},
		{"auto", `{"model":"m","choices":[`},
		{"auto", `["TEXT"]`},
		{"auto", `TEXT`},
	} {
		for _, body := range []string{c.body, strings.ReplaceAll(c.body, "TEXT", long)} {
			for _, piece := range []int{1, 7, 512, 4096, 1 << 20} {
				if body != c.body && strings.Contains(c.body, `"data":[{"embedding":[`) {
					continue // its model is in the middle of a long body, where nothing is kept
				}
				s := newStream(bodyJSON, ProtocolAuto, FirstTokenOutput)
				for b := []byte(body); len(b) > 0; b = b[min(piece, len(b)):] {
					s.write(b[:min(piece, len(b))])
					require.Zero(t, s.tokens+s.events)
				}
				s.end()
				require.Equal(t, c.want, stSaid(s), "pieces of %d of %.200s", piece, body)
				s.free()
			}
		}
	}
}

// TestCutNumber: the kept beginning of a long body may end inside a number or a
// name; what is left of it is neither.
func TestCutNumber(t *testing.T) {
	for pad := range 600 {
		body := `{"x":"` + strings.Repeat("p", pad) + `","model":"model-name","usage":{"prompt_tokens":123456,"completion_tokens":7},"choices":["` + strings.Repeat("x", 9000) + `"]}`
		s := newStream(bodyJSON, ProtocolAuto, FirstTokenOutput)
		s.write([]byte(body))
		s.end()
		u, _, _ := s.usage.total()
		require.Contains(t, []int64{0, 123456}, u.Input, "pad %d", pad)
		require.Contains(t, []int64{0, 7}, u.Output, "pad %d", pad)
		require.Contains(t, []string{"", "model-name"}, string(s.model.bytes()), "pad %d", pad)
		s.free()
	}
	s := stPlay(ProtocolOpenAI, FirstTokenOutput)
	s.write([]byte(`data: {"usage":{"prompt_tokens":12`)) // the connection broke
	s.end()
	require.Equal(t, "openai bad=1", stSaid(s))
}

// TestHiddenTails: of an event too long to keep, the beginning tells what it is
// and the end what it cost.
func TestHiddenTails(t *testing.T) {
	for _, c := range []struct{ want, open, event string }{
		{"openai model=m in=7 out=3 finish=stop", `{"choices":[]}`,
			`{"model":"m","choices":[{"delta":{"content":"TEXT"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`},
		{"openai in=7 out=3", `{"choices":[]}`,
			`{"choices":[],"prompt_filter_results":["TEXT"],"usage":{"prompt_tokens":7,"completion_tokens":3},"usage":null,"more":{"usage":{"cost":1}}}`},
		{"openai finish=length error detail=t", `{"choices":[]}`, `{"error":{"type":"t","x":{"a":1}},"choices":[{"delta":{"x":"TEXT"},"finish_reason":"length"}]}`},
		{"responses model=gpt in=36 out=87 cached=32 finish=response.completed terminal", `{"type":"response.created","response":{"model":"gpt"}}`,
			`{"type":"response.completed","response":{"output":[{"text":"TEXT"}],"model":"gpt","usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":32},"output_tokens":87},"user":null,"metadata":{}}}`},
		{"responses in=36 out=87 finish=max_output_tokens terminal", `{"type":"response.created","response":{}}`,
			`{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"},"output":[{"text":"TEXT"}],"usage":{"input_tokens":36,"output_tokens":87}}}`},
		{"anthropic in=3 out=5 finish=end_turn", `{"type":"ping"}`,
			`{"type":"message_delta","context":"TEXT","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"output_tokens":5}}`},
		{"ollama model=l in=26 out=282 finish=stop terminal", `{"model":"l","response":"","done":false}`,
			`{"model":"l","response":"","context":["TEXT"],"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":282}`},
	} {
		kind, before, after := bodySSE, "data: ", "\n\n"
		if strings.HasPrefix(c.want, "ollama") {
			kind, before, after = bodyNDJSON, "", "\n"
		}
		for n, truncated := range map[int]int{100: 0, 3000: 0, 5000: 1, 70_000: 1, 500_000: 1} {
			body := before + c.open + after + before + strings.ReplaceAll(c.event, "TEXT", strings.Repeat(`\"usage\":{\"prompt_tokens\":1},`, n/33+1)) + after
			for _, piece := range []int{1, 1000, 4097, 66_000, 1 << 20} {
				if piece < 66_000 && n == 500_000 {
					continue
				}
				s := newStream(kind, ProtocolAuto, FirstTokenOutput)
				events := 0
				for b := []byte(body); len(b) > 0; b = b[min(piece, len(b)):] {
					s.write(b[:min(piece, len(b))])
					events += s.events
				}
				s.end()
				require.Equal(t, c.want, stSaid(s), "%d bytes, pieces of %d, %.80s", len(body), piece, c.event)
				require.Equal(t, 2, events)
				if whole := piece >= len(body); !whole || n > inPlace {
					require.LessOrEqual(t, s.truncated, truncated)
				} else {
					require.Zero(t, s.truncated)
				}
				if piece == 1 {
					require.Equal(t, truncated, s.truncated, "%d bytes", len(body))
				}
				s.free()
			}
		}
	}
}
