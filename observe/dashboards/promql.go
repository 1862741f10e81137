package dashboards

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// expr is a PromQL expression: what its parts are is needed here, not what it is
// worth.
type expr interface {
	parts() []expr
	value() valueType
}

// valueType is what an expression is worth.
type valueType byte

const (
	scalar   valueType = 's'
	vector   valueType = 'v'
	matrix   valueType = 'm' // a range vector
	words    valueType = 't'
	anything valueType = '?' // of a Grafana variable
)

func (v valueType) String() string {
	return map[valueType]string{scalar: "a scalar", vector: "an instant vector", matrix: "a range vector", words: "a string", anything: "a variable"}[v]
}

type (
	// literal is a number, a string or a Grafana variable.
	literal struct {
		typ  valueType
		text string
	}
	// selector is a metric with matchers; with a window, a range of it.
	selector struct {
		name     string // empty where only matchers select
		matchers []matcher
		window   string // as written: 5m, $__rate_interval; empty: none
		from, to int    // where name and braces stand
		braces   int    // where matchers begin, behind the brace; 0: no braces
	}
	matcher struct {
		label, op, value string
		from, to         int // where it stands
	}
	// subquery is an expression over a range.
	subquery struct{ of expr }
	call     struct {
		name   string
		args   []expr
		result valueType
	}
	aggregate struct {
		op      string
		param   expr // of topk, bottomk, quantile, count_values
		of      expr
		without bool
		labels  []string // of by and without
	}
	binary struct {
		op          string
		left, right expr
		labels      []string // of on, ignoring, group_left and group_right
		result      valueType
	}
	negation struct{ of expr } // also a plus sign
	paren    struct{ of expr }
)

func (literal) parts() []expr    { return nil }
func (*selector) parts() []expr  { return nil }
func (e subquery) parts() []expr { return []expr{e.of} }
func (e call) parts() []expr     { return e.args }
func (e aggregate) parts() []expr {
	if e.param == nil {
		return []expr{e.of}
	}
	return []expr{e.param, e.of}
}
func (e binary) parts() []expr   { return []expr{e.left, e.right} }
func (e negation) parts() []expr { return []expr{e.of} }
func (e paren) parts() []expr    { return []expr{e.of} }

func (e literal) value() valueType { return e.typ }
func (e *selector) value() valueType {
	if e.window != "" {
		return matrix
	}
	return vector
}
func (subquery) value() valueType   { return matrix }
func (e call) value() valueType     { return e.result }
func (aggregate) value() valueType  { return vector }
func (e binary) value() valueType   { return e.result }
func (e negation) value() valueType { return e.of.value() }
func (e paren) value() valueType    { return e.of.value() }

// walk calls visit for an expression and all of its parts, with what each is in,
// outermost first.
func walk(e expr, visit func(e expr, in []expr)) {
	var down func(e expr, in []expr)
	down = func(e expr, in []expr) {
		visit(e, in)
		in = append(in, e)
		for _, part := range e.parts() {
			down(part, in)
		}
	}
	down(e, nil)
}

// selectors returns the selectors of an expression in the order of the text.
func selectors(e expr) []*selector {
	var all []*selector
	walk(e, func(e expr, _ []expr) {
		if s, ok := e.(*selector); ok {
			all = append(all, s)
		}
	})
	slices.SortFunc(all, func(a, b *selector) int { return a.from - b.from })
	return all
}

// metricNames returns the names of the metrics of an expression, in order.
func metricNames(e expr) []string {
	names := map[string]bool{}
	for _, s := range selectors(e) {
		if s.name != "" {
			names[s.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// has reports whether the selector has a matcher of the label.
func (e *selector) has(label string) bool {
	return slices.ContainsFunc(e.matchers, func(m matcher) bool { return m.label == label })
}

// narrow adds matchers to the selectors of an expression, each written like
// job="x"; those of a label that a selector already has are left out of it.
func narrow(src string, matchers func(metric string) []string) (string, error) {
	e, err := parse(src)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	done := 0
	for _, s := range selectors(e) {
		var add []string
		for _, m := range matchers(s.name) {
			if label := m[:strings.IndexAny(m+"=", "=!")]; !s.has(label) {
				add = append(add, m)
			}
		}
		if len(add) == 0 {
			continue
		}
		text := strings.Join(add, ",")
		at := s.to
		switch {
		case s.braces == 0:
			text = "{" + text + "}"
		default:
			at = s.braces
			if len(s.matchers) > 0 {
				text += ","
			}
		}
		out.WriteString(src[done:at])
		out.WriteString(text)
		done = at
	}
	out.WriteString(src[done:])
	return out.String(), nil
}

// signature gives the types of the arguments of a function: ? makes the one before
// it optional, * lets it be there any number of times.
func signature(function string) (args string, result valueType, ok bool) {
	switch function {
	case "time", "pi":
		return "", scalar, true
	case "scalar":
		return "v", scalar, true
	case "vector":
		return "s", vector, true
	case "abs", "absent", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor",
		"histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum", "ln", "log10", "log2",
		"rad", "sgn", "sin", "sinh", "sort", "sort_desc", "sqrt", "tan", "tanh", "timestamp":
		return "v", vector, true
	case "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year":
		return "v?", vector, true
	case "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv", "idelta", "increase", "irate",
		"last_over_time", "max_over_time", "min_over_time", "present_over_time", "rate", "resets", "stddev_over_time",
		"stdvar_over_time", "sum_over_time":
		return "m", vector, true
	case "clamp":
		return "vss", vector, true
	case "clamp_max", "clamp_min":
		return "vs", vector, true
	case "round":
		return "vs?", vector, true
	case "histogram_quantile":
		return "sv", vector, true
	case "histogram_fraction":
		return "ssv", vector, true
	case "quantile_over_time":
		return "sm", vector, true
	case "predict_linear":
		return "ms", vector, true
	case "holt_winters", "double_exponential_smoothing":
		return "mss", vector, true
	case "label_replace":
		return "vtttt", vector, true
	case "label_join":
		return "vttt*", vector, true
	}
	return "", 0, false
}

// check compares the arguments of a call with what the function takes.
func (e *call) check() error {
	types, result, ok := signature(e.name)
	if !ok {
		return fmt.Errorf("no function is called %s", e.name)
	}
	e.result = result
	least := len(types)
	most := least
	switch {
	case strings.HasSuffix(types, "?"):
		least, most = least-2, most-1
	case strings.HasSuffix(types, "*"):
		least, most = least-2, len(e.args)
	}
	if len(e.args) < least || len(e.args) > most {
		return fmt.Errorf("%s takes %d to %d arguments, not %d", e.name, least, max(least, most), len(e.args))
	}
	types = strings.TrimRight(types, "?*")
	for i, arg := range e.args {
		if want := valueType(types[min(i, len(types)-1)]); !fits(arg, want) {
			return fmt.Errorf("argument %d of %s is %v, not %v", i+1, e.name, arg.value(), want)
		}
	}
	return nil
}

// fits reports whether an expression is of a type.
func fits(e expr, want valueType) bool { return e.value() == want || e.value() == anything }

// check looks for what the grammar allows and Prometheus refuses.
func (e *selector) check() error {
	named, some := e.name != "", e.name != ""
	for _, m := range e.matchers {
		if m.label == "__name__" && m.op == "=" {
			if named {
				return errors.New("the name of the metric is given twice")
			}
			e.name = m.value
		}
		if _, variable := isVariable(m.value); variable {
			some = true // what it stands for is not known
			continue
		}
		empty := m.value == ""
		if m.op == "=~" || m.op == "!~" {
			re, err := regexp.Compile("^(?:" + m.value + ")$")
			if err != nil {
				return fmt.Errorf("matcher of %s: %w", m.label, err)
			}
			empty = re.MatchString("")
		}
		some = some || empty == (m.op[0] == '!')
	}
	if !some {
		return errors.New("a selector that everything fits: one matcher must refuse the empty string")
	}
	return nil
}

// check looks for what the grammar allows and Prometheus refuses.
func (e *binary) check(boolean, matching, grouping bool) error {
	l, r := e.left.value(), e.right.value()
	for _, v := range []valueType{l, r} {
		if v == matrix || v == words {
			return fmt.Errorf("an operand of %s is %v", e.op, v)
		}
	}
	set, compare := precedence[e.op] <= 2, precedence[e.op] == 3
	switch {
	case boolean && !compare:
		return fmt.Errorf("bool with %s, which compares nothing", e.op)
	case set && (l == scalar || r == scalar):
		return fmt.Errorf("an operand of %s is a scalar", e.op)
	case compare && !boolean && l == scalar && r == scalar:
		return fmt.Errorf("%s between scalars needs bool", e.op)
	case matching && (l == scalar || r == scalar):
		return errors.New("on or ignoring with a scalar")
	case grouping && set:
		return fmt.Errorf("group_left or group_right with %s", e.op)
	case l == vector || r == vector:
		e.result = vector
	case l == anything || r == anything:
		e.result = anything
	default:
		e.result = scalar
	}
	return nil
}

// escape reads the escape sequence that s begins with, in a string with such quotes.
func escape(s string, quote byte) (value string, size int, err error) {
	if len(s) < 2 {
		return "", 0, errors.New("a string without its end")
	}
	const letters, values = `abfnrtv\`, "\a\b\f\n\r\t\v\\"
	if i := strings.IndexByte(letters, s[1]); i >= 0 {
		return values[i : i+1], 2, nil
	}
	if s[1] == quote {
		return s[1:2], 2, nil
	}
	digits, base, from := 0, 16, 2
	switch {
	case s[1] == 'x':
		digits = 2
	case s[1] == 'u':
		digits = 4
	case s[1] == 'U':
		digits = 8
	case '0' <= s[1] && s[1] <= '7':
		digits, base, from = 3, 8, 1
	}
	if digits > 0 && len(s) >= from+digits {
		n, err := strconv.ParseUint(s[from:from+digits], base, 32)
		short := s[1] != 'u' && s[1] != 'U'
		switch {
		case err == nil && short && n <= math.MaxUint8:
			return string([]byte{byte(n)}), from + digits, nil
		case err == nil && !short && n <= utf8.MaxRune && utf8.ValidRune(rune(n)):
			return string(rune(n)), from + digits, nil
		}
	}
	return "", 0, fmt.Errorf("an escape that is none: %q", s[:2])
}
