package training

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math"
	"strconv"
	"time"
)

// Line is what one line of a JSONLines file says. Fields that do not belong to
// its type are zero.
type Line struct {
	Type    string    // step, gradients, scalar, session, checkpoint, rollback, event or summary
	Session Session   // whose it is; World only in type session
	At      time.Time // when it was recorded, in UTC
	Step    int64     // the step that it belongs to

	// Values are those of a step, by their tags without "train/", such as "loss".
	// They may be NaN or infinite.
	Values map[string]float64

	Tag       string     // gradients, scalar
	Value     float64    // scalar; may be NaN or infinite
	Histogram *Histogram // gradients
	Event     *Event     // event
	Goodput   *Goodput   // summary of a rank that keeps a ledger
	Text      string     // rollback: the cause
}

// maxLineBytes bounds what a line costs its reader. A JSONLines writes less.
const maxLineBytes = 1 << 20

// ReadJSONLines reads what a [JSONLines] has written, line by line. Lines that it
// has not written, or not wholly, are left out, wherever they stand: torn ones,
// unknown types, and those of more than 1 MiB, which are not held in memory
// either. An error of r is yielded last.
func ReadJSONLines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		var buf []byte
		for {
			var err error
			buf, err = readLine(in, buf[:0])
			if line, ok := parseLine(buf); ok && !yield(line, nil) {
				return
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(Line{}, err)
				}
				return
			}
		}
	}
}

// readLine appends the next line to buf, or nothing if it is too long.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for tooLong := false; ; {
		part, err := in.ReadSlice('\n')
		if tooLong = tooLong || len(buf)+len(part) > maxLineBytes; tooLong {
			buf = buf[:0]
		} else {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, err
		}
	}
}

func parseLine(b []byte) (Line, bool) {
	f := fields{}
	if len(b) == 0 || json.Unmarshal(b, &f.values) != nil {
		return Line{}, false
	}
	if raw := f.values[keyNonFinite]; raw != nil && json.Unmarshal(raw, &f.nonfinite) != nil {
		return Line{}, false
	}
	l := Line{Type: f.string(keyType), At: f.time(keyTime), Step: f.int(keyStep)}
	l.Session = Session{Run: f.string(keyRun), Rank: int(f.int(keyRank))}
	switch l.Type {
	case "step":
		l.Values = f.stepValues()
	case "gradients":
		l.Tag, l.Histogram = f.string("tag"), f.histogram()
	case "scalar":
		l.Tag, l.Value = f.string("tag"), f.float("value")
	case "session":
		l.Session.World = int(f.int("world"))
	case "checkpoint":
	case "rollback":
		l.Text = f.string("cause")
	case "event":
		l.Event = f.event(&l)
	case "summary":
		l.Goodput = f.goodput()
	default:
		return Line{}, false
	}
	return l, !f.bad
}

// fields reads the members of a line. A member that is not there is zero; one of
// another type makes the line bad.
type fields struct {
	values    map[string]json.RawMessage
	nonfinite map[string]string
	bad       bool
}

func (f *fields) read(name string, to any) {
	if raw := f.values[name]; raw != nil && json.Unmarshal(raw, to) != nil {
		f.bad = true
	}
}

func (f *fields) string(name string) (s string) { f.read(name, &s); return s }
func (f *fields) int(name string) (n int64)     { f.read(name, &n); return n }
func (f *fields) time(name string) (t time.Time) {
	f.read(name, &t)
	return t.UTC()
}

func (f *fields) float(name string) (x float64) {
	if text, ok := f.nonfinite[name]; ok {
		x, ok = nonFinite(text)
		f.bad = f.bad || !ok
		return x
	}
	f.read(name, &x)
	return x
}

func nonFinite(text string) (x float64, ok bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

func (f *fields) seconds(name string) time.Duration {
	raw := f.values[name]
	if raw == nil {
		return 0
	}
	return f.parseSeconds(raw)
}

// parseSeconds reads a decimal number to the nanosecond.
func (f *fields) parseSeconds(raw json.RawMessage) time.Duration {
	d, err := time.ParseDuration(string(raw) + "s")
	f.bad = f.bad || err != nil
	return d
}

func (f *fields) stepValues() map[string]float64 {
	values := make(map[string]float64, len(f.values)+len(f.nonfinite))
	for name, raw := range f.values {
		if reservedKey(name) {
			continue
		}
		x, err := strconv.ParseFloat(string(raw), 64)
		f.bad = f.bad || err != nil
		values[name] = x
	}
	for name := range f.nonfinite {
		values[name] = f.float(name)
	}
	return values
}

func (f *fields) histogram() *Histogram {
	if f.values["count"] == nil {
		return nil
	}
	h := &Histogram{Min: f.float("min"), Max: f.float("max"), Count: f.int("count"), Sum: f.float("sum"), SumSquares: f.float("sum_squares")}
	f.read("limits", &h.Limits)
	f.read("counts", &h.Counts)
	f.bad = f.bad || len(h.Limits) != len(h.Counts)
	if len(f.nonfinite) > 0 {
		for i := range h.Limits {
			if name := bucketName(i); f.nonfinite[name] != "" {
				h.Limits[i] = f.float(name)
			}
		}
	}
	return h
}

func (f *fields) event(l *Line) *Event {
	kind, ok := eventKind(f.string("kind"))
	f.bad = f.bad || !ok
	return &Event{
		Kind: kind, Step: l.Step, Onset: f.int("onset"), At: l.At,
		Signal: f.string("signal"), Value: f.float("value"), Limit: f.float("limit"), Score: f.float("score"),
		RollbackTo: f.int("rollback_to"), SkipMin: int(f.int("skip_min")), SkipMax: int(f.int("skip_max")),
		Rank: int(f.int("lagging_rank")), Since: f.seconds("since_seconds"), Detail: f.string("detail"),
	}
}

func eventKind(name string) (EventKind, bool) {
	for k := range numEventKinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

func (f *fields) goodput() *Goodput {
	if f.values["elapsed_seconds"] == nil {
		return nil
	}
	g := &Goodput{
		Elapsed: f.seconds("elapsed_seconds"), Productive: f.seconds("productive_seconds"), Ratio: f.float("goodput_ratio"),
		MaxProductiveStep: f.int("max_productive_step"), Interruptions: f.int("interruptions"), Rollbacks: f.int("rollbacks"),
		MTBF: f.seconds("mtbf_seconds"), StepDeviation: f.seconds("step_deviation_seconds"), IdealStep: f.seconds("ideal_step_seconds"),
	}
	var badput map[string]json.RawMessage
	f.read("badput_seconds", &badput)
	for c := range g.Badput {
		if raw := badput[Cause(c).String()]; raw != nil {
			g.Badput[c] = f.parseSeconds(raw)
		}
	}
	return g
}
