package observelive

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// An engineCase is a histogram with what Prometheus' engine says of its quantiles.
type engineCase struct {
	text      string
	first     *dto.Metric // as it was
	second    *dto.Metric // with the case's observations added
	quantiles []float64
	want      []float64
	native    bool
}

// readEngineCases reads testdata/histogram_quantile.txt, whose head says what made it.
func readEngineCases(t *testing.T) (out []engineCase) {
	t.Helper()
	f, err := os.Open("testdata/histogram_quantile.txt")
	require.NoError(t, err)
	defer f.Close()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		return v
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		words := strings.Fields(lines.Text())
		c := engineCase{text: lines.Text()}
		switch words[0] {
		case "classic":
			var bounds, counts, before []float64
			for w := range strings.SplitSeq(words[1], ",") {
				bounds = append(bounds, number(w))
			}
			for i, w := range strings.Split(words[2], ",") {
				before = append(before, float64(i*7%5))
				counts = append(counts, number(w)+before[i])
			}
			c.first, c.second = buckets(bounds, before), buckets(bounds, counts)
			words = words[3:]
		case "native":
			c.native = true
			schema, threshold, zero := int32(number(words[1])), number(words[2]), uint64(number(words[3]))
			side := func(word string, add int64) (spans []*dto.BucketSpan, deltas []int64, total uint64) {
				if word == "-" {
					return nil, nil, 0
				}
				var next int32
				var last int64
				for b := range strings.SplitSeq(word, ",") {
					k, n, _ := strings.Cut(b, ":")
					index, count := int32(number(k)), int64(number(n))+add
					if add < 0 {
						count = -add
					}
					spans = append(spans, &dto.BucketSpan{Offset: new(index - next), Length: new(uint32(1))})
					deltas = append(deltas, count-last)
					next, last = index+1, count
					total += uint64(count)
				}
				return spans, deltas, total
			}
			metric := func(zero uint64, add int64) *dto.Metric {
				h := &dto.Histogram{Schema: &schema, ZeroThreshold: &threshold, ZeroCount: &zero}
				var pos, neg uint64
				h.PositiveSpan, h.PositiveDelta, pos = side(words[4], add)
				h.NegativeSpan, h.NegativeDelta, neg = side(words[5], add)
				h.SampleCount = new(pos + neg + zero)
				return &dto.Metric{Histogram: h}
			}
			c.first, c.second = metric(3, -2), metric(zero+3, 2) // two in each bucket before
			words = words[6:]
		default:
			t.Fatal(lines.Text())
		}
		for _, w := range words {
			q, v, _ := strings.Cut(w, "=")
			c.quantiles = append(c.quantiles, number(q))
			c.want = append(c.want, number(v))
		}
		out = append(out, c)
	}
	require.NoError(t, lines.Err())
	return out
}

// What the page says of two snapshots is what histogram_quantile says of their difference: to
// 1e-9, in the engine of Prometheus itself.
func TestQuantilesAreTheEngines(t *testing.T) {
	compared, natives := 0, 0
	for _, c := range readEngineCases(t) {
		b := newBench(t, nil)
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, c.first))
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, c.second))
		w := b.table.families["h_seconds"].views[0].order[0].win
		require.Equal(t, c.native, w.isNative, c.text)
		got := make([]float64, len(c.quantiles))
		w.quantiles(c.quantiles, got, nil)
		for i, want := range c.want {
			if want == 0 {
				require.InDelta(t, want, got[i], 1e-12, "q=%v of %s", c.quantiles[i], c.text)
			} else {
				require.InEpsilon(t, want, got[i], 1e-9, "q=%v of %s", c.quantiles[i], c.text)
			}
			compared++
		}
		if c.native {
			natives++
		}
	}
	require.Greater(t, compared, 800)
	require.Greater(t, natives, 60)
}

// Counts that are off by one observation give quantiles that are not the engine's: the comparison
// would tell.
func TestQuantilesOfOtherCountsAreNotTheEngines(t *testing.T) {
	off := 0
	for _, c := range readEngineCases(t) {
		if c.native {
			continue
		}
		h := c.second.Histogram
		h.Bucket[0].CumulativeCount = new(h.Bucket[0].GetCumulativeCount() + 1)
		b := newBench(t, nil)
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, c.first))
		b.step(fam("h_seconds", dto.MetricType_HISTOGRAM, c.second))
		got := make([]float64, len(c.quantiles))
		b.table.families["h_seconds"].views[0].order[0].win.quantiles(c.quantiles, got, nil)
		for i, want := range c.want {
			if d := got[i] - want; d > 1e-9*max(want, -want) || d < -1e-9*max(want, -want) {
				off++
			}
		}
	}
	require.Greater(t, off, 100)
}
