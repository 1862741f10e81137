// Package demo is a small world to look at: a model server, a training run, the
// quality of answers, a log and an account of cost. What happens in it is made up;
// who measures it is real, so that it exports every metric that programs with calm
// export. Models, runs and tasks are called simulated.
package demo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/observe"
	"github.com/calmops/calm/observe/cost"
	"github.com/calmops/calm/observe/ecslog"
	"github.com/calmops/calm/observe/observeprom"
	"github.com/calmops/calm/observe/quality"
	"github.com/calmops/calm/observe/resource"
	"github.com/calmops/calm/observe/training"
)

const simulated = "simulated"

// Config configures a World.
type Config struct {
	Registerer prometheus.Registerer // gets the metrics. Required.
	Every      time.Duration         // between two rounds of work. Defaults to 1 s.
	FS         fs.FS                 // what resources are read from. Defaults to the real file system.
	Native     bool                  // exports native histograms too
}

// World is everything that happens. Make one with New; Run lets it happen.
type World struct {
	every    time.Duration
	serving  *observe.Recorder
	training *training.Recorder
	quality  *quality.Monitor
	account  *cost.Account
	log      *slog.Logger
}

// New makes a World whose metrics are registered.
func New(cfg Config) (*World, error) {
	if cfg.Registerer == nil {
		return nil, errors.New("demo: Config.Registerer is nil: it is required")
	}
	w := &World{every: cfg.Every}
	if w.every <= 0 {
		w.every = time.Second
	}
	var faults []error
	note := func(err error) { faults = append(faults, err) }
	sink, err := observeprom.NewServing(observeprom.ServingConfig{Registerer: cfg.Registerer, NativeHistograms: cfg.Native})
	note(err)
	w.serving, err = observe.New(observe.Config{Sinks: []observe.Sink{sink}, Models: []string{simulated}, MeasureSelf: true,
		SLO: observe.SLO{TTFT: 25 * time.Millisecond, Duration: time.Second}})
	note(err)
	w.training, err = training.New(training.Config{Run: simulated, World: 4, Devices: 4, FLOPsPerToken: 6e9, PeakFLOPS: 1e15, Sinks: []training.Sink{full{}}})
	note(err)
	w.quality, err = quality.New(quality.Config{})
	note(err)
	w.account, err = cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR", DeviceHour: map[string]float64{simulated: 2}}})
	note(err)
	handler, err := ecslog.New(io.Discard, ecslog.Config{Sample: ecslog.Sample{PerSecond: 1, Burst: 1}})
	note(err)
	reader, err := resource.New(resource.Config{FS: cfg.FS})
	note(err)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	w.log = slog.New(handler)

	_, err = observeprom.NewTraining(observeprom.TrainingConfig{Recorders: []*training.Recorder{w.training}, Registerer: cfg.Registerer, NativeHistograms: cfg.Native})
	note(err)
	_, err = observeprom.NewQuality(observeprom.QualityConfig{Monitor: w.quality, Registerer: cfg.Registerer})
	note(err)
	_, err = observeprom.NewCost(observeprom.CostConfig{Account: w.account, Registerer: cfg.Registerer})
	note(err)
	_, err = observeprom.NewResource(observeprom.ResourceConfig{Reader: reader, Registerer: cfg.Registerer})
	note(err)
	_, err = observeprom.NewLog(observeprom.LogConfig{Handler: handler, Registerer: cfg.Registerer})
	note(err)
	note(w.quality.Reference("score", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}))
	w.serving.SetServed(observe.Served{Model: simulated, Version: "v1", Checkpoint: "none"})
	return w, errors.Join(faults...)
}

// full is a sink that takes nothing, so that records are dropped.
type full struct{}

func (full) Name() string                                   { return "full" }
func (full) Write(context.Context, []training.Record) error { return training.ErrDropped }
func (full) Flush(context.Context) error                    { return nil }
func (full) Close(context.Context) error                    { return nil }

// Run lets a round of work happen every Config.Every, until ctx ends.
func (w *World) Run(ctx context.Context) error {
	trained := make(chan error, 1)
	go func() { trained <- w.training.Run(ctx) }()
	w.training.Enter(training.PhaseStep)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			return <-trained
		case <-tick.C:
		}
		w.serve(ctx, round)
		w.train(round)
		w.judge(round)
		w.operate(round)
	}
}

// train makes a step. Every hundredth round something goes wrong.
func (w *World) train(round int) {
	s := training.Step{N: int64(round), Loss: 1 + 3/math.Sqrt(float64(round)), GradNorm: .5, ClipAt: 1, LearningRate: 1e-4, LossScale: 1024, Tokens: 4096,
		DataWait: w.every / 20}
	switch round % 100 {
	case 40:
		s.Loss *= 20
	case 60:
		s.GradNorm = math.NaN()
		w.training.Gradients("layer", []float32{1, float32(math.Inf(1))})
	case 70:
		s.GradNorm, s.Skipped = 2, true
	case 80:
		w.training.RolledBack(int64(round-5), "spike")
	}
	w.training.Step(s)
	if round%20 == 0 {
		w.training.Enter(w.training.Enter(training.PhaseCheckpointSave))
		w.training.Checkpointed(int64(round))
	}
	slow := time.Duration(1+round/50%2) * time.Second
	w.training.RankTimes([]time.Duration{time.Second, time.Second, time.Second, slow})
}

// judge compares answers with what they should have been.
func (w *World) judge(round int) {
	truth, predicted := "yes", "yes"
	if round%4 == 0 {
		truth = "no"
	}
	if round%8 == 0 {
		predicted = "no"
	}
	w.quality.Classified(simulated, "v1", truth, predicted)
	w.quality.Scored(simulated, "v1", truth == "yes", .9)
	w.quality.Answered(simulated, "v1", quality.Answer{Text: "yes, it is", OutputTokens: 4})
	w.quality.Value("score", float64(1+round%10))
	if round%50 == 0 {
		w.quality.Scored(simulated, "v1", true, 2) // no probability: refused
	}
}

// operate books cost and logs.
func (w *World) operate(round int) {
	share := w.every / 10 * time.Duration(1+round%8)
	usages := []cost.Usage{
		{Device: simulated, Busy: share, Idle: w.every - share},
		{Device: "unpriced", Busy: w.every},
		{Tenant: "a", Requests: 3, InputTokens: 300, OutputTokens: 60},
		{Tenant: "b", Requests: 1, InputTokens: 50, OutputTokens: 20},
	}
	for _, u := range usages {
		if err := w.account.Add(u); err != nil && !errors.Is(err, cost.ErrNoPrice) {
			w.log.Error("cost", "err", err)
		}
	}
	for range 3 {
		w.log.Info("round", "n", round)
	}
	if round%10 == 0 {
		w.log.Warn("every tenth round")
	}
}
