package quality

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted returns the matrix of truths and predictions that are digits.
func counted(t *testing.T, truths, predictions string) *Confusion {
	t.Helper()
	c := newConfusion(t)
	require.Len(t, predictions, len(truths))
	for i := range truths {
		c.Add(truths[i:i+1], predictions[i:i+1])
	}
	return c
}

func TestConfusionConfigFaults(t *testing.T) {
	_, err := NewConfusion(ConfusionConfig{Labels: []string{"a", "b", "a", strings.Repeat("x", 257)}, MaxLabels: 3})
	for _, want := range []string{`Labels[2] is "a"`, "Labels[3] has 257 bytes", "Labels has 4 labels", "MaxLabels, which is 3"} {
		assert.ErrorContains(t, err, want)
	}
	for _, n := range []int{-1, labelsMax + 1} {
		_, err = NewConfusion(ConfusionConfig{MaxLabels: n})
		assert.ErrorContains(t, err, fmt.Sprintf("MaxLabels is %d", n))
	}
	labels := make([]string, 300)
	for i := range labels {
		labels[i] = strconv.Itoa(i)
	}
	c, err := NewConfusion(ConfusionConfig{Labels: labels})
	require.NoError(t, err)
	assert.Equal(t, labels, c.Labels())
	labels[0] = "changed"
	assert.Equal(t, "0", c.Labels()[0], "the Config is copied")
}

func TestConfusionMatrix(t *testing.T) {
	c := newConfusion(t, "b", "a")
	c.Add("b", "b")
	c.Add("b", "a")
	c.Add("z", "b")
	c.AddIndex(1, 1, 5)
	assert.Equal(t, []string{"b", "a", "z"}, c.Labels())
	var rows [3][3]int64
	for i := range rows {
		for j := range rows {
			rows[i][j] = c.At(i, j)
		}
	}
	assert.Equal(t, [3][3]int64{{1, 1, 0}, {0, 5, 0}, {1, 0, 0}}, rows)
	assert.EqualValues(t, 8, c.N())

	c.Reset()
	assert.Equal(t, []string{"b", "a"}, c.Labels())
	assert.Zero(t, c.N())
	assert.Zero(t, c.At(0, 0))
	assert.Empty(t, c.Report(ReportConfig{}).Classes)
}

func TestConfusionRefuses(t *testing.T) {
	c := newConfusion(t, "a", "b")
	for _, at := range [][3]int64{{-1, 0, 1}, {0, -1, 1}, {2, 0, 1}, {0, 2, 1}, {math.MaxInt64, 0, 1}, {0, 0, -1}, {0, 0, math.MinInt64}} {
		c.AddIndex(int(at[0]), int(at[1]), at[2])
	}
	assert.EqualValues(t, 7, c.Refused())
	assert.Zero(t, c.N())
	assert.Zero(t, c.At(-1, 0)+c.At(0, 2)+c.At(5, 5))

	c.AddIndex(0, 1, math.MaxInt64)
	c.AddIndex(1, 1, 1)
	c.Add("a", "a")
	assert.EqualValues(t, 9, c.Refused())
	assert.EqualValues(t, math.MaxInt64, c.N())
	other := counted(t, "a", "b")
	assert.ErrorIs(t, other.Merge(c), ErrInput)
	assert.EqualValues(t, 1, other.N(), "unchanged")
}

func TestConfusionBounds(t *testing.T) {
	c, err := NewConfusion(ConfusionConfig{Labels: []string{"first"}, MaxLabels: 3})
	require.NoError(t, err)
	long := strings.Repeat("x", 257)
	for i := range 1000 {
		c.Add(strconv.Itoa(i), strconv.Itoa(i))
	}
	c.Add(long, "first")
	c.Add("other", "0")
	assert.Equal(t, []string{"first", "0", "1", "other"}, c.Labels())
	assert.EqualValues(t, 998, c.At(3, 3))
	assert.EqualValues(t, 1, c.At(3, 0))
	assert.EqualValues(t, 1, c.At(3, 1))
	assert.EqualValues(t, 1002, c.N())

	// A label "other" of the Config takes no second place.
	c, err = NewConfusion(ConfusionConfig{Labels: []string{"other", "a"}, MaxLabels: 2})
	require.NoError(t, err)
	for i := range 10 {
		c.Add(strconv.Itoa(i), "a")
	}
	assert.Equal(t, []string{"other", "a", "0"}, c.Labels())
	assert.EqualValues(t, 9, c.At(0, 1))

	// The largest matrix that the default lets grow.
	c = newConfusion(t)
	for i := range 10_000 {
		c.Add(strconv.Itoa(i), strconv.Itoa(i*7))
	}
	assert.Len(t, c.Labels(), 257)
	assert.Len(t, c.counts, 257*257)
	assert.EqualValues(t, 10_000, c.N())
}

// A label is not kept alive by the text that it was cut from.
func TestConfusionLabelsAreCopied(t *testing.T) {
	data := []byte("label")
	c := newConfusion(t)
	c.Add(string(data), "x")
	copy(data, "xxxxx")
	assert.Equal(t, "label", c.Labels()[0])
}

func randomConfusion(t *testing.T, r *rand.Rand, n, classes int) (c *Confusion, truths, predictions []string) {
	c = newConfusion(t, "c3", "c1")
	for range n {
		truth := "c" + strconv.Itoa(r.IntN(classes))
		predicted := truth
		if r.IntN(3) == 0 {
			predicted = "c" + strconv.Itoa(r.IntN(classes))
		}
		c.Add(truth, predicted)
		truths, predictions = append(truths, truth), append(predictions, predicted)
	}
	return c, truths, predictions
}

// The order of examples does not matter, nor how they are shared out to matrices
// that are merged.
func TestConfusionMergeAndOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		all, truths, predictions := randomConfusion(t, r, 1+r.IntN(60), 1+r.IntN(6))
		parts := []*Confusion{newConfusion(t, "c3", "c1"), newConfusion(t), newConfusion(t, "absent")}
		shuffled(r, len(truths), func(i int) { parts[r.IntN(3)].Add(truths[i], predictions[i]) })
		require.NoError(t, parts[0].Merge(parts[1]))
		require.NoError(t, parts[0].Merge(parts[2]))
		want, got := all.Report(ReportConfig{}), parts[0].Report(ReportConfig{})
		require.Equal(t, want.Classes, got.Classes)
		require.InDelta(t, want.Kappa, got.Kappa, 1e-12, "NaN only with NaN")
		require.InDelta(t, want.MCC, got.MCC, 1e-12)
		require.InDelta(t, want.BalancedAccuracy, got.BalancedAccuracy, 1e-12)
		require.Equal(t, want.Accuracy, got.Accuracy)
		require.Equal(t, want.N, got.N)
	}
}

func TestConfusionMergeWithItself(t *testing.T) {
	c := counted(t, "0012", "0112")
	require.NoError(t, c.Merge(c))
	assert.EqualValues(t, 8, c.N())
	assert.EqualValues(t, 2, c.At(0, 1))
}

// Merging into a matrix that is full counts as "other".
func TestConfusionMergeBeyondBounds(t *testing.T) {
	small, err := NewConfusion(ConfusionConfig{Labels: []string{"0"}, MaxLabels: 1})
	require.NoError(t, err)
	small.AddIndex(0, 0, 2)
	require.NoError(t, small.Merge(counted(t, "0123", "0023")))
	assert.Equal(t, []string{"0", "other"}, small.Labels())
	assert.Equal(t, []int64{3, 0, 1, 2}, []int64{small.At(0, 0), small.At(0, 1), small.At(1, 0), small.At(1, 1)})
	assert.EqualValues(t, 6, small.N())
}

func TestConfusionAllocatesNothing(t *testing.T) {
	c := newConfusion(t, "yes", "no")
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		c.AddIndex(0, 1, 3)
		c.Add("yes", "no")
		c.Add("no", "no")
	}))
}

// However labels come, examples are neither lost nor made.
func FuzzConfusion(f *testing.F) {
	f.Add([]byte("abcabc"), uint8(2))
	f.Add([]byte("\x00\xff\x00other"), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, bound uint8) {
		c, err := NewConfusion(ConfusionConfig{MaxLabels: 1 + int(bound%8)})
		require.NoError(t, err)
		for i := range data {
			c.Add(string(data[:i%3]), string(data[i:i+1]))
		}
		labels := c.Labels()
		require.LessOrEqual(t, len(labels), 2+int(bound%8))
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(labels))), len(labels))
		sum := int64(0)
		for i := range labels {
			for j := range labels {
				sum += c.At(i, j)
			}
		}
		require.EqualValues(t, len(data), sum)
		require.EqualValues(t, len(data), c.N())
		r := c.Report(ReportConfig{})
		support := int64(0)
		for _, s := range r.Classes {
			support += s.Support
		}
		require.EqualValues(t, len(data), support)
	})
}

func BenchmarkAddIndex(b *testing.B) {
	c, _ := NewConfusion(ConfusionConfig{Labels: []string{"yes", "no"}})
	b.ReportAllocs()
	for b.Loop() {
		c.AddIndex(0, 1, 1)
	}
}
