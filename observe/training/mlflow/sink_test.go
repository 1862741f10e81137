package mlflow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

func TestConfigFaults(t *testing.T) {
	long := strings.Repeat("x", 600)
	_, err := New(Config{URL: "ftp://user:secret@host?q", Timeout: -1, RunID: "a b", ExperimentID: "-", Experiment: long, RunName: long,
		Params: map[string]string{"": "x"}, Tags: map[string]string{long: "x"}, OnAmbiguous: 7, BatchEvery: -1, BatchMetrics: 1001})
	for _, want := range []string{"Config.URL is \"ftp://user:xxxxx@host?q\"", "Timeout is -1ns", "RunID is \"a b\"", "ExperimentID is \"-\"", "Experiment is \"xxx", "RunName is \"xxx",
		"Params is \"\"", "Tags is \"xxx", "OnAmbiguous is 7", "BatchEvery is -1ns", "BatchMetrics is 1001", "beside an ExperimentID"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret")
	for _, url := range []string{"", "http://", "host", "http://h/#f", "http://h:x", "\x00"} {
		_, err := New(Config{URL: url})
		require.ErrorContains(t, err, "Config.URL is", "%q", url)
	}
	s, err := New(Config{URL: "https://h/prefix//"})
	require.NoError(t, err)
	require.Equal(t, "https://h/prefix", s.api.base)
	require.Equal(t, "mlflow", s.Name())
}

// TestRecords: what each kind of record becomes.
func TestRecords(t *testing.T) {
	f := newFake()
	s := newSink(t, &network{server: f}, func(c *Config) {
		c.ExperimentID, c.Tags, c.Params = "7", map[string]string{"team": "a", "calm.world": "own"}, map[string]string{"batch size": "8"}
	})
	at := time.UnixMilli(1_700_000_000_000)
	of := &training.Session{Run: "r7", Rank: 3, World: 4}
	require.NoError(t, s.Write(context.Background(), nil))
	require.Empty(t, f.requests, "nothing to write, nothing sent")
	require.NoError(t, s.Write(context.Background(), []training.Record{
		{Kind: training.RecordSession, Session: of, At: at, Step: 1},
		{Kind: training.RecordSession, Session: of, At: at, Step: 11},
		{Kind: training.RecordStep, Session: of, At: at, Step: 11, Tag: "train/loss", Value: 2},
		{Kind: training.RecordScalar, Session: of, At: at, Step: 11, Tag: "eval/acc@5:all", Value: 0.5},
		{Kind: training.RecordHistogram, Session: of, At: at, Step: 11, Tag: "gradients/w", Histogram: &training.Histogram{}},
		{Kind: training.RecordCheckpoint, Session: of, At: at, Step: 10},
		{Kind: training.RecordCheckpoint, Session: of, At: at, Step: 11},
		{Kind: training.RecordRollback, Session: of, At: at, Step: 5, Text: "spike\x00"},
		{Kind: training.RecordEvent, Session: of, At: at, Step: 12, Event: &training.Event{Kind: training.EventSpike, Step: 12, Onset: 11, Signal: "loss", Value: 9, Limit: 4, Score: 8,
			RollbackTo: 5, SkipMin: 1, SkipMax: 3, Since: time.Second, Detail: "why"}},
		{Kind: training.RecordEvent, Session: of, At: at.Add(-time.Hour), Step: 12, Event: &training.Event{Kind: training.EventStraggler, Step: 12, Rank: 2}},
		{Kind: training.RecordEvent, Session: of},
		{Kind: training.RecordSummary, Session: of, At: at.Add(time.Hour), Step: 12, Goodput: &training.Goodput{Elapsed: 4 * time.Second, Productive: 3 * time.Second, Ratio: 0.75, Rollbacks: 1}},
	}))
	require.NoError(t, s.Close(context.Background()))
	require.Empty(t, f.refusals)
	run := f.run(t)
	created := run.tags["calm.created"]
	require.NotEmpty(t, created)
	require.Equal(t, map[string]string{
		"calm.created": created, "calm.run": "r7", "calm.rank": "3", "calm.world": "own", "team": "a", "calm.checkpoint": "11",
		"calm.resume.1700000000000":   "11",
		"calm.rollback.1700000000001": "5 spike",
		"calm.event.1700000000002":    "spike: step 12, since step 11, loss, value 9, limit 4, score 8, for 1s; roll back to 5, skip 1 to 3 batches; why",
		"calm.event.1700000000003":    "straggler: step 12, rank 2",
	}, run.tags)
	require.Equal(t, map[string]string{"batch size": "8"}, run.params)
	values := map[string]float64{}
	for p := range run.points {
		values[p.key] = math.Float64frombits(p.value)
	}
	require.Equal(t, 2.0, values["train/loss"])
	require.Equal(t, 0.5, values["eval/acc_5_all"])
	require.Equal(t, 0.75, values["goodput/ratio"])
	require.Equal(t, 4.0, values["goodput/elapsed_seconds"])
	require.Contains(t, values, "goodput/badput_seconds/wasted")
	require.Len(t, values, 2+5+int(training.NumCauses))
	require.Equal(t, "7", run.experiment)
	require.Equal(t, "r7-rank3", run.name)
	require.Equal(t, "FINISHED", run.status)
	require.Equal(t, at.UnixMilli(), run.start)
	require.Equal(t, at.Add(time.Hour).UnixMilli(), run.end)
}

func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSink(t, &network{server: f}, func(c *Config) { c.RunName = "mine" })
		require.NoError(t, s.Write(context.Background(), steps(0, 1)))
		time.Sleep(time.Hour)
		require.NoError(t, s.Close(context.Background()))
		run := f.run(t)
		require.Equal(t, []any{"KILLED", time.Now().UnixMilli(), "mine", "0"}, []any{run.status, run.end, run.name, run.experiment})
	})
	s := newSink(t, &network{server: newFake()}, nil)
	require.NoError(t, s.Flush(context.Background()))
	require.NoError(t, s.Close(context.Background()), "without a Write there is no run")
}

// TestExperimentRace: another process creates the experiment meanwhile.
func TestExperimentRace(t *testing.T) {
	f := newFake()
	f.beforeCreate = func() { f.experiments["shared é&="] = "42" }
	s := newSink(t, &network{server: f}, func(c *Config) { c.Experiment = "shared é&=" })
	require.NoError(t, s.Write(context.Background(), steps(0, 1)))
	require.Equal(t, "42", f.run(t).experiment)
	require.Equal(t, 2, f.requests["experiments/get-by-name"])
}

// TestBatching: metrics are sent together.
func TestBatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSink(t, &network{server: f}, nil)
		for n := range int64(60) { // a minute, two metrics a second
			require.NoError(t, s.Write(context.Background(), steps(n, n+1)))
			time.Sleep(time.Second)
		}
		require.Equal(t, 12, f.requests["runs/log-batch"], "each 5 s")
		require.NoError(t, s.Write(context.Background(), steps(100, 600)))
		require.Equal(t, 14, f.requests["runs/log-batch"], "500 metrics each")
		require.NoError(t, s.Flush(context.Background()))
		require.NoError(t, s.Flush(context.Background()))
		require.Equal(t, 15, f.requests["runs/log-batch"])
		require.Len(t, f.run(t).points, 1120)
	})
}

// TestLimits: nothing that a user can give makes a server refuse a batch.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		many := map[string]string{"": "x"}
		delete(many, "")
		for i := range 250 {
			many[fmt.Sprintf("%c/../%d", rune(i), i)] = strings.Repeat("\x01\"ü", 3000+i)
		}
		s := newSink(t, &network{server: f}, func(c *Config) { c.Params, c.Tags, c.BatchMetrics = many, many, 1000 })
		r := rand.New(rand.NewPCG(5, 5))
		var batch []training.Record
		for i := range 5000 {
			rec := training.Record{Kind: training.RecordScalar, Session: session, At: time.UnixMilli(r.Int64() - r.Int64()), Step: r.Int64() - r.Int64(), Tag: randomName(r), Value: math.Float64frombits(r.Uint64())}
			switch i % 50 {
			case 1:
				rec.Kind, rec.Event = training.RecordEvent, &training.Event{Detail: strings.Repeat("<\x00é", 5000)}
			case 2:
				rec.Kind, rec.Text = training.RecordRollback, strings.Repeat("\xff", 20000)
			case 3:
				rec.Kind = training.RecordCheckpoint
			}
			batch = append(batch, rec)
		}
		require.NoError(t, s.Write(context.Background(), batch))
		require.NoError(t, s.Close(context.Background()))
		require.Empty(t, f.refusals)
		require.Len(t, f.run(t).params, 250)
		require.Greater(t, s.Stats().Truncated, int64(500))
		require.Zero(t, s.Stats().Dropped)
	})
}

func TestNumberedTagsAreBounded(t *testing.T) {
	f := newFake()
	s := newSink(t, &network{server: f}, nil)
	var batch []training.Record
	for range maxNumbered + 7 {
		batch = append(batch, training.Record{Kind: training.RecordEvent, Session: session, Event: &training.Event{}})
	}
	batch = append(batch, training.Record{Kind: training.RecordRollback, Session: session, Step: 3})
	require.NoError(t, s.Write(context.Background(), batch))
	require.NoError(t, s.Close(context.Background()))
	require.EqualValues(t, 7, s.Stats().Dropped)
	require.Len(t, f.run(t).tags, maxNumbered+1+4)
}

// TestWithRecorder: the sink at work under a Recorder.
func TestWithRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSink(t, &network{server: f, fault: func(_ string, n int) fault {
			if n%4 == 3 {
				return partial
			}
			return works
		}}, nil)
		r, err := training.New(training.Config{Run: "r7", Sinks: []training.Sink{s}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		for n := range int64(100) {
			time.Sleep(time.Second)
			r.Step(training.Step{N: n + 1, Loss: 1})
		}
		time.Sleep(time.Minute)
		cancel()
		require.NoError(t, <-done)
		run := f.run(t)
		steps := map[int64]int{}
		for p := range run.points {
			if p.key == "train/loss" {
				steps[p.step]++
			}
		}
		require.Len(t, steps, 100)
		require.Equal(t, "FINISHED", run.status)
		require.Zero(t, s.Stats().Dropped)
	})
}

// TestAllocations: a metric that waits costs no memory of its own.
func TestAllocations(t *testing.T) {
	f := newFake()
	s := newSink(t, &network{server: f}, func(c *Config) { c.BatchMetrics, c.BatchEvery = 1000, time.Hour })
	require.NoError(t, s.Write(context.Background(), steps(0, 400)))
	require.NoError(t, s.Flush(context.Background()))
	require.NoError(t, s.Write(context.Background(), steps(400, 800)))
	require.NoError(t, s.Flush(context.Background()))
	batch := steps(0, 10)
	require.Zero(t, testing.AllocsPerRun(20, func() {
		if s.Write(context.Background(), batch) != nil {
			t.Fatal("not taken")
		}
	}))
}

// TestFake is the negative control of the tests of faults: the fake tells a
// resend whose time was changed, and what is over a limit.
func TestFake(t *testing.T) {
	f := newFake()
	f.runs = []*fakeRun{{params: map[string]string{}, tags: map[string]string{}, points: map[point]int{}}}
	log := func(metrics string) *fakeError {
		_, err := f.logBatch([]byte(`{"run_id":"run0","metrics":[`+metrics+`]}`), 1)
		return err
	}
	const one = `{"key":"a","value":1,"timestamp":5,"step":1}`
	require.Nil(t, log(one))
	require.Nil(t, log(one))
	require.Equal(t, map[point]int{{"a", math.Float64bits(1), 5, 1}: 1}, f.runs[0].points)
	require.Nil(t, log(strings.Replace(one, "5", "6", 1)))
	require.Len(t, f.runs[0].points, 2, "another time is another point")
	f.appends = true
	require.Nil(t, log(one))
	require.Equal(t, 2, f.runs[0].points[point{"a", math.Float64bits(1), 5, 1}])
	require.NotNil(t, log(strings.Repeat(one+",", 1000)+one))
	require.NotNil(t, log(strings.Replace(one, `"a"`, `"a:b"`, 1)))
	require.NotNil(t, log(strings.Replace(one, `"a"`, `"../b"`, 1)))
	require.NotNil(t, log(""))
}
