package archtest

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	inlineLink  = regexp.MustCompile(`\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)`)
	definedLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s+"[^"]*")?\s*$`)
	htmlLink    = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	htmlAnchor  = regexp.MustCompile(`<[^>]+(?:id|name)="([^"]+)"`)
	codeSpan    = regexp.MustCompile("`+[^`]*`+")
	heading     = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText    = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	scheme      = regexp.MustCompile(`^(https?|mailto):`)
	machinePath = regexp.MustCompile(`file://|/(?:home|Users)/[a-z][\w.-]*/|(?:^|[\s"'(=])/root/|[A-Z]:\\Users\\`)
)

// CheckLinks checks that the relative links of Markdown files name files or
// folders of the project, that anchors name headings, and that no path of
// somebody's machine is in them. Links to other sites are not followed.
func CheckLinks(t *Tree) []Fault {
	r := &report{tree: t, rule: "links"}
	folders := map[string]bool{"": true, ".": true}
	for name := range t.Files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for _, name := range t.names(".md") {
		for _, l := range markdown(t.Files[name]) {
			if machinePath.MatchString(l.text) {
				r.line(name, l.number, "write a path from the root of the project", "a path of one machine: %s", strings.TrimSpace(l.text))
			}
			if l.code {
				continue
			}
			for _, target := range linksOf(l.text) {
				if what := r.broken(name, target, folders); what != "" {
					r.line(name, l.number, "correct the link, or add what it names", "link %s: %s", target, what)
				}
			}
		}
	}
	return r.sorted()
}

// A markdownLine is one line, whether it is of a fenced block, and whether it
// opens or closes one.
type markdownLine struct {
	number int
	text   string
	code   bool
	fence  bool
}

func markdown(src []byte) []markdownLine {
	var all []markdownLine
	fence := ""
	for i, text := range strings.Split(string(src), "\n") {
		l := markdownLine{number: i + 1, text: text, code: fence != ""}
		trimmed := strings.TrimSpace(text)
		if mark := fenceOf(trimmed); mark != "" {
			switch {
			case fence == "":
				fence, l.code, l.fence = mark, true, true
			case strings.HasPrefix(mark, fence) && mark == trimmed:
				fence, l.fence = "", true
			}
		}
		all = append(all, l)
	}
	return all
}

// fenceOf returns the run of backquotes or tildes that opens or closes a
// fenced block, or "".
func fenceOf(trimmed string) string {
	for _, c := range []string{"`", "~"} {
		run := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, c))]
		if len(run) >= 3 && !strings.Contains(trimmed[len(run):], "`") {
			return run
		}
	}
	return ""
}

func linksOf(text string) []string {
	text = codeSpan.ReplaceAllString(text, "")
	var all []string
	for _, re := range []*regexp.Regexp{inlineLink, definedLink, htmlLink} {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// broken says what is wrong with a link of a file, or "".
func (r *report) broken(file, link string, folders map[string]bool) string {
	if scheme.MatchString(link) {
		return ""
	}
	if strings.HasPrefix(link, "/") || strings.HasPrefix(link, "file:") {
		return "it is absolute"
	}
	name, anchor, _ := strings.Cut(link, "#")
	name, err := url.PathUnescape(name)
	if err != nil {
		return err.Error()
	}
	target := file
	if name != "" {
		target = path.Join(path.Dir(file), name)
	}
	src, isFile := r.tree.Files[target]
	switch {
	case strings.HasPrefix(target, "../"):
		return "it leaves the project"
	case !isFile && !folders[target]:
		return "no file or folder " + target
	case anchor != "" && strings.HasSuffix(target, ".md") && !anchors(src)[anchor]:
		return fmt.Sprintf("no heading #%s in %s", anchor, target)
	}
	return ""
}

// anchors returns the anchors of a Markdown file, as GitHub makes them.
func anchors(src []byte) map[string]bool {
	all := map[string]bool{}
	for _, l := range markdown(src) {
		if l.code {
			continue
		}
		for _, m := range htmlAnchor.FindAllStringSubmatch(l.text, -1) {
			all[m[1]] = true
		}
		m := heading.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		first := slug(m[1])
		for id, n := first, 1; ; id, n = fmt.Sprintf("%s-%d", first, n), n+1 {
			if !all[id] {
				all[id] = true
				break
			}
		}
	}
	return all
}

// slug keeps letters, digits, - and _ of a heading, in lower case, and turns
// spaces to -.
func slug(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-', c == '_', unicode.IsLetter(c), unicode.IsDigit(c):
			return unicode.ToLower(c)
		}
		return -1
	}, text)
}
