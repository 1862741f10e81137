package observe

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// stFuzz compares one stream with the reference, and runs of it in pieces and
// without the memo with the whole.
func stFuzz(t *testing.T, body []byte, ndjson bool, seed uint64, mode byte) {
	if len(body) > carrySize {
		return // longer events are read in part
	}
	g := &stGen{Rand: rand.New(rand.NewPCG(seed, 2))}
	o := stOptions{ndjson: ndjson, first: FirstToken(mode % 3), protocol: Protocol(mode / 3 % 6)}
	w := stReference(string(body), ndjson, o.protocol)
	if w.vague == "" && len(body) > lastSize {
		w.vague = "long"
	}
	want := stExpected(w)
	var whole stResult
	for i := range 6 {
		var cuts []int
		if i > 1 {
			cuts = g.cuts(len(body))
		}
		o.noMemo = i%2 == 1
		got, err := stRun(body, cuts, w, o)
		if err != nil {
			t.Fatalf("cuts %v, memo %t: %v\n%q", cuts, !o.noMemo, err, body)
		}
		if i == 0 {
			whole = got
		}
		if len(body) <= lastSize && got != whole {
			t.Fatalf("cuts %v, memo %t\n got %+v\nwhole %+v\n%q", cuts, !o.noMemo, got, whole, body)
		}
		want.tokens, want.truncated = got.tokens, got.truncated
		if w.tokenModel {
			want.model = got.model
		}
		if w.vague == "" && got != want {
			t.Fatalf("cuts %v, memo %t\n got %+v\nwant %+v\n%q", cuts, !o.noMemo, got, want, body)
		}
	}
}

func stSeeds(f *testing.F, ndjson bool) {
	for seed := range uint64(200) {
		g := &stGen{Rand: rand.New(rand.NewPCG(seed, 3)), short: true}
		if body := g.stream(); g.ndjson == ndjson && len(body) < lastSize {
			f.Add([]byte(body), seed, byte(seed%3))
		}
	}
}

func FuzzSSE(f *testing.F) {
	stSeeds(f, false)
	for _, chunk := range stTokens {
		f.Add([]byte(chunk+chunk), uint64(1), byte(0))
	}
	f.Add([]byte("\xef\xbb\xbf\r\n\rdata\ndata:\n\n: \r\rdata: {\"choices\":[]}\r\n\r\nevent: error"), uint64(2), byte(2))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64, mode byte) { stFuzz(t, body, false, seed, mode) })
}

func FuzzNDJSON(f *testing.F) {
	stSeeds(f, true)
	f.Add([]byte("\xef\xbb\xbf{\"done\":false}\r\n\r\n \n{\"response\":\"x\",\"done\":true}"), uint64(1), byte(4))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64, mode byte) { stFuzz(t, body, true, seed, mode) })
}

// FuzzJSONScan: a walk with the scanner's methods finds what encoding/json finds
// in valid input, and ends on any.
func FuzzJSONScan(f *testing.F) {
	for _, s := range stJSON {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { stCheckScan(t, b) })
}

// FuzzPeek: the body is read back byte for byte, with the same error, and the
// name is the one that encoding/json finds.
func FuzzPeek(f *testing.F) {
	for i, s := range stJSON {
		f.Add([]byte(s), uint16(1+i*7), byte(i))
	}
	f.Add([]byte(`{"messages":[{"model":"no"}],"model":"yes"}`), uint16(100), byte(3))
	f.Fuzz(func(t *testing.T, body []byte, limit uint16, how byte) {
		stCheckPeek(t, body, 1+int(limit), how)
	})
}

var stTraceparent = regexp.MustCompile(`(?s)^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)

// FuzzTraceparent compares with the grammar of W3C Trace Context, section 3.2.
func FuzzTraceparent(f *testing.F) {
	const ok = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, s := range []string{ok, ok[:53] + "00", ok[:53] + "0f", ok[:53] + "a1", ok[:53] + "0b", "ff" + ok[2:], "cc" + ok[2:] + "-what", ok + "-x", "cc" + ok[2:] + "x", "",
		strings.ToUpper(ok), "00-00000000000000000000000000000000" + ok[35:], ok[:36] + "0000000000000000-01", ok[:54], " " + ok} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		trace, span := traceparent(http.Header{"Traceparent": {s}})
		m := stTraceparent.FindStringSubmatch(s)
		sampled := m != nil && m[1] != "ff" && (m[1] != "00" || m[5] == "") && strings.ContainsRune("13579bdf", rune(m[4][1])) &&
			strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != ""
		if !sampled && (trace != "" || span != "") || sampled && (trace != m[2] || span != m[3]) {
			t.Fatalf("%q: %q, %q", s, trace, span)
		}
	})
}

// stFirstModel is the first top-level string member "model", spelt without
// escapes, of an object that encoding/json takes.
func stFirstModel(body []byte) (model string, known bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return "", false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, _ := d.Token(); t != json.Delim('{') {
		return "", true
	}
	for d.More() {
		from := d.InputOffset()
		key, _ := d.Token()
		plain := bytes.Contains(body[from:d.InputOffset()], []byte(`"model"`))
		var v any
		if d.Decode(&v) != nil {
			return "", false
		}
		if s, ok := v.(string); ok && key == "model" && plain {
			return s, true
		}
	}
	return "", true
}

// TestDamagedStreams does what the fuzz targets do, with words that matter.
func TestDamagedStreams(t *testing.T) {
	n := uint64(6_000)
	if stSlow() {
		n = 600
	}
	for seed := range n {
		g := &stGen{Rand: rand.New(rand.NewPCG(seed, 6)), short: true}
		body := []byte(g.stream())
		ndjson := g.ndjson
		for range 1 + g.IntN(4) {
			i := g.IntN(len(body) + 1)
			j := min(i+g.IntN(40), len(body))
			var insert string
			switch g.IntN(5) {
			case 0: // a part is lost
			case 1:
				insert = string(body[i:j]) + string(body[i:j]) // or comes twice
			case 2:
				j = i
				fallthrough
			default:
				insert = stPick(g, "\n", "\r", "\r\n", "\n\n", "data: ", "event: error\n", "event: ping\n", "id: 1\n", ": c\n", "\ufeff", "7", "00", "[DONE]",
					`"`, `\`, `\"`, `\u0063`, "{", "}", "[", "]", ",", `"error":{"type":"x"},`, `"content":"",`, `"content":"x",`, `"finish_reason":"f",`,
					`"usage":{"prompt_tokens":5},`, `"model":"other",`, `"type":"response.completed",`, `"done":true,`, `"choices":[],`, "null", " ", "\x00", "\xff")
			}
			body = slices.Concat(body[:i], []byte(insert), body[j:])
		}
		stFuzz(t, body, ndjson, seed, byte(g.IntN(18)))
	}
}
