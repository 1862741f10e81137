// Prometheus starts a Prometheus server, if one is installed, that scrapes a program
// with calm, the quickstart say, and evaluates calm's rules.
//
//	go run ./examples/prometheus          # scrapes 127.0.0.1:8080, the quickstart
//	go run ./examples/prometheus -demo    # scrapes a small world of its own
//
// README.md says what to do about each alert.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/calmops/calm/examples/prometheus/demo"
	"github.com/calmops/calm/observe/dashboards"
)

// options are the command line.
type options struct {
	target, listen, dir, program string
	demo                         bool
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "127.0.0.1:8080", "scrape /metrics of this `address`")
	flag.BoolVar(&o.demo, "demo", false, "scrape a small simulated world of this program instead")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:9090", "`address` of the Prometheus server")
	flag.StringVar(&o.dir, "dir", "", "`folder` for its configuration and data (default: a new one, whose name is printed)")
	flag.StringVar(&o.program, "prometheus", "prometheus", "`path` of the server, or its name in PATH")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		os.Exit(1)
	}
}

// run writes the files, starts what there is to start, and tells how it goes until ctx
// ends.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "calm-prometheus-"); err != nil {
			return err
		}
	}
	if o.demo {
		end, err := serveDemo(ctx, &o)
		if err != nil {
			return err
		}
		defer end()
		fmt.Fprintf(out, "simulated  http://%s/metrics\n", o.target)
	}
	if err := writeFiles(o); err != nil {
		return err
	}
	fmt.Fprintf(out, "files      %s: prometheus.yml, rules.yml\n", o.dir)

	path, err := exec.LookPath(o.program)
	if err != nil {
		fmt.Fprintf(out, "There is no %s in PATH (Debian: apt-get install prometheus). Where there is one:\n\n  prometheus --config.file=%s\n",
			o.program, filepath.Join(o.dir, "prometheus.yml"))
		return nil
	}
	log, err := os.Create(filepath.Join(o.dir, "prometheus.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, path, "--config.file="+filepath.Join(o.dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(o.dir, "data"), "--web.listen-address="+o.listen)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it saves its data
	cmd.WaitDelay = 20 * time.Second
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	s := server{"http://" + o.listen}
	if err := s.ready(ctx, ended); err != nil {
		return fmt.Errorf("%w; its log is %s", err, log.Name())
	}
	fmt.Fprintf(out, "prometheus %s, process %d\n  alerts   %[1]s/alerts\n  rules    %[1]s/rules\n  targets  %[1]s/targets\n", s.base, cmd.Process.Pid)
	return watch(ctx, s, ended, out)
}

// watch prints a line whenever what the rules say has changed.
func watch(ctx context.Context, s server, ended <-chan error, out io.Writer) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := ""
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("prometheus ended: %w", errors.Join(err))
		case <-tick.C:
		}
		r, err := s.rules(ctx)
		if err != nil {
			continue // it is ending, or busy
		}
		if line := r.String(); line != last {
			fmt.Fprintln(out, line)
			last = line
		}
	}
}

// serveDemo lets the world of package demo happen, and serves its metrics.
func serveDemo(ctx context.Context, o *options) (end func(), err error) {
	reg := prometheus.NewRegistry()
	world, err := demo.New(demo.Config{Registerer: reg})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.target = listener.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 2)
	go func() { done <- world.Run(ctx) }()
	go func() { done <- web.Serve(listener) }()
	return func() {
		cancel()
		web.Close()
		<-done
		<-done
	}, nil
}

// writeFiles writes prometheus.yml and the rules.
func writeFiles(o options) error {
	rules, err := dashboards.Alerts(dashboards.AlertConfig{})
	if err != nil {
		return err
	}
	for i := range rules {
		rules[i].Interval = 0 // here someone is looking: as often as the server can
	}
	config := fmt.Sprintf(`global:
  scrape_interval: 2s
  scrape_timeout: 2s
  evaluation_interval: 5s
rule_files: [rules.yml]
scrape_configs:
- job_name: calm
  static_configs:
  - targets: [%q]
`, o.target)
	return errors.Join(
		os.MkdirAll(o.dir, 0o755),
		os.WriteFile(filepath.Join(o.dir, "rules.yml"), rules.YAML(), 0o644),
		os.WriteFile(filepath.Join(o.dir, "prometheus.yml"), []byte(config), 0o644))
}
