package quality

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe/quality/text"
)

// notes is a window's value that shows what is in it.
type notes struct {
	seen   []int
	resets int
	fault  error
}

func (n *notes) Merge(o *notes) error {
	n.seen = append(n.seen, o.seen...)
	return o.fault
}

func (n *notes) Reset() {
	n.seen = n.seen[:0]
	n.resets++
}

// fixture counts the values that a window makes.
type fixture struct {
	*Rolling[*notes]
	made int
}

func newFixture(t *testing.T, every time.Duration, slots int) *fixture {
	t.Helper()
	f := &fixture{}
	r, err := NewRolling(RollingConfig[*notes]{
		New:   func() *notes { f.made++; return &notes{} },
		Every: every,
		Slots: slots,
	})
	require.NoError(t, err)
	f.Rolling = r
	return f
}

func (f *fixture) holds(t *testing.T, now time.Time) []int {
	t.Helper()
	v, err := f.Value(now)
	require.NoError(t, err)
	return v.seen
}

func (f *fixture) add(now time.Time, x int) {
	v := f.At(now)
	v.seen = append(v.seen, x)
}

func TestRollingConfigFaults(t *testing.T) {
	_, err := NewRolling(RollingConfig[*notes]{Every: -time.Second, Slots: 10_001})
	for _, want := range []string{"New is nil", "Every is -1s", "Slots is 10001"} {
		assert.ErrorContains(t, err, want)
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func TestRollingForgets(t *testing.T) {
	f := newFixture(t, 10*time.Second, 3)
	assert.Empty(t, f.holds(t, at(0)))
	f.add(at(0), 1)
	f.add(at(9.9), 2)
	f.add(at(10), 3)
	f.add(at(25), 4)
	assert.ElementsMatch(t, []int{1, 2, 3, 4}, f.holds(t, at(29.9)))
	assert.ElementsMatch(t, []int{3, 4}, f.holds(t, at(30)))
	f.add(at(31), 5)
	assert.ElementsMatch(t, []int{3, 4, 5}, f.holds(t, at(39)))
	assert.ElementsMatch(t, []int{4, 5}, f.holds(t, at(40)))
	assert.Empty(t, f.holds(t, at(60)))
}

// A gap longer than the window empties it, however long it is, at no cost.
func TestRollingGaps(t *testing.T) {
	f := newFixture(t, time.Nanosecond, 4)
	now := epoch
	for i, gap := range []time.Duration{0, 1, 3, 4, 5, 100, 1001, time.Hour, 1e6 * time.Hour, math.MaxInt64} {
		now = now.Add(gap)
		if gap >= 4 {
			require.Empty(t, f.holds(t, now), "gap %d", gap)
		}
		f.add(now, i)
		require.Contains(t, f.holds(t, now), i)
		require.LessOrEqual(t, len(f.holds(t, now)), 3)
	}
}

// A slot that comes round again holds nothing of its last period, even where
// nothing looked at the window in between.
func TestRollingReusesSlots(t *testing.T) {
	f := newFixture(t, time.Second, 2)
	for i := range 100 {
		f.add(at(float64(2*i)), i)
	}
	assert.Equal(t, 1, f.made, "one slot is ever used")
	assert.Equal(t, []int{99}, f.holds(t, at(198)))
	assert.Equal(t, 99, f.At(at(198)).resets)
}

// Time that goes back is the latest time: nothing is lost, nothing comes back.
func TestRollingTimeGoesBack(t *testing.T) {
	f := newFixture(t, time.Second, 3)
	f.add(at(100), 1)
	f.add(at(50), 2)
	f.add(at(-1e6), 3)
	assert.ElementsMatch(t, []int{1, 2, 3}, f.holds(t, at(0)))
	assert.ElementsMatch(t, []int{1, 2, 3}, f.holds(t, at(102.9)))
	assert.Empty(t, f.holds(t, at(103)))
	assert.Empty(t, f.holds(t, at(100)), "what is over stays over")
}

func TestRollingReset(t *testing.T) {
	f := newFixture(t, time.Second, 3)
	for i := range 8 {
		f.add(at(float64(i)), i)
	}
	f.Reset()
	assert.Empty(t, f.holds(t, at(0)), "time may begin anew")
	for i := range 30 {
		f.add(at(float64(i)/2), i)
	}
	assert.ElementsMatch(t, []int{24, 25, 26, 27, 28, 29}, f.holds(t, at(14.5)))
}

func TestRollingMergeFault(t *testing.T) {
	f := newFixture(t, time.Second, 3)
	fault := errors.New("no")
	f.At(at(0)).fault = fault
	_, err := f.Value(at(0))
	assert.ErrorIs(t, err, fault)
}

// The value that is read is the reader's own.
func TestRollingValueIsACopy(t *testing.T) {
	f := newFixture(t, time.Second, 3)
	f.add(at(0), 1)
	v, err := f.Value(at(0))
	require.NoError(t, err)
	v.seen[0] = 9
	v.Reset()
	assert.Equal(t, []int{1}, f.holds(t, at(0)))
}

// What a window holds is what a list of everything says, for any times.
func FuzzRolling(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 200, 1, 3}, uint8(2))
	f.Add([]byte{255, 0, 255, 0, 7, 128, 9}, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, slots uint8) {
		n := 1 + int(slots%8)
		window := newFixture(t, 4*time.Second, n)
		now, latest := 0, 0
		periods := map[int]int{} // of each entry
		for i, b := range data {
			now += int(int8(b))
			if i == 0 {
				latest, now = 0, 0
			}
			latest = max(latest, now)
			if b%3 > 0 {
				periods[i] = latest / 4
				window.add(at(float64(now)), i)
			}
			var want []int
			for entry, period := range periods {
				if period > latest/4-n {
					want = append(want, entry)
				}
			}
			require.ElementsMatch(t, want, window.holds(t, at(float64(now))), "after %d", i)
		}
	})
}

// The clock of a program, and everything that a window can be made of.
func TestRollingOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		matrices, err := NewRolling(RollingConfig[*Confusion]{New: func() *Confusion { return newConfusion(t) }, Every: time.Minute, Slots: 5})
		require.NoError(t, err)
		scores, err := NewRolling(RollingConfig[*Scores]{New: func() *Scores { return newScores(t, ScoresConfig{}) }, Every: time.Minute, Slots: 5})
		require.NoError(t, err)
		perplexities, err := NewRolling(RollingConfig[*Perplexity]{New: func() *Perplexity { return &Perplexity{} }, Every: time.Minute, Slots: 5})
		require.NoError(t, err)
		texts, err := NewRolling(RollingConfig[*text.BLEU]{Every: time.Minute, Slots: 5, New: func() *text.BLEU {
			b, err := text.NewBLEU(text.BLEUConfig{})
			require.NoError(t, err)
			return b
		}})
		require.NoError(t, err)
		for i := range 20 {
			matrices.At(time.Now()).Add("yes", fmt.Sprint(i))
			scores.At(time.Now()).Add(i%2 == 0, float64(i)/20)
			perplexities.At(time.Now()).Add(float64(i), 1)
			texts.At(time.Now()).Add("the same text here", "the same text here")
			time.Sleep(time.Minute)
		}
		now := time.Now() // four slots are filled, one has just begun
		m, err := matrices.Value(now)
		require.NoError(t, err)
		assert.Equal(t, []string{"16", "17", "18", "19", "yes"}, slices.Sorted(slices.Values(m.Labels())))
		s, err := scores.Value(now)
		require.NoError(t, err)
		assert.EqualValues(t, 4, s.N())
		p, err := perplexities.Value(now)
		require.NoError(t, err)
		assert.InDelta(t, math.Exp((16+17+18+19)/4.0), p.Value(), 1e-3)
		b, err := texts.Value(now)
		require.NoError(t, err)
		assert.InDelta(t, 100, b.Score().Score, 1e-9)
	})
}

// Recording allocates nothing once each slot was used.
func TestRollingAllocatesNothing(t *testing.T) {
	r, err := NewRolling(RollingConfig[*Perplexity]{New: func() *Perplexity { return &Perplexity{} }, Every: time.Second, Slots: 4})
	require.NoError(t, err)
	for i := range 8 {
		r.At(at(float64(i)))
	}
	now := at(8)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		r.At(now).Add(1, 1)
		now = now.Add(300 * time.Millisecond)
	}))
}
