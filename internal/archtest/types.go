package archtest

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// A checker type-checks packages of the tree from their source, and knows the
// packages outside it by their export data. It goes on after type errors:
// whether the code compiles is for the compiler to say, and a package that is
// unknown only makes the rules see less.
type checker struct {
	tree     *Tree
	compiled types.Importer
	imported map[string]*types.Package
}

// A typed package is the files of one build of a package, with their types.
type typed struct {
	*Package
	files []*File
	types *types.Package
	info  *types.Info
}

func (t *Tree) types() *checker {
	if t.checker == nil {
		lookup := func(path string) (io.ReadCloser, error) {
			if file := t.Exports[path]; file != "" {
				return os.Open(file)
			}
			return nil, fmt.Errorf("no export data of %s", path)
		}
		t.checker = &checker{
			tree:     t,
			compiled: importer.ForCompiler(t.Fset, "gc", lookup),
			imported: map[string]*types.Package{},
		}
	}
	return t.checker
}

// builds returns the package as each config builds it, with the tests of the
// package itself if asked for; configs that build the same files count once.
func (c *checker) builds(p *Package, tests bool) []typed {
	var builds []typed
	seen := map[string]bool{}
	for _, config := range Configs() {
		files := p.in(config, tests)
		key := fmt.Sprint(fileNames(files))
		if len(files) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		builds = append(builds, c.check(p, files))
	}
	return builds
}

// external returns the tests of package x_test.
func (c *checker) external(p *Package) typed {
	var files []*File
	for _, f := range p.Files {
		if f.External {
			files = append(files, f)
		}
	}
	return c.check(p, files)
}

func (c *checker) check(p *Package, files []*File) typed {
	b := typed{Package: p, files: files, info: &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	var syntax []*ast.File
	for _, f := range files {
		syntax = append(syntax, f.AST)
	}
	config := types.Config{
		Importer:    c,
		FakeImportC: true,
		Error:       func(error) {}, // See checker.
		GoVersion:   "go" + goVersion,
		Sizes:       types.SizesFor("gc", "amd64"),
	}
	b.types, _ = config.Check(p.Path, c.tree.Fset, syntax, b.info) // See checker.
	return b
}

// Import implements types.Importer.
func (c *checker) Import(importPath string) (*types.Package, error) {
	if importPath == "unsafe" {
		return types.Unsafe, nil
	}
	if p := c.imported[importPath]; p != nil {
		return p, nil
	}
	if dir, ours := targetOf(importPath); ours {
		if p := c.tree.pkg(dir); p != nil {
			c.imported[importPath] = stub(importPath) // Ends a cycle.
			c.imported[importPath] = c.check(p, p.in(Config{runtime.GOOS, true}, false)).types
			return c.imported[importPath], nil
		}
	}
	p, err := c.compiled.Import(importPath)
	if err != nil {
		p = stub(importPath)
	}
	c.imported[importPath] = p
	return p, nil
}

// stub returns a package of which nothing is known but its likely name.
func stub(importPath string) *types.Package {
	name := path.Base(importPath)
	if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
		name = path.Base(path.Dir(importPath))
	}
	p := types.NewPackage(importPath, strings.TrimPrefix(name, "go-"))
	p.MarkComplete()
	return p
}

func fileNames(files []*File) []string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return names
}
