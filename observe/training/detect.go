package training

import (
	"fmt"
	"time"
)

// detect lets the detectors look at a step.
func (r *Recorder) detect(s *Step, now time.Time, found *findings) {
	st := &r.state
	event := func(k EventKind, signal string) Event {
		return Event{Kind: k, Step: s.N, Onset: s.N, At: now, Signal: signal}
	}
	bad := st.nonfinite.Observe(*s)
	if bad.Loss {
		r.found(found, r.advise(event(EventNonFinite, "loss"), s.Loss))
	}
	if bad.GradNorm {
		r.found(found, r.advise(event(EventNonFinite, "grad_norm"), s.GradNorm))
	}
	r.spike(&st.lossSpike, event(EventSpike, "loss"), s.Loss, &st.count.lossSpikes, found)
	if st.seen&hasGradNorm != 0 {
		r.spike(&st.normSpike, event(EventSpike, "grad_norm"), s.GradNorm, &st.count.normSpikes, found)
	}
	if r.cfg.Rank == 0 {
		r.trend(event(EventDiverging, "loss"), s.Loss, found)
	}
	st.hang.Step(s.Duration)
}

// advise completes the event of a value that is no number: the state before this
// step is the last that is known to be sound, the batch is the suspect.
func (r *Recorder) advise(e Event, value float64) Event {
	e.Value, e.RollbackTo, e.SkipMin, e.SkipMax = value, r.checkpoint(e.Step-1), 1, 1
	return e
}

func (r *Recorder) spike(d *Spike, e Event, value float64, episodes *int64, found *findings) {
	v := d.Observe(e.Step, value)
	if !v.Found {
		return
	}
	e.Kind, e.Onset, e.Value, e.Limit, e.Score = v.Kind, v.Onset, v.Value, v.Limit, v.Score
	switch v.Kind {
	case EventSpike:
		*episodes++
		e.RollbackTo, e.SkipMin, e.SkipMax = r.checkpoint(v.SafeStep), v.SkipMin, v.SkipMax
	case EventSpikeEnd:
		e.Value = v.Peak
		e.Detail = fmt.Sprintf("%d steps long, peak %.6g", v.Length, v.Peak)
	case EventLevelShift:
		e.Detail = fmt.Sprintf("the median is now %.6g", v.Median)
	}
	r.found(found, e)
}

func (r *Recorder) trend(e Event, loss float64, found *findings) {
	v := r.state.trend.Observe(e.Step, loss)
	if v.Diverging {
		e.Onset, e.Value, e.Limit, e.RollbackTo = v.Onset, v.Short, v.Limit, r.checkpoint(v.Onset-1)
		e.Detail = "the mean loss keeps rising: an earlier checkpoint, with a lower learning rate"
		r.found(found, e)
	}
	if v.Plateau {
		e.Kind, e.Onset, e.Value, e.Limit, e.RollbackTo = EventPlateau, v.BestStep, v.Short, v.Best, 0
		e.Detail = fmt.Sprintf("no new best for %d steps", v.Stalled)
		r.found(found, e)
	}
}

// checkHang looks at how long the present phase has lasted.
func (r *Recorder) checkHang() {
	now := time.Now()
	var found findings
	r.mu.Lock()
	st := &r.state
	if v := st.hang.Check(now, st.phase, st.mark); v.Found {
		e := Event{Kind: v.Kind, Step: st.newest, Onset: st.newest, At: now, Signal: v.Phase.String(),
			Value: v.Age.Seconds(), Limit: v.Limit.Seconds(), Since: v.Age}
		if v.Kind == EventHang {
			e.RollbackTo = r.checkpoint(st.newest)
			e.Detail = "in phase " + v.Phase.String() + " without progress; a stack dump of each process and, with NCCL, its flight recorder " +
				"(TORCH_NCCL_TRACE_BUFFER_SIZE, TORCH_NCCL_DUMP_ON_TIMEOUT) say where"
		}
		r.found(&found, e)
	}
	r.mu.Unlock()
	r.tell(found)
}

// rankTimes judges one window of the ranks' times.
func (r *Recorder) rankTimes(t []time.Duration, now time.Time, found *findings) {
	st := &r.state
	st.lags = st.straggler.Observe(t, st.lags)
	st.worst, st.stragglers = 0, 0
	for _, l := range st.lags {
		if l.Score > 0 && (st.worst == 0 || l.Score < st.worst) {
			st.worst = l.Score
		}
		if !l.Flagged {
			continue
		}
		st.stragglers++
		if l.Changed {
			r.found(found, Event{Kind: EventStraggler, Step: st.newest, Onset: st.newest, At: now, Rank: l.Rank, Score: l.Score,
				Value: t[l.Rank].Seconds(), Detail: fmt.Sprintf("%.2f of its own best speed", l.OwnScore)})
		}
	}
}
