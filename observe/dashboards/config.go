package dashboards

import "strings"

// Config configures dashboards. The zero value is valid.
type Config struct {
	// Title is what the titles of the dashboards begin with, before " / Serving".
	// Defaults to "calm".
	Title string

	// UID is what their identifiers in Grafana begin with, before "-serving".
	// Letters, digits, - and _ are kept, anything else becomes -, and only the first
	// 24 bytes count. Defaults to "calm".
	UID string

	// Job is the job that is selected when a dashboard is opened. Defaults to all
	// jobs.
	Job string

	// Models are those that are selected when the serving dashboard is opened.
	// Defaults to all models.
	Models []string

	// Links stand at the top of each dashboard, beside the one to the other
	// dashboards. Defaults to none.
	Links []Link

	// Native reads native histograms. Prometheus 2 keeps only the native form of a
	// histogram that has both, so queries of the classic form find nothing there, and
	// the other way round. Defaults to false: classic histograms.
	Native bool
}

// Link is a link at the top of a dashboard.
type Link struct {
	Title string // Defaults to the URL.
	URL   string // where it leads; opened in a tab of its own
}

// Serving returns the dashboard of model servers: traffic, latency, tokens, what is
// in flight, what the measurement itself lost, and the error budget.
func Serving(cfg Config) Dashboard { return newDashboard(cfg, servingBoard(histograms(cfg.Native))) }

// Training returns the dashboard of training runs: curves, the account of time,
// what the detectors found, and the quality of models.
func Training(cfg Config) Dashboard { return newDashboard(cfg, trainingBoard(histograms(cfg.Native))) }

// Operations returns the dashboard of what everything runs on and costs: CPU, memory
// and pressure against their limits, log lines, and cost.
func Operations(cfg Config) Dashboard { return newDashboard(cfg, operationsBoard()) }

// All returns every dashboard.
func All(cfg Config) []Dashboard {
	return []Dashboard{Serving(cfg), Training(cfg), Operations(cfg)}
}

// uid makes an identifier of a prefix and a name; Grafana takes up to 40 bytes.
func uid(prefix, name string) string {
	if len(prefix) > 24 {
		prefix = prefix[:24]
	}
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && (letter(byte(r)) || digit(byte(r))) {
			return r
		}
		return '-'
	}, prefix)
	return clean + "-" + name
}
