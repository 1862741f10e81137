// Observe runs a simulated model server and a client that measures every answer
// itself, and compares the two: time to first token, gaps, tokens and outcomes,
// also of streams that fail, panic or are left.
//
//	go run ./examples/observe                 # about six seconds; exit 1 if they differ
//	go run ./examples/observe -listen :8080   # serves until interrupted
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

func main() {
	listen := flag.String("listen", "", "serve on this `address` until interrupted, without the client")
	native := flag.Bool("native", false, "export native histograms beside the classic ones")
	vllm := flag.Bool("vllm", false, "export vLLM's names too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, options{*listen, *native, *vllm}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	listen       string
	native, vllm bool
}

func run(ctx context.Context, o options, out io.Writer) error {
	reg := prometheus.NewRegistry()
	cfg := observeprom.ServingConfig{Registerer: reg, NativeHistograms: o.native}
	if o.vllm {
		cfg.VLLM.Level = observeprom.VLLMAll
	}
	prom, err := observeprom.NewServing(cfg)
	if err != nil {
		return err
	}
	server := newTallies()
	rec, err := observe.New(observe.Config{
		Sinks:       []observe.Sink{prom, server},
		OnRequest:   server.add,
		Models:      classes, // one model a request class, so that every figure can be read by class
		SLO:         observe.SLO{TTFT: 500 * time.Millisecond},
		CountEvents: true, // streams that fail carry no usage
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /", rec.Middleware(newSimulation()))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))

	addr := o.listen
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	quiet := log.New(io.Discard, "", 0) // one class of requests panics on purpose
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	base := "http://" + listener.Addr().String()
	fmt.Fprintf(out, "simulated model on %s, metrics on %s/metrics\n", base, base)

	if o.listen != "" {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return httpServer.Shutdown(drain)
	}

	client := askAll(ctx, base)
	if err := server.wait(client.total()); err != nil {
		return err
	}
	different := compare(out, client, server)
	fmt.Fprintln(out, "\nthe same on /metrics")
	if err := printMetrics(out, base); err != nil {
		return err
	}
	if err := httpServer.Close(); err != nil {
		return err
	}
	return different
}

// compare prints a line for each class, what the client saw beside what the
// server did, and returns an error if they differ.
func compare(out io.Writer, client, server *tallies) error {
	client.mu.Lock()
	defer client.mu.Unlock()
	server.mu.Lock()
	defer server.mu.Unlock()
	fmt.Fprintf(out, "\n%-11s %4s  %-27s  %-25s  %-11s  %s\n", "class", "n", "TTFT ms p50/p99", "ITL ms p50/p99", "tokens", "outcome")
	fmt.Fprintf(out, "%-11s %4s  %13s %13s  %12s %12s  %5s %5s\n", "", "", "client", "server", "client", "server", "cl.", "srv.")
	var errs []error
	for _, class := range classes {
		c, s := client.of(class), server.of(class)
		fmt.Fprintf(out, "%-11s %4d  %13s %13s  %12s %12s  %5d %5d  %s\n", class, s.requests,
			pair(c.ttft), pair(s.ttft), pair(c.gaps), pair(s.gaps), c.tokens, s.tokens, words(s.outcomes))
		if c.requests != s.requests {
			errs = append(errs, fmt.Errorf("%s: %d requests sent, %d measured", class, c.requests, s.requests))
		}
		if d := quantile(c.ttft, .5) - quantile(s.ttft, .5); len(c.ttft) > 0 && d.Abs() > 5*time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: TTFT p50 differs by %v", class, d))
		}
		if class != classLeaves && c.tokens != s.tokens { // who leaves does not see what was still sent
			errs = append(errs, fmt.Errorf("%s: %d tokens received, %d measured", class, c.tokens, s.tokens))
		}
		if words(c.outcomes) != words(s.outcomes) {
			errs = append(errs, fmt.Errorf("%s: the client saw %s, the server %s", class, words(c.outcomes), words(s.outcomes)))
		}
	}
	chat := server.of(classChat)
	fmt.Fprintf(out, "\nwhy the definition matters, %s: first event after %v, first token after %v (p50)\n",
		classChat, quantile(chat.firstEvent, .5).Round(time.Microsecond), quantile(chat.ttft, .5).Round(time.Microsecond))
	return errors.Join(errs...)
}

// printMetrics prints the lines of /metrics that carry those numbers.
func printMetrics(out io.Writer, base string) error {
	res, err := http.Get(base + "/metrics")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		for _, name := range []string{"llm_server_requests_total", "llm_server_tokens_total", "llm_server_slo_total",
			"gen_ai_server_time_to_first_token_seconds_count", "gen_ai_server_time_to_first_token_seconds_sum"} {
			if strings.HasPrefix(lines.Text(), name+"{") && !strings.HasSuffix(lines.Text(), " 0") {
				fmt.Fprintln(out, "  "+lines.Text())
			}
		}
	}
	return lines.Err()
}
