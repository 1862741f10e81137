package tfevents

import (
	"encoding/binary"
	"math"

	"github.com/calmops/calm/observe/training"
)

// tensor is a TensorProto of floating-point numbers.
type tensor struct {
	dtype   uint64
	shape   []int64
	content []byte    // all elements, little-endian; or else
	floats  []float64 // from float_val, double_val or half_val, by dtype
}

// maxDims is more than a scalar or a histogram has.
const maxDims = 4

func parseTensor(b []byte) (t tensor, ok bool) {
	var floats, doubles, halves []byte // the fields, one after the other
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(tensorType, wireVarint):
			t.dtype = f.scalar
		case f.is(tensorShape, wireBytes):
			t.shape, ok = parseShape(f.bytes)
			f.bad = !ok
		case f.is(tensorContent, wireBytes):
			t.content = f.bytes
		case f.number == tensorFloats && (f.wire == wireBytes || f.wire == wireFixed32):
			floats = f.packed(floats)
		case f.number == tensorDoubles && (f.wire == wireBytes || f.wire == wireFixed64):
			doubles = f.packed(doubles)
		case f.number == tensorHalves && (f.wire == wireBytes || f.wire == wireVarint):
			halves = f.packed(halves)
		}
	}
	if f.bad || len(floats)%4 != 0 || len(doubles)%8 != 0 {
		return t, false
	}
	switch t.dtype {
	case typeFloat:
		t.floats = decode(typeFloat, floats)
	case typeDouble:
		t.floats = decode(typeDouble, doubles)
	case typeHalf, typeBFloat16:
		p := fields{rest: halves}
		for len(p.rest) > 0 && !p.bad {
			t.floats = append(t.floats, half(t.dtype, uint16(p.varint())))
		}
		return t, !p.bad
	}
	return t, true
}

// packed adds what a repeated field holds, packed or not, in the packed form.
func (f *fields) packed(b []byte) []byte {
	switch f.wire {
	case wireFixed32:
		return binary.LittleEndian.AppendUint32(b, uint32(f.scalar))
	case wireFixed64:
		return binary.LittleEndian.AppendUint64(b, f.scalar)
	case wireVarint:
		return binary.AppendUvarint(b, f.scalar)
	}
	if b == nil {
		return f.bytes
	}
	return append(b, f.bytes...)
}

// parseShape returns the sizes of the dimensions, of which it keeps maxDims.
func parseShape(b []byte) (shape []int64, ok bool) {
	f := fields{rest: b}
	for f.next() {
		if !f.is(shapeDim, wireBytes) {
			continue
		}
		var size int64
		d := fields{rest: f.bytes}
		for d.next() {
			if d.is(dimSize, wireVarint) {
				size = int64(d.scalar)
			}
		}
		f.bad = d.bad
		if len(shape) < maxDims {
			shape = append(shape, size)
		}
	}
	return shape, !f.bad
}

// value makes a scalar of a tensor without dimensions, and a histogram of one of
// shape [k, 3]. It returns false if the tensor, or the plugin that it is for, is
// neither.
func (t *tensor) value(v *Value, plugin string) bool {
	floats := t.floats
	if len(floats) == 0 {
		floats = decode(t.dtype, t.content)
	}
	switch {
	case len(t.shape) == 0 && len(floats) == 1 && (plugin == "" || plugin == "scalars"):
		v.Scalar = floats[0]
		return true
	case len(t.shape) == 2 && t.shape[1] == 3 && len(floats)%3 == 0 && t.shape[0] == int64(len(floats)/3) &&
		(plugin == "" || plugin == "histograms"):
		v.Histogram = fromRows(floats)
		return true
	}
	return false
}

// decode reads little-endian numbers, and none if the size or type does not fit.
func decode(dtype uint64, b []byte) []float64 {
	size := 0
	switch dtype {
	case typeFloat:
		size = 4
	case typeDouble:
		size = 8
	case typeHalf, typeBFloat16:
		size = 2
	}
	if size == 0 || len(b)%size != 0 || len(b) == 0 {
		return nil
	}
	values := make([]float64, len(b)/size)
	for i := range values {
		at := b[i*size:]
		switch dtype {
		case typeFloat:
			values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(at)))
		case typeDouble:
			values[i] = math.Float64frombits(binary.LittleEndian.Uint64(at))
		default:
			values[i] = half(dtype, binary.LittleEndian.Uint16(at))
		}
	}
	return values
}

// half widens 16 bits: those of a bfloat16 are the upper half of a float32, those
// of a half have 5 bits of exponent.
func half(dtype uint64, b uint16) float64 {
	if dtype == typeBFloat16 {
		return float64(math.Float32frombits(uint32(b) << 16))
	}
	exponent, mantissa := int(b>>10&31), float64(b&1023)
	var v float64
	switch {
	case exponent == 31 && mantissa != 0:
		return math.NaN()
	case exponent == 31:
		v = math.Inf(1)
	case exponent == 0:
		v = math.Ldexp(mantissa, -24)
	default:
		v = math.Ldexp(1024+mantissa, exponent-25)
	}
	if b>>15 != 0 {
		v = -v
	}
	return v
}

// fromRows makes a histogram of rows of left edge, right edge and count.
func fromRows(rows []float64) *training.Histogram {
	h := &training.Histogram{}
	if len(rows) == 0 {
		return h
	}
	h.Min, h.Max = rows[0], rows[len(rows)-2]
	h.Limits = make([]float64, 0, len(rows)/3)
	h.Counts = make([]int64, 0, len(rows)/3)
	for ; len(rows) > 0; rows = rows[3:] {
		n := count(rows[2])
		h.Limits, h.Counts = append(h.Limits, rows[1]), append(h.Counts, n)
		h.Count += min(n, math.MaxInt64-h.Count)
	}
	return h
}
