package observe

import (
	"strconv"
	"time"
)

// Outcome is how a request ended: one of nine words, each with one meaning.
// doc.go lists the rules in their order of precedence.
type Outcome uint8

// The outcomes. The zero value is OutcomeOK.
const (
	// OutcomeOK is a request that was answered. A client that leaves after the
	// terminal event of its stream changes nothing.
	OutcomeOK Outcome = iota
	// OutcomeClientError is a final status of 400 to 499.
	OutcomeClientError
	// OutcomeServerError is a final status of 500 to 599, or an error given to
	// [Request.End].
	OutcomeServerError
	// OutcomeClientDisconnect is a client that left before its answer was whole.
	// An error status that is sent only then (a proxy's 502, a handler's 499) is
	// not recorded: nobody saw it.
	OutcomeClientDisconnect
	// OutcomeTimeout is a deadline that passed before the answer was whole.
	OutcomeTimeout
	// OutcomeAborted is a handler that gave up with [net/http.ErrAbortHandler] or
	// [runtime.Goexit].
	OutcomeAborted
	// OutcomePanic is a handler that panicked with any other value.
	OutcomePanic
	// OutcomeStreamError is an error event inside a stream whose header said 2xx.
	OutcomeStreamError
	// OutcomeHijacked is a connection that the handler took over.
	OutcomeHijacked
)

// outcomeWords are the label values, by Outcome.
var outcomeWords = [...]string{
	OutcomeOK:               "ok",
	OutcomeClientError:      "client_error",
	OutcomeServerError:      "server_error",
	OutcomeClientDisconnect: "client_disconnect",
	OutcomeTimeout:          "timeout",
	OutcomeAborted:          "aborted",
	OutcomePanic:            "panic",
	OutcomeStreamError:      "stream_error",
	OutcomeHijacked:         "hijacked",
}

// String returns the word used as label value, such as "client_disconnect".
func (o Outcome) String() string {
	if int(o) < len(outcomeWords) {
		return outcomeWords[o]
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// ending is everything that decides an outcome, gathered at the end of a request.
type ending struct {
	panicked     bool // a panic value other than http.ErrAbortHandler
	aborted      bool // http.ErrAbortHandler or runtime.Goexit
	hijacked     bool
	streamError  bool // an error event after a 2xx header
	terminal     bool // the terminal event of the stream was seen
	cancelled    bool // the request context is cancelled, by its client or its server
	deadline     bool // the request context ran into its deadline
	writeFailed  bool // a Write or Flush failed, for a reason other than a deadline
	writeTimeout bool // a Write or Flush failed for a deadline
	unfinished   bool // nothing sent in time, a stream without its terminal event, or a short body
	status       int  // first final status; 0: none
}

// outcome applies the rules in their order; the first that holds wins.
func (e ending) outcome() Outcome {
	switch {
	case e.panicked:
		return OutcomePanic
	case e.hijacked:
		return OutcomeHijacked
	case e.streamError:
		return OutcomeStreamError
	case e.terminal:
		return OutcomeOK
	case e.writeFailed, e.cancelled && !e.writeTimeout && (e.unfinished || e.aborted):
		// net/http cancels the context of a request when a write deadline
		// passes, too: that is no client that left.
		return OutcomeClientDisconnect
	case e.aborted:
		return OutcomeAborted
	case e.writeTimeout, e.deadline && (e.unfinished || e.status >= 500):
		return OutcomeTimeout
	case e.status >= 500:
		return OutcomeServerError
	case e.status >= 400:
		return OutcomeClientError
	}
	return OutcomeOK
}

// errorType is the low-cardinality word of a failure: the status of an HTTP
// error, else the outcome. It is empty on success.
func errorType(o Outcome, status int) string {
	switch o {
	case OutcomeOK, OutcomeHijacked:
		return ""
	case OutcomeClientError, OutcomeServerError:
		if status >= 400 {
			return codeLabel(status)
		}
		return otherErrorType
	}
	return o.String()
}

// codeLabels are the label values of the codes 100 to 599, made once so that a
// request does not format its own.
var codeLabels = func() (t [600]string) {
	for c := 100; c < len(t); c++ {
		t[c] = strconv.Itoa(c)
	}
	return t
}()

// codeLabel is the label value of a status: "none" when nothing was sent,
// "other" outside 100 to 599.
func codeLabel(status int) string {
	switch {
	case status == 0:
		return "none"
	case status < 100 || status >= len(codeLabels):
		return "other"
	}
	return codeLabels[status]
}

// SLO holds the objectives of a service: the longest time that a good request
// takes. Zero is no objective.
type SLO struct {
	TTFT     time.Duration // time to first token
	TPOT     time.Duration // time per output token
	Duration time.Duration // whole request
}

// Attainment says which objectives a request met. Objectives that are not set,
// or that do not apply to the request, are SLONotCounted.
type Attainment struct {
	TTFT, TPOT, Duration SLOResult // by objective
}

// SLOResult is the result of one objective for one request.
type SLOResult uint8

// The results. Attainment over any window is met / (met + missed).
const (
	SLONotCounted SLOResult = iota // no objective, or one that this request says nothing about
	SLOMet
	SLOMissed
)

// String returns "met", "missed", or "" for a result that is not counted.
func (r SLOResult) String() string {
	switch r {
	case SLOMet:
		return "met"
	case SLOMissed:
		return "missed"
	}
	return ""
}

// judge compares a finished request with the objectives. tpot and hasTPOT are
// given beside the stats because RequestStats has a TPOT for outcome ok only.
func (o SLO) judge(s *RequestStats, tpot time.Duration, hasTPOT bool) (a Attainment) {
	if o == (SLO{}) {
		return a
	}
	switch s.Outcome {
	case OutcomeOK:
		a.TTFT = objective(o.TTFT, s.TTFT, s.Has(FieldTTFT))
		a.TPOT = objective(o.TPOT, tpot, hasTPOT)
		a.Duration = objective(o.Duration, s.Duration, true)
	case OutcomeServerError, OutcomePanic, OutcomeAborted, OutcomeTimeout, OutcomeStreamError:
		a.TTFT = objective(o.TTFT, 1<<63-1, true)
		a.TPOT = objective(o.TPOT, 1<<63-1, true)
		a.Duration = objective(o.Duration, 1<<63-1, true)
	case OutcomeClientDisconnect:
		// Only what was already too late when the client left is our fault. A
		// first token that never came is as late as the client was patient.
		ttft, waited := s.TTFT, s.Has(FieldTTFT)
		if !waited && (s.Stream || s.StatusCode == 0) {
			ttft, waited = s.Duration, true
		}
		a.TTFT = missedOnly(objective(o.TTFT, ttft, waited))
		a.TPOT = missedOnly(objective(o.TPOT, tpot, hasTPOT))
		a.Duration = missedOnly(objective(o.Duration, s.Duration, true))
	}
	return a
}

func objective(limit, got time.Duration, known bool) SLOResult {
	switch {
	case limit == 0 || !known:
		return SLONotCounted
	case got <= limit:
		return SLOMet
	}
	return SLOMissed
}

func missedOnly(r SLOResult) SLOResult {
	if r == SLOMissed {
		return r
	}
	return SLONotCounted
}
