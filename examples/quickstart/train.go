package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calmops/calm/examples/internal/tinylm"
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

// trainMetrics are the training's numbers, for Prometheus and the live page.
type trainMetrics struct {
	loss, gradNorm, rate, step, running prometheus.Gauge
	tokens, steps                       prometheus.Counter
	last                                int
}

func newTrainMetrics(reg prometheus.Registerer) *trainMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "llm_train_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "llm_train_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	return &trainMetrics{
		loss:     gauge("loss", "Training loss in nats per token."),
		gradNorm: gauge("grad_norm", "Global norm of the gradient before clipping."),
		rate:     gauge("learning_rate", "Learning rate."),
		step:     gauge("step", "Optimizer step."),
		running:  gauge("running", "1 while a training runs."),
		tokens:   counter("tokens_total", "Tokens trained on."),
		steps:    counter("steps_total", "Optimizer steps."),
	}
}

func (m *trainMetrics) set(p tinylm.Progress) {
	m.running.Set(1)
	m.loss.Set(p.Loss)
	m.gradNorm.Set(p.GradNorm)
	m.rate.Set(p.LearningRate)
	m.step.Set(float64(p.Step))
	m.steps.Inc()
	m.tokens.Add(float64(p.Tokens - m.last))
	m.last = p.Tokens
}

// obtainModel loads the checkpoint if it fits, else trains and saves one.
func obtainModel(ctx context.Context, o options, cfg modelConfig, corpus tinylm.Corpus, metrics *trainMetrics, out io.Writer) (*tinylm.Model, error) {
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
	bar := newProgressBar(out)
	cfg.OnProgress = func(p tinylm.Progress) {
		metrics.set(p)
		bar.show(p)
	}
	lm, err := tinylm.Train(ctx, corpus.Text, cfg)
	metrics.running.Set(0)
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
