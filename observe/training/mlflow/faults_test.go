package mlflow

import (
	"bytes"
	"context"
	"errors"
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

// checkPoints checks that the points of steps are there, each at most so often,
// and returns how many are not.
func checkPoints(t *testing.T, run *fakeRun, from, to int64, atMost int) (missing int) {
	t.Helper()
	expected := 0
	for _, r := range steps(from, to) {
		n := run.points[point{r.Tag, math.Float64bits(r.Value), r.At.UnixMilli(), r.Step}]
		require.LessOrEqual(t, n, atMost, "step %d", r.Step)
		if n == 0 {
			missing++
		} else {
			expected++
		}
	}
	require.Len(t, run.points, expected, "points that nobody recorded")
	return missing
}

// TestFaults: whatever happens to whichever request, every point is there, and on
// a store that drops exact duplicates once.
func TestFaults(t *testing.T) {
	for kind := range numFaults {
		for _, every := range []int{1, 2, 3} { // of each so many requests one works
			for _, appends := range []bool{false, true} {
				t.Run(fmt.Sprint(kind, every, appends), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFake()
						f.appends = appends
						r := rand.New(rand.NewPCG(uint64(every), uint64(kind)))
						w := &network{server: f, fault: func(string, int) fault {
							if r.IntN(every+1) < every {
								return kind
							}
							return works
						}}
						s := newSink(t, w, func(c *Config) {
							c.Experiment, c.Params, c.Timeout = "exp", map[string]string{"lr": "0.1"}, 30*time.Second
						})
						for from := int64(0); from < 1000; from += 250 {
							_, err := give(t, s, steps(from, from+250))
							require.NoError(t, err)
						}
						_, err := give(t, s, []training.Record{{Kind: training.RecordSummary, Session: session, At: time.UnixMilli(5000)}})
						require.NoError(t, err)
						if inner := w.fault; kind >= hangBefore { // Close outlasts one hang
							last := w.n
							w.fault = func(path string, n int) fault {
								if n > last {
									return works
								}
								return inner(path, n)
							}
						}
						require.NoError(t, s.Close(context.Background()))
						run := f.run(t)
						atMost := 1
						if appends {
							atMost = 1000
						}
						require.Zero(t, checkPoints(t, run, 0, 1000, atMost))
						require.Equal(t, "FINISHED", run.status)
						require.EqualValues(t, 5000, run.end)
						require.Equal(t, map[string]string{"lr": "0.1"}, run.params)
						require.Equal(t, "r7", run.tags["calm.run"])
						require.Len(t, f.experiments, 1)
						stats := s.Stats()
						require.EqualValues(t, 2000, stats.Points)
						require.Zero(t, stats.Dropped)
					})
				})
			}
		}
	}
}

// TestDropAmbiguous: on a store that keeps duplicates no point is there twice, and
// what is not there was counted.
func TestDropAmbiguous(t *testing.T) {
	for kind := range numFaults {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.appends = true
			w := &network{server: f, fault: func(path string, n int) fault {
				if path == "runs/log-batch" && n%3 == 0 {
					return kind
				}
				return works
			}}
			s := newSink(t, w, func(c *Config) { c.OnAmbiguous = Drop })
			told := 0
			for from := int64(0); from < 1000; from += 100 {
				if _, err := give(t, s, steps(from, from+100)); err != nil {
					told++
				}
				time.Sleep(5 * time.Second)
			}
			err := s.Close(context.Background())
			stats := s.Stats()
			missing := checkPoints(t, f.run(t), 0, 1000, 1)
			require.LessOrEqual(t, int64(missing), stats.Dropped, "fault %d", kind)
			require.Equal(t, stats.Dropped > 0, told > 0 || err != nil, "fault %d", kind)
			require.Zero(t, stats.Resent)
			if kind == works || kind == refuse || kind == busy429 {
				require.Zero(t, stats.Dropped, "fault %d", kind)
			} else {
				require.Positive(t, stats.Dropped, "fault %d", kind)
			}
		})
	}
}

// TestSameBytes: a batch that may have been taken is sent again as it was.
func TestSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.keepBodies = true
		w := &network{server: f, fault: func(path string, n int) fault {
			if path == "runs/log-batch" && n < 4 {
				return resetAfter
			}
			return works
		}}
		s := newSink(t, w, nil)
		failures, err := give(t, s, steps(0, 10))
		require.NoError(t, err)
		require.Equal(t, 3, failures)
		require.EqualValues(t, 3, s.Stats().Resent)
		// Records that come while it waits are not mixed into it.
		_, err = give(t, s, steps(10, 20))
		require.NoError(t, err)
		require.NoError(t, s.Flush(context.Background()))
		require.Len(t, f.bodies, 5)
		for _, b := range f.bodies[:4] {
			require.True(t, bytes.Equal(f.bodies[0], b))
		}
		require.Zero(t, checkPoints(t, f.run(t), 0, 20, 1))
	})
}

// TestRandomFaults mixes all faults, batches of any size, flushes and small
// limits.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			f := newFake()
			w := &network{server: f, fault: func(string, int) fault { return fault(r.IntN(int(numFaults)*2)) % (numFaults * 2) }}
			inner := w.fault
			w.fault = func(p string, n int) fault {
				if k := inner(p, n); k < numFaults {
					return k
				}
				return works
			}
			s := newSink(t, w, func(c *Config) {
				c.BatchMetrics, c.BatchEvery, c.Timeout = 1+r.IntN(60), time.Duration(1+r.IntN(5))*time.Second, time.Second
				c.Tags = map[string]string{"a": "b"}
			})
			n := int64(0)
			for n < 400 {
				next := min(n+1+r.Int64N(80), 400)
				_, err := give(t, s, steps(n, next))
				require.NoError(t, err)
				n = next
				if r.IntN(3) == 0 {
					_ = s.Flush(context.Background())
				}
				time.Sleep(time.Duration(r.IntN(3)) * time.Second)
			}
			w.fault = nil
			time.Sleep(3 * time.Second)
			require.NoError(t, s.Close(context.Background()))
			require.Zero(t, checkPoints(t, f.run(t), 0, 400, 1))
			require.EqualValues(t, 800, s.Stats().Points)
		})
	}
}

func TestNonFinite(t *testing.T) {
	at := time.UnixMilli(7)
	batch := []training.Record{}
	for i, v := range []float64{1, math.NaN(), math.Inf(1), math.Inf(-1), -0.5, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		batch = append(batch, training.Record{Kind: training.RecordScalar, Session: session, At: at, Step: int64(i), Tag: "x", Value: v})
	}
	for _, refuses := range []bool{false, true} {
		f := newFake()
		f.finiteOnly = refuses
		s := newSink(t, &network{server: f}, nil)
		require.NoError(t, s.Write(context.Background(), batch))
		require.NoError(t, s.Close(context.Background()))
		stats := s.Stats()
		if refuses {
			require.Equal(t, Stats{Points: 4, NonFinite: 3}, stats)
			require.Equal(t, 2, f.requests["runs/log-batch"], "once more, without them")
		} else {
			require.Equal(t, Stats{Points: 7}, stats)
		}
		for _, r := range batch {
			want := 1
			if refuses && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0)) {
				want = 0
			}
			require.Equal(t, want, f.run(t).points[point{"x", math.Float64bits(r.Value), 7, r.Step}], "%v", r.Value)
		}
	}
	// Nothing but what is refused.
	f := newFake()
	f.finiteOnly = true
	s := newSink(t, &network{server: f}, nil)
	require.NoError(t, s.Write(context.Background(), steps(0, 1)))
	require.NoError(t, s.Write(context.Background(), batch[1:4]))
	require.NoError(t, s.Flush(context.Background()))
	require.Equal(t, Stats{Points: 2, NonFinite: 3}, s.Stats())
}

// TestRefused: what the server will not take is given up, with its reason, and
// nothing else.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSink(t, &network{server: f}, func(c *Config) { c.Params = map[string]string{"lr": "1"} })
		require.NoError(t, s.Write(context.Background(), steps(0, 10)))
		require.NoError(t, s.Flush(context.Background()))
		f.run(t).params["lr"] = "2"

		again := newSink(t, &network{server: f}, func(c *Config) { c.RunID, c.Params = s.RunID(), map[string]string{"lr": "1"} })
		err := again.Write(context.Background(), steps(10, 20))
		require.ErrorIs(t, err, training.ErrDropped)
		require.ErrorContains(t, err, "INVALID_PARAMETER_VALUE")
		require.ErrorContains(t, err, `param "lr" has another value`)
		require.EqualValues(t, 1, again.Stats().Dropped, "the param alone")
		require.NoError(t, again.Flush(context.Background()))
		require.Zero(t, checkPoints(t, f.run(t), 0, 20, 1))

		f.runs[0].status = "gone"
		f.runs = nil
		require.NoError(t, again.Write(context.Background(), steps(20, 21)))
		err = again.Flush(context.Background())
		require.ErrorIs(t, err, training.ErrDropped)
		require.ErrorContains(t, err, "RESOURCE_DOES_NOT_EXIST")
		require.EqualValues(t, 3, again.Stats().Dropped)
		require.NoError(t, again.Flush(context.Background()), "told once")
	})
}

func TestRefusedRun(t *testing.T) {
	f := newFake()
	s := newSink(t, &network{server: f}, func(c *Config) { c.RunID = "run0" })
	err := s.Write(context.Background(), steps(0, 5))
	require.ErrorIs(t, err, training.ErrDropped)
	require.ErrorContains(t, err, "RESOURCE_DOES_NOT_EXIST")
	require.EqualValues(t, 10, s.Stats().Dropped)
	require.Empty(t, s.RunID())
	require.NoError(t, s.Flush(context.Background()))
	require.NoError(t, s.Close(context.Background()))

	f.runs = []*fakeRun{{params: map[string]string{}, tags: map[string]string{}, points: map[point]int{}}}
	s = newSink(t, &network{server: f}, func(c *Config) { c.RunID = "run0" })
	require.NoError(t, s.Write(context.Background(), steps(0, 5)))
	require.Equal(t, "RUNNING", f.runs[0].status)
	require.Equal(t, "run0", s.RunID())
}

// TestRetryAfter: while the server wants no request there is none.
func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "86400": time.Minute, "-5": 0, "soon": 0, "99999999999999999999": 0,
		"Sat, 01 Jan 2000 00:00:10 GMT": 10 * time.Second, "Sat, 01 Jan 2050 00:00:10 GMT": time.Minute, "Sat, 01 Jan 1990 00:00:10 GMT": 0,
	} {
		synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at 2000-01-01
			require.Equal(t, want, retryAfter(text), text)
		})
	}
	for _, kind := range []fault{busy429, busy503} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			w := &network{server: f, fault: func(_ string, n int) fault {
				if n%3 == 0 {
					return kind
				}
				return works
			}}
			s := newSink(t, w, nil)
			start := time.Now()
			failures, err := give(t, s, steps(0, 5))
			require.NoError(t, err)
			require.Positive(t, failures)
			require.NoError(t, s.Close(context.Background()))
			require.GreaterOrEqual(t, len(w.at), 5)
			for i := 1; i < len(w.at); i += 3 {
				require.GreaterOrEqual(t, w.at[i].Sub(w.at[i-1]), 2*time.Second)
			}
			require.Less(t, time.Since(start), 10*time.Second)
			require.Zero(t, checkPoints(t, f.run(t), 0, 5, 1))
		})
	}
}

// TestHang: a server that never answers costs Timeout, or what ctx allows.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := &network{server: f}
		s := newSink(t, w, func(c *Config) { c.Timeout = 3 * time.Second })
		require.NoError(t, s.Write(context.Background(), steps(0, 5)))
		w.fault = func(string, int) fault { return hangAfter }
		time.Sleep(time.Minute)
		start := time.Now()
		require.ErrorIs(t, s.Write(context.Background(), steps(5, 10)), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start = time.Now()
		require.Error(t, s.Flush(ctx))
		require.Equal(t, time.Second, time.Since(start))

		start = time.Now()
		err := s.Close(context.Background())
		require.ErrorIs(t, err, training.ErrDropped)
		require.Equal(t, 3*time.Second, time.Since(start))
		require.EqualValues(t, 10, s.Stats().Dropped, "as far as the sink can know")
		require.Equal(t, "RUNNING", f.run(t).status)
	})
}

func TestCloseDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		w := &network{server: f}
		s := newSink(t, w, nil)
		require.NoError(t, s.Write(context.Background(), steps(0, 5)))
		require.NoError(t, s.Write(context.Background(), steps(5, 10)), "waits for more")
		w.fault = func(string, int) fault { return refuse }
		start := time.Now()
		err := s.Close(context.Background())
		require.ErrorIs(t, err, training.ErrDropped)
		require.ErrorContains(t, err, "connection refused")
		require.Equal(t, 10*time.Second, time.Since(start))
		require.Equal(t, Stats{Points: 10, Dropped: 10}, s.Stats())
		require.Less(t, w.n, 15, "with pauses")
		var call *callError
		require.True(t, errors.As(err, &call))
	})
}

// TestCloseTold: a server that wants no request for longer than Close may take
// gets none.
func TestCloseTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSink(t, &network{server: f}, nil)
		require.NoError(t, s.Write(context.Background(), steps(0, 5)))
		w := answers(429, "Retry-After", "3600", strings.NewReader(""))
		s.api.client.Transport = w
		time.Sleep(time.Minute)
		require.Error(t, s.Write(context.Background(), steps(5, 10)))
		err := s.Close(context.Background())
		require.ErrorIs(t, err, training.ErrDropped)
		require.ErrorContains(t, err, "the server wants no request for another 1m0s")
		require.Equal(t, 1, w.n)
		require.Equal(t, Stats{Points: 10, Dropped: 10}, s.Stats())
	})
}
