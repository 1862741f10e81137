package training

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledgerFull returns a Ledger of which no field is zero.
func ledgerFull() *Ledger {
	l := NewLedger(ledgerStart)
	at := func(s int) time.Time { return ledgerStart.Add(time.Duration(s) * time.Second) }
	for p := range numPhases {
		l.Enter(p, at(int(p)+1))
	}
	l.Enter(PhaseStep, at(10))
	for n := range 6 {
		l.Step(int64(n+101), 0, time.Millisecond, at(11+n))
	}
	l.Checkpointed(103, at(16))
	l.Checkpointed(105, at(16))
	l.RolledBack(105, at(17))
	l.Interrupted(at(18), InterruptedPlanned)
	l.Resumed(105, at(20))
	l.Step(105, time.Second, 0, at(23))
	l.Totals(at(24))
	l.Enter(PhaseStep, at(1))
	l.Interrupted(at(26), InterruptedBySupervisor)
	l.Resumed(106, at(27))
	l.Enter(PhaseStep, at(28))
	l.Enter(PhaseEval, at(29))
	return l
}

func TestLedgerJSON(t *testing.T) {
	l := ledgerFull()
	b, err := json.Marshal(l)
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"cursor": "2026-01-02T03:04:34Z", "phase": "eval", "elapsed_ns": 29000000000, "pending_ns": 1000000000,
		"spent_ns": {"init": 5000000000, "data_wait": 6000000, "checkpoint_save": 1000000000, "checkpoint_restore": 1000000000,
			"interrupted_step": 4000000000, "recovery": 3000000000, "eval": 1000000000, "custom": 1000000000, "idle": 3000000000},
		"lost_ns": {"rollback": 1999000000, "interruption": 999000000},
		"reported_ns": {"init": 4000000000, "data_wait": 6000000, "checkpoint_save": 1000000000, "checkpoint_restore": 1000000000,
			"interrupted_step": 1000000000, "recovery": 2000000000, "eval": 1000000000, "custom": 1000000000, "idle": 3000000000, "step": 9994000000},
		"interruptions": {"planned": 1, "supervisor": 1}, "rollbacks": 1, "clock_backwards": 1, "from": 100,
		"steps": [[101, 1999000000], [102, 2998000000], [103, 3997000000], [104, 4996000000], [105, 5996000000]],
		"checkpoints": [[103, 3997000000]],
		"took_ns": [2000000000, 1000000000, 1000000000, 1000000000, 1000000000, 1000000000, 1000000000]
	}`, string(b))
	assert.Equal(t, l.Goodput(ledgerStart), ledgerRoundTrip(t, l).Goodput(ledgerStart))

	l.Interrupted(ledgerStart.Add(time.Minute), InterruptedByCrash)
	b, err = json.Marshal(l)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"recovering":"crash"`)
	assert.True(t, ledgerRoundTrip(t, l).Recovering())
}

func TestLedgerJSONOfLongRun(t *testing.T) {
	l := NewLedger(ledgerStart)
	now := ledgerStart
	r := rand.New(rand.NewPCG(3, 3))
	for n := range int64(40_000) {
		now = now.Add(time.Duration(r.Int64N(1e12)))
		l.Step(1e15+n, time.Hour, 0, now)
		l.Checkpointed(1e15+n, now)
	}
	b, err := json.Marshal(ledgerFile{Run: strings.Repeat("x", 128), Ledger: l})
	require.NoError(t, err)
	t.Logf("%d bytes", len(b))
	require.Less(t, len(b), maxLedgerFile/3, "the longest file")
	copied := ledgerRoundTrip(t, l)
	for range 200 {
		to := 1e15 + r.Int64N(40_000)
		require.Equal(t, l.sums.upTo(to), copied.sums.upTo(to))
	}
	l.RolledBack(1e15+39_000, now)
	copied.RolledBack(1e15+39_000, now)
	require.Equal(t, l.Goodput(now), copied.Goodput(now))
}

func TestLedgerJSONRefuses(t *testing.T) {
	valid, err := json.Marshal(ledgerFull())
	require.NoError(t, err)
	with := func(edit func(m map[string]any)) string {
		var m map[string]any
		d := json.NewDecoder(strings.NewReader(string(valid)))
		d.UseNumber()
		require.NoError(t, d.Decode(&m))
		edit(m)
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return string(b)
	}
	set := func(field string, value any) string {
		return with(func(m map[string]any) { m[field] = value })
	}
	within := func(field, name string, value any) string {
		return with(func(m map[string]any) { m[field].(map[string]any)[name] = value })
	}
	many := func(n int, f func(i int) any) (list []any) {
		for i := range n {
			list = append(list, f(i))
		}
		return list
	}
	pair := func(i int) any { return []any{101 + i, 1} }
	for name, c := range map[string]struct{ state, says string }{
		"nothing":                    {`{}`, "no cursor"},
		"a list":                     {`[]`, "cannot unmarshal"},
		"no cursor":                  {with(func(m map[string]any) { delete(m, "cursor") }), "no cursor"},
		"cursor of no form":          {set("cursor", "yesterday"), "yesterday"},
		"phase":                      {set("phase", "sleep"), `phase is "sleep"`},
		"long phase":                 {set("phase", strings.Repeat("x", 1e6)), "phase is"},
		"no phase":                   {with(func(m map[string]any) { delete(m, "phase") }), `phase is ""`},
		"recovering":                 {set("recovering", "boredom"), `recovering is "boredom"`},
		"negative elapsed":           {set("elapsed_ns", -1), "elapsed_ns is -1"},
		"negative pending":           {set("pending_ns", -1), "pending_ns is -1"},
		"negative rollbacks":         {set("rollbacks", -1), "rollbacks is -1"},
		"negative clock":             {set("clock_backwards", -1), "clock_backwards is -1"},
		"elapsed too large":          {set("elapsed_ns", 29000000001), "do not add up"},
		"elapsed too small":          {set("elapsed_ns", 28999999999), "do not add up"},
		"elapsed nothing":            {set("elapsed_ns", 0), "do not add up"},
		"pending all":                {set("pending_ns", json.Number("9223372036854775807")), "do not add up"},
		"fraction":                   {set("elapsed_ns", 1.5), "cannot unmarshal"},
		"no int64":                   {set("elapsed_ns", json.Number("9223372036854775808")), "cannot unmarshal"},
		"string":                     {set("elapsed_ns", "NaN"), "cannot unmarshal"},
		"NaN":                        {strings.Replace(string(valid), `"pending_ns":1000000000`, `"pending_ns":NaN`, 1), "invalid character"},
		"negative spent":             {within("spent_ns", "init", -5), "spent_ns has a init of -5"},
		"overflowing spent":          {within("spent_ns", "init", json.Number("9223372036854775807")), "spent_ns has a"},
		"unknown spent":              {within("spent_ns", "sleep", 5), "spent_ns has unknown names"},
		"step among spent":           {within("spent_ns", "step", 5), "spent_ns has unknown names"},
		"negative lost":              {within("lost_ns", "rollback", -1), "lost_ns has a rollback of -1"},
		"unknown lost":               {within("lost_ns", "bad luck", 1), "lost_ns has unknown names"},
		"negative reported":          {within("reported_ns", "step", -1), "reported_ns has a step of -1"},
		"overflowing reported":       {within("reported_ns", "step", json.Number("9223372036854775807")), "reported_ns has a step of"},
		"negative interruptions":     {within("interruptions", "crash", -1), "interruptions has a crash of -1"},
		"unknown interruptions":      {within("interruptions", "boredom", 1), "interruptions has unknown names"},
		"negative took":              {set("took_ns", []int64{1, -1}), "took_ns has -1"},
		"too many took":              {set("took_ns", many(1101, func(int) any { return 1 })), "1101 times"},
		"steps that do not rise":     {set("steps", []any{pair(0), pair(0)}), "steps: 101, 1 ns does not rise"},
		"steps that fall":            {set("steps", []any{pair(1), pair(0)}), "steps: 101, 1 ns does not rise"},
		"time of steps falls":        {set("steps", []any{[]any{101, 5}, []any{102, 4}}), "steps: 102, 4 ns does not rise"},
		"negative time of steps":     {set("steps", []any{[]any{101, -5}}), "steps: 101, -5 ns does not rise"},
		"step before from":           {set("steps", []any{[]any{99, 5}}), "steps: 99, 5 ns does not rise"},
		"time at from":               {set("steps", []any{[]any{100, 5}}), "steps: 100, 5 ns does not rise"},
		"too many steps":             {set("steps", many(keptSteps+2, pair)), "4098 steps"},
		"no steps":                   {set("steps", []any{}), "from is 100"},
		"from below":                 {set("from", -2), "from is -2"},
		"from above":                 {set("from", 103), "does not rise"},
		"checkpoints do not rise":    {set("checkpoints", []any{pair(0), pair(0)}), "checkpoints: 101, 1 ns does not rise"},
		"negative checkpoints":       {set("checkpoints", []any{[]any{101, -1}}), "checkpoints: 101, -1 ns does not rise"},
		"too many checkpoints":       {set("checkpoints", many(keptCheckpoints+1, pair)), "1025 checkpoints"},
		"checkpoint of another time": {set("checkpoints", []any{[]any{103, 5}}), "checkpoint 103, 5 ns does not agree"},
		"checkpoint ahead":           {set("checkpoints", []any{[]any{106, 5996000000}}), "checkpoint 106, 5996000000 ns does not agree"},
		"old checkpoint above":       {with(func(m map[string]any) { m["from"], m["checkpoints"] = 0, []any{[]any{50, 1999000001}} }), "checkpoint 50, 1999000001 ns does not agree"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledgerFull()
			err := json.Unmarshal([]byte(c.state), l)
			require.Error(t, err)
			assert.ErrorContains(t, err, c.says)
			assert.Less(t, len(err.Error()), 300)
			assert.Equal(t, ledgerFull(), l, "left as it was")
		})
	}
	// The other way round: what is odd but possible.
	for name, state := range map[string]string{
		"unchanged":      string(valid),
		"old checkpoint": with(func(m map[string]any) { m["from"], m["checkpoints"] = 0, []any{[]any{50, 1999000000}} }),
		"unknown field":  set("mood", "good"),
	} {
		assert.NoError(t, json.Unmarshal([]byte(state), new(Ledger)), name)
	}
}

func TestLedgerJSONYears(t *testing.T) {
	_, err := json.Marshal(NewLedger(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.Error(t, err)
}

func FuzzLedgerJSON(f *testing.F) {
	for _, l := range []*Ledger{NewLedger(ledgerStart), ledgerFull()} {
		b, err := json.Marshal(l)
		require.NoError(f, err)
		f.Add(b, uint64(1))
	}
	for seed := range uint64(10) {
		l := NewLedger(ledgerStart)
		for _, e := range ledgerScript(rand.New(rand.NewPCG(seed, 30)), 30) {
			e.play(l)
		}
		b, err := json.Marshal(l)
		require.NoError(f, err)
		f.Add(b, seed)
	}
	f.Add([]byte(`{"cursor":"2026-01-02T03:04:05Z","phase":"step","steps":[[0,5]],"from":-1,"elapsed_ns":5}`), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var l Ledger
		if l.UnmarshalJSON(b) != nil {
			return
		}
		ledgerSum(t, &l, l.cursor)
		first, err := json.Marshal(&l)
		require.NoError(t, err)
		again, err := json.Marshal(ledgerRoundTrip(t, &l))
		require.NoError(t, err)
		require.Equal(t, string(first), string(again))
		// What comes after is no worse.
		r := rand.New(rand.NewPCG(seed, 31))
		before := l.Totals(l.cursor)
		n := l.sums.newest().step
		for _, e := range ledgerScript(r, 20) {
			if r.IntN(2) == 0 {
				e.n += n
			}
			e.at = l.cursor.Add(e.at.Sub(ledgerStart) / 20)
			e.play(&l)
			ledgerSum(t, &l, e.at)
			totals := l.Totals(e.at)
			if totals.fell(before) {
				t.Fatalf("%+v\n%+v", before, totals)
			}
			before = totals
		}
		if l.cursor.Year() < 9999 {
			ledgerRoundTrip(t, &l)
		}
	})
}

func ExampleLedger_MarshalJSON() {
	l := NewLedger(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	b, err := json.Marshal(l)
	fmt.Println(string(b), err)
	// Output:
	// {"cursor":"2026-01-02T03:04:05Z","phase":"init","elapsed_ns":0,"pending_ns":0,"spent_ns":{},"lost_ns":{},"reported_ns":{},"interruptions":{},"rollbacks":0,"clock_backwards":0,"from":0,"steps":[],"checkpoints":[],"took_ns":[]} <nil>
}
