package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The reference: a stream is split the way the WHATWG describes it, with strings,
// and each payload is decoded by encoding/json. It knows nothing of pieces.

// stEvent is one data event.
type stEvent struct {
	end   int // offset behind the byte that completes it; behind the body: its end does
	class class
	done  bool // [DONE]
}

// stWant is what a stream says.
type stWant struct {
	events                []stEvent
	protocol              Protocol
	counts                map[string]int64 // by the name of their field
	finish, model, detail string
	terminal, failed      bool
	bad                   int
	last                  *stInfo // of a token event that no other event followed yet
	tokenModel            bool    // a token event names the model: it may be read or not

	vague string // why a payload has more than one reading: compare framing only
}

// stInfo is what one payload says.
type stInfo struct {
	class                 class
	model, finish, detail string
	failed, terminal      bool
	counts                map[string]int64
	bad                   int
	unclear               string // why another reader may take it for something else
}

// stLine is a line without its end, and the offset behind the first byte of that.
type stLine struct {
	text string
	end  int
}

func stLines(body string, ends string) (lines []stLine) {
	at := 0
	if rest, ok := strings.CutPrefix(body, "\ufeff"); ok {
		body, at = rest, 3
	}
	for body != "" {
		i := strings.IndexAny(body, ends)
		if i < 0 {
			return append(lines, stLine{body, -1})
		}
		n := i + 1
		if strings.HasPrefix(body[i:], "\r\n") {
			n++
		}
		lines = append(lines, stLine{body[:i], at + i + 1})
		body, at = body[n:], at+n
	}
	return lines
}

func stReference(body string, ndjson bool, p Protocol) *stWant {
	w := &stWant{protocol: p, counts: map[string]int64{}}
	end := len(body) + 1
	if ndjson {
		for _, l := range stLines(body, "\n") {
			if l.end < 0 {
				l.end = end
			}
			w.event(l.end, "", strings.TrimRight(l.text, "\r"), true)
		}
	} else {
		var name string
		var data []string
		dispatch := func(at int) {
			if data != nil {
				w.event(at, name, strings.Join(data, "\n"), false)
			}
			name, data = "", nil
		}
		for _, l := range stLines(body, "\r\n") {
			field, value, _ := strings.Cut(l.text, ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case l.text == "":
				dispatch(l.end)
			case field == "data":
				data = append(data, value)
			case field == "event":
				name = value
			}
		}
		dispatch(end)
	}
	w.take()
	return w
}

// take applies what the last token event says.
func (w *stWant) take() {
	if w.last != nil {
		w.apply(w.last)
	}
	w.last = nil
}

func (w *stWant) apply(i *stInfo) {
	maps.Copy(w.counts, i.counts)
	if i.finish != "" {
		w.finish = i.finish
	}
	if i.failed {
		w.failed = true
		if i.detail != "" {
			w.detail = i.detail
		}
	}
	w.terminal = w.terminal || i.terminal
	w.bad += i.bad
}

func (w *stWant) event(end int, name, data string, ndjson bool) {
	trimmed := strings.TrimSpace(data)
	if trimmed == "" {
		return
	}
	e := stEvent{end: end, done: trimmed == "[DONE]"}
	if e.done {
		w.take()
		w.terminal = true
		w.events = append(w.events, e)
		return
	}
	v, why := stDecode(data)
	obj, _ := v.(map[string]any)
	if w.protocol == ProtocolAuto && obj != nil {
		if w.protocol, why = stShape(obj, ndjson, why); w.protocol != ProtocolAuto && w.last != nil {
			why = "the event before is read by the protocol that is known now"
		}
	}
	var i stInfo
	switch {
	case w.protocol == ProtocolAuto, w.protocol == ProtocolGeneric:
		if i = stGeneric(obj); why == stNotJSON && trimmed[0] != '{' {
			why = ""
		}
	case obj == nil:
		i.bad++
	default:
		i = stClassify(w.protocol, obj, name)
	}
	if name == "error" {
		i.failed = true
	}
	if (i.failed || name == "ping") && i.class != classNone {
		why = "output and an error in one event"
	}
	if i.unclear != "" {
		why = i.unclear
	}
	w.tokenModel = w.tokenModel || i.class != classNone && i.model != ""
	if i.failed || name == "ping" {
		i.class = classNone
	}
	if w.vague == "" {
		w.vague = why
	}
	if e.class = i.class; e.class != classNone {
		w.last = &i
	} else {
		w.take()
		w.apply(&i)
	}
	if i.model != "" && w.model != "" && i.model != w.model {
		w.vague = "two models"
	}
	if w.model == "" {
		w.model = i.model
	}
	w.events = append(w.events, e)
}

const stNotJSON = "not JSON"

// stDecode decodes a payload and says why another reader may read it otherwise.
func stDecode(data string) (v any, why string) {
	d := json.NewDecoder(strings.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, stNotJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, stNotJSON
	}
	return v, stVague(data)
}

// stVague finds keys that come twice, deep nesting, and what Go's decoder
// replaces.
func stVague(data string) string {
	if !utf8.ValidString(data) {
		return "not UTF-8"
	}
	type level struct {
		keys  map[string]bool
		isKey bool
	}
	var stack []level
	d := json.NewDecoder(strings.NewReader(data))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		top := len(stack) - 1
		if s, ok := t.(string); ok && top >= 0 && stack[top].isKey {
			if stack[top].keys[s] {
				return "key twice"
			}
			stack[top].keys[s], stack[top].isKey = true, false
			continue
		} else if ok && stWords[s] && !strings.Contains(data, `"`+s+`"`) {
			return "an escaped word" // words are compared as they are sent
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{map[string]bool{}, true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack, top = stack[:top], top-1
			fallthrough
		default:
			if top >= 0 && stack[top].keys != nil {
				stack[top].isKey = true
			}
		}
		if len(stack) > maxDepth {
			return "deep"
		}
	}
}

// stResult is one run of a stream through the implementation.
type stResult struct {
	usage                 Usage
	input, output         bool
	finish, model, detail string
	terminal, failed      bool
	protocol              Protocol
	bad, truncated        int
	tokens                int
	reasoned              bool
}

type stOptions struct {
	ndjson, noMemo bool
	first          FirstToken
	protocol       Protocol
}

// stRun writes body in the pieces that cuts say, and checks after each Write
// that it completed the events which end in it, and no others.
func stRun(body []byte, cuts []int, w *stWant, o stOptions) (r stResult, err error) {
	kind := bodySSE
	if o.ndjson {
		kind = bodyNDJSON
	}
	s := newStream(kind, o.protocol, o.first)
	defer s.free()
	s.noMemo = o.noMemo
	next := 0
	check := func(at int) error {
		events, tokens, content := 0, 0, false
		for ; next < len(w.events) && w.events[next].end <= at; next++ {
			e := w.events[next]
			events++
			switch {
			case o.first == FirstTokenChunk && !e.done, o.first == FirstTokenContent && e.class == classContent,
				o.first == FirstTokenOutput && e.class != classNone:
				tokens++
				content = content || e.class == classContent
			}
		}
		r.tokens += s.tokens
		if s.events != events || w.vague == "" && (s.tokens != tokens || s.content != content) {
			return fmt.Errorf("up to byte %d: events %d, tokens %d, content %t; want %d, %d, %t",
				at, s.events, s.tokens, s.content, events, tokens, content)
		}
		return nil
	}
	at := 0
	for _, c := range append(slices.Clip(cuts), len(body)) {
		s.write(body[at:c])
		if err := check(c); err != nil {
			return r, err
		}
		at = c
	}
	s.end()
	if err := check(len(body) + 1); err != nil {
		return r, err
	}
	r = stResult{tokens: r.tokens, finish: string(s.finish.bytes()), model: string(s.model.bytes()), detail: string(s.detail.bytes()),
		terminal: s.terminal, failed: s.streamError, protocol: s.protocol,
		bad: s.badEvents + s.usage.bad, truncated: s.truncated, reasoned: s.reasoned}
	r.usage, r.input, r.output = s.usage.total()
	return r, nil
}

// stExpected is the result that the reference asks for.
func stExpected(w *stWant) stResult {
	r := stResult{finish: w.finish, model: w.model, detail: w.detail, terminal: w.terminal, failed: w.failed, protocol: w.protocol, bad: w.bad}
	r.usage, r.input, r.output = stTotal(w.protocol, w.counts)
	for _, e := range w.events {
		r.reasoned = r.reasoned || e.class == classReasoning
	}
	return r
}

// TestStreamsCutAnywhere compares with the reference: whole, in two pieces at
// each offset, and in random pieces, with the memo and without.
func TestStreamsCutAnywhere(t *testing.T) {
	streams, sets := 100, 10_000
	if stSlow() {
		streams, sets = 20, 1_000
	}
	seen := map[Protocol]int{}
	modes := []FirstToken{FirstTokenOutput, FirstTokenContent, FirstTokenChunk}
	for seed := range streams {
		g := &stGen{Rand: rand.New(rand.NewPCG(uint64(seed), 1))}
		body := g.stream()
		ndjson := g.ndjson
		w := stReference(body, ndjson, ProtocolAuto)
		require.Empty(t, w.vague, "seed %d: %q", seed, body)
		require.NotEmpty(t, w.events, "seed %d", seed)
		seen[w.protocol]++
		want := stExpected(w)
		o := stOptions{ndjson: ndjson, first: modes[seed%3]}
		run := func(cuts []int) {
			t.Helper()
			got, err := stRun([]byte(body), cuts, w, o)
			got.truncated, got.tokens = 0, 0 // the first depends on the cuts, by design; the second is checked
			if err != nil || got != want {
				t.Fatalf("seed %d, cuts %v, memo %t: %v\n got %+v\nwant %+v\n%q", seed, cuts, !o.noMemo, err, got, want, body)
			}
		}
		for _, o.noMemo = range []bool{false, true} {
			run(nil)
			step := 1 + len(body)/3000 // long streams: not at each offset
			if stSlow() {
				step += 4
			}
			for at := 1; at < len(body); at += step {
				run([]int{at})
			}
		}
		for k := range sets / streams {
			o.noMemo, o.first = k%4 == 0, modes[k%3]
			run(g.cuts(len(body)))
		}
		o.noMemo = false
		every := make([]int, 0, len(body))
		for at := 1; at < len(body); at++ {
			every = append(every, at)
		}
		run(every)
	}
	for _, p := range []Protocol{ProtocolAuto, ProtocolOpenAI, ProtocolResponses, ProtocolAnthropic, ProtocolOllama} {
		require.NotZero(t, seen[p], "the corpus has no stream of %v", p)
	}
}

// TestMemoIsExact has pairs of events of which the second resembles the first
// up to the quote of its output, and is none. The classes are those of a scan.
func TestMemoIsExact(t *testing.T) {
	chat := func(s string) string { return "data: {\"choices\":[{\"delta\":{" + s + "}}]}\n\n" }
	pad := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, first, second string }{
		{"empty output", chat(`"content":"a"`), chat(`"content":""`)},
		{"digits of another length", "id: 9\n" + chat(`"content":"a"`), "id: 10\n" + chat(`"content":""`)},
		{"digits that vanish", "id: 9\n" + chat(`"content":"a"`), "id: \n" + chat(`"content":"a"`)},
		{"digits in an escaped key", chat(`"\u0063ontent":"a"`), chat(`"\u0069ontent":"a"`)},
		{"digits that end a literal", chat(`"x":1,"content":"a"`), chat(`"x":12,"contents":"a"`)},
		{"reasoning", chat(`"content":"","reasoning":"a"`), chat(`"content":"a"`)},
		{"a name that follows", chat(`"content":"a"`), strings.TrimSuffix(chat(`"content":"a"`), "\n") + "event: error\n\n"},
		{"an empty line end", chat(`"content":"a"`), "data: {\"choices\":[{\"delta\":{\"content\":\"\n\n"},
		{"a name that follows, as many lines", ": c\n" + chat(`"content":"a"`), strings.TrimSuffix(chat(`"content":"a"`), "\n") + "event: error\n\n"},
		{"a hidden line after data", strings.TrimSuffix(chat(`"content":"`+pad+`"`), "\n") + "id: 1\n\n",
			strings.TrimSuffix(chat(`"content":"a"`), "\n") + "event: error\n\n"},
		{"byte order mark and blank line, CR and LF apart", "\ufeff\n" + chat(`"content":"a"`) + ": c\r\n\r", "\n" + strings.TrimSuffix(chat(`"content":"a"`), "\n") + "event: ping\n\n"},
		{"two data fields", chat(`"content":"a"`), "data: {\"choices\":[{\"delta\":{\"content\":\"\ndata: \"}}]}\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for at := 0; at <= len(c.first); at += 1 + len(c.first)/500 { // the first event also spans Writes
				var got [2][]string
				for i, noMemo := range []bool{false, true} {
					s := newStream(bodySSE, ProtocolAuto, FirstTokenOutput)
					s.noMemo = noMemo
					for _, piece := range []string{c.first[:at], c.first[at:], c.second, c.second, c.first} {
						s.write([]byte(piece))
						got[i] = append(got[i], fmt.Sprint(s.events, s.tokens, s.content))
					}
					s.free()
				}
				require.Equal(t, got[1], got[0], "cut at %d", at)
			}
		})
	}
}

// TestLongTokenEvents: what is read of a token event of more than 2 KiB depends
// neither on the memo nor on the cuts.
func TestLongTokenEvents(t *testing.T) {
	long := strings.Repeat("x", 3000)
	token := `{"choices":[{"finish_reason":"early","delta":{"content":"` + long + `"}}]}`
	for _, c := range []struct{ body, finish string }{
		{"data: " + token + "\n\ndata: " + token + "\n\ndata: [DONE]\n\n", ""}, // its beginning is not kept
		{"data: " + strings.ReplaceAll(token, long, long[:2048-len(token)+3000]) + "\n\ndata: [DONE]\n\n", "early"},
		{`data: {"choices":[{"delta":{"content":"` + long + `"},"finish_reason":"late"}]}` + "\n\n", "late"},
		{`data: {"choices":[{"delta":{"content":"` + long + `"},"finish_reason":"late"},{"delta":{},"finish_reason":null}]}` + "\n\n", "late"},
		{`data: {"choices":[{"delta":{"content":"` + long + `"},"finish_reason":"late","stop_reason":"</s>"}]}` + "\n\n", "late"}, // as vLLM
	} {
		for at := 0; at < len(c.body); at += 7 {
			for _, noMemo := range []bool{false, true} {
				s := newStream(bodySSE, ProtocolAuto, FirstTokenOutput)
				s.noMemo = noMemo
				s.write([]byte(c.body[:at]))
				s.write([]byte(c.body[at:]))
				s.end()
				require.Equal(t, c.finish, string(s.finish.bytes()), "cut at %d, memo %t", at, !noMemo)
				s.free()
			}
		}
	}
}

// TestSniff: a body without a type is SSE if it begins like it, however it is cut.
func TestSniff(t *testing.T) {
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"
	for _, c := range []struct {
		body   string
		tokens int
	}{{event, 1}, {": hi\n\n" + event, 1}, {"event: x\n" + event, 1}, {":\n" + event, 1}, {"data:{\"choices\":[]}\n\n" + event, 1},
		{"dat", 0}, {"date: x\n\n", 0}, {"id: 1\n" + event, 0}, {"{\"choices\":[]}", 0}, {" " + event, 0}, {"\n" + event, 0}, {"events: x\n" + event, 0}} {
		for i := range 1 + len(c.body) {
			for j := i; j <= len(c.body); j++ {
				s := newStream(bodySniff, ProtocolAuto, FirstTokenOutput)
				tokens := 0
				for _, piece := range []string{c.body[:i], c.body[i:j], c.body[j:]} {
					s.write([]byte(piece))
					tokens += s.tokens
				}
				require.Equal(t, c.tokens, tokens, "%q cut at %d and %d", c.body, i, j)
				require.Equal(t, c.tokens > 0, s.kind == bodySSE)
				s.free()
			}
		}
	}
}
