package observetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/calmops/calm/observe"
)

// Harness is a sink with a way to read what it exports.
type Harness struct {
	// Sink is the sink under test, fresh: nothing has been recorded into it.
	// Required.
	Sink observe.Sink

	// Read adds up the series of m that have all of the given labels; with none,
	// all series of m. Labels are those of [observe.Metrics], by their Prometheus
	// names, whatever the sink calls them; an empty value is a label that is empty
	// or absent. A metric without such series reads zero. ok is false if the sink
	// does not export m, or not by these labels: that is allowed. It may be called
	// at any time and from any goroutine. Required.
	Read func(m observe.MetricID, labels map[string]string) (r Reading, ok bool)
}

// Reading is the state of one metric. The zero value is that of a metric which
// nothing has moved.
type Reading struct {
	Count uint64  // observations of a histogram; not used for counters and gauges
	Sum   float64 // sum of a histogram, in its unit; value of a counter or gauge
}

// TestSink runs the conformance suite against a sink; doc.go lists what it
// checks. newHarness is called once for each subtest, most of which run in a
// testing/synctest bubble: what it makes may have goroutines only if
// t.Cleanup ends them. The suite never compares with another sink: the
// requirements are the RequestStats and the state of its own Recorders.
func TestSink(t *testing.T, newHarness func(*testing.T) Harness) {
	t.Helper()
	if newHarness == nil {
		t.Fatal("observetest: newHarness is nil")
	}
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			for _, fault := range c.check(t, newHarness) {
				t.Error(fault)
			}
		})
	}
}

// testCase is one part of the suite: it uses the sink of a scene, and the scene
// then tells whether the sink exports what happened.
type testCase struct {
	name     string
	realTime bool // not in a bubble: goroutines in parallel, or the real clock
	run      func(*scene)
}

// check runs the case and returns what the sink does wrong.
func (c testCase) check(t *testing.T, newHarness func(*testing.T) Harness) []string {
	s := &scene{}
	run := func(t *testing.T) {
		s.harness = newHarness(t)
		if s.harness.Sink == nil || s.harness.Read == nil {
			s.faultf("the Harness has no Sink or no Read")
			return
		}
		c.run(s)
		s.settle("at the end", 0)
	}
	if c.realTime {
		run(t)
	} else {
		synctest.Test(t, run)
	}
	return s.faults
}

// How many label sets, and values of one label, are read of a metric: a Read may
// cost a whole scrape. There are nine outcomes.
const maxSets, maxValues = 5, 10

// compare reads the sink and returns how it differs from the ledger.
func (l *ledger) compare(h Harness) (faults []string) {
	exported := false
	for _, m := range l.table {
		for _, labels := range l.samples(m) {
			got, ok := h.Read(m.ID, maps.Clone(labels))
			if !ok {
				continue
			}
			exported = true
			if want := l.read(m.ID, labels); !same(m, got, want) {
				faults = append(faults, fmt.Sprintf("%s: got %s, want %s", name(m, labels), show(m, got), show(m, want)))
			}
		}
	}
	if !exported {
		faults = append(faults, "the sink exports nothing at all")
	}
	return faults
}

// samples are the label selections by which a metric is read: all series, some
// whole label sets, and some values of each label alone.
func (l *ledger) samples(m observe.Metric) []map[string]string {
	all := []map[string]string{{}}
	keys := slices.Sorted(maps.Keys(l.rows[m.ID]))
	if len(m.Labels) == 0 {
		return all
	}
	for _, key := range spread(keys, maxSets) {
		all = append(all, l.rows[m.ID][key].labels)
	}
	if len(m.Labels) == 1 {
		return all
	}
	for _, label := range m.Labels {
		values := make(map[string]bool)
		for _, r := range l.rows[m.ID] {
			values[r.labels[label]] = true
		}
		for _, v := range spread(slices.Sorted(maps.Keys(values)), maxValues) {
			all = append(all, map[string]string{label: v})
		}
	}
	return all
}

// spread picks at most n of the keys, from the first to the last.
func spread(keys []string, n int) []string {
	if len(keys) <= n {
		return keys
	}
	picked := make([]string, n)
	for i := range picked {
		picked[i] = keys[i*(len(keys)-1)/(n-1)]
	}
	return picked
}

// tolerance is how much a sum may differ, relative to it: the order of adding.
const tolerance = 1e-9

func same(m observe.Metric, got, want Reading) bool {
	if m.Kind == observe.KindHistogram && got.Count != want.Count {
		return false
	}
	return math.Abs(got.Sum-want.Sum) <= tolerance*math.Abs(want.Sum)
}

func show(m observe.Metric, r Reading) string {
	if m.Kind == observe.KindHistogram {
		return fmt.Sprintf("%d observations, sum %v", r.Count, r.Sum)
	}
	return fmt.Sprint(r.Sum)
}

func name(m observe.Metric, labels map[string]string) string {
	var b strings.Builder
	b.WriteString(m.Prometheus)
	b.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%q", k, labels[k])
	}
	b.WriteByte('}')
	return b.String()
}
