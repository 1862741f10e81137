// Bench measures the claims of calm about speed beside its peers; README.md says
// how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0, 1 for a claim that is short or could not be
// measured, 2 for bad flags.
func run(args []string, stdout, stderr io.Writer) int {
	const bad = 2
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bars := flags.Bool("bars", false, "measure, and print a line for each claim")
	list := flags.Bool("list", false, "print what the claims compare")
	only := flags.String("only", "", "take the claims whose names begin with `PREFIX`")
	figures := flags.Bool("v", false, "also print minimum, p10 and p50 of each case")
	lim := Limits{Slice: 400 * time.Microsecond}
	flags.DurationVar(&lim.Time, "time", 25*time.Second, "most time for the cases of a suite")
	flags.IntVar(&lim.Rounds, "rounds", 3000, "most slices of a case")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return bad
	}
	some := selected(suites(), *only)
	fault := ""
	switch {
	case flags.NArg() > 0:
		fault = fmt.Sprintf("%q is no flag", flags.Arg(0))
	case *bars == *list:
		fault = "give one of -bars and -list"
	case len(some) == 0:
		fault = fmt.Sprintf("-only %s: no claim has that name", *only)
	case lim.Time <= 0:
		fault = fmt.Sprintf("-time %v: want more than 0", lim.Time)
	case lim.Rounds <= 0:
		fault = fmt.Sprintf("-rounds %d: want more than 0", lim.Rounds)
	}
	if fault != "" {
		fmt.Fprintln(stderr, "bench: "+fault)
		return bad
	}
	if *list {
		for _, s := range some {
			for _, c := range s.Claims {
				fmt.Fprintf(stdout, "%-28s %s\n", c.Name, c.Doc)
			}
		}
		return 0
	}
	if clockNote != "" {
		fmt.Fprintln(stdout, clockNote)
	}
	short, err := report(stdout, some, lim, *figures)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if short > 0 {
		fmt.Fprintf(stdout, "%d short\n", short)
		return 1
	}
	return 0
}
