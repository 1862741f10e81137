package dashboards_test

import (
	"fmt"
	"strings"

	"github.com/calmops/calm/observe/dashboards"
)

// The dashboards of everything that calm exports, without a fault.
func Example() {
	for _, d := range dashboards.All(dashboards.Config{Job: "llm"}) {
		findings, err := dashboards.Lint(d.JSON())
		fmt.Println(d.UID(), len(findings), err)
	}
	// Output:
	// calm-serving 0 <nil>
	// calm-training 0 <nil>
	// calm-operations 0 <nil>
}

// A dashboard of another team, and what there is to say about it.
func ExampleLint() {
	findings, err := dashboards.Lint([]byte(`{
		"title": "Ours", "editable": false,
		"templating": {"list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]},
		"panels": [{"id": 1, "type": "timeseries", "title": "Load", "description": "Requests", "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0},
			"datasource": {"uid": "${datasource}"}, "fieldConfig": {"defaults": {"unit": "reqps"}},
			"targets": [{"refId": "A", "expr": "sum(rate(requests_total{job=~\"$job\"}[5m]))"}]}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	// Output:
	// error: template-job-rule: there is no variable job
	// error: template-instance-rule: there is no variable instance
	// error: target-rate-interval-rule "Load" A: rate over 5m, not $__rate_interval: it has gaps, or misses what falls between two points
	// error: target-instance-rule "Load" A: requests_total has no instance=~"$instance"
}

// Findings can be sorted by how bad they are.
func ExampleFinding() {
	f := dashboards.Finding{Rule: "panel-units-rule", Panel: "Load", Severity: dashboards.SeverityWarning, Message: `Grafana has no unit "requests"`}
	fmt.Println(f.Severity == dashboards.SeverityError)
	fmt.Println(f)
	// Output:
	// false
	// warning: panel-units-rule "Load": Grafana has no unit "requests"
}

// 99.9 % of the requests of each service, over 28 days.
func ExampleBurnRate() {
	group, err := dashboards.BurnRate(dashboards.SLO{
		Name: "checkout", Objective: .999, Days: 28, By: []string{"service"},
		Bad: `requests_total{code=~"5.."}`, Total: `requests_total`,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range group.Rules {
		if r.Alert == "SLOBurnPage" {
			fmt.Println(r.Expr)
		}
	}
	// Output:
	// (
	//   slo:error_ratio:rate1h{slo="checkout"} > 0.01344
	//   and slo:error_ratio:rate5m{slo="checkout"} > 0.01344
	//   and on (service) sum by (service) (increase(requests_total[1h])) >= 149
	// )
	// or
	// (
	//   slo:error_ratio:rate6h{slo="checkout"} > 0.0056
	//   and slo:error_ratio:rate30m{slo="checkout"} > 0.0056
	//   and on (service) sum by (service) (increase(requests_total[6h])) >= 358
	// )
}

// Half of the streams must have their first token within half a second, which is a
// bound that the histogram has.
func ExampleSLO() {
	slo := dashboards.SLO{
		Name: "fast", Objective: .5,
		Good:  `gen_ai_server_time_to_first_token_seconds_bucket{le="0.5"}`,
		Total: `gen_ai_server_time_to_first_token_seconds_count`,
	}
	_, err := dashboards.BurnRate(slo)
	fmt.Println(err)
	slo.Good = strings.Replace(slo.Good, "0.5", "0.55", 1)
	_, err = dashboards.BurnRate(slo)
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

// The rules for programs of one job, without objectives.
func ExampleAlerts() {
	rules, err := dashboards.Alerts(dashboards.AlertConfig{Selector: `job="llm"`, SLOs: []dashboards.SLO{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, group := range rules {
		fmt.Println(group.Name, len(group.Rules))
	}
	fmt.Println(rules[0].Rules[0].Alert, rules[0].Rules[0].Expr)
	// Output:
	// calm-serving 4
	// calm-training 10
	// calm-resource 4
	// calm-logs 1
	// TargetDown up{job="llm"} == 0
}

// Rules of one's own, written as Prometheus reads them.
func ExampleRules() {
	fmt.Print(string(dashboards.Rules{{Name: "own", Rules: []dashboards.Rule{
		{Record: "job:requests:rate5m", Expr: "sum by (job) (rate(requests_total[5m]))"},
	}}}.YAML()))
	// Output:
	// groups:
	// - name: own
	//   rules:
	//   - record: job:requests:rate5m
	//     expr: |-
	//       sum by (job) (rate(requests_total[5m]))
}
