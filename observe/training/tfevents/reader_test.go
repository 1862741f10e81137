package tfevents

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calmops/calm/observe/training"
)

// small is a file with a record of every kind.
func small(t testing.TB) []byte {
	return file(t, func(w *Writer) {
		require.NoError(t, w.SessionStart(at(0), 1))
		require.NoError(t, w.Scalar(at(1), 1, "train/loss", 3))
		require.NoError(t, w.Histogram(at(1), 1, "g", &training.Histogram{Min: -1, Max: 2, Count: 3, Sum: 1, SumSquares: 5,
			Limits: []float64{0, 2}, Counts: []int64{1, 2}}))
		w.Tensors = true
		require.NoError(t, w.Scalar(at(2), 2, "train/loss", math.NaN()))
	})
}

func TestReadGolden(t *testing.T) {
	b, err := hex.DecodeString(golden)
	require.NoError(t, err)
	got, err := readAll(b)
	require.NoError(t, err)
	require.Len(t, got, 2)
	requireEvent(t, Event{At: at(0)}, got[0])
	requireEvent(t, Event{At: at(1), Step: 1, Values: []Value{{Tag: "train/loss", Scalar: 3}}}, got[1])
}

// A file that is cut anywhere gives its whole records, and no error.
func TestReadCutAnywhere(t *testing.T) {
	b := small(t)
	want, err := readAll(b)
	require.NoError(t, err)
	require.Len(t, want, 5)
	for cut := range len(b) + 1 {
		whole := int(countRecords(b[:cut]))
		for _, r := range []io.Reader{bytes.NewReader(b[:cut]), iotest.OneByteReader(bytes.NewReader(b[:cut])), iotest.DataErrReader(bytes.NewReader(b[:cut]))} {
			n := 0
			for e, err := range Read(r) {
				require.NoError(t, err, "cut at %d", cut)
				requireEvent(t, want[n], e)
				n++
			}
			require.Equal(t, whole, n, "cut at %d", cut)
		}
	}
	assert.Equal(t, 5, int(countRecords(b)), "the uncut file is whole")
}

// A file with a flipped bit gives the records before it, and then an error with
// the place. What comes after is not read.
func TestReadFlippedAnywhere(t *testing.T) {
	b := small(t)
	want, err := readAll(b)
	require.NoError(t, err)
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			got, err := readAll(bad)
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt, "byte %d", i)
			require.Len(t, got, int(countRecords(b[:i])))
			require.LessOrEqual(t, corrupt.Offset, int64(i))
			require.Equal(t, countRecords(b[:corrupt.Offset]), int64(len(got)))
			for k, e := range got {
				requireEvent(t, want[k], e)
			}
		}
	}
}

func TestReadStopsWhenTold(t *testing.T) {
	n := 0
	for range Read(bytes.NewReader(small(t))) {
		n++
		break
	}
	assert.Equal(t, 1, n)
}

func TestReadError(t *testing.T) {
	b := small(t)
	for _, cut := range []int{0, 5, 30, len(b)} {
		failed := errors.New("failed")
		var err error
		for _, e := range Read(io.MultiReader(bytes.NewReader(b[:cut]), iotest.ErrReader(failed))) {
			err = e
		}
		require.ErrorIs(t, err, failed)
	}
}

// A length is not believed before the data is there.
func TestReadClaimedLength(t *testing.T) {
	claim := func(n uint64) []byte {
		b := binary.LittleEndian.AppendUint64(nil, n)
		return append(binary.LittleEndian.AppendUint32(b, maskedCRC(b)), make([]byte, 100)...)
	}
	for _, n := range []uint64{maxRecord + 1, 1 << 40, math.MaxInt64, math.MaxUint64, math.MaxUint64 - 15} {
		_, err := readAll(append(goldenFile(t), claim(n)...))
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt)
		assert.Equal(t, int64(88), corrupt.Offset)
		assert.ErrorContains(t, err, "offset 88: length")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readAll(claim(maxRecord))
	runtime.ReadMemStats(&after)
	require.NoError(t, err, "torn")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// Data with a good checksum that is no event.
func TestReadMalformed(t *testing.T) {
	long := bytes.Repeat([]byte{0xff}, 11)
	for name, data := range map[string][]byte{
		"cut varint":      {0x10, 0x80},
		"long varint":     append([]byte{0x10}, long...),
		"long head":       long,
		"field 0":         {0x00, 0x01},
		"cut double":      {0x09, 1, 2, 3},
		"cut float":       summary([]byte{0x15, 1, 2}),
		"cut bytes":       {0x1a, 5, 'a'},
		"huge bytes":      append([]byte{0x1a}, protowire.AppendVarint(nil, math.MaxUint64)...),
		"group":           {0x13, 0x14},
		"wire type 7":     {0x17},
		"version":         {0x1a, 1, 0xff},
		"session":         {0x3a, 1, 0x08},
		"summary":         {0x2a, 1, 0x0a},
		"value":           summary([]byte{0x0a}),
		"tag":             summary([]byte{0x0a, 1, 0xff}),
		"histogram":       summary([]byte{0x2a, 1, 0x09}),
		"limits":          summary([]byte{0x2a, 3, 0x32, 1, 0}),
		"tensor":          summary([]byte{0x42, 1, 0x08}),
		"floats":          summary([]byte{0x42, 5, 0x2a, 3, 0, 0, 0}),
		"doubles":         summary([]byte{0x42, 3, 0x32, 1, 0}),
		"halves":          summary([]byte{0x42, 5, 0x08, 19, 0x6a, 1, 0x80}),
		"shape":           summary([]byte{0x42, 3, 0x12, 1, 0x12}),
		"dimension":       summary([]byte{0x42, 5, 0x12, 3, 0x12, 1, 0x08}),
		"metadata":        summary([]byte{0x4a, 1, 0x0a}),
		"plugin":          summary([]byte{0x4a, 3, 0x0a, 1, 0x0a}),
		"fault after all": append(records(t, goldenFile(t))[1], 0x10),
	} {
		_, err := readAll(append(goldenFile(t), frame(data)...))
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, name)
		assert.Equal(t, int64(88), corrupt.Offset, name)
		assert.EqualError(t, err, "tfevents: corrupt record at offset 88: data is no event")
	}
}

// Fields that are not known, and known ones of another wire type, are skipped.
func TestReadSkipsUnknown(t *testing.T) {
	var unknown []byte
	for _, number := range []protowire.Number{4, 6, 8, 9, 10, 11, 15, 16, 99, 1<<29 - 1} {
		unknown = protowire.AppendTag(unknown, number, protowire.BytesType)
		unknown = protowire.AppendBytes(unknown, []byte{0xff})
		unknown = protowire.AppendVarint(protowire.AppendTag(unknown, number+1000-1000*(number>>28), protowire.VarintType), 7)
		unknown = protowire.AppendFixed32(protowire.AppendTag(unknown, number, protowire.Fixed32Type), 7)
	}
	known := records(t, small(t))[2]
	for _, data := range [][]byte{append(bytes.Clone(unknown), known...), append(bytes.Clone(known), unknown...)} {
		got, err := readAll(frame(data))
		require.NoError(t, err)
		requireEvent(t, Event{At: at(1), Step: 1, Values: []Value{{Tag: "train/loss", Scalar: 3}}}, got[0])
	}

	wrong := []byte{0x08, 1, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x18, 1, 0x2d, 1, 2, 3, 4, 0x38, 1}
	wrong = append(wrong, summary([]byte{0x08, 1, 0x10, 1, 0x28, 1, 0x40, 1, 0x48, 1})...)
	got, err := readAll(frame(wrong))
	require.NoError(t, err)
	assert.Equal(t, []Event{{summary: true}}, got)
}

// summary makes the data of an event with one value.
func summary(value []byte) []byte {
	v := protowire.AppendBytes([]byte{0x0a}, value)
	return protowire.AppendBytes([]byte{0x2a}, v)
}

// tensorValue makes a value of a tensor.
func tensorValue(dtype uint64, shape []int64, plugin string, field []byte) []byte {
	var dims []byte
	for _, n := range shape {
		dim := protowire.AppendVarint([]byte{0x08}, uint64(n))
		dims = protowire.AppendBytes(append(dims, 0x12), append(dim, 0x12, 1, 'n'))
	}
	t := protowire.AppendVarint([]byte{0x08}, dtype)
	t = protowire.AppendBytes(append(t, 0x12), dims)
	t = append(t, field...)
	v := protowire.AppendBytes([]byte{0x0a, 1, 't', 0x42}, t)
	if plugin != "" {
		p := protowire.AppendString([]byte{0x0a}, plugin)
		v = protowire.AppendBytes(append(v, 0x4a), protowire.AppendBytes([]byte{0x0a}, append(p, 0x12, 1, 0)))
	}
	return v
}

func bytesField(number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
}

func floats(v ...float32) (b []byte) {
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

func doubles(v ...float64) (b []byte) {
	for _, f := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

func TestReadTensors(t *testing.T) {
	rows := []float64{-1, 0, 2, 0, .5, 0, .5, 4, 3}
	rows32 := make([]float32, len(rows))
	for i, v := range rows {
		rows32[i] = float32(v)
	}
	want := &training.Histogram{Min: -1, Max: 4, Count: 5, Limits: []float64{0, .5, 4}, Counts: []int64{2, 0, 3}}
	fixed := func(head byte, b []byte) []byte { return append([]byte{head}, b...) }
	for name, c := range map[string]struct {
		dtype     uint64
		shape     []int64
		plugin    string
		field     []byte
		scalar    float64
		histogram *training.Histogram
		none      bool
	}{
		"float_val":         {dtype: 1, field: bytesField(5, floats(1.5)), scalar: 1.5},
		"plugin":            {dtype: 1, plugin: "scalars", field: bytesField(5, floats(1.5)), scalar: 1.5},
		"unpacked float":    {dtype: 1, field: fixed(0x2d, floats(1.5)), scalar: 1.5},
		"float content":     {dtype: 1, field: bytesField(4, floats(-2)), scalar: -2},
		"double_val":        {dtype: 2, field: bytesField(6, doubles(1e300)), scalar: 1e300},
		"unpacked double":   {dtype: 2, field: fixed(0x31, doubles(.1)), scalar: .1},
		"double content":    {dtype: 2, field: bytesField(4, doubles(.1)), scalar: .1},
		"half_val":          {dtype: 19, field: bytesField(13, []byte{0x80, 0x78}), scalar: 1},
		"unpacked half":     {dtype: 19, field: []byte{0x68, 0x80, 0x78}, scalar: 1},
		"half content":      {dtype: 19, field: bytesField(4, []byte{0, 0xc0}), scalar: -2},
		"bfloat16":          {dtype: 14, field: bytesField(13, []byte{0x80, 0x7f}), scalar: 1},
		"bfloat16 content":  {dtype: 14, field: bytesField(4, []byte{0x80, 0xbf}), scalar: -1},
		"NaN":               {dtype: 1, field: bytesField(5, floats(float32(math.NaN()))), scalar: math.NaN()},
		"int32":             {dtype: 3, field: bytesField(7, []byte{1}), none: true},
		"float as double":   {dtype: 2, field: bytesField(5, floats(1.5)), none: true},
		"nothing":           {dtype: 1, none: true},
		"short content":     {dtype: 1, field: bytesField(4, []byte{1, 2, 3}), none: true},
		"vector":            {dtype: 1, shape: []int64{1}, field: bytesField(5, floats(1.5)), none: true},
		"two elements":      {dtype: 1, field: bytesField(5, floats(1, 2)), none: true},
		"other plugin":      {dtype: 1, plugin: "hparams", field: bytesField(5, floats(1)), none: true},
		"histogram":         {dtype: 2, shape: []int64{3, 3}, plugin: "histograms", field: bytesField(4, doubles(rows...)), histogram: want},
		"float histogram":   {dtype: 1, shape: []int64{3, 3}, field: bytesField(4, floats(rows32...)), histogram: want},
		"histogram val":     {dtype: 1, shape: []int64{3, 3}, field: bytesField(5, floats(rows32...)), histogram: want},
		"no buckets":        {dtype: 2, shape: []int64{0, 3}, plugin: "histograms", histogram: &training.Histogram{}},
		"missing rows":      {dtype: 2, shape: []int64{4, 3}, field: bytesField(4, doubles(rows...)), none: true},
		"huge shape":        {dtype: 2, shape: []int64{math.MaxInt64, 3}, field: bytesField(4, doubles(rows...)), none: true},
		"negative shape":    {dtype: 2, shape: []int64{-1, 3}, none: true},
		"three dimensions":  {dtype: 2, shape: []int64{3, 3, 1}, field: bytesField(4, doubles(rows...)), none: true},
		"many dimensions":   {dtype: 2, shape: make([]int64, 1000), none: true},
		"histogram of mesh": {dtype: 2, shape: []int64{3, 3}, plugin: "mesh", field: bytesField(4, doubles(rows...)), none: true},
	} {
		got, err := readAll(frame(summary(tensorValue(c.dtype, c.shape, c.plugin, c.field))))
		require.NoError(t, err, name)
		require.Len(t, got, 1)
		if c.none {
			assert.Empty(t, got[0].Values, name)
			continue
		}
		require.Len(t, got[0].Values, 1, name)
		v := got[0].Values[0]
		assert.Equal(t, "t", v.Tag)
		assert.True(t, sameNumber(c.scalar, v.Scalar), "%s: %v", name, v.Scalar)
		assert.Equal(t, c.histogram, v.Histogram, name)
	}
}

// The values of IEEE 754 binary16 at its corners.
func TestHalf(t *testing.T) {
	for bits, want := range map[uint16]float64{
		0x0000: 0, 0x0001: 0x1p-24, 0x03ff: 1023 * 0x1p-24, 0x0400: 0x1p-14, 0x3555: 1365 * 0x1p-12, 0x3c00: 1,
		0x3c01: 1 + 0x1p-10, 0x7bff: 65504, 0x7c00: math.Inf(1), 0xfc00: math.Inf(-1), 0x7e00: math.NaN(), 0xc000: -2,
	} {
		assert.True(t, sameNumber(want, half(typeHalf, bits)), "%#x: %v", bits, half(typeHalf, bits))
	}
	assert.True(t, math.Signbit(half(typeHalf, 0x8000)))
}

func TestReadHistogramOddities(t *testing.T) {
	h := protowire.AppendFixed64([]byte{0x19}, math.Float64bits(math.NaN())) // num
	h = append(h, fixedPair(0x31, 1, 2)...)
	h = append(h, bytesField(7, doubles(math.NaN()))...)
	h = append(h, fixedPair(0x39, math.Inf(1))...)
	got, err := readAll(frame(summary(bytesField(5, h))))
	require.NoError(t, err)
	assert.Equal(t, &training.Histogram{Limits: []float64{1, 2}, Counts: []int64{0, math.MaxInt64}}, got[0].Values[0].Histogram)

	got, err = readAll(frame(summary(bytesField(5, append(h, fixedPair(0x39, 1)...)))))
	require.NoError(t, err)
	assert.Empty(t, got[0].Values, "more counts than limits")

	rows := doubles(0, 1, math.Inf(1), 1, 2, 5, 2, 3, -1)
	got, err = readAll(frame(summary(tensorValue(2, []int64{3, 3}, "", bytesField(4, rows)))))
	require.NoError(t, err)
	assert.Equal(t, &training.Histogram{Max: 3, Count: math.MaxInt64, Limits: []float64{1, 2, 3}, Counts: []int64{math.MaxInt64, 5, 0}},
		got[0].Values[0].Histogram)
}

func fixedPair(head byte, v ...float64) (b []byte) {
	for _, f := range v {
		b = append(append(b, head), doubles(f)...)
	}
	return b
}

// The member of a oneof that comes last counts.
func TestReadLastOfOneof(t *testing.T) {
	simple := []byte{0x15, 0, 0, 0x80, 0x3f}
	histogram := []byte{0x2a, 0}
	tensor := tensorValue(1, nil, "", bytesField(5, floats(7)))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		value []byte
		want  Value
	}{
		{join(histogram, tensor, simple), Value{Tag: "t", Scalar: 1}},
		{join(tensor, simple, histogram), Value{Tag: "t", Histogram: &training.Histogram{}}},
		{join(simple, histogram, tensor), Value{Tag: "t", Scalar: 7}},
	} {
		got, err := readAll(frame(summary(c.value)))
		require.NoError(t, err)
		assert.Equal(t, []Value{c.want}, got[0].Values)
	}
}

func TestWallTime(t *testing.T) {
	for _, c := range []struct {
		seconds float64
		want    time.Time
	}{
		{0, time.Unix(0, 0)},
		{1_700_000_000.25, day.Add(250 * time.Millisecond)},
		{-1.5, time.Unix(-2, 5e8)},
		{math.NaN(), time.Time{}},
		{math.Inf(1), time.Time{}},
		{math.Inf(-1), time.Time{}},
		{1e300, time.Time{}},
		{wallSeconds(time.Time{}), time.Time{}},
	} {
		assert.True(t, c.want.Equal(wallTime(c.seconds)), "%v: %v", c.seconds, wallTime(c.seconds))
	}
}
