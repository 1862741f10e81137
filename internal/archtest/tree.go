package archtest

import (
	"bytes"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Root is the module path of the project.
const Root = "github.com/calmops/calm"

// A Tree is the project as the rules see it.
type Tree struct {
	Files    map[string][]byte // By slash-separated path from the root.
	Fset     *token.FileSet    // Positions of all parsed files.
	Modules  []*Module         // The root module first.
	Packages []*Package        // In the order of their folders.

	// Exports maps import paths outside the project to files with export data,
	// as printed by go list -export. A package that is not in it is unknown to
	// the rules that need types.
	Exports map[string]string

	checker *checker // Set by the first rule that needs types.
}

// A Package is the Go files of one folder.
type Package struct {
	Module *Module
	Dir    string // From the root of the project; empty for the root package.
	Path   string // Import path.
	Name   string // The name in the package clauses of production files.
	Files  []*File
	place  place
}

// A File is one Go file.
type File struct {
	Name      string // From the root of the project.
	Src       []byte
	AST       *ast.File
	Test      bool // The name ends in _test.go.
	External  bool // A test of package x_test.
	Generated bool // Carries the line "Code generated ... DO NOT EDIT."
	Ignored   bool // Has the build constraint "ignore": a script run by hand.
}

// A Config is one way to build the project.
type Config struct {
	GOOS string
	Cgo  bool
}

// Configs are the ways to build that the rules look at.
func Configs() []Config {
	var all []Config
	for _, goos := range []string{"linux", "darwin", "windows"} {
		all = append(all, Config{goos, true}, Config{goos, false})
	}
	return all
}

// String returns the operating system and whether cgo is on.
func (c Config) String() string {
	if c.Cgo {
		return c.GOOS + "/cgo"
	}
	return c.GOOS
}

// ReadTree reads the files of a folder. Hidden folders other than .ci and
// .github, and the folders that .gitignore names, are left out; of a file over
// one megabyte only the name is kept.
func ReadTree(root fs.FS) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != "." && base != ".ci" && base != ".github"
			if hidden || name == "artifacts" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > 1<<20 {
			files[name] = nil
			return nil
		}
		files[name], err = fs.ReadFile(root, name)
		return err
	})
	return files, err
}

// NewTree parses files.
func NewTree(files map[string][]byte) (*Tree, error) {
	t := &Tree{Files: files, Fset: token.NewFileSet()}
	for name, src := range files {
		if path.Base(name) == "go.mod" && !inTestdata(name) {
			m, err := parseModule(name, src)
			if err != nil {
				return nil, err
			}
			t.Modules = append(t.Modules, m)
		}
	}
	slices.SortFunc(t.Modules, func(a, b *Module) int { return strings.Compare(a.Dir, b.Dir) })
	packages := map[string]*Package{}
	for _, name := range t.names(".go") {
		if err := t.addFile(packages, name); err != nil {
			return nil, err
		}
	}
	for _, p := range packages {
		t.Packages = append(t.Packages, p)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

// names returns the sorted names of files with a suffix, outside testdata.
func (t *Tree) names(suffix string) []string {
	var names []string
	for name := range t.Files {
		if strings.HasSuffix(name, suffix) && !inTestdata(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *Tree) addFile(packages map[string]*Package, name string) error {
	src := t.Files[name]
	syntax, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	p := packages[dir]
	if p == nil {
		p = &Package{Dir: dir, Path: path.Join(Root, dir), Module: t.moduleOf(dir), place: placeOf(dir)}
		packages[dir] = p
	}
	f := &File{
		Name: name, Src: src, AST: syntax,
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(syntax),
		Ignored:   bytes.Contains(src[:syntax.Package-syntax.FileStart], []byte("//go:build ignore\n")),
	}
	f.External = f.Test && strings.HasSuffix(syntax.Name.Name, "_test")
	if !f.Ignored && (!f.Test || p.Name == "" && !f.External) {
		p.Name = syntax.Name.Name
	}
	p.Files = append(p.Files, f)
	return nil
}

// Externals returns the sorted import paths outside the project that a build of
// the root module may need, and those of the standard library that any file
// imports.
func (t *Tree) Externals() []string {
	var all []string
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				to := importPath(spec)
				if _, ours := targetOf(to); !ours && to != "C" && (standard(to) || p.Module.Dir == "") {
					all = append(all, to)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// moduleOf returns the module with the longest folder that holds dir.
func (t *Tree) moduleOf(dir string) *Module {
	var found *Module
	for _, m := range t.Modules {
		if within(dir, m.Dir) {
			found = m // They are sorted: a folder comes after those that hold it.
		}
	}
	return found
}

// pkg returns the package in a folder, or nil.
func (t *Tree) pkg(dir string) *Package {
	i, ok := slices.BinarySearchFunc(t.Packages, dir, func(p *Package, dir string) int { return strings.Compare(p.Dir, dir) })
	if !ok {
		return nil
	}
	return t.Packages[i]
}

// production returns the files that a build may include.
func (p *Package) production() []*File {
	return slices.DeleteFunc(slices.Clone(p.Files), func(f *File) bool { return f.Test || f.Ignored })
}

// in returns the production files, or with tests the test files of the package
// itself too, that a build under c includes.
func (p *Package) in(c Config, tests bool) []*File {
	var in []*File
	for _, f := range p.Files {
		if (!f.Test || tests && !f.External) && f.in(c) {
			in = append(in, f)
		}
	}
	return in
}

// in reports whether a build under c includes the file.
func (f *File) in(c Config) bool {
	if !c.Cgo && slices.ContainsFunc(f.AST.Imports, func(s *ast.ImportSpec) bool { return importPath(s) == "C" }) {
		return false
	}
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = c.GOOS, "amd64", c.Cgo
	ctx.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.Src)), nil }
	ok, err := ctx.MatchFile(path.Dir(f.Name), path.Base(f.Name))
	return ok && err == nil
}

// public reports whether another module can import the package: its API is
// kept in the golden file, and its documentation is read on a page of its own.
func (p *Package) public() bool {
	return p.Name != "main" && p.Name != "" && !hasElement(p.Dir, "internal") && p.place.kind != example && len(p.production()) > 0
}

// importPath returns the path of an import without its quotes.
func importPath(s *ast.ImportSpec) string { return strings.Trim(s.Path.Value, "`\"") }

// within reports whether dir is parent or a folder below it.
func within(dir, parent string) bool {
	return parent == "" || dir == parent || strings.HasPrefix(dir, parent+"/")
}

// hasElement reports whether one element of a path equals element.
func hasElement(name, element string) bool {
	return slices.Contains(strings.Split(name, "/"), element)
}

// inTestdata reports whether a file is data of a test.
func inTestdata(name string) bool { return hasElement(name, "testdata") }
