package resource

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxLevels bounds the levels of a cgroup that are read, from the leaf up.
const maxLevels = 64

// The kinds of cgroup hierarchy, as in Cgroup.Version.
const (
	versionNone   = 0
	version1      = 1
	version2      = 2
	versionHybrid = 3
)

// group is where the files of a controller lie. The zero value: nowhere.
type group struct {
	v1          bool
	dirs        []string // of its levels, from the leaf up to the mount point
	approximate bool     // the leaf is a guess, or not all levels are there
}

// layout says where the files of each controller of a process lie.
type layout struct {
	version                     int
	cpu, cpuacct, memory, blkio group
	unified                     group // v2, for what no v1 controller has: pressure
}

// membership is a line of /proc/self/cgroup.
type membership struct {
	v2          bool
	controllers string // of v1, separated by commas
	path        string // within the hierarchy
}

// mount is a line of /proc/self/mountinfo that mounts a cgroup hierarchy.
type mount struct {
	v2      bool
	root    string // the directory of the hierarchy that is mounted
	point   string // where
	options string // of the super block; in v1 they name the controllers
}

// resolve finds the files of a process in its /proc/self/cgroup and
// /proc/self/mountinfo.
func resolve(cgroup, mountinfo []byte) layout {
	var l layout
	members, mounts := parseMemberships(cgroup), parseMounts(mountinfo)
	for _, m := range members {
		if m.v2 {
			l.unified = locate(m.path, mounts, func(t mount) bool { return t.v2 })
		}
	}
	v1 := false
	of := func(controller string) group {
		for _, m := range members {
			if m.v2 || !named(m.controllers, controller) {
				continue
			}
			g := locate(m.path, mounts, func(t mount) bool { return !t.v2 && named(t.options, controller) })
			if g.dirs != nil {
				g.v1, v1 = true, true
				return g
			}
		}
		return l.unified
	}
	l.cpu, l.cpuacct, l.memory, l.blkio = of("cpu"), of("cpuacct"), of("memory"), of("blkio")
	switch v2 := l.unified.dirs != nil; {
	case v1 && v2:
		l.version = versionHybrid
	case v1:
		l.version = version1
	case v2:
		l.version = version2
	}
	return l
}

// named tells whether a list separated by commas has a word.
func named(list, word string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if s == word {
			return true
		}
	}
	return false
}

// parseMemberships reads lines "ID:CONTROLLERS:PATH". A path may hold colons.
func parseMemberships(b []byte) []membership {
	var all []membership
	for line := range bytes.Lines(b) {
		part := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(part) < 3 || !strings.HasPrefix(part[2], "/") {
			continue
		}
		all = append(all, membership{v2: part[0] == "0" && part[1] == "", controllers: part[1], path: part[2]})
	}
	return all
}

func parseMounts(b []byte) []mount {
	var all []mount
	for line := range bytes.Lines(b) {
		if m, ok := parseMount(string(line)); ok {
			all = append(all, m)
		}
	}
	return all
}

// parseMount reads a line
//
//	ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPEROPTIONS
//
// Lines of other types than cgroup and cgroup2, and lines it does not understand,
// are none.
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
	if !ok {
		return mount{}, false
	}
	// Super options may hold spaces on WSL.
	tail := strings.SplitN(after, " ", 3)
	if len(tail) < 3 || tail[0] != "cgroup" && tail[0] != "cgroup2" {
		return mount{}, false
	}
	field := strings.Split(before, " ")
	if len(field) < 6 {
		return mount{}, false
	}
	m := mount{v2: tail[0] == "cgroup2", root: unescape(field[3]), point: unescape(field[4]), options: tail[2]}
	return m, strings.HasPrefix(m.root, "/") && strings.HasPrefix(m.point, "/")
}

// unescape undoes the octal escapes of a path, such as \040 for a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(c))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// locate finds the directories of a cgroup path: those from its leaf up to the mount
// point of the mount that shows the most of its ancestors. Of two that show as many
// it takes the later one, which may hide the other. If none shows the leaf, as in
// some private namespaces, the mount point stands for it.
func locate(cgroup string, mounts []mount, wanted func(mount) bool) group {
	var best mount
	var below []string
	found, shown := false, false
	for _, m := range mounts {
		if !wanted(m) {
			continue
		}
		rest, ok := relative(cgroup, m.root)
		if !ok && shown {
			continue
		}
		if ok && shown && len(rest) < len(below) {
			continue
		}
		best, below, found, shown = m, rest, true, ok
	}
	if !found {
		return group{}
	}
	g := group{approximate: !shown}
	dir := path.Clean(best.point)
	g.dirs = append(g.dirs, dir)
	for _, name := range below {
		dir = path.Join(dir, name)
		g.dirs = append(g.dirs, dir)
	}
	slices.Reverse(g.dirs)
	if len(g.dirs) > maxLevels {
		g.dirs, g.approximate = g.dirs[:maxLevels], true
	}
	return g
}

// relative is a cgroup path without the root that is mounted, by component. ok is
// false where root is no ancestor of it, or the rest leads out of the mount.
func relative(cgroup, root string) (rest []string, ok bool) {
	rest, above := components(cgroup), components(root)
	if len(above) > len(rest) || !slices.Equal(rest[:len(above)], above) {
		return nil, false
	}
	rest = rest[len(above):]
	if slices.Contains(rest, "..") {
		return nil, false
	}
	return rest, true
}

func components(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}
