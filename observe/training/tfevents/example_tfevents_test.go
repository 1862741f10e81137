package tfevents_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// A run that is killed after step 5 and goes on at step 4. A Recorder makes these
// calls.
func ExampleSink() {
	dir, err := os.MkdirTemp("", "tfevents")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	run := func(kind training.RecordKind, from, to int64, loss float64) {
		sink, err := tfevents.New(tfevents.Config{Dir: dir})
		if err != nil {
			fmt.Println(err)
			return
		}
		session := &training.Session{Run: "tiny", World: 1}
		batch := []training.Record{{Kind: kind, Session: session, At: time.Now(), Step: from}}
		for n := from; n <= to; n++ {
			batch = append(batch, training.Record{Session: session, At: time.Now(), Step: n, Tag: "train/loss", Value: loss / float64(n)})
		}
		if err := sink.Write(context.Background(), batch); err != nil {
			fmt.Println(err)
		}
		if err := sink.Close(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	run(training.RecordCheckpoint, 1, 5, 60)
	run(training.RecordSession, 4, 6, 120)

	points, err := tfevents.Load(os.DirFS(dir))
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range points["train/loss"] {
		fmt.Println(p.Step, p.Value)
	}
	// Output:
	// 1 60
	// 2 30
	// 3 20
	// 4 30
	// 5 24
	// 6 20
}

// All faults are told at once.
func ExampleConfig() {
	_, err := tfevents.New(tfevents.Config{Host: "gpu/1"})
	fmt.Println(err)
	// Output:
	// tfevents: Config.Dir is empty
	// tfevents: Config.Host is "gpu/1", not at most 128 bytes of [A-Za-z0-9._-]
}

// A file without a Recorder, here in memory.
func ExampleWriter() {
	var file bytes.Buffer
	w, err := tfevents.NewWriter(&file, time.Unix(1700000000, 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Unix(1700000001, 0)
	err = errors.Join(
		w.SessionStart(at, 1),
		w.Scalar(at, 1, "train/loss", 3),
		w.Histogram(at, 1, "gradients/layer0", &training.Histogram{
			Min: -.5, Max: 1.5, Count: 5, Sum: 3, SumSquares: 4,
			Limits: []float64{0, 1, 2}, Counts: []int64{1, 3, 1},
		}),
		w.Flush(),
	)
	fmt.Println(file.Len(), "bytes", err)
	// Output:
	// 267 bytes <nil>
}

// The events of one file, as they are.
func ExampleRead() {
	for event, err := range tfevents.Read(exampleFile()) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(event.Step, event.FileVersion, event.Start, len(event.Values))
	}
	// Output:
	// 0 brain.Event:2 false 0
	// 1  true 0
	// 1  false 1
	// 2  false 1
}

func ExampleEvent() {
	for event := range tfevents.Read(exampleFile()) {
		if event.Start {
			fmt.Println("training goes on at step", event.Step)
		}
	}
	// Output:
	// training goes on at step 1
}

func ExampleValue() {
	for event := range tfevents.Read(exampleFile()) {
		for _, v := range event.Values {
			fmt.Println(v.Tag, v.Scalar, v.Histogram != nil)
		}
	}
	// Output:
	// train/loss 3 false
	// train/loss 2.5 false
}

// A damaged file gives what comes before the damage.
func ExampleCorruptError() {
	file := exampleFile()
	file.Bytes()[file.Len()-1]++
	for event, err := range tfevents.Read(file) {
		var corrupt *tfevents.CorruptError
		if errors.As(err, &corrupt) {
			fmt.Println("damaged from byte", corrupt.Offset)
			break
		}
		fmt.Println("step", event.Step)
	}
	// Output:
	// step 0
	// step 1
	// step 1
	// damaged from byte 119
}

// The points of a tag, as Load returns them.
func ExamplePoint() {
	points := []tfevents.Point{{Step: 1, Value: 3}, {Step: 2, Value: 2.5}}
	for _, p := range points {
		fmt.Printf("step %d: %.1f\n", p.Step, p.Value)
	}
	// Output:
	// step 1: 3.0
	// step 2: 2.5
}

func exampleFile() *bytes.Buffer {
	file := &bytes.Buffer{}
	at := time.Unix(1700000000, 0)
	w, err := tfevents.NewWriter(file, at)
	if err == nil {
		err = errors.Join(w.SessionStart(at, 1), w.Scalar(at, 1, "train/loss", 3), w.Scalar(at, 2, "train/loss", 2.5), w.Flush())
	}
	if err != nil {
		fmt.Println(err)
	}
	return file
}
