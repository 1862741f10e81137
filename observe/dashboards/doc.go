// Package dashboards makes Grafana dashboards and Prometheus rules of what calm's
// packages export, and holds any dashboard against the rules of a linter.
//
// Dashboards and rules are made of the tables of metrics that the collectors export
// by, so that no panel asks for a name that is not there; the tests ask a real
// Prometheus all of it.
//
// # Quick start
//
//	for _, d := range dashboards.All(dashboards.Config{}) {
//		os.WriteFile(d.UID()+".json", d.JSON(), 0o644)
//	}
//	rules, err := dashboards.Alerts(dashboards.AlertConfig{Selector: `job=~"llm-.*"`})
//	os.WriteFile("rules.yml", rules.YAML(), 0o644)
//
// The program examples/grafana writes them with what Grafana needs to find them;
// examples/prometheus starts a Prometheus that evaluates the rules, and its README.md
// says what to do about each alert.
//
// # Dashboards
//
//   - [Serving]: requests, tokens, latency, what is in flight, the error budget, and
//     what the measurement itself has lost.
//   - [Training]: curves, where the time goes, what the detectors found; and the
//     quality of models.
//   - [Operations]: CPU, memory and pressure against their limits, log lines, cost.
//
// Each begins with a row of numbers, can be narrowed by job and instance and some by
// model or run, and says in the description of each panel what to look for and which
// metrics it is made of. Histograms are read in their classic form, or with
// [Config].Native in their native one: Prometheus 2 keeps only one of the two.
//
// The objective that the error budget is computed for is chosen on the dashboard. Its
// panels ask the counters, not the recorded series, so that they need no rules and
// can be narrowed by instance.
//
// # Burn rate
//
// An [SLO] says which share of events must be good. Its error budget is the rest.
// The burn rate is how many times faster than allowed the budget goes:
//
//	burn rate = share of bad events / (1 - objective)
//	factor    = share of the budget x period / long window
//
//	               page        page        ticket      ticket
//	long / short   1h / 5m     6h / 30m    1d / 2h     3d / 6h
//	budget         2 %         5 %         10 %        10 %
//	30 days        14.4        6           3           1
//	28 days        13.44       5.6         2.8         0.9333
//
// An alert fires while the burn rate is above the factor over the long window, which
// says that it matters, and over the short one, which says that it is not over. There
// is no waiting beyond that. [BurnRate] records, each with the label slo:
//
//	slo:error_ratio:rate5m, 30m, 1h, 2h, 6h, 1d, 3d
//	slo:error_budget_remaining:ratio    over the whole period; below 0 it is overspent
//	slo:objective:ratio
//
// Where there is little traffic, one failed request may be a large share: a window
// needs [SLO].MinEvents before it alerts, by default so many that one alone never can.
// No event at all gives no ratio, not 0. A window whose limit is above 1, as with an
// objective of 0.9, cannot fire and is left out.
//
// # Lint
//
// [Lint] knows the rules of grafana/dashboard-linter. Ours apply to every type of
// panel that has queries:
//
//	template-datasource-rule             one data source variable, of the usual name
//	template-job-rule                    variable job: query, multi, .+ for all
//	template-instance-rule               variable instance: the same
//	template-label-promql-rule           queries of variables can be read
//	template-on-time-change-reload-rule  they are asked again with the time range
//	panel-datasource-rule                the data source is the variable
//	panel-title-description-rule         title and description
//	panel-units-rule                     a unit that Grafana knows, or mappings
//	panel-no-targets-rule                a query
//	target-logql-rule                    no Loki query: LogQL is not read here
//	target-logql-auto-rule               ranges of Loki queries are $__auto
//	target-promql-rule                   PromQL can be read
//	target-rate-interval-rule            rate and irate over $__rate_interval
//	target-job-rule                      every selector has job=~"$job"
//	target-instance-rule                 every selector has instance=~"$instance"
//	target-counter-agg-rule              counters in rate, irate or increase only
//	uneditable-dashboard                 editable is false
//
// and adds some of its own:
//
//	panel-id-rule, target-refid-rule     no two of the same
//	panel-grid-rule                      no panel on another or out of the grid
//	panel-unit-table-rule                the unit is that of the metrics
//	template-dead-variable-rule          every variable is used
//
// # Errors
//
// Any [Config] gives dashboards. [Alerts] and [BurnRate] return every fault of theirs
// at once: selectors that are none, labels that are taken, a bound that is no bucket
// of its histogram. Lint fails only where its input is no dashboard.
//
// # Concurrency and cost
//
// Everything is a function of its arguments and may be called from any goroutine. A
// dashboard takes a few milliseconds to make and as many to lint. The recording rules
// over days read all samples of these days at every evaluation, once a minute: some
// tens of milliseconds for ten series, more for thousands.
//
// # Limitations
//
//   - No Grafana server has been run with the dashboards. Their schema was checked
//     with Grafana's foundation SDK, their queries with a real Prometheus.
//   - Dashboards for gpu, rollout, scheduler, autoscale and health come with these
//     packages.
//   - Lint reads PromQL as Prometheus 2.42 does. Functions that came later, and names
//     in quotes, are faults to it.
//   - Alerts are for Prometheus' own clock: with remote write and late samples, give
//     the groups a query offset.
//
// # Sources
//
// grafana/dashboard-linter, docs/index.md: the rules. Google, The Site Reliability
// Workbook, chapter 5, and slok/sloth, internal/alert/window.go: windows and factors.
// Grafana, packages/grafana-data/src/valueFormats/categories.ts: units.
package dashboards
