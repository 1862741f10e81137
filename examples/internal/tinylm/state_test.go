package tinylm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A training that is stopped after any step and continued by another process ends
// with the same bits as one that is not, whatever the number of workers.
func TestRestoreIsBitIdentical(t *testing.T) {
	text, want := story(400), trained(t)
	path := filepath.Join(t.TempDir(), "state")
	for stop := 0; stop <= 30; stop += 3 {
		before := trainer(t, text, small())
		steps(t, before, stop)
		require.NoError(t, before.Save(path))
		before.Close()
		cfg := small()
		cfg.Workers = 1 + stop%5
		after := trainer(t, text, cfg)
		require.NoError(t, after.Restore(path))
		assert.Equal(t, stop+1, after.NextBatch())
		m := finished(t, after)
		require.Equal(t, want.dense, m.dense, "stopped after %d", stop)
		require.Equal(t, want.embed, m.embed, "stopped after %d", stop)
		got, facts := m.Facts(), want.Facts()
		assert.Positive(t, got.Elapsed)
		got.Elapsed, facts.Elapsed = 0, 0
		require.Equal(t, facts, got, "stopped after %d", stop)
	}
}

// The same within one process: steps that went astray leave nothing behind.
func TestRollBack(t *testing.T) {
	dir := t.TempDir()
	tr := trainer(t, story(400), small())
	p := steps(t, tr, 10)
	elapsed := p.Elapsed
	path := filepath.Join(dir, "state")
	require.NoError(t, tr.Save(path))
	tr.Garble(12, 3)
	tr.Poison(17)
	steps(t, tr, 6)
	_, err := tr.Step()
	require.ErrorIs(t, err, ErrDiverged)
	require.NoError(t, tr.Restore(path))
	tr.faults = nil
	p = steps(t, tr, 1)
	assert.Equal(t, 11, p.Step)
	assert.Greater(t, p.Elapsed, elapsed)
	assert.Equal(t, trained(t).Digest(), finished(t, tr).Digest())

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file stays")
	require.ErrorIs(t, tr.Save(filepath.Join(dir, "none", "state")), os.ErrNotExist)
}

// small states of the smallest training, for tests that try every byte.
func tinyState(t testing.TB) (*Trainer, []byte) {
	t.Helper()
	tr := trainer(t, bytes.Repeat([]byte("ab\n"), 400), Config{
		Steps: 5, Batch: 2, Context: 4, Width: 2, Embed: 2, Order: 2, Buckets: 3, Workers: 1,
	})
	steps(t, tr, 2)
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, tr.Save(path))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return tr, data
}

// copyOf is what a step changes.
func copyOf(tr *Trainer) (values [][]float32, counts []int32, places []int) {
	for _, v := range tr.state() {
		values = append(values, slices.Clone(v))
	}
	return values, slices.Clone(tr.rows.count), slices.Clone(tr.places)
}

func TestTornAndFlippedStates(t *testing.T) {
	tr, data := tinyState(t)
	require.NoError(t, tr.restore(data))
	values, counts, places := copyOf(tr)
	unchanged := func() {
		v, c, p := copyOf(tr)
		require.Equal(t, values, v)
		require.Equal(t, counts, c)
		require.Equal(t, places, p)
		require.Equal(t, 2, tr.step)
	}
	for n := range data {
		require.Error(t, tr.restore(data[:n]), "cut at %d", n)
	}
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1 << (i % 8)
		require.Error(t, tr.restore(changed), "flip in byte %d", i)
	}
	require.Error(t, tr.restore(append(bytes.Clone(data), 0)), "one byte more")
	unchanged()

	path := filepath.Join(t.TempDir(), "torn")
	require.NoError(t, os.WriteFile(path, data[:len(data)/2], 0o600))
	err := tr.Restore(path)
	require.ErrorIs(t, err, ErrCheckpoint)
	assert.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	require.ErrorIs(t, tr.Restore(path), ErrCheckpoint)
	require.ErrorIs(t, tr.Restore(path+".none"), os.ErrNotExist)
	require.Error(t, tr.Restore(t.TempDir()), "a folder")
	unchanged()
}

// A right checksum does not make a hostile state true.
func TestHostileStates(t *testing.T) {
	tr, data := tinyState(t)
	var good stateHeader
	body, err := unframe(data, stateMagic, stateVersion, &good)
	require.NoError(t, err)
	frame := func(h stateHeader, body []byte) []byte {
		head, err := json.Marshal(h)
		require.NoError(t, err)
		return sealed(stateMagic, stateVersion, head, body)
	}
	with := func(change func(*stateHeader)) []byte {
		h := good
		h.Places = slices.Clone(good.Places)
		change(&h)
		return frame(h, body)
	}
	floats := func(at int, v float32) []byte {
		b := bytes.Clone(body)
		binary.LittleEndian.PutUint32(b[4*at:], math.Float32bits(v))
		return b
	}
	counts := bytes.Clone(body)
	binary.LittleEndian.PutUint32(counts[len(counts)-4:], math.MaxUint32)
	many := bytes.Clone(body)
	binary.LittleEndian.PutUint32(many[len(many)-4:], 3)
	second := 2*(len(tr.model.dense)+len(tr.model.embed)) + 1

	require.NoError(t, tr.restore(frame(good, body)))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"a model":         {sealed(magic, version, []byte("{}"), nil), "does not begin"},
		"version":         {sealed(stateMagic, 2, []byte("{}"), body), "version 2, want 1"},
		"not JSON":        {sealed(stateMagic, 1, []byte("nope"), body), "header: "},
		"other text":      {with(func(h *stateHeader) { h.CorpusDigest = "x" }), "other text"},
		"other seed":      {with(func(h *stateHeader) { h.Config.Seed++ }), "another seed"},
		"other size":      {with(func(h *stateHeader) { h.Config.Width = 1 << 30 }), "another seed"},
		"step negative":   {with(func(h *stateHeader) { h.Step = -1 }), "out of range"},
		"step beyond":     {with(func(h *stateHeader) { h.Step, h.Batch = 6, 6 }), "out of range"},
		"batch too small": {with(func(h *stateHeader) { h.Batch = 1 }), "out of range"},
		"elapsed":         {with(func(h *stateHeader) { h.Elapsed = -1 }), "out of range"},
		"places missing":  {with(func(h *stateHeader) { h.Places = nil }), "0 places"},
		"place negative":  {with(func(h *stateHeader) { h.Places[0] = -1 }), "place -1"},
		"place beyond":    {with(func(h *stateHeader) { h.Places[1] = 1 << 40 }), "place 1099511627776"},
		"body short":      {frame(good, body[4:]), "bytes of state, want"},
		"body long":       {frame(good, append(bytes.Clone(body), 0, 0, 0, 0)), "bytes of state, want"},
		"NaN":             {frame(good, floats(0, float32(math.NaN()))), "not a number"},
		"infinite":        {frame(good, floats(second, float32(math.Inf(1)))), "not a number"},
		"second moment":   {frame(good, floats(second, -1)), "second moment is negative"},
		"count negative":  {frame(good, counts), "-1 updates"},
		"count too large": {frame(good, many), "3 updates in 2 steps"},
	} {
		values, before, places := copyOf(tr)
		require.ErrorContains(t, tr.restore(c.data), c.want, name)
		v, n, p := copyOf(tr)
		require.Equal(t, values, v, name)
		require.Equal(t, before, n, name)
		require.Equal(t, places, p, name)
	}
}

// sealed builds a frame with a right checksum around any content.
func sealed(magic string, version uint16, head, body []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(magic), version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(head)))
	b = append(append(b, head...), body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// A header that would not be read again is not written.
func TestHeaderTooLong(t *testing.T) {
	f := newFramer(&bytes.Buffer{})
	f.begin(magic, version, make([]byte, maxHeader))
	f.floats([]float32{1})
	_, err := f.end()
	assert.ErrorContains(t, err, "want at most 65536")
	f = newFramer(&bytes.Buffer{})
	f.begin(magic, version, math.NaN())
	_, err = f.end()
	assert.Error(t, err)
}

// Whatever the bytes: an error, or a training that goes on.
func FuzzRestore(f *testing.F) {
	tr, data := tinyState(f)
	f.Add(data, false)
	f.Add(data[:40], false)
	f.Add(data[:len(data)-sha256.Size], true)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		changed := bytes.Clone(data[:len(data)-sha256.Size])
		changed[rng.IntN(len(changed))] = byte(rng.Uint32())
		f.Add(changed, true)
	}
	f.Fuzz(func(t *testing.T, state []byte, sign bool) {
		if sign {
			sum := sha256.Sum256(state)
			state = append(bytes.Clone(state), sum[:]...)
		}
		if tr.restore(state) == nil && !tr.Done() {
			// Weights as large as a float32 may well overflow.
			if _, err := tr.Step(); err != nil {
				require.ErrorIs(t, err, ErrDiverged)
			}
		}
		require.NoError(t, tr.restore(data), "the sound state still is")
	})
}
