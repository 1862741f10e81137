// Package observetest tests what package observe is joined to: implementations of
// observe.Sink, and handlers that are measured. Nothing but tests imports it.
//
// # Quick start
//
// A sink is tested with one function that makes a fresh one and says how to read
// it:
//
//	func TestSink(t *testing.T) {
//		observetest.TestSink(t, func(t *testing.T) observetest.Harness {
//			sink := mysink.New()
//			return observetest.Harness{
//				Sink: sink,
//				Read: func(m observe.MetricID, labels map[string]string) (observetest.Reading, bool) {
//					n, sum := sink.Total(observe.Metrics()[m].Prometheus, labels)
//					return observetest.Reading{Count: n, Sum: sum}, true
//				},
//			}
//		})
//	}
//
// A measured handler is tested with a [Memory], which keeps what it is given:
//
//	sink := observetest.NewMemory()
//	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{sink}})
//	rec.Middleware(handler).ServeHTTP(w, r)
//	got := sink.Requests()[0]
//
// and [Play] stands in for a handler, by a timed script of its response.
//
// # What the suite checks
//
// Every case feeds the sink from Recorders of its own and then compares all that
// the sink exports with what they said: the RequestStats that OnRequest got, and
// Live, Engines, Served and Losses. It never compares with another sink. Counts
// are exact; sums may differ by 1e-9 of their value, since order matters when
// floats are added. Each metric is read as a whole, by whole label sets, and by
// each value of a label, so that a value in a wrong series is found.
//
//   - Empty: nothing but zeros before any traffic.
//   - Outcomes: each way to end a request, through the middleware and by End; each
//     ends exactly once, and nothing is in flight after it.
//   - Usage: tokens of every source and dialect, known zeros, finish reasons.
//   - FirstToken: what has a first token, a first content and a time per output
//     token. A time of zero is a time.
//   - Queue, SLO: waits, abandoned and scheduled, by priority; objectives met,
//     missed and not counted.
//   - Engine, Live, Losses: what a sink reads from its Recorder: gauges and
//     counters of engines, what is served, requests in flight and waiting at each
//     step of their life, and what was lost.
//   - LabelSets: many of them, with more models than have a place.
//   - Gaps: merges of up to 64 gaps, read while the stream runs.
//   - Reuse: the slice of a merge and the stats of a request belong to the caller
//     again after the call.
//   - Contexts: cancelled ones, and ones that have a value for nothing.
//   - Twice: requests that are ended or measured twice count once.
//   - Recorders: several on one sink; equal label sets add up.
//   - Overhead, Concurrency: on the real clock, with many goroutines and readers.
//
// A metric, or a label of it, that a sink does not export is left out, by the
// second result of Harness.Read; a sink that exports nothing at all fails. The
// suite's own tests give it some thirty sinks that are wrong in one way each,
// such as one that drops an outcome, one that keeps the slice of gaps and one that
// counts twice, and check that it finds every one.
//
// # Scripts
//
// A script has one step a line, with the time to wait before it:
//
//	header 200 text/event-stream
//	300ms write "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"
//	20ms  flush
//	panic "boom"
//
// # Units
//
// Readings are in the units of the metric table: seconds, bytes, tokens, requests.
// Waits of scripts are written as for [time.ParseDuration].
//
// # Errors
//
// Faults of a sink are errors of the test, one a reading, with the labels, what
// was read and what should have been. [Play] returns the error of a malformed
// line before it plays anything, and that of a writer where it occurs.
//
// # Concurrency and cost
//
// A [Memory] may be used from many goroutines. TestSink takes about half a second
// for a sink that is cheap to read; it reads a few thousand times. Most cases run
// in a testing/synctest bubble, where their waits take no real time.
//
// # Limitations
//
//   - Buckets of histograms are not compared, only their counts and sums.
//   - Exemplars and spans are a sink's own affair.
//   - A sink that calls a network inside Gaps or Request makes time stand still in
//     a bubble: test it with a client that does not.
//
// # Sources
//
// The shape follows testing/slogtest. The requirements are those of the
// documentation of package observe.
package observetest
