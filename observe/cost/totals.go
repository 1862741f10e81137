package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Totals is what was spent, and on what.
type Totals struct {
	Currency string            // of all amounts of money
	By       [numKinds]float64 // cost, by Kind

	Busy, Idle, Starting      time.Duration // of devices
	Requests                  int64         // that ended
	InputTokens, OutputTokens int64         // of them

	Tenants  []TenantCost // by name
	Unpriced []Unpriced   // by kind and name; not part of any cost here
	Refused  int64        // usages with impossible amounts
}

// TenantCost is what a tenant is charged: its upstream tokens, and its share of
// busy, energy and egress cost by its own tokens. Idle, starting and operator cost
// stay unshared.
type TenantCost struct {
	Tenant                    string  // "" is usage that named no tenant
	Requests                  int64   // that ended
	InputTokens, OutputTokens int64   // of them
	Upstream                  float64 // charged by other providers
	Shared                    float64 // share of the devices', energy and egress cost, the open window's included
	Settled                   float64 // Upstream and Shared of closed windows: it never falls
}

// Total is Upstream and Shared together.
func (t TenantCost) Total() float64 { return t.Upstream + t.Shared }

// Unpriced is an amount without a price.
type Unpriced struct {
	Kind   Kind    // what it would be spent on
	Name   string  // the device, or the model and "input" or "output"
	Amount float64 // hours of devices and people, joules, bytes, tokens
}

// Total is the cost of all kinds.
func (t Totals) Total() (sum float64) {
	for _, c := range t.By {
		sum += c
	}
	return sum
}

// PerRequest is all cost over the requests; false without any.
func (t Totals) PerRequest() (float64, bool) { return ratio(t.Total(), float64(t.Requests)) }

// PerThousandTokens is all cost over the input and output tokens, times 1000;
// false without any.
func (t Totals) PerThousandTokens() (float64, bool) {
	return ratio(t.Total()*1000, float64(t.InputTokens)+float64(t.OutputTokens))
}

// Utilization is busy over busy, idle and starting time, 0 to 1; false where no
// device was used.
func (t Totals) Utilization() (float64, bool) {
	return ratio(t.Busy.Seconds(), t.Busy.Seconds()+t.Idle.Seconds()+t.Starting.Seconds())
}

func ratio(a, b float64) (float64, bool) {
	if b == 0 {
		return 0, false
	}
	return a / b, true
}

// Since returns what was added since an earlier Totals of the same Account. A
// tenant's Shared is that of both, so the open window of the earlier one may have
// been divided otherwise since.
func (t Totals) Since(earlier Totals) Totals {
	d := t
	for k := range d.By {
		d.By[k] -= earlier.By[k]
	}
	d.Busy -= earlier.Busy
	d.Idle -= earlier.Idle
	d.Starting -= earlier.Starting
	d.Requests -= earlier.Requests
	d.InputTokens -= earlier.InputTokens
	d.OutputTokens -= earlier.OutputTokens
	d.Refused -= earlier.Refused

	before := map[string]TenantCost{}
	for _, b := range earlier.Tenants {
		before[b.Tenant] = b
	}
	d.Tenants = nil
	for _, c := range t.Tenants {
		b := before[c.Tenant]
		c.Requests -= b.Requests
		c.InputTokens -= b.InputTokens
		c.OutputTokens -= b.OutputTokens
		c.Upstream -= b.Upstream
		c.Shared -= b.Shared
		c.Settled -= b.Settled
		d.Tenants = append(d.Tenants, c)
	}
	amount := map[unpricedKey]float64{}
	for _, u := range earlier.Unpriced {
		amount[unpricedKey{u.Kind, u.Name}] = u.Amount
	}
	d.Unpriced = nil
	for _, u := range t.Unpriced {
		u.Amount -= amount[unpricedKey{u.Kind, u.Name}]
		if u.Amount != 0 {
			d.Unpriced = append(d.Unpriced, u)
		}
	}
	return d
}

// WriteText writes the totals as a table for people.
func (t Totals) WriteText(w io.Writer) error {
	var rows [][]string
	line := func(name, format string, v any) { rows = append(rows, []string{name, fmt.Sprintf(format, v)}) }
	for _, k := range Kinds() {
		if t.By[k] != 0 {
			line(k.String(), "%.4f "+t.Currency, t.By[k])
		}
	}
	line("total", "%.4f "+t.Currency, t.Total())
	if v, ok := t.PerRequest(); ok {
		line("per request", "%.6f "+t.Currency, v)
	}
	if v, ok := t.PerThousandTokens(); ok {
		line("per 1000 tokens", "%.6f "+t.Currency, v)
	}
	if v, ok := t.Utilization(); ok {
		line("utilization", "%.1f %%", v*100)
	}
	for _, c := range t.Tenants {
		name := "without a tenant"
		if c.Tenant != "" {
			name = "tenant " + printable(c.Tenant)
		}
		line(name, "%.4f "+t.Currency, c.Total())
	}
	for _, u := range t.Unpriced {
		line("no price: "+strings.TrimSpace(u.Kind.String()+" "+printable(u.Name)), "%s", amountText(u))
	}
	return writeTable(w, rows)
}

// printable keeps a name to one line of a table.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if r := []rune(s); len(r) > 40 {
		s = string(r[:39]) + "…"
	}
	return s
}

func amountText(u Unpriced) string {
	unit := [numKinds]string{Busy: "h", Idle: "h", Starting: "h", Energy: "J", Egress: "B", Upstream: "tokens", Operator: "h"}[u.Kind]
	return fmt.Sprintf("%.6g %s", u.Amount, unit)
}

// MarshalJSON writes the totals with the names of the metrics: costs by kind,
// durations in seconds, what cannot be computed left out.
func (t Totals) MarshalJSON() ([]byte, error) {
	type tenantJSON struct {
		Tenant       string  `json:"tenant"`
		Requests     int64   `json:"requests"`
		InputTokens  int64   `json:"input_tokens"`
		OutputTokens int64   `json:"output_tokens"`
		Upstream     float64 `json:"upstream"`
		Shared       float64 `json:"shared"`
		Total        float64 `json:"total"`
	}
	type unpricedJSON struct {
		Kind   string  `json:"kind"`
		Name   string  `json:"name,omitempty"`
		Amount float64 `json:"amount"`
	}
	out := struct {
		Currency          string             `json:"currency"`
		By                map[string]float64 `json:"by_kind"`
		Total             float64            `json:"total"`
		PerRequest        *float64           `json:"per_request,omitempty"`
		PerThousandTokens *float64           `json:"per_thousand_tokens,omitempty"`
		Utilization       *float64           `json:"utilization_ratio,omitempty"`
		BusySeconds       float64            `json:"busy_seconds"`
		IdleSeconds       float64            `json:"idle_seconds"`
		StartingSeconds   float64            `json:"starting_seconds"`
		Requests          int64              `json:"requests"`
		InputTokens       int64              `json:"input_tokens"`
		OutputTokens      int64              `json:"output_tokens"`
		Tenants           []tenantJSON       `json:"tenants"`
		Unpriced          []unpricedJSON     `json:"unpriced"`
		Refused           int64              `json:"refused"`
	}{
		Currency: t.Currency, By: map[string]float64{}, Total: t.Total(),
		PerRequest: known(t.PerRequest()), PerThousandTokens: known(t.PerThousandTokens()), Utilization: known(t.Utilization()),
		BusySeconds: t.Busy.Seconds(), IdleSeconds: t.Idle.Seconds(), StartingSeconds: t.Starting.Seconds(),
		Requests: t.Requests, InputTokens: t.InputTokens, OutputTokens: t.OutputTokens, Refused: t.Refused,
		Tenants: []tenantJSON{}, Unpriced: []unpricedJSON{},
	}
	for _, k := range Kinds() {
		out.By[k.String()] = t.By[k]
	}
	for _, c := range t.Tenants {
		out.Tenants = append(out.Tenants, tenantJSON{c.Tenant, c.Requests, c.InputTokens, c.OutputTokens, c.Upstream, c.Shared, c.Total()})
	}
	for _, u := range t.Unpriced {
		out.Unpriced = append(out.Unpriced, unpricedJSON{u.Kind.String(), u.Name, u.Amount})
	}
	return json.Marshal(out)
}

func known(v float64, ok bool) *float64 {
	if !ok {
		return nil
	}
	return &v
}
