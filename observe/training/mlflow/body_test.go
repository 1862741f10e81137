package mlflow

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBodyProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 10_000 {
		var b body
		var want [numKinds]int
		nonfinite := 0
		for range r.IntN(6) {
			switch k := kind(r.IntN(int(numKinds))); k {
			case metric:
				v := math.Float64frombits(r.Uint64())
				if r.IntN(3) == 0 {
					v = math.Inf(r.IntN(3) - 1)
				}
				if math.IsNaN(v) || math.IsInf(v, 0) {
					nonfinite++
				}
				key := jsonString(randomName(r))
				from := len(b.json[metric])
				b.addMetric(key, v, time.UnixMilli(r.Int64()), -r.Int64())
				require.LessOrEqual(t, len(b.json[metric])-from, len(key)+metricBytes)
				want[metric]++
			default:
				b.addPair(k, jsonString(randomName(r)), jsonString(randomName(r)))
				want[k]++
			}
		}
		for _, withNonFinite := range []bool{true, false} {
			var got logBatch
			text := b.encode(`"run"`, withNonFinite)
			require.NoError(t, json.Unmarshal(text, &got), "%s", text)
			metrics := want[metric]
			if !withNonFinite {
				metrics -= nonfinite
			}
			require.Equal(t, [numKinds]int{metrics, want[param], want[tag]}, [numKinds]int{len(got.Metrics), len(got.Params), len(got.Tags)})
		}
		b.reset()
		require.Equal(t, `{"run_id":"run"}`, string(b.encode(`"run"`, true)))
	}
}

func randomName(r *rand.Rand) string {
	parts := []string{"loss", "/", "..", ".", " ", ":", "\x00", "\xff", "ü", "😀", "//", "_", "-", "a", strings.Repeat("x", 123), "\n", "\u0301"}
	var b strings.Builder
	for range r.IntN(7) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func TestKeyName(t *testing.T) {
	for in, want := range map[string]string{
		"train/loss": "train/loss", "": "_", ".": "_", "..": "_", "/": "_", "../../etc": "etc", "/a//b/./c/": "a/b/c", "..a": "__a", "...": "__.",
		"a:b@c": "a_b_c", "größe 1": "größe 1", "a\xff\x00": "a__", "损失": "损失",
	} {
		got, cut := keyName(in)
		require.Equal(t, want, got, "%q", in)
		require.False(t, cut)
	}
	got, cut := keyName(strings.Repeat("ü", 200))
	require.True(t, cut)
	require.Equal(t, strings.Repeat("ü", 125), got)
	r := rand.New(rand.NewPCG(6, 6))
	for range 10_000 {
		checkKeyName(t, randomName(r))
	}
}

func checkKeyName(t *testing.T, in string) {
	got, _ := keyName(in)
	require.NoError(t, checkName(got), "%q became %q", in, got)
	again, cut := keyName(got)
	require.Equal(t, got, again)
	require.False(t, cut)
	require.True(t, json.Valid([]byte(jsonString(got))))
}

func FuzzKeyName(f *testing.F) {
	for _, s := range []string{"train/loss", "..", "a/../b", "ü\xff", strings.Repeat("é/", 200)} {
		f.Add(s)
	}
	f.Fuzz(checkKeyName)
}
