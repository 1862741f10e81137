package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func drawn(t *testing.T, h history) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, draw(&b, h))
	decoder := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	for {
		_, err := decoder.Token()
		if err != nil {
			require.ErrorContains(t, err, "EOF", "it is XML")
			break
		}
	}
	assert.NotContains(t, b.String(), "NaN\"")
	assert.NotContains(t, b.String(), "Inf")
	assert.NotContains(t, b.String(), "%!")
	return b.String()
}

func TestDraw(t *testing.T) {
	h := history{marks: []mark{{50, "spike"}, {52, "NaN"}, {80, "hang"}}}
	for i := int64(1); i <= 100; i++ {
		h.steps = append(h.steps, point{step: i, loss: 4 / math.Sqrt(float64(i)), norm: 1})
	}
	h.undone = [][]point{{{step: 49, loss: 1, norm: 1}, {step: 50, loss: 8, norm: math.NaN()}}}
	s := drawn(t, h)
	assert.Equal(t, 4, strings.Count(s, "<path class="), "two plots of two pieces")
	assert.Equal(t, 2, strings.Count(s, ` undone"`))
	assert.Equal(t, 2, strings.Count(s, `class="band"`))
	assert.Equal(t, 1, strings.Count(s, ">×</text>"), "the NaN")
	for _, text := range []string{">spike<", ">NaN<", ">hang<", ">100<", ">0<", "prefers-color-scheme: dark", "gradient norm", "optimizer step"} {
		assert.Contains(t, s, text)
	}
	// The spike is the highest point of its plot, and the marks stand at their steps.
	assert.Contains(t, s, fmt.Sprintf(`<line class="mark" x1="%.1f"`, left+(right-left)*.5))
	numbers := regexp.MustCompile(`<path class="loss undone" d="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)"`).FindStringSubmatch(s)
	require.Len(t, numbers, 3)
	one, err := strconv.ParseFloat(numbers[1], 64)
	require.NoError(t, err)
	eight, err := strconv.ParseFloat(numbers[2], 64)
	require.NoError(t, err)
	assert.Less(t, eight, one)
	assert.Greater(t, eight, lossTop)
}

// Nothing that a history may hold breaks the picture.
func TestDrawHostile(t *testing.T) {
	drawn(t, history{})
	drawn(t, history{steps: []point{{step: 1, loss: math.NaN(), norm: math.Inf(1)}}})
	drawn(t, history{steps: []point{{step: 1, loss: -1}}, marks: []mark{{7, "beyond"}}})
	drawn(t, history{steps: []point{{step: math.MaxInt32, loss: 1e299, norm: 1e-299}}})
	rng := rand.New(rand.NewPCG(1, 1))
	values := []float64{0, 1, 2.5, -3, 1e9, 1e-9, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}
	for range 300 {
		var h history
		for i := range rng.IntN(20) {
			p := point{step: int64(i), loss: values[rng.IntN(len(values))], norm: values[rng.IntN(len(values))]}
			h.steps = append(h.steps, p)
			if rng.IntN(4) == 0 {
				h.undone = append(h.undone, []point{p})
				h.marks = append(h.marks, mark{p.step, "x"})
			}
		}
		drawn(t, h)
	}
	full := errors.New("full")
	assert.ErrorIs(t, draw(failing{full}, history{}), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestTicks(t *testing.T) {
	assert.Equal(t, []float64{0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}, ticks(1000, 10))
	assert.Equal(t, []float64{0, 50, 100, 150, 200}, ticks(240, 10))
	assert.Equal(t, []float64{0, .2, .4, .6000000000000001, .8, 1}, ticks(1, 5))
	assert.Equal(t, []float64{2, 3, 5, 7, 10, 20}, decadeTicks(1.5, 25))
	assert.Empty(t, decadeTicks(1.1, 1.9))
	rng := rand.New(rand.NewPCG(2, 2))
	for range 10_000 {
		high := math.Pow(10, rng.Float64()*12-3)
		list := ticks(high, 10)
		require.GreaterOrEqual(t, len(list), 4, high)
		require.LessOrEqual(t, len(list), 11, high)
		require.LessOrEqual(t, list[len(list)-1], high*(1+1e-9))
	}
}
