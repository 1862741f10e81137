package training

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What comes after the end of Run is lost, and counted as such.
func TestRecordsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &memory{name: "good"}
		bad := &memory{name: "bad", fail: func(int) error { return errors.New("gone") }}
		r := must(t, Config{Sinks: []Sink{good, bad}})
		stop := run(r)
		r.Step(Step{N: 1})
		time.Sleep(time.Minute)
		require.Error(t, stop())
		before := r.Snapshot()
		assert.Zero(t, before.Sinks[0].Dropped)
		assert.EqualValues(t, 3, before.Sinks[1].Dropped, "step, summary, and the event of its own failure")
		for n := range int64(10) {
			r.Step(Step{N: n + 2})
		}
		after := r.Snapshot()
		assert.EqualValues(t, 10, after.Sinks[0].Dropped)
		assert.EqualValues(t, 13, after.Sinks[1].Dropped)
		assert.EqualValues(t, 11, after.Steps)
	})
}

// What a sink that hangs has not taken when Run returns is counted, and the error
// names it. It is not called again, but for Close.
func TestHungSinkAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		hung := &slowSink{memory: memory{name: "hung"}, wait: free}
		r := must(t, Config{Sinks: []Sink{hung}})
		stop := run(r)
		for n := range int64(3000) {
			r.Step(Step{N: n + 1, Loss: 1, Duration: time.Second})
		}
		time.Sleep(time.Minute)
		err := stop()
		require.ErrorContains(t, err, "hung")
		assert.EqualValues(t, 3001, r.Snapshot().Sinks[0].Dropped)
		close(free)
		synctest.Wait()
		assert.Equal(t, 1, hung.writes, "no second batch after Run has returned")
		assert.Equal(t, 1, hung.closed)
	})
}

// slowSink does not heed its context.
type slowSink struct {
	memory
	wait chan struct{}
}

func (s *slowSink) Write(ctx context.Context, batch []Record) error {
	<-s.wait
	return s.memory.Write(ctx, batch)
}

// Entries that were written, or given up, hold on to nothing.
func TestQueuesLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func(int) error{
			"taken":    nil,
			"dropped":  func(int) error { return ErrDropped },
			"given up": func(int) error { return errors.New("no") },
		} {
			r := must(t, Config{Sinks: []Sink{&forgetful{fail}}})
			stop := run(r)
			r.Scalar(strings.Repeat("x", 1<<20), 1)
			r.Gradients("w", []float32{1, 2, 3})
			_ = stop()
			for i := range r.queues[0].ring {
				e := &r.queues[0].ring[i]
				require.True(t, e.tag == "" && e.ref == nil, "%s: entry %d holds %.20q %T", name, i, e.tag, e.ref)
			}
		}
	})
}

type forgetful struct{ fail func(int) error }

func (*forgetful) Name() string { return "forgetful" }
func (f *forgetful) Write(context.Context, []Record) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(0)
}
func (*forgetful) Flush(context.Context) error { return nil }
func (*forgetful) Close(context.Context) error { return nil }

// A rollback that finds the queue full is not lost: the histories would hold steps
// twice.
func TestRollbackIntoFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, back := range []func(*Recorder, int64){
			func(r *Recorder, to int64) { r.RolledBack(to, "spike") },
			func(r *Recorder, to int64) { r.Resume(to + 1) },
			func(r *Recorder, to int64) { r.Resume(to + 3); r.RolledBack(to, "again"); r.Resume(to + 1) },
		} {
			free := make(chan struct{})
			sink := &slowSink{memory: memory{name: "slow"}, wait: free}
			r := must(t, Config{Sinks: []Sink{sink}, QueueSize: 8})
			stop := run(r)
			for n := range int64(20) {
				r.Step(Step{N: n + 1, Loss: float64(n + 1), Duration: time.Second})
			}
			synctest.Wait()
			back(r, 3)
			for n := range int64(20) { // dropped too, but for the last ones
				if n == 10 {
					close(free)
				}
				if n >= 10 {
					time.Sleep(10 * time.Second)
				}
				r.Step(Step{N: n + 4, Loss: 100 + float64(n+4), Duration: time.Second})
			}
			require.NoError(t, stop())
			assert.Equal(t, map[int64]float64{1: 1, 2: 2, 3: 3, 14: 114, 15: 115, 16: 116, 17: 117, 18: 118, 19: 119, 20: 120, 21: 121, 22: 122, 23: 123},
				history(t, sink.all()))
		}
	})
}

// history applies what restarts and rollbacks say to the losses of a sink. A step
// that is there already when it comes again is a fault.
func history(t *testing.T, records []Record) map[int64]float64 {
	t.Helper()
	losses := map[int64]float64{}
	for _, r := range records {
		switch {
		case r.Kind == RecordSession || r.Kind == RecordRollback:
			for n := range losses {
				if n >= r.Step {
					delete(losses, n)
				}
			}
		case r.Kind == RecordStep && r.Tag == "train/loss":
			_, twice := losses[r.Step]
			require.False(t, twice, "step %d is there twice", r.Step)
			losses[r.Step] = r.Value
		}
	}
	return losses
}
