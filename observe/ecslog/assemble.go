package ecslog

import (
	"bytes"
	"context"
	"log/slog"
	"time"
)

// assemble writes the line into its buffer, an end of line before and behind it.
func (l *line) assemble(ctx context.Context, at time.Time, level int, message string, suppressed uint64) {
	l.settle()
	if l.places&(1<<placeError) != 0 {
		l.expandError()
	}
	l.ends, l.nonfinite, l.truncated = l.ends[:0], l.nonfinite[:0], l.truncated[:0]
	if !yearFits(at) {
		at = time.Time{}
	}
	b := append(l.buf[:0], '\n')
	end := "}\n"
	members := 0 // where the attributes of the OTel profile begin
	if trace := l.h.core.trace(ctx); l.h.core.cfg.Profile == ProfileOTel {
		b = l.appendHeadOTel(b, at, level, message, trace)
		members, end = len(b), "}}\n"
	} else {
		b = l.appendHeadECS(b, at, level, message, trace)
	}
	l.head = len(b)
	b = l.appendFields(b)
	b = l.appendLabels(b)
	b = l.appendOwnLabels(b, suppressed, len(end))
	if members > 0 {
		b = opened(b, members)
	}
	l.buf = append(b, end...)
}

// appendFields appends what stands under its own name. The pinned fields stand
// before the others already, but for those of an error.
func (l *line) appendFields(b []byte) []byte {
	if l.places&(1<<placeError) == 0 {
		for i := range l.fields {
			if f := &l.fields[i]; f.place == placeField {
				b = l.appendField(b, f)
			}
		}
		return b
	}
	for _, pinned := range [...]bool{true, false} {
		for i := range l.fields {
			if f := &l.fields[i]; f.place == placeField && f.pinned == pinned {
				b = l.appendField(b, f)
			}
		}
	}
	return b
}

func (l *line) appendField(b []byte, f *field) []byte {
	switch {
	case l.full(b):
		return b
	case len(l.secrets) > 0 && l.clean(f.key.name) != f.key.name:
		f.enc = ""
		l.move(f, placeLabel)
		return b
	}
	b = append(b, f.key.quoted...)
	if f.enc != "" && !l.mayHoldSecret(f) {
		b = append(b, f.enc...)
	} else {
		b = l.appendValue(b, f)
	}
	return l.endPart(b, f)
}

// full reports that a line has no room for another part, and counts that.
func (l *line) full(b []byte) bool {
	if len(b) <= l.lineLimit {
		return false
	}
	l.dropped++
	return true
}

func (l *line) mayHoldSecret(f *field) bool {
	return len(l.secrets) > 0 && (f.kind == slog.KindString || f.kind == slog.KindAny)
}

// endPart notes where a part ends.
func (l *line) endPart(b []byte, f *field) []byte {
	if f.cut {
		l.truncated = l.appendName(l.truncated, f.key.name)
	}
	l.ends = append(l.ends, len(b))
	return b
}

// appendLabels appends the labels.
func (l *line) appendLabels(b []byte) []byte {
	if l.places&(1<<placeNonfinite|1<<placeContent|1<<placeLabel) == 0 {
		return b
	}
	l.labels.reset()
	for i := range l.fields {
		f := &l.fields[i]
		switch f.place {
		case placeNonfinite:
			l.nonfinite = l.appendName(l.nonfinite, f.key.name)
		case placeContent:
			b = l.appendContent(b, f)
		case placeLabel:
			if l.full(b) {
				continue
			}
			b = l.appendLabelKey(b, f.key)
			if f.enc != "" && !l.mayHoldSecret(f) {
				b = append(b, f.enc...)
			} else {
				b = l.appendLabelValue(b, f)
			}
			b = l.endPart(b, f)
		}
	}
	return b
}

// appendLabelKey appends the key of a label. It does not show content either.
func (l *line) appendLabelKey(b []byte, k *key) []byte {
	if len(l.secrets) > 0 {
		if name := l.clean(k.name); name != k.name {
			return l.appendLabelNamed(b, labelOf(name))
		}
	}
	return append(b, l.label(k.label, k.labelHash, k.quotedLabel)...)
}

func (l *line) appendLabelNamed(b []byte, name string) []byte {
	return append(b, l.label(name, l.h.core.keys.hash(name), quotedKey("labels.", name))...)
}

// appendContent appends the labels that stand for content.
func (l *line) appendContent(b []byte, f *field) []byte {
	if l.full(b) {
		return b
	}
	name := labelOf(l.clean(f.key.name))
	b = l.appendLabelNamed(b, name+"_bytes")
	b = l.appendLabelValue(b, f)
	if f.more != nil {
		b = l.appendLabelNamed(b, name+"_hmac")
		b = appendString(b, f.more.hash)
	}
	return l.endPart(b, f)
}

// appendOwnLabels appends what is to be said of the line itself, and takes away its
// last parts if it is too long.
func (l *line) appendOwnLabels(b []byte, suppressed uint64, end int) []byte {
	meta := l.meta[:0]
	meta = appendNames(meta, labelNonfinite, l.nonfinite)
	meta = appendNames(meta, labelTruncated, l.truncated)
	if suppressed > 0 {
		meta = appendCount(meta, labelSuppressed, suppressed)
	}
	room := l.lineLimit + 1 - len(meta) - end // the end of line before it counts for nothing
	if len(b) > room || l.dropped > 0 {
		const label = len(`,"labels.dropped_fields":"18446744073709551615"`)
		n := len(l.ends)
		for n > 0 && l.ends[n-1] > room-label {
			n--
		}
		l.dropped += uint64(len(l.ends) - n)
		if n < len(l.ends) {
			b = b[:l.start(n)]
		}
		meta = appendCount(meta, labelDropped, l.dropped)
	}
	l.meta = meta
	return append(b, meta...)
}

// start returns where a part begins.
func (l *line) start(part int) int {
	if part == 0 {
		return l.head
	}
	return l.ends[part-1]
}

// maxNames bounds the text of a list of names.
const maxNames = 512

// appendName appends a name to a list, or a mark if the list is full.
func (l *line) appendName(list []byte, name string) []byte {
	const full = ",…"
	if bytes.HasSuffix(list, []byte(full)) {
		return list
	}
	from := len(list)
	if from > 0 {
		list = append(list, ',')
	}
	name, _ = cutText(l.clean(name), maxNameBytes)
	if list = appendEscaped(list, name); len(list) > maxNames {
		list = append(list[:from], full...)
	}
	return list
}

// appendNames appends a label that is a list of names.
func appendNames(b []byte, label string, names []byte) []byte {
	if len(names) == 0 {
		return b
	}
	b = append(b, `,"labels.`...)
	b = append(b, label...)
	b = append(b, `":"`...)
	b = append(b, names...)
	return append(b, '"')
}
