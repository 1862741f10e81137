package tfevents

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calmops/calm/observe/training"
)

// day is when tests happen: 1700000000 in Unix time.
var day = time.Unix(1_700_000_000, 0)

// at returns a time some seconds later.
func at(seconds float64) time.Time { return day.Add(time.Duration(seconds * float64(time.Second))) }

// sameNumber holds NaN for equal to itself.
func sameNumber(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// records cuts a file, checking all that can be checked of its frame, with nothing
// of the package.
func records(t testing.TB, file []byte) [][]byte {
	t.Helper()
	var all [][]byte
	mask := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return uint32((uint64(c>>15) | uint64(c)<<17&math.MaxUint32) + 0xa282ead8)
	}
	for len(file) > 0 {
		require.GreaterOrEqual(t, len(file), 16)
		n := binary.LittleEndian.Uint64(file)
		require.Equal(t, mask(file[:8]), binary.LittleEndian.Uint32(file[8:]))
		require.LessOrEqual(t, n+16, uint64(len(file)))
		require.Equal(t, mask(file[12:12+n]), binary.LittleEndian.Uint32(file[12+n:]))
		all = append(all, file[12:12+n])
		file = file[16+n:]
	}
	return all
}

// node is a message decoded without its description: fields by path, such as
// "5.1.1" for the tags.
func node(t testing.TB, b []byte, messages ...string) map[string][]any {
	t.Helper()
	isMessage := map[string]bool{}
	for _, m := range messages {
		isMessage[m] = true
	}
	all := map[string][]any{}
	var walk func(prefix string, b []byte)
	walk = func(prefix string, b []byte) {
		for len(b) > 0 {
			num, typ, n := protowire.ConsumeTag(b)
			require.NoError(t, protowire.ParseError(n))
			b = b[n:]
			path := prefix + strconv.Itoa(int(num))
			var v any
			switch typ {
			case protowire.VarintType:
				v, n = protowire.ConsumeVarint(b)
			case protowire.Fixed64Type:
				v, n = protowire.ConsumeFixed64(b)
			case protowire.Fixed32Type:
				v, n = protowire.ConsumeFixed32(b)
			default:
				v, n = protowire.ConsumeBytes(b)
			}
			require.NoError(t, protowire.ParseError(n))
			b = b[n:]
			all[path] = append(all[path], v)
			if isMessage[path] {
				walk(path+".", v.([]byte))
			}
		}
	}
	walk("", b)
	return all
}

// numbers reads packed doubles.
func numbers(b []byte) []float64 {
	var all []float64
	for ; len(b) >= 8; b = b[8:] {
		all = append(all, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return all
}

// frame makes a record of any data.
func frame(data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	return binary.LittleEndian.AppendUint32(append(b, data...), maskedCRC(data))
}

// readAll returns the events before the end or the first error.
func readAll(b []byte) (all []Event, err error) {
	for e, err := range Read(bytes.NewReader(b)) {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// file writes a file with a function.
func file(t testing.TB, write func(w *Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, day)
	require.NoError(t, err)
	write(w)
	require.NoError(t, w.Flush())
	return b.Bytes()
}

// gen makes random input.
type gen struct{ *rand.Rand }

func newGen(seed uint64) gen { return gen{rand.New(rand.NewPCG(seed, 1))} }

func (g gen) number() float64 {
	switch g.IntN(8) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*g.IntN(2))
	case 2:
		return float64(g.IntN(5) - 2)
	case 3:
		return math.Copysign(0, -1)
	case 4:
		return math.Float64frombits(g.Uint64())
	}
	return g.NormFloat64() * math.Pow(10, float64(g.IntN(40)-20))
}

func (g gen) step() int64 {
	switch g.IntN(6) {
	case 0:
		return 0
	case 1:
		return int64(g.Uint64())
	}
	return g.Int64N(1_000_000)
}

func (g gen) tag() string {
	tags := []string{"train/loss", "", "Ω/µ", "gradients/layer0", "a\xffb"}
	if i := g.IntN(len(tags) + 1); i < len(tags) {
		return tags[i]
	}
	return "t/" + string(bytes.Repeat([]byte{'x'}, g.IntN(300)))
}

// histogram has full buckets at both ends.
func (g gen) histogram() *training.Histogram {
	h := &training.Histogram{Min: -g.Float64(), Sum: g.NormFloat64(), SumSquares: g.Float64()}
	limit := h.Min
	n := g.IntN(40)
	for i := range n {
		limit += g.Float64() + 1e-9
		count := g.Int64N(3)
		if i == 0 || i == n-1 {
			count++
		}
		h.Limits, h.Counts = append(h.Limits, limit), append(h.Counts, count)
		h.Count += count
	}
	h.Max = limit
	return h
}
