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
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observelive"
	"github.com/calmops/calm/observe/observeprom"
)

const (
	modelName    = "tinylm"
	modelVersion = "v1"
)

// options are the command line.
type options struct {
	addr   string
	seed   uint64
	corpus string
	model  string
	run    time.Duration
	load   bool
	log    string
	price  string

	agree time.Duration // by which clients and server may differ in their median TTFT
}

const usage = `Quickstart trains a small language model, serves it, measures it and shows it.

  go run ./examples/quickstart [flags]

Flags:
  -addr HOST:PORT   where to serve; port 0 takes a free one (default 127.0.0.1:8080)
  -seed N           of the training, the load and the sampling (default 1)
  -corpus PATH      a text file, or a folder of them, to train on
                    (default: Newton's Opticks, which comes with Go)
  -model FILE       the checkpoint: used if it fits text and seed, else trained and
                    written there, with the training's history for TensorBoard in
                    FILE.history (default: in the user's cache folder)
  -for DURATION     serve that long, print a report and end; exit 1 if what was
                    measured does not agree (default: until interrupted)
  -load on|off      drive it with a bursty load of its own (default on)
  -log FILE         append a line a request in Elastic's common schema (default: none)
  -price "N CUR"    what the machine costs an hour, as in "2.10 EUR": the page and the
                    report then show the cost of requests and tokens (default: none)
  -help             print this

While it runs:
  /                        the live page
  /metrics                 the same for Prometheus
  /v1/chat/completions     and /v1/completions, /v1/models: the OpenAI API
`

// errUsage is a fault of the command line or of what it names: exit 2.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() { // a second interrupt ends at once
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main less the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err == nil:
		err = serve(ctx, opts, defaultModel, stdout)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "quickstart:", err)
		return 2
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "quickstart: interrupted while training")
		return 130
	}
	fmt.Fprintln(stdout, "quickstart: FAILED", err)
	return 1
}

func parse(args []string) (options, error) {
	o := options{agree: 5 * time.Millisecond}
	load := "on"
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "")
	fs.Uint64Var(&o.seed, "seed", 1, "")
	fs.StringVar(&o.corpus, "corpus", "", "")
	fs.StringVar(&o.model, "model", "", "")
	fs.DurationVar(&o.run, "for", 0, "")
	fs.StringVar(&load, "load", load, "")
	fs.StringVar(&o.log, "log", "", "")
	fs.StringVar(&o.price, "price", "", "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w (-help prints the flags)", errUsage, err)
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("%w: unexpected argument %q (-help prints the flags)", errUsage, fs.Arg(0))
	case load != "on" && load != "off":
		return o, fmt.Errorf("%w: -load %q: want on or off", errUsage, load)
	case o.run < 0:
		return o, fmt.Errorf("%w: -for %v is negative", errUsage, o.run)
	}
	o.load = load == "on"
	return o, nil
}

// serve is the whole story: it opens the port and the page, trains, serves under
// load, drains and reports.
func serve(ctx context.Context, o options, model modelConfig, out io.Writer) error {
	began := time.Now()
	corpus, err := loadCorpus(o.corpus)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr %s: %w", errUsage, o.addr, err)
	}
	defer listener.Close()
	base := "http://" + listener.Addr().String()
	printPlan(out, o, corpus, base)

	// Metrics: one registry, read by Prometheus and by the live page.
	reg := prometheus.NewRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{
		Registerer: reg,
		// This model writes a token in some 30 µs, and answers in milliseconds: the
		// default bounds, made for models a thousand times larger, begin above that.
		Buckets: observeprom.Buckets{
			ITL:   prometheus.ExponentialBuckets(4e-6, 1.6, 24),
			TTFT:  prometheus.ExponentialBuckets(100e-6, 1.6, 24),
			Queue: prometheus.ExponentialBuckets(100e-6, 1.6, 24),
		},
	})
	if err != nil {
		return err
	}
	op, err := newOperation(o, reg)
	if err != nil {
		return err
	}
	defer op.close()
	results := newResults()
	rec, err := observe.New(observe.Config{
		Sinks:     []observe.Sink{sink, results},
		OnRequest: func(s observe.RequestStats) { results.add(s); op.request(s) },
		Models:    []string{modelName},
		SLO:       observe.SLO{TTFT: 500 * time.Millisecond, Duration: 10 * time.Second},
	})
	if err != nil {
		return err
	}
	page, err := observelive.New(observelive.Config{Gatherer: reg, Every: 500 * time.Millisecond, Title: "calm quickstart"})
	if err != nil {
		return err
	}

	// The server is up while the model is still in training: the page shows the
	// loss, and the API says 503.
	engine := newEngine()
	api := newAPI(engine, op.quality, o.seed)
	mux := http.NewServeMux()
	mux.Handle("/v1/", results.entries(rec.Middleware(api)))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.Handle("/", page)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := make(chan error, 2)
	go func() { failed <- page.Run(background) }()
	go op.spend(background, engine)
	go func() { failed <- server.Serve(listener) }()

	lm, err := obtainModel(ctx, o, model, corpus, reg, out)
	if err != nil {
		server.Close()
		return err
	}
	rec.SetServed(observe.Served{Model: modelName, Version: modelVersion, Checkpoint: lm.Digest()})
	engine.start(lm)
	first, err := firstToken(ctx, base)
	if err != nil {
		server.Close()
		return fmt.Errorf("the first request: %w", err)
	}
	fmt.Fprintf(out, "\nserving  %s   first token %.1f s after the start, %.1f ms after its request\n",
		base, time.Since(began).Seconds(), first.Seconds()*1e3)

	serving := ctx
	if o.run > 0 {
		var done context.CancelFunc
		serving, done = context.WithTimeout(ctx, o.run)
		defer done()
	}
	results.begin()
	var clients *load
	if o.load {
		clients = newLoad(base, o.seed)
		go clients.run(serving)
	}
	status := time.NewTicker(10 * time.Second)
	defer status.Stop()
	for ended := false; !ended; {
		select {
		case <-serving.Done():
			ended = true
		case <-status.C:
			fmt.Fprintln(out, results.line())
		case err := <-failed:
			return fmt.Errorf("the server ended: %w", err)
		}
	}

	// Drain: no new work, and every stream runs to its end.
	fmt.Fprintln(out, "\ndraining: waiting for the streams in flight")
	if clients != nil {
		clients.wait()
	}
	drain, stop := context.WithTimeout(background, 30*time.Second)
	defer stop()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("draining: %w", err)
	}
	return errors.Join(op.report(out), results.report(out, reg, rec, clients, o.agree))
}
