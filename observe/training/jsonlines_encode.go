package training

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a line.
const (
	maxLineName    = 250
	maxLineText    = 16 << 10
	maxLineBuckets = 8192
	maxLineValues  = 64 // of a step; more make another line
)

// The names of a line that are no values of a step.
const (
	keyType      = "type"
	keyRun       = "run"
	keyRank      = "rank"
	keyTime      = "time"
	keyStep      = "step"
	keyNonFinite = "nonfinite"
)

// stepPrefix is what the tags of a step's values begin with, and the keys of a
// line do not.
const stepPrefix = "train/"

// lineEncoder turns records into lines.
type lineEncoder struct {
	buf       []byte
	lines     []lineEnd
	nonfinite []namedValue // of the line that is being written
}

// lineEnd is the end of a line in the buffer, and how many records are in it.
type lineEnd struct{ end, records int }

type namedValue struct {
	name  string
	value float64
}

// encode begins anew with the first records of a batch, up to about limit bytes.
func (e *lineEncoder) encode(batch []Record, limit int) {
	e.buf, e.lines = e.buf[:0], e.lines[:0]
	for len(batch) > 0 && len(e.buf) < limit {
		n := 1
		if batch[0].Kind == RecordStep {
			n = stepRecords(batch)
			e.step(batch[:n])
		} else {
			e.record(&batch[0])
		}
		e.lines = append(e.lines, lineEnd{len(e.buf), n})
		batch = batch[n:]
	}
}

// stepRecords returns how many records at the beginning belong to one Step. The
// first tag again is another Step with the same number.
func stepRecords(batch []Record) int {
	first, n := &batch[0], 1
	for n < len(batch) && n < maxLineValues {
		r := &batch[n]
		if r.Kind != RecordStep || r.Step != first.Step || r.Session != first.Session || r.Tag == first.Tag || !r.At.Equal(first.At) {
			break
		}
		n++
	}
	return n
}

func (e *lineEncoder) step(values []Record) {
	e.begin("step", &values[0])
	for i := range values {
		name := strings.TrimPrefix(values[i].Tag, stepPrefix)
		if reservedKey(name) {
			name = values[i].Tag
		}
		if !reservedKey(name) {
			e.float(name, values[i].Value)
		}
	}
	e.end()
}

func reservedKey(name string) bool {
	switch name {
	case keyType, keyRun, keyRank, keyTime, keyStep, keyNonFinite:
		return true
	}
	return false
}

func (e *lineEncoder) record(r *Record) {
	switch r.Kind {
	case RecordScalar:
		e.begin("scalar", r)
		e.string("tag", r.Tag, maxLineName)
		e.float("value", r.Value)
	case RecordHistogram:
		e.begin("gradients", r)
		e.string("tag", r.Tag, maxLineName)
		e.histogram(r.Histogram)
	case RecordSession:
		e.begin("session", r)
		if r.Session != nil {
			e.int("world", int64(r.Session.World))
		}
	case RecordRollback:
		e.begin("rollback", r)
		e.string("cause", r.Text, maxLineText)
	case RecordCheckpoint:
		e.begin("checkpoint", r)
	case RecordEvent:
		e.begin("event", r)
		e.event(r.Event)
	case RecordSummary:
		e.begin("summary", r)
		e.goodput(r.Goodput)
	default:
		e.begin("unknown", r)
	}
	e.end()
}

func (e *lineEncoder) histogram(h *Histogram) {
	if h == nil {
		return
	}
	e.int("count", h.Count)
	e.float("min", h.Min)
	e.float("max", h.Max)
	e.float("sum", h.Sum)
	e.float("sum_squares", h.SumSquares)
	if len(h.Limits) != len(h.Counts) || len(h.Limits) > maxLineBuckets {
		return
	}
	e.key("limits")
	e.buf = append(e.buf, '[')
	for i, limit := range h.Limits {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if !finite(limit) {
			e.nonfinite = append(e.nonfinite, namedValue{bucketName(i), limit})
			limit = 0
		}
		e.buf = appendFloat(e.buf, limit)
	}
	e.buf = append(e.buf, ']')
	e.key("counts")
	e.buf = append(e.buf, '[')
	for i, count := range h.Counts {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = strconv.AppendInt(e.buf, count, 10)
	}
	e.buf = append(e.buf, ']')
}

// bucketName names the limit of a bucket that is not finite.
func bucketName(i int) string { return "limits[" + strconv.Itoa(i) + "]" }

func (e *lineEncoder) event(ev *Event) {
	if ev == nil {
		return
	}
	e.string("kind", ev.Kind.String(), maxLineName)
	e.intIf("onset", ev.Onset)
	if ev.Signal != "" {
		e.string("signal", ev.Signal, maxLineName)
	}
	e.floatIf("value", ev.Value)
	e.floatIf("limit", ev.Limit)
	e.floatIf("score", ev.Score)
	e.intIf("rollback_to", ev.RollbackTo)
	e.intIf("skip_min", int64(ev.SkipMin))
	e.intIf("skip_max", int64(ev.SkipMax))
	if ev.Kind == EventStraggler {
		e.int("lagging_rank", int64(ev.Rank))
	}
	if ev.Since != 0 {
		e.seconds("since_seconds", ev.Since)
	}
	if ev.Detail != "" {
		e.string("detail", ev.Detail, maxLineText)
	}
}

func (e *lineEncoder) goodput(g *Goodput) {
	if g == nil {
		return
	}
	e.float("goodput_ratio", g.Ratio)
	e.seconds("elapsed_seconds", g.Elapsed)
	e.seconds("productive_seconds", g.Productive)
	e.key("badput_seconds")
	e.buf = append(e.buf, '{')
	for c, d := range g.Badput {
		if c > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = appendString(e.buf, Cause(c).String(), maxLineName)
		e.buf = append(e.buf, ':')
		e.buf = appendSeconds(e.buf, d)
	}
	e.buf = append(e.buf, '}')
	e.int("max_productive_step", g.MaxProductiveStep)
	e.int("interruptions", g.Interruptions)
	e.int("rollbacks", g.Rollbacks)
	e.seconds("mtbf_seconds", g.MTBF)
	e.seconds("step_deviation_seconds", g.StepDeviation)
	e.seconds("ideal_step_seconds", g.IdealStep)
}

func (e *lineEncoder) begin(kind string, r *Record) {
	e.nonfinite = e.nonfinite[:0]
	e.buf = append(e.buf, `{"type":"`...)
	e.buf = append(e.buf, kind...)
	e.buf = append(e.buf, '"')
	if r.Session != nil {
		e.string(keyRun, r.Session.Run, maxLineName)
		e.int(keyRank, int64(r.Session.Rank))
	}
	at := r.At.UTC()
	if y := at.Year(); y < 0 || y > 9999 {
		at = time.Time{} // RFC 3339 has no such year
	}
	e.key(keyTime)
	e.buf = append(e.buf, '"')
	e.buf = at.AppendFormat(e.buf, time.RFC3339Nano)
	e.buf = append(e.buf, '"')
	e.int(keyStep, r.Step)
}

// end closes the line, with the names of what could not be written.
func (e *lineEncoder) end() {
	if len(e.nonfinite) > 0 {
		e.key(keyNonFinite)
		open := byte('{')
		for _, v := range e.nonfinite {
			e.buf = append(e.buf, open)
			e.buf = appendString(e.buf, v.name, maxLineName)
			switch {
			case v.value > 0:
				e.buf = append(e.buf, `:"Infinity"`...)
			case v.value < 0:
				e.buf = append(e.buf, `:"-Infinity"`...)
			default:
				e.buf = append(e.buf, `:"NaN"`...)
			}
			open = ','
		}
		e.buf = append(e.buf, '}')
	}
	e.buf = append(e.buf, '}', '\n')
}

// key appends a key that follows another value.
func (e *lineEncoder) key(name string) {
	e.buf = append(e.buf, ',')
	e.buf = appendString(e.buf, name, maxLineName)
	e.buf = append(e.buf, ':')
}

func (e *lineEncoder) string(name, value string, limit int) {
	e.key(name)
	e.buf = appendString(e.buf, value, limit)
}

func (e *lineEncoder) int(name string, value int64) {
	e.key(name)
	e.buf = strconv.AppendInt(e.buf, value, 10)
}

func (e *lineEncoder) intIf(name string, value int64) {
	if value != 0 {
		e.int(name, value)
	}
}

func (e *lineEncoder) float(name string, value float64) {
	if !finite(value) {
		e.nonfinite = append(e.nonfinite, namedValue{name, value})
		return
	}
	e.key(name)
	e.buf = appendFloat(e.buf, value)
}

func (e *lineEncoder) floatIf(name string, value float64) {
	if value != 0 {
		e.float(name, value)
	}
}

func (e *lineEncoder) seconds(name string, d time.Duration) {
	e.key(name)
	e.buf = appendSeconds(e.buf, d)
}

// appendFloat appends the shortest number that reads as the same value, with an
// exponent only where it would have many zeros.
func appendFloat(b []byte, x float64) []byte {
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, x, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, x, 'f', -1, 64)
}

// appendSeconds appends a duration exactly: a float64 loses the nanoseconds of
// months.
func appendSeconds(b []byte, d time.Duration) []byte {
	n := uint64(d)
	if d < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendUint(b, n/1e9, 10)
	if n %= 1e9; n != 0 {
		b = append(b, '.')
		for scale := uint64(1e8); n != 0; scale /= 10 {
			b = append(b, byte('0'+n/scale))
			n %= scale
		}
	}
	return b
}

// appendString appends a JSON string. A longer one than limit bytes is cut.
func appendString(b []byte, s string, limit int) []byte {
	cut := len(s) > limit
	if cut {
		end := limit
		for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			const hex = "0123456789abcdef"
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[from:i]...)
			b = append(b, "\uFFFD"...)
			from = i + size
		}
		i += size
	}
	b = append(b, s[from:]...)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}
