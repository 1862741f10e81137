package tfevents

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// No file makes Read panic, and what it returns can be written again.
func FuzzRead(f *testing.F) {
	f.Add(small(f))
	f.Add(goldenFile(f))
	f.Add(small(f)[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		for e, err := range Read(bytes.NewReader(b)) {
			if err != nil {
				var corrupt *CorruptError
				require.True(t, errors.As(err, &corrupt))
				require.LessOrEqual(t, corrupt.Offset, int64(len(b)))
				return
			}
			again(t, e)
		}
	})
}

// The same for what is inside of a record, which random changes of a file do not
// reach.
func FuzzEvent(f *testing.F) {
	for _, data := range records(f, small(f)) {
		f.Add(data)
	}
	f.Add(summary(tensorValue(19, []int64{1, 3}, "histograms", bytesField(13, []byte{1, 2, 3}))))
	f.Add(summary(tensorValue(2, nil, "scalars", bytesField(6, doubles(1)))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, ok := parseEvent(data); ok {
			again(t, e)
		}
	})
}

// again writes an event and reads it.
func again(t *testing.T, e Event) {
	w, err := NewWriter(io.Discard, day)
	require.NoError(t, err)
	for _, v := range e.Values {
		w.buf = w.buf[:0]
		if v.Histogram != nil {
			err = w.Histogram(e.At, e.Step, v.Tag, v.Histogram)
		} else {
			err = w.Scalar(e.At, e.Step, v.Tag, v.Scalar)
		}
		if errors.Is(err, ErrInvalid) {
			continue
		}
		require.NoError(t, err)
		got, err := readAll(w.buf)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, e.Step, got[0].Step)
		require.Equal(t, v.Tag, got[0].Values[0].Tag)
		if v.Histogram == nil {
			require.True(t, sameNumber(float64(float32(v.Scalar)), got[0].Values[0].Scalar))
		} else {
			require.Equal(t, math.Float64bits(v.Histogram.Max), math.Float64bits(got[0].Values[0].Histogram.Max))
		}
	}
}
