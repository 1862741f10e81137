package quality

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scikit-learn documentation, "From binary to multiclass and multilabel".
func TestReportAverages(t *testing.T) {
	r := counted(t, "012012", "021001").Report(ReportConfig{})
	near(t, 0.2222222, r.Macro.Precision)
	near(t, 0.3333333, r.Macro.Recall)
	near(t, 0.2666667, r.Macro.F)
	near(t, 0.3333333, r.Micro.Precision)
	near(t, 0.3333333, r.Micro.Recall)
	near(t, 0.3333333, r.Micro.F)
	near(t, 0.2666667, r.Weighted.F)
	var f []float64
	for _, c := range r.Classes {
		f = append(f, c.F)
	}
	assert.InDeltaSlice(t, []float64{0.8, 0, 0}, f, 1e-9)
}

func TestReportKnownValues(t *testing.T) {
	c := counted(t, "202201", "002202") // docstring of confusion_matrix
	var rows [3][3]int64
	for i, truth := range []int{1, 2, 0} { // places of 0, 1, 2, in the order seen
		for j, predicted := range []int{1, 2, 0} {
			rows[i][j] = c.At(truth, predicted)
		}
	}
	assert.Equal(t, [3][3]int64{{2, 0, 0}, {0, 0, 1}, {1, 0, 2}}, rows)
	near(t, 0.428571, c.Report(ReportConfig{}).Kappa)

	near(t, -0.333333, counted(t, "+++-", "+-++").Report(ReportConfig{}).MCC)                 // documentation of matthews_corrcoef
	near(t, 0.625, counted(t, "010010", "010001").Report(ReportConfig{}).BalancedAccuracy)    // docstring of balanced_accuracy_score
	assert.NotEqual(t, 0.625, counted(t, "010010", "010001").Report(ReportConfig{}).Accuracy) // the wrong twin
}

// F weighs recall by Beta squared: by hand, P = 1/2, R = 1/3.
func TestReportBeta(t *testing.T) {
	c := counted(t, "1110", "1001")
	f := func(beta float64) float64 {
		return c.Report(ReportConfig{Labels: []string{"1"}, Beta: beta}).Classes[0].F
	}
	near(t, 2*0.5/3/(0.5+1.0/3), f(1))
	near(t, 5*0.5/3/(4*0.5+1.0/3), f(2))
	near(t, 1.25*0.5/3/(0.25*0.5+1.0/3), f(0.5))
	near(t, 1.0/3, f(1e200))
	near(t, 0.5, f(1e-200))
	for _, beta := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		assert.Equal(t, f(1), f(beta), beta)
	}
}

// Some of the labels: micro is no longer the accuracy. Labels without examples count
// in the macro average, and labels that come twice do not.
func TestReportLabels(t *testing.T) {
	c := counted(t, "001122", "011120")
	r := c.Report(ReportConfig{Labels: []string{"1", "0", "1"}})
	require.Len(t, r.Classes, 2)
	assert.Equal(t, "1", r.Classes[0].Label)
	assert.Equal(t, "0", r.Classes[1].Label)
	near(t, 4.0/6, r.Accuracy)
	near(t, 3.0/5, r.Micro.Precision)
	near(t, 3.0/4, r.Micro.Recall)
	assert.EqualValues(t, 4, r.Micro.Support)

	all, more := c.Report(ReportConfig{}), c.Report(ReportConfig{Labels: []string{"0", "1", "2", "none"}})
	near(t, all.Macro.F*3/4, more.Macro.F)
	assert.Equal(t, all.Weighted.F, more.Weighted.F)
	assert.Equal(t, all.Micro, more.Micro)

	empty := c.Report(ReportConfig{Labels: []string{}})
	assert.Empty(t, empty.Classes)
	assert.Zero(t, empty.Macro)
}

// Labels of the Config come first, the others are sorted, and those without an
// example or a prediction are left out.
func TestReportOrder(t *testing.T) {
	c := newConfusion(t, "m", "unseen", "a")
	for _, label := range []string{"z", "b", "a", "m"} {
		c.Add(label, label)
	}
	c.Add("a", "predicted")
	var labels []string
	for _, s := range c.Report(ReportConfig{}).Classes {
		labels = append(labels, s.Label)
	}
	assert.Equal(t, []string{"m", "a", "b", "predicted", "z"}, labels)
}

func TestReportUndefined(t *testing.T) {
	// "1" is never predicted, "2" never true, "3" neither.
	c := counted(t, "0011", "0020")
	labels := []string{"0", "1", "2", "3"}
	for u, value := range map[Undefined]float64{UndefinedZero: 0, UndefinedOne: 1, UndefinedNaN: math.NaN(), 99: 0} {
		r := c.Report(ReportConfig{Labels: labels, Undefined: u})
		one, two, three := r.Classes[1], r.Classes[2], r.Classes[3]
		near(t, value, one.Precision)
		assert.True(t, one.PrecisionUndefined)
		assert.Zero(t, one.Recall)
		assert.False(t, one.RecallUndefined || one.FUndefined)
		assert.Zero(t, one.F, "0, not undefined: there are false negatives")
		near(t, value, two.Recall)
		assert.Zero(t, two.Precision+two.F)
		for _, v := range []float64{three.Precision, three.Recall, three.F} {
			near(t, value, v)
		}
		assert.True(t, three.PrecisionUndefined && three.RecallUndefined && three.FUndefined)
		near(t, value, c.Report(ReportConfig{Labels: []string{"3"}, Undefined: u}).Weighted.Recall)
		near(t, value, c.Report(ReportConfig{Labels: []string{"3"}, Undefined: u}).Micro.F)
	}
	// NaN leaves a class out: recalls 1, 0; not 1, 0, 0, 0.
	near(t, 0.5, c.Report(ReportConfig{Labels: labels, Undefined: UndefinedNaN}).Macro.Recall)
	near(t, 0.25, c.Report(ReportConfig{Labels: labels}).Macro.Recall)
	near(t, 0.75, c.Report(ReportConfig{Labels: labels, Undefined: UndefinedOne}).Macro.Recall)
}

func TestReportOfNothing(t *testing.T) {
	r := newConfusion(t, "a").Report(ReportConfig{})
	for _, v := range []float64{r.Accuracy, r.BalancedAccuracy, r.MCC, r.Kappa} {
		assert.True(t, math.IsNaN(v))
	}
	assert.Zero(t, r.Macro)
	assert.NotPanics(t, func() { _ = r.String() })
	assert.NotPanics(t, func() { _ = Report{}.String() })
}

// One class only: agreement by chance is certain.
func TestReportOfOneClass(t *testing.T) {
	r := counted(t, "111", "111").Report(ReportConfig{})
	assert.Equal(t, 1.0, r.Accuracy)
	assert.Equal(t, 1.0, r.BalancedAccuracy)
	assert.Zero(t, r.MCC)
	assert.True(t, math.IsNaN(r.Kappa))
	assert.Zero(t, counted(t, "1110", "1111").Report(ReportConfig{}).MCC)
	assert.Zero(t, counted(t, "1110", "1111").Report(ReportConfig{}).Kappa)
}

// Every score has its range, also with counts that no float holds exactly.
func TestReportRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 10_000 {
		c := newConfusion(t, "a", "b", "c")
		for range r.IntN(10) {
			c.AddIndex(r.IntN(3), r.IntN(3), r.Int64N(1<<uint(r.IntN(60))+1))
		}
		if c.N() == 0 {
			continue
		}
		report := c.Report(ReportConfig{Beta: math.Exp(4 * r.NormFloat64())})
		values := []float64{report.Accuracy, report.BalancedAccuracy}
		for _, a := range []Average{report.Micro, report.Macro, report.Weighted} {
			values = append(values, a.Precision, a.Recall, a.F)
		}
		for _, s := range report.Classes {
			values = append(values, s.Precision, s.Recall, s.F)
		}
		for _, v := range values {
			require.True(t, v >= 0 && v <= 1+1e-12, "%v of %+v", v, report)
		}
		require.True(t, report.MCC >= -1 && report.MCC <= 1, report.MCC)
		require.False(t, report.Kappa > 1+1e-12, report.Kappa)
		require.InDelta(t, report.Accuracy, report.Micro.F, 1e-12)
		require.InDelta(t, report.Accuracy, report.Weighted.Recall, 1e-12)
	}
}
