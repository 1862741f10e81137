package archtest

import (
	"fmt"
	"go/version"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// goVersion is the go directive of every go.mod; internal/e2e may ask for more.
const goVersion = "1.26.0"

// requirements are what the root go.mod may require directly. Anything else
// belongs to a nested module.
var requirements = []string{
	"github.com/prometheus/client_golang",
	"github.com/prometheus/client_model", // This and the next three come with it.
	"github.com/prometheus/common",
	"github.com/cespare/xxhash/v2",
	"google.golang.org/protobuf",
	"go.opentelemetry.io/otel",
	"go.opentelemetry.io/otel/metric",
	"go.opentelemetry.io/otel/trace",
	"go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/otel/sdk/metric",
	"github.com/NVIDIA/go-nvml",
	"golang.org/x/sync",
	"github.com/stretchr/testify",
}

// A Module is what a go.mod file says.
type Module struct {
	Dir        string // Folder of the file; empty for the root.
	File       string
	Path       string
	Directives []Directive
}

// A Directive is one line of a go.mod file, out of its block.
type Directive struct {
	Line     int
	Verb     string // go, require, replace, ...
	Args     []string
	Indirect bool
}

// parseModule reads the few forms of line that a go.mod file has.
func parseModule(name string, src []byte) (*Module, error) {
	m := &Module{Dir: strings.TrimPrefix(path.Dir(name), "."), File: name}
	block := ""
	for i, line := range strings.Split(string(src), "\n") {
		code, comment, _ := strings.Cut(line, "//")
		words := strings.Fields(code)
		switch {
		case len(words) == 0:
		case block != "" && words[0] == ")":
			block = ""
		case block == "" && len(words) == 2 && words[1] == "(":
			block = words[0]
		default:
			if block != "" {
				words = append([]string{block}, words...)
			}
			d := Directive{Line: i + 1, Verb: words[0], Args: words[1:], Indirect: strings.TrimSpace(comment) == "indirect"}
			if d.Verb == "module" && len(d.Args) == 1 {
				m.Path = d.Args[0]
			}
			m.Directives = append(m.Directives, d)
		}
	}
	if m.Path == "" {
		return nil, fmt.Errorf("%s: no module line", name)
	}
	return m, nil
}

// CheckModules checks every go.mod file, and that there is no go.work.
func CheckModules(t *Tree) []Fault {
	r := &report{tree: t, rule: "modules"}
	for _, m := range t.Modules {
		if want := path.Join(Root, m.Dir); m.Path != want {
			r.line(m.File, 1, "write module "+want, "module path is %s", m.Path)
		}
		r.goDirective(m)
		if m.Dir == "" {
			r.rootModule(m)
		} else {
			r.nestedModule(m)
		}
	}
	for name := range t.Files {
		if base := path.Base(name); (base == "go.work" || base == "go.work.sum") && !inTestdata(name) {
			r.line(name, 0, "delete it; a workspace of your own can stand outside the tree (GOWORK=/path/to/go.work)", "the tree has a %s", base)
		}
	}
	return r.sorted()
}

func (r *report) goDirective(m *Module) {
	found := false
	for _, d := range m.Directives {
		switch d.Verb {
		case "go":
			found = true
			more := m.Dir == "internal/e2e" && version.Compare("go"+d.Args[0], "go"+goVersion) > 0
			if d.Args[0] != goVersion && !more {
				r.line(m.File, d.Line, "write go "+goVersion, "go directive is %s", d.Args[0])
			}
		case "toolchain":
			if m.Dir != "internal/e2e" {
				r.line(m.File, d.Line, "delete the line", "a toolchain line asks for more than go %s", goVersion)
			}
		}
	}
	if !found {
		r.line(m.File, 1, "add go "+goVersion, "no go directive")
	}
}

func (r *report) rootModule(m *Module) {
	for _, d := range m.Directives {
		switch {
		case d.Verb == "replace":
			r.line(m.File, d.Line, "delete the line: users of the module would not see it", "the root go.mod has a replace directive")
		case d.Verb == "require" && !d.Indirect && !slices.Contains(requirements, d.Args[0]):
			r.line(m.File, d.Line, "move the code that needs it to a nested module; go mod tidy",
				"the root module may not require %s directly", d.Args[0])
		}
	}
}

// nestedModule checks that the root module, and each nested module that is
// required, is replaced by its folder.
func (r *report) nestedModule(m *Module) {
	replaced := map[string]string{}
	for _, d := range m.Directives {
		if d.Verb == "replace" {
			if i := slices.Index(d.Args, "=>"); i > 0 && i+1 < len(d.Args) {
				replaced[d.Args[0]] = d.Args[i+1]
			}
		}
	}
	need := func(line int, modulePath string) {
		dir, _ := targetOf(modulePath)
		rel, err := filepath.Rel("/"+m.Dir, "/"+dir)
		if err != nil {
			r.line(m.File, line, "keep module paths clean", "%v", err)
			return
		}
		if want := filepath.ToSlash(rel); replaced[modulePath] != want {
			r.line(m.File, line, fmt.Sprintf("write replace %s => %s", modulePath, want), "replace of %s is %q", modulePath, replaced[modulePath])
		}
	}
	for _, d := range m.Directives {
		if d.Verb == "module" {
			need(d.Line, Root)
		}
		if d.Verb == "require" && strings.HasPrefix(d.Args[0], Root+"/") {
			need(d.Line, d.Args[0])
		}
	}
}
