package training

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var ledgerUpdate = flag.Bool("update", false, "rewrite the expected part of testdata/ledger/*.txt")

// A script is the story of one run. Above the line of dashes stand its events, one
// a line, each after a pause; a negative one is a clock that goes back:
//
//	10s enter step               any phase
//	1s step [N] [took=1s] [wait=200ms]   N is one more than the last, if not given
//	1s x5 step                   five times, with the pause before each
//	0s checkpoint [N]            the last step, if not given
//	0s rollback N
//	0s interrupt crash           or planned, supervisor
//	30s resume N
//	0s goodput                   prints the account of now
//	0s totals                    prints the counters
//
// Below it stands what was printed; the account and the counters at the end always
// are. "go test -run LedgerScenarios -update" rewrites it.
func TestLedgerScenarios(t *testing.T) {
	ledgerScripts(t, func(t *testing.T, file, script, want string) {
		got := ledgerPlay(t, script, -1)
		if *ledgerUpdate {
			require.NoError(t, os.WriteFile(file, []byte(script+"---\n"+got), 0o644))
			return
		}
		require.Equal(t, want, got)
	})
}

// A process that takes over the state at any line ends with the same account.
func TestLedgerScenariosRestarted(t *testing.T) {
	ledgerScripts(t, func(t *testing.T, file, script, want string) {
		for line := range strings.Split(script, "\n") {
			require.Equal(t, want, ledgerPlay(t, script, line), "restarted before line %d", line+1)
		}
	})
}

func ledgerScripts(t *testing.T, play func(t *testing.T, file, script, want string)) {
	files, err := filepath.Glob("testdata/ledger/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			script, want, ok := strings.Cut(string(b), "---\n")
			require.True(t, ok || *ledgerUpdate, "no line of dashes")
			play(t, file, script, want)
		})
	}
}

// ledgerPlayer plays a script.
type ledgerPlayer struct {
	t       *testing.T
	l       *Ledger
	now     time.Time
	step    int64
	printed strings.Builder
}

// ledgerPlay returns what a script prints. The state is written and read before
// one of its lines.
func ledgerPlay(t *testing.T, script string, restart int) string {
	p := &ledgerPlayer{t: t, l: NewLedger(ledgerStart), now: ledgerStart}
	for i, line := range strings.Split(script, "\n") {
		if i == restart {
			p.l = ledgerRoundTrip(t, p.l)
		}
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(f), 2, line)
		pause, err := time.ParseDuration(f[0])
		require.NoError(t, err, line)
		times := 1
		if rest, ok := strings.CutPrefix(f[1], "x"); ok {
			times, err = strconv.Atoi(rest)
			require.NoError(t, err, line)
			f = f[1:]
		}
		for range times {
			p.now = p.now.Add(pause)
			p.play(f[1], f[2:])
		}
	}
	p.play("goodput", nil)
	p.play("totals", nil)
	return p.printed.String()
}

func (p *ledgerPlayer) play(command string, args []string) {
	number := func(otherwise int64) int64 {
		if len(args) == 0 || strings.Contains(args[0], "=") {
			return otherwise
		}
		n, err := strconv.ParseInt(args[0], 10, 64)
		require.NoError(p.t, err, command)
		args = args[1:]
		return n
	}
	switch command {
	case "enter":
		phase, ok := find(args[0], numPhases)
		require.True(p.t, ok, args[0])
		p.l.Enter(phase, p.now)
	case "step":
		p.step = number(p.step + 1)
		var took, wait time.Duration
		for _, a := range args {
			name, value, _ := strings.Cut(a, "=")
			d, err := time.ParseDuration(value)
			require.NoError(p.t, err, a)
			*map[string]*time.Duration{"took": &took, "wait": &wait}[name] = d
		}
		p.l.Step(p.step, took, wait, p.now)
	case "checkpoint":
		p.l.Checkpointed(number(p.step), p.now)
	case "rollback":
		p.step = number(0)
		p.l.RolledBack(p.step, p.now)
	case "interrupt":
		cause, ok := find(args[0], NumInterruptionCauses)
		require.True(p.t, ok, args[0])
		p.l.Interrupted(p.now, cause)
	case "resume":
		p.step = number(1) - 1
		p.l.Resumed(p.step+1, p.now)
	case "goodput":
		fmt.Fprintf(&p.printed, "at %v\n%v", p.now.Sub(ledgerStart), p.l.Goodput(p.now))
	case "totals":
		p.totals()
	default:
		require.Fail(p.t, "unknown", command)
	}
}

// totals prints the counters that are not zero, in one line.
func (p *ledgerPlayer) totals() {
	t := p.l.Totals(p.now)
	p.printed.WriteString("totals")
	print := func(name string, value any, is bool) {
		if is {
			fmt.Fprintf(&p.printed, " %s=%v", name, value)
		}
	}
	print("step", t.Step, t.Step != 0)
	for c, d := range t.Spent {
		print(stateName(c), d, d != 0)
	}
	print("lost_rollback", t.LostToRollback, t.LostToRollback != 0)
	print("lost_interruption", t.LostToInterruption, t.LostToInterruption != 0)
	for c, n := range t.Interruptions {
		print("interruptions_"+InterruptionCause(c).String(), n, n != 0)
	}
	print("clock_backwards", t.ClockBackwards, t.ClockBackwards != 0)
	p.printed.WriteString("\n")
}
