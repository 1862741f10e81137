package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// CheckImports checks who imports whom, in every production file whatever its
// build constraints are, and that no build has a cycle. In test files it
// checks only that a nested module stays out of the root's internal folder.
func CheckImports(t *Tree) []Fault {
	r := &report{tree: t, rule: "imports"}
	for _, p := range t.Packages {
		if p.place.kind == stranger {
			r.line(p.Files[0].Name, 1, "move it below "+strings.Join(tops, ", ")+", internal or examples",
				"folder %s is not on the map of the project", p.Dir)
			continue
		}
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				to := importPath(spec)
				if what, mend := mayImport(p, f, to); what != "" {
					r.at(spec.Pos(), mend, "%s may not import %s: %s", p.Path, to, what)
				}
			}
		}
	}
	for _, c := range Configs() {
		r.cycles(c)
	}
	return r.sorted()
}

// mayImport returns what is wrong with an import and how to mend it, or "".
func mayImport(p *Package, f *File, to string) (what, mend string) {
	dir, ours := targetOf(to)
	target := placeOf(dir)
	if ours && p.Module.Dir != "" && within(dir, "internal") && p.place.kind != bench && p.place.kind != example {
		return "a nested module is released apart from the root's internal packages", "copy the few lines that you need"
	}
	if f.Test || f.Ignored {
		return "", ""
	}
	if ours && target.testsOnly() && p.place.kind != bench {
		return "only tests may import it", "move the code that needs it to a _test.go file"
	}
	if standard(to) {
		if p.place.kind == root {
			return "the root package is a map and imports nothing", "move the code to a package"
		}
		return "", ""
	}
	switch p.place.kind {
	case example, bench:
		return "", ""
	case root:
		return "the root package is a map and imports nothing", "move the code to a package"
	case inner:
		if ours && target.kind == inner {
			return "", ""
		}
		return "internal packages import the standard library and each other", "turn the dependency round: take a func or a small interface"
	case suite:
		if ours && dir == p.place.own {
			return "", ""
		}
		return "a suite imports its own package, testing and the standard library", "check by hand, with the standard library"
	case adapter:
		return adapterMayImport(p, to, ours, target)
	default:
		return partMayImport(p, to, ours, target)
	}
}

func partMayImport(p *Package, to string, ours bool, target place) (what, mend string) {
	switch {
	case !ours && (p.Module.Dir != "" || covered(to, exceptions[p.Dir])):
		return "", ""
	case !ours:
		return "packages that are no adapters import the standard library only", "move the code to an adapter, " + p.place.top + "/" + p.place.top + "..."
	case target.kind == inner, target.kind == part && target.top == p.place.top:
		return "", ""
	case target.kind == adapter && target.top == p.place.top:
		return "a package does not know its adapters", "take a func or a small interface that the adapter satisfies"
	case target.top != "":
		return "the packages " + strings.Join(tops, ", ") + " do not know each other", "take a func; the application joins the two"
	}
	return "it is not below " + p.place.top, "take a func or a small interface"
}

func adapterMayImport(p *Package, to string, ours bool, target place) (what, mend string) {
	if !ours {
		if p.Module.Dir != "" || covered(to, externals[p.place.suffix]) {
			return "", ""
		}
		return fmt.Sprintf("the externals listed for %q are %v", p.place.suffix, externals[p.place.suffix]),
			"give the adapter a go.mod of its own, or list the module in internal/archtest/layout.go and modules.go"
	}
	switch {
	case within(target.dir, p.place.self): // Its own parts.
		return "", ""
	case target.kind == inner, target.kind == part && within(target.dir, p.place.own):
		return "", ""
	case target.kind == adapter:
		return "an adapter does not know another", "take a func or a small interface"
	}
	return "an adapter imports its own package " + p.place.own + " and what is below it", "take a func or a small interface"
}

// cycles reports each import cycle of a build once, at the import that closes it.
func (r *report) cycles(c Config) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var stack []string
	var visit func(p *Package)
	visit = func(p *Package) {
		state[p.Dir] = visiting
		stack = append(stack, p.Dir)
		for _, f := range p.in(c, false) {
			for _, spec := range f.AST.Imports {
				dir, ours := targetOf(importPath(spec))
				next := r.tree.pkg(dir)
				if !ours || next == nil || state[dir] == done {
					continue
				}
				if state[dir] == visiting {
					ring := slices.Clone(stack[slices.Index(stack, dir):])
					r.at(spec.Pos(), "move what both need to a package below them",
						"import cycle: %s -> %s", strings.Join(ring, " -> "), dir)
					continue
				}
				visit(next)
			}
		}
		stack = stack[:len(stack)-1]
		state[p.Dir] = done
	}
	for _, p := range r.tree.Packages {
		if state[p.Dir] == 0 {
			visit(p)
		}
	}
}
