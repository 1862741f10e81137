package observetest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// step is one line of a script.
type step struct {
	line        int
	wait        time.Duration
	verb        string
	text        string // of write and panic
	status      int    // of header
	contentType string // of header; empty: none is set
}

// Play plays a timed script of a response into w, as a handler would. A line is
// one step: an optional time to wait first, in the form of [time.ParseDuration],
// then what to do:
//
//	300ms write "data: {...}\n\n"         write a Go string, quoted or in backquotes
//	      header 200 text/event-stream    send the status, with that Content-Type if there is one
//	 20ms flush                           flush, as http.ResponseController does
//	      panic "boom"                    panic with the string
//	      abort                           panic with http.ErrAbortHandler
//
// Blank lines and lines that begin with # are skipped. A line that is none of
// these is an error before anything is played; an error of w ends the script and
// is returned. Inside a testing/synctest bubble no real time passes.
func Play(w http.ResponseWriter, script string) error {
	steps, err := parseScript(script)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.wait > 0 {
			time.Sleep(s.wait)
		}
		if err := s.play(w); err != nil {
			return fmt.Errorf("observetest: line %d: %s: %w", s.line, s.verb, err)
		}
	}
	return nil
}

func (s *step) play(w http.ResponseWriter) error {
	switch s.verb {
	case "write":
		_, err := io.WriteString(w, s.text)
		return err
	case "header":
		if s.contentType != "" {
			w.Header().Set("Content-Type", s.contentType)
		}
		w.WriteHeader(s.status)
	case "flush":
		return http.NewResponseController(w).Flush()
	case "panic":
		panic(s.text)
	case "abort":
		panic(http.ErrAbortHandler)
	}
	return nil
}

func parseScript(script string) ([]step, error) {
	var steps []step
	n := 0
	for line := range strings.Lines(script) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("observetest: line %d: %w", n, err)
		}
		s.line = n
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string) (s step, err error) {
	verb, rest := cutWord(line)
	if d, err := time.ParseDuration(verb); err == nil {
		if d < 0 {
			return s, fmt.Errorf("the time %v is negative", d)
		}
		s.wait = d
		verb, rest = cutWord(rest)
	}
	s.verb = verb
	switch verb {
	case "write", "panic":
		if s.text, err = strconv.Unquote(rest); err != nil {
			return s, fmt.Errorf("%s %.80s: want a quoted string", verb, rest)
		}
	case "header":
		status, contentType := cutWord(rest)
		s.contentType = contentType
		if s.status, err = strconv.Atoi(status); err != nil || s.status < 100 || s.status > 999 {
			return s, fmt.Errorf("header %.80q: want a status of 100 to 999", status)
		}
	case "flush", "abort":
		if rest != "" {
			return s, fmt.Errorf("%s takes nothing, got %.80q", verb, rest)
		}
	default:
		return s, fmt.Errorf("%.80q is no step: want write, header, flush, panic or abort", verb)
	}
	return s, nil
}

// cutWord splits off the first word; the rest has no space around it.
func cutWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}
