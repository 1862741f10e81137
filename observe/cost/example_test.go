package cost_test

import (
	"fmt"
	"os"
	"time"

	"github.com/calmops/calm/observe/cost"
)

// An hour of one device, of which it worked for half.
func ExampleAccount() {
	account, err := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR", DeviceHour: map[string]float64{"h100": 2}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = account.Add(cost.Usage{Device: "h100", Busy: 30 * time.Minute, Idle: 30 * time.Minute})
	_ = account.Add(cost.Usage{Tenant: "acme", Requests: 100, InputTokens: 400_000, OutputTokens: 600_000})
	_ = account.Totals().WriteText(os.Stdout)
	// Output:
	// busy               1.0000 EUR
	// idle               1.0000 EUR
	// total              2.0000 EUR
	// per request      0.020000 EUR
	// per 1000 tokens  0.002000 EUR
	// utilization            50.0 %
	// tenant acme        1.0000 EUR
}

// What has no price is said, and not counted as free.
func ExampleErrNoPrice() {
	account, _ := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR"}})
	err := account.Add(cost.Usage{Device: "b200", Busy: time.Hour})
	fmt.Println(err)
	fmt.Printf("%+v\n", account.Totals().Unpriced)
	// Output:
	// cost: no price for busy "b200"
	// [{Kind:busy Name:b200 Amount:1}]
}

// The same service, before and after it operates itself.
func ExampleCompare() {
	before := cost.Score{Window: 24 * time.Hour, UtilizationRatio: .41, MTTR: 25 * time.Minute, MTBF: 8 * time.Hour,
		ManualInterventions: 3, Cost: 100, CostPerThousandTokens: .0042, Currency: "EUR"}
	now := cost.Score{Window: 24 * time.Hour, UtilizationRatio: .63, MTTR: 40 * time.Second, MTBF: 9 * time.Hour,
		ManualInterventions: 0, Cost: 70, CostPerThousandTokens: .0027, Currency: "EUR"}
	_ = cost.Compare(now, before).WriteText(os.Stdout)
	// Output:
	//                              now    baseline    change
	// window                   24h0m0s     24h0m0s
	// utilization               63.0 %      41.0 %   +53.7 %  better
	// MTTR                         40s       25m0s   -97.3 %  better
	// MTBF                      9h0m0s      8h0m0s   +12.5 %  better
	// manual interventions     0 a day     3 a day  -100.0 %  better
	// cost per hour          2.917 EUR   4.167 EUR   -30.0 %  better
	// cost per 1000 tokens  0.0027 EUR  0.0042 EUR   -35.7 %  better
}

func ExampleTotals_Since() {
	account, _ := cost.New(cost.Config{Prices: cost.Prices{Currency: "EUR", OperatorHour: 80}})
	_ = account.Add(cost.Usage{Operator: time.Hour})
	morning := account.Totals()
	_ = account.Add(cost.Usage{Operator: 15 * time.Minute})
	fmt.Println(account.Totals().Since(morning).Total())
	// Output: 20
}
