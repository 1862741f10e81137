package observe

import (
	"iter"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Live is what is in flight now under one label set.
type Live struct {
	Labels
	InFlight int64 // requests being served, waiting ones included
	Waiting  int64 // those between Queued and Scheduled
}

// Live yields a row for each label set seen so far. It may be read at any time;
// rows are read one after the other, so their sum is exact only when idle.
func (r *Recorder) Live() iter.Seq[Live] {
	return func(yield func(Live) bool) {
		if r == nil {
			return
		}
		for _, m := range r.reg.all() {
			p := m.series.Load()
			if p == nil {
				continue
			}
			for _, s := range *p {
				if !yield(Live{s.labels, s.inFlight.Load(), s.waiting.Load()}) {
					return
				}
			}
		}
	}
}

// Losses counts what was not recorded, and why.
type Losses struct {
	ModelOverflow   uint64 // requests whose model label is "other" for want of room, or because the name is not usable
	LabelOverflow   uint64 // other label values replaced by "other"
	BadEvents       uint64 // events of a known protocol that are not JSON, and impossible token counts
	TruncatedEvents uint64 // events too long to be kept whole
	ClockSteps      uint64 // times given to TokenAt before the one before
	CallbackPanics  uint64 // panics of OnRequest, Classify and sinks
}

// losses are the same as atomics.
type losses struct {
	modelOverflow, labelOverflow, badEvents, truncatedEvents, clockSteps, callbackPanics atomic.Uint64
}

// Losses returns the counts so far.
func (r *Recorder) Losses() Losses {
	if r == nil {
		return Losses{}
	}
	l := &r.losses
	return Losses{l.modelOverflow.Load(), l.labelOverflow.Load(), l.badEvents.Load(),
		l.truncatedEvents.Load(), l.clockSteps.Load(), l.callbackPanics.Load()}
}

// Served is what is being served under a model name, for an info gauge by which
// every graph can be read by version.
type Served struct {
	Model      string // as in the model label; guarded like a request's
	Version    string // release of the model, such as "v2"
	Checkpoint string // digest of the weights
	Commit     string // of the program. Defaults to vcs.revision of the build
}

// SetServed says what is served under s.Model; the last call for a model wins.
// Values that cannot be label values read "other".
func (r *Recorder) SetServed(s Served) {
	if r == nil {
		return
	}
	s.Model = r.reg.model(s.Model).name
	if s.Commit == "" {
		s.Commit = buildCommit()
	}
	for _, p := range []*string{&s.Version, &s.Checkpoint, &s.Commit} {
		if *p != "" && !validName(*p) {
			*p = otherLabel
			r.losses.labelOverflow.Add(1)
		}
	}
	r.servedMu.Lock()
	defer r.servedMu.Unlock()
	next := slices.Clone(r.served)
	if i := slices.IndexFunc(next, func(o Served) bool { return o.Model == s.Model }); i >= 0 {
		next[i] = s
	} else {
		next = append(next, s)
	}
	r.served = next
}

// Served yields what is served, in the order of the first SetServed of a model.
func (r *Recorder) Served() iter.Seq[Served] {
	if r == nil {
		return func(func(Served) bool) {}
	}
	r.servedMu.Lock()
	defer r.servedMu.Unlock()
	return slices.Values(r.served)
}

func buildCommit() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return ""
}

// Engine is the live state of one inference engine, set by the code that runs
// it. All methods may be called from any goroutine, cost an atomic store, and do
// nothing on a nil Engine.
type Engine struct {
	model            *model
	running, waiting atomic.Int64 // -1: not set, the requests say
	kv               atomic.Uint64
	preemptions      atomic.Uint64
	queries, hits    atomic.Uint64
	blockTokens      atomic.Int64
	blocks           atomic.Int64
	mu               sync.Mutex // guards lora and loraAt
	lora             LoRA
	loraAt           time.Time
}

// LoRA is the state of an engine's low-rank adapters.
type LoRA struct {
	Max              int      // adapters that fit at once
	Running, Waiting []string // names in use and waited for
}

// EngineState is the state of the engine of one model at one moment. Running and
// Waiting come from the requests until the engine sets them.
type EngineState struct {
	Model               string    // as in the model label
	Running, Waiting    int64     // requests
	KVUsage             float64   // 0 to 1; meaningful if HasKVUsage
	HasKVUsage          bool      // SetKVUsage was called
	Preemptions         uint64    // of the engine and of Request.Preempted together
	PrefixQueries       uint64    // tokens
	PrefixHits          uint64    // tokens
	BlockTokens, Blocks int       // of SetCache; 0: not called
	LoRA                LoRA      // of the last SetLoRA
	LoRAAt              time.Time // of the last SetLoRA; zero: not called
}

// Engine returns the engine of a model: the same one for the same model. Its
// gauges exist from then on, before any traffic. Names without a place share one.
func (r *Recorder) Engine(model string) *Engine {
	if r == nil {
		return nil
	}
	m := r.reg.model(model)
	if e := m.engine.Load(); e != nil {
		return e
	}
	e := &Engine{model: m}
	e.running.Store(-1)
	e.waiting.Store(-1)
	e.kv.Store(math.Float64bits(math.NaN()))
	if m.engine.CompareAndSwap(nil, e) {
		return e
	}
	return m.engine.Load()
}

// SetRunning sets the requests in the running batch; negative counts read 0.
func (e *Engine) SetRunning(n int) {
	if e != nil {
		e.running.Store(int64(max(n, 0)))
	}
}

// SetWaiting sets the requests waiting for the engine; negative counts read 0.
func (e *Engine) SetWaiting(n int) {
	if e != nil {
		e.waiting.Store(int64(max(n, 0)))
	}
}

// SetKVUsage sets the share of the KV cache in use, clamped to 0..1; NaN is
// ignored.
func (e *Engine) SetKVUsage(ratio float64) {
	if e != nil && ratio == ratio {
		e.kv.Store(math.Float64bits(min(max(ratio, 0), 1)))
	}
}

// AddPreemptions counts requests that the engine put back into its queue; n < 1
// is ignored. Preemptions marked with Request.Preempted are counted already.
func (e *Engine) AddPreemptions(n int) {
	if e != nil && n > 0 {
		e.preemptions.Add(uint64(n))
	}
}

// AddPrefixCache counts prompt tokens looked up in the prefix cache and those
// found; negative counts are ignored.
func (e *Engine) AddPrefixCache(queryTokens, hitTokens int) {
	if e == nil {
		return
	}
	if queryTokens > 0 {
		e.queries.Add(uint64(queryTokens))
	}
	if hitTokens > 0 {
		e.hits.Add(uint64(hitTokens))
	}
}

// SetCache sets the layout of the KV cache: tokens a block, and blocks.
func (e *Engine) SetCache(blockTokens, blocks int) {
	if e != nil {
		e.blockTokens.Store(int64(max(blockTokens, 0)))
		e.blocks.Store(int64(max(blocks, 0)))
	}
}

// SetLoRA sets the state of the low-rank adapters. The slices are copied.
func (e *Engine) SetLoRA(l LoRA) {
	if e == nil {
		return
	}
	l.Running, l.Waiting = slices.Clone(l.Running), slices.Clone(l.Waiting)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lora, e.loraAt = l, time.Now()
}

// Engines yields the state of every model that has an Engine or has had a
// request.
func (r *Recorder) Engines() iter.Seq[EngineState] {
	return func(yield func(EngineState) bool) {
		if r == nil {
			return
		}
		for _, m := range r.reg.all() {
			e := m.engine.Load()
			if e == nil && m.series.Load() == nil {
				continue
			}
			if !yield(m.state(e)) {
				return
			}
		}
	}
}

// state reads a model's counters. A momentary difference between two of them
// may be negative while requests come and go; it reads 0.
func (m *model) state(e *Engine) EngineState {
	s := EngineState{Model: m.name, Preemptions: m.preemptions.Load()}
	var inFlight int64
	if p := m.series.Load(); p != nil {
		for _, x := range *p {
			inFlight += x.inFlight.Load()
			s.Waiting += x.waiting.Load()
		}
	}
	s.Waiting = max(s.Waiting, 0)
	s.Running = max(inFlight-s.Waiting, 0)
	if e == nil {
		return s
	}
	if n := e.running.Load(); n >= 0 {
		s.Running = n
	}
	if n := e.waiting.Load(); n >= 0 {
		s.Waiting = n
	}
	if kv := math.Float64frombits(e.kv.Load()); kv == kv {
		s.KVUsage, s.HasKVUsage = kv, true
	}
	s.Preemptions += e.preemptions.Load()
	s.PrefixQueries, s.PrefixHits = e.queries.Load(), e.hits.Load()
	s.BlockTokens, s.Blocks = int(e.blockTokens.Load()), int(e.blocks.Load())
	e.mu.Lock()
	defer e.mu.Unlock()
	s.LoRA, s.LoRAAt = LoRA{e.lora.Max, slices.Clone(e.lora.Running), slices.Clone(e.lora.Waiting)}, e.loraAt
	return s
}
