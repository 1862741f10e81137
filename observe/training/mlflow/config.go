package mlflow

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config configures a Sink.
type Config struct {
	// URL is the address of the server, such as "https://mlflow.example.com"; a path
	// in it stands before "/api/2.0/mlflow". Required.
	URL string
	// Client sends the requests; its RoundTripper authenticates them. It is copied,
	// and the copy follows no redirect. Defaults to a plain client.
	Client *http.Client
	// Timeout bounds each request, and the whole of Close. Defaults to 10 s.
	Timeout time.Duration

	// RunID is a run to continue. It is set to RUNNING again. Defaults to "": a run
	// is created.
	RunID string
	// ExperimentID is the experiment of a run that is created. Defaults to that of
	// Experiment.
	ExperimentID string
	// Experiment is its name; it is created if it is not there. At most 500 bytes.
	// Defaults to "", the server's default experiment, "0".
	Experiment string
	// RunName names a run that is created, at most 250 bytes. Defaults to the
	// Recorder's Config.Run, and "-rank" and the rank where that is above 0.
	RunName string

	// Params are logged once. A server refuses another value for a param of a run
	// that is continued. Keys are 1 to 250 bytes, values are cut at 6000.
	Params map[string]string
	// Tags are set once, after calm.run, calm.rank and calm.world. Keys are 1 to
	// 250 bytes, values are cut at 5000.
	Tags map[string]string

	// OnAmbiguous is what becomes of a batch that the server may have taken, as far
	// as can be told. Defaults to Resend.
	OnAmbiguous OnAmbiguous
	// BatchEvery is how long metrics wait for others to be sent with them, if there
	// is no Flush before. Defaults to 5 s.
	BatchEvery time.Duration
	// BatchMetrics is the number of metrics that are sent at once, 1 to 1000.
	// Defaults to 500.
	BatchMetrics int
}

// OnAmbiguous says what becomes of a batch if it was sent and there is no answer,
// or one that does not tell what was taken.
type OnAmbiguous uint8

const (
	// Resend sends the same bytes again until there is an answer. A store that
	// drops exact duplicates, as MLflow's SQL stores do, then holds each point once;
	// another may hold it twice, at the same place of the curve.
	Resend OnAmbiguous = iota
	// Drop gives the batch up, and counts it: no store holds a point twice.
	Drop
)

// The forms that a server accepts.
const (
	runIDPattern        = `^[a-zA-Z0-9][\w\-]{0,255}$`
	experimentIDPattern = `^[a-zA-Z0-9][\w\-]{0,63}$`
)

// withDefaults returns the Config that is in force, or all of its faults.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.BatchEvery, 5*time.Second)
	setDefault(&c.BatchMetrics, 500)

	var faults []error
	fault := func(bad bool, field string, value any, want string) {
		if bad {
			faults = append(faults, fmt.Errorf("mlflow: Config.%s is %v: %s", field, value, want))
		}
	}
	base, err := url.Parse(c.URL)
	bad := err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != ""
	fault(bad, "URL", redacted(c.URL, base), "want http or https, a host and at most a path")
	fault(c.Timeout < 0, "Timeout", c.Timeout, "want a positive duration")
	fault(c.BatchEvery < 0, "BatchEvery", c.BatchEvery, "want a positive duration")
	fault(c.BatchMetrics < 1 || c.BatchMetrics > maxMetrics, "BatchMetrics", c.BatchMetrics, "want 1 to 1000")
	fault(c.OnAmbiguous > Drop, "OnAmbiguous", c.OnAmbiguous, "want Resend or Drop")
	fault(c.RunID != "" && !regexp.MustCompile(runIDPattern).MatchString(c.RunID), "RunID", quoted(c.RunID), "want "+runIDPattern)
	fault(c.ExperimentID != "" && !regexp.MustCompile(experimentIDPattern).MatchString(c.ExperimentID), "ExperimentID", quoted(c.ExperimentID), "want "+experimentIDPattern)
	fault(len(c.Experiment) > 500, "Experiment", quoted(c.Experiment), "want at most 500 bytes")
	fault(len(c.RunName) > maxKey, "RunName", quoted(c.RunName), "want at most 250 bytes")
	fault(c.ExperimentID != "" && c.Experiment != "", "Experiment", quoted(c.Experiment), "want none beside an ExperimentID")
	fault(c.RunID != "" && (c.ExperimentID != "" || c.Experiment != "" || c.RunName != ""), "RunID", quoted(c.RunID),
		"want none of ExperimentID, Experiment and RunName beside it: they are for a run that is created")
	for _, m := range []struct {
		field  string
		values map[string]string
	}{{"Params", c.Params}, {"Tags", c.Tags}} {
		for _, key := range sortedKeys(m.values) {
			fault(key == "" || len(key) > maxKey, m.field, quoted(key), "want keys of 1 to 250 bytes")
		}
	}
	c.URL = strings.TrimRight(c.URL, "/")
	return c, errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// redacted returns an address for an error, without its password.
func redacted(text string, u *url.URL) string {
	if u != nil {
		text = u.Redacted()
	}
	return quoted(text)
}

func quoted(s string) string { return fmt.Sprintf("%.140q", s) }

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
