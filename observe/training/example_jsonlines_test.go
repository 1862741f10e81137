package training_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/calmops/calm/observe/training"
)

// A Recorder calls the sink; here the records are given by hand.
func ExampleJSONLines() {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "run.jsonl")

	sink, err := training.NewJSONLines(training.JSONLinesConfig{Path: path})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	at := time.Date(2026, 1, 2, 15, 4, 5, 600_000_000, time.UTC)
	session := &training.Session{Run: "r7", World: 1}
	err = sink.Write(ctx, []training.Record{
		{Kind: training.RecordStep, Session: session, At: at, Step: 12, Tag: "train/loss", Value: 2.5},
		{Kind: training.RecordStep, Session: session, At: at, Step: 12, Tag: "train/grad_norm", Value: math.NaN()},
		{Kind: training.RecordCheckpoint, Session: session, At: at, Step: 12},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := sink.Close(ctx); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// {"type":"step","run":"r7","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12,"loss":2.5,"nonfinite":{"grad_norm":"NaN"}}
	// {"type":"checkpoint","run":"r7","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12}
}
