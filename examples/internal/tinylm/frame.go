package tinylm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
)

// A frame is the outside of a file, with numbers little-endian:
//
//	magic    6 bytes
//	version  uint16
//	length   uint32, of the header
//	header   JSON
//	body     float32 or int32 each
//	sum      32 bytes, the SHA-256 of all before
const (
	magicSize  = 6
	prefixSize = magicSize + 2 + 4
	maxHeader  = 1 << 16
)

// framer writes a frame. The first error ends it.
type framer struct {
	to  io.Writer
	out *bufio.Writer // to to and sum
	sum hash.Hash
	buf []byte
	n   int64
	err error
}

func newFramer(w io.Writer) *framer {
	f := &framer{to: w, sum: sha256.New()}
	f.out = bufio.NewWriterSize(io.MultiWriter(w, f.sum), 1<<16)
	return f
}

func (f *framer) begin(magic string, version uint16, header any) {
	head, err := json.Marshal(header)
	if err == nil && len(head) > maxHeader {
		err = fmt.Errorf("a header of %d bytes, want at most %d", len(head), maxHeader)
	}
	if err != nil {
		f.err = err
		return
	}
	f.buf = append(f.buf[:0], magic...)
	f.buf = binary.LittleEndian.AppendUint16(f.buf, version)
	f.buf = binary.LittleEndian.AppendUint32(f.buf, uint32(len(head)))
	f.buf = append(f.buf, head...)
	f.flush()
}

func (f *framer) floats(values []float32) {
	for len(values) > 0 {
		part := values[:min(len(values), 4096)]
		values = values[len(part):]
		f.buf = appendFloats(f.buf[:0], part)
		f.flush()
	}
}

func (f *framer) ints(values []int32) {
	for _, v := range values {
		f.buf = binary.LittleEndian.AppendUint32(f.buf[:0], uint32(v))
		f.flush()
	}
}

func (f *framer) flush() {
	if f.err == nil {
		f.n += int64(len(f.buf))
		_, f.err = f.out.Write(f.buf)
	}
}

// end writes the sum and returns the bytes of the whole frame.
func (f *framer) end() (int64, error) {
	if f.err == nil {
		f.err = f.out.Flush()
	}
	if f.err != nil {
		return 0, f.err
	}
	k, err := f.to.Write(f.sum.Sum(nil))
	return f.n + int64(k), err
}

// unframe reads the header of a frame and returns its body. It believes nothing
// before the sum is right.
func unframe(data []byte, magic string, version uint16, header any) (body []byte, err error) {
	if len(data) < prefixSize || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fmt.Errorf("does not begin with %q and a length", magic)
	}
	if v := binary.LittleEndian.Uint16(data[magicSize:]); v != version {
		return nil, fmt.Errorf("version %d, want %d", v, version)
	}
	if len(data) < prefixSize+sha256.Size {
		return nil, fmt.Errorf("%d bytes, cut short", len(data))
	}
	body, want := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], want) {
		return nil, errors.New("checksum does not match: the file is cut short or changed")
	}
	size := binary.LittleEndian.Uint32(body[magicSize+2:])
	body = body[prefixSize:]
	if size > maxHeader || int(size) > len(body) {
		return nil, fmt.Errorf("header of %d bytes, want at most %d", size, min(maxHeader, len(body)))
	}
	if err := json.Unmarshal(body[:size], header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return body[size:], nil
}

// takeFloats fills v from the bytes of a body and returns the rest of them.
func takeFloats(v []float32, body []byte) []byte {
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:]))
	}
	return body[4*len(v):]
}

// takeInts does the same with integers.
func takeInts(v []int32, body []byte) []byte {
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(body[4*i:]))
	}
	return body[4*len(v):]
}

// finite reports whether v holds neither NaN nor an infinity.
func finite(v []float32) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// saveFile has write fill a temporary file beside path, syncs it and renames it:
// path holds the old file or the new one, never a part.
func saveFile(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("tinylm: save: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("tinylm: save: %w", err)
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The rename itself lasts once the folder is synced. Some systems cannot.
	if d, openErr := os.Open(dir); openErr == nil {
		_ = d.Sync()
		d.Close()
	}
	return nil
}
