package observe

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// laAnswers are answers as servers write them, and some that none does.
var laAnswers = []string{
	`{"id":"c-1","object":"chat.completion","created":1753000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \"you\"\n","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}`,
	"{\n  \"id\": \"c\",\n  \"model\": \"m\",\n  \"choices\": [\n    {\n      \"index\": 0,\n      \"text\": \"Hi\",\n      \"finish_reason\": \"length\"\n    }\n  ],\n  \"usage\": {\n    \"prompt_tokens\": 5,\n    \"completion_tokens\": 7\n  }\n}\n",
	`{"model":"m","choices":[{"finish_reason":"length","message":{"content":"a"}},{"message":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5}}`,
	`{"timings":{"cache_n":20,"prompt_n":5,"predicted_n":9,"predicted_ms":10.25},"choices":[{"text":"x","finish_reason":"stop"}],"model":"l"}`,
	`{"object":"list","data":[{"embedding":[0.1,-2e-5,7],"index":0}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}`,
	`{"id":"r","object":"response","status":"completed","error":null,"incomplete_details":null,"model":"gpt","output":[{"content":[{"text":"a"}]}],"usage":{"input_tokens":36,"output_tokens":87,"output_tokens_details":{"reasoning_tokens":5}}}`,
	`{"id":"r","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"gpt","usage":{"input_tokens":36,"output_tokens":87}}`,
	`{"id":"m","type":"message","model":"claude","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":6}}`,
	`{"model":"l","done":true,"message":{"content":"a"},"done_reason":"stop","prompt_eval_count":26,"eval_count":298,"total_duration":5000000000}`,
	`{"model":"a","model":"b","status":"s","status":"completed","object":"response","stop_reason":"","usage":{"prompt_tokens":1},"usage":{"input_tokens":2}}`,
	`{"choices":[{"delta":{"content":"x","audio":{"data":"d"},"tool_calls":["t"],"function_call":{"name":"n"}},"finish_reason":"f"}],"stop_reason":"r"}`,
}

// laSaid is what an answer says, as text.
func laSaid(e *event, ok bool) string {
	if !ok {
		return "not JSON"
	}
	return fmt.Sprintf("%v %q %q %q %+v", e.protocol, e.model, e.finish, e.status, e.usage)
}

// laScan reads an answer without any layout.
func laScan(b []byte) string {
	var e event
	s := scanner{b: b}
	e.answer(&s)
	return laSaid(&e, s.fault == scanOK)
}

// laCheck reads one answer after another with the same scratch, and compares
// each with a scan. It returns how many were read by the layout of the one before.
func laCheck(t *testing.T, s *stream, answers ...[]byte) (hits int) {
	for i, b := range answers {
		if s.layout != nil && s.layout.read(b, new(event)) {
			hits++
		}
		var e event
		ok := s.wholeAnswer(&e, b)
		if got, want := laSaid(&e, ok), laScan(b); got != want {
			t.Fatalf("answer %d of %q\n got %s\nwant %s", i, answers, got, want)
		}
	}
	return hits
}

var (
	laString = regexp.MustCompile(`([:\[,]\s*)"(?:[^"\\]|\\.)*"(\s*[,}\]])`)
	laNumber = regexp.MustCompile(`-?[0-9][-+.eE0-9]*`)
)

// laOther is an answer with other strings and numbers.
func laOther(g *stGen, b string) string {
	b = laString.ReplaceAllStringFunc(b, func(s string) string {
		m := laString.FindStringSubmatch(s)
		if g.chance(2) {
			return s
		}
		return m[1] + g.str(stPick(g, "", "stop", "completed", "message", "response", "é", `a"b\`, "m-2", strings.Repeat("long ", g.IntN(60)))) + m[2]
	})
	return laNumber.ReplaceAllStringFunc(b, func(s string) string {
		return stPick(g, s, s, "0", "7", "49", "9007199254740992", "9007199254740993", "12345678901234567", "-1", "1.5", "1e3", "007")
	})
}

// laDamaged is an answer with some bytes lost, doubled or put in.
func laDamaged(g *stGen, b string) string {
	for range 1 + g.IntN(3) {
		i := g.IntN(len(b) + 1)
		j := min(i+g.IntN(20), len(b))
		switch g.IntN(3) {
		case 0:
			b = b[:i] + b[j:]
		case 1:
			b = b[:j] + b[i:]
		default:
			b = b[:i] + stPick(g, `"`, `\`, `\"`, "{", "}", "[", "]", ",", ":", "null", "true", "7", "-", " ", "\x00", `"model":null,`, `"model":"x",`,
				`"usage":{"prompt_tokens":5},`, `"usage":null,`, `"status":"completed",`, `"object":"response",`, `"finish_reason":null,`, `"stop_reason":"y",`) + b[i:]
		}
	}
	return b
}

// TestLayoutIsExact: what is read by the layout of another answer is what a scan
// finds, whatever both are.
func TestLayoutIsExact(t *testing.T) {
	n, hits := uint64(20_000), 0
	if stSlow() {
		n = 2_000
	}
	for seed := range n {
		g := &stGen{Rand: rand.New(rand.NewPCG(seed, 11))}
		a := stPick(g, laAnswers...)
		if g.chance(3) {
			a = laDamaged(g, a)
		}
		b := laOther(g, a)
		c := laOther(g, a)
		if g.chance(3) {
			c = laDamaged(g, c)
		}
		hits += laCheck(t, new(stream), []byte(a), []byte(b), []byte(c), []byte(a))
	}
	require.Greater(t, hits, int(n)/4, "hardly an answer was read by a layout: this proves nothing")
}

// TestLayoutControl: the comparison with a scan finds a layout that is wrong.
func TestLayoutControl(t *testing.T) {
	for name, spoil := range map[string]func(*layout, int){
		"no count": func(l *layout, i int) {
			if l.parts[i].kind > partNumber {
				l.parts[i].kind = partNumber
			}
		},
		"another count": func(l *layout, i int) {
			if l.parts[i].kind > partNumber {
				l.parts[i].kind ^= 1
			}
		},
		"no word": func(l *layout, i int) {
			if l.parts[i].kind < partNumber {
				l.parts[i].kind = partString
			}
		},
		"protocol": func(l *layout, _ int) { l.protocol = ProtocolOllama },
	} {
		s := new(stream)
		var e event
		require.True(t, s.wholeAnswer(&e, []byte(laAnswers[0])))
		for i := range s.layout.n {
			spoil(s.layout, i)
		}
		e = event{}
		require.True(t, s.layout.read([]byte(laAnswers[0]), &e), name)
		require.NotEqual(t, laScan([]byte(laAnswers[0])), laSaid(&e, true), name)
	}
}

// TestLayouts: which answers leave a layout, and what it takes.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		doc, first, next string
		hit              bool
	}{
		{"other strings and numbers", `{"id":"a","model":"m","usage":{"prompt_tokens":1}}`, `{"id":"\"b\\","model":"","usage":{"prompt_tokens":1234}}`, true},
		{"an answer and more behind it", `{"id":"a"}`, `{"id":"b"} {"id":"c"}`, true},
		{"white space of its own", `{"id": "a"}`, `{"id":  "a"}`, false},
		{"another key", `{"id":"a"}`, `{"ib":"a"}`, false},
		{"a member more", `{"id":"a"}`, `{"id":"a","b":1}`, false},
		{"a string for a number", `{"n":1}`, `{"n":"1"}`, false},
		{"a number for a string", `{"n":"1"}`, `{"n":1}`, false},
		{"null for a string", `{"n":"1"}`, `{"n":null}`, false},
		{"what decides the protocol", `{"object":"response","n":1}`, `{"object":"list","n":1}`, false},
		{"a count that cannot be", `{"usage":{"prompt_tokens":1}}`, `{"usage":{"prompt_tokens":1.5}}`, false},
		{"cut in a string", `{"id":"abc"}`, `{"id":"ab`, false},
		{"cut in a number", `{"id":123}`, `{"id":12`, false},
		{"cut before the end", `{"id":1}`, `{"id":1`, false},
		{"nothing", `{"id":1}`, ``, false},
		{"no parts", `{}`, `{}`, false},
		{"no layout: a bad count", `{"usage":{"prompt_tokens":-1}}`, `{"usage":{"prompt_tokens":-1}}`, false},
		{"no layout: a model that is no string", `{"model":null,"n":1}`, `{"model":null,"n":1}`, false},
		{"no layout: not JSON", `{"n":1]`, `{"n":1]`, false},
		{"no layout: too many parts", `{"n":[` + strings.Repeat("1,", 60) + `1]}`, `{"n":[` + strings.Repeat("1,", 60) + `1]}`, false},
		{"no layout: too long", `{"` + strings.Repeat("k", 1100) + `":1}`, `{"` + strings.Repeat("k", 1100) + `":1}`, false},
		{"long strings", `{"k":"` + strings.Repeat("v", 3000) + `"}`, `{"k":"v"}`, true},
	} {
		s := new(stream)
		want := 0
		if c.hit {
			want = 1
		}
		require.Equal(t, want, laCheck(t, s, []byte(c.first), []byte(c.next)), c.doc)
	}
}

// TestLayoutCut: an answer that ends too soon is none, wherever it ends.
func TestLayoutCut(t *testing.T) {
	for _, a := range laAnswers {
		s := new(stream)
		for at := range len(a) {
			laCheck(t, s, []byte(a), []byte(a[:at]))
		}
	}
}

// TestLayoutStays: answers of one layout are read without an allocation, also
// where other bodies came between them through the same scratch.
func TestLayoutStays(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(layout{}), uintptr(1536))
	s := new(stream)
	require.Equal(t, 1, laCheck(t, s, []byte(laAnswers[0]), []byte(laAnswers[0])))
	for _, a := range laAnswers {
		require.Zero(t, testing.AllocsPerRun(10, func() {
			for _, b := range []string{laAnswers[0], a, a} {
				var e event
				s.wholeAnswer(&e, unsafe.Slice(unsafe.StringData(b), len(b)))
			}
		}))
	}
}

// FuzzLayout reads three answers in turn.
func FuzzLayout(f *testing.F) {
	for i, a := range laAnswers {
		g := &stGen{Rand: rand.New(rand.NewPCG(uint64(i), 12))}
		f.Add([]byte(a), []byte(laOther(g, a)), []byte(laDamaged(g, a)))
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) { laCheck(t, new(stream), a, b, a, c, b) })
}
