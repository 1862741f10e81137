package ecslog

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"
)

// field is an attribute on its way into a line.
type field struct {
	key    *key
	kind   slog.Kind // of value; KindAny for a list
	place  place
	json   bool       // value is the text of a JSON document
	cut    bool       // the value was cut when it was encoded
	pinned bool       // it is written first: a line that is too long loses its last fields
	value  slog.Value // of a plain kind, or a list; a string too for what was an error or any other value
	enc    string     // the value's JSON at its place, if it was made before
	more   *more      // of placeError and placeContent, else nil
}

// more is what few fields have.
type more struct {
	err  error  // of placeError
	hash string // of placeContent: the keyed hash, or ""
}

// list returns the strings of a list.
func (f *field) list() []string {
	list, _ := f.value.Any().([]string)
	return list
}

func (f *field) set(v slog.Value) { f.kind, f.value = v.Kind(), v }

// next appends a field, which stays where it is until the next one.
func (l *line) next(k *key) *field {
	l.fields = append(l.fields, field{key: k})
	return &l.fields[len(l.fields)-1]
}

// known appends a field of the Handler's own.
func (l *line) known(k *key, v slog.Value, pinned bool) *field {
	f := l.next(k)
	f.place, f.pinned = placeField, pinned
	f.set(v)
	return f
}

// place is where a field is written.
type place uint8

const (
	placeNone      place = iota // nowhere
	placeField                  // under its own name
	placeLabel                  // among the labels
	placeError                  // an error, of which expandError decides
	placeContent                // its length and its hash, among the labels
	placeNonfinite              // its name only, in labels.nonfinite
)

const (
	maxFields  = 4096 // of a line; further ones are counted
	maxSteps   = 4 * maxFields
	maxResolve = 100 // of LogValuers that return LogValuers, as in log/slog
	maxGroups  = 32  // one in the other
)

// line is the work on one line.
type line struct {
	h         *Handler
	termLimit int // of strings that are terms
	lineLimit int

	fields  []field
	groups  []string // for Redact
	secrets []string // content that must not occur elsewhere
	scrub   *scrubber
	memo    memo
	names   fieldNames
	labels  nameTable

	// Since settle:
	places        uint8 // a bit for each place that there are fields of
	servicesGiven bool  // a field of the Service was given

	steps   int    // attributes looked at
	dropped uint64 // fields left out

	buf  []byte
	head int   // the length of what every line has
	ends []int // of the parts behind it, which can be left out

	meta      []byte // the labels that say something of the line
	nonfinite []byte // names of fields, escaped
	truncated []byte
}

// What a line that goes back keeps at most, so that one large line does not stay in
// memory.
const (
	keepBytes  = 64 << 10
	keepFields = 256
)

var lines = sync.Pool{New: func() any { return new(line) }}

// newLine begins a line with what With has given.
func newLine(ctx context.Context, h *Handler) *line {
	l := lines.Get().(*line)
	l.h = h
	l.lineLimit = h.core.cfg.MaxLineBytes
	l.termLimit = min(h.core.cfg.MaxValueBytes, maxTermBytes)
	l.steps, l.dropped = len(h.fields), h.dropped
	l.fields = append(l.fields[:0], h.fields...)
	l.groups = append(l.groups[:0], h.groups...)
	l.secrets = append(l.secrets[:0], h.secrets...)
	if h.core.cfg.Content != ContentFull && ctx != nil {
		l.secrets = contextSecrets(ctx, l.secrets)
	}
	return l
}

func (l *line) free() {
	if cap(l.buf) > keepBytes || cap(l.fields) > keepFields || cap(l.meta) > keepBytes || cap(l.secrets) > keepFields || cap(l.groups) > keepFields {
		return
	}
	clear(l.fields)
	clear(l.secrets)
	clear(l.groups)
	l.h, l.scrub = nil, nil
	lines.Put(l)
}

// add takes an attribute: it resolves its value, redacts it, and notes what will
// become of it.
func (l *line) add(set *keySet, a slog.Attr) {
	if l.steps++; len(l.fields) >= maxFields || l.steps > maxSteps {
		l.dropped++
		return
	}
	kind := a.Value.Kind()
	if kind == slog.KindLogValuer {
		var ok bool
		if a.Value, ok = resolve(a.Value); !ok {
			l.addFault(set, a.Key, a.Value)
			return
		}
		kind = a.Value.Kind()
	}
	if l.h.core.cfg.Redact != nil && kind != slog.KindGroup {
		var ok bool
		if a, ok = l.redact(a); !ok {
			l.addFault(set, a.Key, a.Value)
			return
		}
		kind = a.Value.Kind()
	}
	switch kind {
	case slog.KindGroup:
		l.addGroup(set, a.Key, a.Value.Group())
	case slog.KindAny:
		l.addAny(set, a.Key, a.Value)
	default:
		f := l.next(l.memo.get(set, a.Key))
		f.kind, f.value = kind, a.Value
		l.addPlain(f)
	}
}

// addFault notes in the labels what stands for a value that could not be had.
func (l *line) addFault(set *keySet, name string, v slog.Value) {
	f := l.next(set.get(name))
	f.place = placeLabel
	f.set(v)
}

func (l *line) addGroup(set *keySet, name string, attrs []slog.Attr) {
	depth := len(l.groups)
	if depth >= maxGroups {
		l.addFault(set, name, slog.StringValue("!ERROR groups too deep"))
		return
	}
	if name != "" {
		set = set.keys.below(set.prefix + name + ".")
	}
	l.groups = append(l.groups, name) // an inlined one counts for the depth
	for _, a := range attrs {
		l.add(set, a)
	}
	l.groups = l.groups[:depth]
}

// addAny takes what is of no plain kind.
func (l *line) addAny(set *keySet, name string, value slog.Value) {
	v := value.Any()
	if v == nil && name == "" {
		return // the empty Attr
	}
	f := l.next(set.get(name))
	f.set(value)
	switch v := v.(type) {
	case nil:
		// Written as nothing, but what it replaces is not written either.
	case contentText:
		f.set(slog.StringValue(string(v)))
		l.addContent(f, string(v))
	case error:
		l.addError(f, v)
	case []string:
		l.addPlain(f)
	default:
		l.addJSON(f, v)
	}
}

func (l *line) addError(f *field, err error) {
	text, ok := errorText(err)
	f.set(slog.StringValue(text))
	switch {
	case !ok:
		f.place = placeLabel
	case l.hides(f.key):
		l.addContent(f, text)
	default:
		f.place, f.more = placeError, &more{err: err}
	}
}

// addJSON takes the JSON text of a value. A JSON string is as good as the string if
// the field is a known one.
func (l *line) addJSON(f *field, v any) {
	text, plain, ok := jsonText(v)
	f.set(slog.StringValue(text))
	switch {
	case !ok:
		f.place = placeLabel
	case plain && f.key.kind != typeOwn:
		l.addPlain(f)
	case l.hides(f.key):
		f.json = !plain
		l.addContent(f, text)
	default:
		f.place, f.json = placeLabel, !plain
		if f.json && l.h.core.cfg.Content != ContentFull {
			f.set(slog.StringValue(l.hideInJSON(text)))
		}
		if f.key.kind == typeFlattened {
			f.place = placeField
		}
	}
}

// addPlain takes a value of a plain kind or a list, and finds its place.
func (l *line) addPlain(f *field) {
	switch {
	case (f.kind == slog.KindString || f.kind == slog.KindAny) && l.hides(f.key):
		l.addContent(f, f.texts()...)
		return
	case f.kind == slog.KindString && f.key.kind == typeDate:
		if t, err := time.Parse(time.RFC3339Nano, f.value.String()); err == nil {
			f.set(slog.TimeValue(t))
		}
	}
	switch {
	case f.fits():
		f.place = placeField
	case f.kind == slog.KindFloat64 && !finite(f.value.Float64()):
		f.place = placeNonfinite
	default:
		f.place = placeLabel
	}
}

// insert appends a field after settle: one that collides with nothing.
func (l *line) insert(k *key, v slog.Value) {
	l.known(k, v, true)
	l.names.put(l.fields, len(l.fields)-1)
}

// has reports whether a field of this name is written under its name.
func (l *line) has(k *key) bool {
	i, ok := l.names.get(l.fields, k.name, k.hash)
	return ok && l.fields[i].place == placeField
}

// resolve returns the value that is no LogValuer any more, or false and a text in
// its place.
func resolve(v slog.Value) (slog.Value, bool) {
	for n := 0; v.Kind() == slog.KindLogValuer; n++ {
		if n == maxResolve {
			return slog.StringValue("!ERROR LogValue called too often of " + reflect.TypeOf(v.Any()).String()), false
		}
		var ok bool
		if v, ok = logValue(v.LogValuer()); !ok {
			return v, false
		}
	}
	return v, true
}

func logValue(v slog.LogValuer) (value slog.Value, ok bool) {
	defer func() {
		if recover() != nil {
			value, ok = slog.StringValue(panicked("LogValue", v)), false
		}
	}()
	return v.LogValue(), true
}

// redact calls Redact, and resolves what that returns. Where it panics the value is
// not written.
func (l *line) redact(a slog.Attr) (out slog.Attr, ok bool) {
	defer func() {
		if recover() != nil {
			out, ok = slog.String(a.Key, "!PANIC in Redact"), false
		}
	}()
	out = l.h.core.cfg.Redact(l.named(), a)
	out.Value, ok = resolve(out.Value)
	return out, ok
}

// named returns the groups that have a name.
func (l *line) named() []string {
	for i, g := range l.groups {
		if g == "" {
			named := append([]string(nil), l.groups[:i]...)
			for _, g := range l.groups[i:] {
				if g != "" {
					named = append(named, g)
				}
			}
			return named
		}
	}
	return l.groups
}

// message returns the text of the record, redacted.
func (l *line) message(text string) string {
	if l.h.core.cfg.Redact == nil {
		return text
	}
	groups := l.groups
	l.groups = nil
	a, _ := l.redact(slog.String(slog.MessageKey, text))
	l.groups = groups
	v := a.Value
	if v.Kind() == slog.KindString {
		return v.String()
	}
	if v.Kind() == slog.KindAny && v.Any() == nil {
		return ""
	}
	return "!ERROR Redact made the message no string"
}
