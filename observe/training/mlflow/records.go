package mlflow

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/calmops/calm/observe/training"
)

// item is a param or a tag that waits for a place in a body. Its texts are JSON.
type item struct {
	kind       kind
	key, value string
}

// queue has a param or tag added before all else.
func (s *Sink) queue(k kind, key, value string, limit int) {
	key = s.name(key)
	s.head = append(s.head, item{k, jsonString(key), jsonString(s.text(value, limit))})
}

// addHead adds what waits.
func (s *Sink) addHead(ctx context.Context) error {
	for len(s.head) > 0 {
		h := &s.head[0]
		if err := s.reserve(ctx, h.kind, 1, len(h.key)+len(h.value)+32); err != nil {
			return err
		}
		s.open.addPair(h.kind, h.key, h.value)
		s.head = s.head[1:]
	}
	return nil
}

// name returns the name under which a server accepts a key.
func (s *Sink) name(key string) string {
	name, cut := keyName(key)
	if cut {
		s.count(func(c *Stats) { c.Truncated++ })
	}
	return name
}

func (s *Sink) text(value string, limit int) string {
	text, cut := plainText(value, limit)
	if cut {
		s.count(func(c *Stats) { c.Truncated++ })
	}
	return text
}

// reserve makes room in the open body, and sends it if there is none.
func (s *Sink) reserve(ctx context.Context, k kind, n, bytes int) error {
	if s.open.fits(k, n, bytes, s.cfg.BatchMetrics) {
		return nil
	}
	return s.sendBodies(ctx)
}

// add adds what a record becomes. After an error it is called again with the same
// record.
func (s *Sink) add(ctx context.Context, r *training.Record) error {
	switch r.Kind {
	case training.RecordStep, training.RecordScalar:
		return s.addMetric(ctx, r.Tag, r.Value, r)
	case training.RecordSession:
		if r.Step > 1 {
			return s.addNumbered(ctx, &s.moves, "calm.resume.", strconv.FormatInt(r.Step, 10), r.At)
		}
	case training.RecordRollback:
		return s.addNumbered(ctx, &s.moves, "calm.rollback.", fmt.Sprintf("%d %s", r.Step, r.Text), r.At)
	case training.RecordCheckpoint:
		return s.addTag(ctx, "calm.checkpoint", strconv.FormatInt(r.Step, 10))
	case training.RecordEvent:
		if r.Event != nil {
			return s.addNumbered(ctx, &s.events, "calm.event.", eventText(r.Event), r.At)
		}
	case training.RecordSummary:
		return s.addSummary(ctx, r)
	}
	return nil
}

// maxKeys bounds the memory of keys; further tags are translated each time.
const maxKeys = 4096

func (s *Sink) key(tag string) string {
	key, ok := s.keys[tag]
	if !ok {
		key = jsonString(s.name(tag))
		if len(s.keys) < maxKeys {
			s.keys[tag] = key
		}
	}
	return key
}

func (s *Sink) addMetric(ctx context.Context, tag string, value float64, r *training.Record) error {
	key := s.key(tag)
	if err := s.reserve(ctx, metric, 1, len(key)+metricBytes); err != nil {
		return err
	}
	s.open.addMetric(key, value, r.At, r.Step)
	return nil
}

func (s *Sink) addTag(ctx context.Context, key, value string) error {
	key, value = jsonString(key), jsonString(value)
	if err := s.reserve(ctx, tag, 1, len(key)+len(value)+32); err != nil {
		return err
	}
	s.open.addPair(tag, key, value)
	return nil
}

// maxNumbered bounds the tags of events, and those of resumes and rollbacks, that
// a Sink writes: a run is shown with all of its tags.
const maxNumbered = 1000

// addNumbered adds a tag under a number that no other has, of this process or of
// one before it: the time in milliseconds, or the next free.
func (s *Sink) addNumbered(ctx context.Context, written *int, prefix, value string, at time.Time) error {
	if *written >= maxNumbered {
		s.count(func(c *Stats) { c.Dropped++ })
		return nil
	}
	stamp := max(at.UnixMilli(), s.stamp+1)
	if err := s.addTag(ctx, prefix+strconv.FormatInt(stamp, 10), strings.TrimSpace(s.text(value, maxTag))); err != nil {
		return err
	}
	s.stamp = stamp
	*written++
	return nil
}

// eventText says in one line what an event holds.
func eventText(e *training.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: step %d", e.Kind, e.Step)
	add := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(&b, format, args...)
		}
	}
	add(e.Onset != 0 && e.Onset != e.Step, ", since step %d", e.Onset)
	add(e.Signal != "", ", %s", e.Signal)
	add(e.Value != 0, ", value %g", e.Value)
	add(e.Limit != 0, ", limit %g", e.Limit)
	add(e.Score != 0, ", score %g", e.Score)
	add(e.Kind == training.EventStraggler, ", rank %d", e.Rank)
	add(e.Since != 0, ", for %v", e.Since.Round(time.Millisecond))
	add(e.RollbackTo != 0, "; roll back to %d", e.RollbackTo)
	add(e.SkipMax != 0, ", skip %d to %d batches", e.SkipMin, e.SkipMax)
	add(e.Detail != "", "; %s", e.Detail)
	return b.String()
}

// addSummary adds the account of time as metrics, and remembers the end. The
// metrics need not fit into one body, so it remembers how many it has added.
func (s *Sink) addSummary(ctx context.Context, r *training.Record) error {
	s.summaryAt = r.At
	g := r.Goodput
	if g == nil {
		return nil
	}
	var keys []string
	var values []float64
	add := func(key string, value float64) { keys, values = append(keys, key), append(values, value) }
	add("goodput/ratio", g.Ratio)
	add("goodput/elapsed_seconds", g.Elapsed.Seconds())
	add("goodput/productive_seconds", g.Productive.Seconds())
	for c, d := range g.Badput {
		add("goodput/badput_seconds/"+training.Cause(c).String(), d.Seconds())
	}
	add("goodput/interruptions", float64(g.Interruptions))
	add("goodput/rollbacks", float64(g.Rollbacks))
	for ; s.summaryAdded < len(keys); s.summaryAdded++ {
		if err := s.addMetric(ctx, keys[s.summaryAdded], values[s.summaryAdded], r); err != nil {
			return err
		}
	}
	s.summaryAdded = 0
	return nil
}
