package drift_test

import (
	"fmt"

	"github.com/calmops/calm/observe/quality/drift"
)

// stream is 0, 1, 0, 1, ... for 1000 values, then 4, 5, 4, 5, ...
func stream(i int) float64 {
	if i < 1000 {
		return float64(i % 2)
	}
	return float64(4 + i%2)
}

func ExampleADWIN() {
	var detector drift.ADWIN
	for i := range 2000 {
		if v := detector.Update(stream(i)); v.Drift {
			fmt.Printf("value %d: means differ by %.2f, by chance %.2f at most; %d values are left\n", i, v.Statistic, v.Limit, v.N)
		}
	}
	// Output:
	// value 1023: means differ by 1.85, by chance 1.84 at most; 80 values are left
}

func ExamplePageHinkley() {
	detector := drift.PageHinkley{Threshold: 20}
	for i := range 2000 {
		if v := detector.Update(stream(i)); v.Drift {
			fmt.Printf("value %d: the sum is %.1f\n", i, v.Statistic)
			break
		}
	}
	// Output:
	// value 1005: the sum is 24.4
}

func ExampleDDM() {
	var detector drift.DDM
	warned := false
	for i := range 2000 {
		mistake := 0.0
		if i%10 == 0 || i >= 1000 && i%2 == 0 { // every tenth, later every second
			mistake = 1
		}
		v := detector.Update(mistake)
		if v.Warning && !warned {
			fmt.Printf("value %d: warning, the error rate is %.3f\n", i, v.Mean)
			warned = true
		}
		if v.Drift {
			fmt.Printf("value %d: drift\n", i)
			break
		}
	}
	// Output:
	// value 1022: warning, the error rate is 0.109
	// value 1048: drift
}

func ExampleVerdict() {
	detector := drift.PageHinkley{Threshold: 5, MinInstances: 2}
	for _, x := range []float64{0, 0, 3, 9} {
		v := detector.Update(x)
		fmt.Printf("%.2f of %.0f: drift %v\n", v.Statistic, v.Limit, v.Drift)
	}
	// Output:
	// 0.00 of 5: drift false
	// 0.00 of 5: drift false
	// 2.00 of 5: drift false
	// 7.99 of 5: drift true
}

func ExampleReference() {
	var sample, later []float64
	for i := range 100 {
		sample = append(sample, float64(i))
		later = append(later, float64(i+20))
	}
	reference, err := drift.NewReference(drift.ReferenceConfig{Sample: sample})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := reference.Distance(later)
	fmt.Printf("PSI %.2f, JS %.3f, KS D %.2f (p %.4f)\n", d.PSI, d.JS, d.KS.D, d.KS.P)
	// Output:
	// PSI 1.60, JS 0.095, KS D 0.20 (p 0.0364)
}

func ExamplePSI() {
	psi, _ := drift.PSI([]float64{.1, .2, .4, .2, .1}, []float64{.2, .2, .2, .2, .2})
	js, _ := drift.JS([]float64{.1, .2, .4, .2, .1}, []float64{.2, .2, .2, .2, .2})
	fmt.Printf("%.4f %.4f\n", psi, js)
	// Output:
	// 0.2773 0.0340
}

func ExampleKS() {
	result, err := drift.KS([]float64{1, 2, 3, 4, 5}, []float64{4, 5, 6, 7, 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("D %.1f, p %.4f\n", result.D, result.P)
	// Output:
	// D 0.6, p 0.3571
}
