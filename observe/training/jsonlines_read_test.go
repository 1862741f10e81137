package training

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestReadJSONLinesForeign(t *testing.T) {
	const good = `{"type":"checkpoint","run":"r","rank":1,"time":"2026-01-02T15:04:05Z","step":5}`
	for _, bad := range []string{
		"", " ", "{}", "null", "[]", "1", `"type"`, `{"type":"checkpoint"`, good + "x", `{"type":"new"}`, `{"type":7}`,
		`{"type":"step","step":"5"}`, `{"type":"step","step":1.5}`, `{"type":"step","loss":"high"}`, `{"type":"step","loss":1e999}`, `{"type":"step","loss":null}`,
		`{"type":"step","nonfinite":{"loss":"big"}}`, `{"type":"step","nonfinite":["loss"]}`, `{"type":"step","time":"yesterday"}`,
		`{"type":"event","kind":"no such"}`, `{"type":"event"}`, `{"type":"event","kind":"spike","since_seconds":"1h"}`,
		`{"type":"summary","elapsed_seconds":1e3}`, `{"type":"gradients","count":1,"limits":[1],"counts":[]}`,
		`{"type":"scalar","value":"1"}`, strings.Repeat("x", 3<<20), strings.Repeat("[", 100_000), `{"type":"step","loss":NaN}`,
	} {
		lines := jlRead(t, strings.NewReader(good+"\n"+bad+"\r\n"+good))
		require.Len(t, lines, 2, "%.80s", bad)
		require.Equal(t, lines[0], lines[1])
		require.Equal(t, Session{Run: "r", Rank: 1}, lines[0].Session)
	}
	require.Len(t, jlRead(t, strings.NewReader(`{"type":"step","of":{},"type":"checkpoint"}`)), 1, "what is not known is not read")
	nan := jlRead(t, strings.NewReader(`{"type":"step","loss":1,"nonfinite":{"loss":"NaN"}}`))
	require.True(t, math.IsNaN(nan[0].Values["loss"]))
}

func TestReadJSONLinesErrors(t *testing.T) {
	const line = `{"type":"checkpoint","step":5}` + "\n"
	broken := errors.New("broken")
	n, last := 0, error(nil)
	for l, err := range ReadJSONLines(io.MultiReader(strings.NewReader(line+line+`{"type`), iotest.ErrReader(broken))) {
		if last = err; err == nil {
			require.EqualValues(t, 5, l.Step)
			n++
		}
	}
	require.Equal(t, 2, n)
	require.ErrorIs(t, last, broken)

	n = 0
	for range ReadJSONLines(iotest.OneByteReader(strings.NewReader(line + line))) {
		n++
		break
	}
	require.Equal(t, 1, n)
}

// TestReadJSONLinesBounded: a file without newlines costs no memory.
func TestReadJSONLinesBounded(t *testing.T) {
	r := io.MultiReader(io.LimitReader(endless('x'), 64<<20), strings.NewReader("\n"+`{"type":"checkpoint","step":5}`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.Len(t, jlRead(t, r), 1)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// endless reads as one byte for ever.
type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

func FuzzReadJSONLines(f *testing.F) {
	for _, s := range []string{
		"", "\n\n", `{"type":"step","run":"r","rank":0,"time":"2026-01-02T15:04:05.6Z","step":12,"loss":2.5,"nonfinite":{"grad_norm":"NaN"}}` + "\n",
		`{"type":"gradients","count":3,"limits":[0,0],"counts":[1,2],"nonfinite":{"limits[1]":"Infinity"}}`,
		`{"type":"event","kind":"straggler","lagging_rank":3,"since_seconds":1.5}`, `{"type":"session","world":4}{`,
		`{"type":"summary","elapsed_seconds":1.5,"badput_seconds":{"idle":-0.1}}`, `{"type":"rollback","cause":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for l, err := range ReadJSONLines(bytes.NewReader(b)) {
			require.NoError(t, err)
			require.NotEmpty(t, l.Type)
			n++
			if l.Type != "step" {
				continue
			}
			// What was read can be written and reads the same.
			var batch []Record
			for name, v := range l.Values {
				batch = append(batch, Record{Kind: RecordStep, Session: &l.Session, At: l.At, Step: l.Step, Tag: "train/" + name, Value: v})
			}
			if len(batch) == 0 || len(batch) > maxLineValues || len(b) > maxLineName {
				continue
			}
			var e lineEncoder
			e.encode(batch, 1<<20)
			require.True(t, json.Valid(e.buf))
			again := jlRead(t, bytes.NewReader(e.buf))
			require.Len(t, again, 1)
			require.Equal(t, jlComparable(l), jlComparable(again[0]))
		}
		require.LessOrEqual(t, n, bytes.Count(b, []byte("\n"))+1)
	})
}
