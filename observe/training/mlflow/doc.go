// Package mlflow writes the history of a training run to an MLflow server, over
// its REST API and net/http alone. No point is lost by a server that is down,
// slow, or fails in the middle, and none is there twice in MLflow's SQL stores.
//
//	sink, err := mlflow.New(mlflow.Config{
//		URL:        "https://mlflow.example.com",
//		Experiment: "pretraining",
//		Params:     map[string]string{"batch_size": "1024"},
//	})
//	rec, err := training.New(training.Config{Run: "r7", Sinks: []training.Sink{sink}})
//
// New sends nothing. The first record finds or creates the experiment and the run.
// To continue a run after a restart, keep [Sink.RunID] beside the checkpoints and
// give it back as [Config.RunID].
//
// Requests are authenticated by the RoundTripper of [Config.Client], or by a user
// and password in the URL.
//
// # What is sent
//
//   - Values of a step and scalars are metrics under their tags, such as
//     train/loss, with the time in milliseconds and the step.
//   - Params and tags of the Config, and the tags calm.run, calm.rank and
//     calm.world.
//   - calm.checkpoint is the newest checkpoint.
//   - calm.resume.<n> is the first step of a process that goes on, calm.rollback.<n>
//     the next step after a rollback and its cause, calm.event.<n> an event in
//     words. <n> is the time in Unix milliseconds, or the next number that is free:
//     tags of a run that is continued do not replace one another.
//   - The account of a session's time, at its end, as metrics goodput/ratio (0..1),
//     goodput/elapsed_seconds, goodput/productive_seconds,
//     goodput/badput_seconds/<cause>, goodput/interruptions and goodput/rollbacks.
//   - The status: RUNNING, then FINISHED with the time of the session's summary, or
//     KILLED if the sink is closed without one. FAILED is left to who knows.
//   - calm.created is a random text, by which a run is found again whose creation
//     was not answered.
//
// Histograms are not sent: MLflow has no place for them.
//
// # Batches
//
// Metrics wait for [Config.BatchEvery] or [Config.BatchMetrics], a Flush or Close.
// A request stays within all limits of log-batch: 1 MB, 1000 items, 1000 metrics,
// 100 params, 100 tags. Keys keep letters, digits and "_./- "; other characters
// become "_", and the path is made clean, so two tags may become one key. Keys are
// cut at 250 bytes, params at 6000, tags at 5000, and [Stats].Truncated counts
// that. At most 1000 events, and as many resumes and rollbacks, become tags.
//
// # Errors
//
// A request is tried once a call. What becomes of it depends on what is known:
//
//   - Not taken: it was not sent, or answered with 429. It is an error, and the
//     Recorder tries again.
//   - Ambiguous: no answer, one that is not MLflow's, 408, or 5xx. The server may
//     have taken all of it, or a part. The same bytes are sent again, with the same
//     times: SQL stores drop what they have, others draw the same point twice. With
//     [Drop] it is given up instead.
//   - Refused: 3xx or any other 4xx. It is given up, counted in [Stats].Dropped,
//     and the error wraps [training.ErrDropped] and names the server's error_code.
//     A batch that holds NaN or infinities, sent as "NaN", "Infinity" and
//     "-Infinity", is sent once more without them after a 400 or 422.
//
// Retry-After is heeded, up to a minute: until then a call returns an error and
// sends nothing. Params travel apart from all else, since a server refuses another
// value for a param that it has.
//
// # Concurrency
//
// A Recorder calls Write, Flush and Close from one goroutine; RunID and Stats may
// be called from any. A Sink starts no goroutine. A server that hangs costs
// [Config.Timeout] a request, a third of that a try in Close, and never holds up a
// step of training.
//
// # Cost
//
// What is not sent is at most two requests, 2 MB; more waits in the Recorder's
// queue, which counts what it drops. A metric costs about 75 bytes on the wire and
// allocates nothing; a request allocates its body, once.
//
// # Limitations
//
//   - MLflow has no purge: the points from before a rollback or a resume stay in
//     the curves. The tags say where to look.
//   - Each rank that has a Sink has a run. Give it to rank 0, unless that is wanted.
//   - Points of the same key, step, millisecond and value are one point in SQL
//     stores.
//   - A server that answers 5xx to one batch for ever holds up all after it: that
//     it is the batch's fault cannot be told from here.
//   - SQL stores of some versions of MLflow answer 400 to a batch sent again that
//     holds a NaN they already have (mlflow#24612), or more than 100 keys
//     (mlflow#20807). The values are there, but counted as NonFinite or Dropped.
//   - SQL stores keep infinities as the largest finite number.
//   - A run whose last requests fail stays RUNNING.
//
// # Sources
//
// MLflow's REST API documentation; mlflow/utils/validation.py for limits and names,
// mlflow/server/handlers.py for answers, mlflow/store/tracking/sqlalchemy_store.py
// for duplicates, each as of 2026; the canonical JSON of protobuf for numbers.
package mlflow
