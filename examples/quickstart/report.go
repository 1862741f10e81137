package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/observe"
)

// sampleSet keeps a bounded, unbiased sample of any number of values
// (reservoir sampling), so that a run of days costs no more than one of seconds.
type sampleSet struct {
	values []float64
	seen   int
	rng    *rand.Rand
}

const maxSamples = 50_000

func newSampleSet(seed uint64) *sampleSet { return &sampleSet{rng: rand.New(rand.NewPCG(seed, 3))} }

func (s *sampleSet) add(v float64) {
	s.seen++
	if len(s.values) < maxSamples {
		s.values = append(s.values, v)
	} else if i := s.rng.IntN(s.seen); i < maxSamples {
		s.values[i] = v
	}
}

// quantile returns the q-quantile by the nearest rank, NaN if there is no value.
func (s *sampleSet) quantile(q float64) float64 {
	if len(s.values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(s.values))
	return v[max(int(math.Ceil(q*float64(len(v))))-1, 0)]
}

// results are the server's own figures: a second sink of the recorder, and its
// OnRequest. They hold raw values where Prometheus holds buckets.
type results struct {
	entered atomic.Int64 // requests that reached the server, counted outside of observe

	mu       sync.Mutex
	began    time.Time
	requests int
	outcomes map[observe.Outcome]int
	output   int64
	ttft     *sampleSet
	ttftSum  float64
	ttfts    int
	gaps     *sampleSet
}

func newResults() *results {
	return &results{outcomes: map[observe.Outcome]int{}, ttft: newSampleSet(1), gaps: newSampleSet(1), began: time.Now()}
}

// begin starts the clock of the rates.
func (r *results) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = time.Now()
}

// entries counts requests before anything of observe sees them.
func (r *results) entries(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.entered.Add(1)
		next.ServeHTTP(w, req)
	})
}

// add is the recorder's OnRequest.
func (r *results) add(s observe.RequestStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.outcomes[s.Outcome]++
	r.output += s.Usage.Output
	if s.Has(observe.FieldTTFT) {
		r.ttft.add(s.TTFT.Seconds())
		r.ttftSum += s.TTFT.Seconds()
		r.ttfts++
	}
}

// Attach, Series, Gaps and Request make results a sink: for the gaps, which
// OnRequest does not have one by one.
func (r *results) Attach(*observe.Recorder)                       {}
func (r *results) Series(observe.Labels) observe.SeriesSink       { return r }
func (r *results) Request(context.Context, *observe.RequestStats) {}
func (r *results) Gaps(gaps []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range gaps {
		r.gaps.add(g.Seconds())
	}
}

// line is the state of things in one line.
func (r *results) line() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := time.Since(r.began).Seconds()
	return fmt.Sprintf("%5.0f s  %d requests, %.1f/s  %.0f tokens/s  TTFT p50 %s p95 %s  %s",
		d, r.requests, float64(r.requests)/d, float64(r.output)/d,
		millis(r.ttft.quantile(.5)), millis(r.ttft.quantile(.95)), r.words())
}

// words lists the outcomes, the good ones first. The caller holds mu.
func (r *results) words() string {
	var b strings.Builder
	for o := observe.OutcomeOK; o <= observe.OutcomeHijacked; o++ {
		if n := r.outcomes[o]; n > 0 {
			fmt.Fprintf(&b, "%s %d  ", o, n)
		}
	}
	return strings.TrimSpace(b.String())
}

func millis(seconds float64) string {
	if math.IsNaN(seconds) {
		return "-"
	}
	return fmt.Sprintf("%.3g ms", seconds*1e3)
}

// report prints what was measured, and returns an error if the figures do not
// agree with each other: the server's with its clients', and the sum of its
// parts with the whole.
func (r *results) report(out io.Writer, reg prometheus.Gatherer, rec *observe.Recorder, clients *load, agree time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := time.Since(r.began).Seconds()
	fmt.Fprintf(out, `
report   %.0f s of serving
  requests          %d, %.1f/s
  TTFT              p50 %s   p95 %s
  inter-token       p50 %s   p95 %s
  output            %d tokens, %.0f/s
  outcomes          %s
`, d, r.requests, float64(r.requests)/d, millis(r.ttft.quantile(.5)), millis(r.ttft.quantile(.95)),
		millis(r.gaps.quantile(.5)), millis(r.gaps.quantile(.95)), r.output, float64(r.output)/d, r.words())

	var errs []error
	check := func(ok bool, claim string, args ...any) {
		mark, text := "ok    ", fmt.Sprintf(claim, args...)
		if !ok {
			mark = "FAILED"
			errs = append(errs, errors.New(text))
		}
		fmt.Fprintf(out, "  %s  %s\n", mark, text)
	}
	exported, err := exportedFigures(reg)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nchecks")
	entered := r.entered.Load()
	check(exported.requests == float64(entered) && int64(r.requests) == entered,
		"every request counted once: %d entered, %d finished, %.0f in requests_total", entered, r.requests, exported.requests)
	check(exported.ttfts == float64(r.ttfts) && math.Abs(exported.ttftSum-r.ttftSum) <= 1e-9*math.Max(1, r.ttftSum),
		"/metrics has every first token: %d, %.3f s in all", r.ttfts, exported.ttftSum)
	check(exported.output == float64(r.output), "/metrics has every output token: %.0f", exported.output)
	var inFlight int64
	for l := range rec.Live() {
		inFlight += l.InFlight
	}
	check(inFlight == 0, "nothing is in flight any more: %d", inFlight)
	if clients != nil {
		clients.mu.Lock()
		defer clients.mu.Unlock()
		theirs, ours := clients.ttft.quantile(.5), r.ttft.quantile(.5)
		check(len(clients.problems) == 0, "%d clients got what they asked for, %d left early; problems: %s",
			clients.sent, clients.left, first(clients.problems))
		check(clients.ttft.seen > 0 && math.Abs(theirs-ours) <= agree.Seconds(),
			"clients measured the same TTFT: p50 %s, server %s, within %v", millis(theirs), millis(ours), agree)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%d of the checks above", len(errs))
	}
	fmt.Fprintf(out, "\nquickstart: ok %d requests, TTFT p50 %s, %.0f tokens/s\n", r.requests, millis(r.ttft.quantile(.5)), float64(r.output)/d)
	return nil
}

func first(problems []string) string {
	if len(problems) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, such as %q", len(problems), problems[0])
}

// figures are what /metrics says.
type figures struct{ requests, ttfts, ttftSum, output float64 }

func exportedFigures(reg prometheus.Gatherer) (f figures, err error) {
	families, err := reg.Gather()
	if err != nil {
		return f, err
	}
	names := map[string]observe.MetricID{}
	for _, m := range observe.Metrics() {
		names[m.Prometheus] = m.ID
	}
	for _, family := range families {
		id, known := names[family.GetName()]
		if !known {
			continue
		}
		for _, m := range family.GetMetric() {
			switch id {
			case observe.MetricRequests:
				f.requests += m.GetCounter().GetValue()
			case observe.MetricTimeToFirstToken:
				f.ttfts += float64(m.GetHistogram().GetSampleCount())
				f.ttftSum += m.GetHistogram().GetSampleSum()
			case observe.MetricTokens:
				for _, l := range m.GetLabel() {
					if l.GetName() == "type" && l.GetValue() == "output" {
						f.output += m.GetCounter().GetValue()
					}
				}
			}
		}
	}
	return f, nil
}
