package text

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parityCases are texts with the figures that the reference implementations,
// which the file names, give for them.
type parityCases struct {
	Origin string
	Cases  []parityCase
}

type parityCase struct {
	Hyps []string
	Refs [][]string
	BLEU struct {
		BLEUScore
		Config    BLEUConfig
		Signature string
	}
	ChrF struct {
		Config    ChrFConfig
		Score     float64
		Signature string
	}
	TER struct {
		TERScore
		Config    TERConfig
		Signature string
	}
	SQuAD struct {
		Exact bool
		F1    float64
	}
}

func readParity(t *testing.T) []parityCase {
	t.Helper()
	src, err := os.ReadFile("testdata/parity.json")
	require.NoError(t, err)
	var all parityCases
	require.NoError(t, json.Unmarshal(src, &all))
	require.NotEmpty(t, all.Cases)
	require.Contains(t, all.Origin, "sacreBLEU at commit")
	return all.Cases
}

// sameSignature compares all but the version.
func sameSignature(t *testing.T, want, got string) {
	t.Helper()
	cut := func(s string) string {
		before, _, _ := strings.Cut(s, "|version:")
		before, _, _ = strings.Cut(before, "|beta:")
		return before
	}
	assert.Equal(t, cut(want), cut(got))
}

func TestBLEUParity(t *testing.T) {
	for i, c := range readParity(t) {
		b, err := NewBLEU(c.BLEU.Config)
		require.NoError(t, err)
		for j, hyp := range c.Hyps {
			b.Add(hyp, c.Refs[j]...)
		}
		want, got := c.BLEU, b.Score()
		assert.InDelta(t, want.Score, got.Score, 1e-9, "case %d", i)
		assert.InDeltaSlice(t, want.Precisions, got.Precisions, 1e-9, "case %d", i)
		assert.InDelta(t, want.BP, got.BP, 1e-12, "case %d", i)
		assert.Equal(t, want.Counts, got.Counts, "case %d", i)
		assert.Equal(t, want.Totals, got.Totals, "case %d", i)
		assert.Equal(t, [2]int64{want.SysLen, want.RefLen}, [2]int64{got.SysLen, got.RefLen}, "case %d", i)
		sameSignature(t, want.Signature, b.Signature())
	}
}

func TestChrFParity(t *testing.T) {
	for i, c := range readParity(t) {
		m, err := NewChrF(c.ChrF.Config)
		require.NoError(t, err)
		for j, hyp := range c.Hyps {
			m.Add(hyp, c.Refs[j]...)
		}
		assert.InDelta(t, c.ChrF.Score, m.Score().Score, 1e-9, "case %d", i)
		sameSignature(t, c.ChrF.Signature, m.Signature())
	}
}

func TestTERParity(t *testing.T) {
	for i, c := range readParity(t) {
		m := NewTER(c.TER.Config)
		for j, hyp := range c.Hyps {
			m.Add(hyp, c.Refs[j]...)
		}
		want, got := c.TER, m.Score()
		assert.InDelta(t, want.TERScore.Score, got.Score, 1e-9, "case %d", i)
		assert.Equal(t, want.Edits, got.Edits, "case %d", i)
		assert.InDelta(t, want.RefLen, got.RefLen, 1e-9, "case %d", i)
		assert.Zero(t, got.Cut)
		sameSignature(t, want.Signature, m.Signature())
	}
}

func TestSQuADParity(t *testing.T) {
	for i, c := range readParity(t) {
		exact, f1 := SQuAD(c.Hyps[0], c.Refs[0]...)
		assert.Equal(t, c.SQuAD.Exact, exact, "case %d: %q %q", i, c.Hyps[0], c.Refs[0])
		assert.InDelta(t, c.SQuAD.F1, f1, 1e-12, "case %d: %q %q", i, c.Hyps[0], c.Refs[0])
	}
}
