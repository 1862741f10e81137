package cost

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Prices says what things cost, all in one currency. A price that is not given is
// not known: what it would apply to is kept apart as unpriced, and never counts as
// free. A price of 0 has to be said in a map; among the plain fields, 0 is not
// known.
type Prices struct {
	// Currency is the code of the currency, three capital letters as in ISO 4217,
	// such as "EUR". Required.
	Currency string

	// DeviceHour is the price of a device for an hour, by the type of device.
	DeviceHour map[string]float64
	// KWh is the price of a kilowatt-hour, 3.6 million joules.
	KWh float64
	// EgressGB is the price of 10^9 bytes sent.
	EgressGB float64
	// OperatorHour is the price of an hour of a person's work.
	OperatorHour float64

	// InputToken and OutputToken are what an upstream charges for a token, by
	// model.
	InputToken, OutputToken map[string]float64
}

// faults reports every price that cannot be one.
func (p *Prices) faults() (errs []error) {
	if !validCurrency(p.Currency) {
		errs = append(errs, fmt.Errorf("cost: Config.Prices.Currency is %.20q: want three capital letters", p.Currency))
	}
	price := func(field string, v float64) {
		if !(v >= 0) || math.IsInf(v, 1) {
			errs = append(errs, fmt.Errorf("cost: Config.Prices.%s is %v: want a finite number from 0 up", field, v))
		}
	}
	table := func(field string, prices map[string]float64) {
		for _, k := range slices.Sorted(maps.Keys(prices)) {
			price(fmt.Sprintf("%s[%.100q]", field, k), prices[k])
		}
	}
	price("KWh", p.KWh)
	price("EgressGB", p.EgressGB)
	price("OperatorHour", p.OperatorHour)
	table("DeviceHour", p.DeviceHour)
	table("InputToken", p.InputToken)
	table("OutputToken", p.OutputToken)
	return errs
}

func validCurrency(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

func (p *Prices) clone() Prices {
	c := *p
	c.DeviceHour, c.InputToken, c.OutputToken = maps.Clone(p.DeviceHour), maps.Clone(p.InputToken), maps.Clone(p.OutputToken)
	return c
}

// Kind is what money was spent on.
type Kind uint8

// The kinds of cost.
const (
	Busy     Kind = iota // devices at work
	Idle                 // devices that wait
	Starting             // devices that start
	Energy               // electricity
	Egress               // bytes sent
	Upstream             // tokens of another provider
	Operator             // people
	numKinds
)

// String returns "busy", "idle", "starting", "energy", "egress", "upstream" or
// "operator".
func (k Kind) String() string {
	if k >= numKinds {
		return "unknown"
	}
	return [numKinds]string{"busy", "idle", "starting", "energy", "egress", "upstream", "operator"}[k]
}

// shared says whether the cost of a kind is divided among the tenants by their
// tokens.
func (k Kind) shared() bool { return k == Busy || k == Energy || k == Egress }

// Kinds returns all kinds, in order.
func Kinds() []Kind {
	all := make([]Kind, numKinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// ErrNoPrice is wrapped by the error for amounts that have no price.
var ErrNoPrice = errors.New("cost: no price")

// ErrUsage is wrapped by the error for amounts that cannot be: negative or not
// finite.
var ErrUsage = errors.New("cost: impossible amount")

// Usage is what was used since the last Add: amounts, not totals. Fields that do
// not apply are zero.
type Usage struct {
	// Device is the type of device, a key of Prices.DeviceHour, that Busy, Idle and
	// Starting were spent by. Device seconds of several devices add up.
	Device string
	// Busy is the time that devices worked.
	Busy time.Duration
	// Idle is the time that devices waited for work.
	Idle time.Duration
	// Starting is the time that devices were paid for before they could work.
	Starting time.Duration

	// EnergyJoules is the energy used.
	EnergyJoules float64
	// EgressBytes is what was sent out.
	EgressBytes int64
	// Operator is the working time of people.
	Operator time.Duration

	// Tenant is who the requests and tokens were for; "" is nobody in particular.
	Tenant string
	// Model is the model that answered, a key of Prices.InputToken where Upstream
	// is set.
	Model string
	// Upstream says that another provider answered, who charges for its tokens.
	Upstream bool
	// Requests is how many requests ended.
	Requests int64
	// InputTokens and OutputTokens are what they used.
	InputTokens, OutputTokens int64
}

// fault says what cannot be true of a usage.
func (u *Usage) fault() error {
	var errs []error
	amount := func(field string, v float64) {
		if !(v >= 0) || math.IsInf(v, 1) {
			errs = append(errs, fmt.Errorf("%w: Usage.%s is %v", ErrUsage, field, v))
		}
	}
	amount("Busy", u.Busy.Seconds())
	amount("Idle", u.Idle.Seconds())
	amount("Starting", u.Starting.Seconds())
	amount("EnergyJoules", u.EnergyJoules)
	amount("EgressBytes", float64(u.EgressBytes))
	amount("Operator", u.Operator.Seconds())
	amount("Requests", float64(u.Requests))
	amount("InputTokens", float64(u.InputTokens))
	amount("OutputTokens", float64(u.OutputTokens))
	return errors.Join(errs...)
}
