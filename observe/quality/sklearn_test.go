package quality

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sklearn is what scikit-learn says of some cases.
type sklearn struct {
	Origin    string
	Confusion []struct {
		Y, P, Labels            []string
		Beta                    float64
		ZD                      int
		Precision, Recall, F    []float64
		Support                 []int64
		Micro, Macro, Weighted  [3]float64
		Accuracy, Balanced, MCC float64
		Kappa                   *float64
		Text                    string
	}
	Scores []struct {
		Y                       []bool
		P                       []float64
		AUC, AP, Brier, LogLoss float64
		Bins                    int
		Observed, Predicted     []float64
	}
	Rows []struct {
		Y            []int
		S            [][]float64
		K            int
		Top, LogLoss float64
	}
}

func readSklearn(t *testing.T, file string) (s sklearn) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &s))
	require.NotEmpty(t, s.Origin)
	return s
}

const sklearnFile = "testdata/sklearn.json"

func newConfusion(t *testing.T, labels ...string) *Confusion {
	t.Helper()
	c, err := NewConfusion(ConfusionConfig{Labels: labels})
	require.NoError(t, err)
	return c
}

func TestSklearnReports(t *testing.T) {
	for i, c := range readSklearn(t, sklearnFile).Confusion {
		m := newConfusion(t)
		for j := range c.Y {
			m.Add(c.Y[j], c.P[j])
		}
		r := m.Report(ReportConfig{Labels: c.Labels, Beta: c.Beta, Undefined: Undefined(c.ZD)})
		require.Len(t, r.Classes, len(c.Precision), "case %d", i)
		for j, s := range r.Classes {
			require.InDelta(t, c.Precision[j], s.Precision, 1e-9, "case %d", i)
			require.InDelta(t, c.Recall[j], s.Recall, 1e-9, "case %d", i)
			require.InDelta(t, c.F[j], s.F, 1e-9, "case %d", i)
			require.Equal(t, c.Support[j], s.Support, "case %d", i)
		}
		for name, a := range map[string][2][3]float64{
			"micro":    {c.Micro, {r.Micro.Precision, r.Micro.Recall, r.Micro.F}},
			"macro":    {c.Macro, {r.Macro.Precision, r.Macro.Recall, r.Macro.F}},
			"weighted": {c.Weighted, {r.Weighted.Precision, r.Weighted.Recall, r.Weighted.F}},
		} {
			require.InDeltaSlice(t, a[0][:], a[1][:], 1e-9, "case %d: %s", i, name)
		}
		require.InDelta(t, c.Accuracy, r.Accuracy, 1e-9, "case %d", i)
		require.InDelta(t, c.Balanced, r.BalancedAccuracy, 1e-9, "case %d", i)
		require.InDelta(t, c.MCC, r.MCC, 1e-9, "case %d", i)
		if c.Kappa != nil {
			require.InDelta(t, *c.Kappa, r.Kappa, 1e-9, "case %d", i)
		} else {
			require.True(t, r.Kappa != r.Kappa, "case %d: kappa is %v", i, r.Kappa)
		}
		if c.Text != "" {
			require.Equal(t, strings.TrimRight(c.Text, "\n"), strings.TrimRight(r.String(), "\n"), "case %d", i)
		}
	}
}

// The exact functions agree with scikit-learn, and the streaming ones as well: AUC
// within its bound, the others to the last digits. AP does because scores of four
// digits do not share a bin.
func TestSklearnScores(t *testing.T) {
	for i, c := range readSklearn(t, sklearnFile).Scores {
		near := func(want float64) func(got float64, err error) {
			return func(got float64, err error) {
				t.Helper()
				require.NoError(t, err)
				require.InDelta(t, want, got, 1e-9, "case %d", i)
			}
		}
		near(c.AUC)(ROCAUC(c.Y, c.P))
		near(c.AP)(AveragePrecision(c.Y, c.P))
		near(c.Brier)(Brier(c.Y, c.P))
		rows, classes := make([][]float64, len(c.P)), make([]int, len(c.P))
		s, err := NewScores(ScoresConfig{Bins: 20_000, CalibrationBins: c.Bins})
		require.NoError(t, err)
		for j, p := range c.P {
			rows[j] = []float64{1 - p, p}
			if c.Y[j] {
				classes[j] = 1
			}
			s.Add(c.Y[j], p)
		}
		near(c.LogLoss)(LogLoss(classes, rows))

		auc, bound := s.AUC()
		require.InDelta(t, c.AUC, auc, bound+1e-12, "case %d", i)
		near(c.AP)(s.AP(), nil)
		near(c.Brier)(s.Brier(), nil)
		near(c.LogLoss)(s.LogLoss(), nil)
		if c.Bins == 0 {
			continue
		}
		curve, err := CalibrationCurve(c.Y, c.P, c.Bins)
		require.NoError(t, err)
		require.Equal(t, curve, s.Calibration())
		require.Len(t, curve, len(c.Observed))
		ece := 0.0
		for j, b := range curve {
			require.InDelta(t, c.Observed[j], b.Observed, 1e-9, "case %d", i)
			require.InDelta(t, c.Predicted[j], b.Predicted, 1e-9, "case %d", i)
			ece += float64(b.N) / float64(len(c.P)) * max(b.Observed-b.Predicted, b.Predicted-b.Observed)
		}
		near(ece)(ECE(c.Y, c.P, c.Bins))
		near(ece)(s.ECE(), nil)
	}
}

func TestSklearnRows(t *testing.T) {
	for i, c := range readSklearn(t, sklearnFile).Rows {
		top, err := TopK(c.Y, c.S, c.K)
		require.NoError(t, err)
		require.InDelta(t, c.Top, top, 1e-9, "case %d", i)
		loss, err := LogLoss(c.Y, c.S)
		require.NoError(t, err)
		require.InDelta(t, c.LogLoss, loss, 1e-9, "case %d", i)
	}
}

// shuffled calls f for each index in a random order.
func shuffled(r *rand.Rand, n int, f func(i int)) {
	for _, i := range r.Perm(n) {
		f(i)
	}
}

func near(t *testing.T, want, got float64, about ...any) {
	t.Helper()
	if want != want {
		assert.True(t, got != got, about...)
		return
	}
	assert.InDelta(t, want, got, 1e-6, about...)
}
