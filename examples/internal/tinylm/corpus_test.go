package tinylm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// put writes files below a new folder and returns it.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func TestDefaultCorpus(t *testing.T) {
	c := opticksCorpus(t)
	t.Log(c.Source, len(c.Text), c.Digest)
	assert.Equal(t, Digest(c.Text), c.Digest)
	if !strings.Contains(c.Source, "Opticks") {
		t.Skip("this toolchain came without the text")
	}
	assert.True(t, strings.HasPrefix(string(c.Text), "OPTICKS:\n"), "the credits before the title are gone")
	assert.Greater(t, len(c.Text), 500_000)
	v := newVocab(c.Text)
	assert.LessOrEqual(t, len(v.runes), maxVocab)
}

// Where Newton is missing there is source to read.
func TestGoSourceInstead(t *testing.T) {
	long := strings.Repeat("// A comment of some length.\n", 50)
	root := put(t, map[string]string{
		"src/b/b.go": "package b\n" + long, "src/a.go": "package a\n" + long,
		"src/a_test.go": "package a // not this\n", "src/testdata/x.go": "nor this", "src/notes.txt": "nor that",
	})
	c, err := LoadCorpus(CorpusConfig{GOROOT: root})
	require.NoError(t, err)
	assert.Equal(t, "the Go standard library's source, 2 files", c.Source)
	text := string(c.Text)
	assert.True(t, strings.HasPrefix(text, "package a\n"))
	assert.Contains(t, text, "package b\n")
	assert.NotContains(t, text, "not this")
	assert.NotContains(t, text, "nor th")

	_, err = LoadCorpus(CorpusConfig{GOROOT: t.TempDir()})
	require.ErrorIs(t, err, ErrCorpus)
}

// Of the three guesses at GOROOT, the environment's and the go command's.
func TestGoroot(t *testing.T) {
	t.Setenv("GOROOT", "from the environment")
	assert.Equal(t, "from the environment", environment())
	require.NoError(t, os.Unsetenv("GOROOT"))
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	assert.DirExists(t, filepath.Join(goCommand(), "src"))
	t.Setenv("PATH", "")
	assert.Empty(t, goCommand())
}

func TestUserCorpus(t *testing.T) {
	long := strings.Repeat("all work and no play\r\n", 60)
	dir := put(t, map[string]string{
		"b.txt": "B" + long, "a/z.md": "A" + long, ".git/x": "hidden", ".env": "hidden",
		"bin": "\x7fELF\x00\x01" + long, "junk": strings.Repeat("\xff\xfe", 900), "empty": "",
	})
	c, err := LoadCorpus(CorpusConfig{Path: dir})
	require.NoError(t, err)
	assert.Equal(t, dir+", 2 text files", c.Source)
	text := string(c.Text)
	assert.True(t, strings.HasPrefix(text, "Aall work"), "in the order of the paths")
	assert.Contains(t, text, "\nBall work")
	assert.NotContains(t, text, "\r")
	assert.NotContains(t, text, "hidden")

	one, err := LoadCorpus(CorpusConfig{Path: filepath.Join(dir, "b.txt")})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "b.txt"), one.Source)
	assert.NotEqual(t, c.Digest, one.Digest)

	cut, err := LoadCorpus(CorpusConfig{Path: dir, MaxBytes: 1500})
	require.NoError(t, err)
	assert.LessOrEqual(t, len(cut.Text), 1501)
}

func TestBadCorpus(t *testing.T) {
	dir := put(t, map[string]string{"short.txt": "hello", "bin": strings.Repeat("\x00\x01", 2000), "empty": "", "d/.keep": ""})
	for path, want := range map[string]string{
		"short.txt": "has 6 characters, want at least 1000",
		"bin":       "is not a text file",
		"empty":     "want at least 1000",
		"d":         "want at least 1000",
		"none":      "no such file",
	} {
		_, err := LoadCorpus(CorpusConfig{Path: filepath.Join(dir, path)})
		require.ErrorIs(t, err, ErrCorpus, path)
		assert.ErrorContains(t, err, want, path)
	}
	_, err := LoadCorpus(CorpusConfig{MaxBytes: -1})
	require.ErrorIs(t, err, ErrCorpus)
	assert.ErrorContains(t, err, "CorpusConfig.MaxBytes is -1")
	_, err = LoadCorpus(CorpusConfig{Path: os.DevNull})
	require.ErrorIs(t, err, ErrCorpus, "a device has no end")
}

func TestStripGutenberg(t *testing.T) {
	const body = "CHAPTER I\n\nIt was *** a dark night.\n"
	for _, c := range []struct{ name, text string }{
		{"plain", body},
		{"modern", "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n\n" + body + "\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nSTART: FULL LICENSE\n"},
		{"old", "Header\n***START OF THE PROJECT GUTENBERG EBOOK X***\nProduced by A, B\nand C.\n\n\n" + body + "***END OF THE PROJECT GUTENBERG EBOOK X***\nlicence\n"},
		{"credits", "Produced by A, B\nand C.\n\n\n" + body},
	} {
		assert.Equal(t, strings.TrimSpace(body), strings.TrimSpace(string(stripGutenberg([]byte(c.text)))), c.name)
	}
}

func TestVocab(t *testing.T) {
	v := newVocab([]byte("héllo\xff\n"))
	assert.Equal(t, []rune("\ufffd\nhloé"), v.runes)
	ids := v.encode([]byte("é\xffx\n"))
	assert.Equal(t, []uint8{5, unknown, unknown, 1}, ids)

	var many strings.Builder
	for r := rune(0x4e00); r < 0x4e00+500; r++ {
		many.WriteString(strings.Repeat(string(r), int(r-0x4e00)+1))
	}
	v = newVocab([]byte(many.String()))
	require.Len(t, v.runes, maxVocab)
	assert.Equal(t, rune(0x4e00+499), v.runes[maxVocab-1], "the frequent ones stay")
	assert.Equal(t, uint8(unknown), v.symbol(0x4e00))
}
