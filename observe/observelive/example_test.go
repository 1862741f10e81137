package observelive_test

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/calmops/calm/observe/observelive"
	"github.com/prometheus/client_golang/prometheus"
)

// A page over a registry, asked for over HTTP.
func ExampleLive() {
	reg := prometheus.NewRegistry()
	loss := prometheus.NewGauge(prometheus.GaugeOpts{Name: "llm_train_loss"})
	reg.MustRegister(loss)
	loss.Set(2.5)

	live, err := observelive.New(observelive.Config{Gatherer: reg, Title: "training"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() { done <- live.Run(ctx) }()
	for live.Stats().Samples == 0 {
		time.Sleep(time.Millisecond)
	}

	srv := httptest.NewServer(live)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/layout")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var layout struct {
		Title  string
		Panels []struct{ Group, Title string }
	}
	_ = json.NewDecoder(resp.Body).Decode(&layout)
	fmt.Println(layout.Title, layout.Panels)

	cancel()
	fmt.Println(<-done)
	// Output:
	// training [{Training Loss}]
	// <nil>
}

// All faults are told at once.
func ExampleConfig() {
	_, err := observelive.New(observelive.Config{Every: time.Millisecond, MaxSeries: -5})
	fmt.Println(err)
	// Output:
	// observelive: Config.Gatherer is required, got nil
	// observelive: Config.Every must be in [200ms, 10m0s], got 1ms
	// observelive: Config.MaxSeries must be in [16, 100000], got -5
}

// Auth lets others in than this machine.
func ExampleConfig_auth() {
	live, _ := observelive.New(observelive.Config{
		Gatherer: prometheus.NewRegistry(),
		Auth: func(r *http.Request) error {
			_, password, _ := r.BasicAuth()
			if subtle.ConstantTimeCompare([]byte(password), []byte("correct horse")) != 1 {
				return observelive.ErrUnauthorized
			}
			return nil
		},
	})
	for _, password := range []string{"guess", "correct horse"} {
		r := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
		r.SetBasicAuth("ops", password)
		w := httptest.NewRecorder()
		live.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 200
}

// A panel of the application's own metric, one curve a queue.
func ExamplePanel() {
	_, err := observelive.New(observelive.Config{
		Gatherer: prometheus.NewRegistry(),
		Panels: []observelive.Panel{
			{Title: "Jobs by queue", Group: "Batch", Metric: "batch_jobs", By: []string{"queue"}, Kind: observelive.KindStep},
		},
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleKind() {
	_, err := observelive.New(observelive.Config{
		Gatherer: prometheus.NewRegistry(),
		Panels:   []observelive.Panel{{Metric: "batch_jobs", Kind: "pie"}},
	})
	fmt.Println(err)
	// Output: observelive: Config.Panels[0].Kind must be "line", "step" or "stack", got "pie"
}

// Marks stand over every chart.
func ExampleMark() {
	deployed := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	live, _ := observelive.New(observelive.Config{
		Gatherer: prometheus.NewRegistry(),
		Marks: func(since time.Time) []observelive.Mark {
			return []observelive.Mark{
				{At: deployed, Title: "deploy v2", Kind: "deploy"},
				{At: deployed.Add(time.Minute), End: deployed.Add(9 * time.Minute), Title: "slow first tokens", Severity: "critical", Kind: "incident"},
			}
		},
	})
	r := httptest.NewRequest(http.MethodGet, "http://localhost/data", nil)
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	live.ServeHTTP(w, r)
	var data struct {
		Marks []struct{ Title, Severity string }
	}
	_ = json.Unmarshal(w.Body.Bytes(), &data)
	fmt.Println(data.Marks)
	// Output: [{deploy v2 } {slow first tokens critical}]
}

func ExampleStats() {
	live, _ := observelive.New(observelive.Config{Gatherer: prometheus.NewRegistry()})
	s := live.Stats()
	fmt.Println(s.Samples, s.Series, s.Bytes, s.At.IsZero())
	// Output: 0 0 0 true
}
