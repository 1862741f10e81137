package dashboards

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// YAML returns the rules as Prometheus reads them from a file. Their order is that of
// the groups, and of the alphabet for labels and annotations.
func (r Rules) YAML() []byte {
	if len(r) == 0 {
		return []byte("groups: []\n")
	}
	var b strings.Builder
	b.WriteString("groups:\n")
	for _, g := range r {
		fmt.Fprintf(&b, "- name: %s\n", plain(g.Name))
		if g.Interval > 0 {
			fmt.Fprintf(&b, "  interval: %s\n", duration(g.Interval))
		}
		if len(g.Rules) == 0 {
			b.WriteString("  rules: []\n")
			continue
		}
		b.WriteString("  rules:\n")
		for _, rule := range g.Rules {
			rule.write(&b)
		}
	}
	return []byte(b.String())
}

func (r Rule) write(b *strings.Builder) {
	if r.Record != "" {
		fmt.Fprintf(b, "  - record: %s\n", plain(r.Record))
	} else {
		fmt.Fprintf(b, "  - alert: %s\n", plain(r.Alert))
	}
	fmt.Fprintf(b, "    expr: %s\n", block(r.Expr, "      "))
	if r.For > 0 {
		fmt.Fprintf(b, "    for: %s\n", duration(r.For))
	}
	for _, m := range []struct {
		name   string
		values map[string]string
	}{{"labels", r.Labels}, {"annotations", r.Annotations}} {
		if len(m.values) == 0 {
			continue
		}
		fmt.Fprintf(b, "    %s:\n", m.name)
		for _, k := range slices.Sorted(maps.Keys(m.values)) {
			fmt.Fprintf(b, "      %s: %s\n", plain(k), quote(m.values[k]))
		}
	}
}

// block writes a text of plain lines as a literal block, which people can read, and
// any other in quotes.
func block(s, indent string) string {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimRight(line, " ") != line || line == "" {
			return quote(s)
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				return quote(s)
			}
		}
	}
	if strings.HasPrefix(s, " ") {
		return quote(s)
	}
	return "|-\n" + indent + strings.ReplaceAll(s, "\n", "\n"+indent)
}

var plainWord = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_:-]*[a-zA-Z0-9]$`)

// plain writes a name without quotes if no reader could take it for something else.
func plain(name string) string {
	if plainWord.MatchString(name) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(name)) {
		return name
	}
	return quote(name)
}

// quote writes a string in double quotes, as YAML and PromQL both read it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, string(utf8.RuneError)) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r >= 0x7f && r <= 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// duration writes a duration as Prometheus does, to the millisecond: 1h30m, 3d.
func duration(d time.Duration) string {
	var b strings.Builder
	for _, u := range []struct {
		name string
		long time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / u.long; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.long
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}
