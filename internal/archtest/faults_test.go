package archtest

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A planted case is the clean tree of testdata/faults.txt with some files
// added, replaced or deleted, and what one rule must then find.
type planted struct {
	rule, title string
	line        int
	want        []string
	files       map[string][]byte // nil: deleted.
}

var (
	caseLine = regexp.MustCompile(`^=== (\w+)(?:: (.*))?$`)
	fileLine = regexp.MustCompile(`^-- (\S+) --$`)
	filler   = regexp.MustCompile(`(?m)^// filler (\d+)$`)
)

// readPlanted reads testdata/faults.txt:
//
//	=== RULE: TITLE          begins a case; "=== clean" the tree that all others change
//	want FILE:LINE: TEXT     a fault that the rule must find; TEXT is a part of it
//	delete FILE              leaves a file out
//	-- FILE --               begins a file
//	// filler N              stands for N lines of comment
//
// Other lines before the first file of a case are comments.
func readPlanted(t *testing.T) (clean map[string][]byte, cases []*planted) {
	src, err := os.ReadFile("testdata/faults.txt")
	require.NoError(t, err)
	var all []*planted
	file := ""
	for i, line := range strings.SplitAfter(string(src), "\n") {
		text := strings.TrimSuffix(line, "\n")
		if m := caseLine.FindStringSubmatch(text); m != nil {
			all = append(all, &planted{rule: m[1], title: m[2], line: i + 1, files: map[string][]byte{}})
			file = ""
			continue
		}
		if len(all) == 0 {
			continue
		}
		c := all[len(all)-1]
		if m := fileLine.FindStringSubmatch(text); m != nil {
			file = m[1]
			require.NotContains(t, c.files, file, "line %d: a file twice in one case", i+1)
			c.files[file] = []byte{}
			continue
		}
		switch {
		case file != "":
			if m := filler.FindStringSubmatch(text); m != nil {
				var n int
				_, err := fmt.Sscan(m[1], &n)
				require.NoError(t, err)
				line = strings.Repeat("// filler\n", n)
			}
			c.files[file] = append(c.files[file], line...)
		case strings.HasPrefix(text, "want "):
			c.want = append(c.want, strings.TrimPrefix(text, "want "))
		case strings.HasPrefix(text, "delete "):
			c.files[strings.TrimPrefix(text, "delete ")] = nil
		}
	}
	require.NotEmpty(t, all)
	require.Equal(t, "clean", all[0].rule)
	return all[0].files, all[1:]
}

func plant(t *testing.T, clean map[string][]byte, c *planted) *Tree {
	files := maps.Clone(clean)
	for name, content := range c.files {
		if files[name] = content; content == nil {
			delete(files, name)
		}
	}
	ours, err := project()
	require.NoError(t, err)
	tree, err := NewTree(files)
	require.NoError(t, err)
	tree.Exports = ours.Exports
	return tree
}

// TestPlantedFaults runs each rule on trees with a fault in them: it must find
// that fault and nothing else.
func TestPlantedFaults(t *testing.T) {
	clean, cases := readPlanted(t)
	rules := map[string]func(*Tree) []Fault{}
	planted := map[string]int{}
	for _, rule := range Rules() {
		rules[rule.Name] = rule.Check
	}
	for _, c := range cases {
		planted[c.rule]++
		t.Run(c.rule+"/"+c.title, func(t *testing.T) {
			require.Contains(t, rules, c.rule)
			require.NotEmpty(t, c.want, "testdata/faults.txt:%d: a case that wants nothing", c.line)
			found := rules[c.rule](plant(t, clean, c))
			rest := append([]string(nil), c.want...)
			for _, fault := range found {
				i := matching(rest, fault)
				if i < 0 {
					t.Errorf("testdata/faults.txt:%d: not wanted: %v", c.line, fault)
					continue
				}
				rest = append(rest[:i], rest[i+1:]...)
				assert.NotEmpty(t, fault.Mend, "%v: how to mend it", fault)
			}
			assert.Empty(t, rest, "testdata/faults.txt:%d: not found", c.line)
		})
	}
	for name := range rules {
		assert.NotZero(t, planted[name], "rule %s has no planted fault", name)
	}
}

func matching(wants []string, f Fault) int {
	for i, want := range wants {
		place, text, _ := strings.Cut(want, ": ")
		if place == fmt.Sprintf("%s:%d", f.File, f.Line) && strings.Contains(f.What, text) {
			return i
		}
	}
	return -1
}

// TestCleanTree runs every rule on the tree without faults.
func TestCleanTree(t *testing.T) {
	clean, _ := readPlanted(t)
	tree := plant(t, clean, &planted{})
	for _, rule := range Rules() {
		for _, fault := range rule.Check(tree) {
			t.Error(fault)
		}
	}
	if t.Failed() {
		t.Logf("the API of the clean tree:\n%s", API(tree))
	}
}

// TestUpdateSnippets spoils the blocks of a README and has them rewritten.
func TestUpdateSnippets(t *testing.T) {
	clean, _ := readPlanted(t)
	want := string(clean["README.md"])
	spoiled := strings.Replace(want, "rec.Record(time.Second)", "rec.Record(time.Minute)\nsecond()", 1)
	spoiled = strings.Replace(spoiled, "\n1s\n", "\n", 1)
	require.NotEqual(t, want, spoiled)
	tree := plant(t, clean, &planted{files: map[string][]byte{"README.md": []byte(spoiled)}})
	assert.Len(t, CheckSnippets(tree), 2)
	assert.Equal(t, want, string(UpdateSnippets(tree, "README.md")))
}

// TestFaultString shows how a fault reads.
func TestFaultString(t *testing.T) {
	f := Fault{"observe/a.go", 7, "state", "init function", "call it from New"}
	assert.Equal(t, "observe/a.go:7: state: init function\n\tto mend: call it from New", f.String())
	f.Line = 0
	assert.True(t, strings.HasPrefix(f.String(), "observe/a.go: state: "))
}

// TestPlaces shows how folders are classified.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		dir  string
		kind kind
		own  string
	}{
		{"", root, ""},
		{"observe", part, ""},
		{"observe/training/tfevents", part, ""},
		{"observe/internal/scan", part, ""},
		{"observe/observeprom", adapter, "observe"},
		{"observe/observetest", suite, "observe"},
		{"scheduler/jobs/plan", part, ""},
		{"scheduler/jobs/slurm", adapter, "scheduler/jobs"},
		{"scheduler/schedulertest", suite, "scheduler"},
		{"autoscale/autoscalekeda/externalscaler", adapter, "autoscale"},
		{"gpu/gpunvml", adapter, "gpu"},
		{"internal/archtest", inner, ""},
		{"internal/bench/peers", bench, ""},
		{"internal/e2e", bench, ""},
		{"examples/quickstart", example, ""},
		{"examples/internal/tinylm", example, ""},
		{"util", stranger, ""},
	} {
		p := placeOf(c.dir)
		assert.Equal(t, c.kind, p.kind, "%q: kind", c.dir)
		assert.Equal(t, c.own, p.own, "%q: own package", c.dir)
	}
}

// TestAnchors has headings as GitHub turns them to anchors.
func TestAnchors(t *testing.T) {
	for text, want := range map[string]string{
		"Quick start":             "quick-start",
		"What calm does *not* do": "what-calm-does-not-do",
		"`go test ./...`":         "go-test-",
		"TTFT, ITL & TPOT":        "ttft-itl--tpot",
		"A [link](x.md) here":     "a-link-here",
		"max_tokens":              "max_tokens",
		"Größe":                   "größe",
	} {
		assert.Equal(t, want, slug(text), "%q", text)
	}
	got := anchors([]byte("# Same\n## Same\n```\n# Not one\n```\n<a id=\"own\"></a>\n"))
	assert.Equal(t, map[string]bool{"same": true, "same-1": true, "own": true}, got)
}
