package cost

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func must(t testing.TB, cfg Config) *Account {
	t.Helper()
	a, err := New(cfg)
	require.NoError(t, err)
	return a
}

var euros = Prices{Currency: "EUR", DeviceHour: map[string]float64{"h100": 2, "spare": 0}, KWh: .36, EgressGB: .1, OperatorHour: 60,
	InputToken: map[string]float64{"big": 1e-6}, OutputToken: map[string]float64{"big": 4e-6}}

// One device at 2 an hour, half of an hour busy and half idle, 1,000,000 tokens of
// 100 requests.
func TestKnownValue(t *testing.T) {
	a := must(t, Config{Prices: euros})
	require.NoError(t, a.Add(Usage{Device: "h100", Busy: 30 * time.Minute, Idle: 30 * time.Minute}))
	require.NoError(t, a.Add(Usage{Requests: 100, InputTokens: 400_000, OutputTokens: 600_000}))
	got := a.Totals()
	assert.Equal(t, 1.0, got.By[Busy])
	assert.Equal(t, 1.0, got.By[Idle])
	per, ok := got.PerRequest()
	require.True(t, ok)
	assert.InDelta(t, .02, per, 1e-15)
	per, ok = got.PerThousandTokens()
	require.True(t, ok)
	assert.InDelta(t, .002, per, 1e-15)
	u, ok := got.Utilization()
	require.True(t, ok)
	assert.Equal(t, .5, u)
}

func TestEveryKind(t *testing.T) {
	a := must(t, Config{Prices: euros})
	require.NoError(t, a.Add(Usage{Device: "h100", Busy: time.Hour, Idle: 30 * time.Minute, Starting: 15 * time.Minute,
		EnergyJoules: 3.6e6, EgressBytes: 2e9, Operator: 6 * time.Minute,
		Tenant: "a", Model: "big", Upstream: true, Requests: 1, InputTokens: 1000, OutputTokens: 500}))
	got := a.Totals()
	for k, want := range []float64{Busy: 2, Idle: 1, Starting: .5, Energy: .36, Egress: .2, Upstream: .003, Operator: 6} {
		assert.InDelta(t, want, got.By[k], 1e-12, Kind(k))
	}
	require.Len(t, got.Tenants, 1)
	assert.InDelta(t, .003, got.Tenants[0].Upstream, 1e-15)
	assert.Zero(t, got.Tenants[0].Shared, "upstream tokens have no share of our devices")
}

// A price of 0 is a price; one that is missing is not.
func TestNoPrice(t *testing.T) {
	a := must(t, Config{Prices: Prices{Currency: "USD", DeviceHour: map[string]float64{"spare": 0}}})
	require.NoError(t, a.Add(Usage{Device: "spare", Busy: time.Hour}))
	err := a.Add(Usage{Device: "b200", Busy: 2 * time.Hour, EnergyJoules: 5, Operator: time.Hour, Upstream: true, Model: "m", OutputTokens: 7, Requests: 1})
	require.ErrorIs(t, err, ErrNoPrice)
	for _, what := range []string{"busy", "b200", "energy", "operator", "m output"} {
		assert.ErrorContains(t, err, what)
	}
	got := a.Totals()
	assert.Zero(t, got.Total())
	assert.Equal(t, []Unpriced{{Busy, "b200", 2}, {Energy, "", 5}, {Upstream, "m output", 7}, {Operator, "", 1}}, got.Unpriced)
	assert.EqualValues(t, 1, got.Requests)
	var text strings.Builder
	require.NoError(t, got.WriteText(&text))
	assert.Contains(t, text.String(), "no price: busy b200")
}

func TestImpossibleAmounts(t *testing.T) {
	a := must(t, Config{Prices: euros})
	for _, u := range []Usage{{Busy: -1}, {Idle: -1}, {Starting: -1}, {EnergyJoules: math.NaN()}, {EnergyJoules: math.Inf(1)}, {EgressBytes: -1},
		{Operator: -1}, {Requests: -1}, {InputTokens: -1}, {OutputTokens: -1}} {
		u.Tenant = "never"
		require.ErrorIs(t, a.Add(u), ErrUsage)
	}
	got := a.Totals()
	assert.EqualValues(t, 10, got.Refused)
	assert.Empty(t, got.Tenants)
}

func TestFaults(t *testing.T) {
	_, err := New(Config{Prices: Prices{Currency: "euro", DeviceHour: map[string]float64{"x": -1}, KWh: math.NaN(), EgressGB: math.Inf(1),
		OperatorHour: -2, InputToken: map[string]float64{"m": -1}}, MaxTenants: -1, Window: -1})
	require.Error(t, err)
	for _, field := range []string{"Currency", `DeviceHour["x"]`, "KWh", "EgressGB", "OperatorHour", `InputToken["m"]`, "MaxTenants", "Window"} {
		assert.ErrorContains(t, err, field)
	}
}

// Shared cost is divided by the tokens of its own window, and what is settled
// never falls.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := must(t, Config{Prices: euros, Window: time.Minute})
		add := func(u Usage) { require.NoError(t, a.Add(u)) }
		add(Usage{Device: "h100", Busy: time.Hour})
		add(Usage{Tenant: "a", InputTokens: 100})
		assert.Equal(t, 2.0, share(a, "a"), "all of the open window")
		add(Usage{Tenant: "b", OutputTokens: 300})
		assert.Equal(t, .5, share(a, "a"))
		assert.Equal(t, 1.5, share(a, "b"))
		time.Sleep(time.Minute)
		add(Usage{Tenant: "b", OutputTokens: 1})
		add(Usage{Device: "h100", Busy: time.Hour})
		assert.Equal(t, .5, share(a, "a"), "settled")
		assert.Equal(t, 3.5, share(a, "b"))
		time.Sleep(time.Minute)
		add(Usage{Device: "h100", Busy: time.Hour}) // a window without tokens
		time.Sleep(time.Minute)
		add(Usage{Tenant: "a", OutputTokens: 10})
		assert.Equal(t, 2.5, share(a, "a"), "carried on to the window that has tokens")
		add(Usage{Device: "h100", Idle: time.Hour})
		assert.Equal(t, 2.5, share(a, "a"), "idle cost stays unshared")
	})
}

func share(a *Account, name string) float64 {
	for _, t := range a.Totals().Tenants {
		if t.Tenant == name {
			return t.Shared
		}
	}
	return math.NaN()
}

// Whatever is added, the tenants' shares and what is still open add up to the
// shared cost, and no counter falls.
func TestRandomUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		a := must(t, Config{Prices: euros, MaxTenants: 3})
		var before Totals
		for range 10_000 {
			u := Usage{Device: "h100", Tenant: string(rune('a' + rng.IntN(6)))}
			switch rng.IntN(3) {
			case 0:
				u.Busy = time.Duration(rng.Int64N(int64(time.Hour)))
			case 1:
				u.InputTokens = rng.Int64N(1000)
			case 2:
				u.EgressBytes, u.EnergyJoules = rng.Int64N(1e9), rng.Float64()*1e6
			}
			require.NoError(t, a.Add(u))
			time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
			got := a.Totals()
			require.LessOrEqual(t, len(got.Tenants), 4)
			var shared, settled float64
			was := map[string]float64{}
			for _, b := range before.Tenants {
				was[b.Tenant] = b.Settled
			}
			for _, c := range got.Tenants {
				require.GreaterOrEqual(t, c.Settled, was[c.Tenant])
				require.GreaterOrEqual(t, c.Shared, c.Settled-1e-9)
				shared += c.Shared
				settled += c.Settled
			}
			all := got.By[Busy] + got.By[Energy] + got.By[Egress]
			require.LessOrEqual(t, shared, all+1e-6)
			require.LessOrEqual(t, settled, all+1e-6)
			before = got
		}
		require.NoError(t, a.Add(Usage{Tenant: "a", InputTokens: 1}))
		var shared float64
		got := a.Totals()
		for _, c := range got.Tenants {
			shared += c.Shared
		}
		assert.InDelta(t, got.By[Busy]+got.By[Energy]+got.By[Egress], shared, 1e-6)
	})
}

func TestSince(t *testing.T) {
	a := must(t, Config{Prices: euros})
	require.NoError(t, a.Add(Usage{Device: "h100", Busy: time.Hour, Tenant: "a", Requests: 1, InputTokens: 10}))
	_ = a.Add(Usage{Device: "?", Busy: time.Hour})
	first := a.Totals()
	require.NoError(t, a.Add(Usage{Device: "h100", Idle: time.Hour, Tenant: "b", Requests: 2, OutputTokens: 10}))
	d := a.Totals().Since(first)
	assert.Zero(t, d.By[Busy])
	assert.Equal(t, 2.0, d.By[Idle])
	assert.EqualValues(t, 2, d.Requests)
	assert.Empty(t, d.Unpriced)
	assert.Equal(t, time.Hour, d.Idle)
	u, ok := d.Utilization()
	assert.True(t, ok)
	assert.Zero(t, u)
}

func TestScorecard(t *testing.T) {
	now := Score{Window: time.Hour, UtilizationRatio: .8, MTTR: 30 * time.Second, MTBF: 2 * time.Hour, ManualInterventions: 0,
		Cost: 4, CostPerThousandTokens: .001, Currency: "EUR"}
	base := Score{Window: 2 * time.Hour, UtilizationRatio: .4, MTTR: 10 * time.Minute, MTBF: time.Hour, ManualInterventions: 2,
		Cost: 8, CostPerThousandTokens: .004, Currency: "EUR"}
	c := Compare(now, base)
	want := map[string]struct {
		change float64
		better int
	}{
		"utilization_ratio": {1, 1}, "mttr_seconds": {-.95, 1}, "mtbf_seconds": {1, 1},
		"manual_interventions_per_day": {-1, 1}, "cost_per_hour": {0, 0}, "cost_per_thousand_tokens": {-.75, 1},
	}
	require.Len(t, c.Lines, len(want))
	for _, l := range c.Lines {
		assert.InDelta(t, want[l.Name].change, l.Change, 1e-12, l.Name)
		assert.Equal(t, want[l.Name].better, l.Better, l.Name)
	}
	for _, l := range Compare(base, now).Lines {
		assert.Equal(t, -want[l.Name].better, l.Better, l.Name)
	}
	data, err := json.Marshal(c)
	require.NoError(t, err)
	assert.Contains(t, string(data), `"mttr_seconds":{"unit":"s","now":30,"baseline":600,"change":-0.95,"better":true}`)

	base.Currency = "USD"
	for _, l := range Compare(now, base).Lines[4:] {
		assert.True(t, math.IsNaN(l.Change), "two currencies are not compared")
	}
	unknown := Compare(Totals{Currency: "EUR"}.Score(0), Totals{Currency: "EUR"}.Score(0))
	for _, l := range unknown.Lines {
		assert.Zero(t, l.Better)
	}
	_, err = json.Marshal(unknown)
	require.NoError(t, err)
}

func TestHostileNames(t *testing.T) {
	a := must(t, Config{Prices: euros})
	for i := range 1000 {
		_ = a.Add(Usage{Device: strings.Repeat("x", i), Busy: 1, Tenant: "t\xff\n" + strings.Repeat("y", i), Requests: 1})
	}
	got := a.Totals()
	assert.LessOrEqual(t, len(got.Unpriced), maxUnpriced+1)
	assert.Len(t, got.Tenants, 101)
	var text strings.Builder
	require.NoError(t, got.WriteText(&text))
	_, err := json.Marshal(got)
	require.NoError(t, err)
	var none *Account
	assert.NoError(t, none.Add(Usage{Busy: 1}))
	assert.Zero(t, none.Totals().Total())
}

func TestConcurrentAdd(t *testing.T) {
	a := must(t, Config{Prices: euros})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				_ = a.Add(Usage{Device: "h100", Busy: time.Hour, Tenant: "a", Requests: 1, InputTokens: 1})
				_ = a.Totals()
			}
		})
	}
	all.Wait()
	got := a.Totals()
	assert.EqualValues(t, 8000, got.Requests)
	assert.InDelta(t, 16000, got.By[Busy], 1e-6)
}
