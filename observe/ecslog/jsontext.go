package ecslog

import (
	"bytes"
	"encoding/json"
	"strings"
)

// jsonText returns the JSON text of a value, or the string if it is a JSON string
// (plain). It returns false and what is written instead if there is none.
func jsonText(v any) (text string, plain, ok bool) {
	defer func() {
		if recover() != nil {
			text, plain, ok = panicked("MarshalJSON", v), false, false
		}
	}()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "!ERROR " + err.Error(), false, false
	}
	text = strings.TrimSuffix(b.String(), "\n")
	if !strings.HasPrefix(text, `"`) {
		return text, false, true
	}
	if err := json.Unmarshal(b.Bytes(), &text); err != nil {
		return "!ERROR " + err.Error(), false, false
	}
	return text, true, true
}

// hideInJSON replaces the values of members whose names are those of content, and
// looks for their strings in the rest of the line.
func (l *line) hideInJSON(text string) string {
	ks := l.h.core.keys
	out, err := rewriteJSON(text, ks.isContent, func(s string, content bool) string {
		if content {
			l.secrets = addSecret(l.secrets, s)
		}
		return s
	})
	if err != nil {
		return "!ERROR " + err.Error()
	}
	return out
}

// secretsOfJSON looks for the strings of a JSON document in the rest of the line.
func (l *line) secretsOfJSON(text string) {
	_, _ = rewriteJSON(text, nil, func(s string, _ bool) string { // where it cannot be read, no more strings are found
		l.secrets = addSecret(l.secrets, s)
		return s
	})
}

// rewriteJSON returns a JSON document with its strings, names of members too, as
// each returns them. Values of members for whose name isContent reports true are
// replaced by a mark; their strings go through each all the same.
func rewriteJSON(text string, isContent func(name string) bool, each func(s string, content bool) string) (string, error) {
	w := jsonWriter{dec: json.NewDecoder(strings.NewReader(text)), isContent: isContent, each: each}
	w.dec.UseNumber()
	err := w.value(false)
	return string(w.out), err
}

type jsonWriter struct {
	dec       *json.Decoder
	out       []byte
	isContent func(string) bool
	each      func(string, bool) string
}

// value copies one value; content is only read.
func (w *jsonWriter) value(content bool) error {
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	from := len(w.out)
	switch t := t.(type) {
	case json.Delim:
		w.out = append(w.out, byte(t))
		for n := 0; w.dec.More(); n++ {
			if n > 0 {
				w.out = append(w.out, ',')
			}
			if err := w.member(t == '{', content); err != nil {
				return err
			}
			if content {
				w.out = w.out[:from]
			}
		}
		end, err := w.dec.Token()
		if err != nil {
			return err
		}
		w.out = append(w.out, byte(end.(json.Delim)))
	case string:
		w.out = appendString(w.out, w.each(t, content))
	case json.Number:
		w.out = append(w.out, t...)
	case bool:
		if t {
			w.out = append(w.out, "true"...)
		} else {
			w.out = append(w.out, "false"...)
		}
	case nil:
		w.out = append(w.out, "null"...)
	}
	if content {
		w.out = w.out[:from]
	}
	return nil
}

// member copies a member of an object, or an element of an array.
func (w *jsonWriter) member(named, content bool) error {
	if !named {
		return w.value(content)
	}
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	name, _ := t.(string)
	hide := !content && w.isContent != nil && w.isContent(name)
	if !content {
		w.out = appendString(w.out, w.each(name, false))
		w.out = append(w.out, ':')
	}
	if !hide {
		return w.value(content)
	}
	if err := w.value(true); err != nil {
		return err
	}
	w.out = appendString(w.out, contentMark)
	return nil
}
