package training

import (
	"sync/atomic"
	"time"
)

// entry is what waits for a sink: a step whole, or one record of another kind.
// It has one size, and holds pointers only to what never changes.
type entry struct {
	kind RecordKind
	emit valueSet // RecordStep: which values are shown
	at   time.Time
	step Step // RecordStep; else only N is set

	tokens  int64   // RecordStep: all so far
	seconds float64 // RecordStep: how long it took
	value   float64 // RecordScalar
	tag     string
	ref     any // *Histogram, *Event, *Goodput
}

// valueSet says which values of a step are known: one appears from the first
// step that has it.
type valueSet uint16

const (
	hasLossMax valueSet = 1 << iota
	hasGradNorm
	hasLearningRate
	hasLossScale
	hasTokens
	hasMFU
	hasDataWait
	hasSkipped
)

// values returns what a step tells about itself.
func (s *Step) values() valueSet {
	var v valueSet
	set := func(is bool, bit valueSet) {
		if is {
			v |= bit
		}
	}
	set(s.LossMax != 0, hasLossMax)
	set(s.GradNorm != 0, hasGradNorm)
	set(s.LearningRate != 0, hasLearningRate)
	set(s.LossScale != 0, hasLossScale)
	set(s.Tokens != 0, hasTokens)
	set(s.DataWait != 0, hasDataWait)
	set(s.Skipped, hasSkipped)
	return v
}

// maxValues is the largest number of records that an entry becomes.
const maxValues = 11

// appendRecords appends what an entry says to a batch. mfu is the factor from
// tokens a second to MFU.
func (e *entry) appendRecords(batch []Record, session *Session, mfu float64) []Record {
	r := Record{Kind: e.kind, Session: session, At: e.at, Step: e.step.N, Tag: e.tag, Value: e.value}
	if e.kind != RecordStep {
		switch ref := e.ref.(type) {
		case *Histogram:
			r.Histogram = ref
		case *Event:
			r.Event = ref
		case *Goodput:
			r.Goodput = ref
		}
		if e.kind == RecordRollback {
			r.Text, r.Tag = r.Tag, ""
		}
		return append(batch, r)
	}
	add := func(is bool, tag string, value float64) {
		if is {
			r.Tag, r.Value = tag, value
			batch = append(batch, r)
		}
	}
	s, has := &e.step, func(bit valueSet) bool { return e.emit&bit != 0 }
	add(true, "train/loss", s.Loss)
	add(has(hasLossMax), "train/loss_max", s.LossMax)
	add(has(hasGradNorm), "train/grad_norm", s.GradNorm)
	add(has(hasLearningRate), "train/learning_rate", s.LearningRate)
	add(has(hasLossScale), "train/loss_scale", s.LossScale)
	add(has(hasTokens), "train/tokens", float64(e.tokens))
	if e.seconds > 0 {
		perSecond := float64(s.Tokens) / e.seconds
		add(has(hasTokens), "train/tokens_per_second", perSecond)
		add(has(hasMFU), "train/mfu", perSecond*mfu)
	}
	add(e.seconds > 0, "train/step_seconds", e.seconds)
	add(has(hasDataWait), "train/data_wait_seconds", s.DataWait.Seconds())
	skipped := 0.0
	if s.Skipped {
		skipped = 1
	}
	add(has(hasSkipped), "train/skipped", skipped)
	return batch
}

// queue is the ring of one sink. Whoever holds the Recorder's lock puts entries
// in; the sink's goroutine takes them out, without it.
type queue struct {
	sink  Sink
	ring  []entry
	first atomic.Int64  // number of the oldest entry that waits
	next  atomic.Int64  // number of the next entry
	wake  chan struct{} // of one element: half full
	name  string

	owed entry // a restart or rollback that found no place, if owes
	owes bool

	closed  atomic.Bool  // nothing is taken any more
	dropped atomic.Int64 // records that found no place
	errors  atomic.Int64 // failed calls of the sink
}

func newQueue(s Sink, size int) *queue {
	return &queue{sink: s, name: s.Name(), ring: make([]entry, size), wake: make(chan struct{}, 1)}
}

// put adds an entry, or counts it as dropped. A restart or a rollback waits for a
// place instead, since the history would have steps twice without it.
func (q *queue) put(e *entry) {
	q.pay()
	if !q.closed.Load() && !q.owes && q.push(e) {
		return
	}
	if q.closed.Load() || e.kind != RecordSession && e.kind != RecordRollback {
		q.dropped.Add(1)
		return
	}
	from := e.step.N
	if q.owes { // one entry stands for both
		q.dropped.Add(1)
		from = min(from, q.owed.step.N)
	}
	q.owed, q.owes = *e, true
	q.owed.step.N = from
}

// pay adds what is owed, and reports whether it has.
func (q *queue) pay() bool {
	if !q.owes || q.closed.Load() || !q.push(&q.owed) {
		return false
	}
	q.owed, q.owes = entry{}, false
	return true
}

// push adds an entry if there is a place.
func (q *queue) push(e *entry) bool {
	next := q.next.Load()
	waiting := int(next - q.first.Load())
	if waiting >= len(q.ring) {
		return false
	}
	q.ring[next%int64(len(q.ring))] = *e
	q.next.Store(next + 1)
	if waiting == len(q.ring)/2 {
		q.poke()
	}
	return true
}

// close counts what waits as dropped, and all that comes. It returns how much waits.
func (q *queue) close() int64 {
	if q.closed.Swap(true) {
		return 0
	}
	n := q.next.Load() - q.first.Load()
	if q.owes {
		n++
	}
	q.owed, q.owes = entry{}, false
	q.dropped.Add(n)
	return n
}

// poke wakes the sink's goroutine.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// fill turns waiting entries into a batch of at most cap(batch) records. It
// returns how many entries the batch holds; they wait until done is told.
func (q *queue) fill(batch []Record, session *Session, mfu float64) ([]Record, int) {
	if q.closed.Load() {
		return batch, 0
	}
	first, next := q.first.Load(), q.next.Load()
	n := 0
	for first+int64(n) < next && len(batch)+maxValues <= cap(batch) {
		batch = q.ring[(first+int64(n))%int64(len(q.ring))].appendRecords(batch, session, mfu)
		n++
	}
	return batch, n
}

// done gives the places of n entries back, and lets go of what they point to.
func (q *queue) done(n int) {
	first := q.first.Load()
	for i := range int64(n) {
		q.ring[(first+i)%int64(len(q.ring))] = entry{}
	}
	q.first.Store(first + int64(n))
}
