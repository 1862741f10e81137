package main

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe"
)

var (
	errLoading = errors.New("the model is still being trained")
	errFull    = errors.New("the queue is full")
)

// engine decodes a bounded number of texts at a time; others wait in a bounded
// queue.
type engine struct {
	model    atomic.Pointer[tinylm.Model]
	slots    chan struct{}
	waiting  atomic.Int64
	maxQueue int64
}

func newEngine() *engine {
	// Decoding keeps a processor busy. One is left for the network: with all of
	// them busy, the runtime would look for arrivals every 10 ms only.
	return &engine{slots: make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1)), maxQueue: 64}
}

func (e *engine) start(m *tinylm.Model) { e.model.Store(m) }

// acquire waits for a slot, and marks the wait on the request being measured.
func (e *engine) acquire(ctx context.Context) (*tinylm.Model, error) {
	m := e.model.Load()
	if m == nil {
		return nil, errLoading
	}
	req := observe.FromContext(ctx)
	select {
	case e.slots <- struct{}{}:
		req.Scheduled()
		return m, nil
	default:
	}
	if e.waiting.Add(1) > e.maxQueue {
		e.waiting.Add(-1)
		return nil, errFull
	}
	defer e.waiting.Add(-1)
	req.Queued()
	select {
	case e.slots <- struct{}{}:
		req.Scheduled()
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *engine) release() { <-e.slots }

// generation is what a client asks for.
type generation struct {
	prompt      string
	maxTokens   int
	temperature float64
	seed        uint64
	stop        []string
}

// generated is how a generation ended.
type generated struct {
	promptTokens, tokens int
	finish               string  // stop or length
	text                 string  // what was emitted
	nll                  float64 // of the tokens chosen, in nats
}

// generate decodes with a slot held. It gives each piece of text to emit as soon
// as it cannot be part of a stop sequence any more, and ends when emit fails or
// the context does.
func generate(ctx context.Context, m *tinylm.Model, g generation, emit func(string) error) (generated, error) {
	s, err := m.NewSession(tinylm.SessionConfig{Temperature: g.temperature, TopK: 40, Seed: g.seed})
	if err != nil {
		return generated{}, err
	}
	out := generated{promptTokens: s.Feed(g.prompt), finish: "length"}
	send := func(text string) error {
		out.text += text
		return emit(text)
	}
	stops := stopper{stops: g.stop}
	for out.tokens < g.maxTokens {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		text, stopped := stops.add(s.Next())
		out.tokens++
		out.nll -= s.LogProb()
		if text != "" {
			if err := send(text); err != nil {
				return out, err
			}
		}
		if stopped {
			out.finish = "stop"
			return out, nil
		}
	}
	if rest := stops.held; rest != "" {
		err := send(rest)
		return out, err
	}
	return out, nil
}

// stopper holds text back while it may be the beginning of a stop sequence.
type stopper struct {
	stops []string
	held  string
}

// add returns the text that may be sent, and whether a stop sequence was met: the
// text up to it is sent, the sequence and what follows are not.
func (s *stopper) add(text string) (send string, stopped bool) {
	if len(s.stops) == 0 {
		return text, false
	}
	s.held += text
	cut := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (cut < 0 || i < cut) {
			cut = i
		}
	}
	if cut >= 0 {
		send, s.held = s.held[:cut], ""
		return send, true
	}
	keep := 0 // the longest end of held that a stop sequence begins with
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
				break
			}
		}
	}
	at := len(s.held) - keep
	send, s.held = s.held[:at], s.held[at:]
	return send, false
}
