package main

import (
	"bufio"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/HdrHistogram/hdrhistogram-go"
	caio "github.com/caio/go-tdigest/v4"
	influx "github.com/influxdata/tdigest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/calmops/calm/observe/observeprom"
	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

func trainingSuites() []Suite {
	return []Suite{trainingStep(), trainingEvents(), trainingGradients(), trainingSpike(), trainingSnapshot(), trainingAllocs()}
}

// discard is a sink that takes everything.
type discard struct{ name string }

func (d discard) Name() string                                   { return d.name }
func (d discard) Write(context.Context, []training.Record) error { return nil }
func (d discard) Flush(context.Context) error                    { return nil }
func (d discard) Close(context.Context) error                    { return nil }

// steps returns a function that makes n steps of a run with two sinks, and one that
// ends it.
func steps() (run func(n int), rec *training.Recorder, done func(), err error) {
	rec, err = training.New(training.Config{Run: "bench", FLOPsPerToken: 1e9, PeakFLOPS: 1e15, QueueSize: 1 << 16,
		Sinks: []training.Sink{discard{"a"}, discard{"b"}}})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rec.Run(ctx) }()
	rec.Enter(training.PhaseStep)
	losses := curve(1 << 12)
	var at int64
	return func(n int) {
		for range n {
			at++
			loss := losses[at&(1<<12-1)]
			rec.Step(training.Step{N: at, Loss: loss, GradNorm: loss / 4, ClipAt: 1, LearningRate: 1e-4, Tokens: 4096, DataWait: time.Microsecond})
		}
	}, rec, func() { cancel(); <-ended }, nil
}

// curve is a loss with noise.
func curve(n int) []float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float64, n)
	for i := range v {
		v[i] = 2 + .05*rng.NormFloat64()
	}
	return v
}

// trainingStep is one call of Step.
func trainingStep() Suite {
	const step, gauges, held = "Step", "8 WithLabelValues.Set", "8 held gauges"
	return Suite{
		Name: "training.step",
		Claims: []Claim{
			{Name: "training.step.time", Doc: "Step with all detectors, the ledger and two sinks, in ns", Ours: Of(step), Bar: 2000},
			{Name: "training.step.gauges", Doc: "Step / 8 GaugeVec.WithLabelValues(2).Set of client_golang, which keep the last value only",
				Ours: Of(step), Peer: Of(gauges), Open: true},
			{Name: "training.step.held", Doc: "Step / 8 Set of held gauges", Ours: Of(step), Peer: Of(held), Open: true},
		},
		Cases: func() ([]Case, func(), error) {
			run, _, done, err := steps()
			if err != nil {
				return nil, nil, err
			}
			names := []string{"loss", "grad_norm", "learning_rate", "tokens", "mfu", "step", "seconds", "wait"}
			var vecs []*prometheus.GaugeVec
			var handles []prometheus.Gauge
			for _, name := range names {
				v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"run", "rank"})
				vecs, handles = append(vecs, v), append(handles, v.WithLabelValues("bench", "0"))
			}
			return []Case{
				{Name: step, Run: run},
				{Name: gauges, Run: func(n int) {
					for i := range n {
						for _, v := range vecs {
							v.WithLabelValues("bench", "0").Set(float64(i))
						}
					}
				}},
				{Name: held, Run: func(n int) {
					for i := range n {
						for _, h := range handles {
							h.Set(float64(i))
						}
					}
				}},
			}, done, nil
		},
	}
}

// trainingEvents is one scalar in a file of TensorBoard.
func trainingEvents() Suite {
	const scalar, raw = "tfevents scalar", "49 raw bytes"
	return Suite{
		Name: "training.tfevents",
		Claims: []Claim{{Name: "training.tfevents.scalar", Doc: "a scalar record, buffered, to a file / 49 raw bytes through bufio to a file",
			Ours: Of(scalar), Peer: Of(raw), Bar: 3}},
		Cases: func() ([]Case, func(), error) {
			ours, err := os.CreateTemp("", "calm-bench-*.tfevents")
			if err != nil {
				return nil, nil, err
			}
			peer, err := os.CreateTemp("", "calm-bench-*.raw")
			if err != nil {
				return nil, nil, err
			}
			done := func() {
				for _, f := range []*os.File{ours, peer} {
					f.Close()
					os.Remove(f.Name())
				}
			}
			at := time.Now()
			w, err := tfevents.NewWriter(ours, at)
			if err != nil {
				return nil, nil, err
			}
			buffered, bytes := bufio.NewWriterSize(peer, 64<<10), make([]byte, 49)
			rewind := func(f *os.File) { // keeps the files small
				if end, err := f.Seek(0, io.SeekCurrent); err == nil && end > 16<<20 {
					_, _ = f.Seek(0, io.SeekStart)
				}
			}
			return []Case{
				{Name: scalar, Run: func(n int) {
					for i := range n {
						_ = w.Scalar(at, int64(i), "train/loss", 2)
					}
					rewind(ours)
				}},
				{Name: raw, Run: func(n int) {
					for range n {
						_, _ = buffered.Write(bytes)
					}
					rewind(peer)
				}},
			}, done, nil
		},
	}
}

// trainingGradients is the distribution of one tensor of a million values.
func trainingGradients() Suite {
	const million = 1 << 20
	const stats, norm = "GradientStats", "norm only"
	const dd, hdr, flux, tdigest = "DDSketch 1 %", "HdrHistogram 2 digits", "influxdata t-digest", "caio t-digest"
	claim := func(name, doc, peer string) Claim {
		return Claim{Name: "training.gradients." + name, Doc: doc, Ours: Of(stats), Peer: Of(peer), Open: true}
	}
	return Suite{
		Name: "training.gradients",
		Claims: []Claim{
			{Name: "training.gradients.norm", Doc: "norm, largest, non-finite and buckets of 1M float32 / their norm alone, in four lanes",
				Ours: Of(stats), Peer: Of(norm), Bar: 3},
			claim("ddsketch", "the same / DDSketch of 1 %, magnitudes only", dd),
			claim("hdr", "the same / HdrHistogram of 2 digits, magnitudes as integers", hdr),
			claim("influxdata", "the same / influxdata's t-digest", flux),
			claim("caio", "the same / caio's t-digest", tdigest),
		},
		Cases: func() ([]Case, func(), error) {
			rng := rand.New(rand.NewPCG(1, 2))
			g := make([]float32, million)
			for i := range g {
				g[i] = float32(rng.NormFloat64() * 1e-3)
			}
			var kept float64
			var s training.GradientStats
			sketch, err := ddsketch.NewDefaultDDSketch(.01)
			if err != nil {
				return nil, nil, err
			}
			hist := hdrhistogram.New(1, 1e12, 2)
			each := func(add func(x float64)) func(int) {
				return func(n int) {
					for range n {
						for _, x := range g {
							add(float64(x))
						}
					}
				}
			}
			td, err := caio.New()
			if err != nil {
				return nil, nil, err
			}
			fluxed := influx.NewWithCompression(100)
			cases := []Case{
				{Name: stats, N: 1, Run: func(n int) {
					for range n {
						s.Reset()
						s.Add(g)
					}
				}},
				{Name: norm, N: 1, Run: func(n int) {
					for range n {
						kept += norm4(g)
					}
				}},
				{Name: dd, N: 1, Run: each(func(x float64) { _ = sketch.Add(math.Abs(x)) })},
				{Name: hdr, N: 1, Run: each(func(x float64) { _ = hist.RecordValue(int64(math.Abs(x) * 1e9)) })},
				{Name: flux, N: 1, Run: each(func(x float64) { fluxed.Add(x, 1) })},
				{Name: tdigest, N: 1, Run: each(func(x float64) { _ = td.Add(x) })},
			}
			return cases, func() { _ = kept }, nil
		},
	}
}

// norm4 is the norm in four lanes: what a training loop computes anyway.
func norm4(g []float32) float64 {
	var a, b, c, d float64
	for ; len(g) >= 4; g = g[4:] {
		w, x, y, z := float64(g[0]), float64(g[1]), float64(g[2]), float64(g[3])
		a += w * w
		b += x * x
		c += y * y
		d += z * z
	}
	for _, x := range g {
		a += float64(x) * float64(x)
	}
	return math.Sqrt(a + b + c + d)
}

// trainingSpike is one value given to the spike detector.
func trainingSpike() Suite {
	const spike, rolling = "Spike.Observe", "rolling mean and variance"
	return Suite{
		Name: "training.spike",
		Claims: []Claim{{Name: "training.spike.observe", Doc: "Spike.Observe, window 128 / rolling mean and variance of 128",
			Ours: Of(spike), Peer: Of(rolling), Bar: 10}},
		Cases: func() ([]Case, func(), error) {
			losses := curve(1 << 12)
			var s training.Spike
			var at int64
			var ring [128]float64
			var sum, squares, kept float64
			return []Case{
				{Name: spike, Run: func(n int) {
					for range n {
						at++
						s.Observe(at, losses[at&(1<<12-1)])
					}
				}},
				{Name: rolling, Run: func(n int) {
					for i := range n {
						x := losses[i&(1<<12-1)]
						old := ring[i&127]
						ring[i&127] = x
						sum += x - old
						squares += x*x - old*old
						mean := sum / 128
						kept += squares/128 - mean*mean
					}
				}},
			}, func() { _ = kept }, nil
		},
	}
}

// trainingSnapshot is one scrape.
func trainingSnapshot() Suite {
	const scrape, process = "Recorder", "process collector"
	return Suite{
		Name: "training.snapshot", Process: true, // Gather collects in goroutines of its own
		Claims: []Claim{{Name: "training.snapshot.gather", Doc: "gather of one Recorder / gather of client_golang's process collector",
			Ours: Of(scrape), Peer: Of(process), Bar: .5}},
		Cases: func() ([]Case, func(), error) {
			run, rec, done, err := steps()
			if err != nil {
				return nil, nil, err
			}
			run(1000)
			own, peer := prometheus.NewRegistry(), prometheus.NewRegistry()
			if _, err = observeprom.NewTraining(observeprom.TrainingConfig{Recorders: []*training.Recorder{rec}, Registerer: own}); err != nil {
				return nil, nil, err
			}
			peer.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
			gather := func(g prometheus.Gatherer) func(int) {
				return func(n int) {
					for range n {
						_, _ = g.Gather()
					}
				}
			}
			return []Case{{Name: scrape, Run: gather(own)}, {Name: process, Run: gather(peer)}}, done, nil
		},
	}
}

// trainingAllocs counts allocations.
func trainingAllocs() Suite {
	const step, scalar, grads = "Step", "scalar", "GradientStats"
	return Suite{
		Name: "training.allocs", Unit: Allocations,
		Claims: []Claim{
			{Name: "training.allocs.step", Doc: "allocations of Step", Ours: Of(step), Bar: 0},
			{Name: "training.allocs.tfevents", Doc: "allocations of a scalar record", Ours: Of(scalar), Bar: 0},
			{Name: "training.allocs.gradients", Doc: "allocations of GradientStats.Add", Ours: Of(grads), Bar: 0},
		},
		Count: func() (map[string]float64, error) {
			rec, err := training.New(training.Config{Run: "bench", Sinks: []training.Sink{discard{"a"}, discard{"b"}}})
			if err != nil {
				return nil, err
			}
			losses, at := curve(1<<12), int64(0)
			one := func() {
				at++
				rec.Step(training.Step{N: at, Loss: losses[at&(1<<12-1)], GradNorm: 1, Tokens: 1})
			}
			for range 2000 {
				one()
			}
			w, err := tfevents.NewWriter(io.Discard, time.Now())
			if err != nil {
				return nil, err
			}
			var s training.GradientStats
			g := make([]float32, 4096)
			now := time.Now()
			return map[string]float64{
				step:   mallocs(one),
				scalar: mallocs(func() { _ = w.Scalar(now, 1, "train/loss", 2) }),
				grads:  mallocs(func() { s.Add(g) }),
			}, nil
		},
	}
}
