package observegrpc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/calmops/calm/observe/observeprom"
)

// counters reads llm_server_requests_total by one label, without zeros, and the
// output tokens.
func counters(t testing.TB, reg *prometheus.Registry, label string) (requests map[string]int, output int) {
	families, err := reg.Gather()
	require.NoError(t, err)
	requests = map[string]int{}
	for _, f := range families {
		for _, m := range f.Metric {
			n := int(m.GetCounter().GetValue())
			for _, l := range m.Label {
				switch {
				case n == 0:
				case f.GetName() == "llm_server_requests_total" && l.GetName() == label:
					requests[l.GetValue()] += n
				case f.GetName() == "llm_server_tokens_total" && l.GetName() == "type" && l.GetValue() == "output":
					output += n
				}
			}
		}
	}
	return requests, output
}

func withProm(t testing.TB, s setup) (*harness, *prometheus.Registry) {
	reg := prometheus.NewPedanticRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	require.NoError(t, err)
	s.sinks = append(s.sinks, sink)
	return start(t, s), reg
}

// TestCountersAreTheClients: each code that a client saw is in the counters as
// often, and each token.
func TestCountersAreTheClients(t *testing.T) {
	h, reg := withProm(t, setup{})
	rng := rand.New(rand.NewPCG(1, 2))
	saw, tokens := map[string]int{}, 0
	for range 500 {
		kind := []string{unary, outStream, bidi}[rng.IntN(3)]
		o := order{Model: fmt.Sprint("m", rng.IntN(3)), N: rng.IntN(8), Code: codes.Code(max(0, rng.IntN(26)-9))}
		got, err := h.do(t.Context(), kind, o, 0)
		saw[status.Code(err).String()]++
		if err == nil {
			tokens += o.N
			if kind != unary {
				require.Equal(t, o.N+1, got)
			}
		}
	}
	h.next(t, 500)
	counted, output := counters(t, reg, "code")
	assert.Equal(t, saw, counted)
	assert.Equal(t, tokens, output)
	assert.Len(t, saw, 17)
}

// TestSoak: 200 calls at a time of every kind that end, fail, panic, run out of
// time and are left, at random.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("a soak of some seconds")
	}
	before := runtime.NumGoroutine()
	var all int
	t.Run("load", func(t *testing.T) {
		h, reg := withProm(t, setup{})
		until := time.Now().Add(3 * time.Second)
		var wg sync.WaitGroup
		for w := range 200 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(w)))
				for time.Now().Before(until) {
					load(h, rng)
				}
			})
		}
		recovered := make(chan int)
		go func() {
			n := 0
			for range h.recovered {
				n++
			}
			recovered <- n
		}()
		wg.Wait()
		// A call that was left may still be on its way into the server.
		h.server.GracefulStop()
		close(h.recovered)
		panics := <-recovered

		all = int(h.entered.Load())
		h.next(t, all)
		outcomes, _ := counters(t, reg, "outcome")
		sum := 0
		for outcome, n := range outcomes {
			sum += n
			if outcome == "panic" {
				assert.Equal(t, panics, n)
			}
		}
		assert.Equal(t, all, sum, "every call is counted once")
		assert.Zero(t, h.rec.Losses())
		for _, o := range []string{"ok", "panic", "server_error", "client_error", "client_disconnect"} {
			assert.Positive(t, outcomes[o], o)
		}
		for _, s := range h.all {
			if s.GapSum != s.Decode || s.TTFT+s.Decode != s.LastToken || s.LastToken > s.Duration {
				t.Fatalf("times that do not add up: %+v", s)
			}
		}
		t.Log(all, "calls:", outcomes)
	})
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after %d calls", before, runtime.NumGoroutine(), all)
}

// load makes one call that ends in a random way.
func load(h *harness, rng *rand.Rand) {
	kind := []string{unary, clientStream, outStream, bidi, outStream, bidi}[rng.IntN(6)]
	o := order{Model: fmt.Sprint("m", rng.IntN(3)), N: rng.IntN(20), Gap: time.Duration(rng.IntN(3)) * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	count := 0
	switch rng.IntN(9) {
	case 0:
		o.Do = "panic"
	case 1:
		o.Do = "midpanic"
	case 2:
		o.Code = codes.Internal
	case 3:
		o.Code = codes.InvalidArgument
	case 4:
		kind, count, o.N, o.Gap = outStream, 1+rng.IntN(5), 1000, time.Millisecond // and leave
	case 5:
		time.AfterFunc(time.Duration(rng.IntN(20))*time.Millisecond, cancel)
		o.Do = []string{"wait", "outstay", "misreport"}[rng.IntN(3)]
	case 6:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(20))*time.Millisecond)
		defer cancel()
		o.Do = "wait"
	}
	_, _ = h.do(ctx, kind, o, count)
}
