// Package observelive is one http.Handler: a live page with plots of everything that a Prometheus
// registry of this process holds. No Prometheus server, no Grafana, no network beyond the one
// connection to the page: it works on a laptop, on a node without egress, and on a phone.
//
// # Quick start
//
//	live, err := observelive.New(observelive.Config{Gatherer: prometheus.DefaultGatherer})
//	if err != nil {
//		return err
//	}
//	go live.Run(ctx) // samples until ctx ends; without it the page says "not sampling"
//	http.Handle("/debug/live/", http.StripPrefix("/debug/live", live))
//
// New starts no goroutine. All links of the page are relative, so any prefix that ends in a slash
// will do. With a nil Config.Auth only this machine is served; see Security.
//
// # What is shown
//
// The page knows the metrics of this module (serving, rollout, autoscale, scheduler, GPU, training,
// quality, cost, container, health) and has a panel for each of the questions they answer;
// Config.Panels adds panels for other metrics. Panels whose metrics do not exist are left out and
// listed in the title bar. Every family that no panel knows gets a chart of its own, in a section
// named after the first word of its name. A gauge that ends in _simulated and is not 0 marks the charts of its
// domain: made-up numbers say so on the screen. An _info metric is shown as text.
//
// # From metrics to points
//
// A sample gathers once and derives one point for every curve. Times are in seconds; d is the
// difference to the sample before, of the same series:
//
//	counter    rate = d(value) / d(time), over at least 2 s where samples are closer together;
//	           a fall is a reset, and then the new value counts. A created timestamp later
//	           than the sample before makes all of a new series new; else first sight
//	           gives no point. What moves in lumps has a longer span: training tokens,
//	           MFU and the shares of time a minute, goodput and cost five minutes
//	gauge      the value. Several series in one curve are added, except _ratio (mean),
//	           _seconds and _celsius (maximum). Names ending in _timestamp_seconds or
//	           _start_time_seconds are shown as an age in seconds. Untyped: as a gauge
//	histogram  p50, p90, p99 and the rate of its count, from what each bucket rose by over the
//	           last 30 s (15 slots of at least 2 s). Histograms are added before the quantile is
//	           taken. Inside a bucket: linear, from 0 in the first one if its bound is positive,
//	           which is histogram_quantile's definition; above every bound the page shows
//	           "≥" the highest. Native histograms: buckets (2^((k-1) 2^-schema), 2^(k 2^-schema)],
//	           exponential inside a bucket, linear in the zero bucket, as Prometheus 3 does
//	summary    its quantiles as they are, and the rate of its count
//
// Three panels are made of several counters, d over the same span:
//
//	MFU        d(model_flops) / d(time) / peak_flops
//	goodput    (d(time_seconds{state="step"}) - d(lost_seconds)) / d(time_seconds)
//	cost       d(cost) / d(time) x 3600, in the currency of the label
//
// Missing is not zero: a series absent from a sample, NaN, an infinity, and a window without an
// observation are gaps in the curve. A series absent for Config.Keep is forgotten.
//
// Curves have a fine part (one point a sample, for Config.Keep) and a coarse part (mean and maximum
// of each minute, for Config.KeepCoarse); the page takes the second where the first does not reach.
//
// # Units
//
// Read off the name: _seconds (shown from ns to days), _bytes (binary prefixes), _ratio (percent),
// _celsius, _watts, _joules, _hertz; a counter's is that a second (joules a second are watts,
// CPU seconds a second are cores). Points go to the page in base units with six significant digits.
//
// # Security
//
// Metrics name models, tenants and hosts, so the page is not for everyone. With a nil Config.Auth a
// request is served only if the peer's address and the Host header are both loopback and no proxy
// header is set; the Host is compared because a foreign site may resolve its own name to 127.0.0.1
// (DNS rebinding). An own Auth decides alone. Answers carry a Content-Security-Policy that permits
// nothing but the page's own files. No endpoint changes anything. Label values are hostile: they are
// cut at 128 bytes and reach the page as text only.
//
// # Bounds
//
// With N = Config.MaxSeries curves, F = Keep/Every and C = KeepCoarse/1 min,
//
//	bytes <= N (4 F + 8 C + 800) + histograms x (17 x buckets x 8 + 2000)
//
// which is 17 MB at the defaults with 500 histograms of 20 buckets and 3.8 MB with 500 curves, a
// quarter of them of histograms. It is made in chunks as points arrive, to 10 % what the heap says;
// Stats.Bytes tells. A histogram is four curves. Beyond the cap new series are summed
// into the curve "other" of their family (an eighth of the cap is kept for those) and counted in
// Stats.Dropped. At most 16 data requests are answered at once (503 beyond), each for at most 30 s.
// The write deadline of a data request is set to 30 s and cleared after it.
//
// # HTTP
//
//	GET ./                                  the page
//	GET data?since=SEQ&range=fine|coarse    points after sample SEQ (Unix milliseconds)
//	GET layout                              panels, names, labels and units of the curves
//	GET live.js, live.css, icon.svg, ...    files of the page, immutable by version
//
// Other methods answer 405, other paths 404, bad queries 400, a refusal 401 or 403. HEAD works where
// GET does.
//
// # Errors
//
// New joins all faults of the Config. Run returns nil when its context ends, and ErrRunning if
// another Run is under way. A Gatherer that fails in part is shown with what it gave and an error
// on the page; one that panics is an error, too. A panic in Auth refuses, one in Marks means none.
//
// # Concurrency
//
// All methods may be called concurrently. Run is the only goroutine that writes; requests copy
// points under short read locks and never hold one while they write to a client.
//
// # Cost
//
// A sample of 500 series (400 plain, 100 histograms of 16 buckets) took 0.14 ms and 5 allocations
// beside 0.43 ms and 5,470 allocations of Gather, on a busy 2-core machine; a request of 100 curves
// of 900 points 1.8 ms, the next point of them 0.03 ms (go run . -bars -only observelive in
// internal/bench). A request holds the lock for less than 0.1 ms at a time. The page repaints
// twelve charts of 900 points in about 12 ms of its thread, charts out of view not at all.
//
// # Limitations
//
//   - The page shows one process and forgets at restart: it is for looking, Prometheus is for keeping.
//   - Quantiles are interpolations inside buckets. Histograms of more than 256 buckets, or with
//     bounds that are not increasing, show their rate only; native ones finer than 160 buckets a side
//     are merged to a coarser schema; those with custom bounds (schema -53) show their rate only.
//   - Histograms of different bounds in one curve cannot be added: the later ones are left out and
//     counted in Stats.Dropped. Summaries beyond the cap are left out, since quantiles cannot be
//     added either.
//   - Alerts are not evaluated here; Config.Marks shows what others decided.
//   - Values are float32: a counter's rate is exact to seven digits, a gauge above 3.4e38 is a gap.
//
// # Sources
//
// Quantiles: prometheus/prometheus, promql/quantile.go and the known values in
// promql/promqltest/testdata. Colours: M. Okabe and K. Ito, Color Universal Design (2008), darkened
// or lightened to a contrast of 3:1. Contrast: WCAG 2.2, 1.4.3 and 1.4.11. Resets and created
// timestamps: OpenMetrics 1.0, counter.
package observelive
