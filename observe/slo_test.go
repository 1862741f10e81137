package observe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAttainment is each outcome by each objective: within it, beyond it, not
// measured.
func TestAttainment(t *testing.T) {
	slo := SLO{TTFT: time.Second, TPOT: time.Second, Duration: time.Second}
	const met, missed, none = "met", "missed", ""
	for o, want := range map[Outcome][3]string{ // within, beyond, not measured
		OutcomeOK:               {met, missed, none},
		OutcomeServerError:      {missed, missed, missed},
		OutcomePanic:            {missed, missed, missed},
		OutcomeAborted:          {missed, missed, missed},
		OutcomeTimeout:          {missed, missed, missed},
		OutcomeStreamError:      {missed, missed, missed},
		OutcomeClientError:      {none, none, none},
		OutcomeHijacked:         {none, none, none},
		OutcomeClientDisconnect: {none, missed, none},
	} {
		for i, d := range []time.Duration{time.Second, time.Second + 1} { // the objective itself is met
			s := &RequestStats{Outcome: o, TTFT: d, Duration: d, StatusCode: 200, Valid: FieldTTFT}
			a := slo.judge(s, d, true)
			require.Equal(t, [3]string{want[i], want[i], want[i]}, [3]string{a.TTFT.String(), a.TPOT.String(), a.Duration.String()}, "%v after %v", o, d)
			require.Equal(t, Attainment{}, SLO{}.judge(s, d, true), "no objective")
			one := SLO{TPOT: time.Second}.judge(s, d, true)
			require.Equal(t, Attainment{TPOT: a.TPOT}, one, "only what has an objective")
		}
		a := slo.judge(&RequestStats{Outcome: o, StatusCode: 200}, 0, false)
		require.Equal(t, [2]string{want[2], want[2]}, [2]string{a.TTFT.String(), a.TPOT.String()}, "%v, not measured", o)
	}
}

// A client that waited too long for a first token and left was failed, though
// no first token was measured.
func TestAttainmentOfPatience(t *testing.T) {
	slo := SLO{TTFT: time.Second}
	for _, c := range []struct {
		s    RequestStats
		want string
	}{
		{RequestStats{Duration: 2 * time.Second, Stream: true, StatusCode: 200}, "missed"},
		{RequestStats{Duration: 2 * time.Second}, "missed"},
		{RequestStats{Duration: time.Second, Stream: true}, ""},
		{RequestStats{Duration: 2 * time.Second, StatusCode: 200}, ""}, // an answer that is not streamed has no first token
		{RequestStats{Duration: 2 * time.Second, Stream: true, TTFT: time.Second, Valid: FieldTTFT}, ""},
	} {
		c.s.Outcome = OutcomeClientDisconnect
		require.Equal(t, c.want, slo.judge(&c.s, 0, false).TTFT.String(), "%+v", c.s)
	}
	require.Equal(t, "", SLOResult(9).String())
}
