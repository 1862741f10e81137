package ecslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Handler is a slog.Handler that writes one JSON object a line, which Elasticsearch
// takes whatever the attributes are. Its methods are safe for concurrent use, and so
// are handlers made of it by WithAttrs and WithGroup, which write to the same writer
// and count in the same counters.
type Handler struct {
	core    *core
	keys    *keySet  // below the groups
	groups  []string // for Redact
	fields  []field  // what With has given, each name once
	secrets []string // content among it
	dropped uint64   // fields of it that were too many
}

// core is what a Handler and those derived from it share.
type core struct {
	cfg      Config
	keys     *keys
	names    names
	service  []serviceField // of the ECS profile
	services string         // all of them
	resource string         // the same in the OTel profile
	sampler  *sampler
	counters counters

	mu   sync.Mutex // held during Write
	w    io.Writer
	torn bool // a Write has left a part of a line
}

// names are the keys that the Handler writes itself.
type names struct {
	traceID, spanID                                *key
	errorMessage, errorType, errorStack            *key
	originFile, originLine, originFunction         *key
	kind, category, action, outcome, sequence, sum *key
}

// New returns a Handler that writes to w, or every fault of the Config. w gets each
// line in one Write and is never written to by two goroutines at once.
func New(w io.Writer, cfg Config) (*Handler, error) {
	cfg, err := cfg.withDefaults()
	if w == nil {
		err = errors.Join(errors.New("ecslog: the writer is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	return newHandler(w, cfg), nil
}

func newHandler(w io.Writer, cfg Config) *Handler {
	ks := newKeys(cfg.ContentKeys)
	known := func(name string) *key { return ks.below("").get(name) }
	c := &core{
		cfg: cfg, keys: ks, resource: resource(cfg.Service), sampler: newSampler(cfg.Sample), w: w,
		names: names{
			traceID: known("trace.id"), spanID: known("span.id"),
			errorMessage: known("error.message"), errorType: known("error.type"), errorStack: known("error.stack_trace"),
			originFile: known("log.origin.file.name"), originLine: known("log.origin.file.line"), originFunction: known("log.origin.function"),
			kind: known("event.kind"), category: known("event.category"), action: known("event.action"),
			outcome: known("event.outcome"), sequence: known("event.sequence"), sum: known("event.hash"),
		},
	}
	for _, m := range []struct{ name, value string }{
		{"service.name", cfg.Service.Name}, {"service.version", cfg.Service.Version},
		{"service.environment", cfg.Service.Environment}, {"service.node.name", cfg.Service.NodeName},
		{"event.dataset", cfg.Dataset},
	} {
		if m.value != "" && cfg.Profile == ProfileECS {
			s := serviceField{known(m.name), string(appendString([]byte(quotedKey("", m.name)), m.value))}
			c.service = append(c.service, s)
			c.services += s.member
		}
	}
	return &Handler{core: c, keys: ks.below("")}
}

// serviceField is a field that is the same on every line.
type serviceField struct {
	key    *key
	member string // its JSON, with a comma before it
}

// Enabled reports whether a level is at least that of the Config.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.core.cfg.Level.Level()
}

// WithAttrs returns a Handler that writes the attributes on every line. Their values
// are resolved, redacted and encoded now.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	l := newLine(context.Background(), h)
	defer l.free()
	for _, a := range attrs {
		l.add(h.keys, a)
	}
	l.names.reset()
	for i := range l.fields {
		if before, ok := l.names.put(l.fields, i); ok {
			l.fields[before].place = placeNone
		}
	}
	next := *h
	next.dropped = l.dropped
	next.fields = make([]field, 0, len(l.fields))
	for _, f := range l.fields {
		if f.place == placeNone {
			continue
		}
		if f.enc == "" && f.place == placeField {
			f.enc = l.plainly(l.appendValue, &f)
		} else if f.enc == "" && f.place == placeLabel {
			f.enc = l.plainly(l.appendLabelValue, &f)
		}
		next.fields = append(next.fields, f)
	}
	next.secrets = slices.Clone(l.secrets[max(0, len(l.secrets)-maxSecrets):])
	return &next
}

// plainly encodes a value as it is: what is content in it is decided on each line,
// which does not use the result then.
func (l *line) plainly(encode func([]byte, *field) []byte, f *field) string {
	secrets := l.secrets
	l.secrets = nil
	enc := encode(nil, f)
	l.secrets = secrets
	return string(enc)
}

// WithGroup returns a Handler that writes the keys of further attributes below a
// name. An empty name changes nothing.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.keys = h.core.keys.below(h.keys.prefix + name + ".")
	next.groups = append(slices.Clip(h.groups), name)
	return &next
}

// Handle writes a record as one line. The error is that of the writer; it is counted
// too, and log/slog drops it. A record without a time has no timestamp.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	l := newLine(ctx, h)
	defer l.free()
	level := levelIndex(r.Level)
	message := l.message(r.Message)
	if h.core.cfg.AddSource && r.PC != 0 {
		l.addSource(r.PC)
	}
	r.Attrs(func(a slog.Attr) bool {
		l.add(h.keys, a)
		return true
	})
	now := r.Time
	if now.IsZero() {
		now = time.Now()
	}
	message = l.clean(message)
	suppressed, ok := h.core.sampler.pass(now, r.Level, message)
	if !ok {
		h.core.counters[level].sampled.Add(1)
		return nil
	}
	l.assemble(ctx, r.Time, level, message, suppressed)
	if l.dropped > 0 {
		h.core.counters[level].tooLong.Add(1)
	}
	err := h.core.write(l.buf)
	if err != nil {
		h.core.counters[level].writeErrors.Add(1)
	} else {
		h.core.counters[level].lines.Add(1)
	}
	return err
}

func (l *line) addSource(pc uintptr) {
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if f.File == "" {
		return
	}
	names := &l.h.core.names
	dir, file := path.Split(f.File)
	l.known(names.originFile, slog.StringValue(path.Join(path.Base(dir), file)), false)
	l.known(names.originLine, slog.IntValue(f.Line), false)
	l.known(names.originFunction, slog.StringValue(f.Function), false)
}

// trace returns the span of a context. Where Trace panics there is none.
func (c *core) trace(ctx context.Context) (t TraceContext) {
	if c.cfg.Trace == nil || ctx == nil {
		return TraceContext{}
	}
	defer func() {
		if recover() != nil {
			t = TraceContext{}
		}
	}()
	t, ok := c.cfg.Trace(ctx)
	if !ok {
		return TraceContext{}
	}
	return t
}

// write writes a line, which has an end of line before it too: it ends what an
// earlier Write has left torn, so that no more than that is lost.
func (c *core) write(buf []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.torn {
		buf = buf[1:]
	}
	n, err := tryWrite(c.w, buf)
	switch {
	case n >= len(buf):
		c.torn = false
	case n > 0:
		c.torn = n > 1 || !c.torn // else it was the end of line
	}
	if err != nil {
		return fmt.Errorf("ecslog: %w", err)
	}
	return nil
}

// tryWrite writes all of a line or returns an error.
func tryWrite(w io.Writer, line []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			// How much it has written is not known: a part, for all one knows.
			n, err = len(line)-1, fmt.Errorf("the writer panicked: %v", p)
		}
	}()
	n, err = w.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return n, err
}
