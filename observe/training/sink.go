package training

import (
	"context"
	"errors"
	"time"
)

// ErrDropped is wrapped by the error of a Sink that has given a batch up, in part
// or whole: the Recorder counts the error and goes on with the next batch.
var ErrDropped = errors.New("training: records dropped")

// Sink keeps the history of a run. A Recorder calls it from one goroutine of its
// own, never from Step.
type Sink interface {
	// Name is the sink's label in metrics, unique in a Recorder.
	Name() string

	// Write takes a batch, in order. The memory of the batch is used again after
	// it returns; what a record points to is not. The values of one step are never
	// spread over two batches. If Write fails it is called again with the same
	// batch, after a pause, until it succeeds or the Recorder ends: a sink that
	// took a part of the batch remembers how much. An error that wraps ErrDropped
	// is counted, and the batch is not given again.
	Write(ctx context.Context, batch []Record) error

	// Flush makes what was written visible to readers.
	Flush(ctx context.Context) error

	// Close flushes and ends. Nothing is called after it.
	Close(ctx context.Context) error
}

// Session is the process that records belong to.
type Session struct {
	Run   string // Config.Run
	Rank  int    // Config.Rank
	World int    // Config.World
}

// RecordKind says what a Record holds.
type RecordKind uint8

// The kinds of records.
const (
	// RecordStep is one value of a Step: Tag and Value. All values of a step
	// follow one another in one batch.
	RecordStep RecordKind = iota
	// RecordScalar is a value given to Recorder.Scalar, or the norm of a tensor
	// given to Recorder.Gradients.
	RecordScalar
	// RecordHistogram is the Histogram of a tensor.
	RecordHistogram
	// RecordSession says that the process goes on at Step, by Recorder.Resume:
	// whatever was recorded for it and later steps is void.
	RecordSession
	// RecordRollback says that the next step will be Step, by
	// Recorder.RolledBack: whatever was recorded for it and later steps is void.
	// Text is the cause.
	RecordRollback
	// RecordCheckpoint says that the state after Step is durable.
	RecordCheckpoint
	// RecordEvent is an Event.
	RecordEvent
	// RecordSummary ends a session: Goodput holds the account.
	RecordSummary
)

// Record is one line of a run's history.
type Record struct {
	Kind    RecordKind // what it holds
	Session *Session   // never nil
	At      time.Time  // when it was recorded
	Step    int64      // the step that it belongs to

	Tag       string     // RecordStep, RecordScalar, RecordHistogram: such as "train/loss", "gradients/layer0"
	Value     float64    // RecordStep, RecordScalar; may be NaN or infinite
	Histogram *Histogram // RecordHistogram, else nil
	Event     *Event     // RecordEvent, else nil
	Goodput   *Goodput   // RecordSummary of a rank that keeps a ledger, else nil
	Text      string     // RecordRollback: the cause
}

// Histogram is a distribution of finite values. Bucket i counts the values above
// Limits[i-1] and up to Limits[i]; the first has no lower limit but Min.
type Histogram struct {
	Min, Max   float64   // of the values counted
	Count      int64     // how many values
	Sum        float64   // of the values
	SumSquares float64   // of the values
	Limits     []float64 // upper limits of the buckets, strictly ascending
	Counts     []int64   // as many as Limits
}
