package archtest

import (
	"fmt"
	"go/ast"
	"go/doc"
	"regexp"
	"strings"
)

// exampleMark is the comment that ties a fenced block to an Example:
//
//	<!-- example: observe/observeprom.ExampleNewServing -->
//	<!-- example: observe/observeprom.ExampleNewServing output -->
//
// The first block is the body of the function, without its // Output: comment;
// the second is what the function prints. calm.Example is in the root folder.
var exampleMark = regexp.MustCompile(`^<!-- example: ([\w/.-]+)\.(Example\w*)( output)? -->$`)

// A snippet is a fenced block of a Markdown file that shows an Example.
type snippet struct {
	line       int // Of the opening fence.
	start, end int // Indices of the first line and past the last line between the fences.
	got, want  string
	fault      string
}

// CheckSnippets checks that every fenced block of Go in a Markdown file is
// tied to an Example, and equals it.
func CheckSnippets(t *Tree) []Fault {
	r := &report{tree: t, rule: "snippets"}
	for _, name := range t.names(".md") {
		for _, s := range t.snippets(name) {
			switch {
			case s.fault != "":
				r.line(name, s.line, "write <!-- example: folder.ExampleName --> on the line before the block", "%s", s.fault)
			case s.got != s.want:
				r.line(name, s.line, "go test ./internal/archtest -update", "the block is not the Example; it should read:\n%s", s.want)
			}
		}
	}
	return r.sorted()
}

// UpdateSnippets returns a Markdown file with its blocks as the Examples are.
func UpdateSnippets(t *Tree, name string) []byte {
	lines := strings.Split(string(t.Files[name]), "\n")
	var out []string
	from := 0
	for _, s := range t.snippets(name) {
		if s.fault == "" {
			out = append(out, lines[from:s.start]...)
			out = append(out, strings.Split(s.want, "\n")...)
			from = s.end
		}
	}
	return []byte(strings.Join(append(out, lines[from:]...), "\n"))
}

// snippets returns the blocks of a Markdown file that are Go or that carry an
// example mark.
func (t *Tree) snippets(name string) []snippet {
	all := markdown(t.Files[name])
	var found []snippet
	mark := "" // The mark on the line before.
	for i := 0; i < len(all); i++ {
		text := strings.TrimSpace(all[i].text)
		if !all[i].code {
			if mark != "" {
				found = append(found, snippet{line: i, fault: "an example mark that no fenced block follows"})
			}
			mark = ""
			if strings.HasPrefix(text, "<!-- example:") {
				mark = text
			}
			continue
		}
		s := snippet{line: all[i].number, start: i + 1}
		for i++; i < len(all) && !all[i].fence; i++ {
		}
		s.end = min(i, len(all))
		isGo := strings.HasPrefix(strings.TrimLeft(text, "`~"), "go") && len(strings.Fields(text)) == 1
		if mark != "" || isGo {
			var body []string
			for _, l := range all[s.start:s.end] {
				body = append(body, l.text)
			}
			s.got = strings.Join(body, "\n")
			s.want, s.fault = t.example(mark)
			found = append(found, s)
		}
		mark = ""
	}
	return found
}

// example returns the text that a mark stands for, or what is wrong with it.
func (t *Tree) example(mark string) (text, fault string) {
	if mark == "" {
		return "", "a block of Go that is tied to no Example"
	}
	m := exampleMark.FindStringSubmatch(mark)
	if m == nil {
		return "", "a mark that reads neither <!-- example: folder.ExampleName --> nor <!-- example: folder.ExampleName output -->"
	}
	dir, name, output := m[1], m[2], m[3] != ""
	p := t.pkg(dir)
	if dir == "calm" {
		p = t.pkg("")
	}
	if p == nil {
		return "", fmt.Sprintf("no package in folder %s", dir)
	}
	for _, f := range p.Files {
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !f.Test || fn.Recv != nil || fn.Name.Name != name {
				continue
			}
			if !output {
				return t.body(f, fn), ""
			}
			for _, e := range doc.Examples(f.AST) {
				if "Example"+e.Name == name && e.Output != "" {
					return strings.TrimRight(e.Output, "\n"), ""
				}
			}
			return "", name + " has no // Output:"
		}
	}
	return "", fmt.Sprintf("no function %s in the tests of %s", name, dir)
}

var outputComment = regexp.MustCompile(`(?i)^//\s*(unordered )?output:`)

// body returns the source of a function between its braces, one tab less
// indented and without its output comment.
func (t *Tree) body(f *File, fn *ast.FuncDecl) string {
	start := t.Fset.Position(fn.Body.Lbrace).Offset + 1
	end := t.Fset.Position(fn.Body.Rbrace).Offset
	for _, c := range f.AST.Comments {
		if c.Pos() > fn.Body.Lbrace && c.End() < fn.Body.Rbrace && outputComment.MatchString(c.List[0].Text) {
			end = t.Fset.Position(c.Pos()).Offset
		}
	}
	lines := strings.Split(strings.Trim(string(f.Src[start:end]), "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "\t")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n\t ")
}
