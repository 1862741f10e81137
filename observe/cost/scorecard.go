package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Score is how operating went over a window. The figures of incidents are the
// caller's: package cost knows only money and time.
type Score struct {
	// Window is how long was looked at.
	Window time.Duration
	// UtilizationRatio is busy over paid device time, 0 to 1; NaN is not known.
	UtilizationRatio float64
	// MTTR is the mean time to recovery; 0 is not known: no incident ended.
	MTTR time.Duration
	// MTBF is the mean time between failures; 0 is not known: nothing failed.
	MTBF time.Duration
	// ManualInterventions is how often a person had to act.
	ManualInterventions int64
	// Cost is what the window cost, in Currency.
	Cost float64
	// CostPerThousandTokens is Cost over the tokens, times 1000; NaN is not known.
	CostPerThousandTokens float64
	// Currency of the costs.
	Currency string
}

// Score returns the part of a Score that Totals know; the rest is the caller's.
func (t Totals) Score(window time.Duration) Score {
	s := Score{Window: window, Cost: t.Total(), Currency: t.Currency, UtilizationRatio: math.NaN(), CostPerThousandTokens: math.NaN()}
	if v, ok := t.Utilization(); ok {
		s.UtilizationRatio = v
	}
	if v, ok := t.PerThousandTokens(); ok {
		s.CostPerThousandTokens = v
	}
	return s
}

// Scorecard puts a window beside a baseline.
type Scorecard struct {
	Now      Score       // the window that is looked at
	Baseline Score       // the window that it is compared with
	Lines    []ScoreLine // one a figure, in the order of Score
}

// ScoreLine is one figure of both windows.
type ScoreLine struct {
	Name   string  // utilization_ratio, mttr_seconds, mtbf_seconds, manual_interventions_per_day, cost_per_hour, cost_per_thousand_tokens
	Title  string  // for people
	Unit   string  // of Now and Baseline: %, s, /d, or the currency
	Now    float64 // NaN: not known
	Before float64 // of the baseline; NaN: not known
	Change float64 // (Now - Before) / Before; NaN where either is not known or Before is 0
	Better int     // 1: Now is better, -1: worse, 0: the same or not known
}

// Compare puts two windows side by side. Counts and costs are compared by the hour
// or day, since the windows may differ in length. Costs in different currencies
// are not compared.
func Compare(now, baseline Score) Scorecard {
	c := Scorecard{Now: now, Baseline: baseline}
	line := func(name, title, unit string, up bool, of func(Score) float64) {
		l := ScoreLine{Name: name, Title: title, Unit: unit, Now: of(now), Before: of(baseline), Change: math.NaN()}
		if d := l.Now - l.Before; !math.IsNaN(d) {
			if l.Before != 0 {
				l.Change = d / l.Before
			}
			switch {
			case d > 0 == up && d != 0:
				l.Better = 1
			case d != 0:
				l.Better = -1
			}
		}
		c.Lines = append(c.Lines, l)
	}
	money := func(of func(Score) float64) func(Score) float64 {
		return func(s Score) float64 {
			if s.Currency != now.Currency {
				return math.NaN()
			}
			return of(s)
		}
	}
	line("utilization_ratio", "utilization", "%", true, func(s Score) float64 { return s.UtilizationRatio })
	line("mttr_seconds", "MTTR", "s", false, func(s Score) float64 { return seconds(s.MTTR) })
	line("mtbf_seconds", "MTBF", "s", true, func(s Score) float64 { return seconds(s.MTBF) })
	line("manual_interventions_per_day", "manual interventions", "/d", false, func(s Score) float64 {
		return per(float64(s.ManualInterventions), s.Window, 24*time.Hour)
	})
	line("cost_per_hour", "cost per hour", now.Currency, false, money(func(s Score) float64 { return per(s.Cost, s.Window, time.Hour) }))
	line("cost_per_thousand_tokens", "cost per 1000 tokens", now.Currency, false, money(func(s Score) float64 { return s.CostPerThousandTokens }))
	return c
}

func seconds(d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return d.Seconds()
}

// per is an amount of a window, by another time.
func per(amount float64, window, unit time.Duration) float64 {
	if window <= 0 {
		return math.NaN()
	}
	return amount / (window.Seconds() / unit.Seconds())
}

// WriteText writes the scorecard as a table for people. What is not known is a
// dash.
func (c Scorecard) WriteText(w io.Writer) error {
	rows := [][]string{
		{"", "now", "baseline", "change", ""},
		{"window", c.Now.Window.Round(time.Second).String(), c.Baseline.Window.Round(time.Second).String()},
	}
	for _, l := range c.Lines {
		change := "-"
		if !math.IsNaN(l.Change) {
			change = fmt.Sprintf("%+.1f %%", l.Change*100)
		}
		rows = append(rows, []string{l.Title, l.text(l.Now), l.text(l.Before), change, [...]string{"worse", "", "better"}[l.Better+1]})
	}
	return writeTable(w, rows)
}

func (l ScoreLine) text(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case l.Unit == "%":
		return fmt.Sprintf("%.1f %%", v*100)
	case l.Unit == "s":
		return time.Duration(v * 1e9).Round(time.Millisecond).String()
	case l.Unit == "/d":
		return fmt.Sprintf("%.3g a day", v)
	}
	return fmt.Sprintf("%.4g %s", v, l.Unit)
}

// MarshalJSON writes an object a figure: now, baseline, change, better. What is
// not known is left out.
func (c Scorecard) MarshalJSON() ([]byte, error) {
	type figure struct {
		Unit     string   `json:"unit"`
		Now      *float64 `json:"now,omitempty"`
		Baseline *float64 `json:"baseline,omitempty"`
		Change   *float64 `json:"change,omitempty"`
		Better   *bool    `json:"better,omitempty"`
	}
	out := struct {
		Window   float64           `json:"window_seconds"`
		Baseline float64           `json:"baseline_window_seconds"`
		Figures  map[string]figure `json:"figures"`
	}{c.Now.Window.Seconds(), c.Baseline.Window.Seconds(), map[string]figure{}}
	number := func(v float64) *float64 { return known(v, !math.IsNaN(v) && !math.IsInf(v, 0)) }
	for _, l := range c.Lines {
		f := figure{Unit: l.Unit, Now: number(l.Now), Baseline: number(l.Before), Change: number(l.Change)}
		if l.Unit == "%" {
			f.Unit = "1"
		}
		if l.Better != 0 {
			better := l.Better > 0
			f.Better = &better
		}
		out.Figures[l.Name] = f
	}
	return json.Marshal(out)
}
