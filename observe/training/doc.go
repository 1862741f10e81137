// Package training records what a training run does: its history for
// TensorBoard, its figures for Prometheus, an account of every second that
// survives restarts and rollbacks, and an event, with advice, when the loss is no
// number, spikes, diverges or stalls, when a step hangs or a rank lags.
//
// # Quick start
//
//	board, err := tfevents.New(tfevents.Config{Dir: "runs/7b"})
//	rec, err := training.New(training.Config{
//		Run:           "7b",
//		Devices:       8,
//		FLOPsPerToken: model.FLOPsPerToken(), // a training.Transformer
//		PeakFLOPS:     989e12,
//		Sinks:         []training.Sink{board},
//		LedgerPath:    "checkpoints/goodput.json",
//		OnEvent:       func(e training.Event) { ... },
//	})
//	go rec.Run(ctx)
//
//	rec.Resume(next) // only where a run is continued: the step after its checkpoint
//	rec.Checkpointed(next - 1)
//	rec.Enter(training.PhaseCheckpointRestore)
//	restore()
//	rec.Enter(training.PhaseStep)
//	for n := next; n <= last; n++ {
//		// ... one optimizer step ...
//		rec.Step(training.Step{N: n, Loss: loss, GradNorm: norm, Tokens: tokens})
//	}
//
// A Recorder is one process of a run. Its metrics are exported by
// observeprom.NewTraining and observeotel.RegisterTraining; [Metrics] is their
// table. The histories are written by sinks: package tfevents for TensorBoard,
// package mlflow, and [JSONLines].
//
// # Terms
//
//   - Step: one optimizer step; N is its number, the first is 1.
//   - Gradient norm: the global L2 norm before clipping. (Others log it after.)
//   - Loss: in nats per token, mean over the batch and all ranks.
//   - MFU, model FLOPs utilization: tokens a second x model FLOPs per token /
//     (devices x peak FLOP/s of a device). Recomputation is not counted (PaLM,
//     arXiv:2204.02311, appendix B). [Transformer] has the formula, and says which
//     parameters count.
//   - Goodput: time of steps that were not undone later / time elapsed. The
//     effective training time ratio, ETTR, is the same (arXiv:2410.21680,
//     arXiv:2509.16293).
//   - Badput: time that is not goodput, by [Cause].
//   - Interruption: the process stopped and another took over. MTBF is the time
//     elapsed over their number: say which ones are counted.
//   - Spike, divergence, plateau: a point far above its recent median, a rise that
//     lasts, no new best for long.
//   - Straggler score: median time of the ranks before the collective / this
//     rank's; 0.5 is twice as slow. Measured after the collective all ranks look
//     equally slow.
//
// # The account of time
//
// Each instant belongs to a phase, the last one until the process is gone: enter
// PhaseIdle when training is over. Time in PhaseStep is pending until Step ends it:
// its DataWait is badput, the rest productive. A rollback moves what was productive
// after the step returned to into CauseWasted. What is booked adds up to the time
// elapsed, to the nanosecond. The ledger file beside the checkpoint carries the
// account over a restart: if the process before did not close it, it was
// interrupted when the file was last written, at most LedgerEvery too early. What
// is exported is as of the last save for the same reason: a counter that was ahead
// of the file would fall after a crash. Recorder.Goodput is up to date.
//
// A counter cannot fall, so that two of them give goodput over any window:
//
//	(  sum(rate(llm_train_time_seconds_total{state="step"}[6h]))
//	 - sum(rate(llm_train_lost_seconds_total[6h])))
//	/ sum(rate(llm_train_time_seconds_total[6h]))
//
// Windows shorter than the time between checkpoints may show it negative, right
// after a rollback. Over a window, MFU is
//
//	sum(rate(llm_train_model_flops_total[5m])) / sum(llm_train_peak_flops)
//
// # Events and what to do
//
//	non_finite    the batch or the state is broken: restore RollbackTo, skip the batch
//	spike         restore RollbackTo, skip SkipMin to SkipMax batches
//	level_shift   the spike has not ended: the data or the schedule changed
//	diverging     an earlier checkpoint, with a lower learning rate
//	plateau       the schedule, or enough
//	hang          end the process and start it again; where NCCL is used, look at
//	              its flight recorder: TORCH_NCCL_TRACE_BUFFER_SIZE,
//	              TORCH_NCCL_DUMP_ON_TIMEOUT, TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC
//	straggler     cordon the node of the rank
//	ledger_lost   goodput is counted from now on
//	sink_failing  disk, network; training goes on
//
// The advice for spikes is PaLM's: restart about 100 steps before, skip 200 to 500
// batches; the same batches do not spike from another state. OPT-175B's logbook
// went back to an earlier checkpoint with a lower learning rate when it diverged.
// Every rank must skip the same batches: decide on the reduced loss, on rank 0.
//
// The detectors are state machines of their own, for use without a Recorder:
// [NonFinite], [Spike], [Trend], [Hang], [Straggler]. Their defaults come from one
// synthetic loss curve and from the sources below: a starting point, no proof.
// [ZClip] clips gradients; as an alarm it would fire more than a hundred times as often.
//
// # Errors
//
// New reports every fault of its Config. After that recording never fails: a sink
// that fails is tried again, with growing pauses, and costs its own queue at most;
// what it loses is counted in llm_train_dropped_records_total. Values that are not
// finite are kept as they are. A step whose number does not rise is recorded,
// counted, and kept from the detectors. Panics of callbacks are caught and counted.
//
// # Concurrency
//
// Step belongs to one goroutine; everything else may be called from any. OnEvent
// and OnStep run on the goroutine that found what they tell, without a lock: they
// may call the Recorder. Run owns the sinks, the ledger file and the hang clock;
// without it, records wait until the queues are full, and nothing hangs.
//
// # Cost
//
// Step takes one lock, about half a microsecond, and no allocation. A queue holds about
// 200 bytes x QueueSize for each sink, and up to 8 kB for each histogram that waits in
// it. Gradients reads a tensor once, at some 2.5 times the cost of its norm, up to five
// times where it holds few distinct values. Snapshot copies 3 kB.
//
// # Getting a run scraped
//
// A run lives for hours: let Prometheus scrape it. A Pushgateway forgets nothing,
// has no up metric and is one point of failure: keep it for short jobs, and delete
// the group at the end. Where nothing reaches the job, push OTLP.
//
// # Limitations
//
//   - No reduction over ranks: pass reduced values, and RankTimes on rank 0.
//   - Times are the wall clock's, monotonic within a process; a clock that goes
//     back between two processes is counted, and books nothing.
//   - MLflow keeps the points of steps that were rolled back.
//   - Two processes that write one ledger file are not noticed.
//   - W&B and others only through TensorBoard's files.
//
// # Sources
//
// PaLM (arXiv:2204.02311): MFU, spikes. ZClip (arXiv:2504.02507). Young 1974 and
// Daly 2006: the checkpoint interval. ml-goodput-measurement: badput by cause, step
// deviation. nvidia-resiliency-ext: section timeouts, straggler scores. torchtitan:
// peak FLOP/s of devices.
package training
