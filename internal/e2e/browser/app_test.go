package browser

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/calmops/calm/observe/observelive"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// hostile is a label value as a client might choose it.
const hostile = "<img src=x onerror=alert(1)>"

// An app is a program with a live page: a registry, made-up traffic, and a server that can be
// stopped and started again at the same address.
type app struct {
	t       *testing.T
	live    *observelive.Live
	addr    string
	stop    func() // the server
	traffic func() // begins
	marks   []observelive.Mark
	mu      sync.Mutex
}

func newApp(t *testing.T) *app {
	t.Helper()
	reg := prometheus.NewRegistry()
	a := &app{t: t, addr: "127.0.0.1:0"}
	live, err := observelive.New(observelive.Config{
		Gatherer: reg, Every: 500 * time.Millisecond, Title: "browser test (simulated)",
		Marks: func(time.Time) []observelive.Mark {
			a.mu.Lock()
			defer a.mu.Unlock()
			return append([]observelive.Mark{}, a.marks...)
		},
	})
	require.NoError(t, err)
	a.live = live
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = live.Run(ctx) })
	a.traffic = func() { group.Go(func() { serve(ctx, reg) }) }
	a.start()
	t.Cleanup(func() {
		cancel()
		group.Wait()
		a.stop()
	})
	return a
}

// start serves, at the same address as before.
func (a *app) start() {
	a.t.Helper()
	var (
		listener net.Listener
		err      error
	)
	require.Eventually(a.t, func() bool {
		listener, err = net.Listen("tcp", a.addr)
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	a.addr = listener.Addr().String()
	srv := &http.Server{Handler: a.live, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.t.Errorf("serve: %v", err)
		}
	}()
	a.stop = func() {
		_ = srv.Close()
		<-done
	}
}

func (a *app) url() string { return "http://" + a.addr + "/" }

func (a *app) mark(marks ...observelive.Mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks = marks
}

// serve makes up a model that serves and trains. Its numbers are simulated, and say so.
func serve(ctx context.Context, reg *prometheus.Registry) {
	const model = "tiny"
	counter := func(name string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, labels)
		reg.MustRegister(g)
		return g
	}
	histogram := func(name string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Buckets: prometheus.ExponentialBuckets(.005, 1.6, 16)}, []string{"model", "operation"})
		reg.MustRegister(h)
		return h
	}
	requests := counter("llm_server_requests_total", "model", "operation", "stream", "outcome", "code")
	tokens := counter("llm_server_tokens_total", "model", "type")
	ttft := histogram("gen_ai_server_time_to_first_token_seconds")
	itl := histogram("llm_server_inter_token_latency_seconds")
	duration := histogram("gen_ai_server_request_duration_seconds")
	inFlight := gauge("llm_server_requests_in_flight", "model", "operation")
	kv := gauge("llm_server_kv_cache_usage_ratio", "model")
	loss := gauge("llm_train_loss")
	norm := gauge("llm_train_grad_norm")
	power := gauge("gpu_power_watts", "gpu")
	names := gauge("shop_carts", "customer")
	for _, domain := range []string{"llm_server", "llm_train", "gpu"} {
		gauge(domain + "_simulated").WithLabelValues().Set(1)
	}
	gauge("llm_server_model_info", "model", "version").WithLabelValues(model, "v1").Set(1)
	names.WithLabelValues(hostile).Set(3)
	names.WithLabelValues("plain").Set(2)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		x := float64(i)
		outcome, code := "ok", "200"
		if i%25 == 24 {
			outcome, code = "server_error", "500"
		}
		if i%4 == 0 {
			requests.WithLabelValues(model, "chat", "true", outcome, code).Inc()
			ttft.WithLabelValues(model, "chat").Observe(.08 + .05*math.Sin(x/30))
			duration.WithLabelValues(model, "chat").Observe(1 + .4*math.Sin(x/20))
		}
		itl.WithLabelValues(model, "chat").Observe(.012 + .004*math.Sin(x))
		tokens.WithLabelValues(model, "output").Add(12)
		tokens.WithLabelValues(model, "input").Add(30 + 10*math.Sin(x/15))
		inFlight.WithLabelValues(model, "chat").Set(math.Round(4 + 3*math.Sin(x/25)))
		kv.WithLabelValues(model).Set(.4 + .2*math.Sin(x/40))
		loss.WithLabelValues().Set(1.5 + 3*math.Exp(-x/100))
		norm.WithLabelValues().Set(.5 + math.Exp(-x/50))
		power.WithLabelValues("0").Set(400 + 50*math.Sin(x/30))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
