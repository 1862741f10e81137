package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/calmops/calm/observe"
)

// TestAgree runs the whole example. On a busy machine a client may be late by
// chance: one of three runs must agree.
func TestAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	var out bytes.Buffer
	var err error
	for range 3 {
		out.Reset()
		if err = run(t.Context(), options{}, &out); err == nil {
			break
		}
		t.Log(err)
	}
	require.NoError(t, err, &out)
	assert.Contains(t, out.String(), `llm_server_requests_total{code="200",model="panics",operation="chat",outcome="panic",stream="true"} 3`)
	assert.Contains(t, out.String(), `outcome="client_disconnect"`)
}

// TestDisagree plants a difference of each kind: it must be found.
func TestDisagree(t *testing.T) {
	make := func(ttft time.Duration, tokens, requests int, o observe.Outcome) *tallies {
		t := newTallies()
		for range requests {
			t.seen(classChat, seen{ttft: ttft, tokens: tokens, outcome: o})
		}
		return t
	}
	client := make(100*time.Millisecond, 5, 3, observe.OutcomeOK)
	var out bytes.Buffer
	assert.NoError(t, compare(&out, client, make(103*time.Millisecond, 5, 3, observe.OutcomeOK)))
	assert.ErrorContains(t, compare(&out, client, make(106*time.Millisecond, 5, 3, observe.OutcomeOK)), "TTFT")
	assert.ErrorContains(t, compare(&out, client, make(100*time.Millisecond, 6, 3, observe.OutcomeOK)), "tokens")
	assert.ErrorContains(t, compare(&out, client, make(100*time.Millisecond, 5, 2, observe.OutcomeOK)), "requests sent")
	assert.ErrorContains(t, compare(&out, client, make(100*time.Millisecond, 5, 3, observe.OutcomePanic)), "the client saw")
}

func TestListen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var out bytes.Buffer
	require.NoError(t, run(ctx, options{"127.0.0.1:0", true, true}, &out))
	assert.Contains(t, out.String(), "/metrics")
	assert.Error(t, run(t.Context(), options{listen: "256.0.0.1:1"}, &out))
}
