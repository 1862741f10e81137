package ecslog

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, b := newTest(t, Config{Level: slog.LevelDebug, Sample: Sample{PerSecond: 2, Burst: 3}})
		l := slog.New(h)
		log := func(n int, f func()) (lines int) {
			b.Reset()
			for range n {
				f()
			}
			return strings.Count(b.String(), "\n")
		}
		info := func() { l.Info("a") }
		assert.Equal(t, 3, log(10, info), "the burst")
		assert.Equal(t, 10, log(10, func() { l.Warn("a") }), "warnings are never sampled")
		assert.Equal(t, 10, log(10, func() { l.Error("a") }))
		assert.Equal(t, 3, log(10, func() { l.Debug("a") }), "each level has its own")
		assert.Equal(t, 3, log(10, func() { l.Info("b") }), "each message too")
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 1, log(10, info), "one more")
		assert.Equal(t, "7", verified(t, b.Bytes())["labels.suppressed"])
		time.Sleep(time.Hour)
		assert.Equal(t, 3, log(3, info), "no more than the burst has gathered")
		assert.Equal(t, 1, strings.Count(b.String(), `"labels.suppressed":"9"`), b.String())
		assert.Equal(t, 1, strings.Count(b.String(), "suppressed"))
		assert.Equal(t, Drops{
			Debug: Counts{Lines: 3, Sampled: 7}, Info: Counts{Lines: 10, Sampled: 23},
			Warn: Counts{Lines: 10}, Error: Counts{Lines: 10},
		}, h.Dropped())
	})
}

// With and WithGroup share the buckets, and messages that differ in content only are
// the same.
func TestSampleIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, b := newTest(t, Config{Sample: Sample{PerSecond: 1}})
		for i := range 10 {
			text := fmt.Sprintf("prompt number %d", i)
			ctx := WithContent(context.Background(), text)
			slog.New(h).With("i", i).WithGroup("g").InfoContext(ctx, "refused "+text)
		}
		assert.Equal(t, "refused [content]", verified(t, b.Bytes())["message"])
	})
}

func TestSampleKeys(t *testing.T) {
	s := newSampler(Sample{PerSecond: 1, Burst: 1, Keys: 3})
	passed := 0
	for i := range 10 {
		if _, ok := s.pass(testTime, slog.LevelInfo, fmt.Sprint(i)); ok {
			passed++
		}
	}
	assert.Equal(t, 4, passed, "three of their own, and one that is shared")
	assert.Len(t, s.buckets, 3)
	suppressed, ok := s.pass(testTime.Add(time.Second), slog.LevelInfo, "another")
	assert.True(t, ok)
	assert.EqualValues(t, 6, suppressed)
}

func TestSampleDefaults(t *testing.T) {
	assert.Equal(t, Sample{PerSecond: 2.5, Burst: 3, Keys: 1024}, Sample{PerSecond: 2.5}.withDefaults())
	off := newSampler(Sample{}.withDefaults())
	for range 1000 {
		_, ok := off.pass(testTime, slog.LevelInfo, "a")
		assert.True(t, ok)
	}
	assert.Empty(t, off.buckets)
}

// Whatever the times are, no more than burst + rate x time passes, and every line is
// either passed or told of.
func TestSampleProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		s := Sample{PerSecond: rng.Float64() * 20, Burst: 1 + rng.IntN(5)}
		b := bucket{tokens: float64(s.Burst), at: testTime}
		at, last := testTime, testTime
		var passed, told uint64
		n := rng.IntN(50)
		for range n {
			at = at.Add(time.Duration(rng.Int64N(int64(time.Second))) - 200*time.Millisecond)
			if at.After(last) {
				last = at
			}
			suppressed, ok := b.take(at, s)
			if ok {
				passed++
			}
			told += suppressed
		}
		most := float64(s.Burst) + last.Sub(testTime).Seconds()*s.PerSecond
		if float64(passed) > most+1e-6 || passed+told+b.suppressed != uint64(n) {
			t.Fatalf("%+v: %d of %d passed, at most %g, %d told, %d not yet", s, passed, n, most, told, b.suppressed)
		}
	}
}
