package text

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScripts(t *testing.T) {
	for _, c := range []struct {
		names    []string
		text     string
		share    float64
		mismatch bool
	}{
		{[]string{"Latin"}, "Hello, wörld! 123", 0, false},
		{[]string{"Latin"}, "Привет", 1, true},
		{[]string{"Latin", "Cyrillic"}, "Hello Привет", 0, false},
		{[]string{"Latin"}, "ab ру", 0.5, false}, // half is not more than half
		{[]string{"Latin"}, "a ру", 2.0 / 3, true},
		{[]string{"Latin"}, "漢字 and more", 2.0 / 9, false},
		{[]string{"Han", "Hiragana", "Katakana"}, "コーヒーを飲む 100", 0, false}, // the long vowel mark is of no script
		{[]string{"Han"}, "日本語です", 0.4, false},
		{[]string{"Latin"}, "123 !? 😀 \xff", 0, false},
		{[]string{"Latin"}, "", 0, false},
	} {
		s, err := NewScripts(c.names...)
		require.NoError(t, err)
		share, mismatch := s.Outside(c.text)
		assert.InDelta(t, c.share, share, 1e-12, "%q", c.text)
		assert.Equal(t, c.mismatch, mismatch, "%q", c.text)
	}
}

func TestScriptsFaults(t *testing.T) {
	_, err := NewScripts("Latin", "latin", "Klingon", "Common", "Inherited")
	for _, name := range []string{`"latin"`, `"Klingon"`, `"Common"`, `"Inherited"`} {
		assert.ErrorContains(t, err, name)
	}
	assert.NotContains(t, err.Error(), `"Latin"`)
	_, err = NewScripts()
	assert.ErrorContains(t, err, "no script is named")
}
