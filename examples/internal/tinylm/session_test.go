package tinylm

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func session(t testing.TB, m *Model, cfg SessionConfig) *Session {
	t.Helper()
	s, err := m.NewSession(cfg)
	require.NoError(t, err)
	return s
}

// Token by token gives the logits of the whole text in one pass, to the last bit.
func TestIncrementalEqualsFull(t *testing.T) {
	m := trained(t)
	text := []rune(string(story(3)))
	full := newPass(m.shape(), 1, len(text), false)
	history := make([]uint8, full.order)
	for i, r := range text {
		copy(history, history[1:])
		history[full.order-1] = m.vocab.symbol(r)
		full.suffixes(full.index[i*full.order:(i+1)*full.order], history)
	}
	full.forward(&m.params, m.embed)

	s := session(t, m, SessionConfig{})
	for i, r := range text {
		require.Equal(t, 1, s.Feed(string(r)))
		require.Equal(t, full.logits[i*full.vocab:(i+1)*full.vocab], s.pass.logits, "token %d", i)
	}
	require.Equal(t, len(text), s.Tokens())

	whole := session(t, m, SessionConfig{})
	require.Equal(t, len(text), whole.Feed(string(text)))
	require.Equal(t, s.pass.logits, whole.pass.logits)
}

func TestSampling(t *testing.T) {
	m := trained(t)
	with := func(cfg SessionConfig) string {
		s := session(t, m, cfg)
		s.Feed("the fox ")
		return write(s, 60)
	}
	greedy := with(SessionConfig{})
	assert.Equal(t, greedy, with(SessionConfig{Seed: 9}), "greedy ignores the seed")
	assert.Equal(t, greedy, with(SessionConfig{Temperature: 2, TopK: 1, Seed: 9}), "one is left to choose from")
	assert.Equal(t, greedy, with(SessionConfig{Temperature: 1e-300, Seed: 9}), "as cold as can be")
	warm := with(SessionConfig{Temperature: 1, Seed: 9})
	assert.Equal(t, warm, with(SessionConfig{Temperature: 1, Seed: 9}))
	assert.NotEqual(t, warm, with(SessionConfig{Temperature: 1, Seed: 10}))
	assert.Equal(t, warm, with(SessionConfig{Temperature: 1, Seed: 9, TopK: 1 << 30}), "more than there are")
}

// The frequencies of many choices are the probabilities of the formula.
func TestSamplingFrequencies(t *testing.T) {
	m := trained(t)
	for _, cfg := range []SessionConfig{{Temperature: 1}, {Temperature: 0.5}, {Temperature: 1.5, TopK: 5}} {
		s := session(t, m, cfg)
		s.Feed("the fox s")
		logits := s.pass.logits
		s.sample(logits)
		kept := append([]uint8(nil), s.order...)
		if cfg.TopK > 0 {
			require.Len(t, kept, cfg.TopK)
		}
		var total float64
		for _, symbol := range kept {
			total += math.Exp(float64(logits[symbol]) / cfg.Temperature)
		}
		const n = 20_000
		counts := map[uint8]int{}
		for range n {
			counts[s.sample(logits)]++
		}
		sum := 0
		for _, symbol := range kept {
			p := math.Exp(float64(logits[symbol])/cfg.Temperature) / total
			// Five standard errors of a share, plus one count.
			assert.InDelta(t, p, float64(counts[symbol])/n, 5*math.Sqrt(p*(1-p)/n)+1.0/n)
			sum += counts[symbol]
		}
		assert.Equal(t, n, sum, "nothing but the %d kept", len(kept))
	}
}

func TestLogProb(t *testing.T) {
	m := trained(t)
	s := session(t, m, SessionConfig{Temperature: 1, Seed: 4})
	s.Feed("the ")
	var sum float64
	for range 50 {
		logits := append([]float32(nil), s.pass.logits...)
		symbol := m.vocab.encode([]byte(s.Next()))[0]
		var total float64
		for _, x := range logits {
			total += math.Exp(float64(x))
		}
		require.InDelta(t, float64(logits[symbol])-math.Log(total), s.LogProb(), 1e-5)
		sum += s.LogProb()
	}
	assert.Negative(t, sum)
}

// A session goes on far beyond any context, every token is a rune of the text,
// and no two sessions disturb each other.
func TestManyLongSessions(t *testing.T) {
	m := trained(t)
	texts := make([]string, 16)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			s, err := m.NewSession(SessionConfig{Temperature: 1, Seed: uint64(i % 4)})
			if err != nil {
				return
			}
			s.Feed("the ")
			texts[i] = write(s, 1500)
		})
	}
	wg.Wait()
	for i, text := range texts {
		require.Equal(t, texts[i%4], text, "the same seed, the same text")
		require.Equal(t, 1500, utf8.RuneCountInString(text))
		require.True(t, utf8.ValidString(text))
		require.NotContains(t, text, string(utf8.RuneError))
		require.Empty(t, strings.Trim(text, string(m.vocab.runes[1:])))
	}
	require.NotEqual(t, texts[0], texts[1])
}

func TestFeedAnything(t *testing.T) {
	m := trained(t)
	s := session(t, m, SessionConfig{})
	assert.Equal(t, 0, s.Feed(""))
	assert.Equal(t, 3, s.Feed("\xff\xfe\x00"))
	assert.Equal(t, 2, s.Feed("世界"))
	assert.Equal(t, 2, s.Feed("\xe4\xb8"), "a rune cut short counts by its bytes")
	assert.Equal(t, m.Count("\xff\xfe\x00世界\xe4\xb8"), s.Tokens())
	assert.True(t, utf8.ValidString(s.Next()))

	fresh, after := session(t, m, SessionConfig{}), session(t, m, SessionConfig{})
	after.Feed("\n")
	assert.Equal(t, after.Next(), fresh.Next(), "an empty session starts with a line break")
}

func TestSessionFaults(t *testing.T) {
	m := trained(t)
	_, err := m.NewSession(SessionConfig{Temperature: -1, TopK: -2})
	assert.ErrorContains(t, err, "SessionConfig.Temperature is -1, want 0 to 100")
	assert.ErrorContains(t, err, "SessionConfig.TopK is -2, want 0 or more")
	_, err = m.NewSession(SessionConfig{Temperature: math.NaN()})
	assert.ErrorContains(t, err, "Temperature is NaN")
}

func TestTokenAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := session(t, trained(t), SessionConfig{Temperature: 1, TopK: 10})
	s.Feed("the ")
	assert.Zero(t, testing.AllocsPerRun(200, func() { s.Next() }))
	assert.Zero(t, testing.AllocsPerRun(200, func() { s.Feed("a fox") }))
}

func BenchmarkNext(b *testing.B) {
	m := train(b, story(100), Config{Steps: 1, Batch: 1, Context: 1})
	for _, topK := range []int{0, 40} {
		b.Run(fmt.Sprintf("topk=%d", topK), func(b *testing.B) {
			s := session(b, m, SessionConfig{Temperature: 0.8, TopK: topK})
			for b.Loop() {
				s.Next()
			}
		})
	}
}
