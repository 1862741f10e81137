package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// maxRetryAfter bounds how long a server can have us wait.
const maxRetryAfter = time.Minute

// api calls a server.
type api struct {
	base    string
	client  http.Client
	timeout time.Duration
}

// verdict says what is known about a request that failed.
type verdict uint8

const (
	notTaken  verdict = iota // not sent, or sent back: it had no effect
	ambiguous                // it may have had an effect
	refused                  // the server will not take it
)

// callError is why a request failed.
type callError struct {
	path       string
	verdict    verdict
	status     int           // of the answer; 0 is none
	code       string        // error_code of the answer
	message    string        // of the answer, or about it
	retryAfter time.Duration // how long the server wants us to wait
	err        error         // without an answer
}

func (e *callError) Error() string {
	if e.err != nil {
		return fmt.Sprintf("mlflow: %s: %v", e.path, e.err)
	}
	text := fmt.Sprintf("mlflow: %s: status %d", e.path, e.status)
	if e.code != "" {
		text += " " + e.code
	}
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

func (e *callError) Unwrap() error { return e.err }

// post sends a request and reads the answer into one of JSON, if it is not nil.
func (a *api) post(ctx context.Context, path string, request, answer any) error {
	b, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("mlflow: %s: %w", path, err)
	}
	return a.call(ctx, http.MethodPost, path, b, answer)
}

// call sends a request. Its error is a *callError.
func (a *api) call(ctx context.Context, method, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	name, _, _ := strings.Cut(path, "?")
	request, err := http.NewRequestWithContext(ctx, method, a.base+"/api/2.0/mlflow/"+path, nil)
	if err != nil {
		return &callError{path: name, verdict: refused, err: err}
	}
	var sent atomic.Bool
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
		request.ContentLength = int64(len(body))
		// A transport asks for the body again where nothing of it was taken.
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(sentBody{bytes.NewReader(body), &sent}), nil }
		request.Body, _ = request.GetBody()
	}
	request.Header.Set("Accept", "application/json")

	response, err := a.client.Do(request)
	if err != nil {
		v := notTaken
		if sent.Load() {
			v = ambiguous
		}
		return &callError{path: name, verdict: v, err: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if response.StatusCode/100 != 2 {
		return answerError(name, response, text)
	}
	if answer == nil {
		answer = &struct{}{}
	}
	switch {
	case err != nil:
		return &callError{path: name, verdict: ambiguous, err: err}
	case len(text) > maxAnswer:
		return &callError{path: name, verdict: ambiguous, status: response.StatusCode, message: "the answer has more than 1 MiB"}
	case len(bytes.TrimSpace(text)) > 0 && json.Unmarshal(text, answer) != nil:
		return &callError{path: name, verdict: ambiguous, status: response.StatusCode, message: fmt.Sprintf("the answer is not what MLflow sends: %.80q", text)}
	}
	return nil
}

// sentBody knows whether a transport has begun to send it. One that copies a body
// before it dials seems to have sent it, which is the safe error.
type sentBody struct {
	*bytes.Reader
	read *atomic.Bool
}

// Read implements io.Reader.
func (b sentBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.Reader.Read(p)
}

// WriteTo implements io.WriterTo.
func (b sentBody) WriteTo(w io.Writer) (int64, error) {
	b.read.Store(true)
	return b.Reader.WriteTo(w)
}

func answerError(path string, response *http.Response, text []byte) *callError {
	e := &callError{path: path, verdict: refused, status: response.StatusCode, retryAfter: retryAfter(response.Header.Get("Retry-After"))}
	switch s := response.StatusCode; {
	case s == http.StatusTooManyRequests:
		e.verdict = notTaken
	case s >= 500, s == http.StatusRequestTimeout:
		e.verdict = ambiguous
	case s/100 == 3:
		e.message = fmt.Sprintf("it is elsewhere, at %.200q: set Config.URL to that", response.Header.Get("Location"))
		return e
	}
	var answer struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &answer) == nil {
		e.code, _ = plainText(answer.Code, 64)
		e.message, _ = plainText(answer.Message, 300)
	} else {
		e.message = fmt.Sprintf("%.80q", text)
	}
	return e
}

// retryAfter reads the header of that name, of seconds or a date.
func retryAfter(text string) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), maxRetryAfter)
}

// isRefused reports whether a server will not take what it was sent.
func isRefused(err error) bool {
	e, ok := errors.AsType[*callError](err)
	return ok && e.verdict == refused
}
