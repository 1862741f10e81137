package tfevents

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/training"
)

// folderOf makes a folder of files in this order.
func folderOf(files ...[]byte) fstest.MapFS {
	m := fstest.MapFS{}
	for i, b := range files {
		m["events.out.tfevents.170000000"+string(rune('0'+i))+".host.1.0"] = &fstest.MapFile{Data: b}
	}
	return m
}

// steps writes loss = 10 x step + of for steps from to to.
func steps(t testing.TB, w *Writer, from, to int64, of float64) {
	for n := from; n <= to; n++ {
		require.NoError(t, w.Scalar(at(float64(n)), n, "loss", float64(10*n)+of))
	}
}

// values returns the values of a tag.
func values(t testing.TB, fsys fs.FS, tag string) (all []float64) {
	points, err := Load(fsys)
	require.NoError(t, err)
	for _, p := range points[tag] {
		all = append(all, p.Value)
	}
	return all
}

// What TensorBoard's plugin_event_accumulator shows of runs that were resumed.
func TestLoadResumed(t *testing.T) {
	first := func(start bool) []byte {
		return file(t, func(w *Writer) {
			if start {
				require.NoError(t, w.SessionStart(at(0), 1))
			}
			steps(t, w, 1, 5, 0)
		})
	}
	second := func(start int64) []byte {
		return file(t, func(w *Writer) {
			if start >= 0 {
				require.NoError(t, w.SessionStart(at(9), start))
			}
			steps(t, w, 4, 6, 1)
		})
	}
	for name, c := range map[string]struct {
		files []([]byte)
		want  []float64
	}{
		"no START: zig-zag":          {[][]byte{first(false), second(-1)}, []float64{10, 20, 30, 40, 50, 41, 51, 61}},
		"START in both":              {[][]byte{first(true), second(4)}, []float64{10, 20, 30, 41, 51, 61}},
		"START in the second only":   {[][]byte{first(false), second(4)}, []float64{10, 20, 30, 40, 50, 41, 51, 61}},
		"START 0 in a later file":    {[][]byte{first(true), second(0)}, []float64{41, 51, 61}},
		"START above all":            {[][]byte{first(true), second(9)}, []float64{10, 20, 30, 40, 50, 41, 51, 61}},
		"a fresh run loses nothing":  {[][]byte{first(true)}, []float64{10, 20, 30, 40, 50}},
		"torn tail":                  {[][]byte{first(true)[:len(first(true))-60], second(4)}, []float64{10, 20, 30, 41, 51, 61}},
		"empty file, version only":   {[][]byte{{}, file(t, func(*Writer) {}), first(true)}, []float64{10, 20, 30, 40, 50}},
		"three sessions, each to 4":  {[][]byte{first(true), second(4), second(4)}, []float64{10, 20, 30, 41, 51, 61}},
		"resumed file without START": {[][]byte{first(true), second(-1)}, []float64{10, 20, 30, 40, 50, 41, 51, 61}},
	} {
		assert.Equal(t, c.want, values(t, folderOf(c.files...), "loss"), name)
	}
}

// A START removes the points of all tags, at its step too.
func TestLoadRollback(t *testing.T) {
	b := file(t, func(w *Writer) {
		require.NoError(t, w.SessionStart(at(0), 1))
		steps(t, w, 1, 5, 0)
		require.NoError(t, w.Scalar(at(6), 6, "late", 1))
		require.NoError(t, w.Histogram(at(6), 2, "g", &training.Histogram{Count: 1}))
		require.NoError(t, w.Histogram(at(6), 6, "g", &training.Histogram{Count: 2}))
		require.NoError(t, w.SessionStart(at(7), 3))
		steps(t, w, 3, 4, 1)
	})
	points, err := Load(folderOf(b))
	require.NoError(t, err)
	require.Len(t, points, 2, "nothing is left of the third")
	assert.Equal(t, []Point{
		{At: at(1), Step: 1, Value: 10}, {At: at(2), Step: 2, Value: 20},
		{At: at(3), Step: 3, Value: 31}, {At: at(4), Step: 4, Value: 41},
	}, points["loss"])
	assert.Equal(t, []Point{{At: at(6), Step: 2, Histogram: &training.Histogram{Count: 1}}}, points["g"])
}

// Files without a version of 2 or more: a step that falls removes what is at it
// and above, of its own tags.
func TestLoadOldFiles(t *testing.T) {
	body := file(t, func(w *Writer) {
		steps(t, w, 1, 5, 0)
		require.NoError(t, w.Scalar(at(5), 5, "other", 1))
		require.NoError(t, w.Scalar(at(5), 5, "other", 2)) // the same step has not fallen
		require.NoError(t, w.SessionStart(at(5), 1))
		require.NoError(t, w.SessionStart(at(5), 1)) // means nothing here
		steps(t, w, 3, 4, 1)
	})
	body = body[len(file(t, func(*Writer) {})):]
	version := func(s string) []byte { return frame(appendString(nil, eventFileVersion, s)) }
	old := []float64{10, 20, 31, 41}
	for name, c := range map[string]struct {
		head []byte
		want []float64
	}{
		"none":       {nil, old},
		"1":          {version("brain.Event:1"), old},
		"no number":  {version("brain.Event:x"), old},
		"not a one":  {version("brain.Event:nan"), old},
		"a new one":  {version("brain.Event:2"), []float64{31, 41}},
		"newer":      {version("brain.Event: 3.5"), []float64{31, 41}},
		"bare":       {version("2"), []float64{31, 41}},
		"none again": {version(""), old},
	} {
		fsys := folderOf(append(c.head, body...))
		assert.Equal(t, c.want, values(t, fsys, "loss"), name)
		if c.want[0] == 10 {
			assert.Equal(t, []float64{1, 2}, values(t, fsys, "other"), name)
		}
	}

	// A summary of another kind is a step too.
	image := append([]byte{0x10, 9}, summary([]byte{0x0a, 1, 'i', 0x22, 0})...)
	b := append(frame(append([]byte{0x10, 5}, summary([]byte{0x0a, 1, 't', 0x15, 0, 0, 0, 0})...)), frame(image)...)
	b = append(b, frame(append([]byte{0x10, 5}, summary([]byte{0x0a, 1, 't', 0x15, 0, 0, 0, 0})...))...)
	assert.Len(t, values(t, folderOf(b), "t"), 1)
}

func TestLoadFiles(t *testing.T) {
	fsys := folderOf(file(t, func(w *Writer) { steps(t, w, 1, 1, 0) }))
	other := file(t, func(w *Writer) { steps(t, w, 2, 2, 0) })
	for _, name := range []string{"notes.txt", "a.tfevents.profile-empty", "rank1/events.out.tfevents.1.h.1.0", "tfevents/x"} {
		fsys[name] = &fstest.MapFile{Data: other}
	}
	assert.Equal(t, []float64{10}, values(t, fsys, "loss"))
	fsys["z.tfevents"] = &fstest.MapFile{Data: other}
	assert.Equal(t, []float64{10, 20}, values(t, fsys, "loss"))

	points, err := Load(fstest.MapFS{})
	require.NoError(t, err)
	assert.Empty(t, points)
	sub, err := fs.Sub(fsys, "missing")
	require.NoError(t, err)
	_, err = Load(sub)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Damage costs the rest of its file, and is told.
func TestLoadDamaged(t *testing.T) {
	b := file(t, func(w *Writer) { steps(t, w, 1, 3, 0) })
	first, err := readAll(b)
	require.NoError(t, err)
	require.Len(t, first, 4)
	b[len(b)-60]++ // in the record of step 2
	points, err := Load(folderOf(b, file(t, func(w *Writer) { steps(t, w, 4, 4, 0) })))
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	assert.ErrorContains(t, err, "events.out.tfevents.1700000000.host.1.0: tfevents: corrupt record")
	require.Len(t, points["loss"], 2)
	assert.Equal(t, int64(1), points["loss"][0].Step)
	assert.Equal(t, int64(4), points["loss"][1].Step)
}

// noFile is a folder whose file cannot be opened.
type noFile struct{ fstest.MapFS }

func (n noFile) Open(name string) (fs.File, error) {
	if name == "." {
		return n.MapFS.Open(name)
	}
	return nil, fs.ErrPermission
}

func TestLoadUnreadable(t *testing.T) {
	points, err := Load(noFile{folderOf(goldenFile(t))})
	require.ErrorIs(t, err, fs.ErrPermission)
	assert.NotNil(t, points)
}
