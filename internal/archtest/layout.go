package archtest

import (
	"slices"
	"strings"
)

// A kind says which line of the import rules a folder is under.
type kind int

const (
	root     kind = iota // The map: imports nothing.
	part                 // A package of the six, or a sub-package of one.
	adapter              // Joins its own package to a foreign system.
	suite                // A conformance suite: imported by tests only.
	inner                // Below internal/.
	example              // Below examples/: may import everything.
	bench                // internal/bench and internal/e2e: likewise.
	stranger             // On no line of the page.
)

// A place is where a folder stands in the layout.
type place struct {
	kind   kind
	dir    string
	top    string // One of the six, where kind is part, adapter or suite.
	own    string // Folder of the package that an adapter or a suite belongs to.
	self   string // Folder of the adapter or suite itself.
	suffix string // What an adapter's name adds to that of its package.
}

// tops are the packages that do not know each other.
var tops = []string{"observe", "rollout", "scheduler", "autoscale", "gpu", "health"}

// engines are the adapters whose name is that of the engine they drive.
var engines = []string{"scheduler/jobs/slurm", "scheduler/jobs/mesos", "scheduler/jobs/kubernetes"}

// client is what the Prometheus client brings.
var client = []string{
	"github.com/prometheus/client_golang",
	"github.com/prometheus/client_model",
	"github.com/prometheus/common",
	"google.golang.org/protobuf",
}

// externals are the modules that an adapter of the root module may import,
// by what its name adds to that of its package. An adapter with a go.mod of
// its own may import what that file requires.
var externals = map[string][]string{
	"prom": client,
	"live": client,
	"otel": {
		"go.opentelemetry.io/otel",
		"go.opentelemetry.io/otel/metric",
		"go.opentelemetry.io/otel/trace",
	},
	"nvml": {"github.com/NVIDIA/go-nvml"},
}

// exceptions are the modules that a package which is no adapter may import.
var exceptions = map[string][]string{
	"rollout": {"github.com/cespare/xxhash/v2"}, // The hash that assigns keys to versions.
}

// placeOf classifies a folder by its name alone.
func placeOf(dir string) place {
	p := place{kind: stranger, dir: dir}
	elements := strings.Split(dir, "/")
	switch {
	case dir == "":
		p.kind = root
	case within(dir, "examples"):
		p.kind = example
	case within(dir, "internal/bench"), within(dir, "internal/e2e"):
		p.kind = bench
	case within(dir, "internal"):
		p.kind = inner
	case slices.Contains(tops, elements[0]):
		p.kind, p.top = part, elements[0]
		for i := 1; i < len(elements); i++ {
			suffix, repeats := strings.CutPrefix(elements[i], elements[i-1])
			self := strings.Join(elements[:i+1], "/")
			if repeats && suffix != "" || slices.Contains(engines, self) {
				p.kind, p.own, p.self, p.suffix = adapter, strings.Join(elements[:i], "/"), self, suffix
				break
			}
		}
		if p.suffix == "test" {
			p.kind = suite
		}
	}
	return p
}

// testsOnly reports whether nothing but tests may import the folder: a suite,
// or a helper below internal whose name ends in test.
func (p place) testsOnly() bool {
	return p.kind == suite || p.kind == inner && strings.HasSuffix(p.dir, "test")
}

// targetOf returns the folder that an import path names. ok is false for a
// path outside the project.
func targetOf(importPath string) (dir string, ok bool) {
	if importPath == Root {
		return "", true
	}
	return strings.CutPrefix(importPath, Root+"/")
}

// standard reports whether an import path is of the standard library.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// covered reports whether an import path is in one of the modules.
func covered(importPath string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return within(importPath, m) })
}
