package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/api.txt and the Go blocks of Markdown files")

// projectDir is the root of the project, from the folder of this package.
const projectDir = "../.."

// typesOf are packages whose types the planted faults need, whether the
// project imports them yet or not.
var typesOf = []string{"embed", "errors", "fmt", "log/slog", "regexp", "sort", "slices", "strings", "sync", "sync/atomic", "time"}

// project reads the project, with the export data of what it imports.
var project = sync.OnceValues(func() (*Tree, error) {
	files, err := ReadTree(os.DirFS(projectDir))
	if err != nil {
		return nil, err
	}
	tree, err := NewTree(files)
	if err != nil {
		return nil, err
	}
	tree.Exports = map[string]string{}
	args := []string{"list", "-e", "-export", "-json=ImportPath,Export"}
	out, err := goTool(projectDir, nil, slices.Concat(args, typesOf, tree.Externals())...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return tree, nil
		} else if err != nil {
			return nil, err
		}
		tree.Exports[p.ImportPath] = p.Export
	}
})

// goTool runs the go command in a folder and returns its standard output. Its
// error has what the command wrote to standard error.
func goTool(dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return out, err
}

// TestProject runs every rule on the project itself.
func TestProject(t *testing.T) {
	tree, err := project()
	require.NoError(t, err)
	if *update {
		tree = rewrite(t, tree)
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, fault := range rule.Check(tree) {
				t.Error(fault)
			}
		})
	}
}

// rewrite writes the golden file and the Go blocks of Markdown files, and
// returns the tree as it then is.
func rewrite(t *testing.T, tree *Tree) *Tree {
	write := func(name string, content []byte) {
		if !bytes.Equal(tree.Files[name], content) {
			require.NoError(t, os.WriteFile(filepath.Join(projectDir, filepath.FromSlash(name)), content, 0o644))
			tree.Files[name] = content
			t.Log("wrote", name)
		}
	}
	write(Golden, []byte(API(tree)))
	for _, name := range tree.names(".md") {
		write(name, UpdateSnippets(tree, name))
	}
	rewritten, err := NewTree(tree.Files)
	require.NoError(t, err)
	rewritten.Exports = tree.Exports
	return rewritten
}

// TestImportsAreThoseOfTheGoCommand compares the imports that the rules see in
// each build with what the go command says.
func TestImportsAreThoseOfTheGoCommand(t *testing.T) {
	tree, err := project()
	require.NoError(t, err)
	for _, c := range Configs() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			cgo := "CGO_ENABLED=0"
			if c.Cgo {
				cgo = "CGO_ENABLED=1"
			}
			out, err := goTool(projectDir, []string{cgo, "GOOS=" + c.GOOS, "GOARCH=amd64"}, "list", "-e", "-json=ImportPath,Imports", "./...")
			require.NoError(t, err)
			for d := json.NewDecoder(bytes.NewReader(out)); ; {
				var p struct {
					ImportPath string
					Imports    []string
				}
				if err := d.Decode(&p); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				dir, _ := targetOf(p.ImportPath)
				if tree.pkg(dir) == nil {
					continue // Written since the tree was read.
				}
				assert.Equal(t, p.Imports, importsIn(tree.pkg(dir), c), "%s: imports", p.ImportPath)
			}
		})
	}
}

func importsIn(p *Package, c Config) []string {
	var all []string
	for _, f := range p.in(c, false) {
		for _, spec := range f.AST.Imports {
			all = append(all, importPath(spec))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestNestedModules vets and tests every nested module.
func TestNestedModules(t *testing.T) {
	if os.Getenv("CALM_MODULES") != "all" {
		t.Skip("set CALM_MODULES=all to vet and test every nested module")
	}
	tree, err := project()
	require.NoError(t, err)
	for _, m := range tree.Modules {
		for _, verb := range []string{"vet", "test"} {
			if m.Dir == "" {
				continue
			}
			t.Run(m.Dir+"/"+verb, func(t *testing.T) {
				out, err := goTool(filepath.Join(projectDir, m.Dir), nil, verb, "./...")
				if err != nil {
					t.Errorf("go %s ./... in %s: %v\n%s", verb, m.Dir, err, out)
				}
				t.Log(strings.TrimSpace(string(out)))
			})
		}
	}
}
