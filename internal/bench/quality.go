package main

import (
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/quality/drift"
)

func qualitySuites() []Suite { return []Suite{qualityScores(), qualityStreams(), qualityAllocs()} }

// qualityScores is the area under the ROC curve of a million scores.
func qualityScores() Suite {
	const auc, sorted = "ROCAUC", "slices.Sort"
	return Suite{
		Name: "quality.rocauc",
		Claims: []Claim{{Name: "quality.rocauc.sort", Doc: "ROCAUC of 1M scores / slices.Sort of the same scores",
			Ours: Of(auc), Peer: Of(sorted), Bar: 3}},
		Cases: func() ([]Case, func(), error) {
			rng := rand.New(rand.NewPCG(1, 2))
			scores, labels := make([]float64, 1_000_000), make([]bool, 1_000_000)
			for i := range scores {
				scores[i], labels[i] = rng.Float64(), rng.IntN(2) == 1
			}
			copied := make([]float64, len(scores))
			var err error
			return []Case{
				{Name: auc, N: 1, Run: func(n int) {
					for range n {
						_, err = quality.ROCAUC(labels, scores)
					}
				}},
				{Name: sorted, N: 1, Run: func(n int) {
					for range n {
						copy(copied, scores)
						slices.Sort(copied)
					}
				}},
			}, func() {}, err
		},
	}
}

// qualityStreams are single values given to streaming metrics.
func qualityStreams() Suite {
	const confusion, increments, adwin = "Confusion.AddIndex", "two increments", "ADWIN.Update"
	return Suite{
		Name: "quality.stream",
		Claims: []Claim{
			{Name: "quality.stream.confusion", Doc: "Confusion.AddIndex / two slice increments", Ours: Of(confusion), Peer: Of(increments), Open: true},
			{Name: "quality.stream.adwin", Doc: "ADWIN.Update, in ns", Ours: Of(adwin), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			c, err := quality.NewConfusion(quality.ConfusionConfig{Labels: []string{"a", "b", "c", "d"}})
			if err != nil {
				return nil, nil, err
			}
			counts, margins := make([]int64, 16), make([]int64, 4)
			values := curve(1 << 12)
			var a drift.ADWIN
			return []Case{
				{Name: confusion, Run: func(n int) {
					for i := range n {
						c.AddIndex(i&3, i>>2&3, 1)
					}
				}},
				{Name: increments, Run: func(n int) {
					for i := range n {
						counts[i&15]++
						margins[i&3]++
					}
				}},
				{Name: adwin, Run: func(n int) {
					for i := range n {
						a.Update(values[i&(1<<12-1)])
					}
				}},
			}, func() {}, nil
		},
	}
}

// qualityAllocs counts allocations.
func qualityAllocs() Suite {
	const confusion, adwin = "Confusion.AddIndex", "ADWIN.Update"
	return Suite{
		Name: "quality.allocs", Unit: Allocations,
		Claims: []Claim{
			{Name: "quality.allocs.confusion", Doc: "allocations of Confusion.AddIndex", Ours: Of(confusion), Bar: 0},
			{Name: "quality.allocs.adwin", Doc: "allocations of ADWIN.Update, after 100,000 values", Ours: Of(adwin), Bar: 0},
		},
		Count: func() (map[string]float64, error) {
			c, err := quality.NewConfusion(quality.ConfusionConfig{Labels: []string{"a", "b"}})
			if err != nil {
				return nil, err
			}
			values, at := curve(1<<12), 0
			var a drift.ADWIN
			update := func() { at++; a.Update(values[at&(1<<12-1)]) }
			for range 100_000 {
				update()
			}
			return map[string]float64{
				confusion: mallocs(func() { c.AddIndex(0, 1, 1) }),
				adwin:     mallocs(update),
			}, nil
		},
	}
}

// mallocs is how often f allocates, on average.
func mallocs(f func()) float64 {
	const runs = 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / runs)
}
