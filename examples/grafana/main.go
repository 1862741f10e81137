// Grafana writes calm's dashboards and rules, with what Grafana and Prometheus need to
// find them, to a folder. It starts nothing.
//
//	go run ./examples/grafana -dir monitoring
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/calmops/calm/observe/dashboards"
)

// options are the command line.
type options struct {
	dir, target, job string
	native           bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "monitoring", "`folder` to write to; files of the same names are replaced")
	flag.StringVar(&o.target, "target", "host.docker.internal:8080", "`address` whose /metrics are scraped, as the container of Prometheus sees it")
	flag.StringVar(&o.job, "job", "", "`job` that is selected when a dashboard is opened (default: all)")
	flag.BoolVar(&o.native, "native", false, "ask for native histograms")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	rules, err := dashboards.Alerts(dashboards.AlertConfig{})
	if err != nil {
		return err
	}
	files := []file{
		{"docker-compose.yml", []byte(compose)},
		{"prometheus/prometheus.yml", fmt.Appendf(nil, scrape, o.target)},
		{"prometheus/rules.yml", rules.YAML()},
		{"grafana/provisioning/datasources/calm.yml", []byte(datasource)},
		{"grafana/provisioning/dashboards/calm.yml", []byte(provider)},
	}
	for _, d := range dashboards.All(dashboards.Config{Job: o.job, Native: o.native}) {
		json := d.JSON()
		findings, err := dashboards.Lint(json)
		if err != nil || len(findings) > 0 {
			return errors.Join(err, fmt.Errorf("%s: %v", d.Name(), findings))
		}
		files = append(files, file{"grafana/dashboards/" + d.UID() + ".json", json})
	}
	if o.native { // else Prometheus 3 reads the classic form alone
		files[0].content = []byte(strings.Replace(compose, "    volumes:\n    - ./prometheus", "    command: [--config.file=/etc/prometheus/prometheus.yml, --enable-feature=native-histograms]\n    volumes:\n    - ./prometheus", 1))
	}
	for _, f := range files {
		path := filepath.Join(o.dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.content, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, path)
	}
	return nil
}

type file struct {
	name    string
	content []byte
}

const compose = `# docker compose up, then http://127.0.0.1:3000
services:
  prometheus:
    image: prom/prometheus:v3.5.0
    ports: ["127.0.0.1:9090:9090"]
    extra_hosts: ["host.docker.internal:host-gateway"]
    volumes:
    - ./prometheus:/etc/prometheus:ro
  grafana:
    image: grafana/grafana:12.1.1
    ports: ["127.0.0.1:3000:3000"]
    environment:
      GF_AUTH_ANONYMOUS_ENABLED: "true"
      GF_ANALYTICS_REPORTING_ENABLED: "false"
    volumes:
    - ./grafana/provisioning:/etc/grafana/provisioning:ro
    - ./grafana/dashboards:/var/lib/grafana/dashboards:ro
`

const scrape = `global:
  scrape_interval: 15s
  evaluation_interval: 30s
rule_files: [rules.yml]
scrape_configs:
- job_name: calm
  static_configs:
  - targets: [%q]
`

const datasource = `apiVersion: 1
datasources:
- name: Prometheus
  uid: calm-prometheus
  type: prometheus
  access: proxy
  url: http://prometheus:9090
  isDefault: true
  jsonData:
    httpMethod: POST
    timeInterval: 15s # of the scrapes: $__rate_interval is four of it at least
`

const provider = `apiVersion: 1
providers:
- name: calm
  folder: calm
  type: file
  disableDeletion: true
  allowUiUpdates: false
  options:
    path: /var/lib/grafana/dashboards
`
