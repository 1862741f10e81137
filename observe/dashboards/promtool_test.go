package dashboards

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promtool runs the program of Debian's package prometheus; it skips where that is
// missing, and fails where it is required.
func promtool(t *testing.T, args ...string) (string, error) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		missing := "no promtool in PATH (Debian: apt-get install prometheus)"
		if os.Getenv("CALM_E2E") == "required" {
			t.Fatal(missing + ", but CALM_E2E=required")
		}
		t.Skip(missing)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// write writes a file into a folder that goes when the test ends.
func write(t *testing.T, name string, content []byte) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o644))
	return path
}

func TestCheckRules(t *testing.T) {
	for _, cfg := range []AlertConfig{
		{NoTraffic: true},
		{Selector: `job=~"llm.*",x="\"q\"\n\\"`, Labels: map[string]string{"team": "\"a\": #b\n\x7f\u0085é"}, RunbookURL: "https://example.com/?a=b&c='d'", SLOs: []SLO{}},
	} {
		rules, err := Alerts(cfg)
		require.NoError(t, err)
		out, err := promtool(t, "check", "rules", write(t, "rules.yml", rules.YAML()))
		assert.NoError(t, err, out)
		assert.Contains(t, out, "SUCCESS")
	}
	out, err := promtool(t, "check", "rules", write(t, "rules.yml", Rules{{Name: "bad", Rules: []Rule{{Alert: "A", Expr: "rate(x)"}}}}.YAML()))
	assert.Error(t, err, "a rule with a fault is found: %s", out)
}

// The parser takes what Prometheus takes, and refuses what it refuses.
func TestParseAsPrometheus(t *testing.T) {
	group := func(sources []string) []byte {
		g := RuleGroup{Name: "g"}
		for i, src := range sources {
			g.Rules = append(g.Rules, Rule{Record: fmt.Sprintf("r%d", i), Expr: src})
		}
		return Rules{g}.YAML()
	}
	out, err := promtool(t, "check", "rules", write(t, "rules.yml", group(good)))
	assert.NoError(t, err, out)
	out, err = promtool(t, "check", "rules", write(t, "rules.yml", group(bad)))
	assert.Error(t, err)
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`rule (\d+), "r\d+"`).FindAllStringSubmatch(out, -1) {
		found[m[1]] = true
	}
	for i, src := range bad {
		assert.True(t, found[fmt.Sprint(i+1)], "Prometheus takes %q", src)
	}
}

// scenario is a test for promtool: series, and which alerts fire when.
type scenario struct {
	name   string
	rules  string            // those that are evaluated, to save time: the "own" SLO, "resource", "all". Defaults to "training".
	series map[string]string // values a minute
	fires  map[string]string // by minute and alert: labels, "" for none
}

var scenarios = []scenario{
	{
		name:  "burn rate: a fails 20 % of requests, b 1 %, c has too few to tell",
		rules: "own",
		series: map[string]string{
			`req_total{service="a",ok="yes"}`: "0+80x200", `req_total{service="a",ok="no"}`: "0+20x200",
			`req_total{service="b",ok="yes"}`: "0+99x200", `req_total{service="b",ok="no"}`: "0+1x200",
			`req_total{service="c",ok="yes"}`: "0+0x80 1x120", `req_total{service="c",ok="no"}`: "0+0x85 1x115",
		},
		fires: map[string]string{"90 SLOBurnPage": `{service="a", slo="own"}`},
	},
	{
		name:  "burn rate: it ends when the short window is good again",
		rules: "own",
		series: map[string]string{
			`req_total{service="a",ok="yes"}`: "0+80x100 8000+100x100", `req_total{service="a",ok="no"}`: "0+20x100 2000x100",
		},
		fires: map[string]string{"99 SLOBurnPage": `{service="a", slo="own"}`, "110 SLOBurnPage": `{service="a", slo="own"}`, "125 SLOBurnPage": ""},
	},
	{
		name:   "burn rate: no traffic is no failure",
		rules:  "own",
		series: map[string]string{`req_total{service="a",ok="yes"}`: "5x200", `req_total{service="a",ok="no"}`: "5x200"},
		fires:  map[string]string{"60 SLOBurnPage": "", "60 SLOBurnTicket": ""},
	},
	{
		name: "a step that began at 30 min, with a limit of 180 s",
		series: map[string]string{
			`llm_train_phase_seconds{run="r"}`: "0x30 60+60x30", `llm_train_hang_limit_seconds{run="r"}`: "180x60", `llm_train_running{run="r"}`: "1x60",
			`llm_train_phase_seconds{run="ended"}`: "0x30 60+60x30", `llm_train_hang_limit_seconds{run="ended"}`: "180x60", `llm_train_running{run="ended"}`: "0x60",
		},
		fires: map[string]string{"33 TrainingStalled": "", "40 TrainingStalled": `{run="r"}`},
	},
	{
		name:   "a NaN at 11 min",
		series: map[string]string{`llm_train_nonfinite_total{run="r",what="loss"}`: "0x10 1x40"},
		fires:  map[string]string{"10 TrainingNonFinite": "", "12 TrainingNonFinite": `{run="r", what="loss"}`, "30 TrainingNonFinite": ""},
	},
	{
		name:   "three spikes in an hour, and two",
		series: map[string]string{`llm_train_spikes_total{run="a"}`: "0x20 1x10 2x10 3x100", `llm_train_spikes_total{run="b"}`: "0x20 1x10 2x110"},
		fires:  map[string]string{"35 TrainingSpikes": "", "60 TrainingSpikes": `{run="a"}`, "90 TrainingSpikes": ""},
	},
	{
		name: "a checkpoint two hours old, of a run that goes on, one that is short, and one that stands",
		series: map[string]string{
			`llm_train_checkpoint_step{run="a"}`: "100x300", `llm_train_steps_total{run="a"}`: "100+1x300", `llm_train_running{run="a"}`: "1x300",
			`llm_train_checkpoint_step{run="b"}`: "100x59 200x300", `llm_train_steps_total{run="b"}`: "100+1x300", `llm_train_running{run="b"}`: "1x300",
			`llm_train_checkpoint_step{run="c"}`: "100x300", `llm_train_steps_total{run="c"}`: "100x300", `llm_train_running{run="c"}`: "1x300",
		},
		fires: map[string]string{"110 CheckpointStale": "", "130 CheckpointStale": `{run="a"}`},
	},
	{
		name: "goodput of one half",
		series: map[string]string{
			`llm_train_time_seconds_total{run="r",state="step"}`: "0+40x500", `llm_train_time_seconds_total{run="r",state="checkpoint_save"}`: "0+20x500",
			`llm_train_lost_seconds_total{run="r",cause="rollback"}`: "0+10x500",
		},
		fires: map[string]string{"20 GoodputLow": "", "60 GoodputLow": `{run="r"}`},
	},
	{
		name:  "throttled in 30 % of periods, at 93 % of memory, with 16 threads on 2 CPUs",
		rules: "resource",
		series: map[string]string{
			`cgroup_cpu_periods_total{instance="x"}`: "0+600x60", `cgroup_cpu_throttled_periods_total{instance="x"}`: "0+180x60",
			`cgroup_memory_working_set_bytes{instance="x"}`: "93x60", `cgroup_memory_limit_bytes{instance="x"}`: "100x60",
			`cgroup_gomaxprocs_ratio{instance="x"}`: "8x60", `cgroup_cpu_limit_cores{instance="x"}`: "2x60",
			`cgroup_gomaxprocs_ratio{instance="y"}`: "1.3333x60", `cgroup_cpu_limit_cores{instance="y"}`: "1.5x60",
			`cgroup_oom_kills_total{instance="x"}`: "0x5 1x55",
		},
		fires: map[string]string{
			"10 CPUThrottled": "", "20 CPUThrottled": `{instance="x"}`, "5 MemoryNearLimit": "", "15 MemoryNearLimit": `{instance="x"}`,
			"15 GOMAXPROCSAboveLimit": `{instance="x"}`, "8 OOMKill": `{instance="x"}`, "30 OOMKill": "",
		},
	},
	{
		name:  "the rest of serving, training and logs",
		rules: "all",
		series: map[string]string{
			`up{job="j",instance="x"}`: "1x5 0x55", `llm_server_requests_waiting{model="m"}`: "5x60", `llm_server_requests_running{model="m"}`: "4x60",
			`llm_server_kv_cache_usage_ratio{model="m"}`: "0.97x60", `llm_server_series_overflow_total{kind="model"}`: "0x5 3x55",
			`llm_server_requests_total{job="j",outcome="ok"}`:                    "7x60",
			`llm_train_time_seconds_total{run="r",state="data_wait"}`:            "0+30x60",
			`llm_train_time_seconds_total{run="r",state="step"}`:                 "0+30x60",
			`llm_train_stragglers{run="r"}`:                                      "1x60",
			`llm_train_dropped_records_total{run="r",sink="s"}`:                  "0+1x60",
			`llm_train_events_total{run="r",kind="diverging"}`:                   "0x5 1x55",
			`llm_train_events_total{run="r",kind="plateau"}`:                     "0x5 1x55",
			`llm_quality_drift_events_total{task="t",detector="adwin"}`:          "0x5 1x55",
			`llm_log_dropped_total{level="info",reason="write_error"}`:           "0+1x60",
			`llm_log_dropped_total{level="info",reason="sampled"}`:               "0+1x60",
			`gen_ai_server_time_to_first_token_seconds_bucket{job="j",le="2.5"}`: "0+80x60",
			`gen_ai_server_time_to_first_token_seconds_count{job="j"}`:           "0+1000x60",
			`llm_server_inter_token_latency_seconds_bucket{job="j",le="0.1"}`:    "0+99x60",
			`llm_server_inter_token_latency_seconds_count{job="j"}`:              "0+100x60",
			`llm_server_slo_total{job="j",objective="tpot",result="missed"}`:     "0+9x60",
			`llm_server_slo_total{job="j",objective="tpot",result="met"}`:        "0+1x60",
		},
		fires: map[string]string{
			"8 TargetDown": "", "12 TargetDown": `{instance="x", job="j"}`, "15 QueueGrowing": `{model="m"}`, "7 KVCacheFull": `{model="m"}`,
			"8 SeriesOverflow": `{kind="model"}`, "25 NoTraffic": `{job="j"}`, "40 DataStarved": `{run="r"}`, "12 StragglerFound": `{run="r"}`,
			"10 RecordsDropped": `{run="r", sink="s"}`, "8 TrainingDiverging": `{kind="diverging", run="r"}`, "40 TrainingDiverging": "",
			"8 DriftFound": `{detector="adwin", task="t"}`, "10 LogsDropped": `{level="info", reason="write_error"}`,
			"50 SLOBurnPage": `{job="j", objective="tpot", slo="objectives"} {job="j", slo="ttft"}`,
		},
	},
}

// TestRules runs the scenarios through promtool.
func TestRules(t *testing.T) {
	own, err := BurnRate(SLO{Name: "own", Objective: .99, Bad: `req_total{ok="no"}`, Total: "req_total", By: []string{"service"}})
	require.NoError(t, err)
	all, err := Alerts(AlertConfig{NoTraffic: true})
	require.NoError(t, err)
	files := map[string]string{}
	for name, rules := range map[string]Rules{"own": {own}, "all": all, "": all[1:2], "resource": all[2:3]} {
		files[name] = write(t, "rules.yml", rules.YAML())
	}
	test := func(rules string, scenarios []scenario) (string, error) {
		var b strings.Builder
		fmt.Fprintf(&b, "rule_files: [%q]\nevaluation_interval: 1m\ntests:\n", files[rules])
		for _, s := range scenarios {
			if s.rules != rules {
				continue
			}
			fmt.Fprintf(&b, "- name: %q\n  interval: 1m\n  input_series:\n", s.name)
			for series, values := range s.series {
				fmt.Fprintf(&b, "  - series: '%s'\n    values: %q\n", series, values)
			}
			b.WriteString("  promql_expr_test:\n")
			for key, labels := range s.fires {
				minute, alert, _ := strings.Cut(key, " ")
				fmt.Fprintf(&b, "  - expr: 'sum without (alertname, alertstate, severity) (ALERTS{alertname=%q,alertstate=\"firing\"})'\n    eval_time: %sm\n    exp_samples:\n", alert, minute)
				for l := range strings.SplitSeq(labels, "} ") {
					if l != "" {
						fmt.Fprintf(&b, "    - {labels: '%s}', value: 1}\n", strings.TrimSuffix(l, "}"))
					}
				}
			}
		}
		return promtool(t, "test", "rules", write(t, "test.yml", []byte(b.String())))
	}
	for rules := range files {
		out, err := test(rules, scenarios)
		assert.NoError(t, err, out)
	}

	// Every alert fires in a scenario, but for the tickets of the burn rate: they need
	// days.
	fired := map[string]bool{"SLOBurnTicket": true}
	for _, s := range scenarios {
		for key, labels := range s.fires {
			_, alert, _ := strings.Cut(key, " ")
			fired[alert] = fired[alert] || labels != ""
		}
	}
	for _, g := range all {
		for _, r := range g.Rules {
			assert.True(t, r.Alert == "" || fired[r.Alert], "%s fires in no scenario", r.Alert)
		}
	}

	wrong := scenarios[3]
	wrong.fires = map[string]string{"33 TrainingStalled": `{run="r"}`}
	out, err := test("", []scenario{wrong})
	assert.Error(t, err, "a wrong expectation is found: %s", out)
}
