package cost

import "github.com/calmops/calm/observe"

// Metrics returns the table of what an Account exports, and how each value is read
// from its Totals. The caller owns the result.
func Metrics() []observe.Reading[*Totals] {
	t := []observe.Reading[*Totals]{
		{Metric: observe.Metric{Prometheus: "llm_cost_total", OTel: "llm.cost", Kind: observe.KindCounter, Unit: "1",
			Labels: []string{"kind", "currency"}, Help: "Cost of operating, by what it was spent on, in the currency of the label."},
			Values: func(t *Totals, yield func(float64, ...string)) {
				for _, k := range Kinds() {
					yield(t.By[k], k.String(), t.Currency)
				}
			}},
		{Metric: observe.Metric{Prometheus: "llm_cost_tenant_total", OTel: "llm.cost.tenant", Kind: observe.KindCounter, Unit: "1",
			Labels: []string{"tenant", "currency"}, Help: "Cost of a tenant's upstream tokens and of its share, by tokens, of busy, energy and egress cost. The share is settled once a window."},
			Values: func(t *Totals, yield func(float64, ...string)) {
				for _, c := range t.Tenants {
					yield(c.Settled, c.Tenant, t.Currency)
				}
			}},
		{Metric: observe.Metric{Prometheus: "llm_cost_unpriced_total", OTel: "llm.cost.unpriced", Kind: observe.KindCounter, Unit: "1",
			Labels: []string{"kind", "name"}, Help: "Amounts that have no price: hours of devices and people, joules, bytes, tokens."},
			Values: func(t *Totals, yield func(float64, ...string)) {
				for _, u := range t.Unpriced {
					yield(u.Amount, u.Kind.String(), u.Name)
				}
			}},
		{Metric: observe.Metric{Prometheus: "llm_cost_refused_usage_total", OTel: "llm.cost.refused_usage", Kind: observe.KindCounter, Unit: "1",
			Help: "Usages that were refused for impossible amounts."},
			Values: func(t *Totals, yield func(float64, ...string)) { yield(float64(t.Refused)) }},
	}
	for i := range t {
		t[i].ID = observe.MetricID(i)
	}
	return t
}
