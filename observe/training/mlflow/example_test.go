package mlflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"time"

	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/mlflow"
)

// server stands in for MLflow: it prints what it is asked.
func server() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch what := path.Base(r.URL.Path); what {
		case "create":
			fmt.Fprint(w, `{"run":{"info":{"run_id":"5d1e"}}}`)
		case "log-batch":
			fmt.Println(what, string(body))
			fmt.Fprint(w, `{}`)
		default:
			fmt.Println(what, string(body))
			fmt.Fprint(w, `{}`)
		}
	}))
}

// A Recorder calls the sink; here a record is given by hand.
func Example() {
	srv := server()
	defer srv.Close()

	sink, err := mlflow.New(mlflow.Config{URL: srv.URL, ExperimentID: "1"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	at := time.UnixMilli(1_700_000_000_000)
	session := &training.Session{Run: "r7", World: 1}
	err = sink.Write(ctx, []training.Record{
		{Kind: training.RecordStep, Session: session, At: at, Step: 12, Tag: "train/loss", Value: 2.5},
		{Kind: training.RecordSummary, Session: session, At: at},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := sink.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("run", sink.RunID(), "points", sink.Stats().Points)
	// Output:
	// log-batch {"run_id":"5d1e","metrics":[{"key":"train/loss","value":2.5,"timestamp":1700000000000,"step":12}],"tags":[{"key":"calm.run","value":"r7"},{"key":"calm.rank","value":"0"},{"key":"calm.world","value":"1"}]}
	// update {"run_id":"5d1e","status":"FINISHED","end_time":1700000000000}
	// run 5d1e points 1
}

// All faults of a Config are told at once.
func ExampleNew() {
	_, err := mlflow.New(mlflow.Config{URL: "mlflow.example.com", BatchMetrics: 5000})
	fmt.Println(err)
	// Output:
	// mlflow: Config.URL is "mlflow.example.com": want http or https, a host and at most a path
	// mlflow: Config.BatchMetrics is 5000: want 1 to 1000
}

// What a server refuses is given up, and counted.
func ExampleSink_Stats() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Run with id=5d1e not found"}`)
	}))
	defer srv.Close()

	sink, err := mlflow.New(mlflow.Config{URL: srv.URL, RunID: "5d1e"})
	if err != nil {
		log.Fatal(err)
	}
	err = sink.Write(context.Background(), []training.Record{{Kind: training.RecordStep, Step: 1, Tag: "train/loss", Value: 2.5}})
	fmt.Println(err)
	fmt.Println(errors.Is(err, training.ErrDropped), sink.Stats().Dropped)
	// Output:
	// training: records dropped: mlflow: runs/update: status 404 RESOURCE_DOES_NOT_EXIST: Run with id=5d1e not found
	// true 1
}
