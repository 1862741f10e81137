package main

import (
	"encoding/json"
	"strings"

	"github.com/calmops/calm/observe/ecslog"
)

// indexTemplate makes the template of the data stream from the table of fields that
// package ecslog writes: each has its type, labels are keywords, and everything else
// of a program is a double or a keyword.
func indexTemplate() []byte {
	dynamic := []any{
		rule("labels", map[string]any{"path_match": "labels.*", "mapping": map[string]any{"type": "keyword", "ignore_above": 1024}}),
		rule("longs", map[string]any{"match_mapping_type": "long", "mapping": map[string]any{"type": "double"}}),
		rule("doubles", map[string]any{"match_mapping_type": "double", "mapping": map[string]any{"type": "double"}}),
		rule("strings", map[string]any{"match_mapping_type": "string", "mapping": map[string]any{"type": "keyword", "ignore_above": 1024}}),
	}
	template := map[string]any{
		"index_patterns": []string{"logs-*-calm"},
		"priority":       200,
		"data_stream":    map[string]any{},
		"template": map[string]any{
			"settings": map[string]any{"index": map[string]any{
				"mapping": map[string]any{"total_fields": map[string]any{"limit": 1000}, "ignore_malformed": true},
			}},
			"mappings": map[string]any{
				"date_detection":    false,
				"numeric_detection": false,
				"dynamic_templates": dynamic,
				"properties":        properties(ecslog.Fields()),
			},
		},
	}
	out, err := json.MarshalIndent(template, "", "  ")
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return append(out, '\n')
}

func rule(name string, r map[string]any) map[string]any { return map[string]any{name: r} }

// properties nests the dotted names.
func properties(fields []ecslog.Field) map[string]any {
	root := map[string]any{}
	for _, f := range fields {
		at := root
		parts := strings.Split(f.Name, ".")
		for _, part := range parts[:len(parts)-1] {
			object, ok := at[part].(map[string]any)
			if !ok {
				object = map[string]any{"properties": map[string]any{}}
				at[part] = object
			}
			at = object["properties"].(map[string]any)
		}
		leaf := map[string]any{"type": f.Type}
		switch f.Type {
		case "keyword":
			leaf["ignore_above"] = 1024
		case "object":
			leaf = map[string]any{"type": "object", "dynamic": true}
		}
		at[parts[len(parts)-1]] = leaf
	}
	return root
}
