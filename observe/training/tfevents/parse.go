package tfevents

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"

	"github.com/calmops/calm/observe/training"
)

// parseEvent reads the data of a record. It returns false if that is malformed.
func parseEvent(b []byte) (e Event, ok bool) {
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(eventWallTime, wireFixed64):
			e.At = wallTime(f.double())
		case f.is(eventStep, wireVarint):
			e.Step = int64(f.scalar)
		case f.is(eventFileVersion, wireBytes):
			e.FileVersion = string(f.bytes)
			f.bad = !utf8.Valid(f.bytes)
		case f.is(eventSessionLog, wireBytes):
			e.Start, ok = parseSession(f.bytes)
			f.bad = !ok
		case f.is(eventSummary, wireBytes):
			e.summary = true
			e.Values, ok = appendValues(e.Values, f.bytes)
			f.bad = !ok
		}
	}
	return e, !f.bad
}

// wallTime is the inverse of wallSeconds.
func wallTime(seconds float64) time.Time {
	const year10000 = 253402300800
	if !(math.Abs(seconds) < year10000) {
		return time.Time{}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).Round(time.Microsecond)
}

func parseSession(b []byte) (start, ok bool) {
	f := fields{rest: b}
	for f.next() {
		if f.is(sessionStatus, wireVarint) {
			start = f.scalar == statusStart
		}
	}
	return start, !f.bad
}

// appendValues reads a summary.
func appendValues(values []Value, b []byte) ([]Value, bool) {
	f := fields{rest: b}
	for f.next() {
		if !f.is(summaryValue, wireBytes) {
			continue
		}
		v, known, ok := parseValue(f.bytes)
		f.bad = !ok
		if known {
			values = append(values, v)
		}
	}
	return values, !f.bad
}

// parseValue reads one value of a summary. It is known if it is a scalar or a
// histogram.
func parseValue(b []byte) (v Value, known, ok bool) {
	var t tensor
	var plugin string
	f := fields{rest: b}
	kind := 0 // field number of the member of the oneof that was set last
	for f.next() {
		switch {
		case f.is(valueTag, wireBytes):
			v.Tag = string(f.bytes)
			f.bad = !utf8.Valid(f.bytes)
		case f.is(valueSimple, wireFixed32):
			kind = valueSimple
			v.Scalar = float64(math.Float32frombits(uint32(f.scalar)))
		case f.is(valueHistogram, wireBytes):
			kind = valueHistogram
			v.Histogram, ok = parseHistogram(f.bytes)
			f.bad = !ok
		case f.is(valueTensor, wireBytes):
			kind = valueTensor
			t, ok = parseTensor(f.bytes)
			f.bad = !ok
		case f.is(valueMetadata, wireBytes):
			plugin, ok = parsePlugin(f.bytes)
			f.bad = !ok
		}
	}
	if f.bad {
		return v, false, false
	}
	switch kind {
	case valueSimple:
		v.Histogram = nil
		return v, true, true
	case valueHistogram:
		v.Scalar = 0
		return v, v.Histogram != nil, true
	case valueTensor:
		v.Scalar, v.Histogram = 0, nil
		known = t.value(&v, plugin)
	}
	return v, known, true
}

func parsePlugin(b []byte) (name string, ok bool) {
	f := fields{rest: b}
	for f.next() {
		if !f.is(metadataPlugin, wireBytes) {
			continue
		}
		p := fields{rest: f.bytes}
		for p.next() {
			if p.is(pluginName, wireBytes) {
				name = string(p.bytes)
			}
		}
		f.bad = p.bad
	}
	return name, !f.bad
}

// parseHistogram reads a HistogramProto. The histogram is nil if there are not as
// many counts as limits.
func parseHistogram(b []byte) (h *training.Histogram, ok bool) {
	h = &training.Histogram{}
	f := fields{rest: b}
	for f.next() {
		switch {
		case f.is(histogramMin, wireFixed64):
			h.Min = f.double()
		case f.is(histogramMax, wireFixed64):
			h.Max = f.double()
		case f.is(histogramCount, wireFixed64):
			h.Count = count(f.double())
		case f.is(histogramSum, wireFixed64):
			h.Sum = f.double()
		case f.is(histogramSumSquares, wireFixed64):
			h.SumSquares = f.double()
		case f.number == histogramLimits:
			f.doubles(func(v float64) { h.Limits = append(h.Limits, v) })
		case f.number == histogramCounts:
			f.doubles(func(v float64) { h.Counts = append(h.Counts, count(v)) })
		}
	}
	if f.bad {
		return nil, false
	}
	if len(h.Limits) != len(h.Counts) {
		return nil, true
	}
	return h, true
}

// doubles calls with the numbers of a repeated field, packed or not.
func (f *fields) doubles(call func(float64)) {
	switch f.wire {
	case wireFixed64:
		call(f.double())
	case wireBytes:
		f.bad = f.bad || len(f.bytes)%8 != 0
		for b := f.bytes; len(b) >= 8; b = b[8:] {
			call(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	}
}

// count makes a count of a double: NaN and negative numbers are 0.
func count(v float64) int64 {
	switch {
	case !(v > 0):
		return 0
	case v >= math.MaxInt64:
		return math.MaxInt64
	}
	return int64(v)
}
