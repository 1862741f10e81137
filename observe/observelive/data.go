package observelive

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	gzipFrom      = 4 << 10 // bytes of a body from which it is compressed
	writeTimeout  = 30 * time.Second
	tracksPerLock = 256 // curves copied under one read lock
)

// A query is a parsed data request.
type query struct {
	since  int64 // number of the last sample the client has; 0 for none
	coarse bool
}

var errQuery = errors.New("observelive: bad data query")

// parseQuery reads since=SEQ and range=fine|coarse; both may be missing.
func parseQuery(v url.Values) (query, error) {
	var q query
	if s := v.Get("since"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return query{}, errQuery
		}
		q.since = n
	}
	switch v.Get("range") {
	case "", "fine":
	case "coarse":
		q.coarse = true
	default:
		return query{}, errQuery
	}
	return q, nil
}

type dataMark struct {
	At       int64  `json:"at"`
	End      int64  `json:"end,omitempty"`
	Title    string `json:"title"`
	Detail   string `json:"detail,omitempty"`
	Severity string `json:"severity,omitempty"`
	Kind     string `json:"kind,omitempty"`
}

func (l *Live) serveData(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, "since is the number of a sample, range is fine or coarse", http.StatusBadRequest)
		return
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many data requests", http.StatusServiceUnavailable)
		return
	}
	// A client that does not read may hold its slot only so long. Where the server has no
	// deadlines (a test recorder), there is nothing to bound.
	ctl := http.NewResponseController(w)
	if ctl.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
		defer func() { _ = ctl.SetWriteDeadline(time.Time{}) }()
	}
	out := newBody(w, r)
	_ = l.writeData(out, q, time.Now())
	_ = out.Close()
}

// writeData writes the points after q.since. It copies under short read locks, a part of the
// curves at a time, so that neither a sample nor a slow client waits for the other.
func (l *Live) writeData(out *body, q query, now time.Time) error {
	l.mu.RLock()
	t := l.table
	ax := &t.fine
	if q.coarse {
		ax = &t.coarse
	}
	hi := ax.next
	lo := ax.since(q.since)
	if q.since > l.clock.seq { // of another life of this process
		lo = ax.since(0)
	}
	times := make([]int64, 0, hi-lo)
	for n := lo; n < hi; n++ {
		times = append(times, ax.ms[n%len(ax.ms)])
	}
	tracks := make([]*track, 0, t.tracks)
	for _, f := range t.order {
		for _, v := range f.views {
			for _, g := range v.order {
				tracks = append(tracks, g.tracks...)
			}
		}
	}
	seq, layout, fault := l.clock.seq, t.layout, l.fault
	l.mu.RUnlock()

	b := make([]byte, 0, 4096)
	b = append(b, `{"v":1,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, `,"now":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	b = append(b, `,"every_ms":`...)
	b = strconv.AppendInt(b, l.cfg.Every.Milliseconds(), 10)
	b = append(b, `,"running":`...)
	b = strconv.AppendBool(b, l.running.Load())
	b = append(b, `,"layout":"`...)
	b = strconv.AppendInt(b, layout, 36)
	b = append(b, `","t":[`...)
	for i, ms := range times {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, ms, 10)
	}
	b = append(b, `],"s":[`...)
	var (
		buf   []float32
		first = true
	)
	for part := range slices.Chunk(tracks, tracksPerLock) {
		n := hi - lo
		buf = slices.Grow(buf[:0], 2*n*len(part))[:2*n*len(part)]
		l.copyPoints(buf, part, lo, hi, q.coarse)
		for i, tr := range part {
			p := buf[2*i*n : (2*i+1)*n]
			from := slices.IndexFunc(p, func(v float32) bool { return v == v })
			if from < 0 {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(b, `{"id":`...)
			b = strconv.AppendInt(b, int64(tr.id), 10)
			if from > 0 { // leading gaps are left out
				b = append(b, `,"o":`...)
				b = strconv.AppendInt(b, int64(from), 10)
			}
			b = appendPoints(append(b, `,"p":`...), p[from:])
			if q.coarse {
				b = appendPoints(append(b, `,"max":`...), buf[(2*i+1)*n+from:(2*i+2)*n])
			}
			b = append(b, '}')
			if len(b) > 32<<10 {
				if _, err := out.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
	}
	tail, err := json.Marshal(struct {
		Marks  []dataMark `json:"marks"`
		Errors []string   `json:"errors"`
	}{l.marks(now), faults(fault)})
	if err != nil {
		return err
	}
	b = append(b, `],`...)
	b = append(b, tail[1:]...)
	_, err = out.Write(b)
	return err
}

// copyPoints copies steps [lo, hi) of each curve: its points and, of coarse ones, the maxima. What
// a later sample has overwritten meanwhile is a gap.
func (l *Live) copyPoints(buf []float32, part []*track, lo, hi int, coarse bool) {
	n := hi - lo
	l.mu.RLock()
	defer l.mu.RUnlock()
	ax := &l.table.fine
	if coarse {
		ax = &l.table.coarse
	}
	gone := min(n, max(0, ax.next-len(ax.ms)-lo))
	for i, tr := range part {
		p, m := buf[2*i*n:(2*i+1)*n], buf[(2*i+1)*n:(2*i+2)*n]
		for k := range gone {
			p[k], m[k] = nan32(), nan32()
		}
		if coarse {
			tr.mean.read(p[gone:], lo+gone)
			tr.max.read(m[gone:], lo+gone)
		} else {
			tr.fine.read(p[gone:], lo+gone)
		}
	}
}

// marks asks the caller for what happened as far back as any curve reaches.
func (l *Live) marks(now time.Time) (out []dataMark) {
	out = []dataMark{}
	if l.cfg.Marks == nil {
		return out
	}
	defer func() {
		if recover() != nil {
			out = []dataMark{}
		}
	}()
	list := slices.Clone(l.cfg.Marks(now.Add(-max(l.cfg.Keep, l.cfg.KeepCoarse))))
	list = slices.DeleteFunc(list, func(m Mark) bool { return m.At.IsZero() })
	slices.SortStableFunc(list, func(a, b Mark) int { return a.At.Compare(b.At) })
	for _, m := range list[max(0, len(list)-maxMarks):] {
		d := dataMark{
			At: m.At.UnixMilli(), Title: cutText(m.Title, 128), Detail: cutText(m.Detail, 512),
			Severity: cutText(m.Severity, 32), Kind: cutText(m.Kind, 32),
		}
		if !m.End.IsZero() {
			d.End = max(m.End.UnixMilli(), d.At)
		}
		out = append(out, d)
	}
	return out
}

func faults(fault string) []string {
	if fault == "" {
		return []string{}
	}
	return []string{fault}
}

// A body is a JSON response that is compressed once it is longer than gzipFrom, where the client
// takes gzip.
type body struct {
	w    http.ResponseWriter
	gzip bool
	held []byte
	zip  *gzip.Writer
	open bool
}

func newBody(w http.ResponseWriter, r *http.Request) *body {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Add("Vary", "Accept-Encoding")
	return &body{w: w, gzip: acceptsGzip(r.Header.Get("Accept-Encoding"))}
}

func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

func (b *body) Write(p []byte) (int, error) {
	if !b.open {
		if len(b.held)+len(p) < gzipFrom {
			b.held = append(b.held, p...)
			return len(p), nil
		}
		b.open = true
		if b.gzip {
			b.w.Header().Set("Content-Encoding", "gzip")
			b.zip, _ = gzip.NewWriterLevel(b.w, gzip.BestSpeed)
		}
		if err := b.send(b.held); err != nil {
			return 0, err
		}
	}
	return len(p), b.send(p)
}

func (b *body) send(p []byte) error {
	if b.zip != nil {
		_, err := b.zip.Write(p)
		return err
	}
	_, err := b.w.Write(p)
	return err
}

// Close writes what is held back.
func (b *body) Close() error {
	if b.zip != nil {
		return b.zip.Close()
	}
	if !b.open {
		b.open = true
		b.w.Header().Set("Content-Length", strconv.Itoa(len(b.held)))
		return b.send(b.held)
	}
	return nil
}
