package training

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// hook is a function that is told of each Step.
type hook struct{ f func(Step) }

// OnStep has f called at the end of each Step, on Step's goroutine, until stop is
// called. The Step is as given, with its Duration filled in. A panic in f is
// caught and counted.
func (r *Recorder) OnStep(f func(Step)) (stop func()) {
	if r == nil || f == nil {
		return func() {}
	}
	h := &hook{f}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = append(slices.Clip(r.hooks), h)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hooks = slices.DeleteFunc(slices.Clone(r.hooks), func(other *hook) bool { return other == h })
	}
}

func (r *Recorder) call(h *hook, s Step) {
	defer r.caught()
	h.f(s)
}

// caught ends a panic of the user's code, and counts it.
func (r *Recorder) caught() {
	if recover() != nil {
		r.panics.Add(1)
	}
}

// findings are the events of one call. They are counted and recorded under the
// lock, and told when it is free again.
type findings []Event

// found counts an event and puts it into the histories.
func (r *Recorder) found(to *findings, e Event) {
	r.state.events[e.Kind]++
	kept := e
	r.put(&entry{kind: RecordEvent, at: e.At, step: Step{N: e.Step}, tag: e.Kind.String(), ref: &kept})
	*to = append(*to, e)
}

// tell gives events to the user.
func (r *Recorder) tell(found findings) {
	for _, e := range found {
		r.log(e)
		if r.cfg.OnEvent != nil {
			r.onEvent(e)
		}
	}
}

// logInterruption writes what a supervisor has said.
func (r *Recorder) logInterruption(at time.Time, cause string) {
	if r.cfg.Logger == nil {
		return
	}
	defer r.caught()
	r.cfg.Logger.Warn("training: interrupted", "run", r.cfg.Run, "at", at, "cause", cause)
}

func (r *Recorder) onEvent(e Event) {
	defer r.caught()
	r.cfg.OnEvent(e)
}

// log writes an event. A handler that panics is the user's code too.
func (r *Recorder) log(e Event) {
	if r.cfg.Logger == nil {
		return
	}
	defer r.caught()
	level := slog.LevelWarn
	switch e.Kind {
	case EventSpikeEnd, EventHangEnd, EventPlateau, EventLevelShift:
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{slog.String("run", r.cfg.Run), slog.Int("rank", r.cfg.Rank), slog.String("kind", e.Kind.String()), slog.Int64("step", e.Step)}
	add := func(is bool, a slog.Attr) {
		if is {
			attrs = append(attrs, a)
		}
	}
	add(e.Signal != "", slog.String("signal", e.Signal))
	add(e.Value != 0, slog.Float64("value", e.Value))
	add(e.Limit != 0, slog.Float64("limit", e.Limit))
	add(e.Score != 0, slog.Float64("score", e.Score))
	add(e.RollbackTo != 0, slog.Int64("rollback_to", e.RollbackTo))
	add(e.SkipMax != 0, slog.Int("skip_max", e.SkipMax))
	add(e.Kind == EventStraggler, slog.Int("lagging_rank", e.Rank))
	add(e.Since != 0, slog.Duration("since", e.Since.Round(time.Millisecond)))
	add(e.Detail != "", slog.String("detail", e.Detail))
	r.cfg.Logger.LogAttrs(context.Background(), level, "training: "+e.Kind.String(), attrs...)
}
