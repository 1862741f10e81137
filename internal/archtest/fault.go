package archtest

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
)

// A Fault is one place where the tree breaks a rule.
type Fault struct {
	File string // Slash-separated, from the root of the project.
	Line int    // From 1. 0 when the fault is about the whole file.
	Rule string // One of the names in the package documentation.
	What string // What is wrong.
	Mend string // What to do about it.
}

// String returns file:line, the rule, what is wrong and how to mend it.
func (f Fault) String() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s\n\tto mend: %s", place, f.Rule, f.What, f.Mend)
}

// A Rule checks one thing about a tree.
type Rule struct {
	Name  string
	Check func(*Tree) []Fault
}

// Rules returns every rule that needs nothing but the tree. The API golden
// file is compared by [CheckAPI].
func Rules() []Rule {
	return []Rule{
		{"imports", CheckImports},
		{"modules", CheckModules},
		{"docs", CheckDocs},
		{"state", CheckState},
		{"production", CheckProduction},
		{"api", CheckAPI},
		{"links", CheckLinks},
		{"snippets", CheckSnippets},
		{"files", CheckFiles},
	}
}

// A report collects the faults of one rule.
type report struct {
	tree   *Tree
	rule   string
	faults []Fault
}

// at adds a fault at a position in a Go file.
func (r *report) at(pos token.Pos, mend, format string, args ...any) {
	p := r.tree.Fset.Position(pos)
	r.line(p.Filename, p.Line, mend, format, args...)
}

// line adds a fault at a line of a file.
func (r *report) line(file string, line int, mend, format string, args ...any) {
	r.faults = append(r.faults, Fault{file, line, r.rule, fmt.Sprintf(format, args...), mend})
}

// sorted returns the faults in the order of their places, each once.
func (r *report) sorted() []Fault {
	slices.SortFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(r.faults)
}
