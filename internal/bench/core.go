package main

import (
	"math"
	"slices"
	"time"
)

// A Case is a piece of code under measurement.
type Case struct {
	Name string
	Run  func(n int) // Does the work n times.
	N    int         // Times a slice. Defaults to as many as fill one.
}

// A Clock says how much time has passed since some fixed moment.
type Clock func() time.Duration

// Limits bound a measurement. Whichever is reached first ends it.
type Limits struct {
	Time   time.Duration // Wall time.
	Rounds int           // Slices of each case.
	Slice  time.Duration // What the work of a slice should take.
}

// Summary says what one run of a case costs, in the unit of its suite.
type Summary struct {
	Slices        int
	Min, P10, P50 float64
}

// Measure runs the cases in turn, one slice each, until a limit is reached.
// What disturbs the machine for longer than a slice so disturbs all cases
// alike, and what is shorter is left out by taking a low percentile. Times are
// nanoseconds by clock; wall ends the measurement.
func Measure(cases []Case, clock, wall Clock, lim Limits) map[string]Summary {
	start := wall()
	n := make([]int, len(cases))
	for i, c := range cases {
		n[i] = max(c.N, 1)
		if c.N == 0 {
			n[i] = size(c, clock, lim.Slice)
		}
	}
	costs := make([][]float64, len(cases))
	for range lim.Rounds {
		for i, c := range cases {
			from := clock()
			c.Run(n[i])
			costs[i] = append(costs[i], float64(clock()-from)/float64(n[i]))
		}
		if wall()-start >= lim.Time {
			break
		}
	}
	all := make(map[string]Summary, len(cases))
	for i, c := range cases {
		all[c.Name] = Summarize(costs[i])
	}
	return all
}

// size returns how many runs of a case fill a slice. It also warms the case up.
func size(c Case, clock Clock, slice time.Duration) int {
	const most = 1 << 24 // A case that costs nothing must end too.
	took := func(n int) time.Duration {
		from := clock()
		c.Run(n)
		return clock() - from
	}
	n := 1
	for n < most && took(n) < slice/4 {
		n *= 2
	}
	best := took(n)
	for range 4 {
		best = min(best, took(n))
	}
	if best <= 0 {
		return n
	}
	return min(max(int(math.Round(float64(n)*float64(slice)/float64(best))), 1), most)
}

// Summarize sorts the costs and returns their low and middle.
func Summarize(costs []float64) Summary {
	slices.Sort(costs)
	if len(costs) == 0 {
		return Summary{Min: math.NaN(), P10: math.NaN(), P50: math.NaN()}
	}
	return Summary{Slices: len(costs), Min: costs[0], P10: percentile(costs, 10), P50: percentile(costs, 50)}
}

// percentile returns the smallest value that p percent of the sorted values do
// not exceed.
func percentile(sorted []float64, p float64) float64 {
	i := int(math.Ceil(float64(len(sorted))*p/100)) - 1
	return sorted[max(i, 0)]
}

// A Cost is a figure taken from the cases of a suite.
type Cost struct {
	Case  string
	Less  string // A case that is subtracted: what Case adds to it. Defaults to none.
	Times int    // How often. Defaults to once.
}

// Of is what a case costs.
func Of(name string) Cost { return Cost{Case: name} }

// Added is what a case costs more than another.
func Added(name, bare string) Cost { return Cost{Case: name, Less: bare} }

// cases are the names of the cases that the figure needs.
func (c Cost) cases() []string {
	if c.Less == "" {
		return []string{c.Case}
	}
	return []string{c.Case, c.Less}
}

// in returns the figure, by the 10th percentile of each case.
func (c Cost) in(got map[string]Summary) float64 {
	v := p10(got, c.Case)
	if c.Less != "" {
		v -= p10(got, c.Less)
	}
	return v * float64(max(c.Times, 1))
}

func p10(got map[string]Summary, name string) float64 {
	if s, ok := got[name]; ok {
		return s.P10
	}
	return math.NaN()
}

// A Claim says how much something of ours costs beside something else.
type Claim struct {
	Name string // package.claim, and the peer where there are several
	Doc  string // One line: what is compared with what.
	Ours Cost
	Peer Cost    // Without a Case the bar is one for Ours.
	Bar  float64 // The most that Ours / Peer may be.
	Open bool    // No bar: only reported.
}

// cases are the names of the cases that the claim needs.
func (c Claim) cases() []string {
	all := c.Ours.cases()
	if c.Peer.Case != "" {
		all = append(all, c.Peer.cases()...)
	}
	return all
}

// A Line is a claim with its figures.
type Line struct {
	Claim
	OursIs, PeerIs, Ratio float64 // PeerIs and Ratio are NaN without a peer.
	Short                 bool
}

// Judge compares a claim with what was measured. A figure that is missing, or a
// peer that cost nothing, proves nothing: the claim is short.
func Judge(c Claim, got map[string]Summary) Line {
	l := Line{Claim: c, OursIs: c.Ours.in(got), PeerIs: math.NaN(), Ratio: math.NaN()}
	against := l.OursIs
	if c.Peer.Case != "" {
		l.PeerIs = c.Peer.in(got)
		if l.PeerIs > 0 {
			l.Ratio = l.OursIs / l.PeerIs
		}
		against = l.Ratio
	}
	l.Short = !c.Open && !(against <= c.Bar)
	return l
}
