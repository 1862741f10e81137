package tinylm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tiny is the smallest checkpoint, for tests that try every byte of it.
func tiny(t testing.TB) (*Model, []byte) {
	t.Helper()
	m := train(t, bytes.Repeat([]byte("ab\n"), 400), Config{
		Steps: 2, Batch: 2, Context: 4, Width: 2, Embed: 2, Order: 2, Buckets: 3,
	})
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return m, b.Bytes()
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ckpt")
	want := trained(t)
	require.NoError(t, want.Save(path))
	require.NoError(t, want.Save(path), "over the old one")
	got, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, want.dense, got.dense)
	assert.Equal(t, want.embed, got.embed)
	assert.Equal(t, want.Facts(), got.Facts())
	assert.Equal(t, want.Digest(), got.Digest())
	assert.Regexp(t, "^[0-9a-f]{12}$", got.Digest())
	assert.Equal(t, want.Config().recipe(), got.Config().recipe())

	a, b := session(t, want, SessionConfig{Temperature: 1}), session(t, got, SessionConfig{Temperature: 1})
	a.Feed("Zoë ")
	b.Feed("Zoë ")
	assert.Equal(t, write(a, 100), write(b, 100))

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file stays")
}

func TestSaveFails(t *testing.T) {
	m, data := tiny(t)
	require.ErrorIs(t, m.Save(filepath.Join(t.TempDir(), "none", "model")), os.ErrNotExist)
	dir := t.TempDir()
	taken := filepath.Join(dir, "model")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "x"), 0o755))
	require.Error(t, m.Save(taken), "a folder is in the way")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file stays")

	for limit := range len(data) {
		_, err := m.WriteTo(&limited{left: limit})
		require.ErrorIs(t, err, errFull, "after %d bytes", limit)
	}
}

var errFull = errors.New("no space left")

// limited is a writer that is full after some bytes.
type limited struct{ left int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.left {
		n := l.left
		l.left = 0
		return n, errFull
	}
	l.left -= len(b)
	return len(b), nil
}

func TestFits(t *testing.T) {
	text := story(400)
	m := trained(t)
	assert.True(t, m.Fits(text, small()))
	same := small()
	same.Workers, same.EvalEvery, same.OnProgress = 7, 3, func(Progress) {}
	assert.True(t, m.Fits(text, same), "what leaves the weights alone")
	assert.False(t, m.Fits(text[1:], small()))
	for _, change := range []func(*Config){
		func(c *Config) { c.Seed++ }, func(c *Config) { c.Steps++ }, func(c *Config) { c.Width++ },
		func(c *Config) { c.LearningRate *= 2 }, func(c *Config) { c.Holdout = 0.2 },
	} {
		other := small()
		change(&other)
		assert.False(t, m.Fits(text, other))
	}
	var b bytes.Buffer
	_, err := m.WriteTo(&b)
	require.NoError(t, err)
	loaded, err := Read(&b)
	require.NoError(t, err)
	assert.True(t, loaded.Fits(text, small()))
}

// Every cut, and every flip of a bit in each byte, is an error and not a panic.
func TestTornAndFlipped(t *testing.T) {
	_, data := tiny(t)
	_, err := Read(bytes.NewReader(data))
	require.NoError(t, err)
	for n := range data {
		_, err := Read(bytes.NewReader(data[:n]))
		require.ErrorIs(t, err, ErrCheckpoint, "cut at %d", n)
	}
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1 << (i % 8)
		_, err := Read(bytes.NewReader(changed))
		require.ErrorIs(t, err, ErrCheckpoint, "flip in byte %d", i)
	}
	_, err = Read(bytes.NewReader(append(bytes.Clone(data), 0)))
	require.ErrorIs(t, err, ErrCheckpoint, "one byte more")

	path := filepath.Join(t.TempDir(), "torn")
	require.NoError(t, os.WriteFile(path, data[:len(data)/2], 0o600))
	_, err = Load(path)
	require.ErrorIs(t, err, ErrCheckpoint)
	assert.ErrorContains(t, err, path)
	_, err = Load(path + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)
	broken := errors.New("broken disk")
	_, err = Read(io.MultiReader(bytes.NewReader(data[:9]), &failing{broken}))
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// forge builds a checkpoint with a right checksum around any content.
func forge(v uint16, size uint32, head, weights []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(magic), v)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = append(append(b, head...), weights...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func forged(t testing.TB, h header, weights []byte) []byte {
	t.Helper()
	head, err := json.Marshal(h)
	require.NoError(t, err)
	return forge(version, uint32(len(head)), head, weights)
}

// A right checksum does not make a hostile header true.
func TestHostileHeaders(t *testing.T) {
	m, _ := tiny(t)
	weights := appendFloats(appendFloats(nil, m.dense), m.embed)
	good := header{Config: m.cfg, Vocab: string(m.vocab.runes[1:]), Facts: m.facts}
	_, err := Read(bytes.NewReader(forged(t, good, weights)))
	require.NoError(t, err)

	with := func(change func(*header)) []byte {
		h := good
		change(&h)
		return forged(t, h, weights)
	}
	huge := func(h *header) {
		h.Config.Layers, h.Config.Width, h.Config.Embed = maxLayers, maxWidth, maxWidth
		h.Config.Order, h.Config.Buckets = maxOrder, maxBuckets
	}
	large := func(h *header) { h.Config.Buckets = maxBuckets }
	nan := bytes.Clone(weights)
	binary.LittleEndian.PutUint32(nan, math.Float32bits(float32(math.NaN())))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"version":         {forge(2, 0, nil, nil), "version 2, want 1"},
		"magic":           {[]byte("GGUF....................................................."), "does not begin"},
		"header too long": {forge(version, math.MaxUint32, nil, nil), "header of 4294967295 bytes"},
		"not JSON":        {forge(version, 4, []byte("nope"), nil), "header: "},
		"huge sizes":      {with(huge), "weights, want at most 268435456"},
		"large sizes":     {with(large), "bytes of weights, want"},
		"beyond sizes":    {with(func(h *header) { h.Config.Width = 1 << 30 }), "Config.Width is 1073741824"},
		"zero size":       {with(func(h *header) { h.Config.Width = 0 }), "a size in the header is zero"},
		"negative size":   {with(func(h *header) { h.Config.Buckets = -1 }), "Config.Buckets is -1"},
		"no vocabulary":   {with(func(h *header) { h.Vocab = "" }), "vocabulary: empty"},
		"twice":           {with(func(h *header) { h.Vocab = "\nbb" }), "out of place"},
		"descending":      {with(func(h *header) { h.Vocab = "b\na" }), "out of place"},
		"too many runes":  {with(func(h *header) { h.Vocab = manyRunes(128) }), "out of place"},
		"weights missing": {forged(t, good, weights[4:]), "bytes of weights, want"},
		"NaN":             {forged(t, good, nan), "a weight is not a number"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = Read(bytes.NewReader(c.data))
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, ErrCheckpoint, name)
		require.ErrorContains(t, err, c.want, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

func manyRunes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune('!' + i))
	}
	return b.String()
}

// A model read back speaks, whatever the bytes were; anything else is an error
// that wraps ErrCheckpoint.
func FuzzLoad(f *testing.F) {
	_, data := tiny(f)
	f.Add(data, false)
	f.Add(data[:40], false)
	f.Add(data[:len(data)-sha256.Size], true)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		changed := bytes.Clone(data[:len(data)-sha256.Size])
		changed[rng.IntN(len(changed))] = byte(rng.Uint32())
		f.Add(changed, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, sign bool) {
		if sign { // a right checksum leads to the code behind it
			sum := sha256.Sum256(data)
			data = append(bytes.Clone(data), sum[:]...)
		}
		m, err := Read(bytes.NewReader(data))
		if err != nil {
			require.ErrorIs(t, err, ErrCheckpoint)
			return
		}
		s := session(t, m, SessionConfig{Temperature: 1})
		s.Feed("ab\n")
		for range 5 {
			require.NotEmpty(t, s.Next())
		}
		var again bytes.Buffer
		_, err = m.WriteTo(&again)
		require.NoError(t, err)
		back, err := Read(&again)
		require.NoError(t, err)
		require.Equal(t, m.Digest(), back.Digest())
	})
}
