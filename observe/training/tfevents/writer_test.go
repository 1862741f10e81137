package tfevents

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// The check value of CRC-32C for "123456789" is 0xe3069283 (RFC 3720, appendix
// B.4, and the CRC catalogue); the mask is that of TFRecord.
func TestMaskedCRC(t *testing.T) {
	assert.Equal(t, uint32(0xc78ab0e5), maskedCRC([]byte("123456789")))
	assert.NotEqual(t, uint32(0xe3069283), maskedCRC([]byte("123456789")))
}

// The bytes that TensorBoard's reader takes for: version record at 1700000000;
// step 1, train/loss = 3 at 1700000001.
const golden = "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d" +
	"200000000000000029eda9500900004040fc54d94110012a130a110a0a747261696e2f6c6f737315000040403d2f6048"

func goldenFile(t testing.TB) []byte {
	b := file(t, func(w *Writer) { require.NoError(t, w.Scalar(at(1), 1, "train/loss", 3)) })
	require.Len(t, b, 88)
	return b
}

func TestGoldenBytes(t *testing.T) {
	assert.Equal(t, golden, hex.EncodeToString(goldenFile(t)))
}

// Zero is left out of numbers and written in members of a oneof.
func TestZeroValues(t *testing.T) {
	for _, tensors := range []bool{false, true} {
		b := file(t, func(w *Writer) {
			w.Tensors = tensors
			require.NoError(t, w.Scalar(time.Unix(0, 0), 0, "x", 0))
		})
		n := node(t, records(t, b)[1], "5", "5.1", "5.1.8")
		assert.NotContains(t, n, "1")
		assert.NotContains(t, n, "2")
		if tensors {
			assert.Equal(t, []any{[]byte{0, 0, 0, 0}}, n["5.1.8.5"])
		} else {
			assert.Equal(t, []any{uint32(0)}, n["5.1.2"])
		}
	}
}

func TestScalarFields(t *testing.T) {
	b := file(t, func(w *Writer) {
		require.NoError(t, w.Scalar(at(.5), 7, "a", 1.5))
		w.Tensors = true
		require.NoError(t, w.Scalar(at(1), -1, "b", math.Inf(-1)))
		require.NoError(t, w.SessionStart(at(2), 300))
	})
	all := records(t, b)
	require.Len(t, all, 4)
	assert.Equal(t, map[string][]any{
		"1": {math.Float64bits(1_700_000_000)}, "3": {[]byte("brain.Event:2")},
	}, node(t, all[0]))
	n := node(t, all[1], "5", "5.1")
	assert.Equal(t, []any{math.Float64bits(1_700_000_000.5)}, n["1"])
	assert.Equal(t, []any{uint64(7)}, n["2"])
	assert.Equal(t, []any{[]byte("a")}, n["5.1.1"])
	assert.Equal(t, []any{math.Float32bits(1.5)}, n["5.1.2"])
	assert.NotContains(t, n, "5.1.8")

	n = node(t, all[2], "5", "5.1", "5.1.8", "5.1.9", "5.1.9.1")
	assert.Equal(t, []any{uint64(math.MaxUint64)}, n["2"])
	assert.NotContains(t, n, "5.1.2")
	assert.Equal(t, []any{uint64(1)}, n["5.1.8.1"])
	assert.Equal(t, []any{[]byte{}}, n["5.1.8.2"])
	assert.Equal(t, []any{[]byte{0, 0, 0x80, 0xff}}, n["5.1.8.5"])
	assert.Equal(t, []any{[]byte("scalars")}, n["5.1.9.1.1"])
	assert.Equal(t, []any{uint64(1)}, n["5.1.9.4"])

	n = node(t, all[3], "7")
	assert.Equal(t, []any{uint64(300)}, n["2"])
	assert.Equal(t, []any{uint64(1)}, n["7.1"])
}

func TestHistogramFields(t *testing.T) {
	h := &training.Histogram{Min: -1, Max: 2.5, Count: 6, Sum: 3, SumSquares: 9,
		Limits: []float64{-2, -.5, 0, 1, 3, 4, 5}, Counts: []int64{0, 2, 0, 3, 1, 0, 0}}
	b := file(t, func(w *Writer) { require.NoError(t, w.Histogram(at(1), 3, "g", h)) })
	n := node(t, records(t, b)[1], "5", "5.1", "5.1.5")
	for i, v := range []float64{-1, 2.5, 6, 3, 9} {
		assert.Equal(t, []any{math.Float64bits(v)}, n[fmt.Sprintf("5.1.5.%d", i+1)])
	}
	assert.Equal(t, []float64{-.5, 0, 1, 3}, numbers(n["5.1.5.6"][0].([]byte)), "empty buckets at the ends are left out")
	assert.Equal(t, []float64{2, 0, 3, 1}, numbers(n["5.1.5.7"][0].([]byte)))

	for _, empty := range []*training.Histogram{{}, {Limits: []float64{1, 2}, Counts: []int64{0, 0}}} {
		b = file(t, func(w *Writer) { require.NoError(t, w.Histogram(at(1), 3, "g", empty)) })
		n = node(t, records(t, b)[1], "5", "5.1", "5.1.5")
		assert.Equal(t, []any{[]byte{}}, n["5.1.5"])
	}
}

func TestInvalidRecords(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, h := range map[string]*training.Histogram{
		"nil":         nil,
		"short":       {Limits: []float64{1, 2}, Counts: []int64{1}},
		"no limits":   {Counts: []int64{1}},
		"equal":       {Limits: []float64{1, 1}, Counts: []int64{1, 1}},
		"descending":  {Limits: []float64{2, 1}, Counts: []int64{1, 1}},
		"NaN":         {Limits: []float64{nan}, Counts: []int64{1}},
		"NaN between": {Limits: []float64{1, nan, 3}, Counts: []int64{1, 1, 1}},
		"infinite":    {Limits: []float64{inf, inf}, Counts: []int64{1, 1}},
		"negative":    {Limits: []float64{1}, Counts: []int64{-1}},
		"huge":        {Limits: make([]float64, maxBuckets+1), Counts: make([]int64, maxBuckets+1)},
	} {
		b := file(t, func(w *Writer) {
			require.ErrorIs(t, w.Histogram(at(1), 1, "g", h), ErrInvalid, name)
			require.ErrorIs(t, w.Scalar(at(1), 1, strings.Repeat("x", maxTag+1), 1), ErrInvalid)
			require.ErrorIs(t, w.Histogram(at(1), 1, strings.Repeat("x", maxTag+1), &training.Histogram{}), ErrInvalid)
			require.NoError(t, w.Scalar(at(1), 1, "train/loss", 3))
		})
		assert.Equal(t, golden, hex.EncodeToString(b), "nothing of it was written")
	}
}

func TestLargestRecords(t *testing.T) {
	h := &training.Histogram{Count: maxBuckets}
	for i := range maxBuckets {
		h.Limits, h.Counts = append(h.Limits, float64(i)), append(h.Counts, 1)
	}
	long := strings.Repeat("x", maxTag)
	var w *Writer
	b := file(t, func(w2 *Writer) {
		w = w2
		require.NoError(t, w.Histogram(at(1), 1, long, h))
		require.NoError(t, w.Scalar(at(1), 1, strings.Repeat("\xff", maxTag), 1))
	})
	assert.LessOrEqual(t, cap(w.buf), keepSize, "the memory of a huge record is let go")
	all, err := readAll(b)
	require.NoError(t, err)
	require.Len(t, all, 3)
	got := all[1].Values[0]
	assert.Equal(t, long, got.Tag)
	assert.True(t, slices.Equal(h.Limits, got.Histogram.Limits) && slices.Equal(h.Counts, got.Histogram.Counts))
}

// Any sequence of records comes back, in both styles and at any length of tags.
func TestRoundTrip(t *testing.T) {
	g := newGen(1)
	for range 200 {
		var want []Event
		tensors := g.IntN(2) == 0
		b := file(t, func(w *Writer) {
			w.Tensors = tensors
			for range g.IntN(100) {
				e := Event{At: at(float64(g.IntN(1e9)) / 1e6).Round(time.Microsecond), Step: g.step()}
				tag := g.tag()
				v := Value{Tag: strings.ToValidUTF8(tag, "\uFFFD")}
				switch g.IntN(3) {
				case 0:
					e.Start = true
					require.NoError(t, w.SessionStart(e.At, e.Step))
				case 1:
					v.Scalar = g.number()
					require.NoError(t, w.Scalar(e.At, e.Step, tag, v.Scalar))
					v.Scalar = float64(float32(v.Scalar))
				case 2:
					v.Histogram = g.histogram()
					require.NoError(t, w.Histogram(e.At, e.Step, tag, v.Histogram))
				}
				if !e.Start {
					e.Values = []Value{v}
				}
				want = append(want, e)
			}
		})
		got, err := readAll(b)
		require.NoError(t, err)
		require.Len(t, got, 1+len(want))
		assert.Equal(t, "brain.Event:2", got[0].FileVersion)
		for i, e := range want {
			requireEvent(t, e, got[1+i])
		}
	}
}

func requireEvent(t testing.TB, want, got Event) {
	t.Helper()
	require.True(t, want.At.Equal(got.At), "%v %v", want.At, got.At)
	require.Equal(t, want.Step, got.Step)
	require.Equal(t, want.Start, got.Start)
	require.Len(t, got.Values, len(want.Values))
	for i, v := range want.Values {
		require.Equal(t, v.Tag, got.Values[i].Tag)
		require.True(t, sameNumber(v.Scalar, got.Values[i].Scalar), "%v %v", v.Scalar, got.Values[i].Scalar)
		require.Equal(t, v.Histogram, got.Values[i].Histogram)
	}
}

// pieces notes how much it is given at once.
type pieces struct{ sizes []int }

func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return len(b), nil
}

func TestBuffersWholeRecords(t *testing.T) {
	g := newGen(2)
	var out bytes.Buffer
	p := &pieces{}
	w, err := NewWriter(io.MultiWriter(&out, p), day)
	require.NoError(t, err)
	n := 1
	for range 20_000 {
		if g.IntN(100) == 0 {
			require.NoError(t, w.Histogram(at(1), 1, "g", g.histogram()))
		} else {
			require.NoError(t, w.Scalar(at(1), 1, g.tag(), 1))
		}
		n++
	}
	require.NoError(t, w.Flush())
	require.NoError(t, w.Flush())
	for i, size := range p.sizes {
		assert.LessOrEqual(t, size, bufferSize)
		if i > 0 && i < len(p.sizes)-1 {
			assert.Greater(t, size, bufferSize-10_000, "writes are as large as they can be")
		}
	}
	assert.Len(t, records(t, out.Bytes()), n)
	assert.Equal(t, int64(n), w.whole)

	rest := out.Bytes()
	for _, size := range p.sizes {
		records(t, rest[:size]) // each write ends with a record
		rest = rest[size:]
	}
}

// limited takes so many bytes.
type limited struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("no space left")

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	l.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// After a failed write nothing is added to the torn tail.
func TestWriteError(t *testing.T) {
	whole := file(t, func(w *Writer) {
		for i := range 5 {
			require.NoError(t, w.Scalar(at(1), int64(i), "x", 1))
		}
	})
	for left := range len(whole) {
		l := &limited{left: left}
		w, err := NewWriter(l, day)
		if err != nil {
			require.ErrorIs(t, err, errFull)
			continue
		}
		for i := range 5 {
			require.NoError(t, w.Scalar(at(1), int64(i), "x", 1))
		}
		require.ErrorIs(t, w.Flush(), errFull)
		l.left = 1 << 20
		require.ErrorIs(t, w.Scalar(at(1), 9, "x", 1), errFull)
		require.ErrorIs(t, w.Histogram(at(1), 9, "x", &training.Histogram{}), errFull)
		require.ErrorIs(t, w.SessionStart(at(1), 9), errFull)
		require.ErrorIs(t, w.Flush(), errFull)
		assert.Equal(t, whole[:left], l.Bytes())
		assert.Equal(t, countRecords(l.Bytes()), w.whole)
	}
}

// liar returns numbers that no Write may return.
type liar struct{ n int }

func (l liar) Write([]byte) (int, error) { return l.n, nil }

func TestLyingWriter(t *testing.T) {
	for _, n := range []int{-1, 0, 3} {
		_, err := NewWriter(liar{n}, day)
		require.ErrorIs(t, err, io.ErrShortWrite)
	}
	_, err := NewWriter(liar{1 << 30}, day)
	require.NoError(t, err)
}

func TestWriterAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	h := newGen(3).histogram()
	for _, tensors := range []bool{false, true} {
		w, err := NewWriter(io.Discard, day)
		require.NoError(t, err)
		w.Tensors = tensors
		step := int64(0)
		assert.Zero(t, testing.AllocsPerRun(10_000, func() {
			step++
			if w.Scalar(day, step, "train/loss", 1.5) != nil || w.Histogram(day, step, "g", h) != nil || w.SessionStart(day, step) != nil {
				t.Fail()
			}
		}))
	}
}

func BenchmarkScalar(b *testing.B) {
	w, err := NewWriter(io.Discard, day)
	require.NoError(b, err)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := w.Scalar(day, int64(i), "train/loss", 1.5); err != nil {
			b.Fatal(err)
		}
	}
}
