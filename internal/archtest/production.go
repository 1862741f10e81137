package archtest

import (
	"go/ast"
	"slices"
	"strings"
)

// testing packages stay out of production code. An entry covers what is below it.
var testingPackages = []string{
	"testing",
	"net/http/httptest",
	"github.com/stretchr/testify",
	"github.com/prometheus/client_golang/prometheus/testutil",
	"go.opentelemetry.io/otel/sdk",
	"go.uber.org/goleak",
}

// defaults are names of what a whole process shares. A library that uses one
// decides for the program that it is a part of. A name that ends in a star
// stands for all names with that beginning.
var defaults = map[string][]string{
	"log": {"Default", "Fatal*", "Flags", "Output", "Panic*", "Prefix", "Print*", "SetFlags", "SetOutput", "SetPrefix", "Writer"},
	"log/slog": {
		"Debug*", "Default", "Error", "ErrorContext", "Info", "InfoContext", "Log", "LogAttrs", "SetDefault", "SetLogLoggerLevel", "Warn*", "With",
	},
	"fmt":      {"Print*", "Scan", "Scanf", "Scanln"},
	"os":       {"Exit"},
	"flag":     {"Bool*", "Duration*", "Float64*", "Func", "Int*", "Parse", "String*", "TextVar", "Uint*", "Var", "CommandLine"},
	"net/http": {"DefaultServeMux", "Handle", "HandleFunc"},
	"expvar":   {"Publish", "New*"},
	"github.com/prometheus/client_golang/prometheus": {
		"DefaultGatherer", "DefaultRegisterer", "MustRegister", "Register", "Unregister",
	},
	"github.com/prometheus/client_golang/prometheus/promauto": {"New*"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"Handler"},
	"go.opentelemetry.io/otel":                                {"GetMeterProvider", "GetTracerProvider", "Meter", "SetMeterProvider", "SetTracerProvider", "Tracer"},
}

// CheckProduction checks that production code imports no testing package
// (suites and other helpers of tests excepted), and that packages other than
// main use nothing that a whole process shares. internal/bench and
// internal/e2e, which are tests as a whole, are left out.
func CheckProduction(t *Tree) []Fault {
	r := &report{tree: t, rule: "production"}
	for _, p := range t.Packages {
		if p.place.kind == bench {
			continue
		}
		for _, f := range p.production() {
			for _, spec := range f.AST.Imports {
				if path := importPath(spec); !p.place.testsOnly() && covered(path, testingPackages) {
					r.at(spec.Pos(), "move the code that needs it to a _test.go file", "production code imports %s", path)
				}
			}
			if p.Name != "main" {
				r.shared(f)
			}
		}
	}
	return r.sorted()
}

// shared reports the uses of what a whole process shares.
func (r *report) shared(f *File) {
	imported := map[string]string{}
	for _, spec := range f.AST.Imports {
		path := importPath(spec)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = path
		if spec.Name != nil && spec.Name.Name == "." {
			r.at(spec.Pos(), "import it by its name", "dot import of %s", path)
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && slices.ContainsFunc(defaults[imported[x.Name]], func(p string) bool { return matches(p, n.Sel.Name) }) {
				r.at(n.Pos(), "take a *slog.Logger, an io.Writer, a Registerer or a provider in Config",
					"%s.%s belongs to the whole process", x.Name, n.Sel.Name)
			}
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok && (x.Name == "print" || x.Name == "println") {
				r.at(n.Pos(), "take a *slog.Logger in Config", "%s writes to the standard error of the process", x.Name)
			}
		}
		return true
	})
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
