package observeprom

import (
	"strings"
	"unicode/utf8"

	"github.com/calmops/calm/observe"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// traceExemplar names the trace of a request whose traceparent was sampled.
func traceExemplar(r *observe.RequestStats) prometheus.Labels {
	if r.TraceID == "" {
		return nil
	}
	return prometheus.Labels{"trace_id": r.TraceID, "span_id": r.SpanID}
}

// checkedExemplar returns the labels if they can be an exemplar, else none:
// client_golang panics on others.
func checkedExemplar(labels prometheus.Labels) prometheus.Labels {
	if len(labels) == 0 {
		return nil
	}
	runes := 0
	for name, value := range labels {
		if !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__") || !utf8.ValidString(value) {
			return nil
		}
		runes += utf8.RuneCountInString(name) + utf8.RuneCountInString(value)
	}
	if runes > prometheus.ExemplarMaxRunes {
		return nil
	}
	return labels
}
