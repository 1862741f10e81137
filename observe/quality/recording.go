package quality

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/calmops/calm/observe/quality/drift"
	"github.com/calmops/calm/observe/quality/text"
)

// recording is one call of a Monitor, under its lock.
type recording struct {
	m     *Monitor
	task  *task
	tally *tally // the slot of now
	now   time.Time
	bad   bool // something was refused
	found []Drift
}

// record finds the place of a task and a version, has f record there, and tells
// what was found when the lock is free again.
func (m *Monitor) record(taskName, versionName string, f func(*recording)) {
	if m == nil {
		return
	}
	r := recording{m: m, now: time.Now()}
	m.mu.Lock()
	r.task = m.task(plain(taskName))
	v := m.version(r.task, plain(versionName))
	r.tally = v.window.At(r.now)
	f(&r)
	if !r.bad {
		v.samples++
	}
	m.mu.Unlock()
	for _, d := range r.found {
		m.tell(d)
	}
}

// tell gives a drift to the user.
func (m *Monitor) tell(d Drift) {
	if m.cfg.OnDrift == nil {
		return
	}
	defer func() {
		if recover() != nil {
			m.mu.Lock()
			m.panics++
			m.mu.Unlock()
		}
	}()
	m.cfg.OnDrift(d)
}

// plain returns a name as it is kept: a hostile one must not fill the memory, and
// two that are no UTF-8 must not become one label later.
func plain(name string) string {
	if len(name) <= labelBytes {
		name = strings.ToValidUTF8(name, "\ufffd")
	}
	if len(name) > labelBytes {
		return other
	}
	return name
}

func (m *Monitor) task(name string) *task {
	t := m.tasks[name]
	if t == nil {
		if name != other && len(m.tasks) >= m.cfg.MaxTasks {
			return m.task(other)
		}
		t = &task{name: name, versions: map[string]*version{}}
		m.tasks[name] = t
	}
	return t
}

func (m *Monitor) version(t *task, name string) *version {
	v := t.versions[name]
	if v == nil {
		if name != other && len(t.versions) >= m.cfg.MaxVersions {
			return m.version(t, other)
		}
		v = &version{window: m.newWindow()}
		t.versions[name] = v
	}
	return v
}

// accepts counts a value that cannot be.
func (r *recording) accepts(x, low, high float64) bool {
	reason := ""
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		reason = refusedNotFinite
	case x < low || x > high:
		reason = refusedRange
	default:
		return true
	}
	r.m.refused[refusedKey{r.task.name, reason}]++
	r.bad = true
	return false
}

// feed gives a value to the stream of the task and a metric.
func (r *recording) feed(metric string, x float64, errors bool) {
	s := r.m.stream(streamName(r.task.name, metric))
	s.errors = errors
	r.found = s.observe(x, r.now, r.found)
}

func streamName(task, metric string) string {
	if metric == "" {
		return task
	}
	return task + "/" + metric
}

// stream returns a stream. Those of tasks are bounded as the tasks are.
func (m *Monitor) stream(name string) *stream {
	s := m.streams[name]
	if s == nil {
		s = &stream{name: name, adwin: *m.cfg.ADWIN.Clone(), ddm: m.cfg.DDM}
		if m.cfg.PageHinkley != nil {
			own := *m.cfg.PageHinkley
			s.pageHinkley = &own
		}
		m.streams[name] = s
	}
	return s
}

// compared adds a text that has a reference.
func (r *recording) compared(bleu *text.BLEU, chrf *text.ChrF, sentenceBLEU, sentenceChrF float64) {
	_ = r.tally.compare(bleu, chrf) // all have the Config of the Monitor, so none refuses
	r.feed("bleu", sentenceBLEU/100, false)
	r.feed("chrf", sentenceChrF/100, false)
}

// lengthRatio compares an answer's tokens with the task's reference. The first
// answers are the reference.
func (r *recording) lengthRatio(tokens int) float64 {
	if tokens <= 0 {
		return math.NaN()
	}
	if r.task.lengths.n < r.m.cfg.Baseline {
		r.task.lengths.add(float64(tokens))
	}
	return float64(tokens) / r.task.referenceLength(r.m.cfg.Baseline)
}

// referenceLength is the mean that lengths are compared with; NaN while it is not
// known.
func (t *task) referenceLength(baseline int64) float64 {
	if t.lengths.n < baseline {
		return math.NaN()
	}
	return t.lengths.value()
}

// maxReference bounds the sample of a reference: comparing 1024 values with as many
// takes up to a millisecond.
const maxReference = 1024

// setReference makes the reference of a stream.
func (m *Monitor) setReference(name string, sample []float64) error {
	r, err := drift.NewReference(drift.ReferenceConfig{Sample: thinned(sample)})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	taskName, metric := m.ownerOf(name)
	var lengths mean
	if metric == "output_tokens" {
		for _, x := range sample {
			lengths.add(x)
		}
		n := max(lengths.n, m.cfg.Baseline)
		lengths = mean{n: n, sum: lengths.value() * float64(n)}
		if !(lengths.sum > 0) || math.IsInf(lengths.sum, 1) {
			return fmt.Errorf("%w: the sample of %.100q has the mean %v: want a positive length", ErrInput, name, lengths.value())
		}
	}
	t := m.task(taskName)
	s := m.stream(streamName(t.name, metric))
	if metric == "output_tokens" {
		t.lengths = lengths
		logs := make([]float64, len(sample))
		for i, x := range sample {
			logs[i] = math.Log2(1 + max(x, 0))
		}
		r, err = drift.NewReference(drift.ReferenceConfig{Sample: thinned(logs)})
	}
	s.reference, s.recent = r, ring{}
	return err
}

// ownerOf splits a stream's name into its task and metric: the part behind the last
// slash is a metric if it is one of those that are recorded, unless there is a task
// of the whole name.
func (m *Monitor) ownerOf(name string) (task, metric string) {
	if m.tasks[plain(name)] != nil {
		return plain(name), ""
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			if slices.Contains(streamMetrics[:], name[i+1:]) {
				return plain(name[:i]), name[i+1:]
			}
			break
		}
	}
	return plain(name), ""
}

// streamMetrics are the metrics that feed streams of their own.
var streamMetrics = [...]string{"error", "brier", "nll", "bleu", "chrf", "empty", "truncated", "refused", "script_mismatch",
	"output_tokens", "distinct_1", "distinct_2", "repeated_run", "feedback_down", "judge"}

// thinned returns at most maxReference of the values, evenly by rank.
func thinned(sample []float64) []float64 {
	if len(sample) <= maxReference {
		return sample
	}
	sorted := slices.Sorted(slices.Values(sample))
	out := make([]float64, maxReference)
	for i := range out {
		out[i] = sorted[i*(len(sorted)-1)/(maxReference-1)]
	}
	return out
}
