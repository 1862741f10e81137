package training

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJSONLinesText(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 600, time.FixedZone("", 3600))
	const head = `"run":"r7","rank":2,"time":"2026-01-02T14:04:05.0000006Z",`
	r := Record{Session: jlSession, At: at, Step: 12}
	with := func(change func(*Record)) []Record { c := r; change(&c); return []Record{c} }
	for _, c := range []struct {
		name  string
		batch []Record
		want  string
	}{
		{"step", jlStep(12, at, "train/loss", 2.5, "train/grad_norm", math.NaN(), "train/learning_rate", 3e-4, "train/tokens", 4e9, "train/mfu", math.Inf(1)),
			`{"type":"step",` + head + `"step":12,"loss":2.5,"learning_rate":0.0003,"tokens":4000000000,"nonfinite":{"grad_norm":"NaN","mfu":"Infinity"}}`},
		{"reserved names keep their prefix", jlStep(1, at, "train/step", 1.0, "step", 2.0, "plain", -0.5),
			`{"type":"step",` + head + `"step":1,"train/step":1,"plain":-0.5}`},
		{"scalar", with(func(r *Record) { r.Kind, r.Tag, r.Value = RecordScalar, "eval/loss", 1e300 }),
			`{"type":"scalar",` + head + `"step":12,"tag":"eval/loss","value":1e+300}`},
		{"scalar -Inf", with(func(r *Record) { r.Kind, r.Tag, r.Value = RecordScalar, "eval/loss", math.Inf(-1) }),
			`{"type":"scalar",` + head + `"step":12,"tag":"eval/loss","nonfinite":{"value":"-Infinity"}}`},
		{"gradients", with(func(r *Record) {
			r.Kind, r.Tag = RecordHistogram, "gradients/w"
			r.Histogram = &Histogram{Min: -1, Max: 2, Count: 3, Sum: 1, SumSquares: 5, Limits: []float64{0, math.Inf(1)}, Counts: []int64{1, 2}}
		}), `{"type":"gradients",` + head + `"step":12,"tag":"gradients/w","count":3,"min":-1,"max":2,"sum":1,"sum_squares":5,"limits":[0,0],"counts":[1,2],"nonfinite":{"limits[1]":"Infinity"}}`},
		{"session", with(func(r *Record) { r.Kind = RecordSession }), `{"type":"session",` + head + `"step":12,"world":4}`},
		{"checkpoint", with(func(r *Record) { r.Kind = RecordCheckpoint }), `{"type":"checkpoint",` + head + `"step":12}`},
		{"rollback", with(func(r *Record) { r.Kind, r.Text = RecordRollback, "spike\n\"a\\b\x00\xff" }),
			`{"type":"rollback",` + head + `"step":12,"cause":"spike\n\"a\\b\u0000` + "\uFFFD" + `"}`},
		{"event", with(func(r *Record) {
			r.Kind, r.Event = RecordEvent, &Event{Kind: EventSpike, Step: 12, Onset: 11, At: at, Signal: "loss", Value: 9, Limit: 4, Score: 8, RollbackTo: 10, SkipMin: 1, SkipMax: 3, Since: 1500 * time.Millisecond, Detail: "d"}
		}), `{"type":"event",` + head + `"step":12,"kind":"spike","onset":11,"signal":"loss","value":9,"limit":4,"score":8,"rollback_to":10,"skip_min":1,"skip_max":3,"since_seconds":1.5,"detail":"d"}`},
		{"straggler", with(func(r *Record) { r.Kind, r.Event = RecordEvent, &Event{Kind: EventStraggler, Score: 0.5} }),
			`{"type":"event",` + head + `"step":12,"kind":"straggler","score":0.5,"lagging_rank":0}`},
		{"summary without a ledger", with(func(r *Record) { r.Kind = RecordSummary }), `{"type":"summary",` + head + `"step":12}`},
	} {
		var e lineEncoder
		e.encode(c.batch, 1<<20)
		require.Equal(t, c.want+"\n", string(e.buf), c.name)
		require.Equal(t, []lineEnd{{len(e.buf), len(c.batch)}}, e.lines, c.name)
		require.True(t, json.Valid(e.buf), c.name)
	}
}

func TestJSONLinesGroups(t *testing.T) {
	at := time.Unix(1700000000, 0)
	other := *jlSession
	batch := jlStep(1, at, "train/loss", 1.0, "train/step_seconds", 2.0)
	batch = append(batch, jlStep(1, at, "train/loss", 3.0)...)                // another step of the same number and time
	batch = append(batch, jlStep(2, at, "train/loss", 4.0)...)                // of another number
	batch = append(batch, jlStep(2, at.Add(1), "train/step_seconds", 4.0)...) // of another time
	batch = append(batch, Record{Kind: RecordStep, Session: &other, At: at.Add(1), Step: 2, Tag: "train/mfu"})
	batch = append(batch, Record{Kind: RecordCheckpoint, Step: 2})
	var e lineEncoder
	e.encode(batch, 1<<20)
	var records []int
	for _, l := range e.lines {
		records = append(records, l.records)
	}
	require.Equal(t, []int{2, 1, 1, 1, 1, 1}, records)

	wide := make([]Record, 200)
	for i := range wide {
		wide[i] = Record{Kind: RecordStep, Session: jlSession, Step: 1, Tag: fmt.Sprint("train/", i)}
	}
	e.encode(wide, 1<<20)
	require.Len(t, e.lines, 4, "a line has a bounded number of values")
}

// jlRandom returns a record of any kind with hostile content.
func jlRandom(r *rand.Rand) Record {
	text := func() string {
		parts := []string{"loss", "\x00", "\xff\xfe", "\"", "\\", "\n", "ü", "\u2028", "😀", "a/b", "\x7f", "</script>", "train/"}
		var s strings.Builder
		for range r.IntN(6) {
			s.WriteString(parts[r.IntN(len(parts))])
		}
		return s.String()
	}
	number := func() float64 {
		switch r.IntN(8) {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(1 - 2*r.IntN(2))
		case 2:
			return float64(r.IntN(100))
		case 3:
			return math.Float64frombits(r.Uint64())
		}
		return r.NormFloat64()
	}
	span := func() time.Duration { return time.Duration(r.Uint64()) >> r.IntN(60) }
	rec := Record{
		Kind: RecordKind(r.IntN(int(RecordSummary) + 1)), Session: &Session{Run: text(), Rank: r.IntN(9), World: 9},
		At: time.Unix(r.Int64N(1<<33), r.Int64N(1e9)).UTC(), Step: r.Int64() >> r.IntN(63),
	}
	switch rec.Kind {
	case RecordStep, RecordScalar:
		rec.Tag, rec.Value = text(), number()
	case RecordHistogram:
		h := &Histogram{Min: number(), Max: number(), Count: r.Int64(), Sum: number(), SumSquares: number(), Limits: []float64{}, Counts: []int64{}}
		for range r.IntN(5) {
			h.Limits, h.Counts = append(h.Limits, number()), append(h.Counts, r.Int64())
		}
		rec.Tag, rec.Histogram = text(), h
	case RecordRollback:
		rec.Text = text()
	case RecordEvent:
		rec.Event = &Event{Kind: EventKind(r.IntN(int(numEventKinds))), Step: rec.Step, Onset: r.Int64N(9), At: rec.At, Signal: text(), Value: number(), Limit: number(),
			Score: number(), RollbackTo: r.Int64N(9), SkipMin: r.IntN(9), SkipMax: r.IntN(9), Since: span(), Detail: text()}
		if rec.Event.Kind == EventStraggler {
			rec.Event.Rank = r.IntN(9)
		}
	case RecordSummary:
		if r.IntN(4) > 0 {
			rec.Goodput = &Goodput{Elapsed: span(), Productive: span(), Ratio: number(), MaxProductiveStep: r.Int64(), Interruptions: r.Int64(), Rollbacks: r.Int64(), MTBF: span(), StepDeviation: span(), IdealStep: span()}
			for c := range rec.Goodput.Badput {
				rec.Goodput.Badput[c] = span()
			}
		}
	}
	return rec
}

// jlSame turns NaN into a number, so that values compare.
func jlSame(x float64) float64 {
	if math.IsNaN(x) {
		return 12345.678
	}
	return x
}

// jlLine is the line that a record should read as.
func jlLine(rec Record) Line {
	valid := func(s string) string { return string([]rune(s)) }
	types := []string{"step", "scalar", "gradients", "session", "rollback", "checkpoint", "event", "summary"}
	l := Line{Type: types[rec.Kind], Session: Session{Run: valid(rec.Session.Run), Rank: rec.Session.Rank}, At: rec.At, Step: rec.Step,
		Histogram: rec.Histogram, Goodput: rec.Goodput, Text: valid(rec.Text)}
	switch rec.Kind {
	case RecordStep:
		name := strings.TrimPrefix(rec.Tag, "train/")
		l.Values = map[string]float64{valid(name): rec.Value}
	case RecordScalar, RecordHistogram:
		l.Tag, l.Value = valid(rec.Tag), rec.Value
	case RecordSession:
		l.Session.World = rec.Session.World
	case RecordEvent:
		e := *rec.Event
		e.Signal, e.Detail = valid(e.Signal), valid(e.Detail)
		l.Event = &e
	}
	return l
}

func jlComparable(l Line) Line {
	l.Value = jlSame(l.Value)
	for k, v := range l.Values {
		l.Values[k] = jlSame(v)
	}
	if l.Histogram != nil {
		h := *l.Histogram
		h.Min, h.Max, h.Sum, h.SumSquares = jlSame(h.Min), jlSame(h.Max), jlSame(h.Sum), jlSame(h.SumSquares)
		h.Limits = append([]float64{}, h.Limits...)
		for i := range h.Limits {
			h.Limits[i] = jlSame(h.Limits[i])
		}
		l.Histogram = &h
	}
	if l.Event != nil {
		e := *l.Event
		e.Value, e.Limit, e.Score = jlSame(e.Value), jlSame(e.Limit), jlSame(e.Score)
		l.Event = &e
	}
	if l.Goodput != nil {
		g := *l.Goodput
		g.Ratio = jlSame(g.Ratio)
		l.Goodput = &g
	}
	return l
}

func TestJSONLinesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	var e lineEncoder
	for range 10_000 {
		rec := jlRandom(r)
		e.encode([]Record{rec}, 1<<20)
		require.True(t, json.Valid(e.buf), "%s", e.buf)
		require.Equal(t, 1, bytes.Count(e.buf, []byte("\n")), "%s", e.buf)
		lines := jlRead(t, bytes.NewReader(e.buf))
		require.Len(t, lines, 1, "%s", e.buf)
		require.Equal(t, jlComparable(jlLine(rec)), jlComparable(lines[0]), "%s", e.buf)
	}
}

func TestJSONLinesHuge(t *testing.T) {
	huge := strings.Repeat("\x00ü", 1<<15)
	h := &Histogram{Limits: make([]float64, 1<<17), Counts: make([]int64, 1<<17)}
	full := &Histogram{Limits: make([]float64, maxLineBuckets), Counts: make([]int64, maxLineBuckets)}
	for i := range full.Limits {
		full.Limits[i], full.Counts[i] = math.Inf(-1), math.MinInt64
	}
	s := &Session{Run: huge}
	batch := []Record{
		{Kind: RecordScalar, Session: s, Tag: huge, Value: math.NaN()},
		{Kind: RecordRollback, Session: s, Text: "xy" + huge},
		{Kind: RecordEvent, Session: s, Event: &Event{Signal: huge, Detail: huge}},
		{Kind: RecordHistogram, Session: s, Tag: huge, Histogram: h},
		{Kind: RecordHistogram, Session: s, Tag: huge, Histogram: full},
		{Kind: RecordHistogram, Session: s, Histogram: &Histogram{Limits: make([]float64, 3)}},
		{Kind: RecordHistogram}, {Kind: RecordEvent}, {Kind: 99, At: time.Unix(1<<55, 0)}, // nothing to point to
	}
	for i := range 64 {
		batch = append(batch, Record{Kind: RecordStep, Session: s, Tag: fmt.Sprint(i, huge), Value: math.NaN()})
	}
	var e lineEncoder
	e.encode(batch, 1<<30)
	start := 0
	for _, l := range e.lines {
		require.Less(t, l.end-start, maxLineBytes)
		start = l.end
	}
	lines := jlRead(t, bytes.NewReader(e.buf))
	require.Len(t, lines, 8, "all but the event of no kind and the unknown one")
	require.Equal(t, "xy"+huge[:maxLineText-3]+"…", lines[1].Text, "cut between characters")
	require.Equal(t, "0"+huge[:maxLineName-1]+"…", first(lines[7].Values), "cut")
	require.Empty(t, lines[3].Histogram.Limits)
	require.Equal(t, full.Limits, lines[4].Histogram.Limits)
	require.Empty(t, lines[5].Histogram.Limits)
	require.Len(t, lines[7].Values, 64)
}

// first returns the key that sorts first.
func first(values map[string]float64) string { return slices.Min(slices.Collect(maps.Keys(values))) }

func TestJSONLinesSeconds(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0": 0, "1": time.Second, "0.000000001": 1, "-0.5": -time.Second / 2, "9223372036.854775807": math.MaxInt64,
		"-9223372036.854775808": math.MinInt64, "86400.01": 24*time.Hour + 10*time.Millisecond,
	} {
		require.Equal(t, want, string(appendSeconds(nil, d)))
	}
}
