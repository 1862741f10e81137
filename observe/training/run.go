package training

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// endingTakes is how long sinks have to take what is left, once Run is to end.
const endingTakes = 5 * time.Second

// ErrRunning is returned by a second Run.
var ErrRunning = errors.New("training: Run was called before")

// Run writes the histories and the ledger file, and watches for hangs, until ctx
// ends. Then it gives the sinks what is left, closes them, and marks the ledger as
// closed; that takes at most 5 s. It returns nil, or what could not be written.
// Call it once.
func (r *Recorder) Run(ctx context.Context) error {
	if r == nil {
		<-ctx.Done()
		return nil
	}
	if r.ran.Swap(true) {
		return ErrRunning
	}
	r.running.Store(true)
	defer r.running.Store(false)

	sinks, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ending := make(chan struct{})
	results := make(chan result, len(r.queues)+1)
	var names []string
	keep := func(name string, run func() error) {
		names = append(names, name)
		go func() { results <- result{name, run()} }()
	}
	for _, q := range r.queues {
		d := &drain{r: r, q: q, ctx: sinks, ending: ending, batch: make([]Record, 0, batchSize)}
		keep(q.name, d.run)
	}
	if r.cfg.LedgerPath != "" {
		keep(ledgerName, func() error { return r.keepLedger(ending) })
	}
	r.watch(ctx)
	r.summarize()
	close(ending)
	return r.finish(names, results, cancel)
}

// result is how a sink, or the ledger file, has ended.
type result struct {
	name string
	err  error
}

// finish waits for the sinks and the ledger file. The context of the sinks ends
// before the time is over, so that one that heeds it can still return. Those that do
// not are left alone.
func (r *Recorder) finish(waiting []string, results <-chan result, cancel func()) error {
	var errs []error
	early, late := time.NewTimer(endingTakes*9/10), time.NewTimer(endingTakes)
	defer early.Stop()
	defer late.Stop()
	for len(waiting) > 0 {
		select {
		case ended := <-results:
			errs = append(errs, ended.err)
			waiting = slices.DeleteFunc(waiting, func(name string) bool { return name == ended.name })
		case <-early.C:
			cancel()
		case <-late.C:
			for _, q := range r.queues {
				if slices.Contains(waiting, q.name) {
					r.closeQueue(q)
				}
			}
			errs = append(errs, fmt.Errorf("training: %d sinks did not end within %v: %q", len(waiting), endingTakes, waiting))
			waiting = nil
		}
	}
	return errors.Join(errs...)
}

// closeQueue counts what waits in a queue as dropped, and all that comes.
func (r *Recorder) closeQueue(q *queue) (lost int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return q.close()
}

// summarize puts the last record into every queue.
func (r *Recorder) summarize() {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := entry{kind: RecordSummary, at: now, step: Step{N: r.state.newest}}
	if r.state.ledger != nil {
		g := r.state.ledger.Goodput(now)
		e.ref = &g
	}
	r.put(&e)
}

// watch looks at the phase each second, until ctx ends.
func (r *Recorder) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-second.C:
			r.checkHang()
		case <-ctx.Done():
			return
		}
	}
}

// Batches are as large as tens of steps, and waiting records are looked for once
// a second.
const (
	batchSize = 1024
	lookEvery = time.Second
)

// drain brings the records of one queue to its sink.
type drain struct {
	r       *Recorder
	q       *queue
	ctx     context.Context // ends when the sink has to give up
	ending  <-chan struct{}
	batch   []Record
	failing [2]int // calls that failed since the last that did not: Write, the others
	last    error  // why calls fail
}

func (d *drain) run() error {
	look := time.NewTicker(min(lookEvery, d.r.cfg.FlushEvery))
	defer look.Stop()
	flush := time.NewTicker(d.r.cfg.FlushEvery)
	defer flush.Stop()
	for {
		select {
		case <-d.q.wake:
			d.write()
		case <-look.C:
			d.write()
		case <-flush.C:
			if d.write() {
				d.try(1, "flush", d.q.sink.Flush)
			}
		case <-d.ending:
			return d.end()
		}
	}
}

// end writes what is left and closes the sink.
func (d *drain) end() error {
	written := d.write()
	d.r.mu.Lock()
	paid := d.q.pay()
	d.r.mu.Unlock()
	if written && paid {
		written = d.write()
	}
	var lost error
	if n := d.r.closeQueue(d.q); !written {
		lost = fmt.Errorf("%d records were not written: %w", n, d.last)
	}
	d.q.done(int(d.q.next.Load() - d.q.first.Load()))
	return errors.Join(lost, d.try(1, "close", d.q.sink.Close))
}

// write empties the queue into the sink, and tries again for as long as that
// fails and there is time. It reports whether it is done.
func (d *drain) write() bool {
	for {
		batch, n := d.q.fill(d.batch[:0], &d.r.session, d.r.mfu)
		if n == 0 {
			return true
		}
		for {
			err := d.try(0, "write", func(ctx context.Context) error { return d.q.sink.Write(ctx, batch) })
			if err == nil || errors.Is(err, ErrDropped) {
				break
			}
			if !d.pause() {
				return false
			}
		}
		clear(batch)
		d.q.done(n)
	}
}

// try calls the sink: kind is the place in failing. The first failure of a spell is
// an event.
func (d *drain) try(kind int, what string, f func(context.Context) error) error {
	err := d.guard(f)
	if err == nil {
		d.failing[kind], d.last = 0, nil
		return nil
	}
	err = fmt.Errorf("training: sink %s: %s: %w", d.q.name, what, err)
	d.q.errors.Add(1)
	if d.last == nil || d.ctx.Err() == nil { // the cause, not the end of the context
		d.last = err
	}
	d.failing[kind]++
	if d.failing[kind] == 1 {
		d.r.sinkFailing(d.q.name, err)
	}
	return err
}

// guard turns a panic of the sink into an error.
func (d *drain) guard(f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f(d.ctx)
}

// pause waits before the next try: 0.5 s, doubled each time up to 30 s, of which
// a random half is left out. It reports whether to try again. Once Run is to end,
// pauses are short.
func (d *drain) pause() bool {
	full, ending := min(time.Second/2<<min(d.failing[0]-1, 10), 30*time.Second), d.ending
	select {
	case <-ending:
		full, ending = time.Second/4, nil
	default:
	}
	t := time.NewTimer(full/2 + rand.N(full/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ending:
	case <-d.ctx.Done():
	}
	return d.ctx.Err() == nil
}

// sinkFailing tells that a sink, or the ledger file, has begun to fail.
func (r *Recorder) sinkFailing(name string, err error) {
	var found findings
	r.mu.Lock()
	r.found(&found, Event{Kind: EventSinkFailing, Step: r.state.newest, Onset: r.state.newest, At: time.Now(), Signal: name, Detail: err.Error()})
	r.mu.Unlock()
	r.tell(found)
}
