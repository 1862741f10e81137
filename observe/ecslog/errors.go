package ecslog

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// maxUnwraps bounds a walk along a chain of errors, which may be a ring.
const maxUnwraps = 100

// panicked is what stands for a value whose method panicked. What it panicked with
// is not written: it may hold anything.
func panicked(method string, v any) string {
	return "!PANIC in " + method + " of " + reflect.TypeOf(v).String()
}

// errorText returns the text of an error, or false if that panics.
func errorText(err error) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = panicked("Error", err), false
		}
	}()
	return err.Error(), true
}

// errorType returns the dynamic type of the first error in a chain that is no
// wrapper of fmt or errors.
func errorType(err error) (name string) {
	defer func() {
		if recover() != nil { // in Unwrap
			name = reflect.TypeOf(err).String()
		}
	}()
	for range maxUnwraps {
		next := error(nil)
		switch reflect.TypeOf(err).String() {
		case "*fmt.wrapError":
			next = errors.Unwrap(err)
		case "*fmt.wrapErrors", "*errors.joinError":
			for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
				if e != nil {
					next = e
					break
				}
			}
		}
		if next == nil {
			break
		}
		err = next
	}
	return reflect.TypeOf(err).String()
}

// errorStack returns what an error of the chain knows of its stack, or the stack of
// the logging call.
func errorStack(err error) (stack string) {
	defer func() {
		if recover() != nil {
			stack = panicked("Format", err)
		}
	}()
	for e, n := err, 0; e != nil && n < maxUnwraps; e, n = errors.Unwrap(e), n+1 {
		if _, ok := e.(fmt.Formatter); ok {
			return fmt.Sprintf("%+v", e)
		}
	}
	return callStack()
}

// callStack returns the stack from the logging call outwards.
func callStack() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	var b strings.Builder
	for more, inside := true, true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if inside = inside && ofLogging(f.Function); inside || f.Function == "" {
			continue
		}
		b.WriteString(f.Function)
		b.WriteString("\n\t")
		b.WriteString(f.File)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(f.Line))
		b.WriteByte('\n')
	}
	return b.String()
}

func ofLogging(function string) bool {
	const here = "github.com/calmops/calm/observe/ecslog."
	return strings.HasPrefix(function, "log/slog.") ||
		strings.HasPrefix(function, here+"(*") || function == here+"errorStack"
}

// expandError writes the first error of the line as the fields of the schema. The
// others, and one whose fields are given one by one, become labels.
func (l *line) expandError() {
	found := false
	for i := range l.fields {
		f := &l.fields[i]
		if f.place != placeError {
			continue
		}
		if found || !f.key.forError || l.has(l.h.core.names.errorMessage) {
			l.move(f, placeLabel)
			continue
		}
		found = true
		f.place = placeNone
		l.expand(f.value, f.more.err)
	}
}

// expand appends the fields of an error.
func (l *line) expand(text slog.Value, err error) {
	names := &l.h.core.names
	l.insert(names.errorMessage, text)
	if !l.has(names.errorType) {
		l.insert(names.errorType, slog.StringValue(errorType(err)))
	}
	if l.h.core.cfg.ErrorStack && !l.has(names.errorStack) {
		l.insert(names.errorStack, slog.StringValue(errorStack(err)))
	}
}
