package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// CheckState checks that no production code has an init function or a
// package-level variable that changes.
//
// A variable changes when any file of the tree, tests too, does one of these
// to it, to a field of it or to an element of it: assigns to it, counts it up
// or down, takes its address (also by slicing an array, unless a function that
// is known to only read gets the slice, or by a method with a pointer
// receiver), or hands it to delete, clear, copy, close, or a function of sort,
// slices or maps that works in place.
//
// A variable is also at fault when its type can only be there to change: a
// channel, something of sync or sync/atomic or a struct that holds one, or a
// pointer. Pointers to values that never change (regexp.Regexp and the like)
// and pointers that are errors are allowed, and so is sync.Pool: a cache that
// holds nothing a caller can observe. Not seen: a write through a copy of a
// map, a slice or a pointer.
//
// internal/bench and internal/e2e, which are tests as a whole, and generated
// files are left out.
func CheckState(t *Tree) []Fault {
	s := &stateRule{report: report{tree: t, rule: "state"}, vars: map[string]variable{}, seen: map[token.Pos]bool{}}
	var all []typed
	for _, p := range t.Packages {
		if p.place.kind == bench {
			continue
		}
		for _, b := range t.types().builds(p, true) {
			s.declared(b)
			all = append(all, b)
		}
		all = append(all, t.types().external(p))
	}
	for _, b := range all {
		for _, f := range b.files {
			s.written(b, f)
		}
	}
	return s.sorted()
}

const mendState = "keep it in a struct that New returns, or make it a table that nothing writes"

type variable struct {
	pos  token.Pos
	name string
	pool bool
}

type stateRule struct {
	report
	vars map[string]variable // By import path and name.
	seen map[token.Pos]bool
}

// declared notes the package-level variables of production files, and checks
// what their types tell.
func (s *stateRule) declared(b typed) {
	for _, f := range b.files {
		if f.Test || f.Generated {
			continue
		}
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				s.at(fn.Pos(), "call it from New, or make it the value of a variable that nothing writes", "init function")
			}
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					v, ok := b.info.Defs[name].(*types.Var)
					if !ok || name.Name == "_" {
						continue
					}
					s.vars[key(v)] = variable{name.Pos(), name.Name, typeName(v.Type()) == "sync.Pool"}
					if why := changing(v.Type(), nil); why != "" {
						s.at(name.Pos(), mendState, "package-level variable %s: %s", name.Name, why)
					}
				}
			}
		}
	}
}

// written looks for writes to package-level variables in a file.
func (s *stateRule) written(b typed, f *File) {
	read := map[ast.Expr]bool{} // Slices of arrays that are only read.
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok != token.DEFINE {
					s.write(b, left, "is assigned")
				}
			}
		case *ast.IncDecStmt:
			s.write(b, n.X, "is counted")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				s.write(b, n.Key, "is assigned")
				s.write(b, n.Value, "is assigned")
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				s.write(b, n.X, "has its address taken")
			}
		case *ast.SliceExpr:
			if _, array := typeOf(b, n.X).(*types.Array); array && !read[n] {
				s.write(b, n.X, "has its address taken by slicing")
			}
		case *ast.SelectorExpr:
			if pointerMethod(b, n) {
				s.write(b, n.X, "has a method with a pointer receiver called")
			}
		case *ast.CallExpr:
			if name := inPlace(b, n); name != "" {
				s.write(b, n.Args[0], "is handed to "+name)
			}
			if name := callee(b, n); name == "append" || name == "copy" {
				read[n.Args[1]] = true
			} else if slices.Contains(readers, name) {
				read[n.Args[0]] = true
			}
		}
		return true
	})
}

// write reports a variable of which e is a part, if there is one.
func (s *stateRule) write(b typed, e ast.Expr, how string) {
	v := packageVar(b, e)
	if v == nil {
		return
	}
	declared, ok := s.vars[key(v)]
	if !ok || declared.pool || s.seen[declared.pos] {
		return
	}
	s.seen[declared.pos] = true // One place to look at is enough.
	place := s.tree.Fset.Position(e.Pos())
	s.at(declared.pos, mendState, "package-level variable %s %s at %s:%d", declared.name, how, place.Filename, place.Line)
}

// packageVar returns the package-level variable that e is a part of, or nil.
func packageVar(b typed, e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.TypeAssertExpr:
			e = x.X
		case *ast.SelectorExpr:
			if v := global(b.info.Uses[x.Sel]); v != nil {
				return v
			}
			e = x.X
		case *ast.Ident:
			return global(b.info.Uses[x])
		default:
			return nil
		}
	}
}

func global(o types.Object) *types.Var {
	v, ok := o.(*types.Var)
	if !ok || v.IsField() || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
		return nil
	}
	return v
}

func key(v *types.Var) string { return v.Pkg().Path() + "." + v.Name() }

func typeOf(b typed, e ast.Expr) types.Type {
	if t := b.info.TypeOf(e); t != nil {
		return t.Underlying()
	}
	return nil
}

// pointerMethod reports whether a selector takes the address of its operand to
// call a method.
func pointerMethod(b typed, e *ast.SelectorExpr) bool {
	selection := b.info.Selections[e]
	if selection == nil || selection.Kind() != types.MethodVal {
		return false
	}
	receiver := selection.Obj().(*types.Func).Signature().Recv()
	_, byPointer := receiver.Type().Underlying().(*types.Pointer)
	_, isPointer := selection.Recv().Underlying().(*types.Pointer)
	return byPointer && !isPointer
}

// inPlace returns the name of the called function if it writes to its first
// argument, else "".
func inPlace(b typed, call *ast.CallExpr) string {
	name := callee(b, call)
	switch {
	case slices.Contains([]string{"delete", "clear", "copy", "close"}, name):
		return name
	case strings.HasPrefix(name, "sort.Search"), strings.HasPrefix(name, "slices.Sorted"):
		return ""
	}
	for _, prefix := range []string{"sort.S", "slices.Sort", "slices.Reverse", "maps.Copy", "maps.DeleteFunc", "maps.Insert"} {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}

// readers are functions that only read their first argument.
var readers = []string{
	"slices.All", "slices.BinarySearch", "slices.BinarySearchFunc", "slices.Clone", "slices.Contains", "slices.ContainsFunc",
	"slices.Equal", "slices.Index", "slices.IndexFunc", "slices.Values", "strings.Join",
}

// callee returns the name of a called builtin, the package path and name of a
// called function of a package, or "".
func callee(b typed, call *ast.CallExpr) string {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	switch f := fun.(type) {
	case *ast.Ident:
		if _, builtin := b.info.Uses[f].(*types.Builtin); builtin && len(call.Args) > 0 {
			if (f.Name == "append" || f.Name == "copy") && len(call.Args) < 2 {
				return ""
			}
			return f.Name
		}
	case *ast.SelectorExpr:
		if o := b.info.Uses[f.Sel]; o != nil && o.Pkg() != nil && len(call.Args) > 0 {
			return o.Pkg().Path() + "." + o.Name()
		}
	}
	return ""
}

// fixed are the types whose values do not change, so that a pointer to one may
// be kept.
var fixed = []string{
	"regexp.Regexp", "strings.Replacer", "text/template.Template", "html/template.Template",
	"time.Location", "log/slog.Logger", "hash/crc32.Table", "hash/crc64.Table", "encoding/base64.Encoding", "encoding/base32.Encoding",
}

// changing says why values of a type can only be there to change, or "".
func changing(t types.Type, seen []types.Type) string {
	name := typeName(t)
	switch {
	case slices.Contains(seen, t), name == "sync.Pool":
		return ""
	case strings.HasPrefix(name, "sync.") && name != "sync.Locker", strings.HasPrefix(name, "sync/atomic."):
		return "a " + name + " is state"
	}
	switch u := t.Underlying().(type) {
	case *types.Chan:
		return "a channel is state"
	case *types.Pointer:
		errorType := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
		if !types.Implements(t, errorType) && !slices.Contains(fixed, typeName(u.Elem())) {
			return "what it points to can change"
		}
	case *types.Struct:
		for field := range u.Fields() {
			if _, pointer := field.Type().Underlying().(*types.Pointer); pointer {
				continue // A table may point to its parts; writes to them are looked for.
			}
			if why := changing(field.Type(), append(seen, t)); why != "" {
				return "its field " + field.Name() + ": " + why
			}
		}
	case *types.Array:
		return changing(u.Elem(), append(seen, t))
	}
	return ""
}

// typeName returns the package path and name of a named type, or "".
func typeName(t types.Type) string {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return ""
	}
	return named.Obj().Pkg().Path() + "." + named.Obj().Name()
}
