package observelive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// Twenty clients read while samples are taken and series come and go. CALM_SOAK sets how long
// (60s, say); 3 s otherwise.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	length := 3 * time.Second
	if s := os.Getenv("CALM_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err)
		length = d
	}
	before := runtime.NumGoroutine()
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x_total"}, []string{"k"})
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h_seconds", NativeHistogramBucketFactor: 1.1, Buckets: prometheus.DefBuckets}, []string{"k"})
	reg.MustRegister(c, h)
	l, err := New(Config{Gatherer: reg, Every: 200 * time.Millisecond, Keep: 4 * time.Second, MaxSeries: 120})
	require.NoError(t, err)
	srv := httptest.NewServer(l)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var (
		group            sync.WaitGroup
		answered, busy   atomic.Int64
		newest, complete atomic.Int64
	)
	group.Go(func() { require.NoError(t, l.Run(ctx)) })
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			k := fmt.Sprint(i % 200 / 2 * (i % 3))
			c.WithLabelValues(k).Inc()
			h.WithLabelValues(fmt.Sprint(i % 20)).Observe(float64(i%100) / 100)
			if i%500 == 0 {
				c.Reset()
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}
	for id := range 20 {
		group.Go(func() {
			var since int64
			for n := 0; ctx.Err() == nil; n++ {
				target := fmt.Sprintf("%s/data?since=%d", srv.URL, since)
				if n%10 == 9 {
					target = srv.URL + []string{"/layout", "/", "/data?range=coarse", "/live.js"}[n/10%4]
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
				resp, err := client.Do(req)
				if err != nil {
					continue // the end
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					continue
				}
				switch {
				case resp.StatusCode == http.StatusServiceUnavailable:
					busy.Add(1)
				case resp.StatusCode != http.StatusOK:
					t.Errorf("client %d: %s", id, resp.Status)
					return
				case n%10 != 9:
					var d gotData
					if err := json.Unmarshal(body, &d); err != nil {
						t.Errorf("client %d: %v", id, err)
						return
					}
					for _, s := range d.S {
						if s.O+len(s.P) != len(d.T) {
							t.Errorf("client %d: %d points for %d times", id, s.O+len(s.P), len(d.T))
							return
						}
					}
					if d.Seq < since {
						t.Errorf("client %d: sample %d after %d", id, d.Seq, since)
						return
					}
					since = d.Seq
					newest.Store(since)
					complete.Add(int64(len(d.T)))
				}
				answered.Add(1)
			}
		})
	}
	group.Wait()
	client.CloseIdleConnections()
	srv.Close()
	s := l.Stats()
	t.Logf("%d answers, %d refused, %d points of time; %+v", answered.Load(), busy.Load(), complete.Load(), s)
	require.Positive(t, newest.Load())
	require.LessOrEqual(t, s.Series, 120)
	require.LessOrEqual(t, s.Bytes, bound(l.cfg, 20, 400))
	require.Empty(t, l.slots, "every slot was given back")
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 5*time.Second, 20*time.Millisecond, "no goroutine is left")
}

// A client that never reads holds one slot, not a lock: samples and other clients go on.
func TestSlowClient(t *testing.T) {
	l := newLive(t, nil)
	takeSamples(l, 900)
	stuck := make(chan struct{})
	w := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), stuck: stuck, entered: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequest(http.MethodGet, "http://localhost/data", nil)
		r.RemoteAddr = "127.0.0.1:1"
		l.ServeHTTP(w, r)
	}()
	<-w.entered
	l.sample()
	require.NotEmpty(t, getData(t, l, "data").T)
	require.Len(t, l.slots, 1)
	close(stuck)
	<-done
	require.Empty(t, l.slots)
}

type stuckWriter struct {
	*httptest.ResponseRecorder
	stuck   chan struct{}
	entered chan struct{}
	once    sync.Once
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.entered) })
	<-w.stuck
	return w.ResponseRecorder.Write(p)
}
