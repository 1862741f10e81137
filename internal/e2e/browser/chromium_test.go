package browser

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flags start Chromium so that it does nothing but show our page.
var flags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync",
}

// findChromium returns the browser's path, skips without one, and fails where one is required.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no chromium in PATH (Debian: apt-get install chromium)"
	if os.Getenv("CALM_E2E") == "required" {
		t.Fatal(missing + ", but CALM_E2E=required")
	}
	t.Skip(missing)
	return ""
}

// A chromium is a browser driven by the DevTools protocol over a pipe: messages are JSON, each
// ended by a NUL byte, to its descriptor 3 and from its descriptor 4.
type chromium struct {
	to io.WriteCloser

	mu      sync.Mutex
	next    int
	waiting map[int]chan message
	pages   map[string]*page // by session
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// startChromium starts a browser that ends with the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := findChromium(t)
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	home, err := os.MkdirTemp("", "chromium")
	require.NoError(t, err)
	cmd := exec.Command(path, append(flags, "--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+home)...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	require.NoError(t, cmd.Start())
	_ = theirIn.Close()
	_ = theirOut.Close()
	b := &chromium{to: ourOut, waiting: map[int]chan message{}, pages: map[string]*page{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(ourIn)
	}()
	t.Cleanup(func() {
		_, _ = b.try("", "Browser.close", nil, 5*time.Second)
		_ = ourOut.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = cmd.Wait()
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		_ = ourIn.Close()
		<-read
		_ = os.RemoveAll(home)
	})
	return b
}

// read hands answers to who waits for them and events to their page.
func (b *chromium) read(r io.Reader) {
	var held []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		held = append(held, buf[:n]...)
		for {
			end := bytes.IndexByte(held, 0)
			if end < 0 {
				break
			}
			var m message
			if json.Unmarshal(held[:end], &m) == nil {
				b.dispatch(m)
			}
			held = held[end+1:]
		}
		if err != nil {
			return
		}
	}
}

func (b *chromium) dispatch(m message) {
	b.mu.Lock()
	answer := b.waiting[m.ID]
	delete(b.waiting, m.ID)
	p := b.pages[m.SessionID]
	b.mu.Unlock()
	if answer != nil {
		answer <- m
	} else if p != nil && m.Method != "" {
		p.event(m)
	}
}

// try sends a command and waits for its answer.
func (b *chromium) try(session, method string, params any, wait time.Duration) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	if params == nil {
		raw = []byte("{}")
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	b.next++
	m := message{ID: b.next, SessionID: session, Method: method, Params: raw}
	b.waiting[m.ID] = answer
	line, err := json.Marshal(m)
	if err == nil {
		_, err = b.to.Write(append(line, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		return m.Result, nil
	case <-time.After(wait):
		return nil, errors.New(method + ": no answer")
	}
}

// A page is one tab and what it complained of.
type page struct {
	b       *chromium
	session string

	mu       sync.Mutex
	faults   []string // exceptions and security reports
	requests []string // addresses
}

func (p *page) event(m message) {
	var e struct {
		ExceptionDetails struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
		Entry struct {
			Source string `json:"source"`
			Text   string `json:"text"`
		} `json:"entry"`
		Request struct {
			URL string `json:"url"`
		} `json:"request"`
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.Method {
	case "Runtime.exceptionThrown":
		p.faults = append(p.faults, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case "Log.entryAdded":
		if e.Entry.Source == "security" || e.Entry.Source == "violation" {
			p.faults = append(p.faults, e.Entry.Text)
		}
	case "Network.requestWillBeSent":
		p.requests = append(p.requests, e.Request.URL)
	}
}

// A screen is what the page is shown on.
type screen struct {
	width, height int
	phone, dark   bool
}

// open shows url in a new tab.
func (b *chromium) open(t *testing.T, url string, s screen) *page {
	t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call(t, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call(t, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Runtime", "Log", "Network", "Page", "Accessibility"} {
		p.call(t, domain+".enable", nil, nil)
	}
	p.show(t, s)
	p.call(t, "Page.navigate", map[string]any{"url": url}, nil)
	return p
}

// show changes the screen.
func (p *page) show(t *testing.T, s screen) {
	t.Helper()
	scale := 1
	if s.phone {
		scale = 2
	}
	p.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": s.width, "height": s.height, "deviceScaleFactor": scale, "mobile": s.phone,
	}, nil)
	p.call(t, "Emulation.setTouchEmulationEnabled", map[string]any{"enabled": s.phone}, nil)
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

func (b *chromium) call(t *testing.T, session, method string, params, out any) {
	t.Helper()
	result, err := b.try(session, method, params, 30*time.Second)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(result, out), method)
	}
}

func (p *page) call(t *testing.T, method string, params, out any) {
	t.Helper()
	p.b.call(t, p.session, method, params, out)
}

// eval runs an expression in the page and reads its value.
func (p *page) eval(t *testing.T, expression string, out any) {
	t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	p.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	require.Empty(t, string(r.ExceptionDetails), expression)
	if out != nil {
		require.NoError(t, json.Unmarshal(r.Result.Value, out), expression)
	}
}

// wait waits until an expression is true in the page.
func (p *page) wait(t *testing.T, expression string, limit time.Duration) {
	t.Helper()
	var (
		ok  bool
		end = time.Now().Add(limit)
	)
	for {
		p.eval(t, "Boolean("+expression+")", &ok)
		if ok {
			return
		}
		if time.Now().After(end) {
			var text string
			p.eval(t, "document.body.innerText.slice(0, 600)", &text)
			t.Fatalf("not true within %v: %s\npage: %s", limit, expression, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shoot keeps a picture of the page among the artifacts of the test.
func (p *page) shoot(t *testing.T, name string) {
	t.Helper()
	var shot struct {
		Data string `json:"data"`
	}
	p.call(t, "Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(t.ArtifactDir(), name), png, 0o644))
}

// complaints are the exceptions and security reports so far.
func (p *page) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.faults...)
}

// sent are the addresses asked for so far.
func (p *page) sent() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.requests...)
}
