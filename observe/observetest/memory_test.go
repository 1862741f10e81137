package observetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/calmops/calm/observe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		r, err := observe.New(observe.Config{Sinks: []observe.Sink{m}})
		require.NoError(t, err)
		for i := range 2 {
			_, q := r.Start(context.Background(), observe.RequestInfo{Model: fmt.Sprint("m", i), Operation: observe.OperationChat})
			q.SetValue(i)
			for range 100 {
				time.Sleep(time.Duration(i+1) * time.Millisecond)
				q.Token(1)
			}
			q.End(nil)
		}
		got := m.Requests()
		require.Len(t, got, 2)
		for i, s := range got {
			assert.Equal(t, i, s.Value)
			assert.Equal(t, 99, s.Gaps)
			gaps := m.Gaps(s.Labels)
			require.Len(t, gaps, 99)
			for _, g := range gaps {
				assert.Equal(t, time.Duration(i+1)*time.Millisecond, g)
			}
			gaps[0] = 0
			assert.NotZero(t, m.Gaps(s.Labels)[0], "a copy")
		}
		got[0].Model = "changed"
		assert.Equal(t, "m0", m.Requests()[0].Model, "a copy")
		assert.Nil(t, m.Gaps(observe.Labels{Model: "never"}))
	})
}

func TestNilMemory(t *testing.T) {
	var m *Memory
	m.Attach(nil)
	assert.Nil(t, m.Series(observe.Labels{}))
	assert.Nil(t, m.Requests())
	assert.Nil(t, m.Gaps(observe.Labels{}))
	var zero Memory
	h := zero.Series(observe.Labels{})
	assert.NotPanics(t, func() { h.Gaps([]time.Duration{1}) })
	assert.Len(t, zero.Gaps(observe.Labels{}), 1)
}

func TestMemoryConcurrently(t *testing.T) {
	m := NewMemory()
	r, err := observe.New(observe.Config{Sinks: []observe.Sink{m}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				_, q := r.Start(context.Background(), observe.RequestInfo{Model: "m"})
				q.Token(70)
				q.Token(70)
				q.End(nil)
				m.Requests()
			}
		})
	}
	wg.Wait()
	assert.Len(t, m.Requests(), 160)
	assert.Len(t, m.Gaps(m.Requests()[0].Labels), 160*70)
}
