package tfevents

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A record is: the length of its data as uint64, the checksum of these 8 bytes,
// the data, the checksum of the data; all little-endian.
const (
	headerSize = 8 + 4
	footerSize = 4
)

// The wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// The field numbers of TensorBoard's event.proto, summary.proto, histogram.proto,
// tensor.proto and tensor_shape.proto, as far as they are used here.
const (
	eventWallTime    = 1 // double, seconds
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary
	eventSessionLog  = 7 // SessionLog

	sessionStatus = 1 // enum

	summaryValue = 1 // repeated Value

	valueTag       = 1 // string
	valueSimple    = 2 // float
	valueHistogram = 5 // HistogramProto
	valueTensor    = 8 // TensorProto
	valueMetadata  = 9 // SummaryMetadata

	metadataPlugin = 1 // PluginData
	pluginName     = 1 // string

	histogramMin        = 1 // double
	histogramMax        = 2 // double
	histogramCount      = 3 // double
	histogramSum        = 4 // double
	histogramSumSquares = 5 // double
	histogramLimits     = 6 // packed double
	histogramCounts     = 7 // packed double

	tensorType    = 1  // enum DataType
	tensorShape   = 2  // TensorShapeProto
	tensorContent = 4  // bytes
	tensorFloats  = 5  // packed float
	tensorDoubles = 6  // packed double
	tensorHalves  = 13 // packed int32

	shapeDim = 2 // repeated Dim
	dimSize  = 1 // int64
)

// The values of enum DataType that are read.
const (
	typeFloat    = 1
	typeDouble   = 2
	typeBFloat16 = 14
	typeHalf     = 19
)

const (
	fileVersion = "brain.Event:2"
	statusStart = 1 // SessionLog.START

	// An event's session_log {status START}.
	sessionStart = "\x3a\x02\x08\x01"

	// A value's tensor {dtype DT_FLOAT, tensor_shape {}, float_val} up to the 4
	// bytes of the float.
	tensorHead = "\x42\x0a" + "\x08\x01" + "\x12\x00" + "\x2a\x04"
	// A value's metadata {plugin_data {plugin_name "scalars"}, data_class SCALAR}.
	scalarMetadata = "\x4a\x0d" + "\x0a\x09\x0a\x07scalars" + "\x20\x01"
)

// appendHead adds the tag and the length of a field of n bytes, whose number is
// below 16.
func appendHead(b []byte, field, n int) []byte {
	b = append(b, byte(field<<3|wireBytes))
	return binary.AppendUvarint(b, uint64(n))
}

func appendString(b []byte, field int, s string) []byte {
	return append(appendHead(b, field, len(s)), s...)
}

// appendDouble adds a number unless it is +0, the default.
func appendDouble(b []byte, field int, v float64) []byte {
	if math.Float64bits(v) == 0 {
		return b
	}
	b = append(b, byte(field<<3|wireFixed64))
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// appendValue adds a summary of one value of size bytes, up to and with the tag.
func appendValue(b []byte, tag string, size int) []byte {
	b = appendHead(b, eventSummary, sizeBytes(size))
	b = appendHead(b, summaryValue, size)
	return appendString(b, valueTag, tag)
}

func sizeString(s string) int { return sizeBytes(len(s)) }

// sizeBytes is the size of a field of n bytes with its head.
func sizeBytes(n int) int { return 1 + (bits.Len64(uint64(n)|1)+6)/7 + n }

// fields goes over the fields of a message.
type fields struct {
	rest   []byte
	number int
	wire   int
	scalar uint64 // of varint and fixed fields
	bytes  []byte // of wireBytes fields, in place
	bad    bool   // the message is malformed
}

// next reads one field. It returns false at the end and at a fault.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.bad {
		return false
	}
	head := f.varint()
	number := head >> 3
	f.bad = f.bad || number == 0 || number > 1<<29-1
	f.number, f.wire = int(number), int(head&7)
	f.scalar, f.bytes = 0, nil
	switch f.wire {
	case wireVarint:
		f.scalar = f.varint()
	case wireFixed64:
		if b := f.take(8); b != nil {
			f.scalar = binary.LittleEndian.Uint64(b)
		}
	case wireFixed32:
		if b := f.take(4); b != nil {
			f.scalar = uint64(binary.LittleEndian.Uint32(b))
		}
	case wireBytes:
		f.bytes = f.take(f.varint())
	default: // groups are in none of these messages, nor in what extends them
		f.bad = true
	}
	return !f.bad
}

// is reports whether the field is this one. A known number with another wire type
// is an unknown field.
func (f *fields) is(number, wire int) bool { return f.number == number && f.wire == wire }

func (f *fields) varint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// take returns the next n bytes, and nil if there are fewer.
func (f *fields) take(n uint64) []byte {
	if f.bad || n > uint64(len(f.rest)) {
		f.bad = true
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) double() float64 { return math.Float64frombits(f.scalar) }
