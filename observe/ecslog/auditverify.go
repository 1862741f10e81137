package ecslog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// VerifyAudit reads a chain of audit lines from its beginning, and returns how many
// of them hold. If that is not all, the error wraps ErrAuditBroken and names the
// first line that does not, or it is that of the reader. Lines cut away from the end
// do not show: compare the number with that of [Audit.Head].
func VerifyAudit(r io.Reader) (int, error) {
	var sum [sha256.Size]byte
	b := bufio.NewReaderSize(r, 64<<10)
	for n := 0; ; n++ {
		line, err := readLine(b)
		if err != nil {
			return n, fmt.Errorf("ecslog: audit line %d: %w", n+1, err)
		}
		if len(line) == 0 {
			return n, nil
		}
		broken := func(why string) (int, error) {
			return n, fmt.Errorf("%w: line %d %s", ErrAuditBroken, n+1, why)
		}
		if line[len(line)-1] != '\n' {
			return broken("is not whole")
		}
		body, have, ok := unchained(line)
		if !ok {
			return broken("has no hash at its end")
		}
		sum = chainSum(sum, body)
		if !bytes.Equal(have, hex.AppendEncode(nil, sum[:])) {
			return broken("does not have the hash of its text and the lines before")
		}
		if s, ok := sequenceOf(body); !ok || s != uint64(n)+1 {
			return broken("does not have its number in event.sequence")
		}
	}
}

// readLine returns a line with its end, or what there is without one at the end of
// the input.
func readLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLineBytes {
			return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrAuditBroken, maxLineBytes)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	}
}

// unchained returns an audit line without its hash and its end, and the digits of
// the hash.
func unchained(line []byte) (body, sum []byte, ok bool) {
	at := len(line) - hashBytes
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(hashMember)) || !bytes.HasSuffix(line, []byte(hashEnd)) {
		return nil, nil, false
	}
	sum = line[at+len(hashMember) : len(line)-len(hashEnd)]
	for _, c := range sum {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, nil, false
		}
	}
	return append(bytes.Clone(line[:at]), '}'), sum, true
}

func sequenceOf(body []byte) (uint64, bool) {
	var v struct {
		Sequence uint64 `json:"event.sequence"`
	}
	err := json.Unmarshal(body, &v)
	return v.Sequence, err == nil && v.Sequence > 0
}

// lastLine returns the last whole line of a file, empty if there is none, and where
// it ends.
func lastLine(f io.ReaderAt, size int64) (line []byte, end int64, err error) {
	for n := int64(64 << 10); ; n *= 2 {
		from := max(0, size-n)
		b := make([]byte, size-from)
		if _, err := io.ReadFull(io.NewSectionReader(f, from, size-from), b); err != nil {
			return nil, 0, err
		}
		last := bytes.LastIndexByte(b, '\n')
		if last < 0 && from == 0 {
			return nil, 0, nil
		}
		if last >= 0 {
			if first := bytes.LastIndexByte(b[:last], '\n'); first >= 0 || from == 0 {
				return b[first+1 : last+1], from + int64(last) + 1, nil
			}
		}
		if n >= 2*maxLineBytes {
			return nil, 0, fmt.Errorf("%w: the last line is longer than %d bytes", ErrAuditBroken, maxLineBytes)
		}
	}
}
