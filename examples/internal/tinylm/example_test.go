package tinylm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/calmops/calm/examples/internal/tinylm"
)

// rhyme is a text that a few steps can learn by heart.
var rhyme = []byte(strings.Repeat("one two three four five six seven.\n", 100))

// tiny is a model of it.
var tiny = tinylm.Config{Seed: 1, Steps: 60, Batch: 8, Context: 16, Width: 24, Embed: 16, Order: 3, Buckets: 128}

func ExampleTrain() {
	cfg := tiny
	cfg.OnProgress = func(p tinylm.Progress) {
		if p.Validated {
			fmt.Printf("step %d of %d, loss below 3: %v\n", p.Step, p.Steps, p.Loss < 3)
		}
	}
	model, err := tinylm.Train(context.Background(), rhyme, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	facts := model.Facts()
	fmt.Println("better than pairs of letters:", facts.ValidationLoss < facts.BigramLoss)
	fmt.Println(model.VocabSize(), "symbols,", model.Parameters(), "parameters,",
		model.FLOPsPerToken(), "operations a token")
	// Output:
	// step 15 of 60, loss below 3: true
	// step 30 of 60, loss below 3: true
	// step 45 of 60, loss below 3: true
	// step 60 of 60, loss below 3: true
	// better than pairs of letters: true
	// 17 symbols, 8041 parameters, 7120 operations a token
}

func ExampleTrain_faults() {
	_, err := tinylm.Train(context.Background(), rhyme, tinylm.Config{Steps: -1, Holdout: 0.9})
	fmt.Println(err)
	// Output:
	// tinylm: Config.Steps is -1, want 1 to 1073741824
	// tinylm: Config.Holdout is 0.9, want above 0 and at most 0.5
}

func ExampleSession() {
	model, err := tinylm.Train(context.Background(), rhyme, tiny)
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := model.NewSession(tinylm.SessionConfig{}) // greedy
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("prompt:", session.Feed("one two three four five six seven.\none t"), "tokens")
	for range 8 {
		fmt.Print(session.Next())
	}
	fmt.Println()
	fmt.Println("tokens:", session.Tokens())
	// Output:
	// prompt: 40 tokens
	// wo three
	// tokens: 48
}

// A training that meets a broken batch goes back to its last state and leaves the
// batch out.
func ExampleTrainer() {
	dir, err := os.MkdirTemp("", "tinylm")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state")

	trainer, err := tinylm.NewTrainer(rhyme, tiny)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer trainer.Close()
	trainer.Poison(25) // the fault of this demonstration
	bad := 0
	for !trainer.Done() {
		if trainer.NextBatch() == bad {
			trainer.Skip(1)
		}
		p, err := trainer.Step()
		switch {
		case errors.Is(err, tinylm.ErrDiverged):
			fmt.Println("step", p.Step, "has gradient norm", p.GradNorm)
			bad = p.Batch
			err = trainer.Restore(path)
		case err == nil && p.Step%10 == 0:
			err = trainer.Save(path)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	model, err := trainer.Model()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Facts().Steps, "steps,", trainer.NextBatch()-1, "batches")
	// Output:
	// step 25 has gradient norm NaN
	// 60 steps, 61 batches
}

func ExampleModel_Fits() {
	dir, err := os.MkdirTemp("", "tinylm")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.ckpt")

	for range 2 {
		model, err := tinylm.Load(path)
		if err == nil && model.Fits(rhyme, tiny) {
			fmt.Println("read back:", len(model.Digest()), "digits of digest")
			continue
		}
		fmt.Println("train: no checkpoint:", errors.Is(err, os.ErrNotExist))
		if model, err = tinylm.Train(context.Background(), rhyme, tiny); err != nil {
			fmt.Println(err)
			return
		}
		if err := model.Save(path); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// train: no checkpoint: true
	// read back: 12 digits of digest
}

func ExampleLoadCorpus() {
	_, err := tinylm.LoadCorpus(tinylm.CorpusConfig{Path: "no such file"})
	fmt.Println(errors.Is(err, tinylm.ErrCorpus))
	// Output: true
}
