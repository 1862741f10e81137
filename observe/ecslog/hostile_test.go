package ecslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

type (
	panicValuer  struct{}
	loopValuer   struct{}
	nestValuer   struct{}
	bombValuer   int
	panicError   struct{ text string }
	panicJSON    struct{}
	namedString  string
	ringError    struct{ error }
	groupLogger  struct{}
	panicUnwrap  struct{ error }
	formatsError struct{ error }
)

func (panicValuer) LogValue() slog.Value { panic("CANARY in a panic") }
func (l loopValuer) LogValue() slog.Value {
	return slog.AnyValue(l)
}

func (n nestValuer) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("n", n))
}

func (n bombValuer) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("a", n-1), slog.Any("b", n-1))
}
func (e *panicError) Error() string            { return e.text }
func (panicJSON) MarshalJSON() ([]byte, error) { panic("CANARY in a panic") }
func (r *ringError) Unwrap() error             { return r }
func (groupLogger) LogValue() slog.Value       { return slog.GroupValue(slog.Int("x", 1), slog.Int("y", 2)) }
func (panicUnwrap) Unwrap() error              { panic("CANARY in a panic") }
func (e formatsError) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "%s with %c and a stack", e.Error(), verb)
}

func many(n int) []slog.Attr {
	attrs := make([]slog.Attr, n)
	for i := range attrs {
		attrs[i] = slog.Int(fmt.Sprintf("k%d", i), i)
	}
	return attrs
}

// Every row is one attribute list and members that the line must have (nil: must not).
func TestHostileAttributes(t *testing.T) {
	var typedNil *panicError
	huge := strings.Repeat("é", 500_000)
	deep := "a" + strings.Repeat(".a", 30)
	for name, c := range map[string]struct {
		attrs []slog.Attr
		want  map[string]any
	}{
		"NaN":                   {[]slog.Attr{slog.Float64("loss", math.NaN()), slog.Float64("grad_norm", math.Inf(1)), slog.Float64("x", math.Inf(-1))}, map[string]any{"loss": nil, "grad_norm": nil, "labels.nonfinite": "loss,grad_norm,x"}},
		"NaN overridden":        {[]slog.Attr{slog.Float64("loss", math.NaN()), slog.Float64("loss", 2)}, map[string]any{"loss": 2.0, "labels.nonfinite": nil}},
		"NaN in a double":       {[]slog.Attr{slog.Float64("gen_ai.request.temperature", math.NaN())}, map[string]any{"labels.nonfinite": "gen_ai.request.temperature"}},
		"NaN as text":           {[]slog.Attr{slog.String("loss", "NaN"), slog.String("y", "-Inf"), slog.Any("z", []string{"Infinity"}), slog.String("note", "nantes")}, map[string]any{"labels.loss": "NaN", "labels.y": "-Inf", "labels.z": "Infinity", "note": "nantes"}},
		"more than float32":     {[]slog.Attr{slog.Float64("ppl", 1e300), slog.Float64("gen_ai.request.top_p", 1e300), slog.Float64("event.risk_score", 1e39)}, map[string]any{"labels.ppl": "1e+300", "gen_ai.request.top_p": 1e300, "labels.event_risk_score": "1e+39"}},
		"more than int64":       {[]slog.Attr{slog.Uint64("n", math.MaxUint64), slog.Uint64("m", math.MaxInt64)}, map[string]any{"labels.n": "18446744073709551615", "m": float64(math.MaxInt64)}},
		"more than int32":       {[]slog.Attr{slog.Int64("gen_ai.usage.input_tokens", 1<<31), slog.Int64("gen_ai.usage.output_tokens", math.MinInt32)}, map[string]any{"labels.gen_ai_usage_input_tokens": "2147483648", "gen_ai.usage.output_tokens": float64(math.MinInt32)}},
		"numbers as floats":     {[]slog.Attr{slog.Int("gen_ai.request.top_k", 40), slog.Uint64("event.risk_score", 3)}, map[string]any{"gen_ai.request.top_k": 40.0, "event.risk_score": 3.0}},
		"float in a long":       {[]slog.Attr{slog.Float64("http.response.status_code", 200)}, map[string]any{"labels.http_response_status_code": "200.0"}},
		"string in a long":      {[]slog.Attr{slog.String("http.response.status_code", "200"), slog.String("event.duration", "5s")}, map[string]any{"labels.http_response_status_code": "200", "labels.event_duration": "5s"}},
		"number in a keyword":   {[]slog.Attr{slog.Int("user.id", 5), slog.Bool("event.action", true)}, map[string]any{"labels.user_id": "5", "labels.event_action": "true"}},
		"duration":              {[]slog.Attr{slog.Duration("event.duration", time.Second), slog.Duration("took", -5)}, map[string]any{"event.duration": 1e9, "took": -5.0}},
		"dates":                 {[]slog.Attr{slog.String("event.start", "2026-01-02T03:04:05+02:00"), slog.String("event.end", "yesterday"), slog.Time("event.created", testTime), slog.Int("event.ingested", 5)}, map[string]any{"event.start": "2026-01-02T01:04:05Z", "labels.event_end": "yesterday", "event.created": "2026-01-02T15:04:05.123456789Z", "labels.event_ingested": "5"}},
		"year 12026":            {[]slog.Attr{slog.Time("at", testTime.AddDate(10000, 0, 0))}, map[string]any{"at": nil, "labels.at": "12026-01-02T15:04:05.123456789Z"}},
		"ip":                    {[]slog.Attr{slog.String("client.ip", "10.0.0.1"), slog.Any("source.ip", netip.MustParseAddr("::1"))}, map[string]any{"client.ip": "10.0.0.1", "source.ip": "::1"}},
		"no ip":                 {[]slog.Attr{slog.String("client.ip", "localhost"), slog.String("source.ip", "fe80::1%eth0")}, map[string]any{"labels.client_ip": "localhost", "labels.source_ip": "fe80::1%eth0"}},
		"arrays":                {[]slog.Attr{slog.String("tags", "one"), slog.Any("event.category", []string{"web", "api"}), slog.Any("user.name", []string{"a", "b"}), slog.Any("none", []string(nil))}, map[string]any{"tags": []any{"one"}, "event.category": []any{"web", "api"}, "labels.user_name": "a,b", "none": []any{}}},
		"nested fields":         {[]slog.Attr{slog.Any("gen_ai.response.finish_reasons", []string{"stop", "length"}), slog.String("gen_ai.request.stop_sequences", "###"), slog.Any("gen_ai.request.encoding_formats", []string{"float"})}, map[string]any{"labels.finish_reason": "stop,length", "labels.stop_sequences": "###", "labels.encoding_formats": "float"}},
		"duplicate keys":        {[]slog.Attr{slog.Int("a", 1), slog.String("a", "x"), slog.Int("a", 3)}, map[string]any{"a": 3.0}},
		"duplicate through dot": {[]slog.Attr{slog.Group("a", slog.Int("b", 1)), slog.Int("a.b", 2)}, map[string]any{"a.b": 2.0}},
		"nil replaces":          {[]slog.Attr{slog.Int("a", 1), slog.Any("a", nil)}, map[string]any{"a": nil, "labels.a": nil}},
		"reserved":              {[]slog.Attr{slog.String("message", "x"), slog.String("@timestamp", "t"), slog.String("log.level", "l"), slog.String("ecs.version", "1.6.0"), slog.Int("message.x", 1)}, map[string]any{"message": "m", "labels.message": "x", "labels.@timestamp": "t", "labels.log_level": "l", "labels.ecs_version": "1.6.0", "labels.message_x": "1"}},
		"scalars at roots":      {[]slog.Attr{slog.String("error", "boom"), slog.String("service", "b"), slog.Int("user", 5), slog.Bool("event", true), slog.String("labels", "l")}, map[string]any{"labels.error": "boom", "labels.service": "b", "labels.user": "5", "labels.event": "true", "labels.labels": "l"}},
		"unknown below roots":   {[]slog.Attr{slog.String("host.ip", "none"), slog.String("user.id.x", "y"), slog.String("data_stream.dataset", "other")}, map[string]any{"labels.host_ip": "none", "labels.user_id_x": "y", "labels.data_stream_dataset": "other"}},
		"names of shippers":     {[]slog.Attr{slog.Int("input", 5), slog.Bool("stream", true), slog.String("_id", "x"), slog.String("@metadata.a", "y")}, map[string]any{"labels.input": "5", "labels.stream": "true", "labels._id": "x", "labels.@metadata_a": "y"}},
		"value and object":      {[]slog.Attr{slog.Int("a", 1), slog.Int("a.b", 2), slog.Int("a.b.c", 3), slog.Int("d.e", 4), slog.Int("d", 5)}, map[string]any{"labels.a": "1", "labels.a_b": "2", "a.b.c": 3.0, "d.e": 4.0, "labels.d": "5"}},
		"label taken":           {[]slog.Attr{slog.Int("labels.a_b", 1), slog.Int("a.b", 2), slog.Int("a.b.c", 3), slog.Int("labels.a.b", 4), slog.Int("labels.a_b_3", 5)}, map[string]any{"labels.a_b": "1", "labels.a_b_2": "2", "labels.a_b_3": "4", "labels.a_b_3_2": "5"}},
		"labels of ours":        {[]slog.Attr{slog.String("labels.nonfinite", "u"), slog.Float64("x", math.NaN()), slog.Int("labels.suppressed", 3)}, map[string]any{"labels.nonfinite": "x", "labels.nonfinite_2": "u", "labels.suppressed_2": "3"}},
		"strange names":         {[]slog.Attr{slog.Int("", 1), slog.Int(".", 2), slog.Int("a.", 3), slog.Int(".b", 4), slog.Int("c..d", 5), slog.Int("e. .f", 6), slog.Int(`g*\h`, 7), slog.Int("\n\"\x00", 8)}, map[string]any{"labels._": "1", "labels.__2": "2", "labels.a_": "3", "labels._b": "4", "labels.c__d": "5", "labels.e_ _f": "6", "labels.g__h": "7", "\n\"\x00": 8.0}},
		"deep name":             {[]slog.Attr{slog.Int(deep, 1)}, map[string]any{"labels." + strings.ReplaceAll(deep, ".", "_"): "1"}},
		"long name":             {[]slog.Attr{slog.Int(strings.Repeat("n", 5000), 1), slog.Int(strings.Repeat("n", 5001), 2)}, map[string]any{"labels." + strings.Repeat("n", 256): "1", "labels." + strings.Repeat("n", 256) + "_2": "2"}},
		"names not UTF-8":       {[]slog.Attr{slog.Int("a\xff", 1), slog.Int("a\xfe", 2)}, map[string]any{"a\uFFFD": 2.0}},
		"groups":                {[]slog.Attr{slog.Group("e"), slog.Group("f", slog.Group("g")), slog.Group("", slog.Int("inline", 1)), slog.Any("v", groupLogger{})}, map[string]any{"e": nil, "f": nil, "inline": 1.0, "v.x": 1.0, "v.y": 2.0}},
		"LogValuer panics":      {[]slog.Attr{slog.Any("p", panicValuer{}), slog.Any("err", panicValuer{})}, map[string]any{"labels.p": "!PANIC in LogValue of ecslog.panicValuer", "labels.err": "!PANIC in LogValue of ecslog.panicValuer"}},
		"LogValuer loops":       {[]slog.Attr{slog.Any("l", loopValuer{})}, map[string]any{"labels.l": "!ERROR LogValue called too often of ecslog.loopValuer"}},
		"groups without end":    {[]slog.Attr{slog.Any("n", nestValuer{})}, map[string]any{"labels.n" + strings.Repeat("_n", 32): "!ERROR groups too deep"}},
		"JSON panics":           {[]slog.Attr{slog.Any("j", panicJSON{}), slog.Any("c", make(chan int)), slog.Any("f", []float64{math.NaN()})}, map[string]any{"labels.j": "!PANIC in MarshalJSON of ecslog.panicJSON", "labels.c": "!ERROR json: unsupported type: chan int", "labels.f": "!ERROR json: unsupported value: NaN"}},
		"JSON":                  {[]slog.Attr{slog.Any("s", struct{ A, B any }{1, "<x>"}), slog.Any("r", json.RawMessage(`{"a":1,"a":[2]}`)), slog.Any("b", []byte("hi")), slog.Any("n", (*int)(nil)), slog.Any("w", namedString("v"))}, map[string]any{"labels.s": `{"A":1,"B":"<x>"}`, "labels.r": `{"a":1,"a":[2]}`, "labels.b": "aGk=", "labels.n": "null", "labels.w": "v"}},
		"named string, known":   {[]slog.Attr{slog.Any("gen_ai.request.model", namedString("m7"))}, map[string]any{"gen_ai.request.model": "m7"}},
		"text not UTF-8":        {[]slog.Attr{slog.String("a", "x\xffy\xc3("), slog.String("b", "\u2028\x00\x7f")}, map[string]any{"a": "x\uFFFDy\uFFFD(", "b": "\u2028\x00\x7f"}},
		"1 MB":                  {[]slog.Attr{slog.String("big", huge), slog.String("user", huge), slog.Any("list", []string{"a", huge, "b"})}, map[string]any{"big": strings.Repeat("é", 32766/2), "labels.user": strings.Repeat("é", 32766/2), "list": []any{"a", strings.Repeat("é", 32764/2)}, "labels.truncated": "big,list,user"}},
		"nil errors":            {[]slog.Attr{slog.Any("err", error(nil)), slog.Any("error", nil)}, map[string]any{"error.message": nil, "labels.err": nil}},
		"typed nil":             {[]slog.Attr{slog.Any("err", typedNil)}, map[string]any{"error.message": nil, "labels.err": "!PANIC in Error of *ecslog.panicError"}},
		"error":                 {[]slog.Attr{slog.Any("err", fmt.Errorf("open: %w", &fs.PathError{Op: "o", Path: "p", Err: fs.ErrNotExist}))}, map[string]any{"error.message": "open: o p: file does not exist", "error.type": "*fs.PathError", "labels.err": nil}},
		"errors":                {[]slog.Attr{slog.Any("cause", errors.New("c")), slog.Any("", errors.New("a")), slog.Any("err", errors.New("b")), slog.Any("user.id", errors.New("d"))}, map[string]any{"error.message": "a", "error.type": "*errors.errorString", "labels.cause": "c", "labels.err": "b", "labels.user_id": "d"}},
		"error twice":           {[]slog.Attr{slog.Any("err", errors.New("a")), slog.Any("err", errors.New("b"))}, map[string]any{"error.message": "b", "labels.err": nil}},
		"error in a group":      {[]slog.Attr{slog.Group("g", slog.Any("err", errors.New("a")))}, map[string]any{"error.message": "a"}},
		"error given by hand":   {[]slog.Attr{slog.Any("err", errors.New("a")), slog.String("error.message", "mine"), slog.String("error.type", "T")}, map[string]any{"error.message": "mine", "error.type": "T", "labels.err": "a"}},
		"type given by hand":    {[]slog.Attr{slog.Any("err", errors.New("a")), slog.String("error.type", "T")}, map[string]any{"error.message": "a", "error.type": "T"}},
		"error as number":       {[]slog.Attr{slog.Int("error", 5), slog.Any("err", errors.New("a"))}, map[string]any{"error.message": "a", "labels.error": "5"}},
		"joined":                {[]slog.Attr{slog.Any("err", errors.Join(nil, fmt.Errorf("%w and %w", fs.ErrExist, fs.ErrClosed)))}, map[string]any{"error.type": "*errors.errorString"}},
		"ring":                  {[]slog.Attr{slog.Any("err", &ringError{fs.ErrExist})}, map[string]any{"error.type": "*ecslog.ringError"}},
		"unwrap panics":         {[]slog.Attr{slog.Any("err", panicUnwrap{fs.ErrExist})}, map[string]any{"error.type": "ecslog.panicUnwrap", "error.message": "file already exists"}},
	} {
		for _, profile := range []Profile{ProfileECS, ProfileOTel} {
			t.Run(fmt.Sprintf("%s/%d", name, profile), func(t *testing.T) {
				line, m := oneLine(t, Config{Profile: profile, Level: slog.LevelDebug}, c.attrs...)
				assert.NotContains(t, line, "CANARY")
				if profile == ProfileOTel {
					m["attributes"].(map[string]any)["message"] = m["body"]
					m = m["attributes"].(map[string]any)
				}
				for k, want := range c.want {
					if want == nil {
						assert.NotContains(t, m, k)
					} else {
						assert.Equal(t, want, m[k], "%s in %.2000s", k, line)
					}
				}
			})
		}
	}
}

func TestFloatsHaveAPoint(t *testing.T) {
	line, _ := oneLine(t, Config{}, slog.Float64("a", 1), slog.Float64("b", math.Copysign(0, -1)), slog.Float64("c", 1e30), slog.Float64("d", 1e-9), slog.Float64("e", 123456789012345678), slog.Float64("f", .25))
	assert.Contains(t, line, `"a":1.0,"b":-0.0,"c":1e+30,"d":1e-09,"e":123456789012345680.0,"f":0.25`)
}

func TestManyAttributes(t *testing.T) {
	_, m := oneLine(t, Config{}, many(300)...)
	assert.Len(t, m, 304)
	h, b := newTest(t, Config{MaxLineBytes: maxLineBytes})
	logAt(t, h, slog.LevelInfo, "m", many(5000)...)
	m = verified(t, b.Bytes())
	assert.Equal(t, "904", m["labels.dropped_fields"])
	assert.Equal(t, Counts{Lines: 1, TooLong: 1}, h.Dropped().Info)

	h, b = newTest(t, Config{})
	start := time.Now()
	logAt(t, h, slog.LevelInfo, "m", slog.Any("bomb", bombValuer(64)))
	verified(t, b.Bytes())
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.EqualValues(t, 1, h.Dropped().Info.TooLong)

	// So many names for one label that counting from 1 each time would take minutes.
	same := make([]slog.Attr, 4000)
	for i := range same {
		same[i] = slog.Int(strings.Repeat("n", 256)+fmt.Sprint(i), i)
	}
	h, b = newTest(t, Config{MaxLineBytes: maxLineBytes})
	logAt(t, h, slog.LevelInfo, "m", same...)
	m = verified(t, b.Bytes())
	assert.Equal(t, "3999", m["labels."+strings.Repeat("n", 256)+"_4000"])
}

func TestLongLine(t *testing.T) {
	for _, message := range []string{"m", strings.Repeat("m", 1<<20), strings.Repeat("\x00", 1<<20)} {
		for _, profile := range []Profile{ProfileECS, ProfileOTel} {
			h, b := newTest(t, Config{Profile: profile, MaxLineBytes: 16 << 10, Trace: withTrace, Service: Service{
				strings.Repeat("\"", 256), strings.Repeat("\\", 256), strings.Repeat("\"", 256), strings.Repeat("\"", 256)}})
			attrs := many(300)
			for i := range 100 {
				attrs = append(attrs, slog.String(fmt.Sprintf("user.l%d", i), strings.Repeat("\x01", 100)), slog.Float64(strings.Repeat("\x02", i), math.NaN()))
			}
			logAt(t, h, slog.LevelError, message, append(attrs, slog.Any("err", errors.New(strings.Repeat("e", 1000))))...)
			assert.LessOrEqual(t, b.Len(), 16<<10)
			m := verified(t, b.Bytes())
			if profile == ProfileOTel {
				m = m["attributes"].(map[string]any)
			}
			assert.NotEmpty(t, m["labels.dropped_fields"])
			assert.Len(t, m["error.message"], 1000, "the error stays longest")
			if len(message) == 1 {
				assert.Equal(t, 1.0, m["k1"], "labels go first")
			} else {
				assert.True(t, strings.HasPrefix(m["labels.truncated"].(string), "message"))
			}
			assert.Equal(t, Counts{Lines: 1, TooLong: 1}, h.Dropped().Error)
		}
	}
}

func TestErrorStack(t *testing.T) {
	_, m := oneLine(t, Config{ErrorStack: true}, slog.Any("err", errors.New("a")))
	assert.Contains(t, m["error.stack_trace"], "ecslog.TestErrorStack\n\t")
	assert.NotContains(t, m["error.stack_trace"], "callStack")
	_, m = oneLine(t, Config{ErrorStack: true}, slog.Any("err", fmt.Errorf("b: %w", formatsError{errors.New("a")})))
	assert.Equal(t, "a with v and a stack", m["error.stack_trace"])
	_, m = oneLine(t, Config{ErrorStack: true}, slog.Any("err", errors.New("a")), slog.String("error.stack_trace", "mine"))
	assert.Equal(t, "mine", m["error.stack_trace"])
	_, m = oneLine(t, Config{}, slog.Any("err", errors.New("a")))
	assert.NotContains(t, m, "error.stack_trace")
}
