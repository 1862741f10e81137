package observe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

var errStBody = errors.New("the body broke")

// stBody counts what is asked of a body.
type stBody struct {
	io.Reader
	read, reads, closed int
}

func (b *stBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	b.reads++
	return n, err
}

func (b *stBody) Close() error { b.closed++; return nil }

// stEmpty returns (0, nil) before each byte.
type stEmpty struct {
	r     io.Reader
	empty bool
}

func (e *stEmpty) Read(p []byte) (int, error) {
	if e.empty = !e.empty; e.empty || len(p) == 0 {
		return 0, nil
	}
	return e.r.Read(p[:1])
}

// stReader reads b in one of several ways, with an error at its end.
func stReader(b []byte, how byte) (r io.Reader, end error) {
	r, end = bytes.NewReader(b), io.EOF
	if how&1 != 0 {
		r, end = io.MultiReader(r, iotest.ErrReader(errStBody)), errStBody
	}
	switch how >> 1 % 4 {
	case 1:
		r = iotest.OneByteReader(r)
	case 2:
		r = iotest.DataErrReader(r) // the last bytes and the error together
	case 3:
		r = &stEmpty{r: r}
	}
	return r, end
}

func stCheckPeek(t *testing.T, body []byte, limit int, how byte) {
	r, end := stReader(body, how)
	inner := &stBody{Reader: r}
	var p peekedBody
	name := p.peek(inner, limit)
	if inner.read > limit {
		t.Fatalf("%d bytes read ahead, limit %d", inner.read, limit)
	}
	model, known := stFirstModel(body)
	raw := string(name)
	got := string(unescape(make([]byte, 0, 2*len(raw)+4), name))
	switch {
	case known && len(body) <= limit && got != model, known && got != "" && got != model:
		t.Fatalf("%q: model %q, want %q", body, got, model)
	}
	var back bytes.Buffer
	buf := make([]byte, 1+int(how)*37)
	for {
		n, err := p.Read(buf)
		back.Write(buf[:n])
		if err != nil {
			if err != end {
				t.Fatalf("error %v, want %v", err, end)
			}
			break
		}
	}
	if !bytes.Equal(back.Bytes(), body) {
		t.Fatalf("read back %q, want %q", back.Bytes(), body)
	}
	if p.err == nil {
		_, _ = p.Read(buf) // the reader's own next may be (0, nil)
	}
	if n, err := p.Read(buf); n != 0 || err != end {
		t.Fatalf("after the end: %d, %v", n, err)
	}
	if p.pooled != nil || p.from != p.to {
		t.Fatal("the buffer is kept after its last byte")
	}
	require.NoError(t, p.Close())
	require.Equal(t, 1, inner.closed)
}

func TestPeekModel(t *testing.T) {
	far := `"x":"` + strings.Repeat("x", 64<<10) + `",`
	for _, c := range []struct {
		body, model string
		limit       int
	}{
		{`{"model":"gpt-4o","messages":[]}`, "gpt-4o", 65536},
		{" \n{ \"model\"\t: \r\"gpt-4o\" }", "gpt-4o", 65536},
		{`{"messages":[{"role":"user","content":"\"model\":\"no\""}],"model":"yes"}`, "yes", 65536},
		{`{"options":{"model":"no"},"tools":[{"model":"no"},["model","no"]],"model":"yes"}`, "yes", 65536},
		{`{"a":"model","b":["model"],"c":"\\","d":"\"","model":"yes"}`, "yes", 65536},
		{`{"model":"org\/name\u00e9\""}`, `org\/name\u00e9\"`, 65536},
		{`{"model":null,"model":7,"model":["no"],"model":{"model":"no"},"model":"yes"}`, "yes", 65536},
		{`{"model":"","x":1}`, "", 65536},
		{`{"models":"no","mode":"no","Model":"no","":"no","mod\u0065l":"no"}`, "", 65536},
		{`{"messages":[]}`, "", 65536},
		{`["model","no"]`, "", 65536},
		{`"model"`, "", 65536},
		{`model=no`, "", 65536},
		{`{"x":NaN,"model":"no"}`, "", 65536},
		{`{"x":"` + "\n" + `","model":"yes"}`, "yes", 65536}, // not JSON, but skipped unread
		{`{"x` + "\n" + `":1,"model":"no"}`, "", 65536},
		{`{} {"model":"no"}`, "", 65536},
		{``, "", 65536},
		{"\xef\xbb\xbf" + `{"model":"no"}`, "", 65536},
		{`{` + far + `"model":"no"}`, "", 65536},
		{`{` + far + `"model":"yes"}`, "yes", 65536 + 40},
		{`{"model":"cut by the limit"}`, "", 20},
		{`{"model":"just"}`, "just", 15},
		{`{"model":"just"}`, "", 14},
		{`{"model":"` + strings.Repeat("m", 10_000) + `"}`, strings.Repeat("m", 10_000), 65536},
	} {
		for how := range byte(8) {
			r, _ := stReader([]byte(c.body), how)
			var p peekedBody
			name := p.peek(io.NopCloser(r), c.limit)
			require.Equal(t, c.model, string(name), "%.60q, limit %d, way %d", c.body, c.limit, how)
			stCheckPeek(t, []byte(c.body), c.limit, how)
		}
	}
}

// TestPeekStops: it reads no further than the name needs.
func TestPeekStops(t *testing.T) {
	read := func(body string, limit int, how byte) int {
		r, _ := stReader([]byte(body), how)
		inner := &stBody{Reader: r}
		var p peekedBody
		p.peek(inner, limit)
		return inner.read
	}
	const oneByte = 2
	require.Equal(t, len(`{"model":"m"`), read(`{"model":"m","messages":[]}`, 1000, oneByte))
	require.Equal(t, len(`{"a":1}`), read(`{"a":1}     {"model":"m"}`, 1000, oneByte))
	require.Equal(t, len(`{"a":?`), read(`{"a":?????????????`, 1000, oneByte))
	require.Equal(t, 1, read(`[{"model":"m"}]`, 1000, oneByte))
	for _, limit := range []int{1, 100, firstPeek, firstPeek + 1, 3 * firstPeek, 65536, 100_000} {
		for how := range byte(8) {
			require.Equal(t, limit, read(`{"x":"`+strings.Repeat("x", 200_000), limit, how), "limit %d", limit)
		}
	}
	require.Equal(t, firstPeek, read(`{"model":"m","x":"`+strings.Repeat("x", 200_000), 65536, 0), "one Read")

	// A body that never gives anything is left to the handler.
	inner := &stBody{Reader: stNever{}}
	var p peekedBody
	p.peek(inner, 100)
	require.Less(t, inner.reads, 1000)
}

type stNever struct{}

func (stNever) Read([]byte) (int, error) { return 0, nil }

// TestPeekBuffers: buffers go around among bodies that are read in turns, and
// none shows the bytes of another.
func TestPeekBuffers(t *testing.T) {
	bodies := make([]*peekedBody, 50)
	want := make([]string, len(bodies))
	got := make([]strings.Builder, len(bodies))
	open := func(i, round int) {
		want[i] = fmt.Sprintf(`{"model":"m%d-%d","x":"%s"}`, i, round, strings.Repeat(string(rune('a'+i%26)), 100*i))
		bodies[i] = &peekedBody{}
		name := bodies[i].peek(io.NopCloser(strings.NewReader(want[i])), 65536)
		require.Equal(t, fmt.Sprintf("m%d-%d", i, round), string(name))
		got[i].Reset()
	}
	for i := range bodies {
		open(i, 0)
	}
	for round := 1; round < 200; round++ {
		for i, p := range bodies {
			b := make([]byte, 1+(i*7+round)%900)
			n, err := p.Read(b)
			got[i].Write(b[:n])
			if err == io.EOF {
				require.Equal(t, want[i], got[i].String())
				open(i, round)
			}
		}
	}
	var p peekedBody
	b := make([]byte, 100)
	n := testing.AllocsPerRun(100, func() {
		p = peekedBody{}
		p.peek(stNothing{}, 65536)
		_, _ = p.Read(b)
	})
	require.Zero(t, n)
}

// stNothing is a body that is at its end.
type stNothing struct{}

func (stNothing) Read(p []byte) (int, error) { return copy(p, `{"model":"m"}`), io.EOF }
func (stNothing) Close() error               { return nil }
