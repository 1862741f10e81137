package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/examples/internal/tinylm"
	"github.com/calmops/calm/observe/observeprom"
	"github.com/calmops/calm/observe/training"
	"github.com/calmops/calm/observe/training/tfevents"
)

// modelConfig is what of the model's configuration the program decides; tests
// take a smaller one.
type modelConfig = tinylm.Config

// defaultModel trains in some twenty seconds on two cores.
var defaultModel = modelConfig{}

func loadCorpus(path string) (tinylm.Corpus, error) {
	c, err := tinylm.LoadCorpus(tinylm.CorpusConfig{Path: path})
	if err != nil {
		return c, fmt.Errorf("%w: -corpus: %w", errUsage, err)
	}
	return c, nil
}

func printPlan(out io.Writer, o options, c tinylm.Corpus, base string) {
	ends := "until interrupted (Ctrl-C)"
	if o.run > 0 {
		ends = "for " + o.run.String() + ", then a report"
	}
	load := "a bursty load of its own, seed " + fmt.Sprint(o.seed)
	if !o.load {
		load = "no load but yours"
	}
	fmt.Fprintf(out, `calm quickstart
  1. train   a character model, %s, on %s (%d kB)
  2. serve   %s/v1/chat/completions, like OpenAI's, %s
  3. drive   %s
  4. watch   %s/  (live page)   %s/metrics

  try        curl -N %s/v1/completions -d '{"model":"%s","prompt":"The Rays of Light ","stream":true}'

`, modelVersion, c.Source, len(c.Text)/1000, base, ends, load, base, base, base, modelName)
}

// obtainModel loads the checkpoint if it fits, else trains and saves one. The
// training's metrics are in reg.
func obtainModel(ctx context.Context, o options, cfg modelConfig, corpus tinylm.Corpus, reg prometheus.Registerer, out io.Writer) (*tinylm.Model, error) {
	cfg.Seed = o.seed
	path, err := checkpointPath(o, corpus)
	if err != nil { // no cache folder: train, and forget
		fmt.Fprintln(out, "no checkpoint is kept:", err)
	}
	if path != "" {
		began := time.Now()
		lm, err := tinylm.Load(path)
		switch {
		case err == nil && lm.Fits(corpus.Text, cfg):
			fmt.Fprintf(out, "loaded   %s in %.2f s, digest %s\n", path, time.Since(began).Seconds(), lm.Digest())
			printFacts(out, lm)
			return lm, nil
		case err == nil:
			fmt.Fprintf(out, "%s was trained on other text, with another seed or size: training anew\n", path)
		case errors.Is(err, fs.ErrNotExist):
		case o.model != "": // never write over a file that is not a checkpoint
			return nil, fmt.Errorf("%w: -model: %w", errUsage, err)
		default:
			fmt.Fprintf(out, "the cached checkpoint cannot be used (%v): training anew\n", err)
		}
	}
	lm, err := train(ctx, corpus, cfg, path, reg, out)
	if err != nil {
		return nil, err
	}
	printFacts(out, lm)
	if path != "" {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = lm.Save(path)
		}
		if err != nil {
			if o.model != "" {
				return nil, fmt.Errorf("%w: -model: %w", errUsage, err)
			}
			fmt.Fprintln(out, "the checkpoint was not kept:", err)
		} else {
			fmt.Fprintf(out, "saved    %s, digest %s\n", path, lm.Digest())
		}
	}
	return lm, nil
}

// gradientsEvery is how often the gradients are looked at, in steps.
const gradientsEvery = 50

// train trains a model under a Recorder, which keeps its history beside the
// checkpoint, if one is kept.
func train(ctx context.Context, corpus tinylm.Corpus, cfg modelConfig, path string, reg prometheus.Registerer, out io.Writer) (*tinylm.Model, error) {
	trainer, err := tinylm.NewTrainer(corpus.Text, cfg)
	if err != nil {
		return nil, err
	}
	defer trainer.Close()
	recording := training.Config{
		Run:           "quickstart",
		FLOPsPerToken: trainer.FLOPsPerToken(),
		PeakFLOPS:     tinylm.PeakFLOPS(runtime.GOMAXPROCS(0)), // of all cores: the machine is one device
		// A batch of 8 places is small: an odd page of the book alone takes the gradient
		// norm 20 deviations up.
		Spike: training.Spike{Z: 30},
	}
	if path != "" {
		board, err := tfevents.New(tfevents.Config{Dir: path + ".history"})
		if err != nil {
			return nil, err
		}
		recording.Sinks = []training.Sink{board}
	}
	rec, err := training.New(recording)
	if err != nil {
		return nil, err
	}
	if _, err := observeprom.NewTraining(observeprom.TrainingConfig{Recorders: []*training.Recorder{rec}, Registerer: reg}); err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- rec.Run(running) }()
	lm, err := steps(ctx, trainer, rec, newProgressBar(out))
	account := rec.Snapshot()
	goodput := rec.Goodput()
	rec.Enter(training.PhaseIdle) // the page shows the account for as long as the program runs
	stop()
	if lost := <-written; lost != nil { // a history is no reason to throw a model away
		fmt.Fprintln(out, "the history was not kept whole:", lost)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "trained  in %.1f s, MFU %.0f %% of this machine's %.0f GFLOP/s, goodput %.0f %%\n", goodput.Elapsed.Seconds(),
		100*account.ModelFLOPs/(account.PeakFLOPS*goodput.Elapsed.Seconds()), account.PeakFLOPS/1e9, 100*goodput.Ratio)
	return lm, nil
}

// steps takes all steps of a training.
func steps(ctx context.Context, trainer *tinylm.Trainer, rec *training.Recorder, bar *progressBar) (*tinylm.Model, error) {
	tokens := 0
	for !trainer.Done() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("training stopped before step %d: %w", trainer.NextStep(), err)
		}
		p, err := trainer.Step()
		rec.Step(training.Step{N: int64(p.Step), Loss: p.Loss, GradNorm: p.GradNorm, ClipAt: trainer.ClipNorm(),
			LearningRate: p.LearningRate, Tokens: int64(p.Tokens - tokens), Duration: p.StepTime, Skipped: err != nil})
		tokens = p.Tokens
		if err != nil {
			return nil, err
		}
		if p.Step%gradientsEvery == 1 {
			trainer.EachGradient(rec.Gradients)
		}
		bar.show(p)
	}
	return trainer.Model()
}

// checkpointPath is -model, or a file of the user's cache folder for this text
// and seed.
func checkpointPath(o options, corpus tinylm.Corpus) (string, error) {
	if o.model != "" {
		return o.model, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "calm", fmt.Sprintf("quickstart-%s-%d.ckpt", corpus.Digest, o.seed)), nil
}

func printFacts(out io.Writer, lm *tinylm.Model) {
	f := lm.Facts()
	fmt.Fprintf(out, "model    %d parameters; loss on text it has not seen %.2f nats a character, pairs of characters alone %.2f\n",
		lm.Parameters(), f.ValidationLoss, f.BigramLoss)
}

// progressBar draws one line over and over on a terminal, and a plain line every
// other second elsewhere.
type progressBar struct {
	out      io.Writer
	terminal bool
	shown    time.Time
}

func newProgressBar(out io.Writer) *progressBar {
	b := &progressBar{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

func (b *progressBar) show(p tinylm.Progress) {
	every := 2 * time.Second
	if b.terminal {
		every = 100 * time.Millisecond
	}
	last := p.Step == p.Steps
	if time.Since(b.shown) < every && !last && p.Step != 1 {
		return
	}
	b.shown = time.Now()
	text := fmt.Sprintf("step %*d/%d  loss %.3f  %5.0f tokens/s  ETA %2.0f s",
		len(fmt.Sprint(p.Steps)), p.Step, p.Steps, p.Loss, p.TokensPerSecond, p.ETA.Seconds())
	if !b.terminal {
		fmt.Fprintln(b.out, "training", text)
		return
	}
	const width = 24
	done := width * p.Step / p.Steps
	fmt.Fprintf(b.out, "\rtraining [%s%s] %s\x1b[K", strings.Repeat("=", done), strings.Repeat(" ", width-done), text)
	if last {
		fmt.Fprintln(b.out)
	}
}
