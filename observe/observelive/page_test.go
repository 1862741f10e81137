package observelive

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func readPage(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(pageFiles, "page/"+name)
	require.NoError(t, err)
	return string(b)
}

var scripts = []string{"format.js", "chart.js", "store.js", "cards.js", "live.js"}

// Our own script is small: at most 40 kB as it is written, each file at most 400 lines.
func TestScriptSize(t *testing.T) {
	total := 0
	for _, name := range scripts {
		s := readPage(t, name)
		total += len(s)
		require.LessOrEqual(t, strings.Count(s, "\n"), 400, name)
	}
	t.Logf("%d bytes of script", total)
	require.LessOrEqual(t, total, 40000)
}

// Nothing from outside can become markup or script, and nothing is fetched from elsewhere.
func TestScriptHasNoSinks(t *testing.T) {
	for _, name := range scripts {
		s := readPage(t, name)
		for _, sink := range []string{
			"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "DOMParser", "createContextualFragment",
			"srcdoc", "setTimeout('", `setTimeout("`, "import(", "importScripts", "new Worker", "WebSocket", "EventSource", "sendBeacon", "setHTML", ".cssText", "javascript:",
		} {
			require.NotContains(t, s, sink, name)
		}
		// setAttribute gets names that stand in the code, and none that runs.
		for _, m := range regexp.MustCompile(`setAttribute\(\s*([^,]+),`).FindAllStringSubmatch(s, -1) {
			require.Regexp(t, `^('[a-zA-Z-]+'|k)$`, m[1], name)
			require.NotRegexp(t, `^'(on|href|src|style)`, m[1], name)
		}
	}
}

func TestPageAsksNobodyElse(t *testing.T) {
	for _, name := range append([]string{"page.html", "live.css", "icon.svg"}, scripts...) {
		s := strings.ReplaceAll(readPage(t, name), "http://www.w3.org/2000/svg", "")
		require.NotRegexp(t, `(?i)https?://|//[a-z]+\.[a-z]|@import|url\((?:'|")?[^#']`, s, name)
	}
}

// The policy blocks inline script and style, so there is none.
func TestPageHasNothingInline(t *testing.T) {
	s := readPage(t, "page.html")
	require.NotContains(t, s, "<style")
	require.NotRegexp(t, `\sstyle=`, s)
	require.NotRegexp(t, `\son[a-z]+=`, s)
	require.NotRegexp(t, `<script(?:[^>]*)>[^<]`, s)
	require.Contains(t, s, `<meta name="viewport" content="width=device-width, initial-scale=1">`)
	require.Contains(t, s, `<html lang="en">`)
	require.Equal(t, 1, strings.Count(s, "<h1"))
}

// Text has a contrast of at least 4.5 to what it stands on, lines of at least 3, light and dark.
func TestContrast(t *testing.T) {
	css := readPage(t, "live.css")
	blocks := regexp.MustCompile(`(?s)\{\s*--bg:.*?\}`).FindAllString(css, -1)
	require.Len(t, blocks, 3, "light, dark by the system, dark by the button")
	norm := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	require.Equal(t, norm(blocks[1]), norm(blocks[2]))
	for i, block := range blocks[:2] {
		color := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
			n, err := strconv.ParseUint(m[2], 16, 32)
			require.NoError(t, err)
			color[m[1]] = luminance(n)
		}
		contrast := func(a, b string) float64 {
			require.Contains(t, color, a)
			require.Contains(t, color, b)
			hi, lo := max(color[a], color[b]), min(color[a], color[b])
			return (hi + .05) / (lo + .05)
		}
		for _, on := range []string{"bg", "card", "hover"} {
			require.GreaterOrEqual(t, contrast("text", on), 4.5, "text on %s, block %d", on, i)
			require.GreaterOrEqual(t, contrast("soft", on), 4.5, "soft on %s, block %d", on, i)
		}
		for _, c := range []string{"good", "warn", "bad"} {
			require.GreaterOrEqual(t, contrast(c, c+"-bg"), 4.5, "%s, block %d", c, i)
		}
		require.GreaterOrEqual(t, contrast("accent", "card"), 4.5)
		require.GreaterOrEqual(t, contrast("on-accent", "accent"), 4.5)
		for k := range 8 {
			require.GreaterOrEqual(t, contrast("c"+strconv.Itoa(k), "card"), 3., "curve %d, block %d", k, i)
		}
	}
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(rgb uint64) float64 {
	part := func(shift uint) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= .04045 {
			return c / 12.92
		}
		return math.Pow((c+.055)/1.055, 2.4)
	}
	return .2126*part(16) + .7152*part(8) + .0722*part(0)
}
