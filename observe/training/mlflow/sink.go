package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/calmops/calm/observe/training"
)

// Sink writes the history of a run to an MLflow server. A Recorder calls its Name,
// Write, Flush and Close; RunID and Stats may be called by any goroutine.
type Sink struct {
	cfg Config
	api api

	run          string // its ID as a JSON string; "" before it is found
	experiment   string // its ID; "" before it is found
	missing      bool   // there was no experiment of that name
	created      string // value of createdTag
	maybeCreated bool   // a creation of the run was not answered
	head         []item // params and tags that wait to be added

	open    body   // is being filled
	sending body   // is sealed
	wire    []byte // sending as it is sent, and sent again; nil if nothing is sealed
	finite  bool   // wire lacks what is not finite
	unsure  bool   // the server may have taken wire

	taken     int       // records of the batch that are added
	lost      error     // what was given up since the last time that was told
	notBefore time.Time // the server wants no request before
	sentAt    time.Time // the last request

	keys      map[string]string // tags to metric keys as JSON strings
	stamp     int64             // number of the last numbered tag
	events    int               // tags written for events
	moves     int               // tags written for resumes and rollbacks
	summaryAt time.Time         // of the record that ends a session; zero before

	summaryAdded int // metrics of that record that are added, while some are not

	mu    sync.Mutex
	runID string
	stats Stats
}

// Stats counts what a Sink has done.
type Stats struct {
	Points    int64 // metrics that the server has accepted
	Resent    int64 // batches sent again, with the same bytes, since the server may have taken them
	NonFinite int64 // NaN and infinities left out since the server refused them
	Truncated int64 // keys and values that were cut to the server's limits
	Dropped   int64 // metrics, params and tags given up
}

// New returns a Sink, or every fault of the Config. It sends nothing: the run is
// found or created by the first Write.
func New(cfg Config) (*Sink, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, api: api{base: cfg.URL, timeout: cfg.Timeout}, keys: map[string]string{}}
	if cfg.Client != nil {
		s.api.client = *cfg.Client
	}
	// A redirect can turn a POST into a GET, which would lose the batch.
	s.api.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, nil
}

// Name is "mlflow".
func (s *Sink) Name() string { return "mlflow" }

// RunID returns the run's ID, "" until it is found or created. Keep it beside the
// checkpoints, as the Config.RunID of a process that goes on.
func (s *Sink) RunID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runID
}

// Stats returns the counters.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// count changes the counters.
func (s *Sink) count(change func(*Stats)) {
	s.mu.Lock()
	change(&s.stats)
	s.mu.Unlock()
}

// Write takes the records, and sends them as soon as BatchEvery or BatchMetrics
// says so. It makes one attempt for each request: a server that cannot be reached
// or fails is an error, and the same batch is wanted again. An error that wraps
// training.ErrDropped says that something was given up, and that the rest was
// taken.
func (s *Sink) Write(ctx context.Context, batch []training.Record) error {
	if len(batch) == 0 {
		return nil
	}
	if err := s.start(ctx, &batch[0]); err != nil {
		if isRefused(err) {
			s.drop(len(batch), err)
			return s.done()
		}
		return err
	}
	if err := s.addHead(ctx); err != nil {
		return err
	}
	for ; s.taken < len(batch); s.taken++ {
		if err := s.add(ctx, &batch[s.taken]); err != nil {
			return err
		}
	}
	if s.wire != nil || time.Since(s.sentAt) >= s.cfg.BatchEvery {
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	s.taken = 0
	return s.done()
}

// Flush sends what waits, in one attempt.
func (s *Sink) Flush(ctx context.Context) error {
	if s.run == "" {
		return nil
	}
	if err := s.send(ctx); err != nil {
		return err
	}
	return s.done()
}

// Close sends what waits and ends the run: FINISHED if there was a summary, else
// KILLED. It tries again for as long as ctx and Config.Timeout allow, with a third
// of that for one try. What could not be sent is counted as dropped, and the run
// then stays RUNNING.
func (s *Sink) Close(ctx context.Context) error {
	if s.run == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := s.persist(ctx, s.send); err != nil {
		s.drop(s.sending.items()+s.open.items()+len(s.head), err)
		return s.done()
	}
	status, end := "KILLED", time.Now()
	if !s.summaryAt.IsZero() {
		status, end = "FINISHED", s.summaryAt
	}
	err := s.persist(ctx, func(ctx context.Context) error { return s.update(ctx, s.RunID(), status, end) })
	return errors.Join(s.done(), err)
}

// persist calls f until it succeeds, the server refuses it, or ctx ends.
func (s *Sink) persist(ctx context.Context, f func(context.Context) error) error {
	var err error
	for pause := time.Second / 4; ; pause = min(2*pause, 2*time.Second) {
		wait := time.Until(s.notBefore)
		if wait > 0 {
			err = errors.Join(err, s.mayCall())
		} else {
			try, cancel := context.WithTimeout(ctx, s.cfg.Timeout/3)
			err = f(try)
			cancel()
			if err == nil || isRefused(err) {
				return err
			}
			s.heed(err)
			wait = max(pause, time.Until(s.notBefore))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// send sends all that waits, or returns why it could not. What is refused is
// dropped, and no reason to stop.
func (s *Sink) send(ctx context.Context) error {
	if err := s.addHead(ctx); err != nil {
		return err
	}
	return s.sendBodies(ctx)
}

// sendBodies sends the sealed body and the open one.
func (s *Sink) sendBodies(ctx context.Context) error {
	for s.wire != nil || s.open.items() > 0 {
		if s.wire == nil {
			s.open, s.sending = s.sending, s.open
			s.wire, s.finite, s.unsure = s.sending.encode(s.run, true), false, false
		}
		if err := s.sendSealed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sendSealed makes one attempt to send the sealed body. Without an error it is
// dealt with, or has become another.
func (s *Sink) sendSealed(ctx context.Context) error {
	if err := s.mayCall(); err != nil {
		return err
	}
	if s.unsure {
		s.count(func(c *Stats) { c.Resent++ })
	}
	err := s.api.call(ctx, http.MethodPost, "runs/log-batch", s.wire, nil)
	s.sentAt = time.Now()
	if err == nil {
		s.accepted()
		return nil
	}
	s.heed(err)
	e, ok := errors.AsType[*callError](err)
	switch {
	case !ok:
		return err
	case e.verdict == notTaken:
		return err
	case e.verdict == ambiguous && s.cfg.OnAmbiguous == Resend:
		s.unsure = true
		return err
	case e.verdict == refused && s.sending.nonfinite > 0 && !s.finite && (e.status == http.StatusBadRequest || e.status == http.StatusUnprocessableEntity):
		s.wire, s.finite, s.unsure = s.sending.encode(s.run, false), true, false
		if s.sending.items() == s.sending.nonfinite {
			s.accepted() // nothing is left
		}
		return nil
	}
	s.drop(s.sending.items(), err)
	s.unseal()
	return nil
}

// accepted counts the sealed body and lets go of it.
func (s *Sink) accepted() {
	s.count(func(c *Stats) {
		c.Points += int64(s.sending.count[metric])
		if s.finite {
			c.Points -= int64(s.sending.nonfinite)
			c.NonFinite += int64(s.sending.nonfinite)
		}
	})
	s.unseal()
}

func (s *Sink) unseal() {
	s.sending.reset()
	s.wire = nil
}

// mayCall returns an error while the server wants no request.
func (s *Sink) mayCall() error {
	if wait := time.Until(s.notBefore); wait > 0 {
		return fmt.Errorf("mlflow: the server wants no request for another %v", wait.Round(time.Millisecond))
	}
	return nil
}

// heed remembers how long a server wants us to wait.
func (s *Sink) heed(err error) {
	if e, ok := errors.AsType[*callError](err); ok && e.retryAfter > 0 {
		s.notBefore = time.Now().Add(e.retryAfter)
	}
}

// drop counts what is given up. The first reason is told.
func (s *Sink) drop(items int, why error) {
	s.count(func(c *Stats) { c.Dropped += int64(items) })
	if s.lost == nil {
		s.lost = fmt.Errorf("%w: %w", training.ErrDropped, why)
	}
}

// done returns what was given up, once.
func (s *Sink) done() error {
	err := s.lost
	s.lost = nil
	return err
}
