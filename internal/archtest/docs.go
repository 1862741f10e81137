package archtest

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/token"
	"path"
)

// The length of doc.go of a public package, in lines.
const minDoc, maxDoc = 60, 200

// CheckDocs checks that every package has a comment, public packages have it
// in a doc.go of 60 to 200 lines and have an Example (one with output, unless
// what they join to is foreign), and that every exported name of a public
// package is documented: fields of structs and methods of interfaces too.
func CheckDocs(t *Tree) []Fault {
	r := &report{tree: t, rule: "docs"}
	for _, p := range t.Packages {
		if len(p.production()) == 0 {
			continue
		}
		r.packageComment(p)
		if !p.public() {
			continue
		}
		exported := false
		for _, f := range p.production() {
			if !f.Generated {
				exported = r.exportedNames(f) || exported
			}
		}
		if exported {
			r.examples(p)
		}
	}
	return r.sorted()
}

func (r *report) packageComment(p *Package) {
	found := ""
	for _, f := range p.production() {
		if f.AST.Doc != nil {
			found = f.Name
			break
		}
	}
	want := path.Join(p.Dir, "doc.go")
	switch {
	case found == "":
		r.line(p.production()[0].Name, 1, "write what it is for above the package clause, in doc.go if others can import it",
			"package %s has no comment", p.Name)
	case !p.public():
	case r.tree.Files[want] == nil || found != want:
		r.line(found, 1, "move the package comment to doc.go", "the comment of package %s is not in doc.go", p.Name)
	default:
		if n := lines(r.tree.Files[want]); n < minDoc || n > maxDoc {
			r.line(want, 1, "say quick start, concepts and units, errors, concurrency, cost, limitations, sources; and no more",
				"doc.go has %d lines, not %d to %d", n, minDoc, maxDoc)
		}
	}
}

func (r *report) examples(p *Package) {
	any, output := false, false
	for _, f := range p.Files {
		if f.Test {
			for _, e := range doc.Examples(f.AST) {
				any, output = true, output || e.Output != "" || e.EmptyOutput
			}
		}
	}
	place := path.Join(p.Dir, "doc.go")
	switch {
	case !any:
		r.line(place, 0, "write one in example_test.go", "package %s has no Example", p.Name)
	case !output && p.place.kind == part:
		r.line(place, 0, "end one with // Output:", "no Example of package %s has output, so none runs", p.Name)
	}
}

const mendDoc = "say what it is, its unit, range and zero value"

// exportedNames reports whether a file exports anything, and the names that
// are not documented.
func (r *report) exportedNames(f *File) (exported bool) {
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Recv != nil && !ast.IsExported(receiver(d)) {
				continue
			}
			exported = true
			if d.Doc == nil {
				r.at(d.Pos(), mendDoc, "%s has no documentation", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				exported = r.exportedSpec(d, spec) || exported
			}
		}
	}
	return exported
}

func (r *report) exportedSpec(d *ast.GenDecl, spec ast.Spec) bool {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() {
				if d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					r.at(name.Pos(), mendDoc, "%s has no documentation", name.Name)
				}
				return true
			}
		}
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return false
		}
		alone := d.Lparen == token.NoPos
		if spec.Doc == nil && spec.Comment == nil && (!alone || d.Doc == nil) {
			r.at(spec.Pos(), mendDoc, "%s has no documentation", spec.Name.Name)
		}
		switch t := spec.Type.(type) {
		case *ast.StructType:
			r.exportedFields(spec.Name.Name, t.Fields)
		case *ast.InterfaceType:
			r.exportedFields(spec.Name.Name, t.Methods)
		}
		return true
	}
	return false
}

// exportedFields checks the fields of a struct or the methods of an interface,
// those of a struct in a struct too. One comment may stand for the names of
// one line.
func (r *report) exportedFields(owner string, list *ast.FieldList) {
	for _, field := range list.List {
		for _, name := range field.Names {
			if !name.IsExported() {
				continue
			}
			if field.Doc == nil && field.Comment == nil {
				r.at(name.Pos(), mendDoc, "%s.%s has no documentation", owner, name.Name)
			}
			if inner, ok := field.Type.(*ast.StructType); ok {
				r.exportedFields(owner+"."+name.Name, inner.Fields)
			}
		}
	}
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func lines(src []byte) int { return bytes.Count(src, []byte("\n")) }
