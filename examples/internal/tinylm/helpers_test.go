package tinylm

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// story is a text with some rules in it, n sentences long.
func story(n int) []byte {
	rng := rand.New(rand.NewPCG(7, 7))
	who := []string{"the fox", "a crow", "the old hen", "my cat", "Zoë"}
	does := []string{"sees", "follows", "greets", "forgets"}
	where := []string{"in the barn", "by the river", "on the hill", "at night"}
	var b strings.Builder
	for range n {
		b.WriteString(who[rng.IntN(5)] + " " + does[rng.IntN(4)] + " " + who[rng.IntN(5)] + " " + where[rng.IntN(4)] + ".\n")
	}
	return []byte(b.String())
}

// small is a model that trains in a fraction of a second.
func small() Config {
	return Config{
		Seed: 3, Steps: 30, Batch: 8, Context: 16, Layers: 2, Width: 16, Embed: 12,
		Order: 3, Buckets: 64, LearningRate: 0.01, Workers: 2,
	}
}

func train(t testing.TB, text []byte, cfg Config) *Model {
	t.Helper()
	m, err := Train(context.Background(), text, cfg)
	require.NoError(t, err)
	return m
}

// trained returns a small trained model, the same one each time. No test changes
// a model.
func trained(t testing.TB) *Model {
	t.Helper()
	return train(t, story(400), small())
}

// opticksCorpus returns the default text, or skips.
func opticksCorpus(t testing.TB) Corpus {
	t.Helper()
	c, err := LoadCorpus(CorpusConfig{})
	if err != nil {
		t.Skipf("no text to train on: %v", err)
	}
	return c
}

// collector keeps the progress of a training.
type collector struct {
	mu  sync.Mutex
	all []Progress
}

func (c *collector) add(p Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
}
