package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/calmops/calm/observe/training"
)

// ErrInvalid is wrapped by the error of a record that no file can hold. Nothing of
// it was written, and the Writer goes on.
var ErrInvalid = errors.New("tfevents: invalid record")

const (
	bufferSize = 64 << 10  // given to the io.Writer at once
	keepSize   = 256 << 10 // a buffer that a huge record has made larger is let go
	maxRecord  = 64 << 20  // bytes of one event
	maxTag     = 64 << 10  // bytes of one tag
	maxBuckets = 1 << 16
)

// Writer writes an event file. It buffers 64 KiB and gives its io.Writer whole
// records only, so that whatever stops the process leaves at most the tail of one
// Write torn. After a failed write every call returns its error: a reader gives up
// at the torn record, so what comes later belongs into a new file. A Writer is for
// one goroutine at a time.
type Writer struct {
	// Tensors selects how scalars are written: false, the default, as simple_value,
	// true as tensors with the metadata of the plugin "scalars". TensorBoard shows
	// both alike. Tensors take 22 bytes more, and TensorBoard's older reader, the
	// event_accumulator of scripts, does not remove them at a SessionStart.
	Tensors bool

	w     io.Writer
	buf   []byte // whole records that w has not been given
	count int64  // records in buf
	whole int64  // records that w has taken whole
	err   error  // of the write that failed

	at      time.Time // of the last record
	seconds float64   // the same, as it is written

	// The checksums of short lengths, once they were needed: half of the checksums
	// of a file, and few of them differ. 0 is none yet.
	lengths [128]uint32
}

// NewWriter returns a Writer after it has written the record that every event file
// begins with: its version, and at, the time when the file begins.
func NewWriter(w io.Writer, at time.Time) (*Writer, error) {
	t := &Writer{w: w, buf: make([]byte, 0, bufferSize+4<<10)}
	start := t.begin(at, 0)
	t.buf = appendString(t.buf, eventFileVersion, fileVersion)
	err := t.end(start)
	if err == nil {
		err = t.Flush()
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Scalar adds one value. Files hold float32: finite values beyond its range become
// infinite. NaN and infinities are written as they are. Bytes of the tag that are
// not UTF-8 are replaced, since readers refuse a file that has them; a tag above
// 64 KiB is ErrInvalid. It allocates nothing.
func (w *Writer) Scalar(at time.Time, step int64, tag string, v float64) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	tag = validTag(tag)
	size := sizeString(tag)
	if w.Tensors {
		size += len(tensorHead) + 4 + len(scalarMetadata)
	} else {
		size += 1 + 4
	}
	start := w.begin(at, step)
	w.buf = appendValue(w.buf, tag, size)
	bits := math.Float32bits(float32(v))
	if w.Tensors {
		w.buf = append(w.buf, tensorHead...)
		w.buf = binary.LittleEndian.AppendUint32(w.buf, bits)
		w.buf = append(w.buf, scalarMetadata...)
	} else {
		w.buf = append(w.buf, valueSimple<<3|wireFixed32)
		w.buf = binary.LittleEndian.AppendUint32(w.buf, bits)
	}
	return w.end(start)
}

// Histogram adds one distribution. Empty buckets at either end are left out: a
// reader puts Min and Max in the place of the outermost edges. A histogram that is
// nil, has not as many Counts as Limits or more than 65,536, limits that do not
// ascend, or a negative count is ErrInvalid; so is what is wrong with the tag.
func (w *Writer) Histogram(at time.Time, step int64, tag string, h *training.Histogram) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	if err := checkHistogram(h); err != nil {
		return err
	}
	tag = validTag(tag)
	first, end := filled(h.Counts)
	head := [...]float64{h.Min, h.Max, float64(h.Count), h.Sum, h.SumSquares}
	inner := 0
	for _, v := range head {
		if math.Float64bits(v) != 0 {
			inner += 1 + 8
		}
	}
	packed := 8 * (end - first)
	if packed > 0 {
		inner += 2 * sizeBytes(packed)
	}

	start := w.begin(at, step)
	b := appendValue(w.buf, tag, sizeString(tag)+sizeBytes(inner))
	b = appendHead(b, valueHistogram, inner)
	for i, v := range head {
		b = appendDouble(b, histogramMin+i, v)
	}
	if packed > 0 {
		b = appendHead(b, histogramLimits, packed)
		for _, v := range h.Limits[first:end] {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		b = appendHead(b, histogramCounts, packed)
		for _, n := range h.Counts[first:end] {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(n)))
		}
	}
	w.buf = b
	return w.end(start)
}

// SessionStart says that training goes on at step: readers forget the points of
// all tags at this and later steps that came before. The first of a folder is
// ignored by TensorBoard's server.
func (w *Writer) SessionStart(at time.Time, step int64) error {
	start := w.begin(at, step)
	w.buf = append(w.buf, sessionStart...)
	return w.end(start)
}

// Flush gives what is buffered to the io.Writer.
func (w *Writer) Flush() error { return w.flush(len(w.buf)) }

// begin adds the start of a record, and returns where it is in the buffer.
func (w *Writer) begin(at time.Time, step int64) int {
	start := len(w.buf)
	w.buf = append(w.buf, make([]byte, headerSize)...)
	if at != w.at { // the values of a step share a time
		w.at, w.seconds = at, wallSeconds(at)
	}
	w.buf = appendDouble(w.buf, eventWallTime, w.seconds)
	if step != 0 {
		w.buf = append(w.buf, eventStep<<3|wireVarint)
		w.buf = binary.AppendUvarint(w.buf, uint64(step))
	}
	return start
}

// end closes the record that starts there. If the buffer is now too full, what is
// before the record leaves it.
func (w *Writer) end(start int) error {
	if w.err != nil {
		w.buf = w.buf[:start]
		return w.err
	}
	data := w.buf[start+headerSize:]
	binary.LittleEndian.PutUint64(w.buf[start:], uint64(len(data)))
	binary.LittleEndian.PutUint32(w.buf[start+8:], w.lengthCRC(w.buf[start:start+8], len(data)))
	w.count++
	w.buf = binary.LittleEndian.AppendUint32(w.buf, maskedCRC(data))
	if len(w.buf) <= bufferSize {
		return nil
	}
	if err := w.flush(start); err != nil {
		return err
	}
	if len(w.buf) <= bufferSize {
		return nil
	}
	return w.Flush()
}

// flush gives the first n bytes of the buffer away; they end with a record.
func (w *Writer) flush(n int) error {
	if w.err != nil || n == 0 {
		return w.err
	}
	took, err := w.w.Write(w.buf[:n])
	took = min(max(took, 0), n)
	if err == nil && took < n {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.whole += countRecords(w.buf[:took])
		w.buf, w.err = nil, fmt.Errorf("tfevents: write: %w", err)
		return w.err
	}
	rest := w.buf[n:]
	kept := int64(0)
	if len(rest) > 0 {
		kept = 1 // the record that did not fit any more
	}
	w.whole += w.count - kept
	w.count = kept
	if cap(w.buf) > keepSize && len(rest) <= bufferSize {
		w.buf = make([]byte, 0, bufferSize+4<<10)
	}
	w.buf = append(w.buf[:0], rest...)
	return nil
}

// lengthCRC is the checksum of a record's length, which is n.
func (w *Writer) lengthCRC(length []byte, n int) uint32 {
	if n >= len(w.lengths) {
		return maskedCRC(length)
	}
	if w.lengths[n] == 0 {
		w.lengths[n] = maskedCRC(length)
	}
	return w.lengths[n]
}

// countRecords returns how many whole records b begins with.
func countRecords(b []byte) int64 {
	var n int64
	for len(b) >= headerSize {
		size := headerSize + binary.LittleEndian.Uint64(b) + footerSize
		if size > uint64(len(b)) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}

// validTag returns a tag that readers do not refuse.
func validTag(tag string) string {
	if utf8.ValidString(tag) {
		return tag
	}
	return strings.ToValidUTF8(tag, "\uFFFD")
}

// checkTag returns why no file can hold a tag.
func checkTag(tag string) error {
	if len(tag) > maxTag {
		return fmt.Errorf("%w: tag of %d bytes, of which %d are allowed", ErrInvalid, len(tag), maxTag)
	}
	return nil
}

// checkHistogram returns why no file can hold a histogram.
func checkHistogram(h *training.Histogram) error {
	switch {
	case h == nil:
		return fmt.Errorf("%w: no histogram", ErrInvalid)
	case len(h.Limits) != len(h.Counts):
		return fmt.Errorf("%w: histogram of %d limits and %d counts", ErrInvalid, len(h.Limits), len(h.Counts))
	case len(h.Limits) > maxBuckets:
		return fmt.Errorf("%w: histogram of %d buckets, of which %d are allowed", ErrInvalid, len(h.Limits), maxBuckets)
	}
	for i, limit := range h.Limits {
		if math.IsNaN(limit) || i > 0 && limit <= h.Limits[i-1] {
			return fmt.Errorf("%w: limit %d of a histogram is %v, which does not ascend", ErrInvalid, i, limit)
		}
		if h.Counts[i] < 0 {
			return fmt.Errorf("%w: count %d of a histogram is %d", ErrInvalid, i, h.Counts[i])
		}
	}
	return nil
}

// filled returns the range that leaves empty buckets at either end out.
func filled(counts []int64) (first, end int) {
	end = len(counts)
	for first < end && counts[first] == 0 {
		first++
	}
	for end > first && counts[end-1] == 0 {
		end--
	}
	return first, end
}

// wallSeconds is the time as files hold it: seconds since 1970.
func wallSeconds(at time.Time) float64 {
	return float64(at.Unix()) + float64(at.Nanosecond())/1e9
}

// maskedCRC is the checksum of records: CRC-32C, rotated and shifted so that a
// checksum of data that holds checksums stays a good one.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
