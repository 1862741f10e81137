package observelive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Errors of this package, for errors.Is.
var (
	// ErrRunning is returned by Run when another Run of the same Live has not ended.
	ErrRunning = errors.New("observelive: already running")
	// ErrUnauthorized is for the caller's Config.Auth: returned (or wrapped) there, the page
	// answers 401 with a Basic challenge. Any other error answers 403.
	ErrUnauthorized = errors.New("observelive: unauthorized")
)

// Limits of the fields of Config.
const (
	minEvery     = 200 * time.Millisecond
	maxEvery     = 10 * time.Minute
	maxPoints    = 20000 // Keep/Every, and KeepCoarse/minute
	minSeries    = 16
	maxSeries    = 100000
	maxFamilies  = 10000
	maxMarks     = 200
	coarsePeriod = time.Minute
)

// Config configures a Live. Only Gatherer is required.
type Config struct {
	// Gatherer is what the page shows: a *prometheus.Registry, prometheus.DefaultGatherer, or
	// prometheus.Gatherers for several. Required.
	Gatherer prometheus.Gatherer
	// Every is the time from one sample to the next, 200 ms to 10 min. Defaults to 2 s.
	Every time.Duration
	// Keep is how far the fine curves reach back: one point a sample, at least two and at most
	// 20,000 points. Defaults to 30 min.
	Keep time.Duration
	// KeepCoarse is how far the coarse curves reach back: one point a minute (mean and maximum),
	// 2 min to 20,000 min. Defaults to 6 h.
	KeepCoarse time.Duration
	// MaxSeries bounds the plotted curves, 16 to 100,000: a counter or gauge is one, a histogram
	// four (p50, p90, p99, rate). What comes later is summed into the curve "other" of its family.
	// Defaults to 2000.
	MaxSeries int
	// MaxFamilies bounds the metric families, 1 to 10,000. Later ones are dropped and counted in
	// Stats.Dropped. Defaults to 500.
	MaxFamilies int
	// Auth decides on each request before anything is served: nil lets it pass, an error that is
	// ErrUnauthorized answers 401, any other 403; a panic answers 403. It is called concurrently.
	// Defaults to loopback only: the peer's address and the Host header must both be loopback
	// (the second against DNS rebinding), and the request must not come through a proxy.
	Auth func(*http.Request) error
	// Marks returns what happened since a time (incidents, transitions, deploys), to be drawn over
	// the charts. It is called concurrently, once a data request, with the time of the oldest curve
	// that may be kept; a panic counts as no marks. The newest 200 are shown. Defaults to none.
	Marks func(since time.Time) []Mark
	// Title is the heading of the page. Defaults to "live".
	Title string
	// Panels are charts of the caller's own metrics, shown before the fallback charts. A family
	// with a panel has no fallback chart. Defaults to none.
	Panels []Panel
	// Logger reports gather errors when they begin and end, at Warn. Defaults to silence.
	Logger *slog.Logger
}

// A Mark is one thing that happened: a tick on every chart, or a band if it has an end.
type Mark struct {
	// At is when it began. Marks with the zero time are not shown.
	At time.Time
	// End is when it ended; zero draws a tick at At instead of a band.
	End time.Time
	// Title is one line, cut at 128 bytes.
	Title string
	// Detail is more text for the list below the charts, cut at 512 bytes. May be empty.
	Detail string
	// Severity picks the colour: "critical" and "error" red, "warning" amber, all else neutral.
	Severity string
	// Kind is the caller's word for what it is, such as "incident" or "deploy". May be empty.
	Kind string
}

// A Kind is a form of chart.
type Kind string

// The forms of a chart.
const (
	// KindLine draws one line a curve. The default.
	KindLine Kind = "line"
	// KindStep draws lines that hold their value until the next point: replicas, weights.
	KindStep Kind = "step"
	// KindStack stacks filled areas: parts of a whole.
	KindStack Kind = "stack"
)

// A Panel is one chart of the caller's own.
type Panel struct {
	// Title stands above the chart. Defaults to the metric's name in words.
	Title string
	// Group is the section of the page. Defaults to the first word of the metric's name.
	Group string
	// Metric is the family's full name. Required.
	Metric string
	// Kind is the form of the chart. Defaults to KindLine.
	Kind Kind
	// By are the label names to keep; series that agree in them become one curve: counters and
	// histograms are added, gauges too, except that names ending in _ratio take the mean and those
	// ending in _seconds or _celsius the maximum. Defaults to none: one curve for the family.
	By []string
	// Top is how many curves are shown before "more" is asked for, by last value; 0 to 100.
	// Defaults to 8.
	Top int
}

// Stats says what a Live holds and what its last sample cost.
type Stats struct {
	// Families is how many metric families are held, up to Config.MaxFamilies.
	Families int
	// Series is how many curves are plotted, up to Config.MaxSeries.
	Series int
	// Dropped is how many families and series the last sample left out or summed into "other".
	Dropped int
	// Samples is how many samples were taken since New.
	Samples uint64
	// GatherErrors is how many samples came with an error.
	GatherErrors uint64
	// Bytes is the memory held for curves, bucket windows and series, in bytes.
	Bytes int64
	// GatherDuration is what Gather took in the last sample.
	GatherDuration time.Duration
	// DeriveDuration is what the page's own part took in the last sample.
	DeriveDuration time.Duration
	// At is the time of the last sample; zero before the first.
	At time.Time
}

// Live samples a Gatherer and serves the page. Make one with New, run Run, mount it as an
// http.Handler. All methods may be called concurrently.
type Live struct {
	cfg     Config
	assets  *assets
	running atomic.Bool
	slots   chan struct{} // data requests under way

	mu    sync.RWMutex // guards what follows
	table *table
	clock clock
	stats Stats
	fault string // the last sample's error, as shown
}

// New checks the Config and returns a Live that holds nothing yet. It starts no goroutine: call
// Run to sample. The error joins every fault of the Config.
func New(cfg Config) (*Live, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	assets, err := newAssets(cfg.Title)
	if err != nil {
		return nil, err
	}
	return &Live{
		cfg:    cfg,
		assets: assets,
		slots:  make(chan struct{}, maxDataRequests),
		table:  newTable(cfg),
	}, nil
}

// complete fills in the defaults and returns every fault.
func (c *Config) complete() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("observelive: Config."+format, args...))
	}
	def := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	def(&c.Every, 2*time.Second)
	def(&c.Keep, 30*time.Minute)
	def(&c.KeepCoarse, 6*time.Hour)
	if c.MaxSeries == 0 {
		c.MaxSeries = 2000
	}
	if c.MaxFamilies == 0 {
		c.MaxFamilies = 500
	}
	if c.Title == "" {
		c.Title = "live"
	}
	if c.Gatherer == nil {
		bad("Gatherer is required, got nil")
	}
	if c.Every < minEvery || c.Every > maxEvery {
		bad("Every must be in [%v, %v], got %v", minEvery, maxEvery, c.Every)
	} else if c.Keep < 2*c.Every || c.Keep/c.Every > maxPoints {
		bad("Keep must be in [2, %d] times Every (%v), got %v", maxPoints, c.Every, c.Keep)
	}
	if c.KeepCoarse < 2*coarsePeriod || c.KeepCoarse/coarsePeriod > maxPoints {
		bad("KeepCoarse must be in [2m, %dm], got %v", maxPoints, c.KeepCoarse)
	}
	if c.MaxSeries < minSeries || c.MaxSeries > maxSeries {
		bad("MaxSeries must be in [%d, %d], got %d", minSeries, maxSeries, c.MaxSeries)
	}
	if c.MaxFamilies < 1 || c.MaxFamilies > maxFamilies {
		bad("MaxFamilies must be in [1, %d], got %d", maxFamilies, c.MaxFamilies)
	}
	for i, p := range c.Panels {
		if p.Metric == "" {
			bad("Panels[%d].Metric is required, got %q", i, p.Metric)
		}
		switch p.Kind {
		case "", KindLine, KindStep, KindStack:
		default:
			bad("Panels[%d].Kind must be %q, %q or %q, got %q", i, KindLine, KindStep, KindStack, p.Kind)
		}
		if p.Top < 0 || p.Top > 100 {
			bad("Panels[%d].Top must be in [0, 100], got %d", i, p.Top)
		}
	}
	return errors.Join(errs...)
}

// Run samples every Config.Every until ctx ends, the first time at once, and then returns nil. A
// second Run while one is under way returns ErrRunning. Run may be called again after it returned;
// the curves go on after a gap.
func (l *Live) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer l.running.Store(false)
	ticker := time.NewTicker(l.cfg.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.sample()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// Stats returns what is held now. A nil Live returns the zero Stats.
func (l *Live) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.stats
}
