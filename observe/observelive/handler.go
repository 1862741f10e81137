package observelive

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// maxDataRequests is how many data requests are answered at once; more get 503.
const maxDataRequests = 16

//go:embed page
var pageFiles embed.FS

// assets is the page as served: its files by name, each with a version from its content.
type assets struct {
	page  []byte
	files map[string]asset
}

type asset struct {
	body         []byte
	version, typ string
}

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func newAssets(title string) (*assets, error) {
	a := &assets{files: make(map[string]asset)}
	versions := make(map[string]string)
	for name, typ := range map[string]string{
		"format.js": "text/javascript; charset=utf-8",
		"chart.js":  "text/javascript; charset=utf-8",
		"store.js":  "text/javascript; charset=utf-8",
		"cards.js":  "text/javascript; charset=utf-8",
		"live.js":   "text/javascript; charset=utf-8",
		"live.css":  "text/css; charset=utf-8",
		"icon.svg":  "image/svg+xml",
	} {
		body, err := fs.ReadFile(pageFiles, "page/"+name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		version := hex.EncodeToString(sum[:8])
		a.files[name] = asset{body, version, typ}
		versions[name] = name + "?v=" + version
	}
	page, err := template.ParseFS(pageFiles, "page/page.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		Title string
		File  map[string]string
	}{title, versions}); err != nil {
		return nil, err
	}
	a.page = b.Bytes()
	return a, nil
}

// ServeHTTP serves the page and its data. Mount it at a path that ends in a slash, behind
// http.StripPrefix unless it is the root; every link is relative.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	if err := l.authorize(r); err != nil {
		if errors.Is(err, ErrUnauthorized) {
			h.Set("WWW-Authenticate", `Basic realm="live", charset="UTF-8"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "" { // mounted without its slash: relative links would miss
		from, _, _ := strings.Cut(r.RequestURI, "?")
		h.Set("Location", "./"+path.Base(from)+"/")
		w.WriteHeader(http.StatusFound)
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, "/"); name {
	case "":
		h.Set("Content-Type", "text/html; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(l.assets.page))
	case "data":
		l.serveData(w, r)
	case "layout":
		l.serveLayout(w, r)
	default:
		f, ok := l.assets.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", f.typ)
		h.Set("ETag", `"`+f.version+`"`)
		if r.URL.Query().Get("v") == f.version {
			h.Set("Cache-Control", "private, max-age=31536000, immutable")
		} else {
			h.Set("Cache-Control", "private, no-cache")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	}
}

func (l *Live) serveLayout(w http.ResponseWriter, r *http.Request) {
	l.mu.RLock()
	doc := l.table.layoutOf()
	l.mu.RUnlock()
	body, err := json.Marshal(doc)
	if err != nil {
		http.Error(w, "layout", http.StatusInternalServerError)
		return
	}
	out := newBody(w, r)
	_, _ = out.Write(body)
	_ = out.Close()
}
