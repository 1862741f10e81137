package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/observeprom"
)

// TestSoak holds 200 streams open at a time, of which many are left in the
// middle: for a minute under the race detector, for some seconds without.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("a soak of some seconds, a minute under -race")
	}
	duration := 5 * time.Second
	if raceEnabled {
		duration = time.Minute
	}
	lm, err := testModel()
	require.NoError(t, err)
	reg := prometheus.NewRegistry()
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: reg})
	require.NoError(t, err)
	r := newResults()
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{sink, r}, OnRequest: r.add})
	require.NoError(t, err)
	e := newEngine()
	e.maxQueue = 1000
	e.start(lm)
	goroutines := runtime.NumGoroutine()
	server := httptest.NewServer(r.entries(rec.Middleware(newAPI(e, nil, 1))))

	clients := newLoad(server.URL, 1)
	clients.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 200
	var wg sync.WaitGroup
	until := time.Now().Add(duration)
	for i := range 200 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for time.Now().Before(until) {
				a := ask{path: "/v1/completions", stream: true, body: map[string]any{
					"model": modelName, "prompt": prompts[rng.IntN(len(prompts))], "max_tokens": 50 + rng.IntN(200), "stream": true,
					"stream_options": map[string]any{"include_usage": true}}}
				if rng.IntN(3) == 0 {
					a.leave = 1 + rng.IntN(40)
				}
				clients.note(clients.do(a))
			}
		})
	}
	wg.Wait()
	clients.client.CloseIdleConnections()
	server.Close() // waits for the handlers

	assert.Empty(t, clients.problems)
	assert.Equal(t, int64(clients.sent), r.entered.Load())
	assert.Equal(t, clients.sent, r.requests, "every request that was accepted ended once")
	f, err := exportedFigures(reg)
	require.NoError(t, err)
	assert.Equal(t, float64(clients.sent), f.requests)
	assert.Equal(t, float64(r.output), f.output)
	for l := range rec.Live() {
		assert.Zero(t, l.InFlight)
		assert.Zero(t, l.Waiting)
	}
	assert.Zero(t, e.waiting.Load())
	assert.Empty(t, e.slots)
	assert.Greater(t, r.outcomes[observe.OutcomeClientDisconnect], 0)
	t.Logf("%d requests, %d left: %s", clients.sent, clients.left, r.words())
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 }, 10*time.Second, 50*time.Millisecond,
		"goroutines: %d, %d before", runtime.NumGoroutine(), goroutines)
}
