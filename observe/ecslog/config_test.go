package ecslog

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigFaultsAllAtOnce(t *testing.T) {
	_, err := New(nil, Config{
		Profile: 2, Content: 3, Service: Service{Name: "a\nb", Version: "\xff", Environment: strings.Repeat("x", 257), NodeName: "\x7f"},
		Dataset: "\x00", ContentKeys: []string{"ok", "", "a.b"}, HashKey: []byte("short"),
		Sample: Sample{PerSecond: math.NaN(), Burst: -1, Keys: -1}, MaxValueBytes: -1, MaxLineBytes: 100,
	})
	require.Error(t, err)
	for _, want := range []string{"the writer is nil", "Profile is 2", "Content is 3", `Service.Name is "a\nb"`, "Service.Version", "Service.Environment", "Service.NodeName",
		"Dataset", `ContentKeys[1] is ""`, `ContentKeys[2] is "a.b"`, "HashKey is of 5 bytes", "Sample.PerSecond is NaN", "Sample.Burst is -1", "Sample.Keys is -1",
		"MaxValueBytes is -1", "MaxLineBytes is 100"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "short", "no secret in an error")
	assert.NotContains(t, err.Error(), "ContentKeys[0]")
	for _, bad := range []Sample{{PerSecond: math.Inf(1)}, {PerSecond: -1}, {Burst: 1}, {PerSecond: 1, Keys: 1<<20 + 1}} {
		_, err := New(io.Discard, Config{Sample: bad})
		assert.ErrorContains(t, err, "Sample")
	}
}

func TestConfigIsCopied(t *testing.T) {
	key, names := []byte("0123456789abcdef"), []string{"a"}
	cfg, err := Config{HashKey: key, ContentKeys: names}.withDefaults()
	require.NoError(t, err)
	key[0], names[0] = 'x', "b"
	assert.Equal(t, "0123456789abcdef", string(cfg.HashKey))
	assert.Equal(t, []string{"a"}, cfg.ContentKeys)
}

func TestFields(t *testing.T) {
	fields := Fields()
	byName := map[string]Field{}
	for i, f := range fields {
		assert.NotEmpty(t, f.Type, f.Name)
		if i > 0 {
			assert.Less(t, fields[i-1].Name, f.Name)
		}
		byName[f.Name] = f
	}
	assert.Equal(t, 102, len(fields))
	for _, want := range []Field{
		{Name: "@timestamp", Type: "date"},
		{Name: "message", Type: "match_only_text"},
		{Name: "url.full", Type: "wildcard"},
		{Name: "event.category", Type: "keyword", Array: true},
		{Name: "event.duration", Type: "long"},
		{Name: "gen_ai.usage.output_tokens", Type: "integer"},
		{Name: "gen_ai.request.top_p", Type: "double"},
		{Name: "event.risk_score", Type: "float"},
		{Name: "client.ip", Type: "ip"},
		{Name: "labels", Type: "object"},
		{Name: "gen_ai.response.finish_reasons", Type: "nested", Label: "finish_reason"},
		{Name: "gen_ai.tool.call.result", Type: "flattened", Content: true},
	} {
		assert.Equal(t, want, byName[want.Name])
	}
	fields[0].Name = "changed"
	assert.NotEqual(t, "changed", Fields()[0].Name)
}

// No known field is below another one, and each begins with a root that is taken: so
// nothing of a program can be in its way.
func TestFieldsDoNotCollide(t *testing.T) {
	for name := range knownFields {
		root, rest, dotted := strings.Cut(name, ".")
		assert.True(t, takenRoots[root] || root == "@timestamp", name)
		for dotted && strings.Contains(rest, ".") {
			name = name[:strings.LastIndexByte(name, '.')]
			assert.NotContains(t, knownFields, name)
			_, rest, _ = strings.Cut(name, ".")
		}
	}
}

func TestKeysAreBounded(t *testing.T) {
	ks := newKeys(nil)
	set := ks.below("p.")
	for i := range 3 * maxKeptKeys {
		name := strings.Repeat("k", i%1000) + string(rune('a'+i%26))
		k := set.get(name)
		assert.Equal(t, "p."+name, k.name)
	}
	assert.Len(t, *set.kept.Load(), int(ks.kept.Load()))
	assert.LessOrEqual(t, int(ks.kept.Load()), maxKeptKeys)
	for name := range *set.kept.Load() {
		assert.LessOrEqual(t, len(name), maxKeptBytes)
	}
	assert.Same(t, set.get("a"), set.get("a"))
	for i := range 2 * maxKeptKeys {
		below := ks.below(fmt.Sprint(i, "."))
		assert.Equal(t, fmt.Sprint(i, ".x"), below.get("x").name)
	}
	assert.Len(t, *ks.sets.Load(), maxKeptKeys)
	assert.Equal(t, maxKeptKeys, int(ks.kept.Load()))
}

func TestMetrics(t *testing.T) {
	drops := &Drops{Debug: Counts{1, 2, 3, 4}, Info: Counts{5, 6, 7, 8}, Warn: Counts{9, 0, 0, 0}, Error: Counts{10, 0, 11, 12}}
	got := map[string]float64{}
	for i, r := range Metrics() {
		assert.Equal(t, observe.MetricID(i), r.ID)
		assert.Equal(t, observe.KindCounter, r.Kind)
		assert.Nil(t, r.Distributions)
		r.Values(drops, func(v float64, labels ...string) {
			assert.Len(t, labels, len(r.Labels))
			got[r.Prometheus+" "+strings.Join(labels, " ")] = v
		})
	}
	assert.Equal(t, map[string]float64{
		"llm_log_lines_total debug": 1, "llm_log_lines_total info": 5, "llm_log_lines_total warn": 9, "llm_log_lines_total error": 10,
		"llm_log_dropped_total debug sampled": 2, "llm_log_dropped_total debug too_long": 3, "llm_log_dropped_total debug write_error": 4,
		"llm_log_dropped_total info sampled": 6, "llm_log_dropped_total info too_long": 7, "llm_log_dropped_total info write_error": 8,
		"llm_log_dropped_total warn sampled": 0, "llm_log_dropped_total warn too_long": 0, "llm_log_dropped_total warn write_error": 0,
		"llm_log_dropped_total error sampled": 0, "llm_log_dropped_total error too_long": 11, "llm_log_dropped_total error write_error": 12,
	}, got)
}
