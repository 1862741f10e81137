package dashboards

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Factors of the Site Reliability Workbook, chapter 5, and of sloth's
// internal/alert/window.go.
func TestFactors(t *testing.T) {
	for days, want := range map[int][]float64{30: {14.4, 6, 3, 1}, 28: {13.44, 5.6, 2.8, .9333}} {
		for i, w := range windows {
			assert.InDelta(t, want[i], w.factor(days), 5e-5)
		}
	}
}

func TestBurnRate(t *testing.T) {
	g, err := BurnRate(SLO{Name: "a", Objective: .99, Bad: `x_total{ok="no"}`, Total: "x_total", Labels: map[string]string{"team": "t"}})
	require.NoError(t, err)
	records := map[string]string{}
	alerts := map[string]Rule{}
	for _, r := range g.Rules {
		if r.Alert != "" {
			alerts[r.Alert] = r
			continue
		}
		records[r.Record] = r.Expr
		assert.Equal(t, map[string]string{"slo": "a", "team": "t"}, r.Labels)
	}
	for _, w := range []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} {
		assert.Contains(t, records, "slo:error_ratio:rate"+w)
	}
	assert.Len(t, records, 9)
	assert.Equal(t, `(sum(rate(x_total{ok="no"}[5m])) or 0 * sum(rate(x_total[5m]))) / (sum(rate(x_total[5m])) > 0)`, records["slo:error_ratio:rate5m"])
	assert.Contains(t, records["slo:error_budget_remaining:ratio"], "[30d]")
	assert.Contains(t, records["slo:error_budget_remaining:ratio"], "/ 0.01")
	assert.Equal(t, "vector(0.99)", records["slo:objective:ratio"])

	// 14.4 x 0.01 and the events that make two failures of 14: one alone is 1/14.
	for _, part := range []string{`rate1h{slo="a"} > 0.144`, `rate5m{slo="a"} > 0.144`, `sum(increase(x_total[1h])) >= 14`,
		`rate6h{slo="a"} > 0.06`, `rate30m{slo="a"} > 0.06`, `sum(increase(x_total[6h])) >= 34`} {
		assert.Contains(t, alerts["SLOBurnPage"].Expr, part)
	}
	for _, part := range []string{`rate1d{slo="a"} > 0.03`, `rate2h{slo="a"} > 0.03`, `>= 67`, `rate3d{slo="a"} > 0.01`, `rate6h{slo="a"} > 0.01`, `>= 200`} {
		assert.Contains(t, alerts["SLOBurnTicket"].Expr, part)
	}
	assert.Zero(t, alerts["SLOBurnPage"].For)
	assert.Equal(t, map[string]string{"severity": "page", "slo": "a", "team": "t"}, alerts["SLOBurnPage"].Labels)

	// 28 days: 13.44 and so on, with six digits.
	g, err = BurnRate(SLO{Name: "a", Objective: .999, Bad: "b", Total: "t", Days: 28, MinEvents: 50, By: []string{"job"}})
	require.NoError(t, err)
	text := string(Rules{g}.YAML())
	for _, part := range []string{"> 0.01344", "> 0.0056", "> 0.0028", "> 0.000933333", "and on (job) sum by (job) (increase(t[1h])) >= 50", "[28d]"} {
		assert.Contains(t, text, part)
	}
}

// A limit above 1 can never be passed: such windows are left out, and an alert that
// has no other.
func TestBurnRateOutOfReach(t *testing.T) {
	g, err := BurnRate(SLO{Name: "a", Objective: .9, Bad: "b", Total: "t"})
	require.NoError(t, err)
	text := string(Rules{g}.YAML())
	assert.NotContains(t, text, "> 1.44")
	assert.Contains(t, text, "SLOBurnPage")
	g, err = BurnRate(SLO{Name: "a", Objective: .5, Bad: "b", Total: "t"})
	require.NoError(t, err)
	text = string(Rules{g}.YAML())
	assert.NotContains(t, text, "SLOBurnPage")
	assert.Contains(t, text, "> 0.5")
}

// No single failed request is above the limit in a window of the default MinEvents,
// whatever the objective.
func TestMinEvents(t *testing.T) {
	at := regexp.MustCompile(`> ([0-9.e-]+)\n  and on \(\) .* >= ([0-9.e+]+)`)
	for i := range 199 {
		g, err := BurnRate(SLO{Name: "a", Objective: float64(i+1) / 200, Bad: "b", Total: "t"})
		require.NoError(t, err)
		for _, m := range at.FindAllStringSubmatch(string(Rules{g}.YAML()), -1) {
			var limit, events float64
			_, err := fmt.Sscan(m[1]+" "+m[2], &limit, &events)
			require.NoError(t, err)
			assert.LessOrEqual(t, 1/events, limit)
		}
	}
}

func TestBurnRateFaults(t *testing.T) {
	good := SLO{Name: "a", Objective: .99, Bad: "b", Total: "t"}
	for want, change := range map[string]func(*SLO){
		"Name is":       func(s *SLO) { s.Name = "a b" },
		"Objective is":  func(s *SLO) { s.Objective = 1 },
		"Objective i":   func(s *SLO) { s.Objective = math.NaN() },
		"Days is 7":     func(s *SLO) { s.Days = 7 },
		"MinEvents is":  func(s *SLO) { s.MinEvents = -1 },
		"MinEvents i":   func(s *SLO) { s.MinEvents = math.Inf(1) },
		"want one of":   func(s *SLO) { s.Good = "g" },
		"want one":      func(s *SLO) { s.Bad = "" },
		"Total is":      func(s *SLO) { s.Total = "" },
		"nothing else":  func(s *SLO) { s.Total = "rate(t[5m])" },
		"nothing els":   func(s *SLO) { s.Bad = "b[5m]" },
		"nothing el":    func(s *SLO) { s.Bad = "b offset 5m" },
		"Bad is \"{\"":  func(s *SLO) { s.Bad = "{" },
		"By has":        func(s *SLO) { s.By = []string{"slo"} },
		"By ha":         func(s *SLO) { s.By = []string{"a-b"} },
		"Labels has":    func(s *SLO) { s.Labels = map[string]string{"severity": "x"} },
		"has no label":  func(s *SLO) { s.Total, s.By = "llm_server_requests_total", []string{"tenant"} },
		"has no bucket": func(s *SLO) { s.Bad, s.Good = "", `gen_ai_server_time_to_first_token_seconds_bucket{le="0.3"}` },
		"want a bucket": func(s *SLO) { s.Bad, s.Good = "", `gen_ai_server_time_to_first_token_seconds_bucket` },
		"want one boun": func(s *SLO) { s.Bad, s.Good = "", `gen_ai_server_time_to_first_token_seconds_bucket{le=~"0.5|1"}` },
	} {
		s := good
		change(&s)
		_, err := BurnRate(s)
		assert.ErrorContains(t, err, want)
	}
	_, err := BurnRate(SLO{})
	for _, field := range []string{"Name", "Objective", "Bad", "Total"} {
		assert.ErrorContains(t, err, field)
	}
}

// A whole bound is matched as Prometheus 2 and 3 store it.
func TestBounds(t *testing.T) {
	for _, le := range []string{`le="1"`, `le = '1.0'`, "le=`1`"} {
		g, err := BurnRate(SLO{Name: "a", Objective: .95, Good: "gen_ai_server_time_to_first_token_seconds_bucket{x=\"y\"," + le + "}", Total: "t"})
		require.NoError(t, err)
		assert.Contains(t, g.Rules[0].Expr, `_bucket{x="y",le=~"1(\\.0)?"}[5m]`, le)
		assert.Contains(t, g.Rules[0].Expr, "1 - (")
	}
	g, err := BurnRate(SLO{Name: "a", Objective: .95, Good: `own_bucket{le="0.3"}`, Total: "own_count"})
	require.NoError(t, err)
	assert.Contains(t, g.Rules[0].Expr, `own_bucket{le="0.3"}[5m]`, "not of the table")
}

func TestAlerts(t *testing.T) {
	rules, err := Alerts(AlertConfig{Selector: `job=~"llm-.*", cluster="eu"`, Labels: map[string]string{"team": "ml"}, RunbookURL: "https://runbooks.example.com/calm"})
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, g := range rules {
		assert.False(t, seen[g.Name], g.Name)
		seen[g.Name] = true
		for _, r := range g.Rules {
			e, err := parse(r.Expr)
			require.NoError(t, err, r.Expr)
			for _, s := range selectors(e) {
				if !strings.HasPrefix(s.name, "slo:") {
					assert.True(t, s.has("job") && s.has("cluster"), r.Expr)
				}
			}
			if r.Alert == "" {
				continue
			}
			assert.Equal(t, "ml", r.Labels["team"])
			assert.Contains(t, []string{"page", "ticket", "info"}, r.Labels["severity"])
			assert.NotEmpty(t, r.Annotations["summary"])
			assert.NotEmpty(t, r.Annotations["description"])
			assert.Equal(t, "https://runbooks.example.com/calm#"+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
			assert.NotEqual(t, "NoTraffic", r.Alert)
		}
	}
	none, err := Alerts(AlertConfig{SLOs: []SLO{}})
	require.NoError(t, err)
	assert.Len(t, none, len(rules)-len(SLOs()))
}

func TestAlertsFaults(t *testing.T) {
	slo := SLOs()[0]
	_, err := Alerts(AlertConfig{Selector: `job=`, Labels: map[string]string{"severity": "x", "a b": "c"}, SLOs: []SLO{slo, slo, {}}})
	for _, part := range []string{"Selector", `"severity"`, `"a b"`, "twice", "SLO \"\""} {
		assert.ErrorContains(t, err, part)
	}
	for _, s := range []string{`a="b"} + {c="d"`, `}`, `a="b"}[5m`, `a="b"} offset 5m + x{`} {
		_, err := Alerts(AlertConfig{Selector: s})
		assert.Error(t, err, s)
	}
}

func TestYAML(t *testing.T) {
	r := Rules{
		{Name: "plain", Interval: 90 * time.Second, Rules: []Rule{
			{Record: "a:b", Expr: "sum(x)\n+ 1"},
			{Alert: "A", Expr: "x > 1 ", For: 26 * time.Hour, Labels: map[string]string{"b": "\"q\" \\ \n\t\x7f\u2028é", "a": "true"}},
		}},
		{Name: "a: b #c"},
	}
	const want = `groups:
- name: plain
  interval: 1m30s
  rules:
  - record: a:b
    expr: |-
      sum(x)
      + 1
  - alert: "A"
    expr: "x > 1 "
    for: 1d2h
    labels:
      "a": "true"
      "b": "\"q\" \\ \n\u0009\u007f\u2028é"
- name: "a: b #c"
  rules: []
`
	assert.Equal(t, want, string(r.YAML()))
	assert.Equal(t, "groups: []\n", string(Rules(nil).YAML()))
	for d, want := range map[time.Duration]string{0: "0s", time.Millisecond: "1ms", 3 * day: "3d", 5 * time.Minute: "5m", 90 * time.Minute: "1h30m"} {
		assert.Equal(t, want, duration(d))
	}
}
