package archtest

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Go file over maxLines lines is a fault; the house aims at 400.
const maxLines = 500

// marks are the words that stand for unfinished work. They are put together
// here so that this file is clean itself.
var marks = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + "ME|X" + `XX)\b`)

// textFiles are the endings and names of files that people write.
var textFiles = []string{".go", ".md", ".mod", ".sh", ".yml", ".yaml", ".js", ".css", ".html", ".proto", "Makefile", "run"}

// CheckFiles checks that no Go file is too long and that no file carries a
// mark of unfinished work. Generated files and testdata are left out.
func CheckFiles(t *Tree) []Fault {
	r := &report{tree: t, rule: "files"}
	generated := map[string]bool{}
	for _, p := range t.Packages {
		for _, f := range p.Files {
			generated[f.Name] = f.Generated
		}
	}
	for name, src := range t.Files {
		if inTestdata(name) || generated[name] {
			continue
		}
		if n := lines(src); strings.HasSuffix(name, ".go") && n > maxLines {
			r.line(name, n, "split it by idea", "%d lines, over %d", n, maxLines)
		}
		if !slices.Contains(textFiles, path.Ext(name)) && !slices.Contains(textFiles, path.Base(name)) {
			continue
		}
		for i, line := range strings.Split(string(src), "\n") {
			if word := marks.FindString(line); word != "" {
				r.line(name, i+1, "do it, or say what is missing under Limitations", "unfinished: %s", word)
			}
		}
	}
	return r.sorted()
}
