package observelive

import (
	"fmt"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const maxFault = 300 // bytes of an error shown on the page

// A clock numbers samples by their time in Unix milliseconds, so that numbers keep growing across
// a restart of the process and across a wall clock that is set back.
type clock struct {
	at  time.Time
	seq int64
}

// next returns the number of a sample taken at now.
func (c *clock) next(now time.Time) int64 {
	seq := now.UnixMilli()
	if !c.at.IsZero() {
		seq = max(seq, c.seq+now.Sub(c.at).Milliseconds(), c.seq+1)
	}
	c.at, c.seq = now, seq
	return seq
}

// sample gathers once and derives the next point of every curve.
func (l *Live) sample() {
	begun := time.Now()
	families, err := l.gather()
	now := time.Now()
	took := now.Sub(begun)

	l.mu.Lock()
	was := l.fault
	l.fault = cutText(faultText(err), maxFault)
	l.table.step(now, l.clock.next(now), families)
	l.stats.Samples++
	if err != nil {
		l.stats.GatherErrors++
	}
	l.stats.At = now
	l.stats.Families = len(l.table.families)
	l.stats.Series = l.table.tracks
	l.stats.Dropped = l.table.dropped
	l.stats.Bytes = l.table.bytes
	l.stats.GatherDuration = took
	l.stats.DeriveDuration = time.Since(now)
	fault := l.fault
	l.mu.Unlock()

	if l.cfg.Logger == nil || fault == was {
		return
	}
	if fault == "" {
		l.cfg.Logger.Info("observelive: gathering works again")
	} else {
		l.cfg.Logger.Warn("observelive: gather failed", "error", fault)
	}
}

// gather calls the Gatherer; a panic in it becomes an error.
func (l *Live) gather() (families []*dto.MetricFamily, err error) {
	defer func() {
		if v := recover(); v != nil {
			families, err = nil, fmt.Errorf("gatherer panicked: %v", v)
		}
	}()
	return l.cfg.Gatherer.Gather()
}

func faultText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// cutText shortens s to at most n bytes of valid UTF-8, on memory of its own if it was longer.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[:n], ""))
}
