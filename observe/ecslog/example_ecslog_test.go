package ecslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/calmops/calm/observe/ecslog"
)

// newLogger returns a logger whose records have a fixed time, and what it writes.
func newLogger(cfg ecslog.Config) (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	h, err := ecslog.New(&out, cfg)
	if err != nil {
		panic(err)
	}
	return slog.New(fixedTime{h}), &out
}

type fixedTime struct{ slog.Handler }

func (f fixedTime) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	return f.Handler.Handle(ctx, r)
}

func (f fixedTime) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fixedTime{f.Handler.WithAttrs(attrs)}
}

// after prints what stands behind the head of each line.
func after(head string, lines *bytes.Buffer) {
	for line := range strings.Lines(lines.String()) {
		_, rest, _ := strings.Cut(line, head)
		fmt.Print(rest)
	}
}

// A line that Elasticsearch takes, although its loss is no number, one of its keys is
// an object in the schema, and one occurs twice.
func Example() {
	log, out := newLogger(ecslog.Config{})
	log.Info("step", "loss", math.NaN(), "user", "ann", "n", 1, "n", 2, "err", errors.New("boom"))
	fmt.Print(out)
	// Output:
	// {"@timestamp":"2026-01-02T15:04:05Z","log.level":"info","message":"step","ecs.version":"9.4.0","error.message":"boom","error.type":"*errors.errorString","n":2,"labels.user":"ann","labels.nonfinite":"loss"}
}

func ExampleHandler() {
	var out bytes.Buffer
	h, err := ecslog.New(&out, ecslog.Config{Service: ecslog.Service{Name: "gateway"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	slog.New(h).With("gen_ai.request.model", "m7").WithGroup("cache").Warn("miss", "tokens", 512)
	after(`"ecs.version":"9.4.0",`, &out)
	// Output:
	// "service.name":"gateway","event.dataset":"gateway","gen_ai.request.model":"m7","cache.tokens":512}
}

func ExampleProfile() {
	log, out := newLogger(ecslog.Config{Profile: ecslog.ProfileOTel, Service: ecslog.Service{Name: "gateway"}})
	log.Error("refused", "http.response.status_code", 429)
	fmt.Print(out)
	// Output:
	// {"timestamp":"2026-01-02T15:04:05Z","severity_text":"ERROR","severity_number":17,"body":"refused","resource":{"service.name":"gateway"},"attributes":{"http.response.status_code":429}}
}

func ExampleContentMode() {
	for _, mode := range []ecslog.ContentMode{ecslog.ContentHash, ecslog.ContentOff, ecslog.ContentFull} {
		log, out := newLogger(ecslog.Config{Content: mode, HashKey: []byte("a key of 16 bytes or more")})
		log.Info("chat", "prompt", "tell me a secret", "err", errors.New("bad prompt: tell me a secret"))
		after(`"ecs.version":"9.4.0",`, out)
	}
	// Output:
	// "error.message":"bad prompt: [content]","error.type":"*errors.errorString","labels.prompt_bytes":"16","labels.prompt_hmac":"e92375f953309baadd07a76d310627d2"}
	// "error.message":"bad prompt: [content]","error.type":"*errors.errorString"}
	// "error.message":"bad prompt: tell me a secret","error.type":"*errors.errorString","prompt":"tell me a secret"}
}

func ExampleContent() {
	log, out := newLogger(ecslog.Config{})
	log.Info("tool", ecslog.Content("question", "where do I live?"))
	after(`"ecs.version":"9.4.0",`, out)
	// Output:
	// "labels.question_bytes":"16"}
}

// The engine's error repeats the prompt, which is not an attribute of the line.
func ExampleWithContent() {
	log, out := newLogger(ecslog.Config{})
	ctx := ecslog.WithContent(context.Background(), "tell me a secret")
	log.ErrorContext(ctx, `engine: cannot tokenize "tell me a secret"`)
	after(`"log.level":"error",`, out)
	// Output:
	// "message":"engine: cannot tokenize \"[content]\"","ecs.version":"9.4.0"}
}

func ExampleService() {
	log, out := newLogger(ecslog.Config{Service: ecslog.Service{Name: "trainer", Version: "1.4", Environment: "prod", NodeName: "n12"}, Dataset: "trainer.steps"})
	log.Info("started")
	after(`"ecs.version":"9.4.0",`, out)
	// Output:
	// "service.name":"trainer","service.version":"1.4","service.environment":"prod","service.node.name":"n12","event.dataset":"trainer.steps"}
}

func ExampleTraceContext() {
	span := ecslog.TraceContext{TraceID: [16]byte{0xab, 15: 1}, SpanID: [8]byte{0xcd, 7: 2}, Flags: 1}
	log, out := newLogger(ecslog.Config{Trace: func(context.Context) (ecslog.TraceContext, bool) { return span, true }})
	log.Info("m")
	after(`"ecs.version":"9.4.0",`, out)
	// Output:
	// "trace.id":"ab000000000000000000000000000001","span.id":"cd00000000000002"}
}

// All faults of a Config are reported at once.
func ExampleConfig() {
	_, err := ecslog.New(os.Stdout, ecslog.Config{HashKey: []byte("short"), MaxLineBytes: 80})
	fmt.Println(err)
	// Output:
	// ecslog: Config.HashKey is of 5 bytes: want none or at least 16 bytes
	// ecslog: Config.MaxLineBytes is 80: want 0 or 16384 to 16777216
}

func ExampleField() {
	for _, f := range ecslog.Fields() {
		if strings.HasPrefix(f.Name, "gen_ai.response.") {
			fmt.Printf("%s: %s %q\n", f.Name, f.Type, f.Label)
		}
	}
	// Output:
	// gen_ai.response.finish_reasons: nested "finish_reason"
	// gen_ai.response.id: keyword ""
	// gen_ai.response.model: keyword ""
}

func ExampleSample() {
	log, out := newLogger(ecslog.Config{Sample: ecslog.Sample{PerSecond: 1, Burst: 2}})
	for range 1000 {
		log.Info("cache miss")
	}
	log.Warn("cache full")
	fmt.Println(strings.Count(out.String(), "\n"), "lines")
	// Output:
	// 3 lines
}

func ExampleCounts() {
	h, _ := ecslog.New(&bytes.Buffer{}, ecslog.Config{})
	slog.New(h).Info("m")
	counts := h.Dropped().Info
	fmt.Println(counts.Lines, counts.Sampled, counts.TooLong, counts.WriteErrors)
	// Output:
	// 1 0 0 0
}

func ExampleDrops() {
	full, _ := os.Create(filepath.Join(os.TempDir(), "ecslog-example"))
	defer os.Remove(full.Name())
	full.Close() // each Write fails
	h, _ := ecslog.New(full, ecslog.Config{})
	slog.New(h).Error("m")
	fmt.Printf("%+v\n", h.Dropped().Error)
	// Output:
	// {Lines:0 Sampled:0 TooLong:0 WriteErrors:1}
}

func ExampleMetrics() {
	h, _ := ecslog.New(&bytes.Buffer{}, ecslog.Config{})
	slog.New(h).Info("m")
	drops := h.Dropped()
	ecslog.Metrics()[0].Values(&drops, func(value float64, labels ...string) { fmt.Println(labels, value) })
	// Output:
	// [debug] 0
	// [info] 1
	// [warn] 0
	// [error] 0
}

// What keeps a line of log/slog's own handler out of Elasticsearch.
func ExampleFinding() {
	for _, f := range ecslog.Verify([]byte(`{"@timestamp":"2026-01-02T15:04:05Z","log.level":"info","message":"m","ecs.version":"9.4.0","loss":"NaN","service":"b"}`)) {
		fmt.Println(f)
	}
	// Output:
	// nonfinite loss: NaN
	// name service: has to be a label
}

func ExampleAudit() {
	var file bytes.Buffer
	audit, err := ecslog.NewAudit(&file, ecslog.AuditConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, weight := range []int{5, 20, 100} {
		_ = audit.Record(context.Background(), ecslog.AuditEvent{Action: "canary-weight", Outcome: "success", Attrs: []slog.Attr{slog.Int("weight", weight)}})
	}
	fmt.Println(ecslog.VerifyAudit(bytes.NewReader(file.Bytes())))
	forged := bytes.Replace(file.Bytes(), []byte(`"weight":20`), []byte(`"weight":25`), 1)
	fmt.Println(ecslog.VerifyAudit(bytes.NewReader(forged)))
	sequence, _ := audit.Head()
	fmt.Println(sequence)
	// Output:
	// 3 <nil>
	// 1 ecslog: audit chain broken: line 2 does not have the hash of its text and the lines before
	// 3
}

// An audit file goes on after a restart, and each line is on the disk before Record
// returns.
func ExampleAuditConfig() {
	path := filepath.Join(os.TempDir(), "ecslog-example-audit")
	defer os.Remove(path)
	for range 2 {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			fmt.Println(err)
			return
		}
		audit, err := ecslog.NewAudit(file, ecslog.AuditConfig{Sync: true, Log: ecslog.Config{Service: ecslog.Service{Name: "gateway"}}})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = audit.Record(context.Background(), ecslog.AuditEvent{Action: "started"})
		sequence, _ := audit.Head()
		fmt.Println(sequence)
		_ = file.Close()
	}
	// Output:
	// 1
	// 2
}

func ExampleAuditEvent() {
	var file bytes.Buffer
	audit, _ := ecslog.NewAudit(&file, ecslog.AuditConfig{})
	_ = audit.Record(context.Background(), ecslog.AuditEvent{
		Action: "key-revoked", Category: []string{"iam"}, Outcome: "success", Message: "key of ann revoked",
		Attrs: []slog.Attr{slog.String("user.name", "ann")},
	})
	line, _, _ := strings.Cut(file.String(), `,"event.hash"`)
	_, line, _ = strings.Cut(line, `"ecs.version":"9.4.0",`)
	fmt.Println(line)
	// Output:
	// "event.kind":"event","event.category":["iam"],"event.action":"key-revoked","event.outcome":"success","event.sequence":1,"user.name":"ann"
}
