package dashboards

import (
	"errors"
	"fmt"
	"strings"
)

// operand reads what stands between operators, with its ranges and modifiers.
func (p *parser) operand() (expr, error) {
	if p.at().is("-", "+") {
		p.i++
		of, err := p.expression(precedence["^"])
		if err != nil {
			return nil, err
		}
		if v := of.value(); v == matrix || v == words {
			return nil, fmt.Errorf("a sign before %v", v)
		}
		return negation{of}, nil
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	timed := false // a selector or a subquery, which can be shifted
	if _, ok := e.(*selector); ok {
		timed = true
	}
	var offset, fixed, shifted bool
	for {
		switch t := p.at(); {
		case t.is("["):
			s, plain := e.(*selector)
			if e, err = p.ranged(e, plain && !shifted && s.window == ""); err != nil {
				return nil, err
			}
			timed, offset, fixed = true, false, false
		case t.word("offset") && timed && !offset:
			p.i++
			offset, shifted = true, true
			p.skip("-")
			if _, err := p.duration(); err != nil {
				return nil, err
			}
		case t.is("@") && timed && !fixed:
			p.i++
			fixed, shifted = true, true
			if err := p.instant(); err != nil {
				return nil, err
			}
		default:
			return e, nil
		}
	}
}

func (p *parser) duration() (string, error) {
	if k := p.at().kind; k != tokenDuration && k != tokenVariable {
		return "", fmt.Errorf("%w: want a duration", p.unexpected())
	}
	t := p.next()
	if strings.Trim(t.text, "0ywdhms") == "" {
		return "", fmt.Errorf("at %d: the duration %s is empty", t.from, t.text)
	}
	return t.text, nil
}

// ranged reads a range, or what makes a subquery.
func (p *parser) ranged(e expr, plain bool) (expr, error) {
	p.i++
	window, err := p.duration()
	if err != nil {
		return nil, err
	}
	if p.skip("]") {
		s, ok := e.(*selector)
		if !ok || !plain {
			return nil, errors.New("a range of what is no plain selector")
		}
		s.window = window
		return s, nil
	}
	if err := p.want(":"); err != nil {
		return nil, err
	}
	if !p.at().is("]") {
		if _, err := p.duration(); err != nil {
			return nil, err
		}
	}
	if !fits(e, vector) {
		return nil, fmt.Errorf("a subquery over %v", e.value())
	}
	return subquery{e}, p.want("]")
}

// instant reads what stands behind @: a Unix time, start() or end().
func (p *parser) instant() error {
	if p.at().word("start", "end") {
		p.i++
		if err := p.want("("); err != nil {
			return err
		}
		return p.want(")")
	}
	if p.at().is("-", "+") {
		p.i++
	}
	if k := p.at().kind; k != tokenNumber && k != tokenVariable {
		return fmt.Errorf("%w: want a time", p.unexpected())
	}
	p.i++
	return nil
}

func (p *parser) primary() (expr, error) {
	t := p.at()
	switch t.kind {
	case tokenNumber:
		p.i++
		return literal{scalar, t.text}, nil
	case tokenString:
		p.i++
		return literal{words, t.text}, nil
	case tokenVariable:
		if after := p.tokens[p.i+1]; !after.is("{", "[") {
			p.i++
			return literal{anything, t.text}, nil
		}
		return p.selector()
	case tokenWord:
		return p.named()
	}
	if p.skip("(") {
		e, err := p.expression(1)
		if err != nil {
			return nil, err
		}
		return paren{e}, p.want(")")
	}
	if t.is("{") {
		return p.selector()
	}
	return nil, p.unexpected()
}

// named reads what begins with a word: a number, an aggregation, a call, a selector.
func (p *parser) named() (expr, error) {
	t, after := p.at(), p.tokens[p.i+1]
	if _, ok := aggregations[strings.ToLower(t.text)]; ok && (after.is("(") || after.word("by", "without")) {
		return p.aggregate()
	}
	if after.is("(") {
		p.i++
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		e := call{name: t.text, args: args}
		err = e.check()
		return e, err
	}
	if t.word("inf", "nan") && !after.is("{", "[") {
		p.i++
		return literal{scalar, t.text}, nil
	}
	return p.selector()
}

// arguments reads expressions in round brackets.
func (p *parser) arguments() (args []expr, err error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	for !p.skip(")") {
		if len(args) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expression(1)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	return args, nil
}

func (p *parser) aggregate() (expr, error) {
	e := aggregate{op: strings.ToLower(p.next().text)}
	grouped, err := p.grouping(&e)
	if err != nil {
		return nil, err
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if !grouped {
		if _, err := p.grouping(&e); err != nil {
			return nil, err
		}
	}
	if want := aggregations[e.op]; want != 0 && len(args) == 2 {
		if !fits(args[0], want) {
			return nil, fmt.Errorf("the parameter of %s is %v", e.op, args[0].value())
		}
		e.param, args = args[0], args[1:]
	} else if want != 0 {
		return nil, fmt.Errorf("%s takes a parameter and a vector", e.op)
	}
	if len(args) != 1 || !fits(args[0], vector) {
		return nil, fmt.Errorf("%s takes one instant vector", e.op)
	}
	e.of = args[0]
	return e, nil
}

// grouping reads by or without and their labels, if they come.
func (p *parser) grouping(e *aggregate) (bool, error) {
	e.without = p.at().word("without")
	if !e.without && !p.at().word("by") {
		return false, nil
	}
	p.i++
	var err error
	e.labels, err = p.labels()
	return true, err
}

// selector reads a metric and its matchers.
func (p *parser) selector() (expr, error) {
	s := &selector{from: p.at().from}
	if !p.at().is("{") {
		t := p.next()
		s.name, s.to = t.text, t.to
	}
	if p.at().is("{") {
		s.braces = p.next().to
		for !p.at().is("}") {
			m, err := p.matcher()
			if err != nil {
				return nil, err
			}
			s.matchers = append(s.matchers, m)
			if !p.at().is("}") {
				if err := p.want(","); err != nil {
					return nil, err
				}
			}
		}
		s.to = p.next().to
	}
	return s, s.check()
}

func (p *parser) matcher() (m matcher, err error) {
	label := p.at()
	if label.kind != tokenVariable && (label.kind != tokenWord || strings.Contains(label.text, ":")) {
		return m, p.unexpected()
	}
	p.i++
	if !p.at().is("=", "!=", "=~", "!~") {
		return m, p.unexpected()
	}
	op := p.next().text
	if p.at().kind != tokenString {
		return m, fmt.Errorf("%w: want a string", p.unexpected())
	}
	value := p.next()
	return matcher{label.text, op, value.text, label.from, value.to}, nil
}
