package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Unit says what the figures of a suite are.
type Unit int

// The units.
const (
	Nanoseconds Unit = iota
	Allocations
	Bytes
	Times
)

// A Suite is a group of claims whose cases run in turn. Each package under
// measurement has a file that returns its suites.
type Suite struct {
	Name   string
	Unit   Unit
	Claims []Claim

	// Cases makes what is timed; done releases what it holds. Figures that are
	// the same each time come from Count instead.
	Cases   func() (cases []Case, done func(), err error)
	Process bool // The work of a case is spread over goroutines: take the CPU time of the process.
	Count   func() (map[string]float64, error)
}

// suites returns all of them, in the order of the report.
func suites() []Suite {
	return slices.Concat(observeSuites(), trainingSuites(), qualitySuites(), platformSuites(), liveSuites())
}

// selected returns the suites less the claims whose names do not begin with
// the prefix.
func selected(all []Suite, prefix string) []Suite {
	var some []Suite
	for _, s := range all {
		s.Claims = slices.DeleteFunc(slices.Clone(s.Claims), func(c Claim) bool { return !strings.HasPrefix(c.Name, prefix) })
		if len(s.Claims) > 0 {
			some = append(some, s)
		}
	}
	return some
}

// measure runs the cases that the claims name.
func (s Suite) measure(lim Limits) (map[string]Summary, error) {
	if s.Count != nil {
		counts, err := s.Count()
		got := make(map[string]Summary, len(counts))
		for name, v := range counts {
			got[name] = Summary{Slices: 1, Min: v, P10: v, P50: v}
		}
		return got, err
	}
	cases, done, err := s.Cases()
	if err != nil {
		return nil, err
	}
	defer done()
	needed := s.needed()
	cases = slices.DeleteFunc(cases, func(c Case) bool { return !needed[c.Name] })
	start := time.Now()
	wall := func() time.Duration { return time.Since(start) }
	if s.Process {
		return Measure(cases, processCPU, wall, lim), nil
	}
	runtime.LockOSThread() // The work, and the clock that is read around it, stay on one thread.
	defer runtime.UnlockOSThread()
	return Measure(cases, threadCPU, wall, lim), nil
}

// needed are the names of the cases that the claims compare.
func (s Suite) needed() map[string]bool {
	names := map[string]bool{}
	for _, c := range s.Claims {
		for _, name := range c.cases() {
			names[name] = true
		}
	}
	return names
}

// report measures the suites and writes a line a claim, and with figures a line
// a case too. It returns how many claims are short.
func report(w io.Writer, all []Suite, lim Limits, figures bool) (short int, err error) {
	width := len("name")
	for _, s := range all {
		for _, c := range s.Claims {
			width = max(width, len(c.Name))
		}
	}
	fmt.Fprintf(w, "%-*s  %10s  %10s  %8s  %6s\n", width, "name", "ours", "peer", "ratio", "bar")
	for _, s := range all {
		got, err := s.measure(lim)
		if err != nil {
			return short, fmt.Errorf("%s: %w", s.Name, err)
		}
		for _, c := range s.Claims {
			l := Judge(c, got)
			if l.Short {
				short++
			}
			fmt.Fprintf(w, "%-*s  %10s  %10s  %8s  %6s  %s\n", width, c.Name,
				s.Unit.format(l.OursIs), s.Unit.format(l.PeerIs), number(l.Ratio), l.bar(), l.verdict())
		}
		if figures {
			for _, name := range slices.Sorted(maps.Keys(got)) {
				v := got[name]
				fmt.Fprintf(w, "  %s/%s: min %s, p10 %s, p50 %s, %d slices\n", s.Name, name,
					s.Unit.format(v.Min), s.Unit.format(v.P10), s.Unit.format(v.P50), v.Slices)
			}
		}
	}
	return short, nil
}

func (l Line) bar() string {
	if l.Open {
		return "-"
	}
	return number(l.Bar)
}

func (l Line) verdict() string {
	switch {
	case l.Open:
		return "-"
	case l.Short:
		return "short"
	}
	return "ok"
}

// format writes a figure with its unit, NaN as a dash.
func (u Unit) format(v float64) string {
	switch {
	case v != v:
		return "-"
	case u == Allocations:
		return fmt.Sprintf("%.4gallocs", v)
	case u == Bytes:
		return fmt.Sprintf("%.6gB", v)
	case u == Times:
		return fmt.Sprintf("%.4gx", v)
	}
	switch a := max(v, -v); {
	case a < 100:
		return fmt.Sprintf("%.1fns", v)
	case a < 1e4:
		return fmt.Sprintf("%.0fns", v)
	case a < 1e6:
		return fmt.Sprintf("%.1fus", v/1e3)
	}
	return fmt.Sprintf("%.2fms", v/1e6)
}

// number writes a ratio with the digits that say something.
func number(v float64) string {
	switch a := max(v, -v); {
	case v != v:
		return "-"
	case a >= 10, v == float64(int64(v)):
		return fmt.Sprintf("%.4g", v)
	case a < 0.1:
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.2f", v)
}
