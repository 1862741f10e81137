package ecslog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// canary has everything in it that some encoder writes in another way.
const canary = "CANARY <b>&\"quoted\"</b>\n\tand é \u2028 \\ \x01 end"

type chatRequest struct {
	Model    string         `json:"model"`
	Messages []chatMessage  `json:"messages"`
	Extra    map[string]any `json:"extra,omitempty"`
}

type chatMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type contentValuer struct{ text string }

func (c contentValuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("prompt", c.text), slog.String("note", "about: "+c.text))
}

// noCanary checks that nothing of the canary is in a line, in whatever form.
func noCanary(t *testing.T, line string) {
	t.Helper()
	assert.NotContains(t, line, "CANARY")
	assert.NotContains(t, line, "quoted")
}

// Each row would write the canary if content were not looked after.
func TestCanaryNowhereByDefault(t *testing.T) {
	quoted, _ := json.Marshal(canary)
	for name, log := range map[string]func(ctx context.Context, l *slog.Logger){
		"key":        func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "prompt", canary) },
		"upper case": func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "Prompt", canary) },
		"flattened":  func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "gen_ai.input.messages", canary) },
		"label":      func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "labels.prompt", canary) },
		"Content":    func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", Content("anything", canary)) },
		"list":       func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "input", []string{"a", canary}) },
		"error":      func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "output", errors.New(canary)) },
		"bytes":      func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "text", json.RawMessage(quoted)) },
		"group": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", slog.Group("req", "prompt", canary))
		},
		"content group": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", slog.Group("messages", "0", canary))
		},
		"LogValuer": func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "v", contentValuer{canary}) },
		"message": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "refused: "+canary, "prompt", canary)
		},
		"other string": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "prompt", canary, "note", "it was "+canary, "user", canary, "tags", []string{canary})
		},
		"error.message": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "err", fmt.Errorf("a: %w", fmt.Errorf("bad request: %s", canary)), "prompt", canary)
		},
		"quoted by %q": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "err", fmt.Errorf("bad: %q, %+q", canary, canary), "prompt", canary)
		},
		"quoted as JSON": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "body: "+string(quoted), "body", string(quoted), "prompt", canary)
		},
		"stack": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "err", formatsError{errors.New(canary)}, "prompt", canary)
		},
		"struct": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, canary, "req", chatRequest{"m7", []chatMessage{{"user", canary}}, nil})
		},
		"struct below content": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "got "+canary, "messages", []chatMessage{{"user", canary}})
		},
		"map": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "req", map[string]any{"deep": []any{map[string]any{"INPUT": map[string]any{"x": canary}}}, canary: canary}, "prompt", canary)
		},
		"other member": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "prompt", canary, "any", map[string]any{"note": []any{canary, 1, nil, true, 1.5e3}})
		},
		"key holds it": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "prompt", canary, canary, 1, slog.Group(canary, "x", 1.5), "user."+canary, 1)
		},
		"WithContent": func(ctx context.Context, l *slog.Logger) {
			ctx = WithContent(WithContent(ctx, canary), "something else")
			l.InfoContext(ctx, canary, "err", errors.New(canary), "a", canary, "g", slog.GroupValue(slog.String("b", canary)))
		},
		"With": func(ctx context.Context, l *slog.Logger) {
			l.With("prompt", canary).WithGroup("g").With("note", canary).InfoContext(ctx, canary, "a", canary)
		},
		"With before WithContent": func(ctx context.Context, l *slog.Logger) {
			l.With("note", canary, "user", canary, "list", []string{canary}).InfoContext(WithContent(ctx, canary), "m")
		},
		"Off the list": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, canary, Content("c", canary), "err", errors.Join(errors.New("x"), errors.New(canary)))
		},
		"cut": func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "prompt", canary, "note", strings.Repeat("x", 40)+canary)
		},
		"redacted to a prompt": func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "rename", canary) },
	} {
		for _, mode := range []ContentMode{ContentHash, ContentOff} {
			for _, profile := range []Profile{ProfileECS, ProfileOTel} {
				t.Run(fmt.Sprintf("%s/%d/%d", name, mode, profile), func(t *testing.T) {
					h, b := newTest(t, Config{Profile: profile, Content: mode, HashKey: []byte("0123456789abcdef"), ErrorStack: true, MaxValueBytes: 64,
						Redact: func(_ []string, a slog.Attr) slog.Attr {
							if a.Key == "rename" {
								a.Key = "prompt"
							}
							return a
						}})
					log(context.Background(), slog.New(h))
					verified(t, b.Bytes())
					noCanary(t, b.String())
				})
			}
		}
		t.Run(name+"/shown", func(t *testing.T) { // else the row would prove nothing
			h, b := newTest(t, Config{Content: ContentFull})
			log(context.Background(), slog.New(h))
			verified(t, b.Bytes())
			assert.Contains(t, b.String(), "CANARY")
		})
	}
}

func TestHash(t *testing.T) {
	key := []byte("0123456789abcdef")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(canary))
	want := hex.EncodeToString(mac.Sum(nil)[:16])
	line, m := oneLine(t, Config{HashKey: key}, slog.String("prompt", canary), slog.Group("g", slog.String("gen_ai.input.messages", "x")), slog.String("gen_ai.output.messages", ""))
	assert.Equal(t, fmt.Sprint(len(canary)), m["labels.prompt_bytes"])
	assert.Equal(t, want, m["labels.prompt_hmac"])
	assert.Equal(t, "1", m["labels.g_gen_ai_input_messages_bytes"], line)
	assert.Equal(t, "0", m["labels.gen_ai_output_messages_bytes"])

	_, m = oneLine(t, Config{}, slog.String("prompt", canary))
	assert.Equal(t, fmt.Sprint(len(canary)), m["labels.prompt_bytes"])
	assert.NotContains(t, m, "labels.prompt_hmac")

	line, _ = oneLine(t, Config{Content: ContentOff, HashKey: key}, slog.String("prompt", canary), slog.String("prompt2", "x"))
	assert.NotContains(t, strings.ReplaceAll(line, "prompt2", ""), "prompt")

	h, b := newTest(t, Config{HashKey: key})
	logAt(t, h.WithAttrs([]slog.Attr{slog.String("prompt", canary)}), slog.LevelInfo, "m")
	assert.Equal(t, want, verified(t, b.Bytes())["labels.prompt_hmac"])
}

func TestFull(t *testing.T) {
	_, m := oneLine(t, Config{Content: ContentFull}, slog.String("prompt", canary), slog.String("gen_ai.input.messages", canary),
		slog.Any("gen_ai.output.messages", []chatMessage{{"a", "b"}}), Content("c", canary), slog.Any("messages", []string{canary}), slog.Int("gen_ai.tool.definitions", 5))
	assert.Equal(t, canary, m["prompt"])
	assert.Equal(t, canary, m["c"])
	assert.Equal(t, []any{canary}, m["messages"])
	assert.Equal(t, map[string]any{"text": canary}, m["gen_ai.input.messages"])
	assert.Equal(t, map[string]any{"text": `[{"role":"a","content":"b"}]`}, m["gen_ai.output.messages"])
	assert.Equal(t, "5", m["labels.gen_ai_tool_definitions"])
}

func TestNumbersAreNoContent(t *testing.T) {
	_, m := oneLine(t, Config{}, slog.Int("output", 5), slog.Float64("completion", .5), slog.Bool("text", true), slog.String("gen_ai.system", "x-ai"), slog.String("gen_ai.output.type", "json"))
	assert.Equal(t, 5.0, m["output"])
	assert.Equal(t, .5, m["completion"])
	assert.Equal(t, true, m["text"])
	assert.Equal(t, "x-ai", m["gen_ai.system"])
	assert.Equal(t, "json", m["gen_ai.output.type"])
}

func TestContentKeys(t *testing.T) {
	_, m := oneLine(t, Config{ContentKeys: []string{"Secret"}}, slog.String("prompt", "shown"), slog.String("SECRET", "hidden"), slog.String("gen_ai.input.messages", "hidden too"))
	assert.Equal(t, "shown", m["prompt"])
	assert.Equal(t, "6", m["labels.SECRET_bytes"])
	assert.Equal(t, "10", m["labels.gen_ai_input_messages_bytes"])
}

func TestShortContentIsNotLookedFor(t *testing.T) {
	_, m := oneLine(t, Config{}, slog.String("prompt", "seven b"), slog.String("note", "seven b"))
	assert.Equal(t, "seven b", m["note"])
	_, m = oneLine(t, Config{}, slog.String("prompt", "eight by"), slog.String("note", "eight by"))
	assert.Equal(t, "[content]", m["note"])
}

func TestScrubber(t *testing.T) {
	for _, c := range []struct {
		secrets    []string
		text, want string
	}{
		{[]string{"abcdefgh"}, "xx abcdefgh yy abcdefgh", "xx [content] yy [content]"},
		{[]string{"abcdefgh"}, "abcdefgabcdefghabcdefgh", "abcdefg[content][content]"},
		{[]string{"abcdefgh", "efghijkl"}, "xabcdefghijkly", "x[content]y"},
		{[]string{"abcdefgh", "abcdefghijkl"}, "abcdefghijkl abcdefgh", "[content] [content]"},
		{[]string{"a\xffbcdefgh"}, "a\uFFFDbcdefgh", "[content]"},
		{[]string{"abcdefgh"}, "", ""},
		{[]string{"[content]"}, "[content]", "[content]"},
	} {
		assert.Equal(t, c.want, newScrubber(c.secrets).clean(c.text), "%q in %q", c.secrets, c.text)
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("secret %08d%s", i, strings.Repeat("x", i%7))
	}
	longest := slices.MaxFunc(many, func(a, b string) int { return len(a) - len(b) })
	assert.Equal(t, contentMark, newScrubber(many).clean(longest), "the longest are looked for")
}

// What other handlers write of a Content.
func TestContentElsewhere(t *testing.T) {
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", Content("c", canary))
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", Content("c", canary))
	fmt.Fprintf(&b, "%v %+v %#v %s", Content("c", canary), Content("c", canary), Content("c", canary).Value.Any(), Content("c", canary).Value)
	noCanary(t, b.String())
	assert.Equal(t, 6, strings.Count(b.String(), contentMark), b.String())
}

// A limitation that is documented: content that was changed is not found.
func TestChangedContentIsNotFound(t *testing.T) {
	line, _ := oneLine(t, Config{}, slog.String("prompt", "some words here"), slog.String("u", url.QueryEscape("some words here")), slog.String("part", "some words"))
	assert.Contains(t, line, "some+words+here")
	assert.Contains(t, line, `"part":"some words"`)
}

func TestRedact(t *testing.T) {
	var groups []string
	redact := func(g []string, a slog.Attr) slog.Attr {
		groups = append(groups, strings.Join(g, "/")+":"+a.Key)
		switch a.Key {
		case "drop":
			return slog.Attr{}
		case "mail", slog.MessageKey:
			return slog.String(a.Key, strings.ReplaceAll(a.Value.String(), "ann@x", "***"))
		case "panic":
			panic("CANARY")
		case "split":
			return slog.Group("parts", "a", 1, "b", 2)
		}
		return a
	}
	h, b := newTest(t, Config{Redact: redact})
	l := slog.New(h).With("mail", "ann@x", "drop", 1).WithGroup("g").With("mail", "to ann@x")
	l.Info("for ann@x", slog.Group("h", "panic", canary, "mail", "ann@x"), slog.Group("", "in", 1), "split", "x", "v", contentValuer{"short"})
	m := verified(t, b.Bytes())
	assert.NotContains(t, b.String(), "ann@x")
	noCanary(t, b.String())
	assert.Equal(t, "for ***", m["message"])
	assert.Equal(t, "***", m["mail"])
	assert.Equal(t, "to ***", m["g.mail"])
	assert.Equal(t, "***", m["g.h.mail"])
	assert.Equal(t, "!PANIC in Redact", m["labels.g_h_panic"])
	assert.NotContains(t, m, "drop")
	assert.Equal(t, 2.0, m["g.parts.b"])
	assert.Equal(t, []string{":mail", ":drop", "g:mail", ":msg", "g/h:panic", "g/h:mail", "g:in", "g:split", "g/parts:a", "g/parts:b", "g/v:prompt", "g/v:note"}, groups)

	for value, want := range map[any]string{nil: "", 5: "!ERROR Redact made the message no string"} {
		h, b = newTest(t, Config{Redact: func(_ []string, a slog.Attr) slog.Attr { return slog.Any(a.Key, value) }})
		logAt(t, h, slog.LevelInfo, "m")
		assert.Equal(t, want, verified(t, b.Bytes())["message"])
	}
	h, b = newTest(t, Config{Redact: func([]string, slog.Attr) slog.Attr { panic("CANARY") }})
	logAt(t, h, slog.LevelInfo, canary)
	assert.Equal(t, "!PANIC in Redact", verified(t, b.Bytes())["message"])
}

func TestRewriteJSON(t *testing.T) {
	same := func(s string, _ bool) string { return s }
	for _, text := range []string{`{}`, `[]`, `{"a":[1,2.50,-0,1e400,{"b":null}],"c":"\u0001"}`, `true`, `null`, `[[[]],{}]`, `"x"`} {
		out, err := rewriteJSON(text, nil, same)
		require.NoError(t, err)
		assert.Equal(t, text, out)
	}
	content := func(name string) bool { return name == "p" }
	for text, want := range map[string]string{
		`{"p":1}`:                         `{"p":"[content]"}`,
		`{"a":{"p":{"x":["y",{"p":2}]}}}`: `{"a":{"p":"[content]"}}`,
		`[{"p":"z"},"p"]`:                 `[{"p":"[content]"},"p"]`,
		`{"p":[],"q":{}}`:                 `{"p":"[content]","q":{}}`,
	} {
		var found []string
		out, err := rewriteJSON(text, content, func(s string, c bool) string {
			if c {
				found = append(found, s)
			}
			return s
		})
		require.NoError(t, err)
		assert.Equal(t, want, out)
		assert.Equal(t, strings.Contains(text, "y"), slices.Contains(found, "y"))
	}
	for cut := range len(`{"a":[1]}`) {
		_, err := rewriteJSON(`{"a":[1]}`[:cut], nil, same)
		assert.Error(t, err)
	}
}
