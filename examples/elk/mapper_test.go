package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"
)

// mapper does with a document what Elasticsearch's mapping does: it expands dots,
// looks each value up in the mapping, extends the mapping by the dynamic templates,
// and refuses the whole document at the first value that does not fit. It knows as
// much of the rules as the lines of a logger need.
type mapper struct {
	types           map[string]string // by dotted name; "object" for objects
	templates       []dynamicTemplate
	ignoreMalformed bool
}

type dynamicTemplate struct {
	PathMatch        string `json:"path_match"`
	MatchMappingType string `json:"match_mapping_type"`
	Mapping          struct {
		Type string `json:"type"`
	} `json:"mapping"`
}

// newMapper reads an index template.
func newMapper(template []byte) (*mapper, error) {
	var t struct {
		Template struct {
			Settings struct {
				Index struct {
					Mapping struct {
						IgnoreMalformed bool `json:"ignore_malformed"`
					} `json:"mapping"`
				} `json:"index"`
			} `json:"settings"`
			Mappings struct {
				DynamicTemplates []map[string]dynamicTemplate `json:"dynamic_templates"`
				Properties       map[string]json.RawMessage   `json:"properties"`
			} `json:"mappings"`
		} `json:"template"`
	}
	if err := json.Unmarshal(template, &t); err != nil {
		return nil, err
	}
	m := &mapper{types: map[string]string{}, ignoreMalformed: t.Template.Settings.Index.Mapping.IgnoreMalformed}
	for _, named := range t.Template.Mappings.DynamicTemplates {
		for _, d := range named {
			m.templates = append(m.templates, d)
		}
	}
	return m, m.properties("", t.Template.Mappings.Properties)
}

func (m *mapper) properties(prefix string, fields map[string]json.RawMessage) error {
	for name, raw := range fields {
		var f struct {
			Type       string                     `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			return err
		}
		if f.Type == "" {
			f.Type = "object"
		}
		m.types[prefix+name] = f.Type
		if err := m.properties(prefix+name+".", f.Properties); err != nil {
			return err
		}
	}
	return nil
}

// index takes a document, or says why it is refused. lost are the fields whose
// values were left out as malformed.
func (m *mapper) index(line []byte) (lost []string, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	leaves, err := object(d, "")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, l := range leaves {
		// Each object on the way must be one.
		for i, c := range l.name {
			if c == '.' {
				if t := m.typeOf(l.name[:i], "object"); t == "flattened" {
					return nil, nil // what is inside does not matter
				} else if t != "object" && t != "nested" {
					return nil, fmt.Errorf("object mapping for [%s] tried to parse field as object, but found a concrete value of type %s", l.name[:i], t)
				}
			}
		}
		if seen[l.name] && !l.inArray {
			return nil, fmt.Errorf("duplicate field %q", l.name)
		}
		seen[l.name] = true
		t := m.typeOf(l.name, l.kind())
		switch {
		case t == "object" || t == "nested":
			return nil, fmt.Errorf("object mapping for [%s] tried to parse field as object, but found a concrete value", l.name)
		case !fits(t, l.value):
			if !m.ignoreMalformed || t == "keyword" {
				return nil, fmt.Errorf("failed to parse field [%s] of type [%s]: %v", l.name, t, l.value)
			}
			lost = append(lost, l.name)
		}
	}
	return lost, nil
}

// typeOf returns the type of a field, and gives it one if it is new.
func (m *mapper) typeOf(name, kind string) string {
	if t, ok := m.types[name]; ok {
		return t
	}
	t := kind
	if kind != "object" {
		for _, d := range m.templates {
			prefix, isPrefix := strings.CutSuffix(d.PathMatch, "*")
			if (d.PathMatch == "" || isPrefix && strings.HasPrefix(name, prefix)) && (d.MatchMappingType == "" || d.MatchMappingType == kind) {
				t = d.Mapping.Type
				break
			}
		}
	}
	m.types[name] = t
	return t
}

// leaf is a value that is no object.
type leaf struct {
	name    string
	value   any
	inArray bool
}

// kind is what Elasticsearch takes a JSON value for.
func (l leaf) kind() string {
	switch v := l.value.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "double"
		}
		return "long"
	case bool:
		return "boolean"
	}
	return "string"
}

// object reads an object, whose brace is read, into leaves. Unlike a map it keeps
// what occurs twice.
func object(d *json.Decoder, prefix string) (leaves []leaf, err error) {
	if prefix == "" {
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return nil, fmt.Errorf("no object: %v, %w", t, err)
		}
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		some, err := value(d, prefix+key.(string), false)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, some...)
	}
	_, err = d.Token()
	return leaves, err
}

func value(d *json.Decoder, name string, inArray bool) (leaves []leaf, err error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return object(d, name+".")
	case json.Delim('['):
		for d.More() {
			some, err := value(d, name, true)
			if err != nil {
				return nil, err
			}
			leaves = append(leaves, some...)
		}
		_, err = d.Token()
		return leaves, err
	case nil:
		return nil, nil
	}
	return []leaf{{name, t, inArray}}, nil
}

// fits says whether a value can be indexed as a type.
func fits(kind string, v any) bool {
	text, isText := v.(string)
	number := func() (float64, bool) {
		if n, ok := v.(json.Number); ok {
			text = n.String()
		} else if !isText {
			return 0, false
		}
		f, err := json.Number(text).Float64()
		return f, err == nil && !math.IsInf(f, 0)
	}
	switch kind {
	case "date":
		_, err := time.Parse(time.RFC3339Nano, text)
		return isText && err == nil
	case "ip":
		_, err := netip.ParseAddr(text)
		return isText && err == nil
	case "boolean":
		_, is := v.(bool)
		return is || text == "true" || text == "false"
	case "double", "float":
		_, ok := number()
		return ok
	case "long", "integer":
		f, ok := number()
		limit := float64(math.MaxInt64)
		if kind == "integer" {
			limit = math.MaxInt32
		}
		return ok && math.Abs(f) <= limit
	case "keyword":
		return len(text) <= 32766
	case "flattened":
		return false // a scalar
	}
	return true
}

// indexAll takes lines, and returns what became of each.
func indexAll(m *mapper, lines io.Reader) (indexed int, lost []string, refused []error) {
	all, _ := io.ReadAll(lines)
	for line := range bytes.Lines(all) {
		some, err := m.index(line)
		if err != nil {
			refused = append(refused, fmt.Errorf("%w: %s", err, line))
			continue
		}
		indexed++
		lost = append(lost, some...)
	}
	return indexed, lost, refused
}
