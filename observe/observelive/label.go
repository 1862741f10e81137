package observelive

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

const (
	maxLabelBytes = 128
	maxLabels     = 32
)

type label struct{ name, value string }

// cutLabels copies labels, sorted by name and bounded.
func cutLabels(pairs []*dto.LabelPair) []label {
	out := make([]label, 0, min(len(pairs), maxLabels))
	for _, p := range pairs[:min(len(pairs), maxLabels)] {
		out = append(out, label{cutText(p.GetName(), maxLabelBytes), cutText(p.GetValue(), maxLabelBytes)})
	}
	slices.SortFunc(out, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return out
}

// sameLabels reports whether the series with these labels is the one gathered, in any order.
func sameLabels(have []label, pairs []*dto.LabelPair) bool {
	if len(have) != min(len(pairs), maxLabels) {
		return false
	}
	for i, p := range pairs[:len(have)] {
		l := have[i]
		if !isCut(l.name, p.GetName()) {
			k := slices.IndexFunc(have, func(l label) bool { return isCut(l.name, p.GetName()) })
			if k < 0 {
				return false
			}
			l = have[k]
		}
		if !isCut(l.value, p.GetValue()) {
			return false
		}
	}
	return true
}

// isCut reports whether kept is what cutLabels made of s.
func isCut(kept, s string) bool {
	return kept == s || len(s) > maxLabelBytes && kept == cutText(s, maxLabelBytes)
}
