package observelive

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// A native histogram of any spans and deltas is read without a panic, within its bounds, and its
// difference to the one before never has a negative count.
func FuzzNative(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, int32(3), uint64(5))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80}, int32(8), uint64(0))
	f.Add([]byte{}, int32(-4), uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, raw []byte, schema int32, zero uint64) {
		h := &dto.Histogram{Schema: &schema, ZeroCount: &zero, ZeroThreshold: new(1e-3), SampleCount: &zero}
		for ; len(raw) >= 5; raw = raw[5:] {
			word := binary.LittleEndian.Uint32(raw)
			span := &dto.BucketSpan{Offset: new(int32(word) >> (raw[4] % 32)), Length: new(uint32(raw[4] % 9))}
			if raw[4]&1 == 0 {
				h.PositiveSpan = append(h.PositiveSpan, span)
				h.PositiveDelta = append(h.PositiveDelta, int64(int32(word)), int64(raw[4]))
			} else {
				h.NegativeSpan = append(h.NegativeSpan, span)
				h.NegativeDelta = append(h.NegativeDelta, int64(raw[4]), int64(int32(word)))
			}
		}
		if !isNative(h) {
			return
		}
		var a, b, d native
		a.read(h)
		b.read(h)
		for _, side := range [][]sparse{a.pos, a.neg} {
			if len(side) > maxNativeBuckets {
				t.Fatalf("%d buckets", len(side))
			}
			for i, s := range side {
				if !(s.n > 0) || i > 0 && s.k <= side[i-1].k {
					t.Fatalf("bucket %d: %v after %v", i, s, side[max(0, i-1)])
				}
			}
		}
		if !d.sub(&a, &b) || len(d.buckets(nil)) != 0 {
			t.Fatalf("a less itself is %+v", d)
		}
		for _, q := range histogramQuantiles {
			nativeQuantile(q, a.buckets(nil))
		}
		cfg := Config{Gatherer: emptyGatherer{}}
		_ = cfg.complete()
		table := newTable(cfg)
		for i := range 3 {
			now := epoch.Add(time.Duration(i) * cfg.Every)
			table.step(now, now.UnixMilli(), []*dto.MetricFamily{fam("n", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: h})})
		}
	})
}

// A label value of any bytes is kept as valid UTF-8 of at most 128 bytes, and found again.
func FuzzLabels(f *testing.F) {
	f.Add("k", "v")
	f.Add("", "\xff\xfe")
	f.Fuzz(func(t *testing.T, name, value string) {
		labels := cutLabels(pairs(name, value))
		if len(labels[0].value) > maxLabelBytes || !sameLabels(labels, pairs(name, value)) {
			t.Fatalf("%q kept as %q", value, labels[0].value)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "since=5", "since=-1&range=coarse", "since=1e9", "range=fine&range=x", "since=%zz", "since=99999999999999999999"} {
		f.Add(s)
	}
	l, err := New(Config{Gatherer: emptyGatherer{}})
	if err != nil {
		f.Fatal(err)
	}
	takeSamples(l, 3)
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/data", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.URL.RawQuery = raw
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusBadRequest:
		case http.StatusOK:
			var d gotData
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || len(d.T) > 3 {
				t.Fatalf("%q: %v %s", raw, err, w.Body)
			}
		default:
			t.Fatalf("%q: %d", raw, w.Code)
		}
	})
}
