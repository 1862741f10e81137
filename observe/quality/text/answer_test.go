package text

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExact(t *testing.T) {
	for _, c := range []struct {
		answer string
		refs   []string
		want   bool
	}{
		{" 42\n", []string{"41", "42"}, true},
		{"42", []string{"\x1c42\u00a0"}, true},
		{"Paris", []string{"paris"}, false},
		{"Paris.", []string{"Paris"}, false},
		{"a  b", []string{"a b"}, false},
		{"", []string{""}, true},
		{"", nil, false},
	} {
		assert.Equal(t, c.want, Exact(c.answer, c.refs...), "%+v", c)
	}
}

func TestSQuAD(t *testing.T) {
	for _, c := range []struct {
		answer string
		refs   []string
		exact  bool
		f1     float64
	}{ // a run of evaluate-v2.0.py of SQuAD
		{"The Eiffel Tower!", []string{"eiffel tower"}, true, 1},
		{"in the year 1889", []string{"1889"}, false, 0.5},
		{"1889, a year", []string{"x", "year 1889"}, false, 1},
		{"cat cat", []string{"cat"}, false, 2.0 / 3},
		{"the", []string{""}, true, 1},
		{"the", []string{"cat"}, false, 0},
		{"cat", []string{"."}, false, 0},
		{"theory", []string{"ory"}, false, 0},
		{"the—cat", []string{"—cat"}, true, 1},
		{"", nil, false, 0},
	} {
		exact, f1 := SQuAD(c.answer, c.refs...)
		assert.Equal(t, c.exact, exact, "%+v", c)
		assert.InDelta(t, c.f1, f1, 1e-12, "%+v", c)
	}
}

func TestDropArticles(t *testing.T) {
	assert.Equal(t, "  b   a1 _a é— —thé  ", dropArticles("a b an a1 _a é—the—thé a"))
	assert.Empty(t, dropArticles(""))
}
