package observetest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		start := time.Now()
		err := Play(w, `
			# an answer
			header 201 text/event-stream; charset=utf-8
			300ms write "data: 1\n\n"
			1.5s	write `+"`raw \\n`"+`
			20ms flush
			0ms write ""
		`)
		require.NoError(t, err)
		assert.Equal(t, 1820*time.Millisecond, time.Since(start))
		assert.Equal(t, 201, w.Code)
		assert.Equal(t, "text/event-stream; charset=utf-8", w.Header().Get("Content-Type"))
		assert.Equal(t, "data: 1\n\nraw \\n", w.Body.String())
		assert.True(t, w.Flushed)
	})
}

func TestPlayStatusOnly(t *testing.T) {
	w := httptest.NewRecorder()
	require.NoError(t, Play(w, "header 404"))
	assert.Equal(t, 404, w.Code)
	assert.Empty(t, w.Header())
	require.NoError(t, Play(w, ""))
}

func TestPlayPanics(t *testing.T) {
	w := httptest.NewRecorder()
	assert.PanicsWithValue(t, "boom", func() { _ = Play(w, "write \"a\"\npanic \"boom\"\nwrite \"b\"") })
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = Play(w, "abort") })
	assert.Equal(t, "a", w.Body.String())
}

func TestPlayRefusesBadScripts(t *testing.T) {
	for script, want := range map[string]string{
		"dance":                  `observetest: line 1: "dance" is no step: want write, header, flush, panic or abort`,
		"\n\n10ms":               `observetest: line 3: "" is no step: want write, header, flush, panic or abort`,
		"write":                  `observetest: line 1: write : want a quoted string`,
		"write data":             `observetest: line 1: write data: want a quoted string`,
		`write "a" "b"`:          `observetest: line 1: write "a" "b": want a quoted string`,
		`panic boom`:             `observetest: line 1: panic boom: want a quoted string`,
		"header":                 `observetest: line 1: header "": want a status of 100 to 999`,
		"header ok":              `observetest: line 1: header "ok": want a status of 100 to 999`,
		"header 99":              `observetest: line 1: header "99": want a status of 100 to 999`,
		"header 1000 text/plain": `observetest: line 1: header "1000": want a status of 100 to 999`,
		"flush now":              `observetest: line 1: flush takes nothing, got "now"`,
		"abort now":              `observetest: line 1: abort takes nothing, got "now"`,
		"-1s flush":              `observetest: line 1: the time -1s is negative`,
		"1s 1s flush":            `observetest: line 1: "1s" is no step: want write, header, flush, panic or abort`,
		`write "` + strings.Repeat("x", 200): `observetest: line 1: write "` + strings.Repeat("x", 79) +
			`: want a quoted string`,
	} {
		w := httptest.NewRecorder()
		assert.EqualError(t, Play(w, script), want, script)
		// Nothing is played of a script that has a fault anywhere.
		assert.Error(t, Play(w, "write \"a\"\nheader 500\n"+script), script)
		assert.Empty(t, w.Body.String())
	}
}

// plainWriter cannot flush, and fails after some writes.
type plainWriter struct {
	header http.Header
	err    error
}

func (w plainWriter) Header() http.Header       { return w.header }
func (w plainWriter) Write([]byte) (int, error) { return 0, w.err }
func (w plainWriter) WriteHeader(int)           {}

func TestPlayReturnsTheErrorOfTheWriter(t *testing.T) {
	w := plainWriter{http.Header{}, errors.New("the client left")}
	err := Play(w, "header 200\nwrite \"a\"\npanic \"not reached\"")
	require.ErrorIs(t, err, w.err)
	assert.EqualError(t, err, "observetest: line 2: write: the client left")
	err = Play(w, "flush")
	require.ErrorIs(t, err, http.ErrNotSupported)
	assert.ErrorContains(t, err, "observetest: line 1: flush: ")
}

// FuzzPlay: no script makes the parser fail otherwise than by an error, and what
// it accepts can be played without waiting longer than it says.
func FuzzPlay(f *testing.F) {
	for _, s := range []string{"", "# a", "header 200 text/event-stream\n0s write \"a\\n\"\nflush", "300ms write `b`", "abort", "panic \"x\"",
		"write \"\\x00\\u00e9\"", "\t1h1m1s\tflush", "header 99", "write \"", "\r\n\vflush"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		steps, err := parseScript(script)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "observetest: line ") {
				t.Fatal(err)
			}
			return
		}
		for _, s := range steps {
			if s.wait < 0 || s.line < 1 || s.verb == "header" && (s.status < 100 || s.status > 999) {
				t.Fatalf("%+v", s)
			}
			s.wait = 0
		}
		if len(steps) > 0 && steps[0].verb == "write" {
			w := httptest.NewRecorder()
			if err := steps[0].play(w); err != nil || w.Body.String() != steps[0].text {
				t.Fatal(err, w.Body.String())
			}
		}
	})
}
