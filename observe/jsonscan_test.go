package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// stJSON are values in every spelling, and what is none.
var stJSON = []string{
	`{}`, `[]`, `""`, `null`, `true`, `false`, ` { } `, `[ ]`, `[[],{}]`, `{"a":{}}`,
	`{"choices":[{"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":12}}`,
	`{"\u0063hoices":"\ud83d\ude00","\ud800":"\udc00x\ud800\u0041","a\/b":"\b\f\n\r\t\"\\\/"}`,
	`{"n":[0,-0,1,-1,1.5,1e5,1E-5,123456789012345678901234567890]}`, `{"a":[true,false,null]}`,
	"\t{\n\"a\" : [ 1 , 2 ]\r\n}\n", `{"":"","a":"é","é":"\u00e9"}`, `{"a":1,"a":2}`, `{"model":"m\\","model":"n"}`,
	`{"a":"\\\\\"","b":"\\"}`, `{"a_key_of_more_than_thirty_two_bytes":1,"\u0061_key_of_more_than_thirty_two_bytes":2}`,
	strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat(`{"a":`, 63) + "[]" + strings.Repeat("}", 63),
	`{`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{,}`, `{"a":1,}`, `[1,]`, `[,1]`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `]`, `}`, `{]`, `[}`,
	`"`, `"\`, `"\"`, `tru`, `nulL`, `-`, `+1`, `{"a":truee}`, `{"a":nul}`, "{\"a\":1}\x00", "{\"a\":\x00}", `{"a":1}}`, `{"a":1} {`, "\xff", `{"\xff":1}`, `{"a":"\u12"}`, `{"a":"\uzzzz"}`,
}

// stWalk decodes a value with the scanner's methods alone.
func stWalk(s *scanner, depth int) any {
	if depth > 1000 {
		s.fail(scanBad)
	}
	switch c := s.peek(); c {
	case '{':
		m := map[string]any{}
		for i, in := 0, s.object(); in; i++ {
			k, ok := s.member(i)
			if !ok {
				break
			}
			key := string(k)
			m[key] = stWalk(s, depth+1)
		}
		return m
	case '[':
		list := []any{}
		if s.array() {
			for i := 0; s.element(i); i++ {
				list = append(list, stWalk(s, depth+1))
			}
		}
		return list
	case '"':
		raw, _ := s.str()
		return string(unescape(make([]byte, 0, 3*len(raw)+utf8.UTFMax), raw))
	case 't', 'f':
		return s.isTrue()
	case 'n':
		s.null()
		return nil
	}
	at := s.p
	s.skip()
	return json.Number(s.b[at:s.p])
}

func stCheckScan(t *testing.T, b []byte) {
	walk, skip := scanner{b: b}, scanner{b: b}
	got := stWalk(&walk, 0)
	skip.skip()
	for _, s := range []*scanner{&walk, &skip} {
		if s.p < 0 || s.p > len(b) {
			t.Fatalf("%q: at %d", b, s.p)
		}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var want any
	if !json.Valid(b) || d.Decode(&want) != nil {
		return
	}
	if why := stVague(string(b)); why == "deep" || why == "not UTF-8" {
		return
	}
	if _, ok := want.(json.Number); ok {
		return // one alone may go on
	}
	require.Equal(t, scanOK, walk.fault, "%q", b)
	require.Equal(t, scanOK, skip.fault, "%q", b)
	require.Equal(t, walk.p, skip.p, "%q", b)
	require.Zero(t, walk.peek(), "%q", b)
	if !stLongKey(want) {
		require.Equal(t, want, got, "%q", b)
	}
	// What a valid value begins with is cut, never bad.
	trimmed := bytes.TrimRight(b, " \t\r\n")
	for n := range min(len(trimmed), 300) {
		cut := scanner{b: trimmed[:n]}
		cut.skip()
		require.Equal(t, scanCut, cut.fault, "%q", trimmed[:n])
	}
}

// stLongKey reports whether a key is too long for the buffer of escaped ones.
func stLongKey(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if len(k) > 28 || stLongKey(e) {
				return true
			}
		}
	case []any:
		if slices.ContainsFunc(v, stLongKey) {
			return true
		}
	}
	return false
}

func TestScannerFindsWhatEncodingJSONFinds(t *testing.T) {
	for _, s := range stJSON {
		stCheckScan(t, []byte(s))
	}
	n := 10_000
	if stSlow() {
		n = 1000
	}
	g := &stGen{Rand: rand.New(rand.NewPCG(1, 4)), spaces: true, shuffle: true}
	var value func(depth int) string
	value = func(depth int) string {
		switch k := g.IntN(8); {
		case k < 2 && depth < 6:
			var kv []string
			for i := range g.IntN(5) {
				kv = append(kv, fmt.Sprintf("%s%d", stPick(g, "key", "usage", "content"), i), value(depth+1))
			}
			return g.obj(kv...)
		case k < 4 && depth < 6:
			var list []string
			for range g.IntN(4) {
				list = append(list, g.gap()+value(depth+1)+g.gap())
			}
			return "[" + strings.Join(list, ",") + g.gap() + "]"
		case k < 6:
			return g.str(g.text())
		}
		return stPick(g, "null", "true", "false", "0", "-12.5e+3", g.num(), `""`)
	}
	for range n {
		b := []byte(value(0))
		stCheckScan(t, b)
		for range g.IntN(4) { // and with bytes that do not belong there
			b[g.IntN(len(b))] = stPick[byte](g, '"', '\\', '{', '}', '[', ']', ',', ':', 0, 0xff, '1', ' ')
		}
		stCheckScan(t, b)
	}
}

// TestDepth: 64 levels are followed, 65 are not.
func TestDepth(t *testing.T) {
	for _, pair := range []string{"[]", "{}"} {
		for depth, want := range map[int]scanFault{1: scanOK, 63: scanOK, 64: scanOK, 65: scanBad, 5000: scanBad} {
			open, value := strings.Repeat(pair[:1], depth), ""
			if pair == "{}" {
				open, value = strings.Repeat(`{"a":`, depth), "1"
			}
			s := scanner{b: []byte(open + value + strings.Repeat(pair[1:], depth))}
			s.skip()
			require.Equal(t, want, s.fault, "%d %s", depth, pair)
			if want == scanOK {
				require.Equal(t, len(s.b), s.p)
			}
		}
	}
	// Too deep behind the output: nobody looks. Before it: no JSON that we read.
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	s := stPlay(ProtocolOpenAI, FirstTokenOutput, `{"choices":[{"delta":{"content":"x"}}],"x":`+deep+`}`)
	require.Equal(t, 1, s.tokens)
	s.write([]byte(`data: {"x":` + deep + `,"choices":[{"delta":{"content":"x"}}]}` + "\n\n"))
	require.Equal(t, 0, s.tokens)
	require.Equal(t, 1, s.badEvents)
}

func TestCount(t *testing.T) {
	for in, want := range map[string][3]any{
		"0": {0, true, false}, "9007199254740992": {1 << 53, true, false}, "9007199254740993": {0, false, true},
		"-1": {0, false, true}, "-0": {0, false, true}, "1.0": {0, false, true}, "1e3": {0, false, true}, "99999999999999999999": {0, false, true},
		"null": {0, false, false}, `"5"`: {0, false, true}, "[5]": {0, false, true}, "{}": {0, false, true}, "true": {0, false, true},
		"": {0, false, false}, "x": {0, false, false}, " 7 ": {7, true, false},
	} {
		s := scanner{b: []byte(in + "}")}
		n, ok, bad := s.count()
		require.Equal(t, want, [3]any{int(n), ok, bad}, "%q", in)
	}
	s := scanner{b: []byte("123")} // perhaps the beginning of a longer one
	_, ok, bad := s.count()
	require.False(t, ok || bad)
}

func TestUnescape(t *testing.T) {
	for raw, want := range map[string]string{
		`plain`: "plain", `\"\\\/\b\f\n\r\t`: "\"\\/\b\f\n\r\t", `\u0041\u00e9\u65E5`: "Aé日", `\ud83d\ude00`: "😀",
		`\ud83d`: "\ufffd", `\ude00x`: "\ufffdx", `\ud83d\u0041`: "\ufffdA", `\ud83d\ud83d\ude00`: "\ufffd😀", `\ud83d\n`: "\ufffd\n",
		`\u12`: "\ufffd", `\uzzzz!`: "\ufffd!", `\`: `\`, `\q`: "q",
	} {
		require.Equal(t, want, string(unescape(make([]byte, 0, 64), []byte(raw))), raw)
	}
	require.Equal(t, 9, len(unescape(make([]byte, 0, 12), bytes.Repeat([]byte("x"), 100))), "as far as there is room for one more character")
	require.Empty(t, unescape(nil, []byte("x")))
}

// TestLongNames: a name that was cut is longer than a label may be, so that it
// cannot be taken for a whole one, however it is spelt.
func TestLongNames(t *testing.T) {
	for n := 100; n < 400; n++ {
		for _, spell := range []string{"x", `\u0078`, `\/`, "é", `\u00e9`, `\ud83d\ude00`} {
			var want string
			raw := strings.Repeat(spell, n)
			require.NoError(t, json.Unmarshal([]byte(`"`+raw+`"`), &want))
			var w word
			w.set([]byte(raw))
			if len(want) <= maxNameBytes {
				require.Equal(t, want, string(w.bytes()))
			} else {
				require.Greater(t, len(w.bytes()), maxNameBytes, "%d times %s", n, spell)
			}
		}
	}
}
