package observeotel

import (
	"context"
	"strings"
	"testing"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// meterProvider makes the meter it is.
type meterProvider struct {
	metric.MeterProvider
	meter metric.Meter
}

func (p meterProvider) Meter(string, ...metric.MeterOption) metric.Meter { return p.meter }

func TestConfigFaults(t *testing.T) {
	meters := noop.NewMeterProvider()
	tests := []struct {
		name string
		cfg  ServingConfig
		want []string
	}{
		{"nothing", ServingConfig{}, []string{"MeterProvider = nil and TracerProvider = nil: want one of them"}},
		{"all", ServingConfig{Semconv: 3, Spans: 2, ServerAddress: "a\nb", ServerPort: -1}, []string{
			"MeterProvider = nil and TracerProvider = nil: want one of them",
			"Semconv = 3 is not a convention",
			"Spans = 2 is not a mode",
			`ServerAddress = "a\nb": want at most 255 bytes of UTF-8 without control characters`,
			"ServerPort = -1: want 1 to 65535, or 0 for none",
		}},
		{"port", ServingConfig{MeterProvider: meters, ServerAddress: "a", ServerPort: 65536}, []string{"ServerPort = 65536: want 1 to 65535, or 0 for none"}},
		{"port alone", ServingConfig{MeterProvider: meters, ServerPort: 80}, []string{"ServerPort = 80 without a ServerAddress"}},
		{"not UTF-8", ServingConfig{MeterProvider: meters, ServerAddress: "\xff"}, []string{`ServerAddress = "\xff": want at most 255 bytes of UTF-8 without control characters`}},
		{"nil pointers", ServingConfig{MeterProvider: (*sdkmetric.MeterProvider)(nil), TracerProvider: (*sdktrace.TracerProvider)(nil)}, []string{
			"TracerProvider panicked: runtime error: invalid memory address or nil pointer dereference",
			"MeterProvider panicked: runtime error: invalid memory address or nil pointer dereference",
		}},
		{"no meter", ServingConfig{MeterProvider: meterProvider{}}, []string{"MeterProvider panicked: runtime error: invalid memory address or nil pointer dereference"}},
		{"no tracer", ServingConfig{TracerProvider: tracerProvider{}}, []string{"TracerProvider has no Tracer"}},
		{"refused callback", ServingConfig{MeterProvider: meterProvider{meter: refusingCallback{noop.Meter{}}}}, []string{"MeterProvider refused the callback: a bad view"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServing(tt.cfg)
			assert.Nil(t, s)
			require.Error(t, err)
			want := make([]string, len(tt.want))
			for i, w := range tt.want {
				want[i] = "observeotel: ServingConfig." + w
			}
			assert.Equal(t, strings.Join(want, "\n"), err.Error())
		})
	}
	_, err := NewServing(ServingConfig{MeterProvider: meterProvider{meter: refusingMeter{noop.Meter{}}}})
	require.ErrorIs(t, err, errRefused)
	assert.Len(t, strings.Split(err.Error(), "\n"), 12, "each instrument")
	assert.Contains(t, err.Error(), "observeotel: ServingConfig.MeterProvider refused llm.server.requests: a bad view")
	_, err = NewServing(ServingConfig{MeterProvider: meters, ServerAddress: strings.Repeat("a", 255)})
	assert.NoError(t, err)
}

// TestNilServing: a nil *Serving does nothing.
func TestNilServing(t *testing.T) {
	var s *Serving
	rec, err := observe.New(observe.Config{Sinks: []observe.Sink{s}, Models: []string{"m"}})
	require.NoError(t, err)
	_, q := rec.Start(context.Background(), observe.RequestInfo{})
	q.Token(1)
	q.End(nil)
	assert.NoError(t, s.Close())
	assert.Zero(t, rec.Losses())
	newRig(t, ServingConfig{}).Attach(nil)
}

// TestOneProvider: metrics without spans, spans without metrics.
func TestOneProvider(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	r := newRig(t, ServingConfig{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	r.reader = reader
	everything(r.recorder(t, observe.Config{}))
	assert.NotEmpty(t, r.points("llm.server.requests"))
	assert.Empty(t, r.spans.Ended())

	r = newRig(t, ServingConfig{TracerProvider: sdktrace.NewTracerProvider()})
	rec := r.recorder(t, observe.Config{})
	everything(rec)
	assert.Zero(t, rec.Losses().CallbackPanics)
	assert.NoError(t, r.Close())
}

// TestClose: nothing is exported after it, and the MeterProvider lets go.
func TestClose(t *testing.T) {
	r := newRig(t, ServingConfig{})
	rec := r.recorder(t, observe.Config{})
	everything(rec)
	spans := len(r.spans.Ended())
	before := r.sets("gen_ai.server.request.duration")
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	everything(rec)
	_, q := rec.Start(context.Background(), observe.RequestInfo{Model: "m"})
	for range 100 {
		q.Token(1)
	}
	q.End(nil)
	assert.Empty(t, r.points("llm.server.requests"))
	assert.Empty(t, r.points("llm.server.requests_in_flight"))
	assert.Equal(t, before, r.sets("gen_ai.server.request.duration"))
	assert.Len(t, r.spans.Ended(), spans)
	assert.Zero(t, rec.Losses().CallbackPanics)
}

// TestSeveralServings on one MeterProvider: what they count adds up.
func TestSeveralServings(t *testing.T) {
	r := newRig(t, ServingConfig{})
	other, err := NewServing(ServingConfig{MeterProvider: r.cfg.MeterProvider})
	require.NoError(t, err)
	rec := r.recorder(t, observe.Config{})
	second, err := observe.New(observe.Config{Sinks: []observe.Sink{other}})
	require.NoError(t, err)
	everything(rec)
	everything(second)
	assert.Equal(t, 80.0, r.sets("llm.server.tokens")["gen_ai.request.model=m type=input"])
	require.NoError(t, other.Close())
	assert.Equal(t, 40.0, r.sets("llm.server.tokens")["gen_ai.request.model=m type=input"])
}
