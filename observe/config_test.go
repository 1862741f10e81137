package observe

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestConfigFaults: every fault is reported, with its field and value.
func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, nil},
		{Config{Models: []string{"a", "b"}, MaxModels: 2, PeekBytes: 1, FirstToken: FirstTokenChunk, SLO: SLO{1, 1, 1}, Provider: "p"}, nil},
		{Config{Models: []string{strings.Repeat("x", 128), "other", "unknown"}}, nil},
		{Config{Sinks: []Sink{nil, mwNull{}, nil}}, []string{"Sinks[0] is nil", "Sinks[2] is nil"}},
		{Config{Models: []string{"ok", "", "a\x00", "a\xff", "ok", strings.Repeat("x", 129)}}, []string{
			`Models[1] = ""`, `Models[2] = "a\x00"`, `Models[3] = "a\xff"`, `Models[4] = "ok" is listed twice`, `Models[5] = "xxx`}},
		{Config{Models: []string{"a", "b"}, MaxModels: 1}, []string{"Models has 2 names, more than MaxModels = 1"}},
		{Config{MaxModels: -1, PeekBytes: -2, FirstToken: 3}, []string{"MaxModels = -1 is negative", "FirstToken = 3 is not a mode", "PeekBytes = -2 is negative"}},
		{Config{SLO: SLO{-1, -2, -3}}, []string{"SLO.TTFT = -1ns", "SLO.TPOT = -2ns", "SLO.Duration = -3ns"}},
		{Config{Provider: "a\nb"}, []string{`Provider = "a\nb"`}},
		{Config{Models: []string{strings.Repeat("y", 1<<20)}}, []string{"Models[0] = "}},
	} {
		rec, err := New(c.cfg)
		if c.want == nil {
			require.NoError(t, err)
			require.NotNil(t, rec)
			continue
		}
		require.Nil(t, rec)
		faults := strings.Split(err.Error(), "\n")
		require.Len(t, faults, len(c.want), err)
		for i, f := range faults {
			require.Contains(t, f, "observe: Config."+c.want[i])
			require.Less(t, len(f), 700, "a fault does not repeat a megabyte")
		}
		require.Implements(t, (*interface{ Unwrap() []error })(nil), err)
	}
}

func TestConfigDefaults(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range []struct {
		cfg    Config
		models int
	}{{Config{}, 100}, {Config{MaxModels: 5}, 5}, {Config{Models: make150()}, 150}} {
		rec, err := New(c.cfg)
		require.NoError(t, err)
		require.Equal(t, c.models, rec.cfg.MaxModels)
		require.Equal(t, 65536, rec.cfg.PeekBytes)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "New starts no goroutine")

	models := []string{"a"}
	sinks := []Sink{mwNull{}}
	rec, err := New(Config{Models: models, Sinks: sinks})
	require.NoError(t, err)
	models[0], sinks[0] = "changed", nil
	require.Equal(t, "a", rec.cfg.Models[0], "the caller's slices are copied")
	require.NotNil(t, rec.cfg.Sinks[0])
}

func make150() (names []string) {
	for i := range 150 {
		names = append(names, fmt.Sprint("m", i))
	}
	return names
}

func TestWordsOfTypes(t *testing.T) {
	require.Equal(t, "auto openai responses anthropic ollama generic none Protocol(9)", fmt.Sprint(ProtocolAuto, " ", ProtocolOpenAI, " ",
		ProtocolResponses, " ", ProtocolAnthropic, " ", ProtocolOllama, " ", ProtocolGeneric, " ", ProtocolNone, " ", Protocol(9)))
	require.Equal(t, "none manual usage events none", fmt.Sprint(TokensUnknown, " ", TokensManual, " ", TokensUsage, " ", TokensEvents, " ", TokenSource(9)))
}

// TestMetricTable: one row an ID, names that a linter accepts, ascending buckets,
// and a copy for each caller.
func TestMetricTable(t *testing.T) {
	seen := map[string]bool{}
	for i, m := range Metrics() {
		require.EqualValues(t, i, m.ID)
		require.False(t, seen[m.Prometheus], m.Prometheus)
		seen[m.Prometheus] = true
		require.NotEmpty(t, m.Help)
		require.Equal(t, m.Kind == KindHistogram, len(m.Buckets) > 0, m.Prometheus)
		require.True(t, slices.IsSorted(m.Buckets) && len(slices.Compact(slices.Clone(m.Buckets))) == len(m.Buckets))
		require.Equal(t, m.Kind == KindCounter, strings.HasSuffix(m.Prometheus, "_total"), m.Prometheus)
		if m.Unit == "s" {
			require.Contains(t, m.Prometheus, "_seconds")
		}
	}
	first := Metrics()
	first[0].Buckets[0], first[0].Labels[0] = 99, "changed"
	require.NotEqual(t, first[0].Buckets[0], Metrics()[0].Buckets[0])
	require.Equal(t, "model", Metrics()[0].Labels[0])
	for _, b := range [][]float64{firstBuckets, gapBuckets, durationBuckets, queueBuckets, tokenBuckets, overheadBuckets} {
		require.NotEmpty(t, b)
	}
	require.Len(t, firstBuckets, 20)
	require.Len(t, gapBuckets, 20)
	require.Len(t, durationBuckets, 16)
	require.Len(t, queueBuckets, 14)
	require.Equal(t, 67108864.0, tokenBuckets[13])
	require.Len(t, overheadBuckets, 12)
}

// Sinks that panic wherever they can cost a count each, and no request.
func TestPanickingCallbacks(t *testing.T) {
	calls := 0
	rec, err := New(Config{Sinks: []Sink{mwPanics{attach: true}, mwPanics{series: true}, mwPanics{}}, OnRequest: func(RequestStats) {
		calls++
		panic(errors.New("OnRequest"))
	}})
	require.NoError(t, err)
	require.EqualValues(t, 1, rec.Losses().CallbackPanics)
	_, q := rec.Start(t.Context(), RequestInfo{})
	require.EqualValues(t, 2, rec.Losses().CallbackPanics)
	for range 66 {
		q.Token(1)
	}
	require.EqualValues(t, 4, rec.Losses().CallbackPanics, "65 gaps are one merge to two handles")
	q.End(nil)
	require.EqualValues(t, 4+2+2+1, rec.Losses().CallbackPanics, "the last gap, the request, OnRequest")
	require.Equal(t, 1, calls)
	for l := range rec.Live() {
		require.Zero(t, l.InFlight)
	}
}

type mwPanics struct{ attach, series bool }

func (p mwPanics) Attach(*Recorder) {
	if p.attach {
		panic("attach")
	}
}

func (p mwPanics) Series(Labels) SeriesSink {
	if p.series {
		panic("series")
	}
	return mwPanicSeries{}
}

type mwPanicSeries struct{ mwNull }

func (mwPanicSeries) Gaps([]time.Duration) { panic("gaps") }
func (mwPanicSeries) Request(context.Context, *RequestStats) {
	panic("request")
}
