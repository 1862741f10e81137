// Elk writes the log lines of a model server as Elasticsearch takes them: requests,
// a loss that is no number, an error, and prompts that must not be in any line. Beside
// it lie what ships them: the configuration of Filebeat and Logstash, and an index
// template.
//
//	go run ./examples/elk -n 20                # lines to stdout
//	go run ./examples/elk -out app.log -every 100ms
//	go run ./examples/elk -template            # the index template
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/calmops/calm/observe/ecslog"
)

func main() {
	var o options
	flag.StringVar(&o.out, "out", "", "append the lines to this `file`, not to stdout")
	flag.IntVar(&o.n, "n", 0, "end after so many requests; 0 is until interrupted")
	flag.DurationVar(&o.every, "every", 100*time.Millisecond, "time between two requests")
	template := flag.Bool("template", false, "print the index template and end")
	flag.Parse()
	if *template {
		os.Stdout.Write(indexTemplate())
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "elk:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	out   string
	n     int
	every time.Duration
}

// canary is in every prompt and answer, and must be in no line.
const canary = "the launch code is 0000-1111-2222"

// errBackend fails one request in ten. It carries the prompt, as errors of engines
// do.
var errBackend = errors.New("backend refused")

func run(ctx context.Context, o options, out io.Writer) error {
	if o.out != "" {
		f, err := os.OpenFile(o.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	key := make([]byte, 32) // of this process: equal prompts have equal hashes in its lines
	if _, err := rand.Read(key); err != nil {
		return err
	}
	h, err := ecslog.New(out, ecslog.Config{
		Service: ecslog.Service{Name: "chat", Version: "1.4.2", Environment: "demo", NodeName: hostname()},
		HashKey: key,
		Trace:   traceOf,
	})
	if err != nil {
		return err
	}
	log := slog.New(h)
	for i := 0; o.n == 0 || i < o.n; i++ {
		request(ctx, log, i)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.every):
		}
	}
	return nil
}

// request logs what a server knows of a request.
func request(ctx context.Context, log *slog.Logger, i int) {
	prompt := fmt.Sprintf("question %d: %s?", i%3, canary)
	ctx = ecslog.WithContent(context.WithValue(ctx, traceKey{}, i+1), prompt)
	log = log.With("gen_ai.request.model", "tiny", "gen_ai.operation.name", "chat", "user.id", fmt.Sprint("u", i%5))
	switch i % 10 {
	case 7:
		log.ErrorContext(ctx, "request failed", "err", fmt.Errorf("%w: %q", errBackend, prompt), "http.response.status_code", 502)
	case 8:
		// What breaks the mapping of most loggers: a number that is none, a key of the
		// schema with a value of another type, the same key twice.
		log.WarnContext(ctx, "training step", "loss", math.NaN(), "grad_norm", math.Inf(1), "error", "no object", "step", i, "step", i+1)
	case 9:
		log.InfoContext(ctx, "peer", "client.ip", net.IPv4(192, 0, 2, byte(i)).String(), "service", "b", slog.Group("http", "request", slog.GroupValue(slog.String("method", "POST"))))
	default:
		log.InfoContext(ctx, "request served", "prompt", prompt, ecslog.Content("answer", "because "+canary),
			"event.duration", 412*time.Millisecond, "gen_ai.usage.input_tokens", 12+i, "gen_ai.usage.output_tokens", 200,
			"ttft_ms", 38.5, "finish_reason", "stop")
	}
}

type traceKey struct{}

// traceOf stands for observeotel.TraceContext: the trace of a request.
func traceOf(ctx context.Context) (ecslog.TraceContext, bool) {
	i, ok := ctx.Value(traceKey{}).(int)
	if !ok {
		return ecslog.TraceContext{}, false
	}
	var t ecslog.TraceContext
	t.TraceID[15], t.SpanID[7] = byte(i), byte(i)
	t.TraceID[0], t.SpanID[0] = 0xca, 0x1f
	return t, true
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
