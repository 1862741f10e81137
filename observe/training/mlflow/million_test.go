package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestMillion: a million points through a network of which each fifth request has
// a fault. The store is one that drops exact duplicates: it checks that each point
// is what was recorded, so that the same place is the same point.
func TestMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("a million points take seconds")
	}
	total, part := int64(500_000), int64(512)
	if raceEnabled {
		total = 10_000 // the race detector makes it ten times slower
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		f := newFake()
		seen := [2][]bool{make([]bool, total), make([]bool, total)} // loss, gradient norm
		points := 0
		f.metrics = func(body []byte, share float64) *fakeError {
			_, list, _ := bytes.Cut(body, []byte(`"metrics":[`))
			list, rest, _ := bytes.Cut(list, []byte("]"))
			if points%16 == 0 && !json.Valid(body) || bytes.Contains(rest, []byte("params")) {
				return bad("not JSON: %s", body)
			}
			metrics := bytes.SplitAfter(list, []byte("}"))
			for i, m := range metrics[:len(metrics)-1] {
				if float64(i) >= share*float64(len(metrics)) {
					return &fakeError{500, "INTERNAL_ERROR", "the store failed in the middle"}
				}
				m = bytes.TrimPrefix(m, []byte(","))
				_, number, _ := bytes.Cut(bytes.TrimSuffix(m, []byte("}")), []byte(`"step":`))
				n, err := strconv.ParseInt(string(number), 10, 64)
				if err != nil || n < 0 || n >= total {
					return bad("step %s", number)
				}
				at := 1_700_000_000_000 + 1000*n
				loss := fmt.Appendf(nil, `{"key":"train/loss","value":%g,"timestamp":%d,"step":%d}`, float64(n)/8, at, n)
				norm := fmt.Appendf(nil, `{"key":"train/grad_norm","value":1,"timestamp":%d,"step":%d}`, at, n)
				switch {
				case bytes.Equal(m, loss):
					seen[0][n] = true
				case bytes.Equal(m, norm):
					seen[1][n] = true
				default:
					return bad("a point that nobody recorded: %s", m)
				}
				points++
			}
			return nil
		}
		w := &network{server: f, fault: func(string, int) fault {
			if r.IntN(5) == 0 {
				return fault(r.IntN(int(numFaults)))
			}
			return works
		}}
		s := newSink(t, w, func(c *Config) { c.BatchMetrics = 1000 })
		for from := int64(0); from < total; from += part {
			_, err := give(t, s, steps(from, min(from+part, total)))
			require.NoError(t, err)
		}
		require.NoError(t, s.Close(context.Background()))
		require.Equal(t, [2]int{-1, -1}, [2]int{slices.Index(seen[0], false), slices.Index(seen[1], false)}, "every point")
		require.Equal(t, Stats{Points: 2 * total, Resent: s.Stats().Resent}, s.Stats())
		require.Positive(t, s.Stats().Resent)
		require.Greater(t, points, int(2*total), "some were sent again")
		require.Less(t, points, int(3*total))
	})
}
