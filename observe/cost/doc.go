// Package cost says what operating language models costs: by kind, by request, by
// thousand tokens and by tenant, and puts how a window went beside a baseline.
//
// It takes plain amounts and knows no other package; the application tells it what
// its devices, its meters and its people have done. No price and no currency is
// guessed: what has no price is kept apart, and never counts as free.
//
// # Quick start
//
//	account, err := cost.New(cost.Config{Prices: cost.Prices{
//		Currency:   "EUR",
//		DeviceHour: map[string]float64{"h100": 2.1},
//		KWh:        0.24,
//	}})
//
//	// each minute, and at the end of each request
//	account.Add(cost.Usage{Device: "h100", Busy: busy, Idle: idle, EnergyJoules: joules})
//	account.Add(cost.Usage{Tenant: "acme", Requests: 1, InputTokens: 812, OutputTokens: 240})
//
//	account.Totals().WriteText(os.Stdout)
//
// observeprom.NewCost exports the counters of [Metrics].
//
// # Terms
//
//   - Busy, idle, starting: time that devices are paid for and work, wait for work,
//     or cannot work yet. Seconds of several devices add up.
//   - Utilization: busy / (busy + idle + starting).
//   - Cost per request: all cost / requests, whatever became of them.
//   - Cost per thousand tokens: all cost / (input + output tokens) x 1000.
//   - Shared cost: busy, energy and egress. It is divided among the tenants.
//   - Upstream: another provider that answers, and charges for each token.
//   - MTTR, MTBF: mean time to recovery, and between failures; they are the
//     caller's.
//
// # What a tenant pays
//
// Its upstream tokens, and its share of the shared cost of each window, a minute by
// default, by its part of the input and output tokens of that window. Cost of
// windows without tokens is carried on to the next that has some. Idle, starting
// and operator cost stay unshared: no tenant caused them. A window is settled once
// it is over; what is settled never changes, so that it can be a counter. Until
// then its share is provisional.
//
// # The scorecard
//
// [Compare] puts utilization, MTTR, MTBF, manual interventions and cost of two
// windows side by side: this week and last, or the same load with and without.
// Windows may differ in length: interventions are compared by the day, cost by the
// hour. What is not known is left out, never 0.
//
// # Errors
//
// New reports every fault of its Config. Add refuses usages with negative or
// infinite amounts whole, with ErrUsage, and counts them; amounts without a price
// are kept in Totals.Unpriced, the rest of the usage is added, and the error wraps
// ErrNoPrice.
//
// # Concurrency and cost
//
// All methods of an Account may be called from many goroutines; each takes one
// lock. Add costs a few map look-ups; the first of each window and Totals are
// linear in the tenants. Names of tenants are bounded by MaxTenants, then share
// "other"; names without a price by 100.
//
// # Limitations
//
//   - Prices are those of the Account, from its beginning: a new price list is a
//     new Account. There are no discounts, tiers or taxes.
//   - Nothing is kept over a restart: the counters are Prometheus' to keep.
//   - Costs are float64: exact to about 15 digits, not to the last cent of a
//     ledger.
//
// # Sources
//
// Currency codes: ISO 4217. A kilowatt-hour is 3.6e6 joules.
package cost
