package cost

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sharedOf is what all tenants are charged of shared cost.
func sharedOf(t Totals) (sum float64) {
	for _, c := range t.Tenants {
		sum += c.Shared
	}
	return sum
}

// Over any script: the shares add up to the shared cost, as far as there were tokens
// to divide it by; what is settled never falls; costs are those of a recount.
func TestSharesAddUp(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { sharesOf(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func sharesOf(t *testing.T, rng *rand.Rand) {
	a := must(t, Config{Prices: euros, MaxTenants: 1 + rng.IntN(6), Window: time.Duration(1+rng.IntN(90)) * time.Second})
	var want [numKinds]float64
	settled := map[string]float64{}
	ever := false // there were tokens of our own
	var requests, tokens int64
	for range 300 {
		time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
		u := Usage{Tenant: fmt.Sprint("t", rng.IntN(9))}
		switch rng.IntN(4) {
		case 0:
			u.Device, u.Busy, u.Idle = "h100", time.Duration(rng.Int64N(int64(time.Hour))), time.Minute
			want[Busy] += u.Busy.Hours() * 2
			want[Idle] += 2. / 60
		case 1:
			u.EnergyJoules, u.EgressBytes = rng.Float64()*1e7, rng.Int64N(1e10)
			want[Energy] += u.EnergyJoules / 3.6e6 * .36
			want[Egress] += float64(u.EgressBytes) / 1e9 * .1
		case 2:
			u.Requests, u.InputTokens, u.OutputTokens = 1, rng.Int64N(1000), rng.Int64N(1000)
			ever = ever || u.InputTokens+u.OutputTokens > 0
		case 3:
			u.Upstream, u.Model, u.InputTokens, u.OutputTokens = true, "big", rng.Int64N(1000), rng.Int64N(1000)
			want[Upstream] += float64(u.InputTokens)*1e-6 + float64(u.OutputTokens)*4e-6
		}
		requests += u.Requests
		tokens += u.InputTokens + u.OutputTokens
		require.NoError(t, a.Add(u))

		got := a.Totals()
		for k, v := range want {
			require.InDelta(t, v, got.By[k], 1e-9*(1+v), Kind(k))
		}
		shared := want[Busy] + want[Energy] + want[Egress]
		require.LessOrEqual(t, sharedOf(got), shared*(1+1e-9))
		if !ever {
			require.Zero(t, sharedOf(got))
		}
		upstream := 0.0
		for _, c := range got.Tenants {
			require.GreaterOrEqual(t, c.Settled, settled[c.Tenant], c.Tenant)
			require.GreaterOrEqual(t, c.Total(), c.Settled-1e-12, c.Tenant)
			settled[c.Tenant] = c.Settled
			upstream += c.Upstream
		}
		require.InDelta(t, want[Upstream], upstream, 1e-9)
	}
	// All is divided once there are tokens to divide the rest by, and settled a window
	// later.
	require.NoError(t, a.Add(Usage{Tenant: "t0", OutputTokens: 1}))
	got := a.Totals()
	shared := want[Busy] + want[Energy] + want[Egress]
	assert.InDelta(t, shared, sharedOf(got), 1e-9*shared)
	time.Sleep(2 * time.Minute)
	got = a.Totals()
	sum := 0.0
	for _, c := range got.Tenants {
		sum += c.Settled
	}
	assert.InDelta(t, shared+want[Upstream], sum, 1e-9*shared)
	assert.Equal(t, requests, got.Requests)
	assert.Equal(t, tokens+1, got.InputTokens+got.OutputTokens)
}

// Amounts at the end of the range stop a sum there. Nothing turns negative, and the
// shares still add up.
func TestAmountsDoNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := must(t, Config{Prices: euros})
		const most = math.MaxInt64
		var before Totals
		for range 3 {
			for _, tenant := range []string{"a", "b"} {
				require.NoError(t, a.Add(Usage{Device: "h100", Busy: most, Idle: most, Starting: most, Operator: most, EgressBytes: most,
					Tenant: tenant, Requests: most, InputTokens: most, OutputTokens: most}))
			}
			got := a.Totals()
			for k := range got.By {
				require.GreaterOrEqual(t, got.By[k], before.By[k])
			}
			require.GreaterOrEqual(t, got.Busy, before.Busy)
			require.GreaterOrEqual(t, got.Requests, before.Requests)
			require.GreaterOrEqual(t, got.InputTokens, before.InputTokens)
			for i, c := range got.Tenants {
				require.Positive(t, c.InputTokens)
				require.GreaterOrEqual(t, c.Shared, 0.0)
				if before.Tenants != nil {
					require.GreaterOrEqual(t, c.Settled, before.Tenants[i].Settled)
				}
			}
			shared := got.By[Busy] + got.By[Energy] + got.By[Egress]
			require.InEpsilon(t, shared, sharedOf(got), 1e-9)
			u, ok := got.Utilization()
			require.True(t, ok)
			require.True(t, u > 0 && u <= 1, u)
			per, ok := got.PerThousandTokens()
			require.True(t, ok)
			require.Positive(t, per)
			before = got
			time.Sleep(2 * time.Minute)
		}
	})
}

// Names are bounded in number and in length, and are text.
func TestNamesOfAllKinds(t *testing.T) {
	a := must(t, Config{Prices: euros, MaxTenants: 10})
	names := []string{"", "other", "\xff", "\xfe", "a\x00b", "\u202eltr", "🙂", strings.Repeat("x", 1<<20), strings.Repeat("é", 200), "\n\"\\"}
	for i := range 300 {
		names = append(names, fmt.Sprint(i))
	}
	for _, name := range names {
		_ = a.Add(Usage{Tenant: name, Requests: 1, InputTokens: 1})
		assert.ErrorIs(t, a.Add(Usage{Device: "d" + name, Busy: time.Hour}), ErrNoPrice)
		assert.ErrorIs(t, a.Add(Usage{Upstream: true, Model: name, InputTokens: 1}), ErrNoPrice)
	}
	got := a.Totals()
	assert.LessOrEqual(t, len(got.Tenants), 12)
	assert.LessOrEqual(t, len(got.Unpriced), maxUnpriced+int(numKinds))
	seen := map[string]bool{}
	for _, c := range got.Tenants {
		assert.True(t, utf8.ValidString(c.Tenant))
		assert.LessOrEqual(t, len(c.Tenant), maxName)
		assert.False(t, seen[c.Tenant], "%q twice", c.Tenant)
		seen[c.Tenant] = true
	}
	var requests, busy float64
	for _, c := range got.Tenants {
		requests += float64(c.Requests)
	}
	labels := map[string]bool{}
	for _, u := range got.Unpriced {
		assert.True(t, utf8.ValidString(u.Name))
		assert.LessOrEqual(t, len(u.Name), maxName+len(" output"))
		key := u.Kind.String() + " " + u.Name
		assert.False(t, labels[key], "%q twice", key)
		labels[key] = true
		if u.Kind == Busy {
			busy += u.Amount
		}
	}
	assert.EqualValues(t, len(names), requests, "none lost")
	assert.EqualValues(t, len(names), busy, "none lost")
	var b strings.Builder
	require.NoError(t, got.WriteText(&b))
	assert.True(t, utf8.ValidString(b.String()))
	_, err := got.MarshalJSON()
	require.NoError(t, err)
}

// All methods at once.
func TestEverybodyAtOnce(t *testing.T) {
	a := must(t, Config{Prices: euros, Window: time.Millisecond})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			var before Totals
			for i := range 2000 {
				err := a.Add(Usage{Tenant: fmt.Sprint(g), Requests: 1, InputTokens: 1, EnergyJoules: 1})
				if i%100 == 0 {
					now := a.Totals()
					if now.Requests < before.Requests || now.By[Energy] < before.By[Energy] {
						err = errors.Join(err, errors.New("a counter fell"))
					}
					before = now
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	got := a.Totals()
	assert.EqualValues(t, 8000, got.Requests)
	assert.InDelta(t, got.By[Energy], sharedOf(got), 1e-12)
}
