package cost

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures an Account.
type Config struct {
	// Prices are in force from the beginning. Required.
	Prices Prices
	// MaxTenants is how many tenants are accounted for by name; further ones share
	// "other", and so do names of more than 256 bytes. At most 100,000. Defaults to
	// 100.
	MaxTenants int
	// Window is over how long shared cost is divided by the tokens of the same
	// time. Defaults to a minute.
	Window time.Duration
}

// other stands for names beyond a bound.
const other = "other"

// maxName bounds the names that are kept, in bytes.
const maxName = 256

// maxUnpriced bounds the names of what has no price.
const maxUnpriced = 100

// Account adds up what operating costs. It is safe for concurrent use. Make one
// with New; a nil *Account does nothing.
type Account struct {
	prices  Prices
	tenants int
	window  time.Duration

	mu      sync.Mutex
	totals  Totals // all but Tenants and Unpriced
	opened  time.Time
	open    float64 // shared cost of the window that is open
	byName  map[string]*tenant
	missing map[unpricedKey]float64
}

// tenant is the account of one tenant. What is settled never falls.
type tenant struct {
	requests, input, output int64
	upstream, shared        float64
	tokens                  float64 // of the window that is open
}

type unpricedKey struct {
	kind Kind
	name string
}

// New returns an empty Account, or every fault of the Config.
func New(cfg Config) (*Account, error) {
	faults := cfg.Prices.faults()
	if cfg.MaxTenants == 0 {
		cfg.MaxTenants = 100
	}
	if cfg.MaxTenants < 0 || cfg.MaxTenants > 100_000 {
		faults = append(faults, fmt.Errorf("cost: Config.MaxTenants is %d: want 1 to 100000", cfg.MaxTenants))
	}
	if cfg.Window == 0 {
		cfg.Window = time.Minute
	}
	if cfg.Window < 0 {
		faults = append(faults, fmt.Errorf("cost: Config.Window is %v: want a positive duration", cfg.Window))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Account{prices: cfg.Prices.clone(), tenants: cfg.MaxTenants, window: cfg.Window, opened: time.Now(),
		totals: Totals{Currency: cfg.Prices.Currency}, byName: map[string]*tenant{}, missing: map[unpricedKey]float64{}}, nil
}

// Add adds what was used. An impossible amount refuses the whole usage, which is
// counted, with an error that wraps ErrUsage. Amounts without a price are kept
// apart, the rest is added, and the error wraps ErrNoPrice.
func (a *Account) Add(u Usage) error {
	if a == nil {
		return nil
	}
	now := time.Now()
	fault := u.fault()
	a.mu.Lock()
	defer a.mu.Unlock()
	if fault != nil {
		a.totals.Refused++
		return fault
	}
	a.settle(now)
	errs := []error{
		a.device(u.Device, Busy, u.Busy), a.device(u.Device, Idle, u.Idle), a.device(u.Device, Starting, u.Starting),
		a.spend(Energy, "", u.EnergyJoules, a.prices.KWh/3.6e6, a.prices.KWh > 0),
		a.spend(Egress, "", float64(u.EgressBytes), a.prices.EgressGB/1e9, a.prices.EgressGB > 0),
		a.spend(Operator, "", u.Operator.Hours(), a.prices.OperatorHour, a.prices.OperatorHour > 0),
	}
	t := &a.totals
	add(&t.Busy, u.Busy)
	add(&t.Idle, u.Idle)
	add(&t.Starting, u.Starting)
	add(&t.Requests, u.Requests)
	add(&t.InputTokens, u.InputTokens)
	add(&t.OutputTokens, u.OutputTokens)
	if u.Requests > 0 || u.InputTokens > 0 || u.OutputTokens > 0 {
		errs = append(errs, a.serve(&u))
	}
	return errors.Join(errs...)
}

// add adds an amount to a sum, as far as that can hold it: no counter turns negative.
func add[T ~int64](sum *T, amount T) { *sum += min(amount, math.MaxInt64-*sum) }

// device adds the time of devices.
func (a *Account) device(name string, k Kind, d time.Duration) error {
	price, known := a.prices.DeviceHour[name]
	return a.spend(k, plain(name), d.Hours(), price, known)
}

// serve adds requests and tokens to a tenant.
func (a *Account) serve(u *Usage) error {
	t := a.tenant(plain(u.Tenant))
	add(&t.requests, u.Requests)
	add(&t.input, u.InputTokens)
	add(&t.output, u.OutputTokens)
	if !u.Upstream {
		t.tokens += float64(u.InputTokens) + float64(u.OutputTokens)
		return nil
	}
	before := a.totals.By[Upstream]
	in, knownIn := a.prices.InputToken[u.Model]
	out, knownOut := a.prices.OutputToken[u.Model]
	err := errors.Join(
		a.spend(Upstream, plain(u.Model)+" input", float64(u.InputTokens), in, knownIn),
		a.spend(Upstream, plain(u.Model)+" output", float64(u.OutputTokens), out, knownOut))
	t.upstream += a.totals.By[Upstream] - before
	return err
}

// spend adds an amount at its price, or keeps it as unpriced.
func (a *Account) spend(k Kind, name string, amount, price float64, known bool) error {
	if amount == 0 {
		return nil
	}
	if !known {
		key := unpricedKey{k, name}
		if _, ok := a.missing[key]; !ok && len(a.missing) >= maxUnpriced {
			key.name = other
		}
		a.missing[key] += amount
		return fmt.Errorf("%w for %s %.100q", ErrNoPrice, k, name)
	}
	a.totals.By[k] += amount * price
	if k.shared() {
		a.open += amount * price
	}
	return nil
}

// plain returns a name as it is kept: a hostile one must not fill the memory, and
// two that are no UTF-8 must not become one label later.
func plain(name string) string {
	if len(name) <= maxName {
		name = strings.ToValidUTF8(name, "\ufffd")
	}
	if len(name) > maxName {
		return other
	}
	return name
}

// tenant returns the account of a tenant, or that of the others.
func (a *Account) tenant(name string) *tenant {
	t := a.byName[name]
	if t == nil {
		if name != "" && name != other && len(a.byName) >= a.tenants {
			return a.tenant(other)
		}
		t = &tenant{}
		a.byName[name] = t
	}
	return t
}

// settle divides the shared cost of the window, once it is over, by the tokens of
// the window. Cost of a window without tokens is carried on to the next.
func (a *Account) settle(now time.Time) {
	if now.Sub(a.opened) < a.window {
		return
	}
	a.opened = now
	if a.openTokens() == 0 {
		return
	}
	a.divide(func(t *tenant, share float64) {
		t.shared += share
		t.tokens = 0
	})
	a.open = 0
}

func (a *Account) openTokens() (n float64) {
	for _, t := range a.byName {
		n += t.tokens
	}
	return n
}

// divide tells each tenant's part of the open shared cost.
func (a *Account) divide(part func(t *tenant, share float64)) {
	all := a.openTokens()
	for _, t := range a.byName {
		if t.tokens > 0 {
			part(t, a.open*(t.tokens/all))
		}
	}
}

// Totals returns what there is so far. The window that is open is divided by the
// tokens it has by now; settled cost never changes again.
func (a *Account) Totals() Totals {
	if a == nil {
		return Totals{}
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(now)
	t := a.totals
	provisional := map[*tenant]float64{}
	a.divide(func(t *tenant, share float64) { provisional[t] = share })
	for name, b := range a.byName {
		t.Tenants = append(t.Tenants, TenantCost{Tenant: name, Requests: b.requests, InputTokens: b.input, OutputTokens: b.output,
			Upstream: b.upstream, Shared: b.shared + provisional[b], Settled: b.upstream + b.shared})
	}
	slices.SortFunc(t.Tenants, func(x, y TenantCost) int { return cmp.Compare(x.Tenant, y.Tenant) })
	for k, amount := range a.missing {
		t.Unpriced = append(t.Unpriced, Unpriced{Kind: k.kind, Name: k.name, Amount: amount})
	}
	slices.SortFunc(t.Unpriced, func(x, y Unpriced) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	return t
}
