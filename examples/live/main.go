// Live serves a live page over made-up numbers: a model server, a training run
// and four GPUs, none of which exist. The page says so, in its title and on every
// chart.
//
//	go run ./examples/live                          # http://127.0.0.1:8080/, until interrupted
//	go run ./examples/live -listen 127.0.0.1:9000
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
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/observe/observelive"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "serve on this `address`; only this machine is let in")
	every := flag.Duration("every", time.Second, "time from one sample to the next")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *every, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen string, every time.Duration, out io.Writer) error {
	reg := prometheus.NewRegistry()
	world, err := newWorld(reg, time.Now())
	if err != nil {
		return err
	}
	page, err := observelive.New(observelive.Config{
		Gatherer: reg,
		Every:    every,
		Title:    "calm live (simulated)",
		Marks:    world.marksSince,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group  sync.WaitGroup
		served = make(chan error, 1)
	)
	group.Go(func() { _ = page.Run(ctx) }) // nil: it is the only one
	group.Go(func() { world.run(ctx) })
	group.Go(func() { served <- server.Serve(listener) })
	fmt.Fprintf(out, "simulated data on http://%s/\n", listener.Addr())

	select {
	case err = <-served:
	case <-ctx.Done():
		drain, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		err = server.Shutdown(drain)
	}
	cancel()
	group.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
