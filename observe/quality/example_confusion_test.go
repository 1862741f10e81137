package quality_test

import (
	"fmt"

	"github.com/calmops/calm/observe/quality"
)

func ExampleConfusion() {
	c, err := quality.NewConfusion(quality.ConfusionConfig{Labels: []string{"ham", "spam"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Add("ham", "ham")
	c.Add("ham", "spam")
	c.Add("spam", "spam")
	c.AddIndex(0, 0, 5) // five more of ham
	fmt.Println(c.Labels(), "ham taken for spam:", c.At(0, 1), "of", c.N())
	// Output:
	// [ham spam] ham taken for spam: 1 of 8
}

// The example of scikit-learn's classification_report.
func ExampleReport() {
	c, _ := quality.NewConfusion(quality.ConfusionConfig{})
	predictions := []string{"class 0", "class 0", "class 2", "class 2", "class 1"}
	for i, truth := range []string{"class 0", "class 1", "class 2", "class 2", "class 2"} {
		c.Add(truth, predictions[i])
	}
	r := c.Report(quality.ReportConfig{})
	fmt.Print(r)
	fmt.Printf("MCC %.3f, kappa %.3f, balanced accuracy %.3f\n", r.MCC, r.Kappa, r.BalancedAccuracy)
	// Output:
	//               precision    recall  f1-score   support
	//
	//      class 0       0.50      1.00      0.67         1
	//      class 1       0.00      0.00      0.00         1
	//      class 2       1.00      0.67      0.80         3
	//
	//     accuracy                           0.60         5
	//    macro avg       0.50      0.56      0.49         5
	// weighted avg       0.70      0.60      0.61         5
	// MCC 0.401, kappa 0.375, balanced accuracy 0.556
}

// A class that was never predicted has no precision. The macro average leaves it
// out, or counts it as 0.
func ExampleUndefined() {
	c, _ := quality.NewConfusion(quality.ConfusionConfig{})
	c.Add("cat", "cat")
	c.Add("dog", "cat")
	for _, u := range []quality.Undefined{quality.UndefinedZero, quality.UndefinedNaN} {
		fmt.Println(c.Report(quality.ReportConfig{Undefined: u}).Macro.Precision)
	}
	// Output:
	// 0.25
	// 0.5
}

func ExampleClassScore() {
	c, _ := quality.NewConfusion(quality.ConfusionConfig{Labels: []string{"fraud", "fine"}})
	c.AddIndex(0, 0, 30)
	c.AddIndex(0, 1, 10)
	c.AddIndex(1, 0, 20)
	c.AddIndex(1, 1, 940)
	// Missing fraud is worse than a false alarm: recall counts twice as much.
	r := c.Report(quality.ReportConfig{Labels: []string{"fraud"}, Beta: 2})
	fraud := r.Classes[0]
	fmt.Printf("precision %.2f, recall %.2f, F2 %.3f, accuracy %.2f\n", fraud.Precision, fraud.Recall, fraud.F, r.Accuracy)
	// Output:
	// precision 0.60, recall 0.75, F2 0.714, accuracy 0.97
}
