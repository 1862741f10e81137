package observelive

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

type gotData struct {
	V       int    `json:"v"`
	Seq     int64  `json:"seq"`
	Now     int64  `json:"now"`
	EveryMS int64  `json:"every_ms"`
	Running bool   `json:"running"`
	Layout  string `json:"layout"`
	T       []int64
	S       []struct {
		ID  int
		O   int
		P   []*float64
		Max []*float64
	}
	Marks  []dataMark
	Errors []string
}

// ask sends a request as a local browser would.
func ask(l http.Handler, method, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8080/"+target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "localhost:8080"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func getData(t *testing.T, l *Live, target string) (d gotData) {
	t.Helper()
	w := ask(l, http.MethodGet, target, nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d), w.Body.String())
	return d
}

// newLive is a Live over a gauge that counts its samples.
func newLive(t *testing.T, change func(*Config)) *Live {
	t.Helper()
	n := 0.0
	cfg := Config{Title: "a <b> title", Gatherer: gatherFunc(func() ([]*dto.MetricFamily, error) {
		n++
		return []*dto.MetricFamily{fam("g", dto.MetricType_GAUGE, level(n, "k", "<img src=x onerror=alert(1)>"))}, nil
	})}
	if change != nil {
		change(&cfg)
	}
	l, err := New(cfg)
	require.NoError(t, err)
	return l
}

// takeSamples takes samples at hand-made times, two seconds apart.
func takeSamples(l *Live, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		now := epoch
		if !l.clock.at.IsZero() {
			now = l.clock.at.Add(2 * time.Second)
		}
		families, _ := l.cfg.Gatherer.Gather()
		l.table.step(now, l.clock.next(now), families)
	}
}

func TestRoutes(t *testing.T) {
	l := newLive(t, nil)
	for target, want := range map[string]int{
		"": 200, "live.js": 200, "chart.js": 200, "format.js": 200, "live.css": 200, "icon.svg": 200, "data": 200, "layout": 200,
		"page.html": 404, "page/": 404, "x": 404, "data/": 404, "../live.go": 404, "%2e%2e/live.go": 404,
		"data?since=-1": 400, "data?since=x": 400, "data?range=all": 400, "data?range=coarse": 200, "data?since=9223372036854775807": 200,
	} {
		require.Equal(t, want, ask(l, http.MethodGet, target, nil).Code, target)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "BREW"} {
		for _, target := range []string{"", "data", "live.js", "x"} {
			w := ask(l, method, target, nil)
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", method, target)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
	require.Equal(t, http.StatusOK, ask(l, http.MethodHead, "", nil).Code)
	page := ask(l, http.MethodGet, "", nil).Body.String()
	require.Contains(t, page, "<title>a &lt;b&gt; title</title>")
}

// Every answer, whatever its status, carries the policy.
func TestHeadersOnEveryResponse(t *testing.T) {
	l := newLive(t, nil)
	remote := func(r *http.Request) { r.RemoteAddr = "192.0.2.7:5000" }
	for _, w := range []*httptest.ResponseRecorder{
		ask(l, "GET", "", nil), ask(l, "GET", "data", nil), ask(l, "GET", "layout", nil), ask(l, "GET", "live.js", nil), ask(l, "GET", "icon.svg", nil),
		ask(l, "GET", "nothing", nil), ask(l, "POST", "", nil), ask(l, "GET", "data?since=x", nil), ask(l, "GET", "", remote), ask(l, "GET", "data", remote),
	} {
		h := w.Header()
		require.Equal(t, contentPolicy, h.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		require.NotEmpty(t, h.Get("Cache-Control"))
		require.Empty(t, h.Get("Access-Control-Allow-Origin"))
	}
	require.Equal(t, "no-store", ask(l, "GET", "data", nil).Header().Get("Cache-Control"))

	// Also where it is refused, not modified, sent elsewhere, or too much.
	refuses := newLive(t, func(c *Config) { c.Auth = func(*http.Request) error { return ErrUnauthorized } })
	tag := ask(l, "GET", "live.css", nil).Header().Get("ETag")
	for range maxDataRequests {
		l.slots <- struct{}{}
	}
	for want, w := range map[int]*httptest.ResponseRecorder{
		http.StatusUnauthorized:       ask(refuses, "GET", "data", nil),
		http.StatusServiceUnavailable: ask(l, "GET", "data", nil),
		http.StatusNotModified:        ask(l, "GET", "live.css", func(r *http.Request) { r.Header.Set("If-None-Match", tag) }),
		http.StatusFound:              ask(http.StripPrefix("/live", l), "GET", "live", nil),
		http.StatusMethodNotAllowed:   ask(l, "DELETE", "data", nil),
	} {
		require.Equal(t, want, w.Code)
		require.Equal(t, contentPolicy, w.Header().Get("Content-Security-Policy"), want)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), want)
	}
}

func TestAssetsAreVersioned(t *testing.T) {
	l := newLive(t, nil)
	page := ask(l, "GET", "", nil).Body.String()
	for name, f := range l.assets.files {
		require.Contains(t, page, name+"?v="+f.version)
		w := ask(l, "GET", name+"?v="+f.version, nil)
		require.Equal(t, "private, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		tag := w.Header().Get("ETag")
		require.Equal(t, `"`+f.version+`"`, tag)
		require.Equal(t, "private, no-cache", ask(l, "GET", name+"?v=old", nil).Header().Get("Cache-Control"))
		again := ask(l, "GET", name, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
		require.Equal(t, http.StatusNotModified, again.Code)
	}
}

// All links are relative: the page works below a prefix, and finds its slash.
func TestMountedBelowAPrefix(t *testing.T) {
	l := newLive(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/debug/live/", http.StripPrefix("/debug/live", l))
	require.Equal(t, 200, ask(mux, "GET", "debug/live/", nil).Code)
	require.Equal(t, 200, ask(mux, "GET", "debug/live/data", nil).Code)
	bare := http.StripPrefix("/debug/live", l)
	w := ask(bare, "GET", "debug/live", func(r *http.Request) { r.RequestURI = "/debug/live?x=1" })
	require.Equal(t, http.StatusFound, w.Code)
	require.Equal(t, "./live/", w.Header().Get("Location"))
	require.NotContains(t, ask(l, "GET", "", nil).Body.String(), `"/`)
}

func TestAuth(t *testing.T) {
	type try struct {
		peer, host string
		header     string
		want       int
	}
	local := newLive(t, nil)
	for _, c := range []try{
		{"127.0.0.1:1", "localhost:8080", "", 200}, {"127.8.9.1:1", "127.0.0.1", "", 200}, {"[::1]:1", "[::1]:8080", "", 200}, {"[::1]:1", "LOCALHOST", "", 200},
		{"[::ffff:127.0.0.1]:1", "localhost", "", 200},
		{"192.0.2.1:1", "localhost:8080", "", 403}, {"[2001:db8::1]:1", "localhost", "", 403}, // from elsewhere
		{"127.0.0.1:1", "evil.example", "", 403}, {"127.0.0.1:1", "localhost.evil.example:8080", "", 403}, {"127.0.0.1:1", "", "", 403}, // rebinding
		{"127.0.0.1:1", "192.0.2.1:8080", "", 403}, {"127.0.0.1:1", "127.0.0.1.nip.example", "", 403},
		{"127.0.0.1:1", "localhost", "X-Forwarded-For", 403}, {"127.0.0.1:1", "localhost", "Forwarded", 403}, {"127.0.0.1:1", "localhost", "Via", 403}, // a proxy
		{"@", "localhost", "", 403}, {"", "localhost", "", 403},
	} {
		for _, target := range []string{"", "data", "layout", "live.js", "nothing"} {
			w := ask(local, "GET", target, func(r *http.Request) {
				r.RemoteAddr, r.Host = c.peer, c.host
				if c.header != "" {
					r.Header.Set(c.header, "192.0.2.9")
				}
			})
			want := c.want
			if target == "nothing" && want == 200 {
				want = 404
			}
			require.Equal(t, want, w.Code, "%+v %s", c, target)
			if want == 403 {
				require.Equal(t, "forbidden\n", w.Body.String(), "no detail")
			}
		}
	}
	var answer error
	own := newLive(t, func(c *Config) { c.Auth = func(*http.Request) error { return answer } })
	remote := func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.1:1", "app.example" }
	require.Equal(t, 200, ask(own, "GET", "data", remote).Code, "Auth decides alone")
	answer = fmt.Errorf("token of bob: %w", ErrUnauthorized)
	w := ask(own, "GET", "data", remote)
	require.Equal(t, 401, w.Code)
	require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
	require.NotContains(t, w.Body.String(), "bob")
	answer = errors.New("bob may not")
	w = ask(own, "POST", "", remote)
	require.Equal(t, 403, w.Code, "before anything else")
	require.NotContains(t, w.Body.String(), "bob")
	panics := newLive(t, func(c *Config) { c.Auth = func(*http.Request) error { panic("oh") } })
	require.Equal(t, 403, ask(panics, "GET", "", nil).Code)
}

func TestDataIncrements(t *testing.T) {
	l := newLive(t, nil)
	d := getData(t, l, "data")
	require.Empty(t, d.T)
	require.Empty(t, d.S)
	takeSamples(l, 5)
	d = getData(t, l, "data")
	require.Equal(t, 1, d.V)
	require.Len(t, d.T, 5)
	require.Equal(t, epoch.UnixMilli(), d.T[0])
	require.Equal(t, d.T[4], d.Seq)
	require.Len(t, d.S, 1)
	require.Equal(t, 5., *d.S[0].P[4])
	takeSamples(l, 2)
	more := getData(t, l, "data?since="+strconv.FormatInt(d.Seq, 10))
	require.Len(t, more.T, 2)
	require.Equal(t, 6., *more.S[0].P[0])
	none := getData(t, l, "data?since="+strconv.FormatInt(more.Seq, 10))
	require.Empty(t, none.T)
	require.Empty(t, none.S)

	// A process that started again counts on from the time: a client's since still means something.
	again := newLive(t, nil)
	again.clock = clock{at: l.clock.at.Add(time.Minute), seq: l.clock.at.Add(time.Minute).UnixMilli()}
	takeSamples(again, 3)
	d = getData(t, again, "data?since="+strconv.FormatInt(more.Seq, 10))
	require.Len(t, d.T, 3)
	require.NotEqual(t, more.Layout, d.Layout)

	// One whose clock is behind sends all it has.
	behind := newLive(t, nil)
	takeSamples(behind, 4)
	d = getData(t, behind, "data?since="+strconv.FormatInt(more.Seq+1e6, 10))
	require.Len(t, d.T, 4)
}

func TestDataAfterTheRingWrapped(t *testing.T) {
	l := newLive(t, func(c *Config) { c.Keep = 20 * time.Second; c.KeepCoarse = 2 * time.Minute })
	takeSamples(l, 25)
	d := getData(t, l, "data?since=1")
	require.Len(t, d.T, 10)
	require.Equal(t, 16., *d.S[0].P[0])
	takeSamples(l, 500)
	c := getData(t, l, "data?range=coarse")
	require.Len(t, c.T, 2, "two minutes")
	require.Zero(t, c.T[0]%60000)
	require.Greater(t, *c.S[0].Max[0], *c.S[0].P[0])
}

func TestNumbersHaveSixDigits(t *testing.T) {
	p := []float32{1234567.8, 0.1, nan32(), -0.000123456789, 0, 1e20}
	require.Equal(t, "[1.23457e+06,0.1,null,-0.000123457,0,1e+20]", string(appendPoints(nil, p)))
}

// The short way writes what strconv writes, but for a seventh digit of five.
func TestNumbersAgreeWithStrconv(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200000 {
		v := float64(float32(math.Exp(rng.NormFloat64()*6) * float64(1-2*rng.IntN(2))))
		switch rng.IntN(4) {
		case 0:
			v = math.Round(v)
		case 1:
			v = float64(float32(math.Pow(10, float64(rng.IntN(12)-5))) * (1 - 2*float32(rng.IntN(2))))
		}
		text := string(appendNumber(nil, v))
		got, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, text)
		want, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 32), 64)
		require.InDelta(t, want, got, math.Abs(v)*1.01e-5, "%v as %s", v, text)
		require.InDelta(t, v, got, math.Abs(v)*5.01e-6, "%v as %s", v, text)
		require.LessOrEqual(t, len(text), 13, text)
		require.True(t, json.Valid([]byte(text)), text)
	}
	for v, want := range map[float64]string{99999.96: "100000", 999999.4: "999999", 0.001: "0.001", 0.1: "0.1", 12: "12", -1.5: "-1.5", 0.00999999: "0.00999999", 123456.7: "123457", 1e-4: "0.0001"} {
		require.Equal(t, want, string(appendNumber(nil, v)))
	}
}

func TestGzip(t *testing.T) {
	l := newLive(t, nil)
	accept := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Accept-Encoding", v) }
	}
	takeSamples(l, 3)
	require.Empty(t, ask(l, "GET", "data", accept("gzip")).Header().Get("Content-Encoding"), "under 4 KiB")
	takeSamples(l, 890)
	plain := ask(l, "GET", "data", nil)
	require.Empty(t, plain.Header().Get("Content-Encoding"))
	zipped := ask(l, "GET", "data", accept("br, gzip;q=0.8"))
	require.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", zipped.Header().Get("Vary"))
	require.Less(t, zipped.Body.Len(), plain.Body.Len())
	z, err := gzip.NewReader(zipped.Body)
	require.NoError(t, err)
	body, err := io.ReadAll(z)
	require.NoError(t, err)
	cut := func(s string) string { return s[strings.Index(s, `"every_ms"`):] } // now differs
	require.Equal(t, cut(plain.Body.String()), cut(string(body)))
	require.Empty(t, ask(l, "GET", "data", accept("gzip;q=0, br")).Header().Get("Content-Encoding"))
	require.Empty(t, ask(l, "GET", "data", accept("identity")).Header().Get("Content-Encoding"))
}

func TestTooManyDataRequests(t *testing.T) {
	l := newLive(t, nil)
	for range maxDataRequests {
		l.slots <- struct{}{}
	}
	w := ask(l, "GET", "data", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 200, ask(l, "GET", "", nil).Code, "the page itself is served")
	<-l.slots
	require.Equal(t, 200, ask(l, "GET", "data", nil).Code)
	require.Len(t, l.slots, maxDataRequests-1, "given back")
}

func TestMarks(t *testing.T) {
	var since time.Time
	list := []Mark{
		{At: epoch.Add(time.Minute), End: epoch.Add(2 * time.Minute), Title: strings.Repeat("t", 300), Severity: "critical"},
		{At: epoch, Title: "deploy", Detail: "v2", Kind: "deploy"},
		{Title: "without a time"},
		{At: epoch.Add(3 * time.Minute), End: epoch, Title: "ends before it begins"},
	}
	l := newLive(t, func(c *Config) {
		c.Marks = func(s time.Time) []Mark { since = s; return list }
	})
	d := getData(t, l, "data")
	require.Len(t, d.Marks, 3)
	require.Equal(t, dataMark{At: epoch.UnixMilli(), Title: "deploy", Detail: "v2", Kind: "deploy"}, d.Marks[0])
	require.Len(t, d.Marks[1].Title, 128)
	require.Equal(t, d.Marks[2].At, d.Marks[2].End)
	require.WithinDuration(t, time.Now().Add(-6*time.Hour), since, time.Minute)
	for i := range 500 {
		list = append(list, Mark{At: epoch.Add(time.Duration(i) * time.Hour), Title: "many"})
	}
	require.Len(t, getData(t, l, "data").Marks, maxMarks)
	panics := newLive(t, func(c *Config) { c.Marks = func(time.Time) []Mark { panic("oh") } })
	require.Empty(t, getData(t, panics, "data").Marks)
}

func TestLayoutRoute(t *testing.T) {
	l := newLive(t, nil)
	takeSamples(l, 1)
	w := ask(l, "GET", "layout", nil)
	var doc layoutDoc
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	require.Equal(t, "a <b> title", doc.Title)
	require.Equal(t, getData(t, l, "data").Layout, doc.ID)
	require.Equal(t, "<img src=x onerror=alert(1)>", doc.Panels[0].Series[0].Name)
	require.NotContains(t, w.Body.String(), "<img", "escaped even so")
}
