// Package calm is the map of an SDK for operating language models from inside
// your own program: inference servers, gateways and training jobs. It holds
// nothing but this page. Import the packages below it, one or all.
//
// # The loop
//
// calm closes one loop, in process:
//
//	measure -> decide -> act -> account
//
//	requests, steps, devices        decisions                         actions
//	observe  gpu  health     ->     scheduler  rollout  autoscale  ->  your handlers, your workers, your cluster
//	(what is true now)              (pure functions of now + state)    (adapters, behind small interfaces)
//
// Measure: what is true now, for each request, each training step and each
// device. Decide: a pure function of the time, the state and the new facts; the
// decision says why it is what it is. Act: through an interface of one to three
// methods that your program or an adapter implements. Account: every event ends
// in exactly one outcome, and what is not recorded is counted as lost.
//
// # The packages
//
//	observe    what requests to a language model cost in time and tokens, how each
//	           one really ended, and what is in flight; bounded in memory and labels
//
// Below it are the other things to observe:
//
//	observe/training    steps, MFU, goodput over restarts; spikes, NaN, hangs, stragglers
//	observe/quality     accuracy, calibration, BLEU, drift; what answers are like
//	observe/resource    CPU, memory, true cgroup limits, throttling, pressure
//	observe/ecslog      an slog.Handler whose lines Elasticsearch never refuses
//	observe/cost        what operating costs, by request, token and tenant
//	observe/dashboards  Grafana dashboards, Prometheus rules, and their linter
//
// Their adapters carry the dependencies, so that the package itself needs only the
// standard library:
//
//	observe/observeprom    Prometheus collectors
//	observe/observeotel    OpenTelemetry metrics and spans, by the GenAI conventions
//	observe/observelive    an http.Handler with plots of everything registered
//	observe/observegrpc    interceptors for gRPC servers (a module of its own)
//	observe/observetest    a conformance suite for a Sink of your own
//	observe/training/tfevents, observe/training/mlflow    histories of training
//
// Planned, and not here yet, are rollout (versions compared while they serve),
// scheduler (who runs next), autoscale (how many replicas), gpu (devices and
// their faults) and health (checks, alarms, incidents, repair).
//
// # How packages are joined
//
// The packages do not know each other; your main function does. Facts leave a
// package through func fields that may be nil, called synchronously with a
// struct by value, as in net/http/httptrace:
//
//	rec, err := observe.New(observe.Config{
//		OnRequest: func(r observe.RequestStats) { log.Info("request", "stats", r) },
//	})
//	http.Handle("/v1/", rec.Middleware(model))
//
// What a package needs from outside is a small interface, defined where it is
// used: a Sink of observe is two methods that you can write yourself.
//
// # What holds in every package
//
//   - A constructor takes one Config and returns all of its faults at once. The
//     zero value of a field is its documented default, or the field is required.
//   - No package starts a goroutine, registers a metric in a default registry, or
//     logs to a global logger by itself.
//   - Recording an event does not fail and does not block. A nil receiver does
//     nothing, so that measuring can be switched off by leaving it out.
//   - What a client can make grow (labels, queues, buffers) has a documented bound.
//   - Errors are values to compare with errors.Is. A panic of your callback is
//     caught and counted.
//   - Units are in the type (time.Duration) or in the name (MemoryUsedBytes,
//     UtilizationRatio); metrics are in seconds, bytes and ratios from 0 to 1.
//
// # Where to begin
//
//	go run ./examples/quickstart
//
// trains a small language model, serves it behind an OpenAI-compatible API, sends
// it requests and shows on a live page what is measured. README.md
// has the shortest program of your own; the documentation of each package has its
// concepts with their formulas, its costs and its limitations.
//
// # Modules
//
// An adapter whose dependencies not everybody wants is a module of its own, below
// the package that it belongs to. The root module requires the Prometheus client
// and the OpenTelemetry API; packages that do not import them do not link them.
package calm
