package mlflow

import (
	"math"
	"strconv"
	"time"
)

// The limits of a server (mlflow/utils/validation.py), the smaller where its
// versions differ.
const (
	maxMetrics = 1000
	maxParams  = 100
	maxTags    = 100
	maxItems   = 1000
	maxBytes   = 1_000_000
	maxKey     = 250
	maxParam   = 6000
	maxTag     = 5000
)

// kind is what an item of a body is.
type kind uint8

const (
	metric kind = iota
	param
	tag

	numKinds
)

// body is a log-batch request that is being filled. Its memory is used again.
type body struct {
	json  [numKinds][]byte // the elements, each with a comma before it
	count [numKinds]int

	finite    []byte // metrics without those that are NaN or infinite
	nonfinite int    // how many these are
}

// overhead is what the JSON around the items takes at most: the run's ID and the
// names of the arrays.
const overhead = 512

func (b *body) items() int { return b.count[metric] + b.count[param] + b.count[tag] }

// fits reports whether n more items of a kind, of so many bytes together, stay
// within all limits. Params travel alone: a server that refuses a new value of one
// refuses what is with it.
func (b *body) fits(k kind, n, bytes, batchMetrics int) bool {
	limits := [numKinds]int{metric: batchMetrics, param: maxParams, tag: maxTags}
	if (b.count[param] > 0) != (k == param) && b.items() > 0 {
		return false
	}
	size := overhead + len(b.json[metric]) + len(b.json[param]) + len(b.json[tag])
	return b.count[k]+n <= limits[k] && b.items()+n <= maxItems && size+bytes <= maxBytes
}

// metricBytes is what a metric takes at most, without its key.
const metricBytes = 140

// addMetric adds a point; key is a JSON string.
func (b *body) addMetric(key string, value float64, at time.Time, step int64) {
	from := len(b.json[metric])
	j := append(b.json[metric], `,{"key":`...)
	j = append(j, key...)
	j = append(j, `,"value":`...)
	finite := !math.IsNaN(value) && !math.IsInf(value, 0)
	switch {
	case finite:
		j = strconv.AppendFloat(j, value, 'g', -1, 64)
	case value > 0:
		j = append(j, `"Infinity"`...)
	case value < 0:
		j = append(j, `"-Infinity"`...)
	default:
		j = append(j, `"NaN"`...)
	}
	j = append(j, `,"timestamp":`...)
	j = strconv.AppendInt(j, max(at.UnixMilli(), 0), 10)
	j = append(j, `,"step":`...)
	j = strconv.AppendInt(j, step, 10)
	j = append(j, '}')
	b.json[metric] = j
	b.count[metric]++
	if finite {
		b.finite = append(b.finite, j[from:]...)
	} else {
		b.nonfinite++
	}
}

// addPair adds a param or a tag; key and value are JSON strings.
func (b *body) addPair(k kind, key, value string) {
	j := append(b.json[k], `,{"key":`...)
	j = append(j, key...)
	j = append(j, `,"value":`...)
	j = append(j, value...)
	b.json[k] = append(j, '}')
	b.count[k]++
}

// encode returns the request, in memory of its own: a transport may still read it
// after it has returned. run is a JSON string.
func (b *body) encode(run string, withNonFinite bool) []byte {
	metrics := b.json[metric]
	if !withNonFinite {
		metrics = b.finite
	}
	out := make([]byte, 0, overhead+len(metrics)+len(b.json[param])+len(b.json[tag]))
	out = append(out, `{"run_id":`...)
	out = append(out, run...)
	array := func(name string, elements []byte) {
		if len(elements) > 0 {
			out = append(out, name...)
			out = append(out, elements[1:]...)
			out = append(out, ']')
		}
	}
	array(`,"metrics":[`, metrics)
	array(`,"params":[`, b.json[param])
	array(`,"tags":[`, b.json[tag])
	return append(out, '}')
}

func (b *body) reset() {
	for k := range b.json {
		b.json[k] = b.json[k][:0]
	}
	*b = body{json: b.json, finite: b.finite[:0]}
}
