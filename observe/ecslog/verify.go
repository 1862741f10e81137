package ecslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Finding is a reason for which Elasticsearch may refuse a line, or for which it is
// no line of its profile.
type Finding struct {
	// Rule is what does not hold:
	//
	//	json       one JSON object in valid UTF-8 and nothing else
	//	order      the keys of the profile come first, in their order
	//	required   a key of the profile is missing
	//	duplicate  a name occurs twice, dots and objects being the same
	//	collision  a name is both a value and an object
	//	name       a name that must be a label, or that Elasticsearch does not take
	//	type       a value that is not of the type of its field
	//	nonfinite  a text in place of a number that is not finite
	//	length     a string that is too long for a term
	Rule string
	// Key is the dotted name, "" if it is the line as a whole.
	Key    string
	Detail string // what is there, or what is wanted
}

// String returns "rule key: detail".
func (f Finding) String() string { return f.Rule + " " + f.Key + ": " + f.Detail }

// Verify returns what is wrong with a line, of either profile, in no fixed order:
// nothing if a Handler has written it, unless its record had no time. Its end of
// line may be there or not. It knows nothing of other lines: a field that has
// another type there shows only by the types of the schema.
func Verify(line []byte) []Finding {
	v := verifier{seen: map[string]bool{}}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if !utf8.Valid(line) {
		v.found("json", "", "not UTF-8")
	}
	if bytes.ContainsAny(line, "\r\n") {
		v.found("json", "", "an end of line inside")
	}
	root, err := parse(line)
	if err != nil || root.kind != kindObject {
		v.found("json", "", fmt.Sprintf("no JSON object: %v", err))
		return v.findings
	}
	if isOTel(root) {
		v.otel(root)
	} else {
		v.ecs(root)
	}
	return v.findings
}

type verifier struct {
	findings []Finding
	seen     map[string]bool // names; true if it is a value, not an object
}

func (v *verifier) found(rule, key, detail string) {
	v.findings = append(v.findings, Finding{rule, key, detail})
}

func isOTel(root *node) bool {
	for _, m := range root.members {
		switch m.name {
		case "@timestamp", "log.level", "message", "ecs.version":
			return false
		case "timestamp", "severity_text", "body":
			return true
		}
	}
	return false
}

func (v *verifier) ecs(root *node) {
	v.head(root, "@timestamp", "log.level", "message")
	if !slices.ContainsFunc(root.members, func(m *node) bool { return m.name == "ecs.version" }) {
		v.found("required", "ecs.version", "missing")
	}
	v.walk("", root)
	v.collisions()
}

func (v *verifier) otel(root *node) {
	v.head(root, "timestamp", "severity_text", "severity_number", "body")
	for _, m := range root.members {
		if v.seen[m.name] {
			v.found("duplicate", m.name, "occurs twice")
		}
		v.seen[m.name] = true
	}
	v.seen = map[string]bool{}
	for _, m := range root.members {
		switch m.name {
		case "timestamp":
			v.leaf(m.name, typeDate, m)
		case "severity_number":
			v.leaf(m.name, typeInteger, m)
		case "severity_text", "trace_id", "span_id", "trace_flags":
			v.leaf(m.name, typeKeyword, m)
		case "body":
			v.leaf(m.name, typeText, m)
		case "resource", "attributes":
			if m.kind != kindObject {
				v.found("type", m.name, "want an object")
			}
		default:
			v.found("name", m.name, "no member of a log record")
		}
		if m.name == "attributes" {
			v.walk("", m)
		}
		if m.name == "resource" {
			for _, r := range m.members {
				v.leaf("resource."+r.name, typeKeyword, r)
			}
		}
	}
	v.collisions()
}

// head checks that a line begins with some keys.
func (v *verifier) head(root *node, keys ...string) {
	for i, k := range keys {
		at := slices.IndexFunc(root.members, func(m *node) bool { return m.name == k })
		switch {
		case at < 0:
			v.found("required", k, "missing")
		case at != i:
			v.found("order", k, fmt.Sprintf("is member %d, want %d", at+1, i+1))
		}
	}
}

// walk looks at every value below a name.
func (v *verifier) walk(prefix string, n *node) {
	for _, m := range n.members {
		name := prefix + m.name
		if m.kind == kindObject && knownFields[name] != typeFlattened {
			v.note(name, false)
			v.walk(name+".", m)
			continue
		}
		v.note(name, true)
		v.value(name, m)
	}
}

func (v *verifier) note(name string, value bool) {
	if was, ok := v.seen[name]; ok && (was || value) {
		v.found("duplicate", name, "occurs twice")
	}
	v.seen[name] = value
}

func (v *verifier) collisions() {
	for name := range v.seen {
		for i := range len(name) {
			if name[i] == '.' && v.seen[name[:i]] {
				v.found("collision", name[:i], "is a value and has "+name+" below it")
			}
		}
	}
}

func (v *verifier) value(name string, m *node) {
	label, isLabel := strings.CutPrefix(name, "labels.")
	t, known := knownFields[name]
	switch {
	case isLabel:
		if strings.TrimSpace(label) == "" || strings.ContainsAny(label, `.*\`) {
			v.found("name", name, "a label that is empty or has one of . * \\ in it")
		}
		v.leaf(name, typeKeyword, m)
	case known:
		v.leaf(name, t, m)
	case typeOf(name) == typeLabel:
		v.found("name", name, "has to be a label")
	default:
		v.leaf(name, typeOwn, m)
	}
}

// leaf checks a value against the type of its field.
func (v *verifier) leaf(name string, t fieldType, m *node) {
	if m.kind == kindNull {
		return // as good as absent
	}
	if m.kind == kindArray {
		v.array(name, t, m)
		return
	}
	if m.kind == kindString && len(m.text) > maxTermBytes && t != typeText && t != typeWildcard {
		v.found("length", name, fmt.Sprintf("%d bytes, a term has at most %d", len(m.text), maxTermBytes))
	}
	if m.kind == kindString && t != typeText && t != typeKeyword && t != typeKeywords && (spellsNonfinite(m.text) || strings.HasPrefix(m.text, "!ERROR:json: unsupported value")) {
		v.found("nonfinite", name, m.text)
		return
	}
	if !m.fits(t) {
		v.found("type", name, fmt.Sprintf("%s %.40s, want %s", m.kind, m.text, wanted(t)))
	}
}

func (v *verifier) array(name string, t fieldType, m *node) {
	if t != typeOwn && t != typeKeywords {
		v.found("type", name, "an array, want "+wanted(t))
		return
	}
	for _, e := range m.members {
		if e.kind == kindArray || e.kind == kindObject || e.kind != m.members[0].kind {
			v.found("type", name, "an array of other than values of one kind")
			return
		}
		v.leaf(name, t, e)
	}
}

func wanted(t fieldType) string {
	switch t {
	case typeOwn:
		return "a string, a bool, a number of 64 bits, or with a point of 32"
	case typeNested:
		return "a label in its place"
	}
	return typeNames[t]
}

// fits reports whether Elasticsearch takes a value for a type.
func (m *node) fits(t fieldType) bool {
	switch m.kind {
	case kindString:
		if t == typeDate {
			at, err := time.Parse(time.RFC3339Nano, m.text)
			return err == nil && yearFits(at)
		}
		if t == typeIP {
			a, err := netip.ParseAddr(m.text)
			return err == nil && a.Zone() == ""
		}
		return t == typeOwn || t == typeText || t == typeWildcard || t == typeKeyword || t == typeKeywords
	case kindNumber:
		if n, err := strconv.ParseInt(m.text, 10, 64); err == nil {
			return fitsInt(t, n)
		}
		if !strings.ContainsAny(m.text, ".eE") {
			return false // more than 64 bits
		}
		x, err := strconv.ParseFloat(m.text, 64)
		return err == nil && (t == typeDouble || (t == typeOwn || t == typeFloat) && math.Abs(x) <= math.MaxFloat32)
	case kindBool:
		return t == typeOwn
	case kindObject:
		return t == typeFlattened
	}
	return false
}

// node is a JSON value.
type node struct {
	name    string // of a member
	kind    nodeKind
	text    string  // of a string or a number
	members []*node // of an object or an array
}

type nodeKind string

const (
	kindNull   nodeKind = "null"
	kindBool   nodeKind = "bool"
	kindNumber nodeKind = "number"
	kindString nodeKind = "string"
	kindArray  nodeKind = "array"
	kindObject nodeKind = "object"
)

// parse reads a JSON text whole, members with the same name too.
func parse(text []byte) (*node, error) {
	var whole json.RawMessage // the tokens alone leave some faults unseen
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return parseValue(dec)
}

func parseValue(dec *json.Decoder) (*node, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &node{kind: kindArray}
		if t == '{' {
			n.kind = kindObject
		}
		for dec.More() {
			name := ""
			if t == '{' {
				k, err := dec.Token()
				if err != nil {
					return nil, err
				}
				name, _ = k.(string)
			}
			m, err := parseValue(dec)
			if err != nil {
				return nil, err
			}
			m.name = name
			n.members = append(n.members, m)
		}
		_, err := dec.Token()
		return n, err
	case string:
		return &node{kind: kindString, text: t}, nil
	case json.Number:
		return &node{kind: kindNumber, text: t.String()}, nil
	case bool:
		return &node{kind: kindBool}, nil
	}
	return &node{kind: kindNull}, nil
}
