package dashboards

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxDepth bounds how deep expressions are nested.
const maxDepth = 100

// precedence of the binary operators: higher binds closer.
var precedence = map[string]int{
	"or": 1, "and": 2, "unless": 2,
	"==": 3, "!=": 3, ">": 3, "<": 3, ">=": 3, "<=": 3,
	"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}

// aggregations, and the type of their parameter; 0: none.
var aggregations = map[string]valueType{
	"sum": 0, "min": 0, "max": 0, "avg": 0, "group": 0, "stddev": 0, "stdvar": 0, "count": 0,
	"topk": scalar, "bottomk": scalar, "quantile": scalar, "count_values": words,
}

// parse reads an expression of PromQL, in which Grafana's variables may stand for
// numbers, durations, names and whole vectors. It accepts what Prometheus 2.42 does,
// but for the names of metrics that are keywords of operators.
func parse(src string) (expr, error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	e, err := p.expression(1)
	if err != nil {
		return nil, err
	}
	if p.at().kind != tokenEnd {
		return nil, p.unexpected()
	}
	return e, nil
}

type parser struct {
	tokens []token
	i      int
	depth  int
}

func (p *parser) at() token { return p.tokens[p.i] }

// next returns the present token and goes on to the one behind it.
func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokenEnd {
		p.i++
	}
	return t
}

// skip goes on if the present token is the sign.
func (p *parser) skip(sign string) bool {
	if p.at().is(sign) {
		p.i++
		return true
	}
	return false
}

func (p *parser) want(sign string) error {
	if !p.skip(sign) {
		return fmt.Errorf("%w: want %q", p.unexpected(), sign)
	}
	return nil
}

func (p *parser) unexpected() error {
	t := p.at()
	if t.kind == tokenEnd {
		return fmt.Errorf("at %d: unexpected end", t.from)
	}
	return fmt.Errorf("at %d: unexpected %q", t.from, t.text)
}

// expression reads operands and the operators between them that bind at least so
// close.
func (p *parser) expression(least int) (expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	defer func() { p.depth-- }()
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	for {
		op := p.operator()
		binds := precedence[op]
		if op == "" || binds < least {
			return left, nil
		}
		p.i++
		e := binary{op: op, left: left}
		boolean, matching, grouping, err := p.modifiers(&e)
		if err != nil {
			return nil, err
		}
		if op != "^" { // the only one that groups from the right
			binds++
		}
		if e.right, err = p.expression(binds); err != nil {
			return nil, err
		}
		if err := e.check(boolean, matching, grouping); err != nil {
			return nil, err
		}
		left = e
	}
}

// operator returns the binary operator that comes, or "".
func (p *parser) operator() string {
	t := p.at()
	op := strings.ToLower(t.text)
	if _, ok := precedence[op]; ok && (t.kind == tokenSign || t.kind == tokenWord) {
		return op
	}
	return ""
}

// modifiers reads bool, on, ignoring, group_left and group_right.
func (p *parser) modifiers(e *binary) (boolean, matching, grouping bool, err error) {
	if p.at().word("bool") {
		p.i++
		boolean = true
	}
	if on := p.at().word("on"); on || p.at().word("ignoring") {
		p.i++
		matching = true
		if e.labels, err = p.labels(); err != nil {
			return
		}
		if p.at().word("group_left", "group_right") {
			p.i++
			grouping = true
			var more []string
			if p.at().is("(") {
				if more, err = p.labels(); err != nil {
					return
				}
			}
			for _, l := range more {
				if on && slices.Contains(e.labels, l) {
					return false, false, false, fmt.Errorf("label %s in on and in group", l)
				}
			}
			e.labels = append(e.labels, more...)
		}
	}
	return
}

// labels reads names in round brackets.
func (p *parser) labels() (names []string, err error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	for !p.skip(")") {
		t := p.next()
		if t.kind != tokenVariable && (t.kind != tokenWord || strings.Contains(t.text, ":")) {
			p.i--
			return nil, p.unexpected()
		}
		names = append(names, t.text)
		if !p.at().is(")") {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}
