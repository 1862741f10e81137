package ecslog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Content returns an attribute whose text is content, whatever its key: a Handler
// writes it as its Config.Content says. Other handlers write "[content]".
func Content(key, text string) slog.Attr {
	return slog.Any(key, contentText(text))
}

// contentText is a text that prints as a mark.
type contentText string

func (contentText) String() string               { return contentMark }
func (contentText) GoString() string             { return contentMark }
func (contentText) MarshalText() ([]byte, error) { return []byte(contentMark), nil }

// contentMark stands where content was.
const contentMark = "[content]"

// minSecret is the length from which a content value is looked for in other strings.
const minSecret = 8

// maxSecrets bounds the values that are looked for in a line; the longest are.
const maxSecrets = 1024

// WithContent returns a context whose lines have text replaced by "[content]" in
// every string, as for a content value of the line: nothing is added to the line. A
// text of less than 8 bytes is not looked for. It can be called again with another
// text. ContentFull ignores it.
func WithContent(ctx context.Context, text string) context.Context {
	before, _ := ctx.Value(contextKey{}).(*contextContent)
	return context.WithValue(ctx, contextKey{}, &contextContent{text, before})
}

type contextKey struct{}

// contextContent is a text, and those before it.
type contextContent struct {
	text   string
	before *contextContent
}

func contextSecrets(ctx context.Context, secrets []string) []string {
	c, _ := ctx.Value(contextKey{}).(*contextContent)
	for ; c != nil; c = c.before {
		secrets = addSecret(secrets, c.text)
	}
	return secrets
}

func addSecret(secrets []string, text string) []string {
	if len(text) < minSecret {
		return secrets
	}
	return append(secrets, text)
}

// hides reports whether a text under a key must not be written.
func (l *line) hides(k *key) bool { return k.content && l.h.core.cfg.Content != ContentFull }

// texts returns the strings of a field.
func (f *field) texts() []string {
	if f.kind == slog.KindAny {
		return f.list()
	}
	return []string{f.value.String()}
}

// addContent takes content: of a string, of a list, or of a JSON document.
func (l *line) addContent(f *field, texts ...string) {
	cfg := &l.h.core.cfg
	if cfg.Content == ContentFull {
		if f.place = placeLabel; f.fits() {
			f.place = placeField
		}
		return
	}
	for _, t := range texts {
		if f.json {
			l.secretsOfJSON(t)
		}
		l.secrets = addSecret(l.secrets, t)
	}
	n := 0
	for _, t := range texts {
		n += len(t)
	}
	if f.place = placeContent; cfg.Content == ContentOff {
		f.place = placeNone
	} else if len(cfg.HashKey) > 0 {
		mac := hmac.New(sha256.New, cfg.HashKey)
		for _, t := range texts {
			mac.Write([]byte(t))
		}
		f.more = &more{hash: string(hex.AppendEncode(nil, mac.Sum(nil)[:16]))}
	}
	// The text itself stays behind.
	f.set(slog.Int64Value(int64(n)))
	f.json = false
}

// text returns the string of a field as it may be written.
func (l *line) text(f *field) string {
	if f.json && len(l.secrets) > 0 {
		s, err := rewriteJSON(f.value.String(), nil, func(s string, _ bool) string { return l.clean(s) })
		if err != nil {
			return "!ERROR " + err.Error()
		}
		return s
	}
	return l.clean(f.value.String())
}

// list returns the strings of a field as they may be written.
func (l *line) list(f *field) []string {
	list := f.list()
	if len(l.secrets) == 0 {
		return list
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = l.clean(s)
	}
	return out
}

// clean replaces the content of the line in a string.
func (l *line) clean(s string) string {
	if len(l.secrets) == 0 {
		return s
	}
	if l.scrub == nil {
		l.scrub = newScrubber(l.secrets)
	}
	return l.scrub.clean(s)
}

// scrubber finds content in strings.
type scrubber struct{ needles []string }

// newScrubber looks for the texts as they are, and as %q and JSON write them.
func newScrubber(secrets []string) *scrubber {
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	if len(secrets) > maxSecrets {
		secrets = secrets[:maxSecrets]
	}
	s := &scrubber{}
	for _, secret := range secrets {
		forms := []string{secret, string(appendEscaped(nil, secret)), unquoted(strconv.Quote(secret)), unquoted(strconv.QuoteToASCII(secret))}
		if b, err := json.Marshal(secret); err == nil {
			forms = append(forms, unquoted(string(b)))
		}
		// What is not UTF-8 is written as U+FFFD, in either of two ways.
		forms = append(forms, strings.ToValidUTF8(secret, "\uFFFD"), string([]rune(secret)))
		slices.Sort(forms)
		s.needles = append(s.needles, slices.Compact(forms)...)
	}
	return s
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// clean replaces every place where a needle occurs. Places that overlap are replaced
// as one, so that no rest of one stays behind another.
func (s *scrubber) clean(text string) string {
	type span struct{ from, to int }
	var spans []span
	for _, needle := range s.needles {
		for from := 0; from <= len(text)-len(needle); {
			i := strings.Index(text[from:], needle)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(needle)})
			from += i + len(needle)
		}
	}
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	end := 0
	for _, p := range spans {
		if p.from >= end {
			b.WriteString(text[end:p.from])
			b.WriteString(contentMark)
		}
		end = max(end, p.to)
	}
	b.WriteString(text[end:])
	return b.String()
}
