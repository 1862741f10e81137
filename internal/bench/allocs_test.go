//go:build !race

package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllocations holds the promise of package observe that no machine can
// disturb: at most 2 allocations a request, none a chunk. (The race detector
// empties pools at random.)
func TestAllocations(t *testing.T) {
	var out bytes.Buffer
	short, err := report(&out, selected(suites(), "observe.allocs."), Limits{}, false)
	require.NoError(t, err)
	require.Zero(t, short, out.String())
}
