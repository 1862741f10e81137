package tinylm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrCorpus is the error of a text that cannot be found or is too short.
var ErrCorpus = errors.New("tinylm: corpus")

const (
	// minCorpus is the fewest characters that can be trained on.
	minCorpus = 1000

	defaultMaxBytes = 2 << 20
	maxFiles        = 10_000
)

// opticks is the text that comes with Go, below the src folder of GOROOT.
const opticks = "testdata/Isaac.Newton-Opticks.txt"

// CorpusConfig says which text to load.
type CorpusConfig struct {
	// Path is a text file, or a folder whose text files are joined in the order
	// of their names. Defaults to Newton's Opticks, which comes with the Go
	// toolchain, and where that is missing to the toolchain's own source.
	Path string
	// MaxBytes is where the text is cut off. Defaults to 2 MiB.
	MaxBytes int
	// GOROOT is the folder of the Go toolchain. Defaults to the one that built
	// the program, else to that of the environment, else of the go command.
	GOROOT string
}

// Corpus is a text to train on.
type Corpus struct {
	// Text has its line ends as \n and Project Gutenberg's notices removed.
	Text []byte
	// Source says in a few words where the text is from.
	Source string
	// Digest names the text, as the function Digest does.
	Digest string
}

// LoadCorpus loads a text. Its errors wrap ErrCorpus.
func LoadCorpus(cfg CorpusConfig) (Corpus, error) {
	if cfg.MaxBytes < 0 {
		return Corpus{}, fmt.Errorf("%w: CorpusConfig.MaxBytes is %d, want 0 or more", ErrCorpus, cfg.MaxBytes)
	}
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, defaultMaxBytes)
	if cfg.Path != "" {
		return loadPath(cfg.Path, cfg.MaxBytes)
	}
	if cfg.GOROOT != "" {
		return loadGoroot(cfg.GOROOT, cfg.MaxBytes)
	}
	errs := []error{fmt.Errorf("%w: no Go toolchain with a text: set a path", ErrCorpus)}
	for _, find := range []func() string{builtin, environment, goCommand} {
		root := find()
		if root == "" {
			continue
		}
		c, err := loadGoroot(root, cfg.MaxBytes)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return Corpus{}, errors.Join(errs...)
}

// builtin is the GOROOT that the program was built with. It is empty after a
// build with -trimpath, and may be a folder of another machine.
func builtin() string {
	//lint:ignore SA1019 the first guess of three
	return runtime.GOROOT() //nolint:staticcheck // the same
}

func environment() string { return os.Getenv("GOROOT") }

// goCommand asks the go command of PATH, which may not download another.
func goCommand() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func loadGoroot(root string, most int) (Corpus, error) {
	text, err := readFile(filepath.Join(root, "src", filepath.FromSlash(opticks)), most)
	if err == nil {
		return newCorpus(text, "Newton's Opticks (1704), from the Go toolchain")
	}
	text, files, err := readFolder(os.DirFS(root), "src", most, isGoSource)
	if err != nil {
		return Corpus{}, fmt.Errorf("%w: Go source of %s: %w", ErrCorpus, root, err)
	}
	return newCorpus(text, fmt.Sprintf("the Go standard library's source, %d files", files))
}

func isGoSource(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}

func loadPath(path string, most int) (Corpus, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Corpus{}, fmt.Errorf("%w: %w", ErrCorpus, err)
	}
	if !info.IsDir() {
		text, err := readFile(path, most)
		if err != nil {
			return Corpus{}, fmt.Errorf("%w: %w", ErrCorpus, err)
		}
		if isBinary(text) {
			return Corpus{}, fmt.Errorf("%w: %s is not a text file", ErrCorpus, path)
		}
		return newCorpus(text, path)
	}
	text, files, err := readFolder(os.DirFS(path), ".", most, func(string) bool { return true })
	if err != nil {
		return Corpus{}, fmt.Errorf("%w: %s: %w", ErrCorpus, path, err)
	}
	return newCorpus(text, fmt.Sprintf("%s, %d text files", path, files))
}

// readFile reads at most `most` bytes of a regular file.
func readFile(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

// readFolder joins the text files below dir whose names are wanted, in the order
// of their paths, until there are enough bytes or files.
func readFolder(fsys fs.FS, dir string, most int, want func(name string) bool) (text []byte, files int, err error) {
	err = fs.WalkDir(fsys, dir, func(path string, d fs.DirEntry, err error) error {
		if len(text) >= most || files >= maxFiles {
			return fs.SkipAll
		}
		if err != nil {
			if path == dir {
				return err
			}
			return nil //nolint:nilerr // an unreadable part is left out
		}
		if d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") || !want(d.Name()) {
			return nil
		}
		data, err := readPart(fsys, path, most-len(text))
		if err != nil || len(data) == 0 || isBinary(data) {
			return nil //nolint:nilerr // the same
		}
		text = append(append(text, data...), '\n')
		files++
		return nil
	})
	return text[:min(len(text), most)], files, err
}

func readPart(fsys fs.FS, path string, most int) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

// isBinary looks at the first bytes: text holds no zero byte, and nearly all of
// it is valid UTF-8.
func isBinary(data []byte) bool {
	head := data[:min(len(data), 4096)]
	if bytes.IndexByte(head, 0) >= 0 {
		return true
	}
	bad := 0
	for rest := head; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			bad++
		}
		rest = rest[size:]
	}
	return bad*10 > len(head)*3
}

func newCorpus(text []byte, source string) (Corpus, error) {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = append(bytes.TrimSpace(stripGutenberg(text)), '\n')
	if n := utf8.RuneCount(text); n < minCorpus {
		return Corpus{}, fmt.Errorf("%w: %s has %d characters, want at least %d", ErrCorpus, source, n, minCorpus)
	}
	return Corpus{Text: text, Source: source, Digest: Digest(text)}, nil
}

// stripGutenberg removes the notices of Project Gutenberg: all before the line
// "*** START OF ...", all from the line "*** END OF ...", and the credits that
// may be the first lines of the rest.
func stripGutenberg(text []byte) []byte {
	if _, line, ok := gutenbergLine(text, "START OF"); ok {
		text = line
	}
	if before, _, ok := gutenbergLine(text, "END OF"); ok {
		text = before
	}
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("Produced by ")) {
		if _, rest, ok := bytes.Cut(text, []byte("\n\n")); ok {
			text = rest
		}
	}
	return text
}

// gutenbergLine cuts text around the first line that begins with three stars and
// the words.
func gutenbergLine(text []byte, words string) (before, after []byte, ok bool) {
	for _, stars := range []string{"*** ", "***"} {
		at := bytes.Index(text, []byte(stars+words))
		if at < 0 || at > 0 && text[at-1] != '\n' {
			continue
		}
		_, rest, _ := bytes.Cut(text[at:], []byte("\n"))
		return text[:at], rest, true
	}
	return nil, nil, false
}
