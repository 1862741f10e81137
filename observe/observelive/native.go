package observelive

import (
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

const (
	minSchema, maxSchema = -4, 8
	maxNativeBuckets     = 160 // on each side of zero; finer histograms are merged until they fit
	maxSpans             = 65536
)

// A native is one snapshot, or a difference, of a native histogram: bucket k of the positive side
// counts observations in (2^((k-1) 2^-schema), 2^(k 2^-schema)], the negative side mirrors it.
type native struct {
	schema    int32
	threshold float64 // the zero bucket is [-threshold, threshold]
	zero      float64
	pos, neg  []sparse
}

// A sparse is the count of one bucket, by index.
type sparse struct {
	k int32
	n float64
}

// isNative reports whether h carries a native histogram that can be read.
func isNative(h *dto.Histogram) bool {
	return h.Schema != nil && *h.Schema >= minSchema && *h.Schema <= maxSchema &&
		(len(h.PositiveSpan) > 0 || len(h.NegativeSpan) > 0 || h.GetZeroCount() > 0 ||
			h.GetZeroCountFloat() > 0 || h.GetZeroThreshold() > 0)
}

// read fills n with the snapshot h, reusing its memory.
func (n *native) read(h *dto.Histogram) {
	n.schema, n.threshold = h.GetSchema(), h.GetZeroThreshold()
	n.zero = float64(h.GetZeroCount())
	if h.ZeroCountFloat != nil {
		n.zero = h.GetZeroCountFloat()
	}
	n.pos = expand(n.pos[:0], h.PositiveSpan, h.PositiveDelta, h.PositiveCount)
	n.neg = expand(n.neg[:0], h.NegativeSpan, h.NegativeDelta, h.NegativeCount)
	for len(n.pos) > maxNativeBuckets || len(n.neg) > maxNativeBuckets {
		if n.schema <= minSchema {
			n.pos, n.neg = n.pos[:min(len(n.pos), maxNativeBuckets)], n.neg[:min(len(n.neg), maxNativeBuckets)]
			return
		}
		n.reduce(n.schema - 1)
	}
}

// expand lists the buckets of spans in ascending order of index. Counts are differences of
// integers or plain floats; what is not a count is zero.
func expand(into []sparse, spans []*dto.BucketSpan, deltas []int64, counts []float64) []sparse {
	var (
		k    int64
		i    int
		have int64
	)
spans:
	for _, span := range spans {
		k += int64(span.GetOffset())
		for range span.GetLength() {
			var c float64
			switch {
			case i < len(deltas):
				have += deltas[i]
				c = float64(have)
			case i < len(counts):
				c = counts[i]
			default:
				break spans
			}
			if c > 0 && k > math.MinInt32 && k < math.MaxInt32 && len(into) < maxSpans {
				into = append(into, sparse{int32(k), c})
			}
			i++
			k++
		}
	}
	for i := 1; i < len(into); i++ {
		if into[i].k <= into[i-1].k { // a negative offset; no bucket may stand twice
			slices.SortFunc(into, byIndex)
			return merge(into, 0)
		}
	}
	return into
}

func byIndex(a, b sparse) int { return int(int64(a.k) - int64(b.k)) }

// reduce merges buckets to a coarser schema.
func (n *native) reduce(schema int32) {
	if schema >= n.schema {
		return
	}
	shift := uint(n.schema - schema)
	n.pos, n.neg, n.schema = merge(n.pos, shift), merge(n.neg, shift), schema
}

// merge maps index k to ceil(k / 2^shift) and adds up equal neighbours, in place.
func merge(list []sparse, shift uint) []sparse {
	out := list[:0]
	for _, b := range list {
		b.k = int32(((int64(b.k) - 1) >> shift) + 1)
		if last := len(out) - 1; last >= 0 && out[last].k == b.k {
			out[last].n += b.n
			continue
		}
		out = append(out, b)
	}
	return out
}

// copyFrom makes n a copy of m on its own memory.
func (n *native) copyFrom(m *native) {
	pos, neg := append(n.pos[:0], m.pos...), append(n.neg[:0], m.neg...)
	*n = *m
	n.pos, n.neg = pos, neg
}

// add adds m; the coarser schema and the wider zero bucket win.
func (n *native) add(m *native) {
	if len(n.pos) == 0 && len(n.neg) == 0 && n.zero == 0 {
		n.copyFrom(m)
		return
	}
	if m.schema > n.schema {
		var c native
		c.copyFrom(m)
		c.reduce(n.schema)
		m = &c
	}
	n.reduce(m.schema)
	n.threshold = max(n.threshold, m.threshold)
	n.zero += m.zero
	n.pos, n.neg = addSparse(n.pos, m.pos, 1), addSparse(n.neg, m.neg, 1)
}

// addSparse adds sign times b to a. Both are sorted; the result uses a's memory where it can.
func addSparse(a, b []sparse, sign float64) []sparse {
	for _, s := range b {
		i, found := slices.BinarySearchFunc(a, s, byIndex)
		if !found {
			a = slices.Insert(a, i, sparse{s.k, 0})
		}
		a[i].n += sign * s.n
	}
	return a
}

// sub sets n to cur minus prev, and reports false if any bucket fell: a reset.
func (n *native) sub(cur, prev *native) bool {
	n.copyFrom(cur)
	p := prev
	if prev.schema > n.schema {
		p = &native{}
		p.copyFrom(prev)
		p.reduce(n.schema)
	}
	n.reduce(p.schema)
	if n.threshold == p.threshold {
		n.zero -= p.zero
	} else if n.threshold > p.threshold { // the zero bucket swallowed others
		n.zero = max(0, n.zero-p.zero)
	}
	n.pos, n.neg = addSparse(n.pos, p.pos, -1), addSparse(n.neg, p.neg, -1)
	if n.zero < 0 {
		return false
	}
	for _, side := range [2][]sparse{n.pos, n.neg} {
		for _, b := range side {
			if b.n < 0 {
				return false
			}
		}
	}
	return true
}

// buckets lists the buckets in ascending order of value, empty ones left out.
func (n *native) buckets(into []nativeBucket) []nativeBucket {
	bound := func(k int32) float64 { return math.Exp2(float64(k) * math.Exp2(-float64(n.schema))) }
	for i := len(n.neg) - 1; i >= 0; i-- {
		if b := n.neg[i]; b.n > 0 {
			into = append(into, nativeBucket{-bound(b.k), -bound(b.k - 1), b.n})
		}
	}
	if n.zero > 0 {
		into = append(into, nativeBucket{-n.threshold, n.threshold, n.zero})
	}
	for _, b := range n.pos {
		if b.n > 0 {
			into = append(into, nativeBucket{bound(b.k - 1), bound(b.k), b.n})
		}
	}
	return into
}

func (n *native) held() int64 { return int64(cap(n.pos)+cap(n.neg)) * 16 }
