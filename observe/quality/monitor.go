package quality

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/calmops/calm/observe/quality/drift"
	"github.com/calmops/calm/observe/quality/text"
)

// Config configures a Monitor. The zero value is valid.
type Config struct {
	// MaxTasks is how many tasks have figures of their own; further ones share
	// "other", and so do names of more than 256 bytes. At most 1000. Defaults to 64.
	MaxTasks int
	// MaxVersions is how many versions of a task do. At most 100. Defaults to 8.
	MaxVersions int
	// MaxLabels is how many classes of a task do. A version with as many takes 8 bytes
	// x MaxLabels^2 x Slots: 400 kB by default. At most 1024. Defaults to 64.
	MaxLabels int

	// Window is over how long scores are computed. Defaults to an hour.
	Window time.Duration
	// Slots is in how many parts the window moves on: 1 to 120. Defaults to 12.
	Slots int

	// MaxText is how many bytes of a text are measured. At most 1 MiB. Defaults to
	// 64 KiB.
	MaxText int
	// Scripts are the scripts that answers are written in, by their names in
	// Unicode, such as "Latin". Defaults to none: any script will do.
	Scripts []string
	// Refusals are the openings of answers that decline. Defaults to
	// text.Openings, which are English.
	Refusals []string
	// Baseline is how many answers of a task, from its first on, make the mean
	// output length that later ones are compared with, unless there is a Reference
	// for it. Defaults to 200.
	Baseline int64
	// BLEU and ChrF configure the metrics of answers with a reference. Default to
	// those of sacreBLEU.
	BLEU text.BLEUConfig
	// ChrF configures chrF.
	ChrF text.ChrFConfig

	// ADWIN watches every stream. Its zero value has documented defaults.
	ADWIN drift.ADWIN
	// DDM watches the streams of classification errors. Here its Warm defaults to
	// 300: after 30 values, the first of the rare errors of a good classifier would
	// be a drift.
	DDM drift.DDM
	// PageHinkley watches every stream too, if it is set: its thresholds are in the
	// unit of the values, so it has no default that fits all.
	PageHinkley *drift.PageHinkley

	// OnDrift is told of every drift and every beginning of a warning, on the
	// goroutine that recorded the value. Calls may be concurrent; it may call the
	// Monitor. A panic in it is caught and counted. Defaults to none.
	OnDrift func(Drift)
}

// other stands for names beyond a bound.
const other = "other"

func (c Config) withDefaults() (Config, error) {
	var faults []error
	whole := func(field string, v *int, most, def int) {
		if *v == 0 {
			*v = def
		}
		if *v < 1 || *v > most {
			faults = append(faults, fmt.Errorf("quality: Config.%s is %d: want 1 to %d", field, *v, most))
		}
	}
	whole("MaxTasks", &c.MaxTasks, 1000, 64)
	whole("MaxVersions", &c.MaxVersions, 100, 8)
	whole("MaxLabels", &c.MaxLabels, 1024, 64)
	whole("Slots", &c.Slots, 120, 12)
	whole("MaxText", &c.MaxText, 1<<20, 64<<10)
	if c.Window == 0 {
		c.Window = time.Hour
	}
	if c.Window < time.Duration(c.Slots) {
		faults = append(faults, fmt.Errorf("quality: Config.Window is %v: want a positive duration", c.Window))
	}
	if c.Baseline == 0 {
		c.Baseline = 200
	}
	if c.Baseline < 0 {
		faults = append(faults, fmt.Errorf("quality: Config.Baseline is %d: want a positive number", c.Baseline))
	}
	if c.DDM.Warm == 0 {
		c.DDM.Warm = 300
	}
	if c.Refusals == nil {
		c.Refusals = text.Openings()
	}
	if _, err := text.NewBLEU(c.BLEU); err != nil {
		faults = append(faults, fmt.Errorf("quality: Config.BLEU: %w", err))
	}
	if _, err := text.NewChrF(c.ChrF); err != nil {
		faults = append(faults, fmt.Errorf("quality: Config.ChrF: %w", err))
	}
	return c, errors.Join(faults...)
}

// Monitor keeps the quality of a program's models in view: scores over a moving
// window, by task and version, and drift of everything it is told. It is safe for
// concurrent use. Make one with New; a nil *Monitor does nothing.
type Monitor struct {
	cfg     Config
	measure measurer

	mu      sync.Mutex
	tasks   map[string]*task
	streams map[string]*stream
	refused map[refusedKey]int64
	panics  int64
}

// task is what is known of one task.
type task struct {
	name     string
	versions map[string]*version
	lengths  mean // of the first answers
}

// version is what is known of one version of a task.
type version struct {
	samples int64 // since the beginning
	window  *Rolling[*tally]
}

// Reasons for values that are left out.
const (
	refusedNotFinite = "not_finite"
	refusedRange     = "out_of_range"
)

type refusedKey struct{ task, reason string }

// New returns a Monitor that knows nothing yet, or every fault of the Config.
func New(cfg Config) (*Monitor, error) {
	cfg, err := cfg.withDefaults()
	m := &Monitor{cfg: cfg, tasks: map[string]*task{}, streams: map[string]*stream{}, refused: map[refusedKey]int64{}}
	m.measure = measurer{maxText: cfg.MaxText, refusals: cfg.Refusals, bleu: cfg.BLEU, chrf: cfg.ChrF}
	if len(cfg.Scripts) > 0 {
		scripts, fault := text.NewScripts(cfg.Scripts...)
		if fault != nil {
			err = errors.Join(err, fmt.Errorf("quality: Config.Scripts: %w", fault))
		}
		m.measure.scripts = scripts
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Classified records what a classifier said, and what is true. The stream
// "task/error" has 1 for each mistake.
func (m *Monitor) Classified(task, version, truth, predicted string) {
	m.record(task, version, func(r *recording) {
		r.tally.classes().Add(plain(truth), plain(predicted))
		r.feed("error", flag(truth != predicted), true)
	})
}

// Scored records the probability, 0 to 1, that a model gave to something, and
// whether it came true. The stream "task/brier" has the squared error.
func (m *Monitor) Scored(task, version string, came bool, p float64) {
	m.record(task, version, func(r *recording) {
		if !r.accepts(p, 0, 1) {
			return
		}
		r.tally.probabilities().Add(came, p)
		r.feed("brier", (p-flag(came))*(p-flag(came)), false)
	})
}

// Tokens records the negative log-likelihood, in nats, that a model gave to a text
// of so many tokens. The stream "task/nll" has the mean over the tokens.
func (m *Monitor) Tokens(task, version string, nll float64, tokens int64) {
	m.record(task, version, func(r *recording) {
		if !r.accepts(nll, 0, math.MaxFloat64) || !r.accepts(float64(tokens), 1, math.MaxInt64) {
			return
		}
		r.tally.perplexity.Add(nll, tokens)
		r.feed("nll", nll/float64(tokens), false)
	})
}

// Text records a text beside what people would have written, for BLEU and chrF.
// Without a reference it does nothing. The streams "task/bleu" and "task/chrf" have
// those of the sentence.
func (m *Monitor) Text(task, version, hypothesis string, references ...string) {
	if m == nil || len(references) == 0 {
		return
	}
	bleu, chrf := m.measure.corpora()
	sentence, _ := text.NewBLEU(m.measure.sentence())
	heads := make([]string, len(references))
	for i, r := range references {
		heads[i] = head(r, m.cfg.MaxText)
	}
	hypothesis = head(hypothesis, m.cfg.MaxText)
	bleu.Add(hypothesis, heads...)
	chrf.Add(hypothesis, heads...)
	sentence.Add(hypothesis, heads...)
	m.record(task, version, func(r *recording) { r.compared(bleu, chrf, sentence.Score().Score, chrf.Score().Score) })
}

// Value records any figure whose distribution matters: the input of a model, a
// reward, a distance. It belongs to no version: the stream bears the task's name.
func (m *Monitor) Value(task string, x float64) {
	m.record(task, "", func(r *recording) {
		if r.accepts(x, -math.MaxFloat64, math.MaxFloat64) {
			r.feed("", x, false)
		}
	})
}

// Answered records a generated text, and returns what it comes to. Each figure
// feeds a stream: "task/empty", "task/truncated", "task/refused",
// "task/script_mismatch", "task/output_tokens" (log2 of one more), "task/distinct_1",
// "task/distinct_2", "task/repeated_run" (log2 of one more), "task/bleu",
// "task/chrf", and "task/feedback_down", of the answers with feedback.
func (m *Monitor) Answered(task, version string, a Answer) Measured {
	if m == nil {
		return Measured{}
	}
	out, bleu, chrf := m.measure.measure(&a)
	m.record(task, version, func(r *recording) {
		out.LengthRatio = r.lengthRatio(out.OutputTokens)
		r.tally.answers.add(&out)
		if bleu != nil {
			r.compared(bleu, chrf, out.BLEU, out.ChrF)
		}
		r.feed("empty", flag(out.Empty), false)
		r.feed("truncated", flag(out.Truncated), false)
		r.feed("refused", flag(out.Refused), false)
		if m.measure.scripts != nil {
			r.feed("script_mismatch", flag(out.ScriptMismatch), false)
		}
		if out.OutputTokens > 0 {
			r.feed("output_tokens", math.Log2(1+float64(out.OutputTokens)), false)
		}
		if !math.IsNaN(out.Distinct1) {
			r.feed("distinct_1", out.Distinct1, false)
			r.feed("repeated_run", math.Log2(1+float64(out.RepeatedRun)), false)
		}
		if !math.IsNaN(out.Distinct2) {
			r.feed("distinct_2", out.Distinct2, false)
		}
		if out.Feedback == FeedbackUp || out.Feedback == FeedbackDown || out.Feedback == FeedbackCorrected {
			r.feed("feedback_down", flag(out.Feedback != FeedbackUp), false)
		}
	})
	return out
}

// Judged records the score that a judge gave to an answer, and the rate, above 0
// and up to 1, at which answers are given to it. The mean weighs each score by what
// it stands for, so that rates may change. The stream is "task/judge".
func (m *Monitor) Judged(task, version string, score, rate float64) {
	m.record(task, version, func(r *recording) {
		if !r.accepts(score, -math.MaxFloat64, math.MaxFloat64) || !r.accepts(rate, 1e-9, 1) {
			return
		}
		j := &r.tally.judged
		j.n++
		j.weight += 1 / rate
		j.sum += score / rate
		r.feed("judge", score, false)
	})
}

// Reference sets the sample that a stream's recent values are compared with: the
// task of Value, or a task, "/" and a metric. At least 10 values, all finite; of
// more than 1024, as many are taken, evenly by rank. That of "task/output_tokens"
// is in tokens, and replaces the first answers as what lengths are compared with.
func (m *Monitor) Reference(streamName string, sample []float64) error {
	if m == nil {
		return nil
	}
	return m.setReference(streamName, sample)
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
