package observe

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEndStatus(t *testing.T) {
	fault := errors.New("no such thing")
	for _, c := range []struct {
		outcome   Outcome
		code      string
		errorType string
	}{
		{OutcomeOK, "OK", ""},
		{OutcomeClientError, "NotFound", "NotFound"},
		{OutcomeServerError, "Internal", "Internal"},
		{OutcomeClientDisconnect, "Canceled", "client_disconnect"},
		{OutcomeTimeout, "DeadlineExceeded", "timeout"},
	} {
		var got RequestStats
		rec, err := New(Config{OnRequest: func(s RequestStats) { got = s }})
		require.NoError(t, err)
		_, q := rec.Start(t.Context(), RequestInfo{})
		q.EndStatus(c.outcome, c.code, fault)
		q.EndStatus(OutcomeServerError, "Unknown", nil) // the first end counts
		assert.Equal(t, c.outcome, got.Outcome)
		assert.Equal(t, c.code, got.Code)
		assert.Equal(t, c.errorType, got.ErrorType)
		assert.Equal(t, fault, got.Err)
		assert.Zero(t, got.StatusCode, "no HTTP status is invented")
	}
}

func TestEndStatusIsBounded(t *testing.T) {
	codes := map[string]int{}
	rec, err := New(Config{OnRequest: func(s RequestStats) { codes[s.Code]++ }})
	require.NoError(t, err)
	for i := range 100 {
		_, q := rec.Start(t.Context(), RequestInfo{})
		q.EndStatus(Outcome(200), fmt.Sprint("code ", i), nil)
	}
	assert.Len(t, codes, maxCodes+1)
	assert.Equal(t, 100-maxCodes, codes["other"])
	assert.EqualValues(t, 100-maxCodes, rec.Losses().LabelOverflow)
	var q *Request
	q.EndStatus(OutcomeOK, "OK", nil)
}
