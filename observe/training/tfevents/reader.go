package tfevents

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/calmops/calm/observe/training"
)

// Event is one record of an event file.
type Event struct {
	At          time.Time // to the microsecond, which is what files hold; zero if it is no time
	Step        int64     // what it belongs to; any number, as the file has it
	FileVersion string    // of the first record of a file, such as "brain.Event:2"; else empty
	Start       bool      // SessionLog START: what came before of this and later steps is void
	Values      []Value   // scalars and histograms; images, text and others are left out

	summary bool // has values, perhaps of other kinds
}

// Value is a scalar or a histogram.
type Value struct {
	Tag    string  // such as "train/loss"
	Scalar float64 // unless there is a Histogram
	// Histogram is nil for a scalar. One that was stored as a tensor knows neither
	// Sum nor SumSquares. Limits are as in the file, which may repeat one where
	// buckets are empty.
	Histogram *training.Histogram
}

// CorruptError says that a file is damaged, and where. What comes after the damage
// is not read, by TensorBoard neither.
type CorruptError struct {
	Offset int64 // of the first byte of the damaged record in the file

	what string
}

// Error tells the offset and what is wrong there.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("tfevents: corrupt record at offset %d: %s", e.Offset, e.what)
}

// Read goes over the events of one file, in order. A last record that is torn, as
// a crash leaves it, ends the file without an error. Damage is a *CorruptError:
// wrong checksums, a length above 64 MiB, data that is no event. It and errors of
// r end the iteration. Memory grows with the data that is there, never by what a
// length claims. Fields and values that are not known are skipped. Read buffers,
// so r may have been read further than the last event.
func Read(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		records := recordReader{r: bufio.NewReaderSize(r, bufferSize)}
		for {
			data, err := records.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			event, ok := parseEvent(data)
			if !ok {
				yield(Event{}, records.corrupt("data is no event"))
				return
			}
			if !yield(event, nil) {
				return
			}
		}
	}
}

// recordReader cuts a file into the data of its records.
type recordReader struct {
	r    io.Reader
	at   int64 // offset of the current record
	end  int64 // and of the next
	data bytes.Buffer
}

// next returns the data of the next record, good until the call after. At the end
// and in a torn record it returns io.EOF.
func (r *recordReader) next() ([]byte, error) {
	r.at = r.end
	var header [headerSize]byte
	if _, err := io.ReadFull(r.r, header[:]); err != nil {
		return nil, r.short(err)
	}
	if maskedCRC(header[:8]) != binary.LittleEndian.Uint32(header[8:]) {
		return nil, r.corrupt("checksum of its length")
	}
	length := binary.LittleEndian.Uint64(header[:])
	if length > maxRecord {
		return nil, r.corrupt(fmt.Sprintf("length %d", length))
	}
	r.data.Reset()
	if _, err := io.CopyN(&r.data, r.r, int64(length)+footerSize); err != nil {
		return nil, r.short(err)
	}
	data, footer := r.data.Bytes()[:length], r.data.Bytes()[length:]
	if maskedCRC(data) != binary.LittleEndian.Uint32(footer) {
		return nil, r.corrupt("checksum of its data")
	}
	r.end += headerSize + int64(length) + footerSize
	return data, nil
}

// short tells a torn record from a reader that failed.
func (r *recordReader) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return fmt.Errorf("tfevents: read: %w", err)
}

func (r *recordReader) corrupt(what string) *CorruptError {
	return &CorruptError{Offset: r.at, what: what}
}
