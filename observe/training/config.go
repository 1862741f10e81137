package training

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
	"unicode/utf8"
)

// Config configures a Recorder.
type Config struct {
	// Run names the run: the label "run" of its metrics, the name of its history.
	// At most 128 bytes of A-Z a-z 0-9 . _ -. Required.
	Run string

	// Rank is the number of this process among World. Only rank 0 keeps the ledger
	// and watches trends and stragglers. Defaults to 0.
	Rank int
	// World is how many processes train together. Defaults to 1.
	World int
	// Devices is how many accelerators stand behind Step.Tokens. Defaults to World.
	Devices int

	// FLOPsPerToken is the model FLOPs of training on one token, such as
	// Transformer.FLOPsPerToken. Defaults to 0: no MFU.
	FLOPsPerToken float64
	// PeakFLOPS is the peak of one device, in FLOP/s, such as [PeakFLOPS] says.
	// Defaults to 0: no MFU.
	PeakFLOPS float64

	// Sinks keep the history. Their names differ. Defaults to none.
	Sinks []Sink
	// QueueSize is how many records wait for a sink that is slow, about 200 bytes
	// each, histograms up to 8 kB; further ones are dropped and counted. At most 1,048,576. Defaults to
	// 4096.
	QueueSize int
	// FlushEvery is how often sinks are told to flush. Defaults to 10 s.
	FlushEvery time.Duration

	// LedgerPath is the file that carries the account of time over a restart; keep
	// it beside the checkpoints. Defaults to "": the account ends with the process.
	LedgerPath string
	// LedgerEvery is how often the file is written at least. It bounds the error of
	// a crash: the time since is unknown. Defaults to 10 s.
	LedgerEvery time.Duration

	// Spike watches loss and gradient norm, each with its own copy.
	Spike Spike
	// Trend watches the loss for divergence and plateaus.
	Trend Trend
	// Hang watches how long phases take.
	Hang Hang
	// Straggler watches the times given to Recorder.RankTimes.
	Straggler Straggler

	// OnEvent is told of every event, on the goroutine that found it: that of the
	// method called, or one of Run's. Calls may be concurrent. It may call the
	// Recorder. A panic in it is caught and counted. Defaults to none.
	OnEvent func(Event)
	// Logger gets events and the failures of sinks. Defaults to silence.
	Logger *slog.Logger
}

// ledgerName is the ledger file's name among the sinks.
const ledgerName = "ledger"

// maxQueue bounds Config.QueueSize: some 200 MB a sink, without histograms.
const maxQueue = 1 << 20

// withDefaults returns the Config that is in force, or all of its faults.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.World, 1)
	setDefault(&c.Devices, c.World)
	setDefault(&c.QueueSize, 4096)
	setDefault(&c.FlushEvery, 10*time.Second)
	setDefault(&c.LedgerEvery, 10*time.Second)

	var faults []error
	fault := func(bad bool, field string, value any, want string) {
		if bad {
			faults = append(faults, fmt.Errorf("training: Config.%s is %v: %s", field, value, want))
		}
	}
	fault(!validRun(c.Run), "Run", fmt.Sprintf("%.140q", c.Run), "want 1 to 128 bytes of A-Z a-z 0-9 . _ -")
	fault(c.World < 1, "World", c.World, "want at least 1")
	fault(c.Rank < 0 || c.World >= 1 && c.Rank >= c.World, "Rank", c.Rank, fmt.Sprintf("want 0 to World-1, World is %d", c.World))
	fault(c.Devices < 1, "Devices", c.Devices, "want at least 1")
	fault(!validFLOPs(c.FLOPsPerToken), "FLOPsPerToken", c.FLOPsPerToken, "want a finite number from 0 up")
	fault(!validFLOPs(c.PeakFLOPS), "PeakFLOPS", c.PeakFLOPS, "want a finite number from 0 up")
	fault(c.QueueSize < 0 || c.QueueSize > maxQueue, "QueueSize", c.QueueSize, fmt.Sprintf("want 1 to %d", maxQueue))
	fault(c.FlushEvery < 0, "FlushEvery", c.FlushEvery, "want a positive duration")
	fault(c.LedgerEvery < 0, "LedgerEvery", c.LedgerEvery, "want a positive duration")
	fault(c.LedgerPath != "" && c.Rank > 0, "LedgerPath", fmt.Sprintf("%q", c.LedgerPath), "only rank 0 keeps a ledger")
	names := map[string]bool{}
	for i, s := range c.Sinks {
		if s == nil {
			fault(true, "Sinks", fmt.Sprintf("nil at %d", i), "want sinks")
			continue
		}
		name := s.Name()
		fault(names[name], "Sinks", fmt.Sprintf("%q twice", name), "want names that differ")
		fault(name == "" || name == ledgerName || !utf8.ValidString(name), "Sinks", fmt.Sprintf("%.140q", name), "want a name of UTF-8, and not the ledger's")
		names[name] = true
	}
	faults = append(faults, c.Spike.faults("training: Config.Spike")...)
	faults = append(faults, c.Trend.faults("training: Config.Trend")...)
	faults = append(faults, c.Hang.faults("training: Config.Hang")...)
	faults = append(faults, c.Straggler.faults("training: Config.Straggler")...)
	return c, errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

func validFLOPs(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

func validRun(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 128
}
