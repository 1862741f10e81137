package text

import (
	"errors"
	"fmt"
	"unicode"
)

// Scripts is a set of scripts, for answers that come in the wrong one. It is
// safe for concurrent use.
type Scripts struct {
	tables []*unicode.RangeTable
}

// NewScripts returns the set of the scripts that Unicode names so: "Latin",
// "Cyrillic", "Han". Japanese is "Han", "Hiragana" and "Katakana". The error
// names every unknown script, or says that there is none.
func NewScripts(names ...string) (*Scripts, error) {
	s := &Scripts{}
	var faults []error
	for _, name := range names {
		table := unicode.Scripts[name]
		if table == nil || table == unicode.Common || table == unicode.Inherited {
			faults = append(faults, fmt.Errorf("text: script %.40q is not known", name))
			continue
		}
		s.tables = append(s.tables, table)
	}
	if len(names) == 0 {
		faults = append(faults, errors.New("text: no script is named"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

// Outside is the share of a text's letters that are in none of the scripts, 0
// to 1, and whether that is a mismatch: more than half. Letters that all
// scripts share, digits, marks and punctuation do not count; a text without
// letters has 0. Time is linear in the text.
func (s *Scripts) Outside(text string) (share float64, mismatch bool) {
	letters, outside := 0, 0
	for _, r := range text {
		if !unicode.IsLetter(r) || unicode.Is(unicode.Common, r) {
			continue
		}
		letters++
		if !unicode.In(r, s.tables...) {
			outside++
		}
	}
	if letters == 0 {
		return 0, false
	}
	return float64(outside) / float64(letters), 2*outside > letters
}
