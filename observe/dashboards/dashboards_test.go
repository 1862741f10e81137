package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "go test ./observe/dashboards -update rewrites %s", path)
}

func TestGolden(t *testing.T) {
	for _, d := range All(Config{}) {
		golden(t, d.Name()+".json", d.JSON())
		assert.Equal(t, d.JSON(), d.JSON())
	}
	rules, err := Alerts(AlertConfig{NoTraffic: true})
	require.NoError(t, err)
	golden(t, "rules.yml", rules.YAML())
}

// every returns the panels of a dashboard, those in rows too, without the rows.
func every(d Dashboard) []panelJSON {
	var all []panelJSON
	var add func([]panelJSON)
	add = func(panels []panelJSON) {
		for _, p := range panels {
			if p.Type != "row" {
				all = append(all, p)
			}
			add(p.Panels)
		}
	}
	add(d.model.Panels)
	return all
}

// All expressions of the tables can be read, so that none is left without matchers.
func TestExpressions(t *testing.T) {
	for _, native := range []bool{false, true} {
		for _, d := range All(Config{Native: native}) {
			for _, p := range every(d) {
				for _, q := range p.Targets {
					e, err := parse(q.Expr)
					require.NoError(t, err, q.Expr)
					for _, s := range selectors(e) {
						if s.name != "up" {
							_, suffix, ok := newCatalogue().of(s.name)
							assert.True(t, ok, "%s: %s", p.Title, s.name)
							assert.False(t, native && suffix == "_bucket", q.Expr)
						}
					}
				}
			}
		}
	}
	for _, group := range [][]alert{servingAlerts(), trainingAlerts(), resourceAlerts(), logAlerts()} {
		for _, a := range group {
			_, err := parse(a.expr)
			assert.NoError(t, err, a.name)
		}
	}
}

// Every metric of the tables is shown somewhere.
func TestEveryMetricIsShown(t *testing.T) {
	var text strings.Builder
	for _, d := range All(Config{}) {
		for _, p := range every(d) {
			for _, q := range p.Targets {
				text.WriteString(q.Expr + "\n")
			}
		}
	}
	for _, m := range Metrics() {
		assert.Contains(t, text.String(), m.Prometheus)
	}
}

func TestConfig(t *testing.T) {
	d := Serving(Config{Title: "Team", UID: "ä b/" + strings.Repeat("x", 100), Job: "llm", Models: []string{"a", "b"},
		Links: []Link{{URL: "https://example.com"}, {Title: "Docs", URL: "https://example.org"}}})
	assert.Equal(t, "Team / Serving", d.model.Title)
	assert.LessOrEqual(t, len(d.UID()), 40)
	assert.Regexp(t, `^[a-zA-Z0-9_-]+-serving$`, d.UID())
	assert.Equal(t, "serving", d.Name())
	var back struct {
		Links      []struct{ Title, URL string }
		Templating struct {
			List []struct {
				Name    string
				Current struct{ Value any }
			}
		}
	}
	require.NoError(t, json.Unmarshal(d.JSON(), &back))
	assert.Equal(t, "https://example.com", back.Links[1].Title)
	assert.Equal(t, "Docs", back.Links[2].Title)
	for _, v := range back.Templating.List {
		switch v.Name {
		case "job":
			assert.Equal(t, []any{"llm"}, v.Current.Value)
		case "instance":
			assert.Equal(t, []any{"$__all"}, v.Current.Value)
		case "model":
			assert.Equal(t, []any{"a", "b"}, v.Current.Value)
		}
	}
	findings, err := Lint(d.JSON())
	require.NoError(t, err)
	assert.Empty(t, findings)

	hostile := Serving(Config{Title: "a\xff\"<b>", UID: "\x00", Job: `"}`, Models: []string{"$model"}})
	assert.True(t, json.Valid(hostile.JSON()))
	assert.True(t, bytes.HasSuffix(hostile.JSON(), []byte("}\n")))
	assert.NotContains(t, string(hostile.JSON()), "\t")
	assert.True(t, json.Valid(Dashboard{}.JSON()))
}
