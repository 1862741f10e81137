package dashboards

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLintAll(t *testing.T) {
	for _, native := range []bool{false, true} {
		for _, d := range All(Config{Native: native}) {
			findings, err := Lint(d.JSON())
			require.NoError(t, err)
			for _, f := range findings {
				assert.Fail(t, d.Name()+": "+f.String())
			}
		}
	}
}

// object is JSON that a test breaks.
type object = map[string]any

// broken returns the small dashboard below after f has broken it.
func broken(t *testing.T, f func(d, panel, target object, variables []any)) []byte {
	var d object
	require.NoError(t, json.Unmarshal([]byte(small), &d))
	panel := d["panels"].([]any)[1].(object)
	f(d, panel, panel["targets"].([]any)[0].(object), d["templating"].(object)["list"].([]any))
	b, err := json.Marshal(d)
	require.NoError(t, err)
	return b
}

const small = `{
  "title": "Small", "editable": false,
  "templating": {"list": [
    {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
    {"name": "job", "label": "Job", "type": "query", "datasource": {"type": "prometheus", "uid": "$datasource"}, "query": {"query": "label_values(up, job)"}, "refresh": 2, "multi": true, "allValue": ".+"},
    {"name": "instance", "label": "Instance", "type": "query", "datasource": "${datasource}", "query": "label_values(up{job=~\"$job\"}, instance)", "refresh": 2, "multi": true, "allValue": ".+"}
  ]},
  "panels": [
    {"id": 1, "type": "row", "title": "Row", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}, "panels": []},
    {"id": 2, "type": "timeseries", "title": "A", "description": "B", "gridPos": {"h": 8, "w": 12, "x": 0, "y": 1}, "datasource": {"uid": "${datasource}"},
     "fieldConfig": {"defaults": {"unit": "reqps"}},
     "targets": [{"refId": "A", "expr": "sum(rate(llm_server_requests_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval]))"}]},
    {"id": 3, "type": "stat", "title": "C", "description": "D", "gridPos": {"h": 8, "w": 12, "x": 12, "y": 1}, "datasource": "$datasource",
     "options": {"reduceOptions": {"fields": "/^version$/"}},
     "targets": [{"refId": "A", "expr": "llm_server_model_info{job=~\"$job\", instance=~\"$instance\"}"}]}
  ]
}`

// TestLintRules breaks a good dashboard in one way each time: the rule must find it,
// and no other rule may.
func TestLintRules(t *testing.T) {
	findings, err := Lint([]byte(small))
	require.NoError(t, err)
	require.Empty(t, findings)

	const narrowed = `{job=~"$job",instance=~"$instance"}`
	expr := func(e string) func(d, p, q object, v []any) {
		return func(_, p, q object, _ []any) {
			q["expr"] = e
			p["fieldConfig"].(object)["defaults"].(object)["unit"] = "short"
		}
	}
	set := func(i int, key string, value any) func(d, p, q object, v []any) {
		return func(_, _, _ object, v []any) { v[i].(object)[key] = value }
	}
	panel := func(key string, value any) func(d, p, q object, v []any) {
		return func(_, p, _ object, _ []any) { p[key] = value }
	}
	for _, c := range []struct {
		rule string
		f    func(d, panel, target object, variables []any)
	}{
		{"template-datasource-rule", set(0, "label", "Source")},
		{"template-datasource-rule", func(d, _, _ object, v []any) {
			more := append(v, object{"name": "prometheus_datasource", "label": "Prometheus data source", "type": "datasource", "query": "prometheus"})
			d["templating"].(object)["list"] = more
			d["description"] = "$prometheus_datasource"
		}},
		{"template-job-rule", set(1, "label", "job")},
		{"template-job-rule", set(1, "multi", false)},
		{"template-job-rule", set(1, "allValue", ".*")},
		{"template-job-rule", set(1, "datasource", "Prometheus")},
		{"template-job-rule", set(1, "type", "textbox")},
		{"template-instance-rule", set(2, "label", "")},
		{"template-instance-rule", func(d, _, _ object, v []any) { d["templating"].(object)["list"] = v[:2] }},
		{"template-label-promql-rule", set(1, "query", "values(up, job)")},
		{"template-label-promql-rule", set(1, "query", "label_values(up{, job)")},
		{"template-label-promql-rule", set(1, "query", "query_result(sum()")},
		{"template-on-time-change-reload-rule", set(2, "refresh", 1)},
		{"template-dead-variable-rule", func(d, _, _ object, v []any) {
			d["templating"].(object)["list"] = append(v, object{"name": "jo", "type": "custom", "query": "a,b"})
		}},
		{"panel-datasource-rule", panel("datasource", object{"uid": "P1809F7CD0C75ACF3"})},
		{"panel-datasource-rule", panel("datasource", "$job")},
		{"panel-datasource-rule", panel("datasource", nil)},
		{"panel-title-description-rule", panel("description", "")},
		{"panel-title-description-rule", panel("title", "")},
		{"panel-units-rule", func(_, p, q object, _ []any) {
			p["fieldConfig"], q["expr"] = object{}, "vector(1)"
		}},
		{"panel-units-rule", func(_, p, q object, _ []any) {
			p["fieldConfig"], q["expr"] = object{"defaults": object{"unit": "furlongs"}}, "vector(1)"
		}},
		{"panel-no-targets-rule", panel("targets", []any{})},
		{"target-logql-rule", func(_, _, q object, _ []any) {
			q["datasource"], q["expr"] = object{"type": "loki", "uid": "x"}, `rate({app="x"}[$__auto])`
		}},
		{"target-logql-rule target-logql-auto-rule", func(_, _, q object, _ []any) {
			q["datasource"], q["expr"] = object{"type": "loki", "uid": "x"}, `rate({app="x"}[5m])`
		}},
		{"target-promql-rule", expr("sum(up" + narrowed)},
		{"target-promql-rule", expr("rate(up" + narrowed + ")")},
		{"target-promql-rule", expr("")},
		{"target-promql-rule", func(_, _, q object, _ []any) { q["expr"], q["panelId"] = "", 9 }},
		{"target-rate-interval-rule", expr("rate(x_total" + narrowed + "[5m])")},
		{"target-rate-interval-rule", expr("irate(x_total" + narrowed + "[$__interval])")},
		{"target-job-rule", expr(`up{instance=~"$instance"}`)},
		{"target-job-rule", expr(`up{job="$job",instance=~"$instance"}`)},
		{"target-job-rule", expr(`sum(up{job=~"x",instance=~"$instance"}) / sum(up` + narrowed + `)`)},
		{"target-instance-rule", expr(`up{job=~"$job"}`)},
		{"target-counter-agg-rule", expr("sum(x_total" + narrowed + ")")},
		{"target-counter-agg-rule", expr("max_over_time(x_total" + narrowed + "[1h])")},
		{"uneditable-dashboard", func(d, _, _ object, _ []any) { d["editable"] = true }},
		{"uneditable-dashboard", func(d, _, _ object, _ []any) { delete(d, "editable") }},
		{"panel-id-rule", panel("id", 3)},
		{"target-refid-rule", func(_, p, q object, _ []any) { p["targets"] = []any{q, q} }},
		{"target-refid-rule", func(_, _, q object, _ []any) { q["refId"] = "" }},
		{"panel-grid-rule", panel("gridPos", object{"h": 8, "w": 13, "x": 0, "y": 1})},
		{"panel-grid-rule", panel("gridPos", object{"h": 8, "w": 12, "x": 13, "y": 50})},
		{"panel-grid-rule", panel("gridPos", object{"h": 0, "w": 12, "x": 0, "y": 50})},
		{"panel-unit-table-rule", func(_, p, _ object, _ []any) { p["fieldConfig"].(object)["defaults"].(object)["unit"] = "s" }},
		{"panel-unit-table-rule", expr(`histogram_quantile(.5, rate(gen_ai_server_time_to_first_token_seconds_bucket` + narrowed + `[$__rate_interval]))`)},
	} {
		findings, err := Lint(broken(t, c.f))
		require.NoError(t, err)
		rules := map[string]bool{}
		var names []string
		for _, f := range findings {
			if !rules[f.Rule] {
				names = append(names, f.Rule)
			}
			rules[f.Rule] = true
			assert.NotEmpty(t, f.Message)
			assert.Contains(t, []Severity{SeverityError, SeverityWarning}, f.Severity)
		}
		assert.Equal(t, c.rule, strings.Join(names, " "), "%v", findings)
	}
}

// What the rules let pass.
func TestLintExcuses(t *testing.T) {
	for name, f := range map[string]func(d, p, q object, v []any){
		"increase over a fixed range": func(_, p, q object, _ []any) {
			q["expr"] = `increase(llm_server_requests_total{job=~"$job",instance=~"$instance"}[1h])`
			p["fieldConfig"].(object)["defaults"].(object)["unit"] = "short"
		},
		"a text panel":           func(_, p, _ object, _ []any) { p["type"], p["targets"], p["datasource"] = "text", nil, nil },
		"another panel's result": func(_, p, q object, _ []any) { p["datasource"], q["expr"], q["panelId"] = "-- Dashboard --", "", 3 },
		"mappings": func(_, p, _ object, _ []any) {
			p["fieldConfig"] = object{"defaults": object{"mappings": []any{object{}}}}
			p["targets"].([]any)[0].(object)["expr"] = "vector(1)"
		},
		"own unit": func(_, p, _ object, _ []any) { p["fieldConfig"].(object)["defaults"].(object)["unit"] = "suffix: req" },
		"braces": func(_, _, q object, _ []any) {
			q["expr"] = `sum(rate(llm_server_requests_total{job=~"${job}",instance=~"${instance}"}[${__rate_interval}]))`
		},
		"label_names": func(_, _, _ object, v []any) { v[1].(object)["query"] = "label_names()" },
		"metrics":     func(_, _, _ object, v []any) { v[1].(object)["query"] = "metrics(llm_.*)" },
		"result":      func(_, _, _ object, v []any) { v[1].(object)["query"] = "query_result(count by (job) (up))" },
		"values":      func(_, _, _ object, v []any) { v[1].(object)["query"] = "label_values(job)" },
	} {
		findings, err := Lint(broken(t, f))
		require.NoError(t, err)
		assert.Empty(t, findings, name)
	}
	named := strings.NewReplacer(`"datasource", "label": "Data source"`, `"prometheus_datasource", "label": "Prometheus data source"`,
		"$datasource", "$prometheus_datasource", "${datasource}", "${prometheus_datasource}").Replace(small)
	findings, err := Lint([]byte(named))
	require.NoError(t, err)
	assert.Empty(t, findings)
}

func TestLintRefuses(t *testing.T) {
	for _, src := range []string{"", "{", "[]", "null", `"x"`, `{}`, `{"panels": 1}`, `{"title": 1}`} {
		_, err := Lint([]byte(src))
		assert.Error(t, err, src)
	}
	src := Serving(Config{}).JSON()
	for i := 0; i < len(src)-1; i += 997 {
		_, err := Lint(src[:i])
		assert.Error(t, err)
	}
	assert.Equal(t, `error: r "p" A: m`, Finding{"r", "p", "A", SeverityError, "m"}.String())
	assert.Equal(t, `warning: r: m`, Finding{Rule: "r", Severity: SeverityWarning, Message: "m"}.String())
}

func TestUnits(t *testing.T) {
	for _, u := range []string{"s", "ms", "percentunit", "bytes", "Bps", "none", "short", "reqps", "flops", "celsius", "suffix: tok/s", "currency:€"} {
		assert.True(t, knownUnit(u), u)
	}
	for _, u := range []string{"", " ", "seconds", "a b", "s ms", "suffix:", "unit:x", "\n"} {
		assert.False(t, knownUnit(u), u)
	}
	names := newCatalogue()
	for src, want := range map[string]string{
		"llm_train_phase_seconds":                                         "s",
		"rate(llm_server_response_bytes_total[5m])":                       "By/s",
		"sum(rate(llm_train_time_seconds_total[5m]))":                     "s/s",
		"rate(llm_train_step_seconds_sum[5m])":                            "s/s",
		"rate(llm_train_step_seconds_count[5m])":                          "1/s",
		"histogram_quantile(.5, rate(llm_train_step_seconds_bucket[5m]))": "s",
		"histogram_quantile(.5, rate(llm_train_step_seconds[5m]))":        "s",
		"time() - llm_train_last_step_timestamp_seconds":                  "s",
		"1 - llm_train_phase_seconds":                                     "s",
		"llm_train_phase_seconds / llm_train_hang_limit_seconds":          "1",
		"llm_train_phase_seconds * 1000":                                  "",
		"max_over_time(llm_train_phase_seconds[5m])":                      "s",
		"max_over_time(rate(llm_train_steps_total[5m])[1h:])":             "{step}/s",
		"count(llm_train_phase_seconds)":                                  "1",
		"changes(llm_train_phase_seconds[5m])":                            "1",
		"-(llm_train_phase_seconds) > 1":                                  "s",
		"increase(llm_train_tokens_total[5m])":                            "{token}",
		"something_else":                                                  "",
		"vector(1)":                                                       "",
		"llm_train_step_seconds_bucket":                                   "1",
	} {
		e, err := parse(src)
		require.NoError(t, err)
		assert.Equal(t, want, names.quantity(e), src)
	}
}

func FuzzLint(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"panels":[{"type":"row","panels":[{"targets":[{"expr":"rate(x[5m])"}]}]}]}`))
	f.Add([]byte(`{"title":"a","templating":{"list":[{"type":"query","query":"label_values(a,b)"}]}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		findings, err := Lint(src)
		if err != nil && findings != nil {
			t.Fatal("findings with an error")
		}
	})
}
