package dashboards

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// good are expressions that Prometheus accepts.
var good = []string{
	`up`, `sum`, `{job="x"}`, `up{}`, `up{job="a",}`, `up{job=~"a|b", instance!~"c.*", x!="", y=""}`, `a:b:c`, `:x`,
	`1`, `.5`, `1.`, `1e3`, `1e-3`, `0x1F`, `Inf`, `-inf`, `NaN`, `"text"`, `'it\'s'`, "`raw\\`", `"\u00e9\x41\101\n"`,
	`rate(x[5m])`, `rate(x{a="b"}[1h30m])`, `x[1d2h3m4s5ms]`, `x offset 5m`, `x offset -5m`, `x @ 100`, `x @ end()`, `x @ start() offset 1m`,
	`rate(x[5m] offset 1h)`, `max_over_time(rate(x[5m])[1h:])`, `max_over_time(rate(x[5m])[1h:1m] @ 5 offset 1m)`, `x[5m:1m]`, `x offset 1m [5m:1m]`,
	`sum(x)`, `sum by (a) (x)`, `sum by (a, b,) (x)`, `sum(x) by (a)`, `sum without () (x)`, `SUM BY (a) (x)`, `topk(3, x)`, `topk by (a) (3, x)`,
	`quantile(.9, x)`, `count_values("v", x)`, `sum by (on, by, sum) (x)`, `group(x)`,
	`x + y`, `x + on (a) y`, `x / ignoring (a) group_left (b, c) y`, `x * on () group_right y`, `x and on (a) y`, `x or y unless z`,
	`x > 1`, `x > bool 1`, `1 > bool 2`, `1 + 2 * 3 ^ 4 ^ 5`, `-x ^ 2`, `- - x`, `x % 2`, `x atan2 y`, `(x)`, `((x)) > (1)`, `+x`,
	`time()`, `vector(1)`, `scalar(x)`, `round(x)`, `round(x, 5)`, `hour()`, `hour(x)`, `label_replace(x, "a", "$1", "b", "(.*)")`,
	`label_join(x, "a", ",")`, `label_join(x, "a", ",", "b", "c")`, `histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))`,
	"x # comment\n + # more\ny", `absent(x{a="b"})`, `clamp(x, 0, 1)`, `predict_linear(x[1h], 3600)`, `quantile_over_time(.5, x[1h])`,
	`x{a="]}"}`, `x{offset="1"}`, `sum(x) > bool on (a) sum by (a) (y)`, `time() - x`, `x==y`, `x!=1`, `x<=1`, `1 - (1 or vector(2)) * 2`[0:0] + `1 - (vector(1) or vector(2)) * 2`,
}

// bad are expressions that Prometheus refuses.
var bad = []string{
	``, ` `, `#`, `x y`, `x +`, `+`, `(`, `()`, `(x`, `x)`, `{}`, `{a=""}`, `{a=~".*"}`, `{a!="b"}`, `x{`, `x{a}`, `x{a=}`, `x{a=b}`, `x{a="b"`, `x{a:b="c"}`,
	`x{a=~"("}`, `x{__name__="y"}`, `rate(x)`, `rate(1)`, `rate(x[5m], 1)`, `rate()`, `rate(x[0s])`, `x offset 0s`, `x[5m`, `x[5]`, `x[m]`, `x[]`, `x[5m][5m]`,
	`x offset 1m [5m]`, `sum(x) offset 5m`, `(x) offset 5m`, `sum(x)[5m]`, `x[5m] + 1`, `1 + x[5m]`, `x offset 5m offset 5m`, `x offset`, `x @`, `x @ y`,
	`sum`[0:0] + `sum()`, `sum(1)`, `sum(x[5m])`, `sum(x, y)`, `topk(x)`, `topk(x, y)`, `topk("a", x)`, `count_values(1, x)`, `sum by a (x)`, `sum by (a) (x) by (b)`, `sum by ("a") (x)`,
	`1 > 2`, `1 and x`, `x + bool y`, `x and bool y`, `1 + on (a) x`, `x and on (a) group_left y`, `x + group_left y`, `x / on (a) group_left (a) y`,
	`nosuch(x)`, `time(1)`, `vector(x)`, `scalar(1)`, `hour(1)`, `label_replace(x, "a")`, `label_join(x, "a")`, `histogram_quantile(x, 1)`, `"a" + "b"`, `-"a"`, `-x[5m]`,
	`"open`, `'open"`, "\"line\nbreak\"", `"\q"`, `"\x4"`, `"\400"`, `1x`, `5mm`, `1m1h`, `1.5m`, `0x`, `1e`, `x!y`, `x ! = y`, `x = y`, `x; y`, `x{a="b",,}`, `x{,}`, `é`, "x\x00",
	`$`, `${}`, `time()[5m]`, `1[5m:1m]`, `rate(x[5m],)`, `foo(`, `x == == y`, `.`,
}

func TestParse(t *testing.T) {
	for _, src := range good {
		_, err := parse(src)
		assert.NoError(t, err, src)
	}
	for _, src := range bad {
		_, err := parse(src)
		assert.Error(t, err, src)
	}
}

// Grafana's variables stand for numbers, durations, names and vectors.
func TestParseVariables(t *testing.T) {
	for _, src := range []string{
		`rate(x{job=~"$job"}[$__rate_interval])`, `rate(x[${__rate_interval}])`, `max_over_time(x[$__range:$step])`, `x > $limit`, `x / ${n:raw}`,
		`rate($metric[5m])`, `$metric{a="b"}`, `sum by ($label) (x)`, `topk($n, x)`, `sum($expr)`, `x offset $shift`, `x{$label="y"}`, `$a + $b`,
	} {
		_, err := parse(src)
		assert.NoError(t, err, src)
	}
}

func TestPrecedence(t *testing.T) {
	shape := func(src string) string {
		e, err := parse(src)
		require.NoError(t, err, src)
		var write func(expr) string
		write = func(e expr) string {
			switch e := e.(type) {
			case binary:
				return "(" + write(e.left) + e.op + write(e.right) + ")"
			case negation:
				return "-" + write(e.of)
			case *selector:
				return e.name
			case literal:
				return e.text
			}
			return "?"
		}
		return write(e)
	}
	for src, want := range map[string]string{
		"a+b*c": "(a+(b*c))", "a*b+c": "((a*b)+c)", "a-b-c": "((a-b)-c)", "a^b^c": "(a^(b^c))", "-a^b": "-(a^b)", "-a*b": "(-a*b)",
		"a or b and c": "(aor(bandc))", "a and b unless c": "((aandb)unlessc)", "a > b + c": "(a>(b+c))", "a == b or c": "((a==b)orc)", "a/b%c": "((a/b)%c)",
	} {
		assert.Equal(t, want, shape(src), src)
	}
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`up`, `up{job="a"}`},
		{`up{}`, `up{job="a"}`},
		{`up{x="y"}`, `up{job="a",x="y"}`},
		{`up{job="b"}`, `up{job="b"}`},
		{`{x="y"}`, `{job="a",x="y"}`},
		{"sum(rate(x[5m])) / # whole\n sum(y offset 1h)", "sum(rate(x{job=\"a\"}[5m])) / # whole\n sum(y{job=\"a\"} offset 1h)"},
		{`1 + time()`, `1 + time()`},
		{`other`, `other`},
	} {
		got, err := narrow(c.src, func(metric string) []string {
			if metric == "other" {
				return nil
			}
			return []string{`job="a"`}
		})
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	_, err := narrow("sum(", nil)
	assert.Error(t, err)
}

// TestParseCut cuts expressions at every byte, and nests them deep: errors, never a
// panic.
func TestParseCut(t *testing.T) {
	for _, src := range good {
		for i := range src {
			_, _ = parse(src[:i])
			_, _ = parse(src[i:])
		}
	}
	for _, open := range []string{"(", "-", "sum(", "x + (", "abs(", "1 ^ "} {
		_, err := parse(strings.Repeat(open, 10_000) + "x")
		assert.Error(t, err)
	}
	_, err := parse(strings.Repeat("x + ", 10_000) + "x")
	assert.NoError(t, err, "a long sum is not deep")
}

func FuzzParse(f *testing.F) {
	for _, src := range append(good, bad...) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := parse(src)
		if err != nil {
			return
		}
		for _, s := range selectors(e) {
			if s.from < 0 || s.from > s.to || s.to > len(src) || s.braces > s.to {
				t.Fatalf("%q: a selector at %d to %d", src, s.from, s.to)
			}
		}
		// What is narrowed still parses, to as many selectors, and is then as narrow as
		// it gets.
		m := func(string) []string { return []string{`zz="a"`} }
		once, err := narrow(src, m)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := narrow(once, m)
		if err != nil || once != twice {
			t.Fatalf("%q: %q, then %q: %v", src, once, twice, err)
		}
	})
}
