package quality

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ErrSettings is in the error of a Merge of two values that count differently.
var ErrSettings = errors.New("quality: the settings differ")

// ErrInput is in the error of every function that refuses what it is given.
var ErrInput = errors.New("quality: bad input")

const (
	otherLabel = "other" // stands for labels beyond the bounds
	labelBytes = 256     // longest label with a class of its own
	labelsMax  = 2048    // highest MaxLabels
)

// ConfusionConfig bounds a Confusion.
type ConfusionConfig struct {
	// Labels are the classes known from the start; AddIndex counts by their place
	// here. No two are equal, none is longer than 256 bytes. Others join as they
	// are seen.
	Labels []string
	// MaxLabels is how many labels have a class of their own, at most 2048. What is
	// beyond, and every label longer than 256 bytes, counts as "other". Memory is 8
	// bytes x (MaxLabels + 1)^2 at most, 528 kB by default. Defaults to 256, or to
	// the number of Labels if that is more.
	MaxLabels int
}

// Confusion counts how often each class was taken for each. It is for one goroutine
// at a time.
type Confusion struct {
	config  ConfusionConfig
	labels  []string
	index   map[string]int
	stride  int     // length of a row of counts
	counts  []int64 // by truth, then prediction
	n       int64
	refused int64
}

// NewConfusion returns an empty matrix, or every fault of the Config.
func NewConfusion(config ConfusionConfig) (*Confusion, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	c := &Confusion{config: config}
	c.Reset()
	return c, nil
}

func (c *ConfusionConfig) complete() error {
	var faults []error
	c.Labels = slices.Clone(c.Labels)
	seen := make(map[string]bool, len(c.Labels))
	for i, label := range c.Labels {
		switch {
		case len(label) > labelBytes:
			faults = append(faults, fmt.Errorf("quality: ConfusionConfig.Labels[%d] has %d bytes: want at most %d", i, len(label), labelBytes))
		case seen[label]:
			faults = append(faults, fmt.Errorf("quality: ConfusionConfig.Labels[%d] is %q once more", i, label))
		}
		seen[label] = true
	}
	if c.MaxLabels == 0 {
		c.MaxLabels = max(256, len(c.Labels))
	}
	if c.MaxLabels < 1 || c.MaxLabels > labelsMax {
		faults = append(faults, fmt.Errorf("quality: ConfusionConfig.MaxLabels is %d: want 1 to %d", c.MaxLabels, labelsMax))
	} else if len(c.Labels) > c.MaxLabels {
		faults = append(faults, fmt.Errorf("quality: ConfusionConfig.Labels has %d labels: want at most MaxLabels, which is %d", len(c.Labels), c.MaxLabels))
	}
	return errors.Join(faults...)
}

// Add counts one example. Only a label that was never seen allocates. Once there
// are 2^63-1 examples, more are refused.
func (c *Confusion) Add(truth, predicted string) {
	c.AddIndex(c.class(truth), c.class(predicted), 1)
}

// AddIndex counts n examples by the places of their labels in Labels. A place that
// is none, a negative n and one that would pass 2^63-1 examples are refused.
func (c *Confusion) AddIndex(truth, predicted int, n int64) {
	classes := uint(len(c.labels))
	if uint(truth) >= classes || uint(predicted) >= classes || n < 0 || n > math.MaxInt64-c.n {
		c.refused++
		return
	}
	c.counts[truth*c.stride+predicted] += n
	c.n += n
}

// class returns the place of a label, which is added if there is room for it.
func (c *Confusion) class(label string) int {
	if i, ok := c.index[label]; ok {
		return i
	}
	if len(label) > labelBytes || label != otherLabel && c.full() {
		return c.class(otherLabel)
	}
	i := len(c.labels)
	label = strings.Clone(label)
	c.labels = append(c.labels, label)
	c.index[label] = i
	if i == c.stride {
		c.grow()
	}
	return i
}

// full says whether the next label is one too many. The class "other" has a place
// beside MaxLabels.
func (c *Confusion) full() bool {
	n := len(c.labels)
	if _, ok := c.index[otherLabel]; ok {
		n--
	}
	return n >= c.config.MaxLabels
}

func (c *Confusion) grow() {
	wider := min(max(2*c.stride, 4), c.config.MaxLabels+1)
	counts := make([]int64, wider*wider)
	for row := range c.stride {
		copy(counts[row*wider:], c.counts[row*c.stride:(row+1)*c.stride])
	}
	c.stride, c.counts = wider, counts
}

// Labels returns a copy of the labels: those of the Config, then others in the order
// in which they were seen, "other" among them if it was needed.
func (c *Confusion) Labels() []string { return slices.Clone(c.labels) }

// At is how many examples of one class were taken for another, by the places of
// their labels in Labels; 0 if there is no such place.
func (c *Confusion) At(truth, predicted int) int64 {
	classes := uint(len(c.labels))
	if uint(truth) >= classes || uint(predicted) >= classes {
		return 0
	}
	return c.counts[truth*c.stride+predicted]
}

// N is how many examples were counted.
func (c *Confusion) N() int64 { return c.n }

// Refused is how many calls of AddIndex and Add were refused.
func (c *Confusion) Refused() int64 { return c.refused }

// Merge adds the counts of another matrix, which is not changed, label by label;
// places and bounds may differ. Labels beyond the bound of c count as "other". It
// fails, and changes nothing, if there would be more than 2^63-1 examples.
func (c *Confusion) Merge(o *Confusion) error {
	if o.n > math.MaxInt64-c.n {
		return fmt.Errorf("%w: %d examples and %d are too many", ErrInput, c.n, o.n)
	}
	classes := make([]int, len(o.labels))
	for i, label := range o.labels {
		classes[i] = c.class(label)
	}
	for i, truth := range classes {
		for j, predicted := range classes {
			c.counts[truth*c.stride+predicted] += o.counts[i*o.stride+j]
		}
	}
	c.n += o.n
	c.refused += o.refused
	return nil
}

// Reset makes the matrix as it was when it was new, without labels that were seen
// since. Its memory is kept.
func (c *Confusion) Reset() {
	c.labels, c.n, c.refused = c.labels[:0], 0, 0
	clear(c.counts)
	if c.index == nil {
		c.index = make(map[string]int, len(c.config.Labels))
	}
	clear(c.index)
	for _, label := range c.config.Labels {
		c.class(label)
	}
}
