package observetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/calmops/calm/observe"
)

// suite is every case.
func suite() []testCase {
	return []testCase{
		{name: "Empty", run: empty},
		{name: "Outcomes", run: outcomes},
		{name: "Usage", run: usages},
		{name: "FirstToken", run: firstTokens},
		{name: "Queue", run: queues},
		{name: "SLO", run: objectives},
		{name: "Engine", run: engines},
		{name: "Live", run: liveState},
		{name: "Losses", run: lost},
		{name: "LabelSets", run: labelSets},
		{name: "Gaps", run: gapMerges},
		{name: "Reuse", run: reuse},
		{name: "Contexts", run: contexts},
		{name: "Twice", run: twice},
		{name: "Recorders", run: severalRecorders},
		{name: "Overhead", realTime: true, run: overhead},
		{name: "Concurrency", realTime: true, run: concurrency},
	}
}

// empty: nothing was recorded, and a Recorder with a listed model has been made.
func empty(s *scene) {
	s.settle("without a Recorder", 0)
	s.recorder(observe.Config{Models: []string{"m"}})
}

// outcomes: every way to end a request, a different number of times each.
func outcomes(s *scene) {
	rec := s.recorder(observe.Config{})
	for i, e := range endings() {
		for range 1 + i%3 {
			before := len(s.stats)
			e.run(s, rec)
			if len(s.stats) != before+1 {
				s.faultf("%s: %d requests ended, want 1", e.name, len(s.stats)-before)
			} else if got := s.stats[before].Outcome; got != e.want {
				s.faultf("%s: the Recorder says %v, want %v", e.name, got, e.want)
			}
		}
		s.idle("after " + e.name)
	}
}

// usages: token counts of each source and dialect, finish reasons.
func usages(s *scene) {
	rec := s.recorder(observe.Config{})
	counted := s.recorder(observe.Config{CountEvents: true})
	stream := []string{sseHeader, rolePrelude, "10ms " + token, "20ms " + token, finish, usage, done}
	s.serve(rec, call{script: stream})
	s.serve(rec, call{script: []string{sseHeader, "5ms " + token, "5ms " + token, finish, done}}) // no usage
	s.serve(counted, call{script: []string{sseHeader, "5ms " + token, "5ms " + token, finish, done}})
	s.serve(rec, call{script: []string{jsonHeader,
		`7ms write "{\"choices\":[{\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}"`}})
	s.serve(rec, call{path: "/v1/messages", script: []string{sseHeader,
		data(`{"type":"message_start","message":{"model":"m","usage":{"input_tokens":5,"cache_creation_input_tokens":11,"cache_read_input_tokens":17,"output_tokens":1}}}`),
		"30ms " + data(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}`),
		"30ms " + data(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}`),
		data(`{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":12}}`),
		data(`{"type":"message_stop"}`)}})
	s.serve(rec, call{path: "/api/chat", script: []string{"header 200 application/x-ndjson",
		"9ms " + line(`{"model":"m","message":{"role":"assistant","content":"a"},"done":false}`),
		"8ms " + line(`{"model":"m","message":{"role":"assistant","content":"b"},"done":false}`),
		line(`{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":290}`)}})
	for i, reason := range []string{"stop", "tool_calls", "refusal", "a_word_of_its_own", ""} {
		q := s.start(rec, observe.RequestInfo{Model: "m", Operation: observe.OperationGenerateContent})
		q.Token(1)
		time.Sleep(tick(i))
		q.Token(2)
		q.SetFinishReason(reason)
		q.SetUsage(observe.Usage{Input: int64(10 + i), Output: int64(3 * i), CachedInput: int64(i), CacheWriteInput: 2, ReasoningOutput: int64(i % 2)})
		q.End(nil)
	}
	q := s.start(rec, observe.RequestInfo{Model: "huge"}) // more than 32 bits hold
	q.SetUsage(observe.Usage{Input: 1 << 40, Output: 1<<40 + 1})
	q.End(nil)
	s.serve(rec, call{script: []string{jsonHeader, // known to be zero is not unknown
		`2ms write "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}"`}})
}

// firstTokens: what does and does not have a first token, and when.
func firstTokens(s *scene) {
	for i, mode := range []observe.FirstToken{observe.FirstTokenOutput, observe.FirstTokenContent, observe.FirstTokenChunk} {
		rec := s.recorder(observe.Config{FirstToken: mode})
		model := fmt.Sprintf(`{"model":"m%d"}`, i)
		for _, script := range [][]string{
			{sseHeader, "10ms " + rolePrelude, "20ms " + reasoning, "30ms " + reasoning, "40ms " + token, "5ms " + token, usage, done},
			{sseHeader, rolePrelude, "25ms " + token, done},               // one token: no gap, no TPOT
			{sseHeader, rolePrelude, "15ms flush", finish, done},          // no token
			{sseHeader, token, token, token, usage, done},                 // all at once: zero is a time
			{sseHeader, "1ms " + reasoning, "1ms " + reasoning, done},     // no content
			{sseHeader, "50ms " + token, "50ms " + token, `panic "boom"`}, // a first token, then a failure
			{"header 200 application/octet-stream", `3ms write "abc"`},
			{},
		} {
			s.serve(rec, call{body: model, script: script})
		}
	}
}

// queues: the marks of an engine, by priority.
func queues(s *scene) {
	rec := s.recorder(observe.Config{})
	for i, priority := range []string{"", "high", "low", "low"} {
		for j, marks := range []func(*observe.Request){
			func(q *observe.Request) { q.Queued(); time.Sleep(tick(i)); q.Scheduled() },
			func(q *observe.Request) { time.Sleep(tick(i)); q.Scheduled() }, // from the arrival
			func(q *observe.Request) { q.Queued() },                         // abandoned
			func(q *observe.Request) {
				q.Queued()
				q.Scheduled()
				time.Sleep(tick(i))
				q.Preempted()
				time.Sleep(tick(i + 1))
				q.Scheduled()
			},
			func(*observe.Request) {},
		} {
			q := s.start(rec, observe.RequestInfo{Model: "m", Priority: priority, Operation: observe.OperationChat})
			time.Sleep(time.Millisecond)
			marks(q)
			time.Sleep(tick(j))
			if j != 2 {
				q.Token(1)
			}
			if j == 3 {
				q.Preempted() // after the first token: it ends waiting, and not abandoned
			}
			time.Sleep(tick(j + 1))
			q.End(nil)
		}
	}
	s.idle("after the queue")
}

// objectives: met, missed and not counted, by each kind of ending.
func objectives(s *scene) {
	rec := s.recorder(observe.Config{SLO: observe.SLO{TTFT: 20 * time.Millisecond, TPOT: 10 * time.Millisecond, Duration: 100 * time.Millisecond}})
	partly := s.recorder(observe.Config{SLO: observe.SLO{TTFT: 20 * time.Millisecond}})
	ends := []error{nil, nil, context.Canceled, context.DeadlineExceeded, fmt.Errorf("failed")}
	for i, err := range ends {
		for _, r := range []*observe.Recorder{rec, partly} {
			q := s.start(r, observe.RequestInfo{Model: "m"})
			time.Sleep(time.Duration(15+10*(i%2)) * time.Millisecond)
			q.Token(1)
			time.Sleep(time.Duration(20+90*(i%2)) * time.Millisecond)
			q.Token(3)
			q.SetUsage(observe.Usage{Output: 4})
			q.End(err)
		}
	}
	s.serve(rec, call{script: []string{`header 429 application/json`, `write "{}"`}})
	s.serve(rec, call{script: []string{`header 503 application/json`, `write "{}"`}})
}

// labelSets: many of them, more models than have a place, providers that share
// a model and an operation.
func labelSets(s *scene) {
	rec := s.recorder(observe.Config{MaxModels: 12})
	ops := []observe.Operation{observe.OperationChat, observe.OperationEmbeddings, "rerank"}
	for i := range 16 {
		for j, op := range ops {
			for k, provider := range []string{"openai", "own"} {
				q := s.start(rec, observe.RequestInfo{Model: fmt.Sprintf("m%d", i), Operation: op, Provider: provider})
				q.Token(1)
				time.Sleep(tick(i + j + k))
				q.Token(1 + i%3)
				q.SetUsage(observe.Usage{Input: int64(i), Output: int64(2 + j)})
				q.End(nil)
			}
		}
	}
	models := make(map[string]bool)
	for _, r := range s.stats {
		models[r.Model] = true
	}
	if len(models) != 13 || !models["other"] {
		s.faultf("12 models have a place, and the Recorder says %q", slices.Sorted(maps.Keys(models)))
	}
	for _, m := range []string{"", "\xff\xfe", "a\x00b"} {
		s.start(rec, observe.RequestInfo{Model: m}).End(nil)
	}
}
