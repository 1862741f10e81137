package demo

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Something of everything happens within some minutes.
func TestWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		w, err := New(Config{Registerer: reg})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		require.NoError(t, w.Run(ctx))
		families, err := reg.Gather()
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if m.GetCounter().GetValue() > 0 {
						seen[l.GetValue()] = true
					}
				}
			}
		}
		for _, what := range []string{"ok", "server_error", "client_disconnect", "stream_error", "cached_input", "reasoning", "grad_norm", "spike", "straggler",
			"rollback", "out_of_range", "sampled", "idle", "unpriced", "full"} {
			assert.True(t, seen[what], what)
		}
	})
	_, err := New(Config{})
	assert.ErrorContains(t, err, "Registerer")
}
