package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Golden is the file that holds the exported API of the project.
const Golden = "internal/archtest/testdata/api.txt"

// CheckAPI compares the exported API with the golden file.
func CheckAPI(t *Tree) []Fault {
	r := &report{tree: t, rule: "api"}
	const mend = "if the change is meant: go test ./internal/archtest -update, and a line in CHANGELOG.md"
	want := strings.Split(strings.TrimSpace(string(t.Files[Golden])), "\n")
	got := strings.Split(strings.TrimSpace(API(t)), "\n")
	for i, line := range want {
		if _, found := slices.BinarySearch(got, line); !found && line != "" {
			r.line(Golden, i+1, mend, "no longer exported: %s", line)
		}
	}
	slices.Sort(want)
	for _, line := range got {
		if _, found := slices.BinarySearch(want, line); !found && line != "" {
			r.line(Golden, 0, mend, "new: %s", line)
		}
	}
	return r.sorted()
}

// API returns one sorted line for each exported name of the packages that
// others can import, in the manner of Go's own api folder. A name that some
// builds lack is followed by the builds that have it.
func API(t *Tree) string {
	have := map[string][]string{} // Line to configs.
	builds := map[string]int{}    // Package to number of configs it has files in.
	for _, p := range t.Packages {
		if !p.public() || p.place.kind == bench {
			continue
		}
		for _, c := range Configs() {
			files := p.in(c, false)
			if len(files) == 0 {
				continue
			}
			builds[p.Dir]++
			for _, line := range apiOf(t.types().check(p, files)) {
				have[line] = append(have[line], c.String())
			}
		}
	}
	var out []string
	for line, configs := range have {
		dir := strings.TrimPrefix(line[:strings.Index(line, ",")], "pkg ")
		if len(configs) < builds[dir] {
			line += " (" + strings.Join(configs, " ") + ")"
		}
		out = append(out, line+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// apiOf returns the lines of one build of a package.
func apiOf(b typed) []string {
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, "pkg "+b.Dir+", "+fmt.Sprintf(format, args...))
	}
	for _, f := range b.files {
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				switch {
				case !d.Name.IsExported() || d.Recv != nil && !ast.IsExported(receiver(d)):
				case d.Recv == nil:
					add("func %s%s%s", d.Name.Name, typeParams(d.Type.TypeParams), signature(d.Type))
				default:
					add("method (%s) %s%s", types.ExprString(d.Recv.List[0].Type), d.Name.Name, signature(d.Type))
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						apiOfType(add, spec)
					case *ast.ValueSpec:
						apiOfValues(add, b, d.Tok, spec)
					}
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines) // Compact: the same name may be in files for two builds.
}

func apiOfValues(add func(string, ...any), b typed, tok token.Token, spec *ast.ValueSpec) {
	for _, name := range spec.Names {
		if !name.IsExported() {
			continue
		}
		line := tok.String() + " " + name.Name
		if c, ok := b.info.Defs[name].(*types.Const); ok && c.Val().Kind() != constant.Unknown {
			line += " " + types.TypeString(c.Type(), types.RelativeTo(b.types)) + " = " + c.Val().ExactString()
		} else if spec.Type != nil {
			line += " " + types.ExprString(spec.Type)
		}
		add("%s", line)
	}
}

func apiOfType(add func(string, ...any), spec *ast.TypeSpec) {
	if !spec.Name.IsExported() {
		return
	}
	name := spec.Name.Name
	head := "type " + name + typeParams(spec.TypeParams)
	if spec.Assign != token.NoPos {
		add("%s = %s", head, types.ExprString(spec.Type))
		return
	}
	switch t := spec.Type.(type) {
	case *ast.StructType:
		add("%s struct", head)
		for _, field := range t.Fields.List {
			for _, n := range field.Names {
				if n.IsExported() {
					add("type %s struct, %s %s", name, n.Name, types.ExprString(field.Type))
				}
			}
			if len(field.Names) == 0 {
				add("type %s struct, embedded %s", name, types.ExprString(field.Type))
			}
		}
	case *ast.InterfaceType:
		add("%s interface", head)
		for _, method := range t.Methods.List {
			switch f, ok := method.Type.(*ast.FuncType); {
			case !ok:
				add("type %s interface, embedded %s", name, types.ExprString(method.Type))
			case method.Names[0].IsExported():
				add("type %s interface, %s%s", name, method.Names[0].Name, signature(f))
			default:
				add("type %s interface, unexported methods", name)
			}
		}
	default:
		add("%s %s", head, types.ExprString(t))
	}
}

// signature returns the types of parameters and results without their names.
func signature(f *ast.FuncType) string {
	s := "(" + strings.Join(fieldTypes(f.Params), ", ") + ")"
	switch results := fieldTypes(f.Results); len(results) {
	case 0:
		return s
	case 1:
		return s + " " + results[0]
	default:
		return s + " (" + strings.Join(results, ", ") + ")"
	}
}

func fieldTypes(list *ast.FieldList) []string {
	var all []string
	if list != nil {
		for _, field := range list.List {
			for range max(1, len(field.Names)) {
				all = append(all, types.ExprString(field.Type))
			}
		}
	}
	return all
}

func typeParams(list *ast.FieldList) string {
	if list == nil {
		return ""
	}
	var all []string
	for _, field := range list.List {
		for _, name := range field.Names {
			all = append(all, name.Name+" "+types.ExprString(field.Type))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}
