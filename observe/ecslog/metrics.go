package ecslog

import (
	"sync/atomic"

	"github.com/calmops/calm/observe"
)

// Counts are the counters of the lines of one level.
type Counts struct {
	Lines       uint64 // written
	Sampled     uint64 // left out by Sample
	TooLong     uint64 // that lost attributes, as they had more than Config.MaxLineBytes or 4096 fields
	WriteErrors uint64 // whose Write failed or was short
}

// Drops says what became of all lines of a Handler and those derived from it, by
// level.
type Drops struct {
	Debug Counts // below slog.LevelInfo
	Info  Counts // below slog.LevelWarn
	Warn  Counts // below slog.LevelError
	Error Counts // the others
}

// Dropped returns the counters.
func (h *Handler) Dropped() Drops {
	c := &h.core.counters
	return Drops{c[0].read(), c[1].read(), c[2].read(), c[3].read()}
}

// counters are those of each level.
type counters [numLevels]levelCounters

type levelCounters struct {
	lines, sampled, tooLong, writeErrors atomic.Uint64
}

func (c *levelCounters) read() Counts {
	return Counts{c.lines.Load(), c.sampled.Load(), c.tooLong.Load(), c.writeErrors.Load()}
}

// Metrics returns the table of what a Handler exports, and how each value is read
// from its Drops. The caller owns the result.
func Metrics() []observe.Reading[*Drops] {
	t := []observe.Reading[*Drops]{
		{Metric: observe.Metric{Prometheus: "llm_log_lines_total", OTel: "llm.log.lines", Kind: observe.KindCounter, Unit: "{line}",
			Labels: []string{"level"}, Help: "Log lines written."},
			Values: func(d *Drops, yield func(float64, ...string)) {
				for i, c := range d.levels() {
					yield(float64(c.Lines), levelNames[i])
				}
			}},
		{Metric: observe.Metric{Prometheus: "llm_log_dropped_total", OTel: "llm.log.dropped", Kind: observe.KindCounter, Unit: "{line}",
			Labels: []string{"level", "reason"}, Help: "Log lines that were left out by sampling or could not be written, and those that were written without some of their fields as they were too long."},
			Values: func(d *Drops, yield func(float64, ...string)) {
				for i, c := range d.levels() {
					yield(float64(c.Sampled), levelNames[i], "sampled")
					yield(float64(c.TooLong), levelNames[i], "too_long")
					yield(float64(c.WriteErrors), levelNames[i], "write_error")
				}
			}},
	}
	for i := range t {
		t[i].ID = observe.MetricID(i)
	}
	return t
}

func (d *Drops) levels() [numLevels]Counts { return [...]Counts{d.Debug, d.Info, d.Warn, d.Error} }
