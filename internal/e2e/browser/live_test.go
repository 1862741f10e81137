package browser

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/calmops/calm/observe/observelive"
	"github.com/stretchr/testify/require"
)

// panels are charts that the traffic of an app brings.
var panels = []string{"Requests", "Time to first token", "Inter-token latency", "Request duration", "Tokens", "In flight", "Errors", "KV cache", "GPU power", "Loss", "Gradient norm", "carts"}

// plain is a visible curve: a path with points.
const plain = `[...document.querySelectorAll('path.curve')].some(p => (p.getAttribute('d') || '').length > 20)`

// The page works in a browser that is only told to load it.
func TestSmoke(t *testing.T) {
	path := findChromium(t)
	a := newApp(t)
	a.traffic()
	require.Eventually(t, func() bool { return a.live.Stats().Samples > 5 }, 20*time.Second, 50*time.Millisecond)
	run := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args = append(append([]string{}, flags...), append(args, "--hide-scrollbars", "--window-size=1280,900", "--virtual-time-budget=5000", "--user-data-dir="+t.TempDir(), a.url())...)
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.WaitDelay = 5 * time.Second
		out, err := cmd.Output()
		require.NoError(t, err)
		return string(out)
	}
	// With a virtual clock the five seconds may be over before the browser has made a frame, and
	// without frames nothing is drawn: one of a few loads must show curves.
	const curve = `<path d="M[^"]{20,}" class="curve `
	dom := run("--dump-dom")
	for range 5 {
		if regexp.MustCompile(curve).MatchString(dom) {
			break
		}
		dom = run("--dump-dom")
	}
	captions := regexp.MustCompile(`<figcaption[^>]*><span class="name">([^<]*)<`).FindAllStringSubmatch(dom, -1)
	var got []string
	for _, c := range captions {
		got = append(got, html.UnescapeString(c[1]))
	}
	require.Subset(t, got, panels)
	require.True(t, regexp.MustCompile(curve).MatchString(dom), "a path with points")
	require.NotContains(t, dom, "<img src=\"x\"")
	for name, scheme := range map[string]string{"smoke-light.png": "1", "smoke-dark.png": "0"} {
		file := filepath.Join(t.ArtifactDir(), name)
		run("--screenshot="+file, "--blink-settings=preferredColorScheme="+scheme)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Greater(t, info.Size(), int64(10000))
	}
}

// Before any traffic the page says so; curves stand within ten seconds of the first request.
func TestFirstTraffic(t *testing.T) {
	a := newApp(t)
	p := startChromium(t).open(t, a.url(), screen{width: 1280, height: 800})
	p.wait(t, `document.body?.innerText.includes('No request yet')`, 15*time.Second)
	p.shoot(t, "idle.png")
	a.traffic()
	p.wait(t, plain, 10*time.Second)
	p.wait(t, `!document.body.innerText.includes('No request yet')`, 5*time.Second)
	require.Empty(t, p.complaints())
}

// What the page asks for and complains of, its looks on a phone and in the dark, its names for
// those who cannot see it, and what hostile text does: nothing.
func TestPage(t *testing.T) {
	a := newApp(t)
	a.traffic()
	a.mark(observelive.Mark{At: time.Now(), Title: "deploy v2 " + hostile, Kind: "deploy"})
	b := startChromium(t)
	p := b.open(t, a.url(), screen{width: 1280, height: 800})
	p.wait(t, plain, 20*time.Second)
	for _, name := range panels {
		p.wait(t, `[...document.querySelectorAll('figcaption .name')].some(e => e.textContent === '`+name+`')`, 10*time.Second)
	}
	time.Sleep(2 * time.Second) // a few more points
	p.shoot(t, "wide-light.png")

	var light, dark string
	p.eval(t, `getComputedStyle(document.body).backgroundColor`, &light)
	p.show(t, screen{width: 1280, height: 800, dark: true})
	p.eval(t, `getComputedStyle(document.body).backgroundColor`, &dark)
	require.NotEqual(t, light, dark)
	p.shoot(t, "wide-dark.png")
	p.show(t, screen{width: 1280, height: 800})
	p.eval(t, `document.getElementById('theme').click(), getComputedStyle(document.body).backgroundColor`, &light)
	require.Equal(t, dark, light, "the button does the same")
	p.eval(t, `document.getElementById('theme').click(), true`, nil)

	// Hostile label values and titles are text.
	var n int
	p.eval(t, `[...document.querySelectorAll('figcaption .name')].find(e => e.textContent === 'carts').scrollIntoView(), true`, nil)
	p.wait(t, `[...document.querySelectorAll('.key .label')].some(e => e.textContent === '`+hostile+`')`, 10*time.Second)
	p.wait(t, `[...document.querySelectorAll('#event-list b')].some(e => e.textContent.includes('`+hostile+`'))`, 10*time.Second)
	p.eval(t, `document.querySelectorAll('main img').length`, &n)
	require.Zero(t, n)

	// Each image has a name, and each chart says its numbers.
	var tree struct {
		Nodes []struct {
			Ignored bool                   `json:"ignored"`
			Role    struct{ Value string } `json:"role"`
			Name    struct{ Value string } `json:"name"`
		} `json:"nodes"`
	}
	p.call(t, "Accessibility.getFullAXTree", nil, &tree)
	images := 0
	for _, node := range tree.Nodes {
		if role := node.Role.Value; !node.Ignored && (role == "image" || role == "img" || role == "button" || role == "searchbox") {
			require.NotEmpty(t, strings.TrimSpace(node.Name.Value), "a %s without a name", role)
			if role == "image" || role == "img" {
				images++
			}
		}
	}
	require.GreaterOrEqual(t, images, len(panels))
	var desc string
	p.eval(t, `document.querySelector('svg.svg desc').textContent`, &desc)
	require.Regexp(t, `last .+, minimum .+, maximum .+`, desc)

	// The marks of simulation reach the screen.
	var simulated int
	p.eval(t, `[...document.querySelectorAll('.sim')].filter(e => !e.hidden).length`, &simulated)
	require.GreaterOrEqual(t, simulated, 10)

	origin := strings.TrimSuffix(a.url(), "/")
	require.NotEmpty(t, p.sent())
	for _, url := range p.sent() {
		require.True(t, strings.HasPrefix(url, origin+"/"), url)
	}
	require.Empty(t, p.complaints())
}

func TestPhone(t *testing.T) {
	a := newApp(t)
	a.traffic()
	b := startChromium(t)
	p := b.open(t, a.url(), screen{width: 360, height: 740, phone: true})
	p.wait(t, plain, 20*time.Second)
	time.Sleep(2 * time.Second)
	p.shoot(t, "phone-light.png")
	for _, width := range []int{360, 390} {
		p.show(t, screen{width: width, height: 844, phone: true})
		var wide int
		p.eval(t, `document.documentElement.scrollWidth`, &wide)
		require.Equal(t, width, wide, "no horizontal scroll")
	}
	var small []string
	p.eval(t, `[...document.querySelectorAll('button, a, input, summary')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 43.5).map(e => e.outerHTML)`, &small)
	require.Empty(t, small, "touch targets")
	// A finger shows the crosshair, in every chart that is drawn.
	var at []float64
	p.eval(t, `(() => { const b = document.querySelector('.plot').getBoundingClientRect(); return [b.left + 80, b.top + 60]; })()`, &at)
	p.call(t, "Input.dispatchTouchEvent", map[string]any{"type": "touchStart", "touchPoints": []map[string]any{{"x": at[0], "y": at[1]}}}, nil)
	p.wait(t, `[...document.querySelectorAll('.cross')].filter(e => e.getAttribute('visibility') === 'visible').length > 1`, 5*time.Second)
	p.call(t, "Input.dispatchTouchEvent", map[string]any{"type": "touchEnd", "touchPoints": []any{}}, nil)

	var columns int
	p.eval(t, `new Set([...document.querySelectorAll('figure')].filter(e => e.offsetParent).map(e => e.getBoundingClientRect().left)).size`, &columns)
	require.Equal(t, 1, columns)
	p.show(t, screen{width: 390, height: 844, phone: true, dark: true})
	p.shoot(t, "phone-dark.png")
	require.Empty(t, p.complaints())
}

// Keys move the crosshair over all charts; the legend, the table, the ranges, the filter and the
// pause do what they say, and the fragment keeps them.
func TestControls(t *testing.T) {
	a := newApp(t)
	a.traffic()
	b := startChromium(t)
	p := b.open(t, a.url(), screen{width: 1280, height: 800})
	p.wait(t, plain, 20*time.Second)
	time.Sleep(3 * time.Second)
	key := func(name string) {
		for _, kind := range []string{"keyDown", "keyUp"} {
			p.call(t, "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": name, "code": name}, nil)
		}
	}
	const shown = `[...document.querySelectorAll('.cross')].filter(e => e.getAttribute('visibility') === 'visible').length`
	var n int
	p.eval(t, shown, &n)
	require.Zero(t, n)
	p.eval(t, `document.querySelector('.plot').focus(), true`, nil)
	key("ArrowLeft")
	key("ArrowLeft")
	p.wait(t, shown+` > 3`, 5*time.Second)
	p.wait(t, `/^\d\d:\d\d:\d\d$/.test(document.querySelector('.when').textContent)`, 5*time.Second)
	p.shoot(t, "crosshair.png")
	key("Escape")
	p.wait(t, shown+` === 0`, 5*time.Second)

	// The mouse does the same.
	var at []float64
	p.eval(t, `(() => { const b = document.querySelectorAll('.plot')[1].getBoundingClientRect(); return [b.left + b.width / 2, b.top + 40]; })()`, &at)
	p.call(t, "Input.dispatchMouseEvent", map[string]any{"type": "mouseMoved", "x": at[0], "y": at[1]}, nil)
	p.wait(t, shown+` > 3`, 5*time.Second)
	p.call(t, "Input.dispatchMouseEvent", map[string]any{"type": "mouseMoved", "x": 2, "y": 2}, nil)
	p.wait(t, shown+` === 0`, 5*time.Second)

	var before, after int
	p.eval(t, `document.querySelectorAll('figure')[1].querySelectorAll('path.curve').length`, &before)
	p.eval(t, `document.querySelectorAll('figure')[1].querySelector('.key').click(), true`, nil)
	p.wait(t, `document.querySelectorAll('figure')[1].querySelectorAll('path.curve').length < `+strconv.Itoa(before), 5*time.Second)
	p.eval(t, `document.querySelectorAll('figure')[1].querySelector('.flip').click(), true`, nil)
	p.wait(t, `document.querySelectorAll('figure')[1].querySelectorAll('tbody td').length >= 4`, 5*time.Second)
	p.eval(t, `document.querySelector('[data-range="1800000"]').click(), true`, nil)
	p.eval(t, `(f => { f.value = 'token'; f.dispatchEvent(new Event('input')); return true; })(document.getElementById('filter'))`, nil)
	p.eval(t, `[...document.querySelectorAll('figure')].filter(e => e.offsetParent).length`, &after)
	require.Equal(t, 3, after, "time to first token, inter-token latency, tokens")
	p.eval(t, `document.getElementById('pause').click(), true`, nil)
	var hash string
	p.eval(t, `location.hash`, &hash)
	for _, want := range []string{"range=30m", "q=token", "paused=1", "off="} {
		require.Contains(t, hash, want)
	}
	const curve = `document.querySelector('.plot:not([hidden]) path.curve').getAttribute('d')`
	var first, second string
	p.eval(t, curve, &first)
	time.Sleep(1500 * time.Millisecond)
	p.eval(t, curve, &second)
	require.Equal(t, first, second, "paused")
	p.eval(t, `document.getElementById('pause').click(), true`, nil)
	p.wait(t, curve+` !== '`+first+`'`, 10*time.Second)

	// A page opened with that fragment stands the same.
	q := b.open(t, a.url()+"#range=30m&q=loss", screen{width: 1280, height: 800})
	q.wait(t, `[...document.querySelectorAll('figure')].filter(e => e.offsetParent).length === 1`, 10*time.Second)
	q.wait(t, `document.querySelector('[data-range="1800000"]').getAttribute('aria-pressed') === 'true'`, time.Second)
	require.Empty(t, append(p.complaints(), q.complaints()...))
}

// A server that goes away is told of, its curves stay, and it is found again.
func TestServerGoesAway(t *testing.T) {
	a := newApp(t)
	a.traffic()
	p := startChromium(t).open(t, a.url(), screen{width: 1280, height: 800})
	p.wait(t, plain, 20*time.Second)
	const banner = `!document.getElementById('banner').hidden`
	p.wait(t, `!(`+banner+`) && document.getElementById('status-text').textContent === 'live'`, 5*time.Second)
	a.stop()
	p.wait(t, banner+` && document.getElementById('banner').textContent.includes('does not answer')`, 20*time.Second)
	p.wait(t, plain, time.Second)
	p.shoot(t, "lost.png")
	a.start()
	p.wait(t, `!(`+banner+`) && document.getElementById('status-text').textContent === 'live'`, 30*time.Second)
	require.Empty(t, p.complaints())
}
