package observetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bookSink is a sink that keeps books with a ledger. Its faults make it a sink
// that the suite must refuse.
type bookSink struct {
	mu     sync.Mutex
	book   *ledger
	recs   []*observe.Recorder
	kept   [][]time.Duration // slices that a faulty sink keeps
	keptAt []observe.Labels
	ptrs   []*observe.RequestStats

	faults faults
}

// faults are what a bookSink does wrong.
type faults struct {
	stats     func(*observe.RequestStats) (times int) // changes what is recorded, and how often
	gaps      func([]time.Duration) []time.Duration
	keepGaps  bool
	keepStats bool
	noLive    bool
	oneRec    bool
	silent    bool
	read      func(m observe.MetricID, labels map[string]string, r Reading) Reading
	ctx       func(context.Context) bool // whether the request is recorded
	series    func(observe.Labels) observe.Labels
}

func newBookSink(f faults) *bookSink { return &bookSink{book: newLedger(), faults: f} }

func (b *bookSink) harness(*testing.T) Harness { return Harness{Sink: b, Read: b.read} }

func (b *bookSink) Attach(r *observe.Recorder) {
	if b.faults.oneRec {
		b.recs = nil
	}
	b.recs = append(b.recs, r)
}

func (b *bookSink) Series(l observe.Labels) observe.SeriesSink {
	if b.faults.series != nil {
		l = b.faults.series(l)
	}
	return &bookSeries{b, l}
}

func (b *bookSink) read(m observe.MetricID, labels map[string]string) (Reading, bool) {
	if b.faults.silent {
		return Reading{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	live := newLedger()
	if !b.faults.noLive {
		for _, r := range b.recs {
			live.recorder(r)
		}
	}
	for i, gaps := range b.kept {
		live.gaps(b.keptAt[i], gaps)
	}
	for _, r := range b.ptrs {
		live.request(r)
	}
	sum, more := b.book.read(m, labels), live.read(m, labels)
	sum.Count += more.Count
	sum.Sum += more.Sum
	if b.faults.read != nil {
		sum = b.faults.read(m, labels, sum)
	}
	return sum, true
}

type bookSeries struct {
	sink   *bookSink
	labels observe.Labels
}

func (l *ledger) gaps(labels observe.Labels, gaps []time.Duration) {
	for _, g := range gaps {
		l.add(observe.MetricInterTokenLatency, 1, g.Seconds(), labels.Model, string(labels.Operation))
	}
}

func (s *bookSeries) Gaps(gaps []time.Duration) {
	b := s.sink
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.gaps != nil {
		gaps = b.faults.gaps(gaps)
	}
	if b.faults.keepGaps {
		b.kept = append(b.kept, gaps)
		b.keptAt = append(b.keptAt, s.labels)
		return
	}
	b.book.gaps(s.labels, gaps)
}

func (s *bookSeries) Request(ctx context.Context, r *observe.RequestStats) {
	b := s.sink
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.ctx != nil && !b.faults.ctx(ctx) {
		return
	}
	if b.faults.keepStats {
		b.ptrs = append(b.ptrs, r)
		return
	}
	c := *r
	c.Labels, c.Gaps = s.labels, 0
	times := 1
	if b.faults.stats != nil {
		times = b.faults.stats(&c)
	}
	for range times {
		b.book.request(&c)
	}
}

func TestSuiteAcceptsAnHonestSink(t *testing.T) {
	TestSink(t, func(t *testing.T) Harness { return newBookSink(faults{}).harness(t) })
}

// TestSuiteAcceptsPartialSinks: a metric or label that is not exported is no
// fault.
func TestSuiteAcceptsPartialSinks(t *testing.T) {
	TestSink(t, func(t *testing.T) Harness {
		b := newBookSink(faults{})
		return Harness{Sink: b, Read: func(m observe.MetricID, labels map[string]string) (Reading, bool) {
			_, byStream := labels["stream"]
			if byStream || m != observe.MetricRequests && m != observe.MetricRequestDuration {
				return Reading{}, false
			}
			return b.read(m, labels)
		}}
	})
}

// TestSuiteRefusesBrokenSinks gives each broken sink to the suite. The cases
// named must find it; others may too.
func TestSuiteRefusesBrokenSinks(t *testing.T) {
	drop := func(o observe.Outcome) func(*observe.RequestStats) int {
		return func(r *observe.RequestStats) int {
			if r.Outcome == o {
				return 0
			}
			return 1
		}
	}
	change := func(f func(*observe.RequestStats)) faults {
		return faults{stats: func(r *observe.RequestStats) int { f(r); return 1 }}
	}
	tests := []struct {
		name   string
		faults faults
		cases  []string
	}{
		{"drops panics", faults{stats: drop(observe.OutcomePanic)}, []string{"Outcomes", "FirstToken"}},
		{"drops hijacked", faults{stats: drop(observe.OutcomeHijacked)}, []string{"Outcomes"}},
		{"drops disconnects", faults{stats: drop(observe.OutcomeClientDisconnect)}, []string{"Outcomes", "Concurrency"}},
		{"counts twice", faults{stats: func(*observe.RequestStats) int { return 2 }}, []string{"Outcomes", "Twice", "Reuse", "Concurrency"}},
		{"counts streams twice", faults{stats: func(r *observe.RequestStats) int {
			if r.Stream {
				return 2
			}
			return 1
		}}, []string{"Outcomes"}},
		{"keeps the gap slice", faults{keepGaps: true}, []string{"Reuse"}},
		{"keeps the stats", faults{keepStats: true}, []string{"Reuse", "Outcomes"}},
		{"drops a gap of 64", faults{gaps: func(g []time.Duration) []time.Duration { return g[:min(len(g), 63)] }}, []string{"Gaps", "Reuse"}},
		{"rounds gaps to microseconds", faults{gaps: func(g []time.Duration) []time.Duration {
			g = slices.Clone(g)
			for i := range g {
				g[i] = g[i].Round(time.Microsecond)
			}
			return g
		}}, []string{"Gaps"}},
		{"has no gauges", faults{noLive: true}, []string{"Live", "Engine", "Losses", "Recorders"}},
		{"knows one Recorder", faults{oneRec: true}, []string{"Recorders"}},
		{"exports nothing", faults{silent: true}, []string{"Empty", "Outcomes"}},
		{"leaks in flight", faults{read: func(m observe.MetricID, _ map[string]string, r Reading) Reading {
			if m == observe.MetricInFlight && r.Sum == 0 {
				r.Sum = 1
			}
			return r
		}}, []string{"Live", "Outcomes", "Empty"}},
		{"hides gauges until the end", faults{read: func(m observe.MetricID, _ map[string]string, r Reading) Reading {
			if m == observe.MetricWaiting {
				r.Sum = 0
			}
			return r
		}}, []string{"Live"}},
		{"wants a live context", faults{ctx: func(ctx context.Context) bool { return ctx.Err() == nil }}, []string{"Contexts"}},
		{"merges operations", faults{series: func(l observe.Labels) observe.Labels {
			l.Operation = observe.OperationChat
			return l
		}}, []string{"LabelSets", "Usage"}},
		{"one series a model", faults{series: func(l observe.Labels) observe.Labels { l.Model = "m"; return l }}, []string{"LabelSets"}},
		{"success of every first token", change(func(r *observe.RequestStats) { r.ErrorType = "" }), []string{"Outcomes", "FirstToken"}},
		{"first token of successes only", change(func(r *observe.RequestStats) {
			if r.Outcome != observe.OutcomeOK {
				r.Valid &^= observe.FieldTTFT
			}
		}), []string{"Outcomes", "FirstToken"}},
		{"zero is absent", change(func(r *observe.RequestStats) {
			if r.TTFT == 0 {
				r.Valid &^= observe.FieldTTFT
			}
		}), []string{"FirstToken"}},
		{"absent is zero", change(func(r *observe.RequestStats) { r.Valid |= observe.FieldTPOT }), []string{"Outcomes", "FirstToken"}},
		{"decode of failures", change(func(r *observe.RequestStats) { r.Outcome = observe.OutcomeOK }), []string{"Outcomes"}},
		{"unknown is zero tokens", change(func(r *observe.RequestStats) { r.InputSource = observe.TokensUsage }), []string{"Usage"}},
		{"zero tokens are unknown", change(func(r *observe.RequestStats) {
			if r.Usage.Output == 0 {
				r.OutputSource = observe.TokensUnknown
			}
		}), []string{"Usage"}},
		{"adds cached to input", change(func(r *observe.RequestStats) { r.Usage.Input += r.Usage.CachedInput }), []string{"Usage", "Reuse"}},
		{"32-bit tokens", change(func(r *observe.RequestStats) { r.Usage.Input = int64(uint32(r.Usage.Input)) }), []string{"Usage"}},
		{"abandoned as scheduled", change(func(r *observe.RequestStats) { r.Abandoned = false }), []string{"Queue"}},
		{"forgets the priority", change(func(r *observe.RequestStats) { r.Priority = "" }), []string{"Queue"}},
		{"no reasons", change(func(r *observe.RequestStats) { r.FinishReason = "" }), []string{"Usage"}},
		{"no attainment", change(func(r *observe.RequestStats) { r.SLO = observe.Attainment{} }), []string{"SLO"}},
		{"no overhead", change(func(r *observe.RequestStats) { r.Overhead = 0 }), []string{"Overhead"}},
		{"code of nothing", change(func(r *observe.RequestStats) {
			if r.Code == "none" {
				r.Code = "200"
			}
		}), []string{"Outcomes", "Twice"}},
		{"makes the code from the status", change(func(r *observe.RequestStats) {
			if r.Code = "none"; r.StatusCode != 0 {
				r.Code = fmt.Sprint(r.StatusCode)
			}
		}), []string{"Outcomes", "Contexts"}},
		{"panics on errors", change(func(r *observe.RequestStats) {
			if r.Outcome == observe.OutcomeServerError {
				panic("a sink")
			}
		}), []string{"Outcomes", "Concurrency"}},
	}
	cases := make(map[string]testCase)
	for _, c := range suite() {
		cases[c.name] = c
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range tt.cases {
				c, ok := cases[name]
				require.True(t, ok, name)
				found := c.check(t, newBookSink(tt.faults).harness)
				assert.NotEmpty(t, found, "%s does not find it", name)
			}
		})
	}
}

func TestSuiteRefusesAnEmptyHarness(t *testing.T) {
	found := suite()[0].check(t, func(*testing.T) Harness { return Harness{} })
	assert.Equal(t, []string{"the Harness has no Sink or no Read"}, found)
}

// TestSuiteCoversTheTable: every metric is moved, every outcome occurs and every
// label of the table takes more than one value somewhere in the suite.
func TestSuiteCoversTheTable(t *testing.T) {
	moved := make(map[string]bool)
	outcomes := make(map[string]bool)
	values := make(map[string]map[string]bool)
	for _, c := range suite() {
		b := newBookSink(faults{})
		require.Empty(t, c.check(t, func(*testing.T) Harness {
			return Harness{b, func(m observe.MetricID, labels map[string]string) (Reading, bool) {
				r, ok := b.read(m, labels)
				b.mu.Lock()
				defer b.mu.Unlock()
				if r != (Reading{}) {
					moved[b.book.table[m].Prometheus] = true
				}
				return r, ok
			}}
		}), c.name)
		for _, r := range b.recs {
			b.book.recorder(r)
		}
		for _, m := range b.book.table {
			for _, r := range b.book.rows[m.ID] {
				for label, v := range r.labels {
					if values[label] == nil {
						values[label] = make(map[string]bool)
					}
					values[label][v] = true
				}
				if o := r.labels["outcome"]; o != "" {
					outcomes[o] = true
				}
			}
		}
	}
	for _, m := range observe.Metrics() {
		assert.True(t, moved[m.Prometheus], "%s is never moved", m.Prometheus)
		for _, l := range m.Labels {
			assert.Greater(t, len(values[l]), 1, "label %s", l)
		}
	}
	for o := range observe.OutcomeHijacked + 1 {
		assert.True(t, outcomes[o.String()], "%v never occurs", o)
	}
}

func TestFaultsSayWhatAndWhere(t *testing.T) {
	b := newBookSink(faults{stats: func(r *observe.RequestStats) int {
		if r.Outcome == observe.OutcomeHijacked {
			return 2
		}
		return 1
	}})
	found := suite()[1].check(t, b.harness)
	assert.Contains(t, found, `at the end: llm_server_requests_total{outcome="hijacked"}: got 2, want 1`)
	assert.Contains(t, found, `at the end: gen_ai_server_request_duration_seconds{model="m"}: got 67 observations, sum 0.8110000000000002, want 66 observations, sum 0.8090000000000002`)
	b = newBookSink(faults{stats: func(*observe.RequestStats) int { return 2 }})
	found = suite()[1].check(t, b.harness)
	assert.Len(t, found, maxFaults+1)
	assert.Regexp(t, `^at the end: and \d+ more$`, found[maxFaults])
}

func TestEverySampleIsDistinct(t *testing.T) {
	for n := range 40 {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint(100 + i)
		}
		got := spread(keys, maxValues)
		assert.Len(t, got, min(n, maxValues))
		assert.Len(t, slices.Compact(slices.Clone(got)), len(got))
		if n > 0 {
			assert.Equal(t, keys[0], got[0])
			assert.Equal(t, keys[n-1], got[len(got)-1])
		}
	}
}
